//! Settings that are not the engine's alone: the entry for starting at login belongs to the user.

use tokio::sync::Mutex;
use wakeflash_core::error::Problem;
use wakeflash_core::settings::{Settings, SettingsChange};
use wakeflash_engine::handle::{Asked, Handle};

use crate::means::autostart::{self, Autostart};

/// One change after another: each reads what is so first.
static CHANGES: Mutex<()> = Mutex::const_new(());

/// Changes some of the settings, and the entry for starting at login when that is what changed. Returns what they are then.
///
/// # Errors
/// The entry can't be written, or as the engine says.
pub(crate) async fn set(engine: &Handle, change: SettingsChange) -> Result<Settings, Problem> {
    let _alone = CHANGES.lock().await;
    let known = engine.snapshot().await?.settings.start_at_login;
    let start_at_login = match change.start_at_login() {
        Some(wanted) if wanted != known => {
            Autostart::of_user().ok_or_else(autostart::unavailable)?.set(wanted)?;
            wanted
        }
        // An entry that the user removed meanwhile is not written again by another change.
        Some(_) | None => known && is_on(),
    };
    let change = change.starting_at_login(start_at_login);
    engine.ask(|reply| Asked::ChangeSettings { change, reply }).await
}

/// Says in the settings what is true: the user may have removed the entry, or switched it off, or on.
pub(crate) async fn reconcile(engine: &Handle) {
    let _alone = CHANGES.lock().await;
    let outcome = async {
        let settings = engine.snapshot().await?.settings;
        let start_at_login = is_on();
        if settings.start_at_login == start_at_login {
            return Ok(());
        }
        let change = SettingsChange::default().starting_at_login(start_at_login);
        engine.ask(|reply| Asked::ChangeSettings { change, reply }).await.map(drop)
    };
    if let Err(problem) = outcome.await {
        tracing::warn!("whether it starts at login isn't known to the settings: {problem}");
    }
}

fn is_on() -> bool {
    Autostart::of_user().is_some_and(|autostart| autostart.is_on())
}
