//! Builds that failed for want of something that may come back.

use crate::build_failure::{Lack, pause_after, pause_is_over};
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::{BuildAgain, Update, UpdateId, UpdateState};

use super::Dispatch;

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
        let not_before = Some(now + pause_after(failures));
        update.build_again = Some(BuildAgain { failures, lack, problem, not_before });
    }

    /// What these builds were missing is back: they are made as soon as it is their turn.
    pub(super) fn is_back_for_builds(&mut self, lack: Lack) {
        let missed = |update: &&Update| {
            let again = update.build_again.as_ref();
            again.is_some_and(|again| again.lack == lack && again.not_before.is_some())
        };
        let waiting: Vec<UpdateId> = self.queued().filter(missed).map(|update| update.id).collect();
        for id in waiting {
            if let Some(again) = self.change(id).and_then(|update| update.build_again.as_mut()) {
                again.not_before = None;
            }
        }
    }
}
