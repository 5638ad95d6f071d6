//! What the window is told without asking.

use serde::{Deserialize, Serialize};
use tauri::AppHandle;
use tauri_specta::Event as _;
use tokio::sync::broadcast::error::RecvError;
use wakeflash_core::view::Envelope;
use wakeflash_engine::handle::Handle;

/// Something changed in the engine.
#[derive(Clone, Debug, Serialize, Deserialize, specta::Type, tauri_specta::Event)]
pub(crate) struct EngineEvent(pub(crate) Envelope);

/// The user wants to close the window on a desktop without a tray, where it couldn't be opened again with
/// a click: the window asks whether to quit or to go on without a window.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, specta::Type, tauri_specta::Event)]
pub(crate) struct CloseRequested;

/// Hands the engine's events to the window until the engine ends.
pub(crate) async fn forward(app: AppHandle, engine: Handle) {
    let mut events = engine.subscribe();
    loop {
        match events.recv().await {
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
