//! From an open connection to the device's acknowledgement.

use core::net::IpAddr;

use crate::error::Problem;
use crate::gate;
use crate::retry::{AFTER_REFUSED_GATE, AT_ANOTHER_DEVICE, NextStep, next_step, pause_is_over};
use crate::time::Timestamp;
use crate::update::{
    Acknowledgement, AttemptReport, AvoidedAddress, Delivery, FlashStage, InstalledHow, Note,
    OtaMethod, PasswordChoice, StateKind, Update, UpdateId, UpdateState,
};
use wakeflash_ota::FailureClass;

use super::build_again::due_at;
use super::{Dispatch, Effect, FlashOutcome, Heard};

impl Dispatch {
    pub(super) fn connected(&mut self, id: UpdateId, peer: IpAddr, now: Timestamp) {
        let update = self.updates.get(&id);
        let wanted = update.is_some_and(|update| self.may_hold(update));
        let ready = match update.map(|update| &update.state) {
            Some(UpdateState::Waiting { delivery, retry_at })
                if pause_is_over(*retry_at, now) && !delivery.avoids(peer, now) && wanted =>
            {
                let rests = update.is_some_and(|update| self.is_resting(update, now));
                (!rests).then(|| delivery.clone())
            }
            Some(
                UpdateState::Waiting { .. }
                | UpdateState::Queued
                | UpdateState::Building { .. }
                | UpdateState::Held { .. }
                | UpdateState::Flashing { .. }
                | UpdateState::Confirming { .. }
                | UpdateState::Installed { .. }
                | UpdateState::Failed { .. }
                | UpdateState::Cancelled { .. }
                | UpdateState::Superseded { .. },
            )
            | None => None,
        };
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
        if self.go(id, flashing, now, text) {
            self.decision.effects.push(Effect::StartFlash { update: id, password });
        }
    }

    pub(super) fn image_lost(&mut self, id: UpdateId, problem: Problem, now: Timestamp) {
        if self.updates.get(&id).is_some_and(|update| update.state.kind() == StateKind::Waiting) {
            self.fail(id, problem, now);
        }
    }

    pub(super) fn about_to_complete(
        &mut self,
        id: UpdateId,
        encrypted: bool,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let refused = || Problem::new("flash.stopped", "This update is no longer being flashed.");
        if self.updates.get(&id).is_none_or(|update| update.state.kind() != StateKind::Flashing) {
            return Err(refused());
        }
        self.note_encryption(id, encrypted, now);
        let update = self.change(id).ok_or_else(refused)?;
        if let UpdateState::Flashing { stage, .. } = &mut update.state {
            *stage = FlashStage::MayBeComplete;
        }
        let build = update.state.delivery().map(|delivery| &delivery.build);
        let hash = build.and_then(|build| build.config_hash);
        let text = match build.map(|build| build.ota.method) {
            // ESPHome can't be held up before the end.
            Some(OtaMethod::WebServer) => {
                "ESPHome sends the image; from here on the device may install it."
            }
            Some(OtaMethod::Native) | None => {
                "Almost the whole image is sent; from here on the device may install it."
            }
        };
        update.note(now, text);
        let name = update.name.clone();
        if let Some(hash) = hash {
            self.change_memory(&name).note_hash(hash);
        }
        Ok(())
    }

    pub(super) fn flash_ended(&mut self, id: UpdateId, outcome: FlashOutcome, now: Timestamp) {
        let Some(update) = self.updates.get(&id) else { return };
        let UpdateState::Flashing { delivery, peer, .. } = &update.state else { return };
        let (delivery, peer) = (delivery.clone(), *peer);
        match outcome {
            FlashOutcome::Acknowledged => {
                let text = "The device took the new firmware; waiting for it to come back.";
                self.await_word(id, Acknowledgement::Final, now, text);
            }
            FlashOutcome::AlreadyRunning => self.installed(id, InstalledHow::AlreadyRunning, now),
            FlashOutcome::SourcesChanged(changes) => {
                self.sources_changed(id, delivery, changes, now)
            }
            FlashOutcome::NotProven { another_device, problem } => {
                self.avoid(id, delivery, peer, another_device, problem, now);
            }
            FlashOutcome::Failed { class, problem } => {
                self.attempt_failed(id, delivery, class, problem, now);
            }
        }
    }

