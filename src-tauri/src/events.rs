//! What the window is told without asking.

use serde::{Deserialize, Serialize};
use wakeflash_core::view::Envelope;

/// Something changed in the engine.
#[derive(Clone, Debug, Serialize, Deserialize, specta::Type, tauri_specta::Event)]
pub struct EngineEvent(pub Envelope);

/// The user wants to close the window on a desktop without a tray, where it couldn't be opened again with
/// a click: the window asks whether to quit or to go on without a window.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, specta::Type, tauri_specta::Event)]
pub struct CloseRequested;
