//! What can happen.

use core::net::IpAddr;

use crate::build_failure::BuildFailure;
use crate::configuration::ConfigFile;
use crate::device::{DeviceId, MacAddress, Sighting};
use crate::error::Problem;
use crate::identity::Proof;
use crate::network::Prefix;
use crate::settings::{Settings, SettingsChange};
use crate::update::{Build, Secret, SourceChange, UpdateId};
use wakeflash_ota::FailureClass;

/// What builds the firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Builder {
    /// ESPHome is there.
    Ready {
        /// What it says its version is.
        version: String,
    },
    /// There is none that works.
    Missing,
    /// There is none yet; it is being installed, and what is asked for waits for it.
    Coming,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The user wants a device built and flashed.
    Install(DeviceId),
    /// The user ends a device's update.
    Cancel(DeviceId),
    /// The user takes back that they ended the updates of these devices, a moment ago.
    UndoCancel(Vec<DeviceId>),
    /// The user starts a device's last update once more.
    Retry(DeviceId),
    /// The same, with the OTA password that is on the device now.
    RetryWithPassword {
        /// Which device.
        device: DeviceId,
        password: Secret,
    },
    /// The user starts a device's last update once more, with its build files cleaned before.
    RetryClean(DeviceId),
    /// The user wants a held update built again.
    Rebuild(DeviceId),
    /// Install what was installed before once more, as it was built.
    InstallPrevious(DeviceId),
    /// The user wants a held update flashed as it was built.
    FlashAnyway(DeviceId),
    /// The user has seen that an update failed, and puts it aside.
    Dismiss(DeviceId),
    /// The user says that, of several configurations which name their device so, this one is the device's.
    ChooseConfig(DeviceId),
    /// The user wants many devices built and flashed; those with an update under way are left alone.
    InstallMany(Vec<DeviceId>),
    /// The user ends the updates of many devices.
    CancelMany(Vec<DeviceId>),
    /// The user says where a device is, or no longer says it.
    SetAddress {
        /// Which device.
        device: DeviceId,
        /// What was entered.
        address: Option<String>,
    },
    /// The user gives devices a label, or takes it away.
    SetLabel {
        /// Which devices.
        devices: Vec<DeviceId>,
        label: String,
        /// Gives it.
        on: bool,
    },
    /// The user wants the log of a device's next wake recorded, or no longer.
    RecordLog {
        /// Of which device.
        device: DeviceId,
        /// They want it.
        on: bool,
    },
    /// The log of the device of this name was recorded, and is kept.
    LogRecorded { name: String },
    /// The image of a waiting update was compressed.
    ImageReady {
        /// Of which update.
        update: UpdateId,
        /// How many bytes will be sent.
        wire_size: u32,
    },
    /// The user changed the settings.
    Settings(Settings),
    /// The user changed some of the settings.
    ChangeSettings(SettingsChange),
    /// The config directory was read; this is all that is in it.
    Configs(Vec<ConfigFile>),
    /// The config directory can't be read. What was known of it stays true as far as anybody knows.
    DirectoryGone(Problem),
    /// The sources of an update were compared with what it was built from.
    SourcesChecked {
        /// Which update.
        update: UpdateId,
        /// What is different.
        changes: Vec<SourceChange>,
    },
    /// What ESPHome there is; builds wait until there is one.
    Builder(Builder),
    /// There is more room on a disk that was full.
    DiskFreed,
    /// A build ended.
    BuildEnded {
        /// Of which update.
        update: UpdateId,
        /// The build and what changed while it ran, or why there is none.
        result: Result<(Build, Vec<SourceChange>), BuildFailure>,
    },
    /// Evidence about a device from the network.
    Sighted(Sighting),
    /// The gate has opened for a flash.
    Proven {
        /// Of which update.
        update: UpdateId,
        /// What that proves.
        proof: Proof,
    },
    /// The networks that this computer is in.
    Links(Vec<Prefix>),
    /// The user says that the board which claims a device's name is the device.
    AcceptBoard {
        /// Which device.
        device: DeviceId,
        /// The MAC address that the board was shown with.
        mac: Option<MacAddress>,
        /// The address of its network hardware, where it has given no MAC address.
        link_address: Option<MacAddress>,
    },
    /// A connection to a waiting device's OTA port is open.
    Connected {
        /// For which update it was opened.
        update: UpdateId,
        /// The address that answered.
        peer: IpAddr,
    },
    /// A device whose word is awaited accepts connections where it was flashed, and doesn't say who it is.
    Returned {
        /// For which update it was tried.
        update: UpdateId,
        /// Where.
        peer: IpAddr,
    },
    /// A device whose word is awaited has greeted a client where it was flashed.
    ServesAgain {
        /// For which update it was tried.
        update: UpdateId,
        /// Where.
        peer: IpAddr,
    },
    /// Nobody answers where a device is waited for.
    Unreachable {
        /// For which update it was tried.
        update: UpdateId,
    },
    /// Something accepts connections where a device is said to be, and neither its word nor its network hardware is that
    /// device's: it gets no session.
    Stranger {
        /// The device's name.
        name: String,
        /// Where.
        peer: IpAddr,
    },
    /// A device that is shown as Online answers neither questions nor connections.
    Silent { name: String },
    /// The API of a device was looked at.
    LookedAtApi {
        name: String,
        /// Where.
        peer: IpAddr,
        /// Nobody listens at the port of its API, while its OTA port is open. `None`: neither could be reached.
        refused: Option<bool>,
    },
    /// The image of a waiting update can't be read from the artifact store, or isn't what was built.
    ImageLost {
        /// Of which update.
        update: UpdateId,
        /// What the user reads.
        problem: Problem,
    },
    /// The gate has opened for a flash, and its device is held: it can't sleep until it has its image, or
    /// until it gives up.
    Captured {
        /// Of which update.
        update: UpdateId,
    },
    /// The flasher is about to send the last bytes.
    AboutToComplete {
        /// Of which update.
        update: UpdateId,
        /// Whether the connection is encrypted.
        encrypted: bool,
    },
    /// A flash ended.
    FlashEnded {
        /// Of which update.
        update: UpdateId,
        /// How.
        outcome: FlashOutcome,
    },
    /// Whether this computer has a network.
    Network {
        /// It has one.
        connected: bool,
    },
    /// The application has started; what was going on when it ended isn't any more.
    Recover,
    /// Time has passed.
    Tick,
}

