//! The queue's state machine. A [`Decision`] is made on a state, from what happened and the time: the next state, what has
//! to be stored before that is true, and what has to be done then. It does nothing itself.
//!
//! The caller stores [`Decision::writes`]; then [`Decision::stored`] is the state, and it carries out
//! [`Decision::effects`]. When that can't be stored it drops the decision, and nothing has happened.

mod bounds;
mod build_again;
mod building;
mod bulk;
mod claims;
mod confirming;
mod continuity;
mod credentials;
mod decision;
mod directory;
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
mod table;
mod targets;
#[cfg(test)]
mod tests;
mod transfers;
mod undo;
mod wakes;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::build_failure::Lack;
use crate::device::{ConfigFile, ConfigHash, DeviceId, DeviceMemory};
use crate::error::Problem;
use crate::network::Prefix;
use crate::schedule::{Schedule, SleepPlan, Wake};
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::update::{
    Build, Cuts, Delivery, Note, PasswordChoice, StateKind, Update, UpdateId, UpdateState,
};
use crate::view::Notification;

use decision::Draft;
use table::Table;

pub use bounds::REMEMBERED;
pub use confirming::{SETTLE_AFTER_ACKNOWLEDGEMENT, SETTLE_AFTER_CUT, WORD_AFTER_RETURN};
pub use decision::{Answer, Decision, WriteSet};
pub use inout::{Builder, Effect, FlashOutcome, Input};
pub use network::DOUBT;
pub use other_tools::queued_in_device_builder;
pub use slots::HELD_LONG;
pub use targets::KNOCK_PERIOD;
pub use undo::UNDO;
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
    /// When what is claimed was stored last.
    stored_claims: Option<Timestamp>,
    /// When something that was heard was stored last.
    stored_heard: Option<Timestamp>,
    /// Something that was heard since has yet to be stored.
    unstored: bool,
    /// When it was asked last, because others spoke of it.
    asked_at: Option<Timestamp>,
    /// What it has said itself that it runs, in this wake.
    said: Option<ConfigHash>,
    liveness: Liveness,
    /// Since when it can't be reached and has said nothing.
    doubted_since: Option<Timestamp>,
    /// Its records ran out while there was no network.
    expired: bool,
    /// The wakes that were seen, oldest first.
    wakes: Vec<Wake>,
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

/// The state of everything that is decided on. A copy costs nothing: what it has in common with the original is shared.
#[derive(Clone, Debug)]
pub struct Dispatch {
    settings: Arc<Settings>,
    updates: Table<UpdateId, Update>,
    configs: Table<DeviceId, ConfigFile>,
    /// The names of the devices that go by another one than their configurations say.
    former_names: Table<DeviceId, String>,
    directory: directory::Directory,
    heard: Table<String, Heard>,
    next_id: u32,
    /// `None`: it is being looked for.
    builder: Option<Builder>,
    search: build_again::Search,
    /// Until then it is too early to say that a remembered device is gone; `None` after that.
    first_look_until: Option<Timestamp>,
    /// The devices that are held, and those that images are being sent to.
    slots: Table<UpdateId, slots::Slot>,
    /// Updates whose outcome isn't known, and whose devices have greeted a client since: they have nothing left to
    /// commit.
    serving: Table<UpdateId, ()>,
    /// What was cancelled a moment ago, as it was before.
    undo: Table<UpdateId, undo::Undo>,
    /// The names of the devices whose configurations use deep sleep, and what they say about it.
    sleepers: Arc<BTreeSet<String>>,
    plans: Arc<BTreeMap<String, SleepPlan>>,
    /// Whether there is a network.
    connected: bool,
    /// The networks that this computer is in.
    links: Vec<Prefix>,
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
        let mut heard: Table<String, Heard> = Table::default();
        for (name, memory) in memories {
            let stored_last_seen = memory.last_seen;
            heard.insert(name, Heard { memory, stored_last_seen, ..Heard::default() });
        }
        for (name, wakes) in wakes {
            let heard = heard.entry(&name);
            heard.learned = Schedule::learn(&wakes);
            heard.wakes = wakes;
        }
        // A number that is given twice would put one update in the place of another.
        let after_loaded =
            updates.iter().map(|update| update.id.0.saturating_add(1)).max().unwrap_or(0);
        Self {
            settings: Arc::new(settings),
            updates: updates.into_iter().map(|update| (update.id, update)).collect(),
            configs: Table::default(),
            former_names: Table::default(),
            directory: directory::Directory::Unread,
            heard,
            next_id: next_id.max(after_loaded),
            builder: None,
            search: build_again::Search::default(),
            first_look_until: Some(now + Self::FIRST_LOOK),
            slots: Table::default(),
            serving: Table::default(),
            undo: Table::default(),
            sleepers: Arc::default(),
            plans: Arc::default(),
            connected: true,
            links: Vec::new(),
            last_input_at: now,
            listening_since: now,
            looked_at: now,
            decision: Draft::default(),
        }
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
            Input::AcceptBoard(device) => self.accept_board(&device, now)?,
            Input::Connected { update, peer } => self.connected(update, peer, now),
            Input::Returned { update, peer } => self.returned(update, peer, now),
            Input::ServesAgain { update, peer } => self.serves_again(update, peer),
            Input::Unreachable { update } => self.unreachable(update, now),
            Input::Stranger { name, peer } => self.met_stranger(&name, peer, now),
            Input::Silent { name } => self.silent(&name),
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

    /// The update to change, and to store.
    fn change(&mut self, id: UpdateId) -> Option<&mut Update> {
        let update = self.updates.get_mut(&id)?;
        self.decision.updates.insert(id);
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

    /// The memory of a device to change, and to store.
    fn change_memory(&mut self, name: &str) -> &mut DeviceMemory {
        self.touch(name);
        self.decision.memories.insert(name.to_owned());
        &mut self.heard.entry(name).memory
    }

    fn delivery(build: Build) -> Delivery {
        Delivery {
            build,
            tracking: crate::update::SourceTracking::Tracked,
            password: PasswordChoice::OfBuild,
            attempts: 0,
            device_errors: 0,
            cuts: Cuts::default(),
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
