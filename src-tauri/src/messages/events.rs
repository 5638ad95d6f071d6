//! What the window is told without asking.

use serde::{Deserialize, Serialize};
use wakeflash_core::device::DeviceId;
use wakeflash_core::view::Envelope;

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
