//! The updates of a device that have been. The newest ones are kept.

use anyhow::Context;
use rusqlite::{Connection, params};
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{Update, UpdateId};
use wakeflash_core::view::ActivityCursor;

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

/// Updates that have ended, of all devices.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The last ended first.
    pub updates: Vec<Update>,
    /// Where the next ones begin; `None`: there are none.
    pub next: Option<ActivityCursor>,
}

pub(super) fn ended(
    connection: &Connection,
    before: Option<ActivityCursor>,
    limit: u32,
) -> anyhow::Result<Ended> {
    let (at, id) = before.map_or((i64::MAX, u32::MAX), |it| (it.at.as_millis(), it.id.0));
    let wanted = "WHERE ended IS NOT NULL AND (ended, id) < (?1, ?2)
         ORDER BY ended DESC, id DESC LIMIT ?3";
    let next = connection
        .prepare_cached(&format!(
            "SELECT ended, id FROM (SELECT ended, id FROM updates {wanted}) LIMIT 2 OFFSET ?3 - 2"
        ))?
        .query_map(params![at, id, limit.saturating_add(1)], |row| {
            let at = Timestamp::from_millis(row.get(0)?);
            Ok(ActivityCursor { at, id: UpdateId(row.get(1)?) })
        })?
        .collect::<Result<Vec<_>, _>>()
        .context("looking for what has ended")?;
    let (updates, unreadable) =
        read_rows(connection, wanted, params![at, id, limit]).context("reading what has ended")?;
    for row in &unreadable {
        tracing::warn!("update {} can't be read: {}", row.number, row.reason);
    }
    let updates = updates.into_iter().map(|(_, update)| update).collect();
    // There is a next page when there is one more than are shown; it begins after the last of these.
    let next = if next.len() > 1 { next.first().copied() } else { None };
    Ok(Ended { updates, next })
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
