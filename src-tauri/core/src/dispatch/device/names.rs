//! Under which name the device of a configuration is on the network.
//!
//! That is the name in the file. When that is changed, the device goes by its old name until it runs firmware
//! with the new one; so what is remembered of a device says which configuration it is of, and moves to the new
//! name together with the device.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use crate::configuration::ConfigFile;
use crate::configuration::is_suffixed;
use crate::device::{ConfiguredBy, DeviceId, DeviceMemory, MacAddress, Sighting};
use crate::dispatch::{Dispatch, Effect};
use crate::mdns::announces_esphome;
use crate::retry::TRANSFERS_AN_HOUR;
use crate::schedule::{Schedule, Wake};
use crate::update::{StateKind, Update};

use super::{KnownDevice, Liveness};

/// How many devices are asked at once who they are, when the configurations were read: names are easily made up.
const ASKED_AT_ONCE: usize = 8;

impl Dispatch {
    /// The name that the device of a configuration goes by. A broken one doesn't say: then it is that of
    /// its last update, or else the file's stem.
    pub(in crate::dispatch) fn name_of<'a>(&'a self, file: &'a ConfigFile) -> &'a str {
        let file_name = file.id.as_str();
        let stem = || file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
        match (self.former_names.get(&file.id), &file.content) {
            (Some(name), _) => name,
            (None, Ok(summary)) => &summary.name,
            (None, Err(_)) => self.last(&file.id).map_or_else(stem, |update| &update.name),
        }
    }

    /// The name that the device of a row goes by.
    pub(in crate::dispatch) fn known_name(&self, device: &DeviceId) -> Option<String> {
        if let Some(file) = self.configs.get(device) {
            return Some(self.name_of(file).to_owned());
        }
        let of_update = self.active(device).map(|update| update.name.as_str());
        let heard = |name: &&str| self.devices.contains_key(*name);
        of_update.or_else(|| device.discovered_name().filter(heard)).map(str::to_owned)
    }

    /// The names that the devices of the configurations go by, as far as that is known.
    pub(in crate::dispatch) fn known_names(&self) -> BTreeMap<DeviceId, String> {
        let known = self
            .configs
            .values()
            .filter(|file| file.content.is_ok() || self.former_names.contains_key(&file.id));
        known.map(|file| (file.id.clone(), self.name_of(file).to_owned())).collect()
    }

    /// Finds out which devices go by another name than their configurations say, after those were read.
    /// `before` is [`Self::known_names`] of before.
    pub(in crate::dispatch) fn trace_names(&mut self, before: &BTreeMap<DeviceId, String>) {
        let claims = self.claims();
        let configured: BTreeSet<&str> =
            self.configs.values().filter_map(|file| configured_name(file)).collect();
        let mut former: BTreeMap<DeviceId, String> = BTreeMap::new();
        let mut owners: BTreeMap<&str, u32> = BTreeMap::new();
        for file in self.configs.values() {
            let recorded = || {
                let summary = file.content.as_ref().ok()?;
                // The last compile says nothing about a device that shows itself under the new name.
                let seen = self.memory(&summary.name).is_some_and(|m| m.last_seen.is_some());
                summary.compiled_name.as_ref().filter(|_| !seen)
            };
            let candidate = claims.get(&file.id).or_else(|| before.get(&file.id)).or_else(recorded);
            let Some(name) = candidate else { continue };
            let of_another = self.memory(name).is_some_and(|memory| {
                memory.configured_by.as_ref().is_some_and(|by| *by != self.here(&file.id))
            });
            if !configured.contains(name.as_str()) && !of_another {
                *owners.entry(name).or_default() += 1;
                former.insert(file.id.clone(), name.clone());
            }
        }
        former.retain(|_, name| owners.get(name.as_str()) == Some(&1));
        self.former_names =
            former.iter().map(|(file, name)| (file.clone(), name.clone())).collect();
        self.note_owners();
        for (file, name) in former {
            self.settle_name(&file, &name);
        }
        self.adopt_heard();
    }

