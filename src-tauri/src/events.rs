//! What the window is told without asking.

use serde::{Deserialize, Serialize};
use tauri::AppHandle;
use tauri_specta::Event as _;
use tokio::sync::broadcast::error::RecvError;
use wakeflash_core::device::DeviceId;
use wakeflash_core::view::Envelope;
use wakeflash_engine::handle::Handle;

use crate::window;

/// Something changed in the engine.
#[derive(Clone, Debug, Serialize, Deserialize, specta::Type, tauri_specta::Event)]
pub(crate) struct EngineEvent(pub(crate) Envelope);

/// The user wants to close the window on a desktop without a tray, where it couldn't be opened again with
/// a click: the window asks whether to quit or to go on without a window.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, specta::Type, tauri_specta::Event)]
pub(crate) struct CloseRequested;

/// The user wants to see a device: they clicked on a notification or on a line of the tray's menu. The window
/// listens for it before it asks for its first snapshot; it may be told before that is answered.
#[derive(Clone, Debug, Serialize, Deserialize, specta::Type, tauri_specta::Event)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenDevice {
    /// Which.
    pub(crate) device: DeviceId,
    /// The log of its build is what they want to see.
    pub(crate) show_log: bool,
}

/// The user wants to quit in the tray's menu while devices are being flashed: the window asks once, and
/// `quit` or `stay` is the answer. A second Quit in the menu before that ends the application without a question.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, specta::Type, tauri_specta::Event)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuitRequested {
    /// How many transfers would be cut short.
    pub(crate) flashing: u32,
}

/// Hands the engine's events to the window until the engine ends.
pub(crate) async fn forward(app: AppHandle, engine: Handle) {
    let mut events = engine.subscribe();
    loop {
        match events.recv().await {
            // Without a window there is nobody to tell; it asks for everything when it comes.
            Ok(_) if !window::exists(&app) => {}
            Ok(envelope) => {
                if let Err(error) = EngineEvent(envelope).emit(&app) {
                    tracing::error!("an event didn't reach the window: {error}");
                }
            }
            // The window finds the gap in the revisions and asks for everything again.
            Err(RecvError::Lagged(lost)) => tracing::warn!("{lost} events were left out"),
            Err(RecvError::Closed) => return,
        }
    }
}
