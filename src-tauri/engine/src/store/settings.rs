//! The one row of settings.

use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, params};
use wakeflash_core::settings::Settings;

pub(super) fn save(connection: &Connection, settings: &Settings) -> anyhow::Result<()> {
    let body = serde_json::to_string(settings).context("writing the settings")?;
    connection
        .prepare_cached(
            "INSERT INTO settings (only, body) VALUES (1, ?1)
             ON CONFLICT (only) DO UPDATE SET body = excluded.body",
        )?
        .execute(params![body])
        .context("storing the settings")?;
    Ok(())
}

pub(super) fn load(connection: &Connection) -> anyhow::Result<Settings> {
    let body: Option<String> = connection
        .query_row("SELECT body FROM settings", [], |row| row.get(0))
        .optional()
        .context("reading the settings")?;
    body.map_or_else(
        || Ok(Settings::default()),
        |body| Settings::from_stored(&body).context("reading the settings"),
    )
}
