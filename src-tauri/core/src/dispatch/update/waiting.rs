//! Waiting: until a connection to the device is open.

use core::net::IpAddr;

use crate::credentials;
use crate::device::{DeviceId, DeviceMemory, Sighting};
use crate::dispatch::device::sighted::is_fresh;
use crate::dispatch::{Dispatch, Effect};
use crate::error::Problem;
use crate::gate;
use crate::retry::{AT_ANOTHER_DEVICE, AT_ANOTHER_DEVICE_AT_LEAST, pause_is_over};
use crate::settings::ChangedSources;
use crate::time::Timestamp;
use crate::update::{
    AttemptReport, AvoidedAddress, Delivery, FlashStage, Note, SourceChange, SourceTracking,
    StateKind, Update, UpdateId, UpdateState,
};
use crate::view::NotificationKind;

impl Dispatch {
    /// Goes back to the build that was installed before. Nothing is built, so its configuration may be broken.
    pub(in crate::dispatch) fn install_previous(
        &mut self,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let name = self.known_name(device).ok_or_else(|| self.no_configuration(device))?;
        let previous = self.memory(&name).and_then(DeviceMemory::previous_build).cloned();
        let build = previous.ok_or_else(|| {
            Problem::new("update.no_previous", format!("No earlier build of {device} is kept."))
                .with_help("The last two builds that were installed from here are.")
        })?;
        let warning = credentials::warning(&build, self.memory(&name));
        let tracking = SourceTracking::Waived;
        let delivery = Delivery { tracking, warning, ..Self::delivery(build) };
        let waiting = UpdateState::Waiting { delivery, retry_at: None };
        self.begin(device, name, waiting, "The previous build was requested.", now)
    }

    /// Puts an update to waiting, or writes a line when it waits already. Nobody looked at its sources
    /// during the transfer, so somebody does now.
    pub(super) fn wait(
        &mut self,
        id: UpdateId,
        delivery: Delivery,
        retry_at: Option<Timestamp>,
        now: Timestamp,
        note: impl Into<Note>,
    ) {
        let tracked = delivery.tracking == SourceTracking::Tracked;
        let waiting = UpdateState::Waiting { delivery, retry_at };
        let was = self.updates.get(&id).map(|update| update.state.kind());
        if was == Some(StateKind::Waiting)
            && let Some(update) = self.change(id)
        {
            update.state = waiting;
            update.note(now, note);
        } else if self.transition(id, waiting, now, note)
            && tracked
            && was.is_some_and(StateKind::occupies_the_device)
        {
            self.decision.effects.push(Effect::CheckSources(id));
        }
    }

    /// Does what the user's policy says to an update whose sources are no longer those of its build.
    pub(super) fn sources_changed(
        &mut self,
        id: UpdateId,
        delivery: Delivery,
        changes: Vec<SourceChange>,
        now: Timestamp,
    ) {
        if changes.is_empty() || delivery.tracking == SourceTracking::Waived {
            self.wait(id, delivery, None, now, "The changed sources don't matter to this update.");
            return;
        }
        let files =
            changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>().join(", ");
        match self.settings.changed_sources {
            ChangedSources::Hold => {
                let text = format!("Held: {files} changed since the build.");
                if self.transition(id, UpdateState::Held { delivery, changes }, now, text) {
                    self.notify_about(id, NotificationKind::Held, files);
                }
            }
            ChangedSources::Rebuild => {
                // A running flash that finds out at the gate has no way to Queued but over Waiting.
                self.wait(id, delivery, None, now, format!("{files} changed since the build."));
                self.transition(
                    id,
                    UpdateState::Queued,
                    now,
                    "To be built again from the changed sources.",
                );
            }
            ChangedSources::Flash => {
                let waived = Delivery { tracking: SourceTracking::Waived, ..delivery };
                let text = format!(
                    "{files} changed since the build; flashed as it was built, as the settings say."
                );
                self.wait(id, waived, None, now, text);
            }
        }
    }

    pub(in crate::dispatch) fn connected(&mut self, id: UpdateId, peer: IpAddr, now: Timestamp) {
        let ready = self.updates.get(&id).and_then(|update| {
            let UpdateState::Waiting { delivery, retry_at } = &update.state else { return None };
            let ready = pause_is_over(*retry_at, now)
                && !delivery.avoids(peer, now)
                && self.may_hold(update)
                && !self.is_resting(update, now);
            ready.then(|| delivery.clone())
        });
        let Some(mut delivery) = ready else {
            self.decision.effects.push(Effect::DropConnection(id));
            return;
        };
        delivery.attempts = delivery.attempts.saturating_add(1);
        let previous_hash = self.updates.get(&id).and_then(|u| self.said_in_this_wake(&u.name));
        let password = delivery.password;
        let text = format!("Connected to {peer} (attempt {}).", delivery.attempts);
        let flashing = UpdateState::Flashing {
            delivery,
            started_at: now,
            peer,
            previous_hash,
            stage: FlashStage::Incomplete,
        };
        if self.transition(id, flashing, now, text) {
            self.decision.effects.push(Effect::StartFlash { update: id, password });
        }
    }

    /// Whether a connection to the device of this update is wanted now: nothing is paused, and there is a place for
    /// it. A device that doesn't sleep is still there later, and holding it would only keep it from its work.
    pub(in crate::dispatch) fn may_hold(&self, update: &Update) -> bool {
        let free = self.count(StateKind::Flashing) < usize::from(self.settings.max_flashes);
        !self.settings.paused && (free || self.update_sleeps(update))
    }

