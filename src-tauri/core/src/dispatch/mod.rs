//! The queue's state machine. A [`Decision`] is made on a state, from what happened and the time: the next state, what has
//! to be stored before that is true, and what has to be done then. It does nothing itself.
//!
//! The caller stores [`Decision::writes`]; then [`Decision::stored`] is the state, and it carries out
//! [`Decision::effects`]. When that can't be stored it drops the decision, and nothing has happened.

mod breaks;
mod configurations;
mod credentials;
mod decision;
mod device;
mod directory;
mod effect;
mod esphome;
mod input;
mod knock_targets;
mod links;
mod many_devices;
mod notifications;
mod other_tools;
mod requests;
mod rollback;
mod rows;
mod shared_map;
#[cfg(test)]
mod tests;
mod time;
mod transfer_limits;
mod transfer_slots;
mod update;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::build_failure::Lack;
use crate::configuration::ConfigFile;
use crate::device::{DeviceId, DeviceMemory};
use crate::error::Problem;
use crate::network::Prefix;
use crate::schedule::{Schedule, SleepPlan, Wake};
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::update::{Update, UpdateId};
use decision::Draft;
use device::KnownDevice;
use shared_map::SharedMap;

pub use decision::{Answer, Decision, WriteSet};
pub use device::{DOUBT, FAST, REMEMBERED};
pub use effect::Effect;
pub use input::{Builder, FlashOutcome, Input};
pub use knock_targets::KNOCK_PERIOD;
pub use other_tools::queued_in_device_builder;
pub use transfer_slots::HELD_LONG;
pub use update::{
    IllegalTransition, SETTLE_AFTER_ACKNOWLEDGEMENT, SETTLE_AFTER_CUT, UNDO, WORD_AFTER_RETURN,
};

/// The state of everything that is decided on. A copy costs nothing: what it has in common with the original is shared.
#[derive(Clone, Debug)]
pub struct Dispatch {
    settings: Arc<Settings>,
    updates: SharedMap<UpdateId, Update>,
    configs: SharedMap<DeviceId, ConfigFile>,
    /// The names of the devices that go by another one than their configurations say.
    former_names: SharedMap<DeviceId, String>,
    directory: directory::Directory,
    devices: SharedMap<String, KnownDevice>,
    next_id: u32,
    /// `None`: it is being looked for.
    builder: Option<Builder>,
    search: esphome::EsphomeSearch,
    /// Until then it is too early to say that a remembered device is gone; `None` after that.
    first_look_until: Option<Timestamp>,
    /// The devices that are held, and those that images are being sent to.
    slots: SharedMap<UpdateId, transfer_slots::TransferSlot>,
    /// Updates whose outcome isn't known, and whose devices have greeted a client since: they have nothing left to
    /// commit.
    serving: SharedMap<UpdateId, ()>,
    /// What was cancelled a moment ago, as it was before.
    undo: SharedMap<UpdateId, update::cancelled::Undo>,
    /// The names of the devices whose configurations use deep sleep, and what they say about it.
    sleepers: Arc<BTreeSet<String>>,
    plans: Arc<BTreeMap<String, SleepPlan>>,
    /// Whether there is a network.
    connected: bool,
    /// The networks that this computer is in.
    links: Vec<Prefix>,
    /// How many builds come before that of each update that is queued.
    builds_ahead: Arc<BTreeMap<UpdateId, u32>>,
    /// When something happened last.
    last_input_at: Timestamp,
    /// Since when wakes can't have been missed for want of listening.
    listening_since: Timestamp,
    /// When it was last looked whose wake is due.
    looked_at: Timestamp,
    /// What was decided since the state was stored.
    decision: Draft,
}

impl Dispatch {
    /// How long after the start a remembered device counts as Unknown rather than gone.
    pub const FIRST_LOOK: Duration = Duration::from_secs(10);

    /// Starts from what was stored; `wakes` oldest first, by the device's name. `next_id` is greater than that of every update that ever was.
    #[must_use]
    pub fn new(
        settings: Settings,
        updates: Vec<Update>,
        memories: BTreeMap<String, DeviceMemory>,
        wakes: BTreeMap<String, Vec<Wake>>,
        next_id: u32,
        now: Timestamp,
    ) -> Self {
        let mut devices: SharedMap<String, KnownDevice> = SharedMap::default();
        for (name, memory) in memories {
            let stored_last_seen = memory.last_seen;
            devices
                .insert(name, KnownDevice { memory, stored_last_seen, ..KnownDevice::default() });
        }
        for (name, wakes) in wakes {
            let device = devices.entry(&name);
            device.learned = Schedule::learn(&wakes);
            device.wakes = wakes;
        }
        // A number that is given twice would put one update in the place of another.
        let after_loaded =
            updates.iter().map(|update| update.id.0.saturating_add(1)).max().unwrap_or(0);
        let mut loaded = Self {
            settings: Arc::new(settings),
            updates: updates.into_iter().map(|update| (update.id, update)).collect(),
            configs: SharedMap::default(),
            former_names: SharedMap::default(),
            directory: directory::Directory::Unread,
            devices,
            next_id: next_id.max(after_loaded),
            builder: None,
            search: esphome::EsphomeSearch::default(),
            first_look_until: Some(now + Self::FIRST_LOOK),
            slots: SharedMap::default(),
            serving: SharedMap::default(),
            undo: SharedMap::default(),
            sleepers: Arc::default(),
            plans: Arc::default(),
            connected: true,
            links: Vec::new(),
            builds_ahead: Arc::default(),
            last_input_at: now,
            listening_since: now,
            looked_at: now,
            decision: Draft::default(),
        };
        loaded.builds_ahead = loaded.build_order();
        loaded
    }

