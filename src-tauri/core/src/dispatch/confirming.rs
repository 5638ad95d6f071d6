//! From the last byte to the device's word: whether the build runs.

use core::net::IpAddr;
use core::time::Duration;

use crate::device::{ConfigHash, InstalledBuild, Sighting};
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::{
    Acknowledgement, Build, FlashStage, InstalledHow, PasswordChoice, StateKind, Update, UpdateId,
    UpdateState,
};
use crate::view::Installation;

use super::Dispatch;
use super::rollback::{note_installed, rollback_watch};
use super::transfers::pause_after_unknown;

/// After its final acknowledgement a device reboots about 100 ms later (ESPHome's OTA component); what it
/// says before this time may still be the old firmware's.
pub const SETTLE_AFTER_ACKNOWLEDGEMENT: Duration = Duration::from_secs(3);

/// After a connection that died with the last bytes the device may still be checking and committing the
/// image; what it says before this time decides nothing against the update.
pub const SETTLE_AFTER_CUT: Duration = Duration::from_secs(10);

/// How long after its return a device has to announce what it runs, before its acknowledgement and its
/// return are taken for its word.
pub const WORD_AFTER_RETURN: Duration = Duration::from_secs(15);

/// What a sighting says about the firmware that an update is to install.
pub(super) enum Word {
    /// It runs.
    Wanted,
    /// Something else runs.
    Other,
    /// It doesn't say.
    Silent,
}

pub(super) fn word(build: &Build, sighting: &Sighting) -> Word {
    let versions_differ = matches!(
        (&build.esphome_version, &sighting.version),
        (Some(wanted), Some(seen)) if wanted != seen
    );
    match (build.config_hash, sighting.config_hash) {
        (Some(wanted), Some(seen)) if wanted == seen && !versions_differ => Word::Wanted,
        (Some(_), Some(_)) => Word::Other,
        // Firmware that announces a version and no hash is older than the build.
        (Some(_), None) if versions_differ => Word::Other,
        (None, _) if versions_differ => Word::Other,
        (Some(_), None) | (None, _) => Word::Silent,
    }
}

impl Acknowledgement {
    /// How long after the transfer the old firmware may still speak.
    pub(super) const fn settle(self) -> Duration {
        match self {
            Self::Final => SETTLE_AFTER_ACKNOWLEDGEMENT,
            Self::Unknown => SETTLE_AFTER_CUT,
        }
    }
}

impl Dispatch {
    /// What a device says once it is captured is what it ran before: all of it, as long as it can't have the
    /// whole image, and after that another hash than that of the image. So it needn't have spoken before it was
    /// captured.
    pub(super) fn note_previous_hash(&mut self, id: UpdateId, sighting: &Sighting) {
        let Some(said) = sighting.config_hash else { return };
        let Some(update) = self.updates.get(&id) else { return };
        let can_be_new = match &update.state {
            UpdateState::Flashing { stage, .. } => *stage == FlashStage::MayBeComplete,
            UpdateState::Confirming { .. } => true,
            UpdateState::Queued
            | UpdateState::Building { .. }
            | UpdateState::Waiting { .. }
            | UpdateState::Held { .. }
            | UpdateState::Installed { .. }
            | UpdateState::Failed { .. }
            | UpdateState::Cancelled { .. }
            | UpdateState::Superseded { .. } => return,
        };
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
        match (word(&delivery.build, sighting), acknowledgement) {
            (Word::Wanted, _) if update.telling_hash().is_some() => {
                self.installed(id, InstalledHow::Confirmed, now);
            }
            (Word::Wanted, Acknowledgement::Final) if settled => {
                self.installed(id, InstalledHow::Returned, now);
            }
            (Word::Other, Acknowledgement::Final) if settled => {
                self.roll_back(id, rolled_back(&delivery.build, sighting), now);
            }
            (Word::Other, Acknowledgement::Unknown) if settled => {
                let mut delivery = delivery;
                self.cut_again(id, &mut delivery);
                let pause = pause_after_unknown(delivery.cuts).map(|pause| now + pause);
                let text = "The device still runs its old firmware: the image had not arrived.";
                self.wait(id, delivery, pause, now, text);
                self.tell_cuts(id, now);
            }
            (Word::Silent | Word::Wanted, _) if settled => self.is_back(id, now),
            (Word::Wanted | Word::Other | Word::Silent, _) => {}
        }
    }

