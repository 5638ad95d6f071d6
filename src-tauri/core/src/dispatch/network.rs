//! Evidence from the network: who is there, and what follows for updates from what a device says.

use core::time::Duration;

use crate::device::{DeviceId, Presence, Sighting, SightingKind, Source};
use crate::identity::Worth;
use crate::time::Timestamp;
use crate::update::{AvoidedAddress, InstalledHow, Update, UpdateId, UpdateState};
use crate::word::is_suffixed;

use super::confirming::{Word, word};
use super::identity::is_another_board;
use super::{Dispatch, Effect, Heard, Liveness};

/// How long a device that can't be reached is still shown as Online when it says nothing meanwhile.
pub const DOUBT: Duration = Duration::from_secs(10);

impl Dispatch {
    pub(super) fn sighted(&mut self, sighting: &Sighting, now: Timestamp) {
        if !self.admits(sighting) {
            return;
        }
        let worth = self.weigh(sighting, now);
        if sighting.kind == SightingKind::Gone {
            self.goodbye(sighting, &worth, now);
            return;
        }
        let own = worth.is_own() || (worth == Worth::Claim && self.was_flashed_there(sighting));
        let is_proof = matches!(worth, Worth::Proof(_));
        // Another board under its name is no reason to try it again where it was that board.
        let may_be_it = own || (worth == Worth::Claim && !self.is_proven(&sighting.name));
        let woke = self.remember(sighting, worth, now);
        if is_proof {
            self.adopt(&sighting.name);
        }
        if own {
            self.watch_rollback(sighting, now);
            self.take_back_rollback(sighting, now);
        }
        if !is_proof {
            self.ask_about(sighting, own, now);
        }
        for id in self.active_ids() {
            let Some(update) = self.updates.get(&id) else { continue };
            if update.is_for(&sighting.name) && !is_another_board(update, sighting) {
                self.tell_update(id, sighting, (own, may_be_it), woke, now);
            }
        }
        if is_proof {
            self.follow_names(sighting);
        }
    }

    /// What follows for an active update of the device from what is said about it. Only the device's `own` words
    /// decide something; what may be it is a reason to try it.
    fn tell_update(
        &mut self,
        id: UpdateId,
        sighting: &Sighting,
        (own, may_be_it): (bool, bool),
        woke: bool,
        now: Timestamp,
    ) {
        let Some(update) = self.updates.get(&id) else { return };
        match &update.state {
            UpdateState::Waiting { delivery, .. } | UpdateState::Held { delivery, .. }
                if own
                    && update.new_hash().is_some()
                    && matches!(word(&delivery.build, sighting), Word::Wanted) =>
            {
                self.installed(id, InstalledHow::AlreadyRunning, now);
            }
            UpdateState::Waiting { .. } => {
                self.end_pause(id, sighting, woke, may_be_it);
                self.end_avoiding(id, sighting, woke, may_be_it);
                // An entry of a cache is no evidence of life.
                if is_fresh(sighting) {
                    self.decision.effects.push(Effect::Nudge(sighting.name.clone()));
                }
            }
            UpdateState::Confirming { .. } if own => {
                self.note_previous_hash(id, sighting);
                self.confirm(id, sighting, now);
            }
            UpdateState::Flashing { .. } if own => self.note_previous_hash(id, sighting),
            UpdateState::Held { .. }
            | UpdateState::Flashing { .. }
            | UpdateState::Confirming { .. }
            | UpdateState::Queued
            | UpdateState::Building { .. }
            | UpdateState::Installed { .. }
            | UpdateState::Failed { .. }
            | UpdateState::Cancelled { .. }
            | UpdateState::Superseded { .. } => {}
        }
    }

    /// Whether it comes from where an image has just been sent to, and the device's word is awaited.
    fn was_flashed_there(&self, sighting: &Sighting) -> bool {
        let sender = sighting.source.sender();
        self.updates.values().any(|update| match &update.state {
            UpdateState::Confirming { peer, .. } => {
                sender == Some(*peer) && update.is_for(&sighting.name)
            }
            UpdateState::Queued
            | UpdateState::Building { .. }
            | UpdateState::Waiting { .. }
            | UpdateState::Held { .. }
            | UpdateState::Flashing { .. }
            | UpdateState::Installed { .. }
            | UpdateState::Failed { .. }
            | UpdateState::Cancelled { .. }
            | UpdateState::Superseded { .. } => false,
        })
    }

