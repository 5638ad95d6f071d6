//! What the parts of the shell share.

use std::sync::OnceLock;

use wakeflash_core::error::Problem;
use wakeflash_engine::handle::Handle;

use crate::notify::Notifier;
use crate::paths::Paths;
use crate::tray::Tray;
use crate::window::Window;

/// What Tauri keeps for all of them.
pub(crate) struct AppState {
    /// Where things are.
    pub(crate) paths: Paths,
    /// Nothing is kept when it ends.
    pub(crate) demo: bool,
    /// The engine, or why it didn't start.
    engine: Result<Handle, Problem>,
    /// The window.
    pub(crate) window: Window,
    /// Desktop notifications.
    pub(crate) notifier: Notifier,
    tray: OnceLock<Tray>,
}

impl AppState {
    /// With an engine, or with the reason why there is none.
    #[must_use]
    pub(crate) fn new(
        paths: Paths,
        demo: bool,
        window: Window,
        notifier: Notifier,
        engine: Result<Handle, Problem>,
    ) -> Self {
        Self { paths, demo, engine, window, notifier, tray: OnceLock::new() }
    }

    /// The engine.
    ///
    /// # Errors
    /// It didn't start.
    pub(crate) fn engine(&self) -> Result<&Handle, Problem> {
        self.engine.as_ref().map_err(Clone::clone)
    }

    /// Remembers the tray icon.
    pub(crate) fn set_tray(&self, tray: Tray) {
        if self.tray.set(tray).is_err() {
            tracing::warn!("the tray icon was built twice");
        }
    }

    /// The tray icon, when one could be built.
    #[must_use]
    pub(crate) fn tray(&self) -> Option<&Tray> {
        self.tray.get()
    }

    /// Whether there is a tray icon that can be seen.
    #[must_use]
    pub(crate) fn tray_visible(&self) -> bool {
        self.tray().is_some_and(Tray::visible)
    }
}