    /// Something accepts connections and doesn't say who it is. Where the device was flashed, it is the device;
    /// elsewhere it may be anything.
    pub(super) fn returned(&mut self, id: UpdateId, at: IpAddr, now: Timestamp) {
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
    pub(super) fn serves_again(&mut self, id: UpdateId, at: IpAddr) {
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
    pub(super) fn silence_decides_at(&self, update: &Update) -> Option<Timestamp> {
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
    pub(super) fn take_return_for_word(&mut self, id: UpdateId, now: Timestamp) {
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

    pub(super) fn installed(&mut self, id: UpdateId, how: InstalledHow, now: Timestamp) {
        let Some(update) = self.updates.get(&id) else { return };
        let Some(delivery) = update.state.delivery().cloned() else { return };
        let text = match how {
            InstalledHow::Confirmed => "Installed: the device announced the new firmware.",
            InstalledHow::Returned => {
                "Installed: the device acknowledged the update and came back."
            }
            InstalledHow::AlreadyRunning => {
                "Installed: the device already runs this build, nothing more is sent."
            }
        };
        let build = delivery.build.clone();
        let name = build.name.clone();
        let (device, former, here) =
            (update.device.clone(), update.name.clone(), self.is_here(update));
        let watch = rollback_watch(how, &delivery);
        let previous_hash = update.state.previous_hash();
        if self.go(id, UpdateState::Installed { delivery, at: now, how, watch }, now, text) {
            // Of what is of another directory, that is found out when it is chosen again.
            if here {
                self.move_memory(&device, &former, &name);
            }
            let sources = Self::installed_sources(&build);
            let memory = self.change_memory(&name);
            let known =
                installation(how, previous_hash, memory.installed_sources.as_ref(), &sources);
            note_installed(memory, &build, sources, watch);
            (memory.deep_sleep, memory.sleep_plan) = (build.deep_sleep, build.sleep_plan);
            memory.identity.install(build.esphome_version, build.config_hash);
            memory.transfers.clear();
            if let Some(hash) = build.config_hash {
                memory.note_hash(hash);
            }
            self.notify_installed(id, known, text);
        }
    }
}

/// What the user can be told. The hash alone doesn't make it the same firmware: it is that of the configuration,
/// and says nothing about components and ESPHome.
fn installation(
    how: InstalledHow,
    previous_hash: Option<ConfigHash>,
    before: Option<&InstalledBuild>,
    now: &InstalledBuild,
) -> Installation {
    match how {
        InstalledHow::Confirmed => Installation::Announced,
        InstalledHow::AlreadyRunning => Installation::AlreadyRunning,
        InstalledHow::Returned => {
            // Firmware that came by another way is not what was installed from here.
            let ran = previous_hash.is_some() && previous_hash == now.config_hash;
            if ran && before == Some(now) {
                Installation::Again
            } else {
                Installation::Acknowledged
            }
        }
    }
}

pub(super) fn rolled_back(build: &Build, sighting: &Sighting) -> Problem {
    let hash =
        |hash: Option<ConfigHash>| hash.map_or_else(|| "none".to_owned(), |it| it.to_string());
    Problem::new("update.rolled_back", "The device took the new firmware and came back with another one.")
        .with_help(
            "Firmware before ESPHome 2026.8 goes back when the device sleeps before the new one has run for a minute. \
             Keep it awake for a minute after the next install.",
        )
        .with_details(format!(
            "Config hash that was installed: {}; that runs: {}",
            hash(build.config_hash),
            hash(sighting.config_hash)
        ))
}
