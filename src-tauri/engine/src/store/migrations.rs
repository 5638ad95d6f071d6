//! The schema and its history. A migration that was released is never changed.

use anyhow::Context;
use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::OpenError;

const STEPS: &[M<'static>] = &[
    M::up(
        "CREATE TABLE updates (
        id INTEGER PRIMARY KEY,
        device TEXT NOT NULL,
        active INTEGER NOT NULL CHECK (active IN (0, 1)),
        body TEXT NOT NULL
    ) STRICT;
    -- One intent per device: the database itself refuses a second active update.
    CREATE UNIQUE INDEX one_active_update ON updates (device) WHERE active = 1;
    CREATE INDEX updates_by_device ON updates (device, id);
    CREATE TABLE devices (
        name TEXT PRIMARY KEY,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE settings (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        body TEXT NOT NULL
    ) STRICT;",
    ),
    M::up(
        "CREATE TABLE wakes (
        name TEXT NOT NULL,
        number INTEGER NOT NULL,
        at INTEGER NOT NULL,
        awake INTEGER,
        flashed INTEGER NOT NULL CHECK (flashed IN (0, 1)),
        PRIMARY KEY (name, number)
    ) STRICT, WITHOUT ROWID;",
    ),
];

/// Brings the schema up to date, as a whole or not at all.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let found: u32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .context("reading the schema version")?;
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    Migrations::from_slice(STEPS)
        .to_latest(connection)
        .context("bringing the schema up to date")?;
    Ok(())
}
