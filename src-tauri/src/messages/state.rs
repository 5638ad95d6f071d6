//! What the parts of the shell share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use wakeflash_core::error::Problem;
use wakeflash_core::settings::SettingsChange;
use wakeflash_core::view::{StoreChoice, StoreDamage};
use wakeflash_engine::handle::Handle;
use wakeflash_engine::runtime::{StartError, mend_store};
use wakeflash_remote::{Destination, Places};

use crate::means::paths::Paths;
use crate::messages::notifier::Notifier;
use crate::messages::window::Window;

/// Why there is no engine.
#[derive(Clone, Debug)]
pub(crate) struct NoEngine {
    /// What the user reads.
    pub(crate) problem: Problem,
    /// What is wrong with the database, when that is why.
    pub(crate) damage: Option<Box<StoreDamage>>,
}

impl From<Problem> for NoEngine {
    fn from(problem: Problem) -> Self {
        Self { problem, damage: None }
    }
}

impl From<&StartError> for NoEngine {
    fn from(error: &StartError) -> Self {
        Self { problem: error.problem(), damage: error.damage().map(Box::new) }
    }
}

/// What Tauri keeps for all of them.
pub(crate) struct AppState {
    /// Where things are.
    pub(crate) paths: Paths,
    /// Nothing is kept when it ends.
    pub(crate) demo: bool,
    /// The engine, or why it didn't start.
    engine: Result<Handle, NoEngine>,
    /// The connection to where it works, when that is elsewhere: it is made at once when this is told.
    pub(crate) hurry: Option<Arc<Notify>>,
    /// Whether it is started anew when it has ended.
    anew: Arc<AtomicBool>,
    pub(crate) window: Window,
    /// Desktop notifications.
    pub(crate) notifier: Notifier,
    /// There is a tray icon that can be seen.
    tray_visible: AtomicBool,
}

impl AppState {
    /// With an engine, or with the reason why there is none.
    #[must_use]
    pub(crate) fn new(
        paths: Paths,
        demo: bool,
        window: Window,
        notifier: Notifier,
        engine: Result<Handle, NoEngine>,
        hurry: Option<Arc<Notify>>,
        anew: Arc<AtomicBool>,
    ) -> Self {
        let tray_visible = AtomicBool::new(false);
        Self { paths, demo, engine, hurry, anew, window, notifier, tray_visible }
    }

    /// The engine.
    ///
    /// # Errors
    /// It didn't start.
    pub(crate) fn engine(&self) -> Result<&Handle, Problem> {
        self.engine.as_ref().map_err(|none| none.problem.clone())
    }

    /// What is wrong with the database, when that is why there is no engine.
    #[must_use]
    pub(crate) fn damage(&self) -> Option<StoreDamage> {
        self.engine.as_ref().err()?.damage.as_deref().cloned()
    }

    /// Does what the user has chosen about the damaged database. The application is started anew when it has ended.
    ///
    /// # Errors
    /// There is no such damage, or no backup, or it can't be written.
    pub(crate) async fn mend_store(&self, choice: StoreChoice) -> Result<(), Problem> {
        if self.damage().is_none() {
            return Err(Problem::new("store.sound", "The database of the queue isn't damaged."));
        }
        let mended = mend_store(self.paths.state_dir().to_owned(), choice).await;
        mended.map_err(|error| {
            let problem = error.problem();
            tracing::error!("the store can't be mended: {:#}", anyhow::Error::from(error));
            problem
        })?;
        self.anew.store(true, Ordering::Release);
        Ok(())
    }

    /// Chooses where it works. The application is started anew when it has ended.
    ///
    /// # Errors
    /// It can't be kept.
    pub(crate) async fn work_at(&self, place: Option<Destination>) -> Result<(), Problem> {
        let mut places = Places::read(self.paths.state_dir())?;
        if let (None, Ok(engine)) = (&places.at, self.engine()) {
            places.screen = SettingsChange::of_the_screen(&engine.snapshot().await?.settings);
        }
        places.choose(place);
        places.write(self.paths.state_dir())?;
        self.anew.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether there is a tray icon that can be seen.
    #[must_use]
    pub(crate) fn tray_visible(&self) -> bool {
        self.tray_visible.load(Ordering::Relaxed)
    }

    /// Whether the desktop shows the tray icon.
    pub(crate) fn set_tray_visible(&self, visible: bool) {
        self.tray_visible.store(visible, Ordering::Relaxed);
    }
}
