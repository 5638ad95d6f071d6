//! Flashing: from an open connection to its end.

use core::net::IpAddr;

use crate::credentials;
use crate::credentials::key_of;
use crate::dispatch::transfer_slots::TransferSlot;
use crate::dispatch::{Dispatch, FlashOutcome};
use crate::error::Problem;
use crate::identity::Proof;
use crate::retry::{AFTER_REFUSED_GATE, AT_ANOTHER_DEVICE, NextStep, next_step};
use crate::time::Timestamp;
use crate::update::{
    Acknowledgement, AvoidedAddress, Delivery, FlashStage, InstalledHow, Note, OtaMethod,
    PasswordChoice, StateKind, UpdateId, UpdateState,
};
use wakeflash_ota::FailureClass;

use super::waiting::reported;

impl Dispatch {
    /// A session passed the gate: this is the device of the update, and that is where it is.
    pub(in crate::dispatch) fn proven(&mut self, id: UpdateId, proof: Proof, now: Timestamp) {
        let Some(update) = self.updates.get(&id) else { return };
        if !matches!(update.state, UpdateState::Flashing { .. }) {
            return;
        }
        let name = update.name.clone();
        let memory = self.change_memory(&name);
        let said = proof.build().cloned().unwrap_or_default();
        let (hash, stamp) = (said.config_hash, said.stamp);
        memory.identity.pin(proof, now);
        let mac = memory.identity.mac();
        if let Some(hash) = hash {
            memory.note_hash(hash);
        }
        if let Some(update) = self.change(id) {
            update.mac = update.mac.or(mac);
            if let UpdateState::Flashing { previous_hash, stage: FlashStage::Incomplete, .. } =
                &mut update.state
            {
                *previous_hash = hash.or(*previous_hash);
                update.previous_stamp = stamp.or(update.previous_stamp.take());
            }
        }
        self.alive(&name, now);
    }

    /// The gate has opened and the device is held: it waits for its image.
    pub(in crate::dispatch) fn captured(&mut self, id: UpdateId, now: Timestamp) {
        let Some(update) = self.updates.get(&id) else { return };
        let UpdateState::Flashing { started_at, peer, .. } = &update.state else { return };
        let (name, since) = (update.name.clone(), *started_at);
        // What the gate has let pass is pinned by now: no image without that.
        if !self.memory(&name).is_some_and(|memory| memory.identity.is_at(*peer)) {
            return;
        }
        if !self.slots.contains_key(&id) {
            self.slots.insert(id, TransferSlot::held_since(now));
        }
        self.devices.entry(&name);
        self.begin_wake(&name, since);
        self.alive(&name, now);
    }

    pub(in crate::dispatch) fn about_to_complete(
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

    /// Writes down whether the image travels encrypted.
    fn note_encryption(&mut self, id: UpdateId, encrypted: bool, now: Timestamp) {
        if let Some(update) = self.change(id)
            && let UpdateState::Flashing { delivery, .. } = &mut update.state
        {
            delivery.encrypted = Some(encrypted);
            let asked = key_of(&delivery.build.ota.encryption).is_some();
            let text = match (encrypted, asked, delivery.build.ota.method) {
                (true, _, _) => "The firmware travels encrypted.",
                (false, _, OtaMethod::WebServer) => {
                    "The firmware travels in the clear: `ota: platform: web_server` can't encrypt it. `platform: esphome` \
                     can, with a key (ESPHome 2026.9 or newer)."
                }
                (false, true, OtaMethod::Native) => {
                    "The firmware travels in the clear: the device offers no encryption. After this install it does, \
                     if ESPHome 2026.9 or newer built it."
                }
                (false, false, OtaMethod::Native) => {
                    "The firmware travels in the clear: no key is configured. With a key under `api: encryption:`, \
                     or under `ota: encryption:` where there is no `api:`, later updates travel encrypted (ESPHome \
                     2026.9 or newer)."
                }
            };
            update.note(now, text);
        }
    }

    pub(in crate::dispatch) fn flash_ended(
        &mut self,
        id: UpdateId,
        outcome: FlashOutcome,
        now: Timestamp,
    ) {
        let Some(update) = self.updates.get(&id) else { return };
        let UpdateState::Flashing { delivery, peer, .. } = &update.state else { return };
        let (delivery, peer) = (delivery.clone(), *peer);
        self.withdraw_transfer(id);
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
    pub(in crate::dispatch) fn avoid(
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

    fn has_other_credentials(&self, id: UpdateId, delivery: &Delivery) -> bool {
        let memory = self.updates.get(&id).and_then(|update| self.memory(&update.name));
        delivery.password == PasswordChoice::OfBuild
            && memory.is_some_and(|m| credentials::last_installed_differ(&delivery.build, m))
    }
}
