//! What is said about a device, what that is worth, and what is remembered of it.

use core::net::IpAddr;
use core::time::Duration;

use crate::device::{ConfigHash, DeviceMemory, Sighting};
use crate::identity::{Claims, Identity, Proof, Rival, Worth};
use crate::time::Timestamp;
use crate::update::{FlashStage, RollbackWatch, StateKind, Update, UpdateId, UpdateState};

use super::network::is_fresh;
use super::{Dispatch, Effect, Heard, Liveness};

/// How stale the stored `last_seen` may be.
const LAST_SEEN_PRECISION: Duration = Duration::from_secs(300);

/// How stale what is merely claimed may be in the store: whoever sends packets can claim something else each time.
const CLAIMS_PRECISION: Duration = Duration::from_secs(60);

/// How soon what is heard of a device is stored again: whatever it and others say, it is no more often.
const STORED_AGAIN: Duration = Duration::from_millis(500);

/// How long a device isn't asked again when others speak of it.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The same for a device that has just said something new itself. It says so twice, a second apart: an answer that gets
/// lost is asked for once more.
const ASK_AGAIN_SPOKEN: Duration = Duration::from_millis(800);

/// The same for a device that an update waits for.
const ASK_AGAIN_WAITED: Duration = Duration::from_millis(250);

/// A rival that wasn't heard for so long is forgotten.
const RIVAL_KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Who asks learns of this many addresses at most.
const ADDRESSES_ASKED: usize = 3;

impl Dispatch {
    /// Whether the device of this name was ever proven.
    pub(super) fn is_proven(&self, name: &str) -> bool {
        self.identity_of(name).is_some_and(|(identity, _)| identity.is_proven())
    }

    /// What is pinned and claimed of the device of this name. One that gets another name has one identity under both.
    fn identity_of(&self, name: &str) -> Option<(&Identity, &Claims)> {
        let of = |name: &str| {
            let memory = self.memory(name)?;
            Some((&memory.identity, &memory.claims))
        };
        let own = of(name);
        if own.is_some_and(|(identity, _)| identity.is_proven()) {
            return own;
        }
        let of_update = self.updates.values().rev().filter(|update| update.is_for(name));
        let of_update = of_update.filter(|update| is_open(&update.state)).find_map(|update| {
            let build = update.state.delivery().map(|delivery| delivery.build.name.as_str());
            [Some(update.name.as_str()), build].into_iter().flatten().find(|other| *other != name)
        });
        let of_file = || {
            let renamed = self.former_names.iter().find(|(file, _)| {
                let content = self.configs.get(file).map(|file| &file.content);
                content.is_some_and(|content| {
                    content.as_ref().is_ok_and(|summary| summary.name == name)
                })
            });
            renamed.map(|(_, former)| former.as_str())
        };
        let former = of_update.or_else(of_file).and_then(of);
        former.filter(|(identity, _)| identity.is_proven()).or(own)
    }

    pub(super) fn weigh(&self, sighting: &Sighting, now: Timestamp) -> Worth {
        match self.identity_of(&sighting.name) {
            Some((identity, claims)) => identity.weigh(claims, sighting, now),
            None => Identity::default().weigh(&Claims::default(), sighting, now),
        }
    }

