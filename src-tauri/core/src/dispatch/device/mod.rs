//! What is known of each device, by its name on the network.

mod asked;
mod bounds;
pub(super) mod identity;
mod logs;
pub(super) mod names;
mod presence;
mod remembered;
mod safe_mode;
mod schedule;
pub(super) mod sighted;
mod sleepers;
mod wakes;

pub use bounds::REMEMBERED;
pub use presence::DOUBT;
pub use schedule::FAST;

use crate::device::{ConfigHash, DeviceId, DeviceMemory};
use crate::schedule::{Schedule, Wake};
use crate::time::Timestamp;

use super::Dispatch;

/// Whether a device has been heard of since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Liveness {
    #[default]
    Unheard,
    Alive,
    Gone,
}

/// A device as the network knows it, by its name.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownDevice {
    pub(super) memory: DeviceMemory,
    /// `last_seen` as it was stored last; it moves with every packet and isn't worth a write each time.
    pub(super) stored_last_seen: Option<Timestamp>,
    /// When what is claimed was stored last.
    pub(super) stored_claims: Option<Timestamp>,
    /// When something that was heard was stored last.
    pub(super) stored_heard: Option<Timestamp>,
    /// Something that was heard since has yet to be stored.
    pub(super) unstored: bool,
    /// From which number on its wakes have yet to be stored.
    pub(super) unstored_wakes: Option<u32>,
    /// When it was asked last, because others spoke of it.
    pub(super) asked_at: Option<Timestamp>,
    /// What it has said itself that it runs, in this wake.
    pub(super) said: Option<ConfigHash>,
    pub(super) liveness: Liveness,
    /// Since when it can't be reached and has said nothing.
    pub(super) doubted_since: Option<Timestamp>,
    /// Whether it is in safe mode.
    pub(super) safe_mode: safe_mode::SafeMode,
    /// Its records ran out while there was no network.
    pub(super) expired: bool,
    /// The wakes that were seen, oldest first.
    pub(super) wakes: Vec<Wake>,
    /// What they say.
    pub(super) learned: Schedule,
    /// The next wake, and whether it is late, as they were when it was last looked.
    pub(super) outlook: (Option<Timestamp>, bool),
}

impl KnownDevice {
    pub(super) fn doubt_ends_at(&self) -> Option<Timestamp> {
        self.doubted_since.map(|since| since + DOUBT)
    }
}

impl Dispatch {
    /// What is remembered about a device.
    #[must_use]
    pub fn memory(&self, name: &str) -> Option<&DeviceMemory> {
        self.devices.get(name).map(|heard| &heard.memory)
    }

    /// The memory of a device to change, and to store.
    pub(super) fn change_memory(&mut self, name: &str) -> &mut DeviceMemory {
        self.touch(name);
        self.decision.memories.insert(name.to_owned());
        &mut self.devices.entry(name).memory
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
}