    /// Ends the pause after a failed attempt when there is a reason to try again before: the device has
    /// slept since, or a packet of its own came (the gate may have lacked just that). A device that has
    /// failed an attempt itself, or whose transfer was cut in this wake, is left alone until its next wake.
    fn end_pause(
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

    /// Where the device itself says that it is, it is tried again; and everywhere once in each wake.
    fn end_avoiding(
        &mut self,
        id: UpdateId,
        sighting: &Sighting,
        woke: bool,
        may_be_the_device: bool,
    ) {
        let Some(UpdateState::Waiting { delivery, .. }) =
            self.updates.get(&id).map(|update| &update.state)
        else {
            return;
        };
        let says = may_be_the_device && is_fresh(sighting);
        let is_there = |avoided: &AvoidedAddress| {
            woke || (says && sighting.addresses.contains(&avoided.address))
        };
        if delivery.avoided.iter().any(is_there)
            && let Some(update) = self.change(id)
            && let UpdateState::Waiting { delivery, .. } = &mut update.state
        {
            delivery.avoided.retain(|avoided| !is_there(avoided));
        }
    }

    /// Somebody says that a device goes, or its records have run out.
    fn goodbye(&mut self, sighting: &Sighting, worth: &Worth, now: Timestamp) {
        let name = &sighting.name;
        let believed = !is_fresh(sighting) || worth.is_own() || !self.is_proven(name);
        self.touch(name);
        let Some(heard) = self.heard.get_mut(name) else { return };
        if !self.connected {
            heard.expired = true;
        } else if believed {
            // Records that run out do so long after the device went.
            let end = if is_fresh(sighting) { Some(now) } else { heard.memory.last_seen };
            self.note_asleep(name, end.unwrap_or(now));
            if let Some(heard) = self.heard.get_mut(name) {
                heard.liveness = Liveness::Gone;
                heard.said = None;
            }
        } else if heard.liveness == Liveness::Alive {
            heard.doubted_since.get_or_insert(now);
            self.ask_where_proven(name, now);
        }
    }

    /// Marks every row that shows this device.
    pub(super) fn touch(&mut self, name: &str) {
        let configured = self.configs.values().filter(|file| self.name_of(file) == name);
        let mut rows: Vec<DeviceId> = configured.map(|file| file.id.clone()).collect();
        let active = self.updates.values().filter(|update| !update.state.kind().is_final());
        rows.extend(
            active.filter(|update| update.is_for(name)).map(|update| update.device.clone()),
        );
        let remembered = self.remembered().filter(|(_, known)| *known == name);
        rows.extend(remembered.map(|(id, _)| id.clone()));
        self.decision.touched.extend(rows);
        self.decision.touched.insert(DeviceId::discovered(name));
    }

    /// A device answered, without saying anything about itself.
    pub(super) fn alive(&mut self, name: &str, now: Timestamp) {
        self.touch(name);
        self.heard.entry(name);
        self.note_awake(name, now);
        let heard = self.heard.entry(name);
        heard.liveness = Liveness::Alive;
        heard.doubted_since = None;
        heard.expired = false;
        heard.memory.last_seen = Some(now);
    }

    pub(super) fn unreachable(&mut self, id: UpdateId, now: Timestamp) {
        let Some(name) = self.updates.get(&id).map(|update| update.name.clone()) else { return };
        let Some(heard) = self.heard.get_mut(&name) else { return };
        if heard.liveness == Liveness::Alive && self.connected {
            heard.doubted_since.get_or_insert(now);
        }
    }

    /// A device that went without a goodbye is no longer shown as Online.
    pub(super) fn settle_doubts(&mut self, now: Timestamp) {
        if !self.connected {
            return;
        }
        // The clock was set back: the doubt begins now.
        let of_the_future = |heard: &Heard| heard.doubted_since.is_some_and(|since| since > now);
        for name in self.heard.keys_where(|_, heard| of_the_future(heard)) {
            self.heard.entry(&name).doubted_since = Some(now);
        }
        let is_gone = |heard: &Heard| heard.doubt_ends_at().is_some_and(|end| end <= now);
        for name in self.heard.keys_where(|_, heard| is_gone(heard)) {
            let end = self.heard.get(&name).and_then(|heard| heard.doubted_since);
            self.note_asleep(&name, end.unwrap_or(now));
            if let Some(heard) = self.heard.get_mut(&name) {
                heard.liveness = Liveness::Gone;
                heard.doubted_since = None;
                heard.said = None;
            }
            self.touch(&name);
        }
    }

    /// Whether a device is thought to be there.
    pub(super) fn presence(&self, device: &DeviceId, name: &str, now: Timestamp) -> Presence {
        let gone = if self.sleeps(device, name) { Presence::Asleep } else { Presence::Offline };
        match self.heard.get(name) {
            Some(Heard { liveness: Liveness::Alive, .. }) => Presence::Online,
            Some(Heard { liveness: Liveness::Gone, .. }) => gone,
            Some(Heard { liveness: Liveness::Unheard, memory, .. })
                if memory.last_seen.is_some()
                    && self.first_look_until.is_none_or(|until| until <= now) =>
            {
                gone
            }
            Some(Heard { liveness: Liveness::Unheard, .. }) | None => Presence::Unknown,
        }
    }
}

/// Whether a sighting is what somebody says now.
pub(super) fn is_fresh(sighting: &Sighting) -> bool {
    match sighting.source {
        Source::Packet(_) | Source::Answer(_) => true,
        Source::Browse => false,
    }
}

impl Update {
    /// Whether both are for the same file of the same directory.
    pub(super) fn is_of_the_file_of(&self, other: &Self) -> bool {
        self.device == other.device && self.directory == other.directory
    }

    /// Whether a device of this name can be the one that is meant, whose name is to end with a part of its MAC address.
    pub(super) fn is_suffixed_as(&self, name: &str) -> bool {
        self.state.delivery().is_some_and(|delivery| {
            let build = &delivery.build;
            build.mac_suffix && build.name == self.name && is_suffixed(&build.name, name)
        })
    }

    /// Whether a device of this name is meant: by the name at the request, or by that of the build.
    #[must_use]
    pub fn is_for(&self, name: &str) -> bool {
        self.name == name
            || self.state.delivery().is_some_and(|delivery| delivery.build.name == name)
    }
}
