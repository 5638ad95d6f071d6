//! What is asked of the past, on a connection of its own: it waits for no commit.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rusqlite::Connection;
use tokio::sync::Mutex;
use wakeflash_core::device::DeviceId;
use wakeflash_core::update::UpdateId;
use wakeflash_core::view::ActivityCursor;

use super::{Ended, History, history};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads what was stored.
#[derive(Clone, Debug)]
pub struct Reader(Arc<Mutex<Connection>>);

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Arc::new(Mutex::new(connection)))
    }

    /// The updates of a device, newest first; at most 50.
    ///
    /// # Errors
    /// The database can't be read, or the disk doesn't answer.
    pub async fn history(&self, device: &DeviceId) -> anyhow::Result<History> {
        let device = device.clone();
        self.read(move |connection| history::load(connection, device.as_str())).await
    }

    /// The updates that have ended, the last ended first, after `before`; at most `limit`.
    ///
    /// # Errors
    /// The database can't be read, or the disk doesn't answer.
    pub async fn activity(
        &self,
        before: Option<ActivityCursor>,
        limit: u32,
    ) -> anyhow::Result<Ended> {
        self.read(move |connection| history::ended(connection, before, limit)).await
    }

    /// Whether there is an update of this number.
    ///
    /// # Errors
    /// The database can't be read, or the disk doesn't answer.
    pub async fn has_update(&self, id: UpdateId) -> anyhow::Result<bool> {
        self.read(move |connection| history::has(connection, id.0)).await
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let connection = Arc::clone(&self.0);
        let answer = async {
            // Only one thread at a time waits for a disk that doesn't answer.
            let connection = connection.lock_owned().await;
            tokio::task::spawn_blocking(move || query(&connection)).await?
        };
        tokio::time::timeout(PATIENCE, answer).await.context("the disk doesn't answer")?
    }
}
