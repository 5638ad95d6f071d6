//! The window: made from `tauri.conf.json`, destroyed when it is closed, so that its web view's memory is
//! released, and made again when it is asked for.

use tauri::{AppHandle, CloseRequestApi, Manager, WebviewWindowBuilder};
use tauri_specta::Event as _;
use wakeflash_core::error::Problem;

use crate::events::CloseRequested;
use crate::state::AppState;

const MAIN: &str = "main";

/// Shows the window, in front of others, whether it exists or not. Can be called from any thread.
pub(crate) fn show(app: &AppHandle) {
    let on_main = app.clone();
    let asked = app.run_on_main_thread(move || {
        if let Err(error) = show_on_main_thread(&on_main) {
            tracing::error!("the window can't be shown: {error}");
        }
    });
    if let Err(error) = asked {
        tracing::error!("the window can't be shown: {error}");
    }
}

fn show_on_main_thread(app: &AppHandle) -> tauri::Result<()> {
    if let Some(window) = app.get_webview_window(MAIN) {
        window.show()?;
        window.unminimize()?;
        return window.set_focus();
    }
    let config = app.config().app.windows.iter().find(|window| window.label == MAIN);
    let config = config.ok_or(tauri::Error::WindowNotFound)?;
    let window = WebviewWindowBuilder::from_config(app, config)?
        .data_directory(app.state::<AppState>().paths.webview_dir())
        .build()?;
    somebody_looks(app, true);
    window.set_focus()
}

/// Tells the engine whether there is a window to look at: only then it verifies who is online.
pub(crate) fn somebody_looks(app: &AppHandle, on: bool) {
    let Ok(engine) = app.state::<AppState>().engine().cloned() else { return };
    tauri::async_runtime::spawn(async move {
        if let Err(problem) = engine.set_watching(on).await {
            tracing::debug!("the engine isn't told who looks: {problem}");
        }
    });
}

/// Whether there is a window.
pub(crate) fn exists(app: &AppHandle) -> bool {
    app.get_webview_window(MAIN).is_some()
}

/// Closes the window; the application goes on.
///
/// # Errors
/// The window system refuses.
pub(crate) fn close(app: &AppHandle) -> Result<(), Problem> {
    let Some(window) = app.get_webview_window(MAIN) else { return Ok(()) };
    window.destroy().map_err(|error| {
        tracing::error!("the window can't be closed: {error}");
        Problem::new("window.close", "The window can't be closed.")
    })
}

/// The user wants to close the window. With a tray icon it is destroyed and comes back by a click there;
/// without one the user is asked, because a program that goes on unseen is a surprise.
pub(crate) fn close_requested(app: &AppHandle, api: &CloseRequestApi) {
    let state = app.state::<AppState>();
    if state.engine().is_err() {
        return app.exit(1);
    }
    if state.tray_visible() {
        return;
    }
    api.prevent_close();
    if let Err(error) = CloseRequested.emit(app) {
        tracing::error!("the window can't be asked whether to quit: {error}");
        app.exit(0);
    }
}
