//! What the window can ask for: one typed command each, handed to the engine as it is.

use serde::Serialize;
use tauri::{AppHandle, Manager, State, Wry};
use tauri_specta::{Builder, collect_commands, collect_events};
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::settings::Settings;
use wakeflash_core::update::UpdateId;
use wakeflash_core::view::{ConfigDirCandidate, Snapshot, UpdateDetails};

use crate::events::{CloseRequested, EngineEvent};
use crate::state::AppState;
use crate::{desktop, window};

/// What the window wants to know about the application around it.
#[derive(Clone, Debug, Serialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppInfo {
    /// The version of Wakeflash.
    pub(crate) version: String,
    /// Whether there is a tray icon that opens the window again.
    pub(crate) tray: bool,
    /// Where the logs are.
    pub(crate) log_dir: String,
    /// Why the engine didn't start. Every other command answers with the same problem then.
    pub(crate) start_problem: Option<Problem>,
}

/// All commands and events, as the window knows them.
#[must_use]
pub(crate) fn api() -> Builder<Wry> {
    Builder::<Wry>::new()
        .commands(collect_commands![
            install,
            cancel,
            retry,
            rebuild,
            flash_anyway,
            snapshot,
            details,
            set_settings,
            config_dir_candidates,
            find_esphome,
            install_esphome,
            choose_directory,
            open_path,
            app_info,
            close_window,
            quit,
        ])
        .events(collect_events![EngineEvent, CloseRequested])
        .dangerously_cast_bigints_to_number()
        .disable_serde_phases()
}

/// Builds and flashes a device.
#[tauri::command]
#[specta::specta]
async fn install(app: State<'_, AppState>, device: DeviceId) -> Result<UpdateId, Problem> {
    app.engine()?.install(device).await
}

/// Ends the update of a device.
#[tauri::command]
#[specta::specta]
async fn cancel(app: State<'_, AppState>, device: DeviceId) -> Result<(), Problem> {
    app.engine()?.cancel(device).await
}

/// Starts the last update of a device once more.
#[tauri::command]
#[specta::specta]
async fn retry(app: State<'_, AppState>, device: DeviceId) -> Result<UpdateId, Problem> {
    app.engine()?.retry(device).await
}

/// Builds the held update of a device again.
#[tauri::command]
#[specta::specta]
async fn rebuild(app: State<'_, AppState>, device: DeviceId) -> Result<(), Problem> {
    app.engine()?.rebuild(device).await
}

/// Flashes the held update of a device as it was built.
#[tauri::command]
#[specta::specta]
async fn flash_anyway(app: State<'_, AppState>, device: DeviceId) -> Result<(), Problem> {
    app.engine()?.flash_anyway(device).await
}

/// Everything there is to see.
#[tauri::command]
#[specta::specta]
async fn snapshot(app: State<'_, AppState>) -> Result<Snapshot, Problem> {
    app.engine()?.snapshot().await
}

/// The update of a device in detail.
#[tauri::command]
#[specta::specta]
async fn details(app: State<'_, AppState>, device: DeviceId) -> Result<UpdateDetails, Problem> {
    app.engine()?.details(device).await
}

/// Changes the settings, all of them.
#[tauri::command]
#[specta::specta]
async fn set_settings(app: State<'_, AppState>, settings: Settings) -> Result<(), Problem> {
    app.engine()?.set_settings(settings).await
}

/// Directories that may be the config directory.
#[tauri::command]
#[specta::specta]
async fn config_dir_candidates(
    app: State<'_, AppState>,
) -> Result<Vec<ConfigDirCandidate>, Problem> {
    app.engine()?.config_dir_candidates().await
}

/// Looks for ESPHome again.
#[tauri::command]
#[specta::specta]
async fn find_esphome(app: State<'_, AppState>) -> Result<(), Problem> {
    app.engine()?.find_esphome().await
}

/// Installs ESPHome into an environment of the application's own.
#[tauri::command]
#[specta::specta]
async fn install_esphome(app: State<'_, AppState>) -> Result<(), Problem> {
    app.engine()?.install_esphome().await
}

/// Lets the user choose a directory; `None`: they changed their mind.
#[tauri::command]
#[specta::specta]
async fn choose_directory(app: AppHandle, title: String) -> Result<Option<String>, Problem> {
    desktop::choose_directory(&app, title).await
}

/// Opens the log directory, the config directory, or a text file in one of them with the program that the
/// desktop has for it. Nothing else can be opened.
#[tauri::command]
#[specta::specta]
async fn open_path(app: State<'_, AppState>, path: String) -> Result<(), Problem> {
    desktop::open_path(&app, path.into()).await
}

/// The application itself.
#[tauri::command]
#[specta::specta]
async fn app_info(app: AppHandle) -> Result<AppInfo, Problem> {
    let state = app.state::<AppState>();
    Ok(AppInfo {
        version: app.package_info().version.to_string(),
        tray: state.tray_visible(),
        log_dir: state.paths.log_dir().display().to_string(),
        start_problem: state.engine().err(),
    })
}

/// Closes the window; the application goes on. The answer to [`CloseRequested`] that isn't [`quit`].
#[tauri::command]
#[specta::specta]
async fn close_window(app: AppHandle) -> Result<(), Problem> {
    window::close(&app)
}

/// Ends the application. Updates that wait go on at its next start.
#[tauri::command]
#[specta::specta]
async fn quit(app: AppHandle) -> Result<(), Problem> {
    app.exit(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use specta_typescript::Typescript;

    /// Set it to write the bindings instead of checking them.
    const UPDATE: &str = "WAKEFLASH_UPDATE_BINDINGS";

    #[test]
    fn the_bindings_of_the_window_are_up_to_date() {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../ui/src/lib/backend/generated/bindings.ts");
        let fresh = tempfile::NamedTempFile::with_suffix(".ts").unwrap();
        super::api().export(typescript(), fresh.path()).unwrap();
        let wanted = std::fs::read_to_string(fresh.path()).unwrap();
        if std::env::var_os(UPDATE).is_some() {
            std::fs::create_dir_all(committed.parent().unwrap()).unwrap();
            std::fs::write(&committed, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(&committed).unwrap_or_default();
        assert!(
            found == wanted,
            "{} is stale; write it with {UPDATE}=1 cargo test --workspace bindings",
            committed.display()
        );
    }

    fn typescript() -> Typescript {
        Typescript::default().header("/* eslint-disable */\n// @ts-nocheck\n")
    }
}
