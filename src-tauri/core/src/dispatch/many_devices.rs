//! What is asked for many devices at once.

use std::collections::BTreeSet;

use crate::device::{DeviceId, Presence};
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::StateKind;
use crate::view::{InstallPlan, Refusal};

use super::Dispatch;

/// What Install does with a device.
enum Intent {
    Now,
    AtWake,
    Held,
    Active,
    Refused(Problem),
}

impl Dispatch {
    /// What [`super::Input::InstallMany`] would do with these devices. `None`: with all that there is an update
    /// for.
    #[must_use]
    pub fn install_plan(&self, devices: Option<&[DeviceId]>, now: Timestamp) -> InstallPlan {
        let mut plan = InstallPlan::default();
        let devices = devices.map_or_else(|| self.updatable(now), unique);
        for device in devices {
            match self.intent(&device, now) {
                Intent::Now => plan.now.push(device),
                Intent::AtWake => plan.at_wake.push(device),
                Intent::Held => plan.held.push(device),
                Intent::Active => plan.active.push(device),
                Intent::Refused(problem) => plan.refused.push(Refusal { device, problem }),
            }
        }
        plan
    }

    /// The devices that there is an update for.
    fn updatable(&self, now: Timestamp) -> Vec<DeviceId> {
        let rows = self.rows().into_iter().filter_map(|id| self.row(&id, now));
        rows.filter(|row| row.update_available).map(|row| row.id).collect()
    }

    fn intent(&self, device: &DeviceId, now: Timestamp) -> Intent {
        if let Err(problem) = self.is_free(device) {
            return Intent::Refused(problem);
        }
        match self.active(device).map(|update| update.state.kind()) {
            Some(StateKind::Held) => return Intent::Held,
            Some(_) => return Intent::Active,
            None => {}
        }
        match self.installable(device) {
            Ok(name) if self.presence(device, &name, now) == Presence::Online => Intent::Now,
            Ok(_) => Intent::AtWake,
            Err(problem) => Intent::Refused(problem),
        }
    }

    /// Starts an update of each device that has none under way; one that has is left alone, since a wish
    /// for many must not end a transfer that nobody thought of.
    pub(super) fn install_many(&mut self, devices: &[DeviceId], now: Timestamp) {
        for device in unique(devices) {
            let begun = match self.intent(&device, now) {
                Intent::Now | Intent::AtWake => self.install(&device, now),
                Intent::Held => Err(Problem::new(
                    "update.held",
                    format!("The update of {device} is held; decide about it first."),
                )),
                Intent::Active => Err(Problem::new(
                    "update.active",
                    format!("{device} already has an update under way."),
                )),
                Intent::Refused(problem) => Err(problem),
            };
            self.note_refusal(device, begun);
        }
        self.decision.started = None;
    }

    /// Ends the updates of many devices.
    pub(super) fn cancel_many(&mut self, devices: &[DeviceId], now: Timestamp) {
        for device in unique(devices) {
            let ended = self.cancel(&device, now);
            self.note_refusal(device, ended);
        }
    }

    pub(super) fn note_refusal(&mut self, device: DeviceId, result: Result<(), Problem>) {
        if let Err(problem) = result {
            self.decision.refusals.push(Refusal { device, problem });
        }
    }
}

fn unique(devices: &[DeviceId]) -> Vec<DeviceId> {
    let mut seen = BTreeSet::new();
    devices.iter().filter(|device| seen.insert(*device)).cloned().collect()
}
