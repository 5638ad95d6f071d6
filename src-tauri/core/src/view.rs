//! What a person or a program sees: the types that the window and the headless host both get.
//!
//! A client asks for one [`Snapshot`], then applies [`Envelope`]s whose revision follows on it; when one is
//! missing, it asks again.

mod bulk;
mod changes;
mod group;
mod history;
mod identity;
mod image;
mod log;
mod notification;
mod place;
mod previous;
mod status;
mod store;
mod validation;
mod version;
mod wakes;

use serde::{Deserialize, Serialize};

use crate::device::{ConfigHash, DeviceId, MacAddress, Presence};
use crate::error::Problem;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::update::{AttemptReport, InstalledHow, SourceChange, TimelineEntry, UpdateId};

pub use bulk::{InstallPlan, Refusal};
pub use changes::{DiffLine, DiffLineKind, FileDiff, Hunk, SourceDiff, Unshown};
pub use group::Group;
pub use history::{ActivityCursor, ActivityPage, ActivityRecord, UpdateRecord};
pub use identity::{RivalView, Trust};
pub use image::BuiltImage;
pub use log::{DeviceLog, DeviceLogState, LogRecording, RecordingEnd};
pub use notification::{Installation, Notification, NotificationKind};
pub use place::{Away, Place};
pub use previous::PreviousBuild;
pub use status::{ConfigDirStatus, Counts, EsphomeStatus, Status};
pub use store::{StoreBackup, StoreChoice, StoreDamage};
pub use validation::Validation;
pub use version::is_older;
pub use wakes::{WakeRecord, WakeView};

/// Everything there is to see, at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The revision of the last event that is contained.
    pub revision: u32,
    /// The devices, by id.
    pub devices: Vec<DeviceView>,
    /// The state of the application itself.
    pub status: Status,
    /// The user's choices.
    pub settings: Settings,
}

/// A change with its place in the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// One more than that of the event before.
    pub revision: u32,
    /// What changed.
    pub event: Event,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A device is new or different.
    Device {
        /// As it is now.
        device: Box<DeviceView>,
    },
    /// A device is no longer listed.
    DeviceRemoved {
        /// Which.
        id: DeviceId,
    },
    /// The state of the application changed.
    Status {
        /// As it is now.
        status: Box<Status>,
    },
    /// The user's choices changed.
    Settings {
        /// As they are now.
        settings: Settings,
    },
    /// A build or a transfer went on. At most a few a second per update.
    Progress {
        /// Of which device.
        device: DeviceId,
        /// Of which update.
        update: UpdateId,
        /// How far.
        progress: Progress,
    },
    /// The build said something.
    BuildOutput {
        /// Of which device.
        device: DeviceId,
        /// Of which update.
        update: UpdateId,
        /// The number of the first of these lines, counted from 0.
        first_line: u32,
        /// The lines, with ANSI colours as ESPHome writes them.
        lines: Vec<String>,
    },
}

/// How far a build or a transfer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// 0 to 100; `None`: it goes on, and nobody knows how far.
    pub percent: Option<u8>,
    /// What is being done, in a few words.
    pub step: String,
}

/// A row of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct DeviceView {
    /// Its identifier, for commands.
    pub id: DeviceId,
    /// `esphome: name:`, or the mDNS name.
    pub name: String,
    /// `esphome: friendly_name:`.
    pub friendly_name: Option<String>,
    /// `esphome: area:`: the name of the room.
    pub area: Option<String>,
    /// What the user calls it together with others.
    pub labels: Vec<String>,
    /// The YAML file's name; `None`: discovered on the network only.
    pub file: Option<String>,
    /// Why its configuration can't be read.
    pub problem: Option<Problem>,
    pub platform: Option<String>,
    /// It was found in safe mode, and has not said since that it runs its firmware.
    pub crash_loop: Option<Problem>,
    /// Whether it is there.
    pub presence: Presence,
    /// The last evidence of life.
    pub last_seen: Option<Timestamp>,
    /// Where it was reached, newest first; or what its configuration says.
    pub addresses: Vec<String>,
    /// Its MAC address.
    pub mac: Option<MacAddress>,
    /// Whether it is known to be who it says.
    pub trust: Trust,
    /// Another board that claims its name: the user knows which one it is.
    pub rival: Option<RivalView>,
    /// Its last build, or the one that waits, has an encryption key.
    pub has_key: bool,
    /// The ESPHome version of the firmware that runs.
    pub deployed_version: Option<String>,
    /// The config hash of the firmware that runs.
    pub deployed_hash: Option<ConfigHash>,
    /// Known to use deep sleep.
    pub deep_sleep: bool,
    /// When it wakes. `None`: nothing is known about that, or it doesn't sleep.
    pub wake: Option<WakeView>,
    /// Its sources differ from what runs on it.
    pub modified: bool,
    /// The ESPHome that is here builds something newer than what runs, or the sources are modified.
    pub update_available: bool,
    /// Where the user said that it is: an IP address or a name.
    pub user_address: Option<String>,
    /// The build that it can go back to.
    pub previous_build: Option<PreviousBuild>,
    /// Its log is to be recorded at its next wake.
    pub records_log: bool,
    /// Its active update, or else its last one.
    pub update: Option<UpdateView>,
    /// What its button does.
    pub primary: Action,
    /// What else can be done.
    pub secondary: Vec<Action>,
}