    /// Writes down which configuration the device of each name has.
    fn note_owners(&mut self) {
        let mut names: BTreeMap<String, Vec<DeviceId>> = BTreeMap::new();
        for file in self.configs.values() {
            let renamed = self.former_names.contains_key(&file.id);
            let name = self.name_of(file);
            if renamed || (file.content.is_ok() && self.devices.contains_key(name)) {
                names.entry(name.to_owned()).or_default().push(file.id.clone());
            }
        }
        for (name, files) in names {
            let [file] = files.as_slice() else { continue };
            let here = self.here(file);
            if self.memory(&name).and_then(|memory| memory.configured_by.as_ref()) != Some(&here) {
                self.change_memory(&name).configured_by = Some(here);
            }
        }
    }

    /// The same for a device whose memory is stored now, because it was heard.
    pub(super) fn note_owner(&mut self, name: &str) {
        if self.memory(name).is_none_or(|memory| memory.configured_by.is_some()) {
            return;
        }
        let mut files = self.configs.values().filter(|file| self.name_of(file) == name);
        let (Some(only), None) = (files.next(), files.next()) else { return };
        let owner = only.content.is_ok().then(|| self.here(&only.id));
        if let Some(heard) = self.devices.get_mut(name) {
            heard.memory.configured_by = owner;
        }
    }

    pub(in crate::dispatch) fn here(&self, file: &DeviceId) -> ConfiguredBy {
        ConfiguredBy { directory: self.settings.config_dir.clone(), file: file.clone() }
    }

    pub(in crate::dispatch) fn claims(&self) -> BTreeMap<DeviceId, String> {
        let claims = self.devices.iter().filter_map(|(name, heard)| {
            let by = heard.memory.configured_by.as_ref()?;
            (by.directory == self.settings.config_dir).then(|| (by.file.clone(), name.clone()))
        });
        claims.collect()
    }

    /// Whether a device of this name can be the one of a configuration that makes the end of the MAC address part of
    /// it, which doesn't know its device yet.
    fn is_of_suffix(&self, file: &ConfigFile, name: &str) -> bool {
        let summary = file.content.as_ref().ok();
        let suffixed = summary
            .filter(|summary| summary.validated.as_ref().is_some_and(|word| word.mac_suffix));
        suffixed.is_some_and(|summary| {
            is_suffixed(&summary.name, name) && self.name_of(file) == summary.name
        })
    }

    /// The configurations and updates whose device may turn out to be the one of this name.
    fn may_be_of(&self, name: &str) -> BTreeSet<DeviceId> {
        let files = self.configs.values().filter(|file| self.is_of_suffix(file, name));
        let waiting = self.updates.values().filter(|update| update.is_suffixed_as(name));
        let waiting = waiting.filter(|update| !update.state.kind().is_final());
        let files = files.map(|file| file.id.clone());
        files.chain(waiting.map(|update| update.device.clone())).collect()
    }

    /// Whether the device of this name may turn out to be one that is configured: then it is asked who it is.
    pub(super) fn is_candidate(&self, name: &str) -> bool {
        // Most names have no such end.
        name.rsplit_once('-').is_some_and(|(base, _)| is_suffixed(base, name))
            && !self.may_be_of(name).is_empty()
    }

    /// A device whose name ends with a part of its MAC address has proven who it is: then it is the one of a
    /// configuration that wants it so, and that has none yet.
    pub(super) fn adopt(&mut self, name: &str) {
        let Some((_, digits)) = name.rsplit_once('-') else { return };
        let fits = |mac: MacAddress| mac.ends_with(digits);
        let proven = self.memory(name).is_some_and(|memory| {
            memory.identity.is_proven() && memory.identity.mac().is_none_or(fits)
        });
        let mut files = self.may_be_of(name);
        let (true, Some(file), 0) = (proven, files.pop_first(), files.len()) else { return };
        let configured = self.configs.get(&file).map(|file| self.name_of(file));
        let base = configured.or_else(|| Some(self.active(&file)?.name.as_str()));
        let Some(base) = base.filter(|base| is_suffixed(base, name)).map(str::to_owned) else {
            return;
        };
        // Another one has taken its place, under the base name alone.
        if self.memory(&base).and_then(DeviceMemory::mac).is_some_and(|mac| !fits(mac)) {
            return;
        }
        self.move_memory(&file, &base, name);
        if let Some(id) = self.active(&file).map(|update| update.id)
            && let Some(update) = self.change(id)
        {
            update.state.rename_device(name);
        }
    }

