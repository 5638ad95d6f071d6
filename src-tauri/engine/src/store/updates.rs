//! The table of updates.

use anyhow::Context;
use rusqlite::{Connection, params};
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::Update;

use super::aside::Unreadable;
use super::rows::Stored;
use super::seal::{read_rows, seal_update};

pub(super) fn save(connection: &Connection, update: &Update) -> anyhow::Result<()> {
    let body = update.to_body().context("writing an update")?;
    let (id, device) = (update.id.0, update.device.as_str());
    let active = !update.state.kind().is_final();
    let ended = update.state.ended_at().map(Timestamp::as_millis);
    let seal = seal_update(id.into(), device, active, &body);
    connection
        .prepare_cached(
            "INSERT INTO updates (id, device, active, ended, body, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET active = excluded.active, ended = excluded.ended,
                 body = excluded.body, seal = excluded.seal",
        )?
        .execute(params![id, device, active, ended, body, seal])
        .with_context(|| format!("storing update {id}"))?;
    Ok(())
}

/// The active updates and the last one of every device.
pub(super) fn load(connection: &Connection) -> anyhow::Result<(Vec<Update>, Vec<Unreadable>)> {
    let newest = "WHERE active = 1 OR id IN (SELECT max(id) FROM updates GROUP BY device)
         ORDER BY id";
    let (updates, unreadable) = read_rows(connection, newest, []).context("reading the updates")?;
    Ok((updates.into_iter().map(|(_, update)| update).collect(), unreadable))
}

/// A number greater than that of every update that ever was, readable or not.
pub(super) fn next_id(connection: &Connection) -> anyhow::Result<u32> {
    connection
        .query_row(
            "SELECT coalesce(max(id), 0) + 1 FROM (SELECT id FROM updates UNION ALL
                 SELECT CAST(key AS INTEGER) FROM unreadable WHERE source = 'updates')
             WHERE id BETWEEN 0 AND ?1",
            // A greater one was never given.
            [u32::MAX / 2],
            |row| row.get(0),
        )
        .context("reading the last update's number")
}