    /// Changes this copy of the state to what follows from an input. When it refuses a request, the copy is of no use.
    fn handle(&mut self, input: Input, now: Timestamp) -> Result<(), Problem> {
        self.follow_time(&input, now);
        match input {
            Input::Install(device) => self.install(&device, now)?,
            Input::Cancel(device) => self.cancel(&device, now)?,
            Input::UndoCancel(devices) => self.undo_cancels(&devices, now),
            Input::Retry(device) => self.retry(&device, now)?,
            Input::RetryWithPassword { device, password } => {
                self.retry_with_password(&device, password, now)?;
            }
            Input::RetryClean(device) => self.retry_clean(&device, now)?,
            Input::Rebuild(device) => self.rebuild(&device, now)?,
            Input::InstallPrevious(device) => self.install_previous(&device, now)?,
            Input::FlashAnyway(device) => self.flash_anyway(&device, now)?,
            Input::Dismiss(device) => self.dismiss(&device)?,
            Input::ChooseConfig(device) => self.choose_config(&device)?,
            Input::InstallMany(devices) => self.install_many(&devices, now),
            Input::CancelMany(devices) => self.cancel_many(&devices, now),
            Input::SetAddress { device, address } => {
                self.set_address(&device, address.as_deref())?;
            }
            Input::SetLabel { devices, label, on } => self.set_label(&devices, &label, on)?,
            Input::RecordLog { device, on } => self.record_log(&device, on, now)?,
            Input::LogRecorded { name } => self.log_recorded(&name),
            Input::ImageReady { update, wire_size } => self.image_ready(update, wire_size),
            Input::Settings(settings) => self.change_settings(settings)?,
            Input::ChangeSettings(change) => self.change_some_settings(change)?,
            Input::Configs(files) => self.take_configs(files),
            Input::DirectoryGone(problem) => self.directory_gone(problem),
            Input::SourcesChecked { update, changes } => self.sources_checked(update, changes, now),
            Input::Builder(builder) => self.take_builder(builder, now),
            Input::DiskFreed => self.is_back_for_builds(Lack::Disk),
            Input::BuildEnded { update, result } => self.build_ended(update, result, now),
            Input::Sighted(sighting) => self.sighted(&sighting, now),
            Input::Proven { update, proof } => self.proven(update, proof, now),
            Input::Links(links) => self.take_links(links),
            Input::AcceptBoard { device, mac, link_address } => {
                self.accept_board(&device, (mac, link_address), now)?;
            }
            Input::Connected { update, peer } => self.connected(update, peer, now),
            Input::Returned { update, peer } => self.returned(update, peer, now),
            Input::ServesAgain { update, peer } => self.serves_again(update, peer),
            Input::Unreachable { update } => self.unreachable(update, now),
            Input::Stranger { name, peer } => self.met_stranger(&name, peer, now),
            Input::Silent { name } => self.silent(&name),
            Input::LookedAtApi { name, peer, refused } => {
                self.looked_at_api(&name, (peer, refused), now);
            }
            Input::ImageLost { update, problem } => self.image_lost(update, problem, now),
            Input::Captured { update } => self.captured(update, now),
            Input::AboutToComplete { update, encrypted } => {
                self.about_to_complete(update, encrypted, now)?;
            }
            Input::FlashEnded { update, outcome } => self.flash_ended(update, outcome, now),
            Input::Network { connected } => self.network_changed(connected, now),
            Input::Recover => self.recover(now),
            Input::Tick => self.tick(now),
        }
        self.fill_build_slots(now);
        self.fill_transfer_slots(now);
        Ok(())
    }

    /// The user's choices.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// An update.
    #[must_use]
    pub fn update(&self, id: UpdateId) -> Option<&Update> {
        self.updates.get(&id)
    }

    /// Every update that is known here: the active ones and the last one of each device.
    pub fn updates(&self) -> impl Iterator<Item = &Update> {
        self.updates.values()
    }
}
