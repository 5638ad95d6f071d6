//! When the daily backup of the store is made.

use std::time::Duration;

use tokio::time::Instant;

use super::Runtime;
use super::report::Report;
use crate::store::no_backup;

/// The start has other things to do.
const FIRST_LOOK: Duration = Duration::from_secs(60);

/// How often it is looked whether one is due, and tried again when it failed.
const LOOK_PERIOD: Duration = Duration::from_secs(60 * 60);

/// The problems that end when a backup could be made.
const PROBLEMS: [&str; 2] = ["store.no_backup", "store.damaged_now"];

/// When it is looked next.
#[derive(Debug)]
pub(super) struct Clock {
    due: Instant,
    /// One is being made.
    running: bool,
}

impl Default for Clock {
    fn default() -> Self {
        Self { due: Instant::now() + FIRST_LOOK, running: false }
    }
}

#[cfg(test)]
impl Clock {
    pub(super) fn look_now(&mut self) {
        self.due = Instant::now();
    }
}

impl Runtime {
    /// Makes a backup when one is due. It reads the whole database, which a flash needn't wait for.
    pub(super) fn back_up(&mut self) {
        let now = Instant::now();
        if self.backups.running || self.backups.due > now || !self.work.flashes.is_empty() {
            return;
        }
        self.backups = Clock { due: now + LOOK_PERIOD, running: true };
        let (backups, cancel) = (self.store.backups(), self.cancel.clone());
        self.spawn(async move {
            let made = tokio::task::spawn_blocking(move || backups.make_if_due());
            tokio::select! {
                // The end doesn't wait for it; what is half done is deleted by the next one.
                () = cancel.cancelled() => None,
                made = made => Some(Report::BackedUp(made.unwrap_or_else(|error| Err(error.into())))),
            }
        });
    }

    pub(super) fn backed_up(&mut self, result: anyhow::Result<bool>) {
        self.backups.running = false;
        match result {
            // An earlier one is young enough.
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("made a backup of the store");
                self.publisher.change_status(|status| {
                    status.store_warnings.retain(|told| !PROBLEMS.contains(&told.code.as_str()));
                });
            }
            Err(error) => {
                tracing::error!("there is no backup of the store: {error:#}");
                self.publisher.warn_of_store(no_backup(&error));
            }
        }
    }
}
