//! Evidence from the network: who is there, what runs on it, whom to try to reach.

use core::time::Duration;

use crate::device::{DeviceId, DeviceMemory, Presence, Sighting, SightingKind, Source};
use crate::mdns::announces_esphome;
use crate::time::Timestamp;
use crate::update::{AvoidedAddress, InstalledHow, Update, UpdateId, UpdateState};

use super::confirming::{Word, word};
use super::identity::is_another_board;
use super::{Dispatch, Effect, Heard, Liveness};

/// How long a device that can't be reached is still shown as Online when it says nothing meanwhile.
pub const DOUBT: Duration = Duration::from_secs(10);

/// How many devices are remembered at most; of more than that, only those that are configured. Whoever sends
/// packets can make names up.
pub const REMEMBERED: usize = 2_000;

/// How many addresses of a device are remembered.
pub(super) const ADDRESSES_KEPT: usize = 4;

/// How stale the stored `last_seen` may be.
const LAST_SEEN_PRECISION: Duration = Duration::from_secs(300);

impl Dispatch {
    pub(super) fn sighted(&mut self, sighting: &Sighting, now: Timestamp) {
        // Anything on the network can have an address record or a web server; only what says that it is an
        // ESPHome device becomes known by it.
        self.adopt(&sighting.name, sighting.mac);
        let news = announces_esphome(sighting) && self.heard.len() < REMEMBERED;
        if !news && !self.knows(&sighting.name) {
            return;
        }
        let woke = self.remember(sighting, now);
        if sighting.kind == SightingKind::Gone {
            return;
        }
        self.watch_rollback(sighting, now);
        for id in self.active_ids() {
            let Some(update) = self.updates.get(&id) else { continue };
            if !update.is_for(&sighting.name) || is_another_board(update, sighting) {
                continue;
            }
            match &update.state {
                UpdateState::Waiting { delivery, .. } | UpdateState::Held { delivery, .. }
                    if update.new_hash().is_some()
                        && matches!(word(&delivery.build, sighting), Word::Wanted) =>
                {
                    self.installed(id, InstalledHow::AlreadyRunning, now);
                }
                UpdateState::Waiting { .. } => {
                    self.end_pause(id, sighting, woke);
                    self.end_avoiding(id, sighting, woke);
                    // An entry of a cache is no evidence of life.
                    if is_fresh(sighting) {
                        self.decision.effects.push(Effect::Nudge(sighting.name.clone()));
                    }
                }
                UpdateState::Confirming { .. } => {
                    self.note_previous_hash(id, sighting);
                    self.confirm(id, sighting, now);
                }
                UpdateState::Flashing { .. } => self.note_previous_hash(id, sighting),
                UpdateState::Held { .. }
                | UpdateState::Queued
                | UpdateState::Building { .. }
                | UpdateState::Installed { .. }
                | UpdateState::Failed { .. }
                | UpdateState::Cancelled { .. }
                | UpdateState::Superseded { .. } => {}
            }
        }
        self.follow_names(sighting);
    }