/// Something that can be done with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Build and flash.
    Install,
    /// End the update.
    Cancel,
    /// Start the update that failed once more.
    Retry,
    /// The same, after its build files were cleaned.
    CleanAndRetry,
    /// The same, after its build files were deleted: cleaning them didn't help.
    ResetAndRetry,
    /// Build a held update again.
    Rebuild,
    /// Flash a held update as it was built.
    FlashAnyway,
    /// Put an update that failed aside.
    Dismiss,
    /// Nothing can be done: it has no configuration.
    None,
}

/// An update as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct UpdateView {
    pub id: UpdateId,
    /// When the user asked for it.
    pub requested_at: Timestamp,
    /// Where it stands.
    pub state: UpdateStateView,
    /// How far the build or the transfer is, in the states that have progress.
    pub progress: Option<Progress>,
    /// Attempts that opened a connection.
    pub attempts: u32,
    /// The last attempt, when it failed.
    pub last_attempt: Option<AttemptReport>,
    /// So many transfers began and broke off that the next one begins then at the earliest.
    pub rests_until: Option<Timestamp>,
    /// Why the device may not take it, or what keeps the update from it.
    pub warning: Option<Problem>,
    /// Whether the firmware travelled encrypted; `None`: it was not sent yet.
    pub encrypted: Option<bool>,
    /// The hash of what is to be installed.
    pub wanted_hash: Option<ConfigHash>,
    /// The ESPHome that built it.
    pub wanted_version: Option<String>,
}

/// Where an update stands, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum UpdateStateView {
    /// Waits for a build slot.
    Queued {
        /// How many builds come before it.
        ahead: u32,
        /// Its last build failed, and it is built again by itself.
        again: Option<BuildAgainView>,
    },
    /// ESPHome is compiling.
    Building {
        /// Since when.
        since: Timestamp,
    },
    /// Waits for the device to wake, or to be reachable.
    Waiting {
        /// Since when.
        since: Timestamp,
        /// An attempt of unknown outcome came before: the device may run it.
        may_have_arrived: bool,
    },
    /// The sources changed; the user decides.
    Held {
        /// What changed.
        changes: Vec<SourceChange>,
        /// As for one that waits.
        may_have_arrived: bool,
    },
    /// Connected to the device.
    Flashing {
        /// Since when.
        since: Timestamp,
        /// The device's address.
        address: String,
    },
    /// The device's word is awaited.
    Confirming {
        /// Since when.
        since: Timestamp,
        /// Whether the device acknowledged the end of the update.
        acknowledged: bool,
    },
    /// The device runs it.
    Installed {
        /// When it was known.
        at: Timestamp,
        /// How it was known.
        how: InstalledHow,
        /// Whether it is still watched that the device doesn't go back to its old firmware.
        watched: bool,
    },
    /// It ended without success.
    Failed {
        /// When.
        at: Timestamp,
        /// Why, and what to do.
        problem: Problem,
        /// The device went back to its old firmware.
        rolled_back: bool,
        /// The device may have taken the image all the same.
        may_have_arrived: bool,
    },
    /// The user ended it.
    Cancelled {
        /// When.
        at: Timestamp,
        /// The whole image may have been sent before.
        may_have_arrived: bool,
    },
    /// A newer update took its place.
    Superseded {
        /// When.
        at: Timestamp,
    },
}

/// A build that failed and is made again, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct BuildAgainView {
    /// How many failed in a row.
    pub failures: u32,
    /// Why the last one did.
    pub problem: Problem,
    /// When it is tried again at the latest; `None`: as soon as it is its turn.
    pub at: Option<Timestamp>,
}

/// An update in all detail, for the drawer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct UpdateDetails {
    pub update: UpdateView,
    /// What happened so far, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// The build log so far.
    pub log: BuildLog,
}

/// A build log, or its end when it is long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct BuildLog {
    /// The number of the first of these lines, counted from 0.
    pub first_line: u32,
    /// The lines, with ANSI colours.
    pub lines: Vec<String>,
    /// The log file.
    pub path: Option<String>,
}

/// A directory that may be the config directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct ConfigDirCandidate {
    /// Where it is.
    pub path: String,
    /// How many YAML files lie in it.
    pub devices: u32,
}
