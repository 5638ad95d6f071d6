//! Stands in for the engine until its runtime is merged: nothing is listed, and nothing can be done.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::broadcast;
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::settings::Settings;
use wakeflash_core::update::UpdateId;
use wakeflash_core::view::{
    ConfigDirCandidate, ConfigDirStatus, Counts, Envelope, EsphomeStatus, Snapshot, Status,
    UpdateDetails,
};
use wakeflash_engine::handle::Shell;

/// Where the engine keeps and finds its things.
pub struct EngineOptions {
    /// The state directory.
    pub state_dir: PathBuf,
    /// The config directory to use instead of the chosen one.
    pub config_dir: Option<PathBuf>,
    /// The ESPHome to use instead of the chosen one.
    pub esphome: Option<PathBuf>,
}

/// The running engine.
pub struct Engine {
    /// How to speak to it.
    pub handle: Handle,
}

impl Engine {
    /// Ends it.
    #[allow(clippy::unused_async)]
    pub async fn shutdown(self) {}
}

/// Why the engine didn't start.
#[derive(Debug)]
pub struct StartError(Problem);

impl StartError {
    /// In a user's words.
    pub fn problem(&self) -> Problem {
        self.0.clone()
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for StartError {}

/// Starts the engine.
#[allow(clippy::unused_async)]
pub async fn start(options: EngineOptions, _shell: Arc<dyn Shell>) -> anyhow::Result<Engine> {
    if options.state_dir.join("in-use").exists() {
        let problem = Problem::new("store.in_use", "Another copy of Wakeflash uses this data.");
        return Err(StartError(problem).into());
    }
    let (events, _) = broadcast::channel(16);
    Ok(Engine { handle: Handle { events } })
}

/// How to speak to the engine.
#[derive(Clone)]
pub struct Handle {
    events: broadcast::Sender<Envelope>,
}

#[allow(clippy::unused_async, missing_docs)]
impl Handle {
    pub fn subscribe(&self) -> broadcast::Receiver<Envelope> {
        self.events.subscribe()
    }
    pub async fn install(&self, _device: DeviceId) -> Result<UpdateId, Problem> {
        Err(nothing())
    }
    pub async fn cancel(&self, _device: DeviceId) -> Result<(), Problem> {
        Err(nothing())
    }
    pub async fn retry(&self, _device: DeviceId) -> Result<UpdateId, Problem> {
        Err(nothing())
    }
    pub async fn rebuild(&self, _device: DeviceId) -> Result<(), Problem> {
        Err(nothing())
    }
    pub async fn flash_anyway(&self, _device: DeviceId) -> Result<(), Problem> {
        Err(nothing())
    }
    pub async fn snapshot(&self) -> Result<Snapshot, Problem> {
        let problem = Problem::new("esphome.missing", "ESPHome isn't installed on this computer.");
        Ok(Snapshot {
            revision: 0,
            devices: Vec::new(),
            status: Status {
                config_dir: ConfigDirStatus::Unset,
                esphome: EsphomeStatus::Missing { problem },
                store: None,
                network: None,
                counts: Counts::default(),
            },
            settings: Settings::default(),
        })
    }
    pub async fn details(&self, _device: DeviceId) -> Result<UpdateDetails, Problem> {
        Err(nothing())
    }
    pub async fn set_settings(&self, _settings: Settings) -> Result<(), Problem> {
        Ok(())
    }
    pub async fn config_dir_candidates(&self) -> Result<Vec<ConfigDirCandidate>, Problem> {
        Ok(Vec::new())
    }
    pub async fn find_esphome(&self) -> Result<(), Problem> {
        Ok(())
    }
    pub async fn install_esphome(&self) -> Result<(), Problem> {
        Err(nothing())
    }
}

fn nothing() -> Problem {
    Problem::new("device.unknown", "There is no such device.")
}
