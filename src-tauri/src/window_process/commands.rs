//! What the window's page can ask for: one typed command each, handed to the application.

use serde::Serialize;
use tauri::{AppHandle, Manager, State, Wry};
use tauri_specta::{Builder, collect_commands, collect_events};
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::settings::{Settings, SettingsChange};
use wakeflash_core::update::{Secret, UpdateId};
use wakeflash_core::view::{
    ActivityCursor, ActivityPage, BuildLog, Command, ConfigDirCandidate, InstallPlan, Refusal,
    Snapshot, StoreChoice, StoreDamage, UpdateDetails, UpdateRecord, WakeRecord,
};

use super::remote::Remote;
use super::{desktop, theme};
use crate::events::{CloseRequested, EngineEvent, OpenDevice, QuitRequested};
use crate::notify::NotificationServer;
use crate::paths::Paths;
use crate::wire::{Request, Surroundings};

/// What the window wants to know about the application around it.
#[derive(Clone, Debug, Serialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppInfo {
    /// The version of Wakeflash.
    pub(crate) version: String,
    /// Its licence, as an SPDX expression.
    pub(crate) license: String,
    /// What shows desktop notifications here.
    pub(crate) notifications: NotificationServer,
    /// Whether there is a tray icon that opens the window again.
    pub(crate) tray: bool,
    /// Whether another start of Wakeflash opens the window again.
    pub(crate) reopens: bool,
    /// This is a demo: nothing is kept when it ends.
    pub(crate) demo: bool,
    /// Where the logs are.
    pub(crate) log_dir: String,
    /// Why the engine didn't start. Every other command answers with the same problem then.
    pub(crate) start_problem: Option<Problem>,
    /// What is wrong with the database, when that is why. [`mend_store`] is the way out.
    pub(crate) damage: Option<StoreDamage>,
}

/// All commands and events, as the window knows them.
#[must_use]
pub(crate) fn api() -> Builder<Wry> {
    Builder::<Wry>::new()
        .commands(collect_commands![
            install,
            cancel,
            retry,
            retry_with_password,
            rebuild,
            flash_anyway,
            dismiss,
            install_many,
            cancel_many,
            plan,
            undo_cancel,
            history,
            activity,
            save_csv,
            wakes,
            set_address,
            accept_board,
            choose_config,
            set_paused,
            build_log,
            save_log,
            open_yaml,
            open_folder,
            report,
            snapshot,
            details,
            change_settings,
            config_dir_candidates,
            find_esphome,
            install_esphome,
            choose_directory,
            open_path,
            app_info,
            close_window,
            quit,
            stay,
            mend_store,
        ])
        .events(collect_events![EngineEvent, CloseRequested, OpenDevice, QuitRequested])
        .dangerously_cast_bigints_to_number()
        .disable_serde_phases()
}

/// Builds and flashes a device.
#[tauri::command]
#[specta::specta]
async fn install(app: State<'_, Remote>, device: DeviceId) -> Result<UpdateId, Problem> {
    app.engine(Command::Install { device }).await
}

/// Ends the update of a device.
#[tauri::command]
#[specta::specta]
async fn cancel(app: State<'_, Remote>, device: DeviceId) -> Result<(), Problem> {
    app.engine(Command::Cancel { device }).await
}

/// Starts the last update of a device once more.
#[tauri::command]
#[specta::specta]
async fn retry(app: State<'_, Remote>, device: DeviceId) -> Result<UpdateId, Problem> {
    app.engine(Command::Retry { device }).await
}

/// Starts the last update of a device once more, with the OTA password that is on the device now.
#[tauri::command]
#[specta::specta]
async fn retry_with_password(
    app: State<'_, Remote>,
    device: DeviceId,
    password: Secret,
) -> Result<UpdateId, Problem> {
    app.engine(Command::RetryWithPassword { device, password }).await
}

/// Builds the held update of a device again.
#[tauri::command]
#[specta::specta]
async fn rebuild(app: State<'_, Remote>, device: DeviceId) -> Result<(), Problem> {
    app.engine(Command::Rebuild { device }).await
}

/// Flashes the held update of a device as it was built.
#[tauri::command]
#[specta::specta]
async fn flash_anyway(app: State<'_, Remote>, device: DeviceId) -> Result<(), Problem> {
    app.engine(Command::FlashAnyway { device }).await
}

