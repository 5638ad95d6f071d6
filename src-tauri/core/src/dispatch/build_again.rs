//! Builds that failed for want of something that may come back.

use core::time::Duration;

use crate::build_failure::{Lack, pause_after, pause_is_over};
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::{BuildAgain, Update, UpdateId, UpdateState};
use crate::view::{BuildAgainView, NotificationKind};

use super::{Builder, Dispatch, Effect};

/// After so many failures in a row the user is told. One that is over by then is no news.
const TELL_AFTER: u32 = 3;

/// When ESPHome is looked for again that isn't there, at first and at the longest. It doubles.
const SEARCH_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_SEARCH_PAUSE: Duration = Duration::from_secs(600);

/// When a missing ESPHome is looked for again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// How often it was looked for in vain.
    in_vain: u32,
    /// `None`: it is there, or being looked for.
    at: Option<Timestamp>,
}

/// Whether the pause after a failed build is over.
pub(super) fn is_due(update: &Update, now: Timestamp) -> bool {
    due_at(update, now).is_none()
}

/// When the pause after a failed build ends; `None`: there is none.
pub(super) fn due_at(update: &Update, now: Timestamp) -> Option<Timestamp> {
    let not_before = update.build_again.as_ref()?.not_before;
    not_before.filter(|_| !pause_is_over(not_before, now))
}

impl Dispatch {
    /// Puts an update whose build failed back into the queue.
    pub(super) fn build_again(
        &mut self,
        id: UpdateId,
        lack: Lack,
        problem: Problem,
        now: Timestamp,
    ) {
        if !self.go(id, UpdateState::Queued, now, &problem) {
            return;
        }
        let Some(update) = self.change(id) else { return };
        let failures = update.build_again.as_ref().map_or(0, |again| again.failures);
        let failures = failures.saturating_add(1);
        let pause = pause_after(failures);
        let minutes = pause.as_secs().div_ceil(60);
        update.note(now, format!("To be tried again, in {minutes} min at the latest."));
        let not_before = Some(now + pause);
        let told = problem.clone();
        update.build_again = Some(BuildAgain { failures, lack, problem, not_before });
        if failures == TELL_AFTER {
            self.notify_about(id, NotificationKind::BuildDelayed, &told);
        }
        if lack == Lack::Esphome {
            self.decision.effects.push(Effect::FindEsphome);
        }
    }

    /// Whether a build has failed for want of this and waits to be made again.
    #[must_use]
    pub fn builds_wait_for(&self, lack: Lack) -> bool {
        self.queued().any(|update| {
            let again = update.build_again.as_ref();
            again.is_some_and(|again| again.lack == lack && again.not_before.is_some())
        })
    }

    /// What these builds were missing is back: they are made as soon as it is their turn.
    pub(super) fn is_back_for_builds(&mut self, lack: Lack) {
        let waits =
            |update: &&Update| update.build_again.as_ref().is_some_and(|again| again.lack == lack);
        let waiting: Vec<UpdateId> = self.queued().filter(waits).map(|update| update.id).collect();
        for id in waiting {
            self.end_build_pause(id);
        }
    }

    /// Builds an update as soon as it is its turn. Whether it had to wait.
    pub(super) fn end_build_pause(&mut self, id: UpdateId) -> bool {
        let paused =
            self.updates.get(&id).and_then(|update| update.build_again.as_ref()?.not_before);
        if paused.is_none() {
            return false;
        }
        if let Some(again) = self.change(id).and_then(|update| update.build_again.as_mut()) {
            again.not_before = None;
        }
        true
    }

    /// How a build that failed is shown, until it is built again.
    pub(super) fn build_again_view(&self, update: &Update) -> Option<BuildAgainView> {
        let BuildAgain { failures, problem, .. } = update.build_again.clone()?;
        Some(BuildAgainView { failures, problem, at: due_at(update, self.last_input_at) })
    }

    /// There is no ESPHome: it is looked for again after a while, as long as something waits for it.
    pub(super) fn search_later(&mut self, now: Timestamp) {
        let doublings = self.search.in_vain.min(16);
        let pause = SEARCH_PAUSE.saturating_mul(1 << doublings).min(LONGEST_SEARCH_PAUSE);
        let in_vain = self.search.in_vain.saturating_add(1);
        self.search = Search { in_vain, at: Some(now + pause) };
    }

    /// When ESPHome is to be looked for.
    pub(super) fn search_at(&self, now: Timestamp) -> Option<Timestamp> {
        let wanted = self.builder == Some(Builder::Missing)
            && self.queued().any(|update| self.is_here(update));
        // One that is later than any was put off before the clock was set back.
        self.search.at.filter(|_| wanted).map(|at| at.min(now + LONGEST_SEARCH_PAUSE))
    }

    pub(super) fn search(&mut self, now: Timestamp) {
        if self.search_at(now).is_some_and(|at| at <= now) {
            self.search.at = None;
            self.decision.effects.push(Effect::FindEsphome);
        }
    }
}