    /// Leaves an address alone where something answers that is not surely the device: the device may be at
    /// another one.
    fn avoid(
        &mut self,
        id: UpdateId,
        delivery: Delivery,
        peer: IpAddr,
        another_device: bool,
        problem: Problem,
        now: Timestamp,
    ) {
        let pause = if another_device { AT_ANOTHER_DEVICE } else { AFTER_REFUSED_GATE };
        let note = Note::from(&problem);
        let mut delivery = reported(delivery, problem, now);
        delivery.avoided.retain(|avoided| avoided.address != peer && avoided.until > now);
        delivery.avoided.push(AvoidedAddress { address: peer, until: now + pause });
        let name = self.updates.get(&id).map(|update| update.name.clone());
        if another_device && let Some(name) = name {
            let memory = self.change_memory(&name);
            memory.identity.forget_address(peer);
            memory.claims.addresses.retain(|address| *address != peer);
        }
        self.wait(id, delivery, None, now, note);
    }

    fn attempt_failed(
        &mut self,
        id: UpdateId,
        mut delivery: Delivery,
        class: FailureClass,
        problem: Problem,
        now: Timestamp,
    ) {
        if class == FailureClass::NextWake {
            delivery.device_errors = delivery.device_errors.saturating_add(1);
        }
        let cut = class == FailureClass::RetryNow && self.is_sending(id);
        if cut {
            self.cut_again(id, &mut delivery);
        }
        let cuts = if cut { delivery.cuts.in_wake } else { 0 };
        let other = self.has_other_credentials(id, &delivery);
        let step = next_step(class, cuts, delivery.device_errors, other);
        let note = Note::from(&problem);
        match step {
            NextStep::RetryIn(pause) => {
                let delivery = reported(delivery, problem, now);
                self.wait(id, delivery, Some(now + pause), now, note);
                if cut {
                    self.tell_cuts(id, now);
                }
            }
            NextStep::TryLastPassword => {
                let mut delivery = reported(delivery, problem, now);
                delivery.password = PasswordChoice::LastInstalled;
                let text = "The device has another OTA password or key: trying those of its last installed build.";
                self.wait(id, delivery, None, now, text);
            }
            NextStep::GiveUp => self.fail(id, problem, now),
            NextStep::Confirm => self.await_word(id, Acknowledgement::Unknown, now, note),
        }
    }

    fn await_word(
        &mut self,
        id: UpdateId,
        acknowledgement: Acknowledgement,
        now: Timestamp,
        note: impl Into<Note>,
    ) {
        let Some(UpdateState::Flashing { delivery, peer, previous_hash, .. }) =
            self.updates.get(&id).map(|update| update.state.clone())
        else {
            return;
        };
        let confirming = UpdateState::Confirming {
            delivery,
            acknowledgement,
            since: now,
            previous_hash,
            peer,
            returned_at: None,
        };
        if let Some(name) = self.updates.get(&id).map(|update| update.name.clone()) {
            self.note_flashed(&name);
        }
        self.serving.remove(&id);
        self.go(id, confirming, now, note);
    }