impl Input {
    /// Whether it tells what the config directory is like: the newest of these counts.
    #[must_use]
    pub const fn is_about_the_directory(&self) -> bool {
        matches!(self, Self::Configs(_) | Self::DirectoryGone(_))
    }

    /// Whether somebody asks for it. The others tell what happened, and with that, that time has passed.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        match self {
            Self::Install(_)
            | Self::Cancel(_)
            | Self::UndoCancel(_)
            | Self::Retry(_)
            | Self::RetryWithPassword { .. }
            | Self::RetryClean(_)
            | Self::Rebuild(_)
            | Self::InstallPrevious(_)
            | Self::FlashAnyway(_)
            | Self::Dismiss(_)
            | Self::ChooseConfig(_)
            | Self::InstallMany(_)
            | Self::CancelMany(_)
            | Self::SetAddress { .. }
            | Self::SetLabel { .. }
            | Self::RecordLog { .. }
            | Self::AcceptBoard { .. }
            | Self::Settings(_)
            | Self::ChangeSettings(_)
            | Self::AboutToComplete { .. } => true,
            Self::Recover
            | Self::Configs(_)
            | Self::DirectoryGone(_)
            | Self::SourcesChecked { .. }
            | Self::Builder(_)
            | Self::DiskFreed
            | Self::BuildEnded { .. }
            | Self::ImageReady { .. }
            | Self::LogRecorded { .. }
            | Self::ImageLost { .. }
            | Self::FlashEnded { .. }
            | Self::Tick
            | Self::Network { .. }
            | Self::Links(_)
            | Self::Sighted(_)
            | Self::Proven { .. }
            | Self::Connected { .. }
            | Self::Returned { .. }
            | Self::ServesAgain { .. }
            | Self::Unreachable { .. }
            | Self::Stranger { .. }
            | Self::Silent { .. }
            | Self::LookedAtApi { .. }
            | Self::Captured { .. } => false,
        }
    }
}

/// How a flash ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlashOutcome {
    /// The device acknowledged the end of the update.
    Acknowledged,
    /// The device runs the wanted build already; nothing was sent.
    AlreadyRunning,
    /// It could not be shown that the device at this address is the right one; nothing was sent.
    NotProven {
        /// Whether it was shown that it is another one.
        another_device: bool,
        /// What the user reads.
        problem: Problem,
    },
    /// The sources have changed; nothing was sent.
    SourcesChanged(Vec<SourceChange>),
    /// It failed.
    Failed {
        /// Of which kind the failure is.
        class: FailureClass,
        /// What the user reads.
        problem: Problem,
    },
}