    pub(in crate::dispatch) fn image_lost(
        &mut self,
        id: UpdateId,
        problem: Problem,
        now: Timestamp,
    ) {
        if self.updates.get(&id).is_some_and(|update| update.state.kind() == StateKind::Waiting) {
            self.fail(id, problem, now);
        }
    }

    /// Ends the pause after a failed attempt when there is a reason to try again before: the device has
    /// slept since, or a packet of its own came (the gate may have lacked just that). A device that has
    /// failed an attempt itself, or whose transfer was cut in this wake, is left alone until its next wake.
    pub(super) fn end_pause(
        &mut self,
        id: UpdateId,
        sighting: &Sighting,
        woke: bool,
        may_be_the_device: bool,
    ) {
        let Some(UpdateState::Waiting { delivery, retry_at: Some(_) }) =
            self.updates.get(&id).map(|update| &update.state)
        else {
            return;
        };
        let name = self.updates.get(&id).map_or(sighting.name.as_str(), |it| it.name.as_str());
        let failed_itself =
            delivery.device_errors > 0 || delivery.cuts.within(self.wake_number(name)) > 0;
        let lacked_it = may_be_the_device && is_fresh(sighting) && !failed_itself;
        if (woke || lacked_it)
            && let Some(update) = self.change(id)
            && let UpdateState::Waiting { retry_at, .. } = &mut update.state
        {
            *retry_at = None;
        }
    }

    /// Where the device itself says that it is, it is tried again; and everywhere once in each wake. Not at once where
    /// another device was found: that can say so as well.
    pub(super) fn end_avoiding(
        &mut self,
        id: UpdateId,
        sighting: &Sighting,
        woke: bool,
        may_be_the_device: bool,
        now: Timestamp,
    ) {
        let Some(UpdateState::Waiting { delivery, .. }) =
            self.updates.get(&id).map(|update| &update.state)
        else {
            return;
        };
        let says = may_be_the_device && is_fresh(sighting);
        let may_have_changed_hands =
            now + AT_ANOTHER_DEVICE.saturating_sub(AT_ANOTHER_DEVICE_AT_LEAST);
        let is_there = |avoided: &AvoidedAddress| {
            avoided.until <= may_have_changed_hands
                && (woke || (says && sighting.addresses.contains(&avoided.address)))
        };
        if delivery.avoided.iter().any(is_there)
            && let Some(update) = self.change(id)
            && let UpdateState::Waiting { delivery, .. } = &mut update.state
        {
            delivery.avoided.retain(|avoided| !is_there(avoided));
        }
    }

    /// The user is told once for each address.
    pub(in crate::dispatch) fn met_stranger(&mut self, name: &str, peer: IpAddr, now: Timestamp) {
        let problem = gate::stranger(name, peer);
        for id in self.active_ids() {
            let Some(update) = self.updates.get(&id).filter(|update| update.name == name) else {
                continue;
            };
            let UpdateState::Waiting { delivery, .. } = &update.state else { continue };
            if delivery.last_attempt.as_ref().is_some_and(|last| last.problem == problem) {
                continue;
            }
            let delivery = reported(delivery.clone(), problem.clone(), now);
            if let Some(Update { state: UpdateState::Waiting { delivery: old, .. }, .. }) =
                self.change(id)
            {
                *old = delivery;
            }
        }
    }
}

pub(in crate::dispatch) fn reported(
    mut delivery: Delivery,
    problem: Problem,
    now: Timestamp,
) -> Delivery {
    delivery.last_attempt = Some(AttemptReport { at: now, problem });
    delivery
}

impl Dispatch {
    /// What the user should know about a device that nobody has seen, and whose address nobody knows: it may
    /// go by another name.
    pub(in crate::dispatch) fn never_seen(&self, update: &Update) -> Option<Problem> {
        let UpdateState::Waiting { delivery, .. } = &update.state else { return None };
        let build = &delivery.build;
        let literal =
            build.address.as_ref().is_some_and(|own| own.parse::<core::net::IpAddr>().is_ok());
        let known = [&update.name, &build.name]
            .into_iter()
            .filter_map(|name| self.memory(name))
            .any(|memory| memory.last_seen.is_some() || memory.user_address.is_some());
        (!literal && !known).then(|| {
            let name = &update.name;
            Problem::new(
                "device.never_seen",
                format!("No device called “{name}” has been seen yet."),
            )
            .with_help(
                "The update waits for it. If the device goes by another name now, put that name back into its \
                 file until the device was seen once, and change it then. If it doesn't announce itself, enter \
                 its address.",
            )
        })
    }

    /// What the user should know about a device of which nothing is known but that somebody says it is in another
    /// network: no packet makes this computer connect to hosts there.
    pub(in crate::dispatch) fn said_elsewhere(&self, update: &Update) -> Option<Problem> {
        let UpdateState::Waiting { delivery, .. } = &update.state else { return None };
        let memory = self.memory(&update.name)?;
        let is_literal = |text: &String| text.parse::<IpAddr>().is_ok();
        let given = memory.user_address.is_some()
            || delivery.build.address.as_ref().is_some_and(is_literal);
        let said = memory.claims.addresses.first().filter(|_| !given)?;
        let reachable = memory.addresses().any(|address| self.may_reach(&update.name, address));
        (!reachable).then(|| {
            let name = &update.name;
            Problem::new(
                "device.elsewhere",
                format!("“{name}” is said to be at {said}, outside this computer's networks."),
            )
            .with_help("Enter that address in the device's details if it is right: then it is tried there.")
        })
    }
}
