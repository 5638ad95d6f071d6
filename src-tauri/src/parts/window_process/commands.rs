//! What the window's page can ask for: it all comes as one Tauri command, and most of it is handed to the application.

use serde::{Deserialize, Serialize};
use tauri::{AppHandle, Manager, Wry};
use tauri_specta::{Builder, collect_events};
use wakeflash_core::device::DeviceId;
use wakeflash_core::request::{EngineAnswer, EngineRequest};
use wakeflash_core::update::UpdateId;
use wakeflash_core::view::Snapshot;
use wakeflash_engine::handle::json;

use super::remote::{self, Remote};
use super::{desktop, theme};
use crate::messages::events::{CloseRequested, EngineEvent, OpenDevice, QuitRequested};
use crate::messages::wire::{Answer, AppRequest, ShellAnswer};

wakeflash_core::requests! {
    /// What the window's own process does: the desktop's dialogs and programs are asked from here.
    pub(crate) enum WindowRequest -> WindowAnswer {
        /// Lets the user choose a directory; null: they changed their mind.
        ChooseDirectory {
            /// What the dialog is called.
            title: String,
        } -> Option<String>;
        /// Lets the user save the log of an update's build, as plain text; the path, or null: they changed their mind.
        SaveLog {
            /// Of which update.
            update: UpdateId,
        } -> Option<String>;
        /// Lets the user save a copy of the image that was built for a device; the path, or null: they changed their mind.
        SaveImage {
            /// For which device.
            device: DeviceId,
        } -> Option<String>;
        /// Lets the user save a table; the path, or null: they changed their mind.
        SaveCsv {
            text: String,
        } -> Option<String>;
        /// Opens the log directory, the config directory, or a text file in one of them with the program that the
        /// desktop has for it. Nothing else can be opened.
        OpenPath {
            /// Which.
            path: String,
        } -> ();
        /// Opens a device's YAML file in the desktop's editor.
        OpenYaml {
            /// Of which device.
            device: DeviceId,
        } -> ();
        /// Opens the config directory in the desktop's file manager.
        OpenFolder {
            /// The device at whose file, where the file manager can do that; null: at none.
            device: Option<DeviceId>,
        } -> ();
        /// Closes the window; the application goes on. The answer to [`CloseRequested`] that isn't `shutdown`.
        CloseWindow {} -> ();
    }
}

/// What the page can ask for. The names of all requests differ.
#[derive(Debug, Serialize, Deserialize, specta::Type)]
#[serde(untagged)]
pub(crate) enum PageRequest {
    /// Of the window.
    Window(WindowRequest),
    /// Of the application.
    Application(AppRequest),
}

/// All requests with their answers, and all events, as the window's page knows them.
#[must_use]
pub(crate) fn api() -> Builder<Wry> {
    Builder::<Wry>::new()
        .events(collect_events![EngineEvent, CloseRequested, OpenDevice, QuitRequested])
        .typ::<PageRequest>()
        .typ::<EngineAnswer>()
        .typ::<ShellAnswer>()
        .typ::<WindowAnswer>()
        .dangerously_cast_bigints_to_number()
        .disable_serde_phases()
}

/// Everything that the page asks for.
#[tauri::command]
pub(crate) async fn request(app: AppHandle, request: PageRequest) -> Answer {
    match request {
        PageRequest::Window(request) => by_window(&app, request).await,
        PageRequest::Application(request) => {
            let looks = request == EngineRequest::Snapshot {}.into();
            let answer = app.state::<Remote>().answer(request).await?;
            if looks {
                let snapshot: Snapshot = remote::read(&answer)?;
                theme::follow(&app, snapshot.settings.theme, snapshot.revision);
            }
            Ok(answer)
        }
    }
}

async fn by_window(app: &AppHandle, request: WindowRequest) -> Answer {
    match request {
        WindowRequest::ChooseDirectory { title } => {
            json(&desktop::choose_directory(app, title).await?)
        }
        WindowRequest::SaveLog { update } => json(&desktop::save_log(app, update).await?),
        WindowRequest::SaveImage { device } => json(&desktop::save_image(app, device).await?),
        WindowRequest::SaveCsv { text } => json(&desktop::save_csv(app, text).await?),
        WindowRequest::OpenPath { path } => json(&desktop::open_path(app, path.into()).await?),
        WindowRequest::OpenYaml { device } => json(&desktop::open_yaml(app, &device).await?),
        WindowRequest::OpenFolder { device } => {
            json(&desktop::open_folder(app, device.as_ref()).await?)
        }
        WindowRequest::CloseWindow {} => json(&super::close(app).await?),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use specta_typescript::Typescript;

    use super::*;
    use crate::messages::wire::ShellRequest;

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

    #[test]
    fn the_document_lists_the_requests_that_only_the_window_has() {
        let document = include_str!("../../../../docs/API.md");
        let section = document.split("### What only the window gets\n").nth(1).unwrap();
        let rows = section.lines().skip_while(|line| !line.starts_with("| `cmd`")).skip(2);
        let rows = rows.map_while(|line| line.strip_prefix("| "));
        let listed: Vec<String> = rows
            .map(|row| row.split('|').take(2).map(str::trim).collect::<Vec<_>>().join(" | "))
            .collect();
        let wanted = [ShellRequest::documented(), WindowRequest::documented()].concat();
        assert_eq!(listed, wanted);
    }

    #[test]
    fn each_request_reaches_whom_it_is_for() {
        let read =
            |json: &str| serde_json::from_str::<PageRequest>(json).map(|it| format!("{it:?}"));
        for (json, wanted) in [
            (r#"{"cmd":"close_window"}"#, "Window(CloseWindow)"),
            (r#"{"cmd":"stay"}"#, "Application(Shell(Stay))"),
            (
                r#"{"cmd":"set_paused","paused":true}"#,
                "Application(Engine(SetPaused { paused: true }))",
            ),
        ] {
            assert_eq!(read(json).unwrap(), wanted);
        }
        assert!(read(r#"{"cmd":"explode"}"#).is_err());
    }

    fn typescript() -> Typescript {
        Typescript::default().header("/* eslint-disable */\n// @ts-nocheck\n")
    }
}