    /// The same for devices that had proven it before their configuration was known.
    fn adopt_heard(&mut self) {
        let heard = self.devices.keys().filter(|name| self.is_candidate(name));
        let mut asked = 0;
        for name in heard.cloned().collect::<Vec<_>>() {
            self.adopt(&name);
            let claims = self.memory(&name).filter(|memory| !memory.identity.is_proven());
            let mut addresses: Vec<IpAddr> =
                claims.map(|memory| memory.claims.addresses.clone()).unwrap_or_default();
            addresses.retain(|address| self.may_reach(&name, *address));
            if !addresses.is_empty() && asked < ASKED_AT_ONCE {
                // While nobody knew what it is, nobody asked.
                asked += 1;
                self.decision.effects.push(Effect::Ask { name, addresses });
            }
        }
    }

    /// A device whose configuration was renamed may prove itself under its new name.
    pub(super) fn follow_names(&mut self, sighting: &Sighting) {
        if self.former_names.is_empty() || !announces_esphome(sighting) {
            return;
        }
        let renamed = self.former_names.iter().find(|(file, _)| {
            self.configs.get(file).and_then(configured_name) == Some(sighting.name.as_str())
        });
        if let Some((file, former)) = renamed.map(|(file, name)| (file.clone(), name.clone())) {
            self.settle_name(&file, &former);
        }
    }

    /// When a device is there under the name that the configuration says: it is the renamed one, or, as long as
    /// no update is under way, the one that is meant.
    fn settle_name(&mut self, file: &DeviceId, former: &str) {
        let Some(name) = self.configs.get(file).and_then(configured_name).map(str::to_owned) else {
            return;
        };
        let Some(heard) = self.devices.get(&name) else { return };
        // A packet alone moves nothing.
        if heard.liveness != Liveness::Alive || !heard.memory.identity.is_proven() {
            return;
        }
        let mac = self.memory(former).and_then(DeviceMemory::mac);
        let same = mac.is_some() && mac == heard.memory.mac();
        let state = self.active_here(file).map(|update| update.state.kind());
        let undecided = state.is_some_and(StateKind::occupies_the_device);
        if same && !undecided {
            self.move_memory(file, former, &name);
        } else if state.is_none() {
            let here = self.here(file);
            self.change_memory(former).configured_by = None;
            self.change_memory(&name).configured_by = Some(here);
            self.former_names.remove(file);
            self.take_plans();
        }
    }

    /// The device of a configuration goes by another name from now on: what is known of it does, too.
    pub(in crate::dispatch) fn move_memory(&mut self, file: &DeviceId, from: &str, to: &str) {
        if from == to || !self.is_only_of(file, from) || !self.is_only_of(file, to) {
            return;
        }
        self.touch(from);
        self.touch(to);
        let (old, new) = (self.devices.remove(from), self.devices.remove(to));
        self.decision.forgotten.extend([from.to_owned(), to.to_owned()]);
        self.decision.memories.insert(to.to_owned());
        self.decision.wakes.insert(to.to_owned(), 0);
        let mut both = brought_together(old, new);
        both.memory.configured_by = Some(self.here(file));
        self.devices.insert(to.to_owned(), both);
        if self.configs.get(file).and_then(configured_name) == Some(to) {
            self.former_names.remove(file);
        } else if self.configs.contains_key(file) {
            self.former_names.insert(file.clone(), to.to_owned());
        }
        self.take_plans();
        if let Some(id) = self.active_here(file).filter(|u| u.name == from).map(|u| u.id)
            && let Some(update) = self.change(id)
        {
            to.clone_into(&mut update.name);
        }
    }

