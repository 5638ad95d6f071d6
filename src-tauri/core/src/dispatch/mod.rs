//! The queue's state machine. [`Dispatch::handle`] takes what happened and the time, changes the state, and
//! returns what has to be stored and then done. It does nothing itself.
//!
//! The caller commits [`Decision::updates`] and [`Decision::memories`] before it carries out
//! [`Decision::effects`]; when the commit fails it calls [`Dispatch::undo`] and carries out nothing. What
//! does not come again by itself (the end of a build or a flash) it must then hand in again, in order.

mod building;
mod bulk;
mod confirming;
mod continuity;
mod credentials;
mod flashing;
mod identity;
mod inout;
mod names;
mod network;
mod online;
mod other_tools;
mod requests;
mod rollback;
mod rows;
mod slots;
mod targets;
#[cfg(test)]
mod tests;
mod wakes;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::device::{ConfigFile, DeviceId, DeviceMemory};
use crate::error::Problem;
use crate::schedule::{Schedule, SleepPlan, Wake};
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::update::{
    Build, Delivery, Note, PasswordChoice, StateKind, Update, UpdateId, UpdateState,
};
use crate::view::{Notification, Refusal};

pub use confirming::{SETTLE_AFTER_ACKNOWLEDGEMENT, SETTLE_AFTER_CUT, WORD_AFTER_RETURN};
pub use inout::{Builder, Effect, FlashOutcome, Input, Origin};
pub use network::{DOUBT, REMEMBERED};
pub use other_tools::queued_in_device_builder;
pub use slots::HELD_LONG;
pub use targets::KNOCK_PERIOD;
pub use wakes::FAST;

/// A transition that the table doesn't have; it was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("update {update}: no transition from {from:?} to {to:?}")]
pub struct IllegalTransition {
    /// Of which update.
    pub update: UpdateId,
    /// Its state.
    pub from: StateKind,
    /// The refused state.
    pub to: StateKind,
}

/// What one input leads to.
#[derive(Debug, Default)]
pub struct Decision {
    /// The updates to store, with what they were before (`None`: new).
    pub updates: BTreeMap<UpdateId, Option<Update>>,
    /// The names of the devices whose memory is to be stored, with what it was before.
    pub memories: BTreeMap<String, DeviceMemory>,
    /// The settings before, when they are to be stored.
    pub settings: Option<Settings>,
    /// The wakes before of the devices whose wakes are to be stored.
    pub wakes: BTreeMap<String, Vec<Wake>>,
    /// Names whose memory and wakes are to be deleted, before others are stored: a device was renamed.
    pub forgotten: BTreeSet<String>,
    /// The rows that may look different now.
    pub touched: BTreeSet<DeviceId>,
    /// What to do after the commit.
    pub effects: Vec<Effect>,
    /// Transitions that were refused: defects, for the log.
    pub refused: Vec<IllegalTransition>,
    /// The update that a request started.
    pub started: Option<UpdateId>,
    /// The devices that a request for many could not be met for.
    pub refusals: Vec<Refusal>,
    /// The configurations before, when the settings named another directory.
    configs: Option<BTreeMap<DeviceId, ConfigFile>>,
    /// [`Dispatch::former_names`] before.
    former_names: Option<BTreeMap<DeviceId, String>>,
    /// What was known under names that devices don't go by any more.
    moved: Vec<names::Moved>,
    /// The places of flashes that are over.
    slots: BTreeMap<UpdateId, slots::Slot>,
}

impl Decision {
    /// Whether anything must be stored.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        !self.updates.is_empty()
            || !self.memories.is_empty()
            || !self.wakes.is_empty()
            || self.settings.is_some()
    }

    /// Whether devices go by other names after it. What comes later must be stored later.
    #[must_use]
    pub fn renames(&self) -> bool {
        !self.moved.is_empty() || !self.forgotten.is_empty()
    }

    /// Makes one decision of this one and the next, to be stored together or taken back together. Not for
    /// one that [renames](Self::renames), unless it is the last.
    pub fn join(&mut self, next: Self) {
        // What was before both is what the first one found.
        for (id, before) in next.updates {
            self.updates.entry(id).or_insert(before);
        }
        for (name, before) in next.memories {
            self.memories.entry(name).or_insert(before);
        }
        for (name, before) in next.wakes {
            self.wakes.entry(name).or_insert(before);
        }
        for (id, before) in next.slots {
            self.slots.entry(id).or_insert(before);
        }
        self.settings = self.settings.take().or(next.settings);
        self.configs = self.configs.take().or(next.configs);
        self.former_names = self.former_names.take().or(next.former_names);
        self.forgotten.extend(next.forgotten);
        self.touched.extend(next.touched);
        self.effects.extend(next.effects);
        self.refused.extend(next.refused);
        self.started = next.started.or(self.started);
        self.refusals.extend(next.refusals);
        self.moved.extend(next.moved);
    }
}

/// Whether a device has been heard of since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Liveness {
    #[default]
    Unheard,
    Alive,
    Gone,
}

