//! Queued: from the wish until its build begins.

use core::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::build_failure::{Lack, build_pause_is_over};
use crate::device::DeviceId;
use crate::dispatch::directory::Directory;
use crate::dispatch::{Builder, Dispatch, Effect};
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::{BuildAgain, StateKind, Update, UpdateId, UpdateState};
use crate::view::BuildAgainView;

/// Whether the pause after a failed build is over.
pub(in crate::dispatch) fn is_due(update: &Update, now: Timestamp) -> bool {
    due_at(update, now).is_none()
}

/// When the pause after a failed build ends; `None`: there is none.
pub(in crate::dispatch) fn due_at(update: &Update, now: Timestamp) -> Option<Timestamp> {
    let not_before = update.build_again.as_ref()?.not_before;
    not_before.filter(|_| !build_pause_is_over(not_before, now))
}

impl Dispatch {
    pub(in crate::dispatch) fn install(
        &mut self,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let name = self.installable(device)?;
        self.begin(device, name, UpdateState::Queued, "Install requested.", now)
    }

    /// The name of a device that can be built, or why it can't.
    pub(in crate::dispatch) fn installable(&self, device: &DeviceId) -> Result<String, Problem> {
        let file = self.configs.get(device).ok_or_else(|| self.no_configuration(device))?;
        file.content.as_ref().map_err(Clone::clone)?;
        if let Some(problem) = self.same_name(file) {
            return Err(problem);
        }
        if self.builder == Some(Builder::Missing) {
            return Err(Problem::new(
                "esphome.missing",
                "ESPHome was not found, so nothing can be built.",
            )
            .with_help("Install it with one click, or choose where it is, in the settings."));
        }
        Ok(self.name_of(file).to_owned())
    }

    /// Why a queued update isn't built, when that is for its directory.
    pub(in crate::dispatch) fn waits_for_directory(&self, update: &Update) -> Option<Problem> {
        let known = self.directory != Directory::Unread;
        let queued = update.state.kind() == StateKind::Queued && self.is_here(update);
        (queued && known && !self.has_sources()).then(|| {
            Problem::new(
                "build.waits_for_directory",
                "It is built when the config directory is back.",
            )
            .with_help("If the directory lies on a drive or a network share, connect that.")
        })
    }

    /// Whether anything can be built now.
    pub(in crate::dispatch) fn can_build(&self) -> bool {
        let builder = matches!(self.builder, Some(Builder::Ready { .. }));
        builder && !self.settings.paused && self.has_sources()
    }

    pub(in crate::dispatch) fn fill_build_slots(&mut self, now: Timestamp) {
        if !self.can_build() {
            return;
        }
        while self.count(StateKind::Building) < usize::from(self.settings.max_builds) {
            let next = self.queued().filter(|update| is_due(update, now) && self.is_here(update));
            let next = next.min_by_key(|update| self.build_rank(update));
            let Some((id, device)) = next.map(|update| (update.id, update.device.clone())) else {
                return;
            };
            let building = UpdateState::Building { started_at: now };
            if !self.transition(id, building, now, "ESPHome builds the firmware.") {
                return;
            }
            self.decision.effects.push(Effect::StartBuild { update: id, device });
        }
    }

    pub(in crate::dispatch) fn queued(&self) -> impl Iterator<Item = &Update> {
        self.updates.values().filter(|update| update.state.kind() == StateKind::Queued)
    }

    /// The least is built first: devices in safe mode, which take an update for five minutes, then those that sleep,
    /// since they have the least time to spare, and among them the user's newest wish.
    fn build_rank(&self, update: &Update) -> (Reverse<bool>, Reverse<bool>, Reverse<UpdateId>) {
        let crashes = self.is_in_safe_mode(&update.name);
        (Reverse(crashes), Reverse(self.update_sleeps(update)), Reverse(update.id))
    }

    pub(in crate::dispatch) fn builds_ahead_of(&self, id: UpdateId) -> u32 {
        self.builds_ahead.get(&id).copied().unwrap_or(0)
    }

    /// All at once: with a thousand in the queue, each by itself would take seconds.
    pub(in crate::dispatch) fn build_order(&self) -> Arc<BTreeMap<UpdateId, u32>> {
        let mut order: Vec<_> =
            self.queued().map(|update| (self.build_rank(update), update)).collect();
        order.sort_by_key(|(rank, _)| *rank);
        let mut before = u32::try_from(self.count(StateKind::Building)).unwrap_or(u32::MAX);
        let ahead = order.into_iter().map(|(_, update)| {
            let ahead = (update.id, before);
            let builds = is_due(update, self.last_input_at) && self.is_here(update);
            before = before.saturating_add(u32::from(builds));
            ahead
        });
        Arc::new(ahead.collect())
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
    pub(in crate::dispatch) fn is_back_for_builds(&mut self, lack: Lack) {
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
    pub(in crate::dispatch) fn build_again_view(&self, update: &Update) -> Option<BuildAgainView> {
        let BuildAgain { failures, problem, .. } = update.build_again.clone()?;
        Some(BuildAgainView { failures, problem, at: due_at(update, self.last_input_at) })
    }

    /// Whoever joins or leaves the queue, ends a build, or has waited long enough to build again, changes how many builds
    /// come before the others'.
    pub(in crate::dispatch) fn order_the_queued(&mut self, before: &Self) {
        let counts = |update: Option<&Update>| {
            let kind = update.map(|update| update.state.kind());
            kind.filter(|kind| matches!(kind, StateKind::Queued | StateKind::Building))
        };
        let moved = self
            .decision
            .updates
            .iter()
            .any(|id| counts(before.updates.get(id)) != counts(self.updates.get(id)));
        let due = |state: &Self, id: UpdateId| {
            state.updates.get(&id).map(|update| is_due(update, state.last_input_at))
        };
        let due = self.queued().any(|update| due(before, update.id) != due(self, update.id));
        if moved || due || core::mem::take(&mut self.decision.reordered) {
            self.builds_ahead = self.build_order();
            let queued: Vec<DeviceId> = self.queued().map(|update| update.device.clone()).collect();
            self.decision.touched.extend(queued);
        }
    }
}
