//! Commands that come as data: from the headless host's input, and from the window's process.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use wakeflash_core::error::Problem;
use wakeflash_core::view::Command;

use crate::handle::Handle;

/// Does what a command says; the answer as JSON, as docs/API.md lists it. [`Command::Shutdown`] is the caller's
/// affair, and does nothing here.
///
/// # Errors
/// As the engine says.
pub async fn execute(handle: &Handle, command: Command) -> Result<Box<RawValue>, Problem> {
    match command {
        Command::Install { device } => json(&handle.install(device).await?),
        Command::Cancel { device } => json(&handle.cancel(device).await?),
        Command::Retry { device } => json(&handle.retry(device).await?),
        Command::RetryWithPassword { device, password } => {
            json(&handle.retry_with_password(device, password).await?)
        }
        Command::Rebuild { device } => json(&handle.rebuild(device).await?),
        Command::FlashAnyway { device } => json(&handle.flash_anyway(device).await?),
        Command::Dismiss { device } => json(&handle.dismiss(device).await?),
        Command::ChooseConfig { device } => json(&handle.choose_config(device).await?),
        Command::InstallMany { devices } => json(&handle.install_many(devices).await?),
        Command::CancelMany { devices } => json(&handle.cancel_many(devices).await?),
        Command::Plan { devices } => json(&handle.plan(devices).await?),
        Command::History { device } => json(&handle.history(device).await?),
        Command::Activity { before, limit } => json(&handle.activity(before, limit).await?),
        Command::UndoCancel { devices } => json(&handle.undo_cancel(devices).await?),
        Command::SetAddress { device, address } => {
            json(&handle.set_address(device, address).await?)
        }
        Command::AcceptBoard { device } => json(&handle.accept_board(device).await?),
        Command::SetPaused { paused } => json(&handle.set_paused(paused).await?),
        Command::BuildLog { update } => json(&handle.build_log(update).await?),
        Command::Report => json(&handle.report().await?),
        Command::List => json(&handle.snapshot().await?.devices),
        Command::Snapshot => json(&handle.snapshot().await?),
        Command::Details { device } => json(&handle.details(device).await?),
        Command::Wakes { device } => json(&handle.wakes(device).await?),
        Command::SetSettings { settings } => json(&handle.set_settings(settings).await?),
        Command::ConfigDirCandidates => json(&handle.config_dir_candidates().await?),
        Command::FindEsphome => json(&handle.find_esphome().await?),
        Command::SetWatching { on } => json(&handle.set_watching(on).await?),
        Command::InstallEsphome => json(&handle.install_esphome().await?),
        Command::Shutdown => json(&()),
    }
}

/// An answer as JSON.
///
/// # Errors
/// It can't be written as JSON.
pub fn json(answer: &impl Serialize) -> Result<Box<RawValue>, Problem> {
    to_raw_value(answer).map_err(|error| {
        Problem::new("engine.defect", format!("The reply can't be written: {error}."))
    })
}