    /// Takes over what a sighting says of a device. Returns whether the device was not thought alive.
    pub(super) fn remember(&mut self, sighting: &Sighting, worth: Worth, now: Timestamp) -> bool {
        let name = sighting.name.as_str();
        self.touch(name);
        // What is said of a device that was never proven is all that is known of it.
        let is_rival = matches!(worth, Worth::Rival(_));
        let believed = worth.is_own() || !(is_rival || self.is_proven(name));
        let own = worth.is_own();
        let identity = self.identity_of(name).map(|(identity, _)| identity.clone());
        let heard = self.heard.entry(name);
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
        let heard = self.heard.entry(name);
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
        let Some(heard) = self.heard.get_mut(name).filter(|_| keeps) else { return };
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
            let soon = !is_stale(heard.stored_heard, STORED_AGAIN, now);
            if soon && !self.decision.memories.contains(name) {
                heard.unstored = true;
            } else {
                self.store_heard(name, now);
            }
        }
    }

    fn store_heard(&mut self, name: &str, now: Timestamp) {
        let Some(heard) = self.heard.get_mut(name) else { return };
        heard.stored_last_seen = Some(now);
        heard.stored_claims = Some(now);
        heard.stored_heard = Some(now);
        heard.unstored = false;
        self.decision.memories.insert(name.to_owned());
        self.note_owner(name);
    }

    /// Stores what was heard too soon after something else.
    pub(super) fn store_what_was_heard(&mut self, now: Timestamp) {
        let due = |heard: &Heard| heard.store_at(now).is_some_and(|at| at <= now);
        for name in self.heard.keys_where(|_, heard| due(heard)) {
            self.store_heard(&name, now);
        }
    }

    /// Claims are stored now and then.
    fn store_claims(&mut self, name: &str, old: &DeviceMemory, now: Timestamp) {
        let keeps = self.keeps(name);
        let Some(heard) = self.heard.get_mut(name).filter(|_| keeps) else { return };
        if heard.memory != *old && is_stale(heard.stored_claims, CLAIMS_PRECISION, now) {
            heard.stored_claims = Some(now);
            self.decision.memories.insert(name.to_owned());
        }
    }

    /// Asks a device itself about what others say of it, and about what it says itself, as long as that isn't pinned.
    pub(super) fn ask_about(&mut self, sighting: &Sighting, own: bool, now: Timestamp) {
        let name = sighting.name.as_str();
        let matters = self.keeps(name) || self.is_candidate(name);
        if !matters || !self.is_worth_asking(sighting) {
            return;
        }
        let of_itself = sighting.source.sender().filter(|from| sighting.addresses.contains(from));
        let proven = self.memory(name).map_or(&[][..], |memory| memory.identity.addresses());
        let mut addresses: Vec<IpAddr> = Vec::new();
        let said = sighting.addresses.iter().take(ADDRESSES_ASKED - 1);
        for address in of_itself.iter().chain(proven.first()).chain(said) {
            if !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        addresses.truncate(ADDRESSES_ASKED);
        self.ask(name, addresses, if own { ASK_AGAIN_SPOKEN } else { ASK_AGAIN }, now);
    }

    /// The same about its goodbye, which somebody else has said.
    pub(super) fn ask_where_proven(&mut self, name: &str, now: Timestamp) {
        let addresses =
            self.memory(name).map_or(Vec::new(), |memory| memory.identity.addresses().to_vec());
        self.ask(name, addresses, ASK_AGAIN, now);
    }

    fn ask(&mut self, name: &str, mut addresses: Vec<IpAddr>, again: Duration, now: Timestamp) {
        let again = if self.waits_for(name).is_some() { ASK_AGAIN_WAITED } else { again };
        addresses.retain(|address| self.may_reach(name, *address));
        let Some(heard) = self.heard.get_mut(name) else { return };
        if addresses.is_empty() || !is_stale(heard.asked_at, again, now) {
            return;
        }
        heard.asked_at = Some(now);
        self.decision.effects.push(Effect::Ask { name: name.to_owned(), addresses });
    }

    /// Whether the device may know more about it than is pinned.
    fn is_worth_asking(&self, sighting: &Sighting) -> bool {
        let Some((identity, _)) = self.identity_of(&sighting.name) else { return true };
        let alive = self.heard.get(&sighting.name).map(|heard| heard.liveness);
        let elsewhere = || sighting.addresses.iter().any(|address| !identity.is_at(*address));
        let differs = || {
            let mac = sighting.mac.is_some() && sighting.mac != identity.mac();
            let build = identity.build().map(|build| (&build.version, build.config_hash));
            let said = (&sighting.version, sighting.config_hash);
            mac || (sighting.version.is_some() && build != Some(said))
        };
        !identity.is_proven()
            || alive != Some(Liveness::Alive)
            || matches!(self.waits_for(&sighting.name), Some(StateKind::Confirming))
            || elsewhere()
            || differs()
    }

    /// The state of the update that the device of this name is to get.
    fn waits_for(&self, name: &str) -> Option<StateKind> {
        let is_for = |update: &&Update| update.is_for(name) || update.is_suffixed_as(name);
        let active = self.updates.values().filter(is_for);
        active.map(|update| update.state.kind()).find(|kind| match kind {
            StateKind::Waiting | StateKind::Flashing | StateKind::Confirming => true,
            StateKind::Queued
            | StateKind::Building
            | StateKind::Held
            | StateKind::Installed
            | StateKind::Failed
            | StateKind::Cancelled
            | StateKind::Superseded => false,
        })
    }

    /// Whether an update waits for the device of this name, or for its word.
    #[must_use]
    pub fn is_waited_for(&self, name: &str) -> bool {
        self.waits_for(name).is_some()
    }

    /// A session passed the gate: this is the device of the update, and that is where it is.
    pub(super) fn proven(&mut self, id: UpdateId, proof: Proof, now: Timestamp) {
        let Some(update) = self.updates.get(&id) else { return };
        if !matches!(update.state, UpdateState::Flashing { .. }) {
            return;
        }
        let name = update.name.clone();
        let memory = self.change_memory(&name);
        let hash = proof.build().and_then(|build| build.config_hash);
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
            }
        }
        self.alive(&name, now);
    }

    /// What the device has said that it runs, in this wake.
    pub(super) fn said_in_this_wake(&self, name: &str) -> Option<ConfigHash> {
        let heard = self.heard.get(name)?;
        if heard.liveness == Liveness::Alive { heard.said } else { None }
    }
}

impl Heard {
    /// When what was heard has to be stored; `None`: it is.
    pub(super) fn store_at(&self, now: Timestamp) -> Option<Timestamp> {
        let at = self.stored_heard.filter(|at| *at <= now).map_or(now, |at| at + STORED_AGAIN);
        self.unstored.then_some(at)
    }
}

/// Whether the device of an update may still go by either name.
fn is_open(state: &UpdateState) -> bool {
    match state {
        UpdateState::Queued
        | UpdateState::Building { .. }
        | UpdateState::Waiting { .. }
        | UpdateState::Held { .. }
        | UpdateState::Flashing { .. }
        | UpdateState::Confirming { .. }
        | UpdateState::Installed { watch: RollbackWatch::Watched, .. }
        | UpdateState::Failed { taken_back: Some(_), .. } => true,
        UpdateState::Installed { watch: RollbackWatch::Over, .. }
        | UpdateState::Failed { taken_back: None, .. }
        | UpdateState::Cancelled { .. }
        | UpdateState::Superseded { .. } => false,
    }
}

fn is_stale(stored: Option<Timestamp>, precision: Duration, now: Timestamp) -> bool {
    stored.is_none_or(|stored| stored > now || now.since(stored) > precision)
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
            if sighting.version.is_some() {
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
        Some(known) if known.at <= new.at && new.at.since(known.at) <= CLAIMS_PRECISION => {}
        Some(_) | None => *known = Some(new),
    }
}
