//! Evidence from the network: who is there, what runs on it, whom to try to reach.

use core::net::IpAddr;
use core::time::Duration;

use crate::device::{DeviceId, DeviceMemory, Presence, Sighting, SightingKind, Source};
use crate::error::Problem;
use crate::mdns::announces_esphome;
use crate::time::Timestamp;
use crate::update::{
    Acknowledgement, AvoidedAddress, Build, FlashStage, InstalledHow, PasswordChoice, Update,
    UpdateId, UpdateState,
};

use super::identity::is_another_board;
use super::rollback::{note_installed, rollback_watch};
use super::{Dispatch, Effect, Heard, Liveness};

/// After its final acknowledgement a device reboots about 100 ms later (ESPHome's OTA component); what it
/// says before this time may still be the old firmware's.
pub const SETTLE_AFTER_ACKNOWLEDGEMENT: Duration = Duration::from_secs(3);

/// After a connection that died with the last bytes the device may still be checking and committing the
/// image; what it says before this time decides nothing against the update.
pub const SETTLE_AFTER_CUT: Duration = Duration::from_secs(10);

/// How long after its return a device has to announce what it runs, before its acknowledgement and its
/// return are taken for its word.
pub const WORD_AFTER_RETURN: Duration = Duration::from_secs(15);

/// How long a device that can't be reached is still shown as Online when it says nothing meanwhile.
pub const DOUBT: Duration = Duration::from_secs(10);

/// How many devices are remembered at most; of more than that, only those that are configured. Whoever sends
/// packets can make names up.
pub const REMEMBERED: usize = 2_000;

/// How many addresses of a device are remembered.
pub(super) const ADDRESSES_KEPT: usize = 4;

/// How stale the stored `last_seen` may be.
const LAST_SEEN_PRECISION: Duration = Duration::from_secs(300);

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

