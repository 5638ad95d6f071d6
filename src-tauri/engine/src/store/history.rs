//! The updates of a device that have been. The newest ones are kept.

use anyhow::Context;
use rusqlite::{Connection, params};
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::update::Update;

use super::seal::read_rows;

/// How many updates of a device are kept, and shown.
pub(super) const KEPT: u32 = 50;

/// What was of a device.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Its updates, newest first.
    pub updates: Vec<Update>,
    /// How many others there are that can't be read.
    pub unreadable: usize,
}

impl History {
    /// What the user reads about those that can't be read.
    #[must_use]
    pub fn problem(&self, device: &DeviceId) -> Option<Problem> {
        let message =
            || format!("Earlier updates of {device} can't be read: {} of them.", self.unreadable);
        (self.unreadable > 0).then(|| {
            Problem::new("store.history_unreadable", message())
                .with_help("They are kept as they are. Everything else works.")
        })
    }
}

pub(super) fn load(connection: &Connection, device: &str) -> anyhow::Result<History> {
    let newest = "WHERE device = ?1 ORDER BY id DESC LIMIT ?2";
    let (updates, unreadable) =
        read_rows(connection, newest, params![device, KEPT]).context("reading the history")?;
    for row in &unreadable {
        tracing::warn!("update {} of {device} can't be read: {}", row.number, row.reason);
    }
    let updates = updates.into_iter().map(|(_, update)| update).collect();
    Ok(History { updates, unreadable: unreadable.len() })
}

/// Whether there is an update of this number.
pub(super) fn has(connection: &Connection, id: u32) -> anyhow::Result<bool> {
    let count: u32 = connection
        .query_row("SELECT count(*) FROM updates WHERE id = ?1", params![id], |row| row.get(0))
        .context("looking for an update")?;
    Ok(count > 0)
}

/// Deletes what is too old to be shown.
pub(super) fn prune(connection: &Connection, device: &str) -> anyhow::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM updates WHERE device = ?1 AND active = 0 AND id NOT IN
             (SELECT id FROM updates WHERE device = ?1 ORDER BY id DESC LIMIT ?2)",
        )?
        .execute(params![device, KEPT])
        .context("deleting old updates")?;
    Ok(())
}