    /// Whether a device of this name is configured, waited for, or remembered.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.heard.contains_key(name)
            || self.configs.values().any(|file| self.name_of(file) == name)
            || self.updates.values().any(|update| update.is_for(name))
    }

    /// Ends the pause after a failed attempt when there is a reason to try again before: the device has
    /// slept since, or a packet of its own came (the gate may have lacked just that). A device that has
    /// failed an attempt itself is left alone until its next wake.
    fn end_pause(&mut self, id: UpdateId, sighting: &Sighting, woke: bool) {
        let Some(UpdateState::Waiting { delivery, retry_at: Some(_) }) =
            self.updates.get(&id).map(|update| &update.state)
        else {
            return;
        };
        let ends = woke || (is_fresh(sighting) && delivery.device_errors == 0);
        if ends
            && let Some(update) = self.change(id)
            && let UpdateState::Waiting { retry_at, .. } = &mut update.state
        {
            *retry_at = None;
        }
    }

    /// Where the device itself says that it is, it is tried again; and everywhere once in each wake.
    fn end_avoiding(&mut self, id: UpdateId, sighting: &Sighting, woke: bool) {
        let Some(UpdateState::Waiting { delivery, .. }) =
            self.updates.get(&id).map(|update| &update.state)
        else {
            return;
        };
        let fresh = is_fresh(sighting);
        let is_there = |avoided: &AvoidedAddress| {
            woke || (fresh && sighting.addresses.contains(&avoided.address))
        };
        if delivery.avoided.iter().any(is_there)
            && let Some(update) = self.change(id)
            && let UpdateState::Waiting { delivery, .. } = &mut update.state
        {
            delivery.avoided.retain(|avoided| !is_there(avoided));
        }
    }

    /// Takes over what a sighting says of a device. Returns whether the device was not thought alive.
    fn remember(&mut self, sighting: &Sighting, now: Timestamp) -> bool {
        self.touch(&sighting.name);
        let heard = self.heard.entry(&sighting.name);
        if sighting.kind == SightingKind::Gone && !self.connected {
            heard.expired = true;
            return false;
        }
        if sighting.kind == SightingKind::Gone {
            // Records that run out do so long after the device went.
            let end = if is_fresh(sighting) { Some(now) } else { heard.memory.last_seen };
            self.note_asleep(&sighting.name, end.unwrap_or(now));
            let heard = self.heard.entry(&sighting.name);
            heard.liveness = Liveness::Gone;
            return false;
        }
        let old = heard.memory.clone();
        if !is_fresh(sighting) && heard.liveness != Liveness::Unheard {
            // The cache is refreshed by packets that were heard themselves, and it tells of its own ageing as
            // well: it adds facts, and says nothing about who is there.
            let facts = DeviceMemory { last_seen: old.last_seen, ..updated(&old, sighting, now) };
            if facts != old {
                heard.memory = facts;
                self.decision.memories.insert(sighting.name.clone());
            }
            return false;
        }
        self.note_awake(&sighting.name, now);
        let heard = self.heard.entry(&sighting.name);
        let woke = heard.liveness != Liveness::Alive;
        heard.liveness = Liveness::Alive;
        heard.doubted_since = None;
        heard.expired = false;
        let stale = heard
            .stored_last_seen
            .is_none_or(|stored| stored > now || now.since(stored) > LAST_SEEN_PRECISION);
        let new = updated(&old, sighting, now);
        let same_but_for_time = DeviceMemory { last_seen: new.last_seen, ..old.clone() } == new;
        heard.memory = new;
        if stale || !same_but_for_time {
            heard.stored_last_seen = Some(now);
            self.decision.memories.insert(sighting.name.clone());
            self.note_owner(&sighting.name);
        }
        woke
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

/// Whether a sighting is what the device says now.
pub(super) fn is_fresh(sighting: &Sighting) -> bool {
    match sighting.source {
        Source::Packet(_) | Source::Answer(_) => true,
        Source::Browse => false,
    }
}

/// A device's memory with what a sighting adds to it.
fn updated(old: &DeviceMemory, sighting: &Sighting, now: Timestamp) -> DeviceMemory {
    let mut new = old.clone();
    new.last_seen = Some(now);
    for address in sighting.addresses.iter().rev() {
        new.addresses.retain(|known| known != address);
        new.addresses.insert(0, *address);
    }
    new.addresses.truncate(ADDRESSES_KEPT);
    if sighting.mac.is_some() && sighting.mac != old.mac {
        // Another board has the name now; the link-layer address was the old one's.
        new.link_address = None;
    }
    new.mac = sighting.mac.or(new.mac);
    if sighting.mac == new.mac {
        // Where a MAC address is known, a name alone may be anybody's.
        new.link_address = sighting.link_address.or(new.link_address);
    }
    if sighting.version.is_some() {
        // A TXT record is complete: what it doesn't have, the firmware that runs doesn't announce.
        new.version.clone_from(&sighting.version);
        new.config_hash = sighting.config_hash;
        if let Some(hash) = sighting.config_hash {
            new.note_hash(hash);
        }
        new.announces_hash = sighting.config_hash.is_some();
    }
    new.friendly_name = sighting.friendly_name.clone().or(new.friendly_name);
    new.platform = sighting.platform.clone().or(new.platform);
    new
}

impl Update {
    /// Whether both are for the same file of the same directory.
    pub(super) fn is_of_the_file_of(&self, other: &Self) -> bool {
        self.device == other.device && self.directory == other.directory
    }

    /// Whether a device of this name is meant: by the name at the request, or by that of the build.
    #[must_use]
    pub fn is_for(&self, name: &str) -> bool {
        self.name == name
            || self.state.delivery().is_some_and(|delivery| delivery.build.name == name)
    }
}