impl Dispatch {
    pub(super) fn sighted(&mut self, sighting: &Sighting, now: Timestamp) {
        // Anything on the network can have an address record or a web server; only what says that it is an
        // ESPHome device becomes known by it.
        let news = announces_esphome(sighting) && self.heard.len() < REMEMBERED;
        if !news && !self.is_known_name(&sighting.name) {
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

    fn is_known_name(&self, name: &str) -> bool {
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

    /// What a device says once it is captured is what it ran before: all of it, as long as it can't have the
    /// whole image, and after that another hash than that of the image. So it needn't have spoken before it was
    /// captured.
    fn note_previous_hash(&mut self, id: UpdateId, sighting: &Sighting) {
        let Some(said) = sighting.config_hash.filter(|_| is_fresh(sighting)) else { return };
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

    /// Takes over what a sighting says of a device. Returns whether the device was not thought alive.
    fn remember(&mut self, sighting: &Sighting, now: Timestamp) -> bool {
        self.touch(&sighting.name);
        let heard = self.heard.entry(sighting.name.clone()).or_default();
        if sighting.kind == SightingKind::Gone && !self.connected {
            heard.expired = true;
            return false;
        }
        if sighting.kind == SightingKind::Gone {
            // Records that run out do so long after the device went.
            let end = if is_fresh(sighting) { Some(now) } else { heard.memory.last_seen };
            self.note_asleep(&sighting.name, end.unwrap_or(now));
            let heard = self.heard.entry(sighting.name.clone()).or_default();
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
                self.decision.memories.entry(sighting.name.clone()).or_insert(old);
            }
            return false;
        }
        self.note_awake(&sighting.name, now);
        let heard = self.heard.entry(sighting.name.clone()).or_default();
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
            self.decision.memories.entry(sighting.name.clone()).or_insert(old);
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
        self.decision.touched.extend(rows);
        self.decision.touched.insert(DeviceId::discovered(name));
    }

    /// What a device that is to confirm its update has said.
    fn confirm(&mut self, id: UpdateId, sighting: &Sighting, now: Timestamp) {
        let Some(update) = self.updates.get(&id) else { return };
        let UpdateState::Confirming { delivery, acknowledgement, since, .. } = &update.state else {
            return;
        };
        let (delivery, acknowledgement, passed) =
            (delivery.clone(), *acknowledgement, now.since(*since));
        let settled = match acknowledgement {
            Acknowledgement::Final => passed >= SETTLE_AFTER_ACKNOWLEDGEMENT,
            Acknowledgement::Unknown => passed >= SETTLE_AFTER_CUT,
        };
        // A cache can still hold what the device said before it was flashed.
        let fresh = is_fresh(sighting);
        match (word(&delivery.build, sighting), acknowledgement) {
            (Word::Wanted, _)
                if update.new_hash().is_some() || (fresh && update.telling_hash().is_some()) =>
            {
                self.installed(id, InstalledHow::Confirmed, now);
            }
            (Word::Wanted, Acknowledgement::Final) if settled && fresh => {
                self.installed(id, InstalledHow::Returned, now);
            }
            (Word::Other, Acknowledgement::Final) if settled && fresh => {
                self.fail(id, rolled_back(&delivery.build, sighting), true, now);
            }
            (Word::Other, Acknowledgement::Unknown) if settled && fresh => {
                self.wait(
                    id,
                    delivery,
                    None,
                    now,
                    "The device still runs its old firmware: the image had not arrived.",
                );
            }
            (Word::Silent | Word::Wanted, _) if settled && fresh => self.is_back(id, now),
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

    /// A device answered, without saying anything about itself.
    pub(super) fn alive(&mut self, name: &str, now: Timestamp) {
        self.touch(name);
        self.heard.entry(name.to_owned()).or_default();
        self.note_awake(name, now);
        let heard = self.heard.entry(name.to_owned()).or_default();
        heard.liveness = Liveness::Alive;
        heard.doubted_since = None;
        heard.expired = false;
        heard.memory.last_seen = Some(now);
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
                self.fail(id, problem, false, now);
            }
        }
    }

    /// Whether the device can be expected to announce which of the two builds it runs.
    fn will_tell(&self, update: &Update, build: &Build) -> bool {
        let announces = self.memory(&update.name).is_some_and(|memory| memory.announces_hash);
        build.mdns && update.telling_hash().is_some() && announces
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
        for heard in self.heard.values_mut() {
            // The clock was set back: the doubt begins now.
            heard.doubted_since = heard.doubted_since.map(|since| since.min(now));
        }
        let gone: Vec<String> = self
            .heard
            .iter()
            .filter(|(_, heard)| heard.doubt_ends_at().is_some_and(|end| end <= now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            let end = self.heard.get(&name).and_then(|heard| heard.doubted_since);
            self.note_asleep(&name, end.unwrap_or(now));
            if let Some(heard) = self.heard.get_mut(&name) {
                heard.liveness = Liveness::Gone;
                heard.doubted_since = None;
            }
            self.touch(&name);
        }
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
                "Installed: the device already runs this build, nothing was sent."
            }
        };
        let build = delivery.build.clone();
        let name = build.name.clone();
        let (device, former) = (update.device.clone(), update.name.clone());
        let watch = rollback_watch(how, &delivery);
        if self.go(id, UpdateState::Installed { delivery, at: now, how, watch }, now, text) {
            self.move_memory(&device, &former, &name);
            let sources = Self::installed_sources(&build);
            let memory = self.change_memory(&name);
            note_installed(memory, &build, sources, watch);
            (memory.deep_sleep, memory.sleep_plan) = (build.deep_sleep, build.sleep_plan);
            memory.config_hash = build.config_hash;
            if let Some(hash) = build.config_hash {
                memory.note_hash(hash);
            }
            memory.version = build.esphome_version.or(memory.version.take());
            self.notify_about(id, crate::view::NotificationKind::Installed, text);
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
        Source::Packet | Source::Answer => true,
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

pub(super) fn rolled_back(build: &Build, sighting: &Sighting) -> Problem {
    let seen =
        sighting.config_hash.map_or_else(|| "no config hash".to_owned(), |hash| hash.to_string());
    let wanted = build.config_hash.map_or_else(|| "none".to_owned(), |hash| hash.to_string());
    Problem::new(
        "update.rolled_back",
        format!("Rolled back: the device took the new firmware ({wanted}) and came back with another one ({seen})."),
    )
    .with_help(
        "Firmware before ESPHome 2026.8 goes back when the device sleeps before the new one has run for a minute. \
         Keep it awake for a minute once, then Retry.",
    )
}

impl Update {
    /// Whether a device of this name is meant: by the name at the request, or by that of the build.
    #[must_use]
    pub fn is_for(&self, name: &str) -> bool {
        self.name == name
            || self.state.delivery().is_some_and(|delivery| delivery.build.name == name)
    }
}
