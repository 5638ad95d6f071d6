//! The table of updates.

use anyhow::Context;
use rusqlite::{Connection, params};
use wakeflash_core::update::Update;

pub(super) fn save(connection: &Connection, update: &Update) -> anyhow::Result<()> {
    let body = serde_json::to_string(update).context("writing an update")?;
    let active = !update.state.kind().is_final();
    connection
        .prepare_cached(
            "INSERT INTO updates (id, device, active, body) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET active = excluded.active, body = excluded.body",
        )?
        .execute(params![update.id.0, update.device.as_str(), active, body])
        .with_context(|| format!("storing update {}", update.id))?;
    Ok(())
}

/// The active updates and the last one of every device.
pub(super) fn load(connection: &Connection) -> anyhow::Result<Vec<Update>> {
    let mut statement = connection.prepare(
        "SELECT id, body FROM updates
         WHERE active = 1 OR id IN (SELECT max(id) FROM updates GROUP BY device)
         ORDER BY id",
    )?;
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| {
        let (id, body) = row.context("reading the updates")?;
        serde_json::from_str(&body).with_context(|| format!("reading update {id}"))
    })
    .collect()
}

pub(super) fn next_id(connection: &Connection) -> anyhow::Result<u32> {
    connection
        .query_row("SELECT coalesce(max(id), 0) + 1 FROM updates", [], |row| row.get(0))
        .context("reading the last update's number")
}
