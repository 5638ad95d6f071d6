//! Why the store can't be opened, in words.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use wakeflash_core::error::Problem;

use super::OWN_VERSION;
use super::check::Unsound;
use super::damage::Damage;

/// Why the store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another copy of the application works with it.
    #[error("the state directory {0} is in use by another copy")]
    InUse(PathBuf),
    /// It was written by a newer version.
    #[error("the store has schema {found} of {written_by:?}, this version knows {known}")]
    Newer {
        /// Its schema version.
        found: u32,
        /// The newest that is known here.
        known: u32,
        /// The version of the application that wrote it.
        written_by: Option<String>,
    },
    /// The database isn't what was written. The user has a choice ([`super::mend`]).
    #[error("the database is damaged: {}", .0.reason)]
    Damaged(Box<Damage>),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl OpenError {
    /// What the user reads.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::InUse(_) => Problem::new(
                "store.in_use",
                "Another copy of Wakeflash is running with the same data.",
            )
            .with_help("Use that one, or end it first."),
            Self::Newer { found, known, written_by } => {
                let theirs = written_by.as_deref().unwrap_or("(a newer version)");
                Problem::new(
                    "store.newer",
                    format!(
                        "The queue was written by Wakeflash {theirs} (format {found}). This is Wakeflash {OWN_VERSION}, which can't read it (format {known})."
                    ),
                )
                .with_help("Start the newer version. Nothing was changed or lost.")
            }
            Self::Damaged(damage) => damage.problem(),
            Self::Other(error) => Problem::new(
                "store.unusable",
                format!("The queue can't be opened: {}.", error.root_cause()),
            )
            .with_help("Check that the data directory can be written and that its disk isn't full. Nothing was changed."),
        }
    }
}

/// What the user reads when a change can't be stored.
#[must_use]
pub fn unwritable(error: &anyhow::Error) -> Problem {
    if says_corrupt(error) {
        return damaged_now();
    }
    Problem::new("store.unwritable", format!("The queue can't be written: {}.", error.root_cause()))
        .with_help("Nothing was changed. Make room on the disk of the data directory; what is waiting stays in the queue.")
}

/// What the user reads when the database turns out to be damaged while it is used.
pub(super) fn damaged_now() -> Problem {
    Problem::new("store.damaged_now", "The database of the queue is damaged.")
        .with_help("Quit Wakeflash and start it again: it then offers the last backup.")
}

fn sqlite_errors(error: &anyhow::Error) -> impl Iterator<Item = &rusqlite::Error> {
    error.chain().filter_map(|cause| cause.downcast_ref())
}

/// Whether SQLite itself says that the database is damaged.
pub(super) fn says_corrupt(error: &anyhow::Error) -> bool {
    let corrupt = |error: &rusqlite::Error| {
        let code = error.sqlite_error_code();
        matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    };
    error.chain().any(|cause| cause.is::<Unsound>()) || sqlite_errors(error).any(corrupt)
}

/// Whether an error at the start says that the database isn't what was written, and not that the disk or the rights are
/// in the way. What is asked for then is always the same, so it can only be the answer that is another one.
pub(super) fn says_damaged(error: &anyhow::Error) -> bool {
    let damaged = |error: &rusqlite::Error| {
        error.sqlite_error_code().is_some_and(is_damage)
            || matches!(
                error,
                rusqlite::Error::SqlInputError { .. }
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
                    | rusqlite::Error::Utf8Error(..)
                    | rusqlite::Error::QueryReturnedNoRows
            )
    };
    says_corrupt(error) || sqlite_errors(error).any(damaged)
}

const fn is_damage(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::SchemaChanged
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::TooBig
            | ErrorCode::InternalMalfunction
            // SQL that was right can't be carried out: a table or a column isn't there.
            | ErrorCode::Unknown
    )
}
