//! Quitting in the tray's menu. While devices are being flashed the user is asked, once.

use std::sync::atomic::{AtomicBool, Ordering};

use tauri::{AppHandle, Manager};
use wakeflash_core::view::{Snapshot, UpdateStateView};

use crate::events::QuitRequested;
use crate::page::Message;
use crate::state::AppState;

/// Whether the question is open.
#[derive(Debug, Default)]
pub(crate) struct Question(AtomicBool);

impl Question {
    /// Nothing was asked: the window that asked is gone, or it was answered.
    pub(crate) fn settled(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The user chose Quit in the tray's menu.
pub(crate) fn asked(app: &AppHandle) {
    let state = app.state::<AppState>();
    let again = state.quit.0.swap(true, Ordering::Relaxed);
    let Ok(engine) = state.engine().cloned() else { return app.exit(0) };
    if again {
        // A window that doesn't answer must not keep the application alive.
        return app.exit(0);
    }
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let flashing = engine.snapshot().await.map_or(0, |snapshot| transfers(&snapshot));
        if flashing == 0 {
            return app.exit(0);
        }
        app.state::<AppState>().window.tell(Message::Quit(QuitRequested { flashing }));
    });
}

/// How many transfers run.
fn transfers(snapshot: &Snapshot) -> u32 {
    let flashes = snapshot.devices.iter().filter(|device| {
        let state = device.update.as_ref().map(|update| &update.state);
        matches!(state, Some(UpdateStateView::Flashing { .. }))
    });
    u32::try_from(flashes.count()).unwrap_or(u32::MAX)
}
