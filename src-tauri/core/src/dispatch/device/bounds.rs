//! What strangers can fill, and what makes room: whoever sends packets can make names up.

use std::collections::BTreeSet;

use crate::device::{DeviceId, Sighting};
use crate::dispatch::Dispatch;
use crate::mdns::announces_esphome;

use super::names::configured_name;

/// How many devices are remembered at most; of more than that, only those that are configured.
pub const REMEMBERED: usize = 2_000;

/// How many make room at once for new ones: looking for the oldest costs a look at all.
const EVICTED_AT_ONCE: usize = 200;

impl Dispatch {
    /// Whether a sighting is about a device that is known, or becomes known by it. Anything on the network can have an
    /// address record or a web server; only what says that it is an ESPHome device becomes known.
    pub(super) fn admits(&mut self, sighting: &Sighting) -> bool {
        let known = self.knows(&sighting.name);
        if known || !announces_esphome(sighting) {
            return known;
        }
        if self.devices.len() >= REMEMBERED {
            self.make_room();
        }
        self.devices.len() < REMEMBERED
    }

    /// Whether a device of this name is configured, waited for, or remembered.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.devices.contains_key(name) || self.keeps(name)
    }

    /// Whether what is known of the device of this name is stored, and makes no room for others: it is configured, or
    /// has an update, or something is remembered of it that it took or that the user said. The network can't
    /// bring that about.
    pub(in crate::dispatch) fn keeps(&self, name: &str) -> bool {
        let configured = |file| self.name_of(file) == name || configured_name(file) == Some(name);
        self.configs.values().any(configured)
            || self.updates.values().any(|update| update.is_for(name))
            || self.memory(name).is_some_and(|memory| memory.is_of_use())
    }

    /// The names of all devices that are known, sorted; what is said of others is the word of strangers.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names = self.kept_names();
        names.extend(self.devices.keys().map(String::as_str));
        names.into_iter().map(str::to_owned).collect()
    }

    fn kept_names(&self) -> BTreeSet<&str> {
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        for file in self.configs.values() {
            kept.insert(self.name_of(file));
            kept.extend(configured_name(file));
        }
        for update in self.updates.values() {
            kept.insert(&update.name);
            kept.extend(update.state.delivery().map(|delivery| delivery.build.name.as_str()));
        }
        kept
    }

    /// Forgets those devices that nobody needs: first those that were never proven, and among them those that were
    /// heard of longest ago.
    fn make_room(&mut self) {
        let kept = self.kept_names();
        let mut others: Vec<_> = self
            .devices
            .iter()
            .filter(|(name, heard)| !kept.contains(name.as_str()) && !heard.memory.is_of_use())
            .map(|(name, heard)| {
                (heard.memory.identity.is_proven(), heard.memory.last_seen, name.clone())
            })
            .collect();
        others.sort_unstable();
        others.truncate(EVICTED_AT_ONCE);
        for (_, _, name) in others {
            let forgotten = self.devices.remove(&name);
            self.decision.touched.insert(DeviceId::discovered(&name));
            if forgotten.is_some_and(|heard| heard.stored_last_seen.is_some()) {
                self.decision.forgotten.insert(name);
            }
        }
    }
}