    /// What was going on when the application ended isn't going on any more.
    pub(super) fn recover(&mut self, now: Timestamp) {
        self.adopt_updates();
        for id in self.active_ids() {
            let Some(update) = self.updates.get(&id) else { continue };
            match update.state.clone() {
                UpdateState::Building { .. } => {
                    self.go(
                        id,
                        UpdateState::Queued,
                        now,
                        "Wakeflash was ended during the build; it starts again.",
                    );
                }
                UpdateState::Flashing { stage: FlashStage::MayBeComplete, .. } => {
                    let text = "Wakeflash was ended when the whole image may have been sent: the device has to say what it runs.";
                    self.await_word(id, Acknowledgement::Unknown, now, text);
                }
                UpdateState::Flashing { delivery, stage: FlashStage::Incomplete, .. } => {
                    let text = "Wakeflash was ended during the transfer; the device keeps its old firmware.";
                    self.go(id, UpdateState::Waiting { delivery, retry_at: None }, now, text);
                }
                // Nobody listened to what it said after its return: it has to return once more.
                UpdateState::Confirming { returned_at: Some(_), .. } => {
                    if let Some(update) = self.change(id)
                        && let UpdateState::Confirming { returned_at, .. } = &mut update.state
                    {
                        *returned_at = None;
                    }
                }
                UpdateState::Queued
                | UpdateState::Waiting { .. }
                | UpdateState::Held { .. }
                | UpdateState::Confirming { returned_at: None, .. }
                | UpdateState::Installed { .. }
                | UpdateState::Failed { .. }
                | UpdateState::Cancelled { .. }
                | UpdateState::Superseded { .. } => {}
            }
        }
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        self.follow_clock(now);
        for id in self.active_ids() {
            self.take_return_for_word(id, now);
        }
        self.end_rests(now);
        self.store_what_was_heard(now);
        // A pause that is over is none any more.
        self.touch_all_queued();
        self.search(now);
        self.settle_doubts(now);
        self.forget_undos(now);
        self.look_ahead(now);
        self.tell_overdue(now);
        if self.first_look_until.is_some_and(|until| until <= now) {
            self.first_look_until = None;
            // What is remembered and has not been heard since the start turns from Unknown to gone.
            let remembered: Vec<String> = self.heard.keys().cloned().collect();
            for name in remembered {
                self.touch(&name);
            }
        }
    }

    /// Brings times back from the future that a clock which was set back has put there; waiting for them
    /// could take years.
    fn follow_clock(&mut self, now: Timestamp) {
        self.first_look_until =
            self.first_look_until.map(|until| until.min(now + Self::FIRST_LOOK));
        for id in self.active_ids() {
            if self.updates.get(&id).is_some_and(|update| is_from_the_future(update, now))
                && let Some(update) = self.change(id)
                && let UpdateState::Confirming { since, returned_at, .. } = &mut update.state
            {
                *since = now.min(*since);
                *returned_at = returned_at.map(|back| now.min(back));
            }
        }
    }

    /// When [`super::Input::Tick`] is due next at the latest, if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let of_updates = self.updates.values().filter_map(|update| match &update.state {
            UpdateState::Waiting { delivery, retry_at } => {
                let avoided = delivery.avoided.iter().map(|avoided| avoided.until);
                let pauses = retry_at.iter().copied().chain(avoided);
                let pauses = pauses.filter(|at| !pause_is_over(Some(*at), now));
                let rest = self.rest_is_due(update, now);
                pauses.chain(self.pace(&update.name, now).1).chain(rest).min()
            }
            UpdateState::Confirming { .. } if is_from_the_future(update, now) => Some(now),
            UpdateState::Confirming { .. } => self.silence_decides_at(update),
            UpdateState::Queued => due_at(update, now),
            UpdateState::Building { .. }
            | UpdateState::Held { .. }
            | UpdateState::Flashing { .. }
            | UpdateState::Installed { .. }
            | UpdateState::Failed { .. }
            | UpdateState::Cancelled { .. }
            | UpdateState::Superseded { .. } => None,
        });
        let doubts =
            self.heard.values().filter(|_| self.connected).filter_map(Heard::doubt_ends_at);
        let unstored = self.heard.values().filter_map(|heard| heard.store_at(now));
        let looks = self.look_again_at(now);
        let search = self.search_at(now);
        let of_devices = doubts.chain(unstored);
        of_updates.chain(of_devices).chain(self.first_look_until).chain(looks).chain(search).min()
    }
}

impl Dispatch {
    /// The user is told once for each address.
    pub(super) fn met_stranger(&mut self, name: &str, peer: IpAddr, now: Timestamp) {
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

fn is_from_the_future(update: &Update, now: Timestamp) -> bool {
    matches!(
        &update.state,
        UpdateState::Confirming { since, returned_at, .. }
            if *since > now || returned_at.is_some_and(|back| back > now)
    )
}

fn reported(mut delivery: Delivery, problem: Problem, now: Timestamp) -> Delivery {
    delivery.last_attempt = Some(AttemptReport { at: now, problem });
    delivery
}