/// A device as the network knows it, by its name.
#[derive(Clone, Debug, Default)]
struct Heard {
    memory: DeviceMemory,
    /// `last_seen` as it was stored last; it moves with every packet and isn't worth a write each time.
    stored_last_seen: Option<Timestamp>,
    liveness: Liveness,
    /// Since when it can't be reached and has said nothing.
    doubted_since: Option<Timestamp>,
    /// Its records ran out while there was no network.
    expired: bool,
    /// The wakes that were seen, oldest first.
    wakes: Vec<Wake>,
    /// The present wake could not be stored: the next evidence begins it.
    wake_lost: bool,
    /// What they say.
    learned: Schedule,
    /// The next wake, and whether it is late, as they were when it was last looked.
    outlook: (Option<Timestamp>, bool),
}

impl Heard {
    fn doubt_ends_at(&self) -> Option<Timestamp> {
        self.doubted_since.map(|since| since + network::DOUBT)
    }
}

/// The state of everything that is decided on.
#[derive(Debug)]
pub struct Dispatch {
    settings: Settings,
    updates: BTreeMap<UpdateId, Update>,
    configs: BTreeMap<DeviceId, ConfigFile>,
    /// The names of the devices that go by another one than their configurations say.
    former_names: BTreeMap<DeviceId, String>,
    /// Whether the config directory of the settings has been read.
    configs_read: bool,
    heard: BTreeMap<String, Heard>,
    next_id: u32,
    /// `None`: it is being looked for.
    builder: Option<Builder>,
    /// Until then it is too early to say that a remembered device is gone; `None` after that.
    first_look_until: Option<Timestamp>,
    /// The devices that are held, and those that images are being sent to.
    slots: BTreeMap<UpdateId, slots::Slot>,
    /// The names of the devices whose configurations use deep sleep, and what they say about it.
    sleepers: BTreeSet<String>,
    plans: BTreeMap<String, SleepPlan>,
    /// Whether there is a network.
    connected: bool,
    /// When something happened last.
    last_input_at: Timestamp,
    /// Since when wakes can't have been missed for want of listening.
    listening_since: Timestamp,
    /// When it was last looked whose wake is due.
    looked_at: Timestamp,
    decision: Decision,
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
        let mut heard: BTreeMap<String, Heard> = BTreeMap::new();
        for (name, memory) in memories {
            let stored_last_seen = memory.last_seen;
            heard.insert(name, Heard { memory, stored_last_seen, ..Heard::default() });
        }
        for (name, wakes) in wakes {
            let heard = heard.entry(name).or_default();
            heard.learned = Schedule::learn(&wakes);
            heard.wakes = wakes;
        }
        // A number that is given twice would put one update in the place of another.
        let after_loaded =
            updates.iter().map(|update| update.id.0.saturating_add(1)).max().unwrap_or(0);
        Self {
            settings,
            updates: updates.into_iter().map(|update| (update.id, update)).collect(),
            configs: BTreeMap::new(),
            former_names: BTreeMap::new(),
            configs_read: false,
            heard,
            next_id: next_id.max(after_loaded),
            builder: None,
            first_look_until: Some(now + Self::FIRST_LOOK),
            slots: BTreeMap::new(),
            sleepers: BTreeSet::new(),
            plans: BTreeMap::new(),
            connected: true,
            last_input_at: now,
            listening_since: now,
            looked_at: now,
            decision: Decision::default(),
        }
    }

    /// Takes what happened and decides.
    ///
    /// # Errors
    /// A user's request that can't be met; nothing has changed then.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Result<Decision, Problem> {
        self.decision = Decision::default();
        self.follow_time(&input, now);
        match input {
            Input::Install(device) => self.install(&device, now)?,
            Input::Cancel(device) => self.cancel(&device, now)?,
            Input::Retry(device) => self.retry(&device, now)?,
            Input::Rebuild(device) => self.rebuild(&device, now)?,
            Input::FlashAnyway(device) => self.flash_anyway(&device, now)?,
            Input::Dismiss(device) => self.dismiss(&device)?,
            Input::InstallMany(devices) => self.install_many(&devices, now),
            Input::CancelMany(devices) => self.cancel_many(&devices, now),
            Input::SetAddress { device, address } => {
                self.set_address(&device, address.as_deref())?;
            }
            Input::ImageReady { update, wire_size } => self.image_ready(update, wire_size),
            Input::Settings(settings) => self.change_settings(settings)?,
            Input::Configs(files) => self.take_configs(files),
            Input::SourcesChecked { update, changes } => self.sources_checked(update, changes, now),
            Input::Builder(builder) => self.take_builder(builder),
            Input::BuildEnded { update, result } => self.build_ended(update, result, now),
            Input::Sighted(sighting) => self.sighted(&sighting, now),
            Input::Connected { update, peer } => self.connected(update, peer, now),
            Input::Returned { update, peer } => self.returned(update, peer, now),
            Input::Unreachable { update } => self.unreachable(update, now),
            Input::Silent { name } => self.silent(&name),
            Input::ImageLost { update, problem } => self.image_lost(update, problem, now),
            Input::Captured { update } => self.captured(update, now),
            Input::HandshakeEnded { update, encrypted } => {
                self.handshake_ended(update, encrypted, now);
            }
            Input::AboutToComplete(update) => self.about_to_complete(update, now)?,
            Input::FlashEnded { update, outcome } => self.flash_ended(update, outcome, now),
            Input::Network { connected } => self.network_changed(connected, now),
            Input::Recover => self.recover(now),
            Input::Tick => self.tick(now),
        }
        self.fill_build_slots(now);
        self.fill_transfer_slots(now);
        self.touch_the_queued();
        Ok(core::mem::take(&mut self.decision))
    }

    /// Takes back what a decision changed, when it could not be stored.
    pub fn undo(&mut self, decision: Decision) {
        for effect in &decision.effects {
            if let Effect::GrantTransfer(id) = effect {
                self.take_back_grant(*id);
            }
        }
        self.slots.extend(decision.slots);
        for (id, before) in decision.updates {
            match before {
                Some(update) => drop(self.updates.insert(id, update)),
                None => drop(self.updates.remove(&id)),
            }
        }
        for moved in decision.moved.into_iter().rev() {
            self.move_back(moved);
        }
        for (name, before) in decision.memories {
            if let Some(heard) = self.heard.get_mut(&name) {
                heard.memory = before;
                // It is unclear what is stored; the next sighting is.
                heard.stored_last_seen = None;
            }
        }
        for (name, before) in decision.wakes {
            if let Some(heard) = self.heard.get_mut(&name) {
                heard.learned = Schedule::learn(&before);
                let begun = before.last().map(|wake| wake.number)
                    != heard.wakes.last().map(|wake| wake.number);
                heard.wake_lost |= begun;
                heard.wakes = before;
            }
        }
        if let Some(before) = decision.settings {
            self.settings = before;
        }
        if let Some(before) = decision.configs {
            self.configs = before;
        }
        if let Some(before) = decision.former_names {
            self.former_names = before;
        }
        self.take_plans();
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

    /// What is remembered about a device.
    #[must_use]
    pub fn memory(&self, name: &str) -> Option<&DeviceMemory> {
        self.heard.get(name).map(|heard| &heard.memory)
    }

    /// The active update of a device.
    #[must_use]
    pub fn active(&self, device: &DeviceId) -> Option<&Update> {
        self.updates
            .values()
            .rev()
            .find(|update| update.device == *device && !update.state.kind().is_final())
    }

    fn active_ids(&self) -> Vec<UpdateId> {
        self.updates
            .values()
            .filter(|update| !update.state.kind().is_final())
            .map(|update| update.id)
            .collect()
    }

    fn count(&self, kind: StateKind) -> usize {
        self.updates.values().filter(|update| update.state.kind() == kind).count()
    }

    /// The update to change; what it was before is kept for the commit.
    fn change(&mut self, id: UpdateId) -> Option<&mut Update> {
        let update = self.updates.get_mut(&id)?;
        self.decision.updates.entry(id).or_insert_with(|| Some(update.clone()));
        self.decision.touched.insert(update.device.clone());
        // Without a configuration, it depends on the update which of the two rows the device has.
        self.decision.touched.insert(DeviceId::discovered(&update.name));
        Some(update)
    }

    /// Moves an update to another state, if the table allows it, and writes it into its timeline.
    fn go(&mut self, id: UpdateId, to: UpdateState, now: Timestamp, note: impl Into<Note>) -> bool {
        let Some(from) = self.updates.get(&id).map(|update| update.state.kind()) else {
            return false;
        };
        if !from.may_become(to.kind()) {
            self.decision.refused.push(IllegalTransition { update: id, from, to: to.kind() });
            return false;
        }
        if let Some(update) = self.change(id) {
            update.become_state(to);
            update.note(now, note);
        }
        true
    }

    /// The memory of a device to change; what it was before is kept for the commit.
    fn change_memory(&mut self, name: &str) -> &mut DeviceMemory {
        self.touch(name);
        let heard = self.heard.entry(name.to_owned()).or_default();
        self.decision.memories.entry(name.to_owned()).or_insert_with(|| heard.memory.clone());
        &mut heard.memory
    }

    fn delivery(build: Build) -> Delivery {
        Delivery {
            build,
            tracking: crate::update::SourceTracking::Tracked,
            password: PasswordChoice::OfBuild,
            attempts: 0,
            device_errors: 0,
            repeated_blindly: false,
            last_attempt: None,
            warning: None,
            encrypted: None,
            avoided: Vec::new(),
        }
    }

    fn notify(&mut self, notification: Notification) {
        if notification.kind.is_wanted(self.settings.notify) {
            self.decision.effects.push(Effect::Notify(notification));
        }
    }
}
