//! Confirming: from the last byte to the device's word.

use core::net::IpAddr;
use core::time::Duration;

use crate::device::Sighting;
use crate::dispatch::Dispatch;
use crate::dispatch::rollback::rolled_back;
use crate::dispatch::transfer_limits::pause_after_unknown;
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::{
    Acknowledgement, Build, FlashStage, InstalledHow, Note, PasswordChoice, StateKind, Update,
    UpdateId, UpdateState,
};

use super::announced::{Firmware, announced_firmware};

/// After its final acknowledgement a device reboots about 100 ms later (ESPHome's OTA component); what it
/// says before this time may still be the old firmware's.
pub const SETTLE_AFTER_ACKNOWLEDGEMENT: Duration = Duration::from_secs(3);

/// After a connection that died with the last bytes the device may still be checking and committing the
/// image; what it says before this time decides nothing against the update.
pub const SETTLE_AFTER_CUT: Duration = Duration::from_secs(10);

/// How long after its return a device has to announce what it runs, before its acknowledgement and its
/// return are taken for its word.
pub const WORD_AFTER_RETURN: Duration = Duration::from_secs(15);

impl Dispatch {
    pub(super) fn await_word(
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
        self.transition(id, confirming, now, note);
    }

    /// What a device that is to confirm its update has said itself.
    pub(super) fn confirm(&mut self, id: UpdateId, sighting: &Sighting, now: Timestamp) {
        let Some(update) = self.updates.get(&id) else { return };
        let UpdateState::Confirming { delivery, acknowledgement, since, .. } = &update.state else {
            return;
        };
        let (delivery, acknowledgement, passed) =
            (delivery.clone(), *acknowledgement, now.since(*since));
        let settled = passed >= acknowledgement.settle()
            || (acknowledgement == Acknowledgement::Unknown && self.serving.contains_key(&id));
        match (announced_firmware(&delivery.build, sighting), acknowledgement) {
            (Firmware::This, _) => self.installed(id, InstalledHow::Confirmed, now),
            (Firmware::Wanted, _) if update.telling_hash().is_some() => {
                self.installed(id, InstalledHow::Confirmed, now);
            }
            (Firmware::Wanted, Acknowledgement::Final) if settled => {
                self.installed(id, InstalledHow::Returned, now);
            }
            (Firmware::Other, Acknowledgement::Final) if settled => {
                self.roll_back(id, rolled_back(&delivery.build, sighting), now);
            }
            (Firmware::Other, Acknowledgement::Unknown) if settled => {
                let mut delivery = delivery;
                self.cut_again(id, &mut delivery);
                let pause = pause_after_unknown(delivery.cuts).map(|pause| now + pause);
                let text = "The device still runs its old firmware: the image had not arrived.";
                self.wait(id, delivery, pause, now, text);
                self.tell_cuts(id, now);
            }
            (Firmware::Unsaid | Firmware::Wanted, _) if settled => self.is_back(id, now),
            (Firmware::Wanted | Firmware::Other | Firmware::Unsaid, _) => {}
        }
    }

    /// What a device says once it is captured is what it ran before: all of it, as long as it can't have the
    /// whole image, and after that another hash than that of the image. So it needn't have spoken before it was
    /// captured.
    pub(super) fn note_previous_hash(&mut self, id: UpdateId, sighting: &Sighting) {
        let Some(said) = sighting.config_hash else { return };
        let Some(update) = self.updates.get(&id) else { return };
        if !update.state.kind().occupies_the_device() {
            return;
        }
        let begun = FlashStage::Incomplete;
        let can_be_new =
            !matches!(&update.state, UpdateState::Flashing { stage, .. } if *stage == begun);
        let wanted = update.state.delivery().and_then(|delivery| delivery.build.config_hash);
        if update.state.previous_hash() == Some(said) || (can_be_new && wanted == Some(said)) {
            return;
        }
        if let Some(update) = self.change(id)
            && let UpdateState::Flashing { previous_hash, .. }
            | UpdateState::Confirming { previous_hash, .. } = &mut update.state
        {
            *previous_hash = Some(said);
        }
    }

    /// Something accepts connections and doesn't say who it is. Where the device was flashed, it is the device;
    /// elsewhere it may be anything.
    pub(in crate::dispatch) fn returned(&mut self, id: UpdateId, at: IpAddr, now: Timestamp) {
        let here = matches!(
            self.updates.get(&id).map(|update| &update.state),
            Some(UpdateState::Confirming { peer, .. }) if *peer == at
        );
        if here {
            self.is_back(id, now);
        }
    }

