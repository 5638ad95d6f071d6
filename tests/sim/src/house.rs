//! What the simulated world says to the application, and what it gets back: the only way between the two. Everything
//! that knows the application's types is in here.

mod application;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use wakeflash_core::build_failure::BuildFailure;
use wakeflash_core::configuration::ConfigFile;
use wakeflash_core::device::{DeviceId, DeviceMemory, MacAddress, Sighting};
use wakeflash_core::dispatch::{Builder, FlashOutcome, WriteSet};
use wakeflash_core::error::Problem;
use wakeflash_core::gate::Expectation;
use wakeflash_core::identity::Proof;
use wakeflash_core::knock::Target;
use wakeflash_core::schedule::Wake;
use wakeflash_core::settings::{Settings, SettingsChange};
use wakeflash_core::update::{Build, Delivery, Sha256, SourceChange, SourceFile, Update, UpdateId};
use wakeflash_core::view::Notification;

pub(crate) use application::House;

/// What the user asks for.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Install(DeviceId),
    Cancel(DeviceId),
    UndoCancel(DeviceId),
    Retry(DeviceId),
    Rebuild(DeviceId),
    FlashAnyway(DeviceId),
    Dismiss(DeviceId),
    InstallMany(Vec<DeviceId>),
    CancelMany(Vec<DeviceId>),
    SetAddress(DeviceId, Option<String>),
    /// The board with this MAC address and this network hardware.
    AcceptBoard(DeviceId, MacAddress, Option<MacAddress>),
    InstallPrevious(DeviceId),
    /// Some of the settings.
    Change(Change),
    /// Everything that is shown; nothing is stored for it.
    List,
}

/// A change of the settings, on top of what they are when it arrives.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Paused(bool),
    Policy(wakeflash_core::settings::ChangedSources),
    Limits { builds: u8, flashes: u8 },
    Directory(String),
}

impl Change {
    fn as_settings(&self) -> SettingsChange {
        let fields = match self {
            Self::Paused(paused) => json!({ "paused": paused }),
            Self::Policy(policy) => json!({ "changedSources": policy }),
            Self::Limits { builds, flashes } => {
                json!({ "maxBuilds": builds, "maxFlashes": flashes })
            }
            Self::Directory(dir) => json!({ "configDir": dir }),
        };
        #[expect(clippy::expect_used, reason = "a defect of the simulation, not of what it tries")]
        serde_json::from_value(fields).expect("these are settings")
    }
}

/// Why an image can't be had.
#[derive(Clone, Debug)]
pub(crate) enum ImageTrouble {
    /// It is gone, or isn't what it was.
    Lost,
    /// It can't be read now.
    Unreadable,
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Asked {
        id: u32,
        request: Request,
    },
    /// A config directory was read; `Err`: it can't be.
    Read {
        dir: String,
        files: Result<Vec<ConfigFile>, Problem>,
    },
    Builder(Builder),
    BuildEnded {
        update: UpdateId,
        result: Result<(Build, Vec<SourceChange>), BuildFailure>,
    },
    Prepared {
        update: UpdateId,
        image: Sha256,
        result: Result<u32, ImageTrouble>,
    },
    /// `None`: the sources can't be compared, because the directory isn't there.
    SourcesChecked {
        update: UpdateId,
        image: Sha256,
        dir: String,
        changes: Option<Vec<SourceChange>>,
    },
    /// The gate has opened.
    Proven {
        update: UpdateId,
        proof: Proof,
    },
    Captured {
        update: UpdateId,
    },
    AboutToComplete {
        update: UpdateId,
        encrypted: bool,
    },
    FlashEnded {
        update: UpdateId,
        outcome: FlashOutcome,
    },
    /// A claim of the network.
    Heard(Sighting),
    Silent {
        name: String,
    },
    /// Whether the API of a device is closed while its OTA port is open.
    LookedAtApi {
        name: String,
        peer: IpAddr,
        refused: Option<bool>,
    },
    Connected {
        update: UpdateId,
        peer: IpAddr,
    },
    Returned {
        update: UpdateId,
        peer: IpAddr,
    },
    /// Who was flashed greets a client there.
    ServesAgain {
        update: UpdateId,
        peer: IpAddr,
    },
    Unreachable {
        update: UpdateId,
    },
    Network {
        connected: bool,
    },
    /// The commit that was asked for is on the disk, or isn't.
    Stored(Result<(), String>),
    /// Time has passed.
    Due,
}

/// What a flash needs to know.
#[derive(Clone, Debug)]
pub(crate) struct FlashJob {
    pub(crate) update: UpdateId,
    pub(crate) peer: IpAddr,
    pub(crate) dir: Option<String>,
    pub(crate) delivery: Delivery,
    pub(crate) expectation: Expectation,
    /// How long the device is usually awake.
    pub(crate) window: Option<Duration>,
    /// The password to use.
    pub(crate) password: Option<String>,
    /// The key of the connection, when no other device is known to have it.
    pub(crate) own_key: Option<String>,
}

/// What is on the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) updates: BTreeMap<UpdateId, Update>,
    pub(crate) memories: BTreeMap<String, DeviceMemory>,
    pub(crate) wakes: BTreeMap<String, BTreeMap<u32, Wake>>,
    pub(crate) settings: Settings,
}

impl Stored {
    /// Writes a commit as a whole.
    pub(crate) fn apply(&mut self, writes: &WriteSet) {
        for update in &writes.updates {
            self.updates.insert(update.id, update.clone());
        }
        for name in &writes.forgotten {
            self.memories.remove(name);
            self.wakes.remove(name);
        }
        for (name, memory) in &writes.memories {
            self.memories.insert(name.clone(), memory.clone());
        }
        for (name, wakes) in &writes.wakes {
            let of_device = self.wakes.entry(name.clone()).or_default();
            of_device.extend(wakes.iter().map(|wake| (wake.number, *wake)));
        }
        if let Some(settings) = &writes.settings {
            self.settings = settings.clone();
        }
    }
}

/// What the application wants done.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Write this, and say so.
    Store(WriteSet),
    Answer {
        id: u32,
        result: Result<Option<UpdateId>, Problem>,
    },
    Notify(Notification),
    /// What the status says about the store.
    StoreTrouble(Option<Problem>),
    StartBuild {
        update: UpdateId,
        device: DeviceId,
        dir: Option<String>,
    },
    StopBuild(UpdateId),
    StartFlash(Box<FlashJob>),
    StopFlash(UpdateId),
    Grant(UpdateId),
    /// That the image may be complete is stored, or couldn't be.
    Recorded {
        update: UpdateId,
        stored: bool,
    },
    DropConnection(UpdateId),
    Compare {
        update: UpdateId,
        image: Sha256,
        device: DeviceId,
        dir: String,
        sources: Vec<SourceFile>,
    },
    Prepare {
        update: UpdateId,
        image: Sha256,
    },
    /// All other images can go.
    Keep(BTreeSet<Sha256>),
    Targets(Vec<Target>),
    Nudge(String),
    /// Ask these addresses who they are.
    Ask {
        name: String,
        addresses: Vec<IpAddr>,
    },
    /// See whether a device refuses its API.
    LookAtApi {
        name: String,
        peer: IpAddr,
    },
    /// Follow this config directory, and no other one any more.
    Follow(Option<String>),
    FindBuilder,
}
