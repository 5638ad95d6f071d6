//! The updates of a device that have been. The newest ones are kept.

use anyhow::Context;
use rusqlite::{Connection, params};
use wakeflash_core::update::Update;

/// How many updates of a device are kept, and shown.
pub(super) const KEPT: u32 = 50;

/// The updates of a device, newest first.
pub(super) fn load(connection: &Connection, device: &str) -> anyhow::Result<Vec<Update>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, body FROM updates WHERE device = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![device, KEPT], |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?))
    })?;
    rows.map(|row| {
        let (id, body) = row.context("reading the history")?;
        serde_json::from_str(&body).with_context(|| format!("reading update {id}"))
    })
    .collect()
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