    /// Where the device was flashed, somebody greets a client. It serves one at a time, so the update is over: it has
    /// started anew, with one firmware or the other.
    pub(in crate::dispatch) fn serves_again(&mut self, id: UpdateId, at: IpAddr) {
        let awaited = |id: &UpdateId| {
            self.updates.get(id).is_some_and(|update| update.state.kind() == StateKind::Confirming)
        };
        let here = matches!(
            self.updates.get(&id).map(|update| &update.state),
            Some(UpdateState::Confirming { peer, .. }) if *peer == at
        );
        for over in self.serving.keys_where(|id, ()| !awaited(id)) {
            self.serving.remove(&over);
        }
        if here {
            self.serving.insert(id, ());
        }
    }

    fn is_back(&mut self, id: UpdateId, now: Timestamp) {
        let Some(update) = self.updates.get(&id) else { return };
        let UpdateState::Confirming { since, returned_at: None, .. } = &update.state else {
            return;
        };
        if now.since(*since) < SETTLE_AFTER_ACKNOWLEDGEMENT {
            return;
        }
        let name = update.name.clone();
        self.alive(&name, now);
        if let Some(update) = self.change(id) {
            if let UpdateState::Confirming { returned_at, .. } = &mut update.state {
                *returned_at = Some(now);
            }
            update.note(now, "The device is back; waiting for it to say what it runs.");
        }
    }

    /// When the silence of a device that came back decides; `None`: it doesn't, or the device isn't back.
    pub(in crate::dispatch) fn silence_decides_at(&self, update: &Update) -> Option<Timestamp> {
        let UpdateState::Confirming { delivery, acknowledgement, returned_at, .. } = &update.state
        else {
            return None;
        };
        match acknowledgement {
            // It will say sometime what it runs, and nothing else can.
            Acknowledgement::Unknown if self.will_tell(update, &delivery.build) => None,
            Acknowledgement::Unknown | Acknowledgement::Final => {
                returned_at.map(|back| back + WORD_AFTER_RETURN)
            }
        }
    }

    /// When a device came back and said nothing: what follows.
    pub(in crate::dispatch) fn take_return_for_word(&mut self, id: UpdateId, now: Timestamp) {
        let Some(update) = self.updates.get(&id) else { return };
        if self.silence_decides_at(update).is_none_or(|at| at > now) {
            return;
        }
        let UpdateState::Confirming { delivery, acknowledgement, .. } = &update.state else {
            return;
        };
        match acknowledgement {
            Acknowledgement::Final => self.installed(id, InstalledHow::Returned, now),
            Acknowledgement::Unknown if !delivery.repeated_blindly => {
                let mut delivery = delivery.clone();
                delivery.repeated_blindly = true;
                // The image that may have arrived brought its password along.
                delivery.password = PasswordChoice::OfBuild;
                let text = "This device can't say what it runs, and whether it took the image is unknown: it is flashed once more.";
                self.wait(id, delivery, None, now, text);
            }
            Acknowledgement::Unknown => {
                let problem = Problem::new(
                    "update.outcome_unknown",
                    "The connection broke after the last byte, twice, and this device can't say what it runs.",
                )
                .with_help("Look at the device: it may well run the new firmware. Retry if it doesn't.");
                self.fail(id, problem, now);
            }
        }
    }

    /// Whether the device can be expected to announce which of the two builds it runs.
    fn will_tell(&self, update: &Update, build: &Build) -> bool {
        let announces = self.memory(&update.name).is_some_and(|memory| memory.announces_hash);
        build.mdns && update.telling_hash().is_some() && announces
    }

    /// Whether it comes from where an image has just been sent to, and the device's word is awaited.
    pub(in crate::dispatch) fn was_flashed_there(&self, sighting: &Sighting) -> bool {
        let sender = sighting.source.sender();
        self.updates.values().any(|update| {
            let there = matches!(
                &update.state,
                UpdateState::Confirming { peer, .. } if sender == Some(*peer)
            );
            there && update.is_for(&sighting.name)
        })
    }
}

impl Acknowledgement {
    /// How long after the transfer the old firmware may still speak.
    pub(in crate::dispatch) const fn settle(self) -> Duration {
        match self {
            Self::Final => SETTLE_AFTER_ACKNOWLEDGEMENT,
            Self::Unknown => SETTLE_AFTER_CUT,
        }
    }
}

pub(in crate::dispatch) fn is_from_the_future(update: &Update, now: Timestamp) -> bool {
    matches!(
        &update.state,
        UpdateState::Confirming { since, returned_at, .. }
            if *since > now || returned_at.is_some_and(|back| back > now)
    )
}