    /// Whether no other configuration and no other update is about a device of this name.
    fn is_only_of(&self, file: &DeviceId, name: &str) -> bool {
        let configs = self.configs.values().filter(|other| other.id != *file);
        let mut named = configs
            .map(|other| self.name_of(other) == name || configured_name(other) == Some(name));
        let mut updates = self.updates.values().filter(|update| update.device != *file);
        !named.any(|named| named)
            && !updates.any(|update| !update.state.kind().is_final() && update.is_for(name))
    }

    /// What is remembered about the device of an update.
    #[must_use]
    pub fn memory_of(&self, update: &Update) -> Option<&DeviceMemory> {
        let build = update.state.delivery().map(|delivery| delivery.build.name.as_str());
        self.memory(&update.name).or_else(|| self.memory(build?))
    }
}

impl Update {
    /// Whether both are for the same file of the same directory.
    pub(in crate::dispatch) fn is_of_the_file_of(&self, other: &Self) -> bool {
        self.device == other.device && self.directory == other.directory
    }

    /// Whether a device of this name can be the one that is meant, whose name is to end with a part of its MAC address.
    pub(in crate::dispatch) fn is_suffixed_as(&self, name: &str) -> bool {
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

pub(in crate::dispatch) fn configured_name(file: &ConfigFile) -> Option<&str> {
    file.content.as_ref().ok().map(|summary| summary.name.as_str())
}

/// What is known of one device that had two names; what the new name says is newer.
fn brought_together(old: Option<KnownDevice>, new: Option<KnownDevice>) -> KnownDevice {
    let (old, mut both) = (old.unwrap_or_default(), new.unwrap_or_default());
    let was = old.memory;
    let is = &mut both.memory;
    is.last_seen = is.last_seen.max(was.last_seen);
    if is.identity.build().is_none() {
        is.announces_hash = was.announces_hash;
    }
    is.identity = core::mem::take(&mut is.identity).brought_together(was.identity);
    is.claims.mac = is.claims.mac.or(was.claims.mac);
    is.rival = is.rival.take().or(was.rival);
    for hash in core::mem::replace(&mut is.hashes, was.hashes) {
        is.note_hash(hash);
    }
    is.friendly_name = is.friendly_name.take().or(was.friendly_name);
    is.platform = is.platform.take().or(was.platform);
    is.deep_sleep |= was.deep_sleep;
    is.sleep_plan = is.sleep_plan.or(was.sleep_plan);
    is.overdue_told = is.overdue_told.max(was.overdue_told);
    is.user_address = is.user_address.take().or(was.user_address);
    is.labels.extend(was.labels);
    is.chosen = is.chosen.take().or(was.chosen);
    if is.installed_sources.is_none() {
        is.installed_sources = was.installed_sources;
        is.installed_password = was.installed_password;
        is.installed_encryption = was.installed_encryption;
    }
    is.transfers.extend(was.transfers);
    is.transfers.sort_unstable();
    is.transfers.drain(..is.transfers.len().saturating_sub(TRANSFERS_AN_HOUR));
    if both.liveness == Liveness::Unheard {
        both.liveness = old.liveness;
        both.doubted_since = old.doubted_since;
        both.expired = old.expired;
    }
    both.wakes = in_a_row(old.wakes, both.wakes);
    both.learned = Schedule::learn(&both.wakes);
    // It is stored with the next sighting, whatever is stored now.
    both.stored_last_seen = None;
    both
}

/// The wakes under the old name and those under the new one, with numbers that go on.
fn in_a_row(mut old: Vec<Wake>, new: Vec<Wake>) -> Vec<Wake> {
    for wake in new {
        let number = old.last().map_or(0, |last| last.number.wrapping_add(1));
        old.push(Wake { number, ..wake });
    }
    old.drain(..old.len().saturating_sub(Schedule::WAKES_KEPT));
    old
}
