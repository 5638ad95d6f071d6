//! Failed: for good, unless a device that had gone back turns out to run the build after all.

use crate::device::{DeviceId, Sighting};
use crate::dispatch::Dispatch;
use crate::dispatch::device::identity::is_another_board;
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::{InstalledHow, StateKind, UpdateId, UpdateState};
use crate::view::NotificationKind;

use super::announced::{Firmware, announced_firmware};

impl Dispatch {
    pub(super) fn fail(&mut self, id: UpdateId, problem: Problem, now: Timestamp) {
        let Some(before) = self.updates.get(&id) else { return };
        let failed = UpdateState::Failed {
            at: now,
            problem: problem.clone(),
            rolled_back: false,
            taken_back: None,
            may_have_arrived: before.earlier_may_have_arrived
                || before.state.image_is_unaccounted_for(),
            dismissed: false,
        };
        if self.transition(id, failed, now, &problem) {
            self.notify_about(id, NotificationKind::Failed, &problem);
        }
    }

    /// The device took the image, and says that it runs another one. It may yet say otherwise.
    pub(super) fn roll_back(&mut self, id: UpdateId, problem: Problem, now: Timestamp) {
        let Some(before) = self.updates.get(&id).map(|update| &update.state) else { return };
        let failed = UpdateState::Failed {
            at: now,
            problem: problem.clone(),
            rolled_back: true,
            taken_back: before.delivery().cloned().map(Box::new),
            may_have_arrived: false,
            dismissed: false,
        };
        if self.transition(id, failed, now, &problem) {
            self.notify_about(id, NotificationKind::RolledBack, &problem);
        }
    }

    /// A device that had gone back to its old firmware, as somebody who spoke from its address said, runs the build
    /// after all: that is its word, too, and it is the later one.
    pub(in crate::dispatch) fn take_back_rollback(&mut self, sighting: &Sighting, now: Timestamp) {
        let rolled_back = self.updates.values().filter(|update| {
            let back = matches!(update.state, UpdateState::Failed { taken_back: Some(_), .. });
            back && update.is_for(&sighting.name) && !is_another_board(update, sighting)
        });
        let runs_it = rolled_back.filter(|update| {
            self.last(&update.device).is_some_and(|last| last.id == update.id)
                && update.state.delivery().is_some_and(|delivery| {
                    match announced_firmware(&delivery.build, sighting) {
                        Firmware::This | Firmware::Wanted => true,
                        Firmware::Other | Firmware::Unsaid => false,
                    }
                })
        });
        for id in runs_it.map(|update| update.id).collect::<Vec<_>>() {
            self.installed(id, InstalledHow::Confirmed, now);
        }
    }

    pub(in crate::dispatch) fn dismiss(&mut self, device: &DeviceId) -> Result<(), Problem> {
        let shown = self.shown_update(device);
        let failed = shown.filter(|update| update.state.kind() == StateKind::Failed);
        if let Some(id) = failed.map(|update| update.id)
            && let Some(update) = self.change(id)
            && let UpdateState::Failed { dismissed, .. } = &mut update.state
        {
            *dismissed = true;
            return Ok(());
        }
        if self.is_known(device) {
            return Err(Problem::new(
                "update.none",
                format!("{device} has no failed update to put aside."),
            ));
        }
        Err(self.no_configuration(device))
    }
}
