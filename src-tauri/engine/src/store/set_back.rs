//! A database that is older than what was stored: a backup, or one whose log was cut. It begins nothing until the user has
//! seen it, since much may have been installed meanwhile.

use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, params};
use wakeflash_core::error::Problem;
use wakeflash_core::settings::Settings;
use wakeflash_core::time::Timestamp;

use super::{load, settings};

/// What the user is told as long as it is paused.
pub const SET_BACK: [&str; 2] = ["store.restored", "store.cut"];

/// Why it is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetBack {
    /// The user has restored a backup.
    Restored,
    /// The end of its log is gone.
    Cut,
}

impl SetBack {
    const ALL: [Self; 2] = [Self::Restored, Self::Cut];

    const fn word(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Cut => "cut",
        }
    }

    fn problem(self, to: Timestamp) -> Problem {
        let help = "It is paused. Cancel what has been installed meanwhile, then resume.";
        match self {
            Self::Restored => Problem::new(
                "store.restored",
                format!("The queue was restored from the backup of {}. What happened since isn't in it.", to.to_utc()),
            ),
            Self::Cut => Problem::new(
                "store.cut",
                format!("The last changes of the queue were lost on the disk. It is as it was on {} or later.", to.to_utc()),
            ),
        }
        .with_help(help)
    }
}

/// Pauses it, and notes why.
pub(super) fn set_back(
    connection: &mut Connection,
    how: SetBack,
    to: Timestamp,
) -> anyhow::Result<()> {
    let found = load::load(connection)?.settings;
    let transaction = connection.transaction()?;
    settings::save(&transaction, &Settings { paused: true, ..found })?;
    transaction.execute(
        "UPDATE about SET set_back = ?1, set_back_to = ?2",
        params![how.word(), to.as_millis()],
    )?;
    transaction.commit().context("storing that the database is older")
}

/// Whoever resumes has seen it.
pub(super) fn seen(connection: &Connection) -> anyhow::Result<()> {
    connection
        .execute("UPDATE about SET set_back = NULL WHERE set_back NOT NULL", [])
        .context("storing that an older database was seen")
        .map(drop)
}

/// What is said of it as long as it is paused.
pub(super) fn told(
    connection: &Connection,
    settings: &Settings,
) -> anyhow::Result<Option<Problem>> {
    let noted: Option<(Option<String>, Option<i64>)> = connection
        .query_row("SELECT set_back, set_back_to FROM about", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .context("reading what the database is")?;
    let Some((Some(how), Some(to))) = noted.filter(|_| settings.paused) else { return Ok(None) };
    let how = SetBack::ALL.into_iter().find(|known| known.word() == how);
    Ok(how.map(|how| how.problem(Timestamp::from_millis(to))))
}