/// Puts the failed update of a device aside.
#[tauri::command]
#[specta::specta]
async fn dismiss(app: State<'_, Remote>, device: DeviceId) -> Result<(), Problem> {
    app.engine(Command::Dismiss { device }).await
}

/// Everything there is to see.
#[tauri::command]
#[specta::specta]
async fn snapshot(window: AppHandle, app: State<'_, Remote>) -> Result<Snapshot, Problem> {
    // The page has subscribed to its events: it asks for its first snapshot after that.
    let snapshot: Snapshot = app.ask(Request::Look).await?;
    theme::follow(&window, snapshot.settings.theme, snapshot.revision);
    Ok(snapshot)
}

/// Builds and flashes many devices. Those with an update under way are left alone; they and those that
/// can't be built are answered with the reason.
#[tauri::command]
#[specta::specta]
async fn install_many(
    app: State<'_, Remote>,
    devices: Vec<DeviceId>,
) -> Result<Vec<Refusal>, Problem> {
    app.engine(Command::InstallMany { devices }).await
}

/// Ends the updates of many devices; those that have none are answered with that.
#[tauri::command]
#[specta::specta]
async fn cancel_many(
    app: State<'_, Remote>,
    devices: Vec<DeviceId>,
) -> Result<Vec<Refusal>, Problem> {
    app.engine(Command::CancelMany { devices }).await
}

/// What [`install_many`] would do; null: with all that there is an update for.
#[tauri::command]
#[specta::specta]
async fn plan(
    app: State<'_, Remote>,
    devices: Option<Vec<DeviceId>>,
) -> Result<InstallPlan, Problem> {
    app.engine(Command::Plan { devices }).await
}

/// Takes back cancels of a moment ago; those for which that is too late are answered with the reason.
#[tauri::command]
#[specta::specta]
async fn undo_cancel(
    app: State<'_, Remote>,
    devices: Vec<DeviceId>,
) -> Result<Vec<Refusal>, Problem> {
    app.engine(Command::UndoCancel { devices }).await
}

/// The updates of a device, newest first; at most 50.
#[tauri::command]
#[specta::specta]
async fn history(app: State<'_, Remote>, device: DeviceId) -> Result<Vec<UpdateRecord>, Problem> {
    app.engine(Command::History { device }).await
}

/// The updates that have ended, over all devices, the last ended first: a page of them.
#[tauri::command]
#[specta::specta]
async fn activity(
    app: State<'_, Remote>,
    before: Option<ActivityCursor>,
    limit: u32,
) -> Result<ActivityPage, Problem> {
    app.engine(Command::Activity { before, limit }).await
}

/// Lets the user save a table; the path, or null: they changed their mind.
#[tauri::command]
#[specta::specta]
async fn save_csv(app: AppHandle, text: String) -> Result<Option<String>, Problem> {
    desktop::save_csv(&app, text).await
}

/// The wakes of a device that were seen, newest last; at most 200.
#[tauri::command]
#[specta::specta]
async fn wakes(app: State<'_, Remote>, device: DeviceId) -> Result<Vec<WakeRecord>, Problem> {
    app.engine(Command::Wakes { device }).await
}

/// Where the user says that a device is; null: nothing is said any more.
#[tauri::command]
#[specta::specta]
async fn set_address(
    app: State<'_, Remote>,
    device: DeviceId,
    address: Option<String>,
) -> Result<(), Problem> {
    app.engine(Command::SetAddress { device, address }).await
}

/// Takes the board that claims a device's name for the device.
#[tauri::command]
#[specta::specta]
async fn accept_board(app: State<'_, Remote>, device: DeviceId) -> Result<(), Problem> {
    app.engine(Command::AcceptBoard { device }).await
}

/// Says that, of several configurations which name their device so, this one is the device's.
#[tauri::command]
#[specta::specta]
async fn choose_config(app: State<'_, Remote>, device: DeviceId) -> Result<(), Problem> {
    app.engine(Command::ChooseConfig { device }).await
}

/// Begins no new build and no new flash, or does so again. What runs goes on.
#[tauri::command]
#[specta::specta]
async fn set_paused(app: State<'_, Remote>, paused: bool) -> Result<(), Problem> {
    app.engine(Command::SetPaused { paused }).await
}

