//! Whether a database is what was written, as far as SQLite can tell.

use rusqlite::Connection;

/// What SQLite says about a database that isn't sound.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unsound(String);

/// Looks at all of it.
///
/// # Errors
/// It is damaged ([`Unsound`]), or can't be read.
pub(super) fn check(connection: &Connection) -> anyhow::Result<()> {
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(Unsound(said).into()) }
}
