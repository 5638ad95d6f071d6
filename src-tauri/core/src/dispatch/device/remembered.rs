//! What is remembered of what is heard of a device, and how often it is stored.

use core::time::Duration;

use crate::device::{DeviceMemory, Sighting};
use crate::dispatch::Dispatch;
use crate::identity::{Claims, Rival, Worth};
use crate::time::Timestamp;

use super::sighted::is_fresh;
use super::{KnownDevice, Liveness};

/// How stale the stored `last_seen` may be.
const LAST_SEEN_PRECISION: Duration = Duration::from_secs(300);

/// How stale what is merely claimed may be in the store: whoever sends packets can claim something else each time.
const CLAIMS_PRECISION: Duration = Duration::from_secs(60);

/// How soon what is heard of a device is stored again: whatever it and others say, it is no more often.
const STORED_AGAIN: Duration = Duration::from_millis(500);

/// A rival that wasn't heard for so long is forgotten.
const RIVAL_KEPT: Duration = Duration::from_secs(24 * 3_600);

impl Dispatch {
    /// Takes over what a sighting says of a device. Returns whether the device was not thought alive.
    pub(super) fn remember(&mut self, sighting: &Sighting, worth: Worth, now: Timestamp) -> bool {
        let name = sighting.name.as_str();
        self.touch(name);
        // What is said of a device that was never proven is all that is known of it.
        let is_rival = matches!(worth, Worth::Rival(_));
        let believed = worth.is_own() || !(is_rival || self.is_proven(name));
        let own = worth.is_own();
        let identity = self.identity_of(name).map(|(identity, _)| identity.clone());
        let heard = self.devices.entry(name);
        let old = heard.memory.clone();
        let mut new = old.clone();
        if own {
            new.identity = identity.unwrap_or_default();
        }
        take_over(&mut new, sighting, worth, now);
        let is_news = believed && (is_fresh(sighting) || heard.liveness == Liveness::Unheard);
        if !is_news {
            // The cache is refreshed by packets that were heard themselves, and it tells of its own ageing as
            // well: it adds facts, and says nothing about who is there. Of a device that was proven, neither do others.
            if heard.liveness == Liveness::Unheard && !is_rival {
                heard.liveness = Liveness::Alive;
            }
            heard.memory = new;
            self.store_claims(name, &old, now);
            return false;
        }
        self.note_awake(name, now);
        new.last_seen = Some(now);
        let heard = self.devices.entry(name);
        let woke = heard.liveness != Liveness::Alive;
        heard.liveness = Liveness::Alive;
        heard.doubted_since = None;
        heard.expired = false;
        if own {
            heard.said = sighting.config_hash.or(heard.said);
        }
        heard.memory = new;
        self.store_memory(name, &old, now);
        woke
    }

    fn store_memory(&mut self, name: &str, old: &DeviceMemory, now: Timestamp) {
        let keeps = self.keeps(name);
        let Some(heard) = self.devices.get_mut(name).filter(|_| keeps) else { return };
        let stale = is_stale(heard.stored_last_seen, LAST_SEEN_PRECISION, now);
        let memory = &heard.memory;
        let claims_are_stale = is_stale(heard.stored_claims, CLAIMS_PRECISION, now);
        let but_for_time_and_claims = DeviceMemory {
            last_seen: memory.last_seen,
            claims: memory.claims.clone(),
            identity: memory.identity.clone(),
            ..old.clone()
        };
        let news = but_for_time_and_claims != *memory || !old.identity.is_like(&memory.identity);
        if stale || news || (claims_are_stale && old.claims != memory.claims) {
            self.store_soon(name, now);
        }
    }

    /// Stores what was heard of a device: at once, or soon when something of it was stored just now.
    pub(super) fn store_soon(&mut self, name: &str, now: Timestamp) {
        let Some(heard) = self.devices.get_mut(name) else { return };
        let just_now = !is_stale(heard.stored_heard, STORED_AGAIN, now);
        if just_now && !self.decision.memories.contains(name) {
            heard.unstored = true;
        } else {
            self.store_heard(name, now);
        }
    }

