//! The one row of settings.

use anyhow::Context;
use rusqlite::{Connection, params};
use wakeflash_core::settings::Settings;

use super::aside::Unreadable;
use super::rows::Stored;
use super::seal::{read_rows, seal_settings};
use super::set_back;

pub(super) fn save(connection: &Connection, settings: &Settings) -> anyhow::Result<()> {
    let body = settings.to_body().context("writing the settings")?;
    let seal = seal_settings(&body);
    connection
        .prepare_cached(
            "INSERT INTO settings (only, body, seal) VALUES (1, ?1, ?2)
             ON CONFLICT (only) DO UPDATE SET body = excluded.body, seal = excluded.seal",
        )?
        .execute(params![body, seal])
        .context("storing the settings")?;
    if !settings.paused {
        set_back::seen(connection)?;
    }
    Ok(())
}

pub(super) fn load(connection: &Connection) -> anyhow::Result<(Settings, Vec<Unreadable>)> {
    let (settings, unreadable) = read_rows(connection, "", []).context("reading the settings")?;
    let settings = settings.into_iter().next().map(|(_, settings)| settings);
    Ok((settings.unwrap_or_default(), unreadable))
}
