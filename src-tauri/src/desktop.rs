//! desktop
use crate::state::AppState;
use std::path::PathBuf;
use tauri::AppHandle;
use wakeflash_core::error::Problem;
/// c
pub async fn choose_directory(_: &AppHandle, _: String) -> Result<Option<String>, Problem> {
    Ok(None)
}
/// o
pub async fn open_path(_: &AppState, _: PathBuf) -> Result<(), Problem> {
    Ok(())
}