/// The log of an update's build, also of one in the history. Empty when it is gone or there was none.
#[tauri::command]
#[specta::specta]
async fn build_log(app: State<'_, Remote>, update: UpdateId) -> Result<BuildLog, Problem> {
    app.engine(Command::BuildLog { update }).await
}

/// Lets the user save the log of an update's build, as plain text; the path, or null: they changed their
/// mind.
#[tauri::command]
#[specta::specta]
async fn save_log(app: AppHandle, update: UpdateId) -> Result<Option<String>, Problem> {
    desktop::save_log(&app, update).await
}

/// Opens a device's YAML file in the desktop's editor.
#[tauri::command]
#[specta::specta]
async fn open_yaml(app: AppHandle, device: DeviceId) -> Result<(), Problem> {
    desktop::open_yaml(&app, &device).await
}

/// Opens the config directory in the desktop's file manager; with a device, at its file where the file
/// manager can do that.
#[tauri::command]
#[specta::specta]
async fn open_folder(app: AppHandle, device: Option<DeviceId>) -> Result<(), Problem> {
    desktop::open_folder(&app, device.as_ref()).await
}

/// Diagnostics for a bug report, as text without secrets.
#[tauri::command]
#[specta::specta]
async fn report(app: State<'_, Remote>) -> Result<String, Problem> {
    app.engine(Command::Report).await
}

/// The update of a device in detail.
#[tauri::command]
#[specta::specta]
async fn details(app: State<'_, Remote>, device: DeviceId) -> Result<UpdateDetails, Problem> {
    app.engine(Command::Details { device }).await
}

/// Changes those settings that are named; what all of them are then.
#[tauri::command]
#[specta::specta]
async fn change_settings(
    app: State<'_, Remote>,
    change: SettingsChange,
) -> Result<Settings, Problem> {
    app.ask(Request::ChangeSettings(change)).await
}

/// Directories that may be the config directory.
#[tauri::command]
#[specta::specta]
async fn config_dir_candidates(app: State<'_, Remote>) -> Result<Vec<ConfigDirCandidate>, Problem> {
    app.engine(Command::ConfigDirCandidates).await
}

/// Looks for ESPHome again.
#[tauri::command]
#[specta::specta]
async fn find_esphome(app: State<'_, Remote>) -> Result<(), Problem> {
    app.engine(Command::FindEsphome).await
}

/// Installs ESPHome into an environment of the application's own.
#[tauri::command]
#[specta::specta]
async fn install_esphome(app: State<'_, Remote>) -> Result<(), Problem> {
    app.engine(Command::InstallEsphome).await
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
async fn open_path(app: AppHandle, path: String) -> Result<(), Problem> {
    desktop::open_path(&app, path.into()).await
}

/// The application itself.
#[tauri::command]
#[specta::specta]
async fn app_info(app: AppHandle) -> Result<AppInfo, Problem> {
    let around: Surroundings = app.state::<Remote>().ask(Request::Surroundings).await?;
    Ok(AppInfo {
        version: app.package_info().version.to_string(),
        license: env!("CARGO_PKG_LICENSE").to_owned(),
        notifications: around.notifications,
        tray: around.tray,
        reopens: around.reopens,
        demo: around.demo,
        log_dir: app.state::<Paths>().log_dir().display().to_string(),
        start_problem: around.start_problem,
        damage: around.damage,
    })
}

/// Closes the window; the application goes on. The answer to [`CloseRequested`] that isn't [`quit`].
#[tauri::command]
#[specta::specta]
async fn close_window(app: AppHandle) -> Result<(), Problem> {
    super::close(&app).await
}

/// Ends the application. Updates that wait go on at its next start.
#[tauri::command]
#[specta::specta]
async fn quit(app: State<'_, Remote>) -> Result<(), Problem> {
    app.ask(Request::Quit).await
}

/// Goes on. The answer to [`crate::events::QuitRequested`] that isn't [`quit`]: the next Quit asks again.
#[tauri::command]
#[specta::specta]
async fn stay(app: State<'_, Remote>) -> Result<(), Problem> {
    app.ask(Request::Stay).await
}

/// Does what the user has chosen about a damaged database, and starts the application anew.
#[tauri::command]
#[specta::specta]
async fn mend_store(app: State<'_, Remote>, choice: StoreChoice) -> Result<(), Problem> {
    app.ask(Request::MendStore(choice)).await
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
