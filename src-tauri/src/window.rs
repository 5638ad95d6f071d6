//! window
use tauri::AppHandle;
use wakeflash_core::error::Problem;
/// c
pub fn close(_: &AppHandle) -> Result<(), Problem> {
    Ok(())
}