    fn store_heard(&mut self, name: &str, now: Timestamp) {
        let Some(heard) = self.devices.get_mut(name) else { return };
        heard.stored_last_seen = Some(now);
        heard.stored_claims = Some(now);
        heard.stored_heard = Some(now);
        heard.unstored = false;
        self.decision.memories.insert(name.to_owned());
        self.note_owner(name);
        self.store_wakes(name);
    }

    /// Stores what is new of its wakes.
    pub(super) fn store_wakes(&mut self, name: &str) {
        let keeps = self.keeps(name);
        let Some(heard) = self.devices.get_mut(name).filter(|_| keeps) else { return };
        if let Some(from) = heard.unstored_wakes.take() {
            let first = self.decision.wakes.entry(name.to_owned()).or_insert(from);
            *first = from.min(*first);
        }
    }

    /// Stores what was heard too soon after something else.
    pub(in crate::dispatch) fn store_what_was_heard(&mut self, now: Timestamp) {
        let due = |heard: &KnownDevice| heard.store_at(now).is_some_and(|at| at <= now);
        for name in self.devices.keys_where(|_, heard| due(heard)) {
            self.store_heard(&name, now);
        }
    }

    /// Claims are stored now and then.
    fn store_claims(&mut self, name: &str, old: &DeviceMemory, now: Timestamp) {
        let keeps = self.keeps(name);
        let Some(heard) = self.devices.get_mut(name).filter(|_| keeps) else { return };
        if heard.memory != *old && is_stale(heard.stored_claims, CLAIMS_PRECISION, now) {
            heard.stored_claims = Some(now);
            self.decision.memories.insert(name.to_owned());
        }
    }
}

impl KnownDevice {
    /// When what was heard has to be stored; `None`: it is.
    pub(in crate::dispatch) fn store_at(&self, now: Timestamp) -> Option<Timestamp> {
        let at = self.stored_heard.filter(|at| *at <= now).map_or(now, |at| at + STORED_AGAIN);
        self.unstored.then_some(at)
    }
}

/// What is known of a device, with what a sighting adds to it.
fn take_over(memory: &mut DeviceMemory, sighting: &Sighting, worth: Worth, now: Timestamp) {
    let describes = match &worth {
        Worth::Proof(_) => true,
        Worth::OwnWord | Worth::Claim => !memory.identity.is_proven(),
        Worth::Rival(_) => false,
    };
    match worth {
        Worth::Proof(proof) => {
            let hashes = core::mem::take(&mut memory.claims.hashes);
            memory.claims = Claims { hashes, ..Claims::default() };
            memory.claims.take(sighting);
            memory.identity.pin(proof, now);
            if sighting.is_record() {
                memory.announces_hash = sighting.config_hash.is_some();
            }
            if let Some(hash) = sighting.config_hash {
                memory.note_hash(hash);
            }
        }
        Worth::OwnWord | Worth::Claim => memory.claims.take(sighting),
        Worth::Rival(rival) => take_rival(&mut memory.rival, rival),
    }
    let old = |rival: &Rival| rival.at <= now && now.since(rival.at) > RIVAL_KEPT;
    memory.rival = memory.rival.take().filter(|rival| !old(rival));
    if describes {
        memory.friendly_name = sighting.friendly_name.clone().or(memory.friendly_name.take());
        memory.platform = sighting.platform.clone().or(memory.platform.take());
    }
}

/// One rival is shown; another one takes its place when it has been silent for a minute.
fn take_rival(known: &mut Option<Rival>, new: Rival) {
    match known {
        Some(known) if known.is_same_board(&new) => {
            let build = new.build.clone().or(known.build.take());
            // That it is still there is no news worth storing each time.
            let at = if new.at.since(known.at) > CLAIMS_PRECISION { new.at } else { known.at };
            *known = Rival { build, at, ..new };
        }
        // When the known one was heard last is noted once a minute.
        Some(known) if known.at <= new.at && new.at.since(known.at) <= 2 * CLAIMS_PRECISION => {}
        Some(_) | None => *known = Some(new),
    }
}

pub(super) fn is_stale(stored: Option<Timestamp>, precision: Duration, now: Timestamp) -> bool {
    stored.is_none_or(|stored| stored > now || now.since(stored) > precision)
}
