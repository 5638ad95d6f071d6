//! Copies of the database: one before each change of its schema, and one a day. They are made by SQLite itself, while
//! others write, and count only when they have been checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rusqlite::backup::{Backup as Copy, StepResult};
use rusqlite::{Connection, OpenFlags};
use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;

use super::error::{damaged_now, says_corrupt};
use super::{DATABASE, check, files, now};

/// How often there is a new one.
const PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// How many are kept of each kind.
const KEPT: usize = 3;

/// How long others who write may be waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why one was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A day has passed.
    Day,
    /// The schema is about to be changed.
    Schema,
}

impl Reason {
    const ALL: [Self; 2] = [Self::Day, Self::Schema];

    const fn word(self) -> &'static str {
        match self {
            Self::Day => "daily",
            Self::Schema => "schema",
        }
    }
}

/// A copy of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backup {
    pub(super) path: PathBuf,
    pub(super) at: Timestamp,
    reason: Reason,
}

fn dir(state_dir: &Path) -> PathBuf {
    state_dir.join("backups")
}

/// All that there are, newest first.
///
/// # Errors
/// The directory can't be read.
pub(super) fn all(state_dir: &Path) -> anyhow::Result<Vec<Backup>> {
    let dir = dir(state_dir);
    if !files::is_there(&dir)? {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut backups = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let named = name.and_then(|name| name.strip_suffix(".db")?.split_once('-'));
        let Some((word, millis)) = named else { continue };
        let reason = Reason::ALL.into_iter().find(|reason| reason.word() == word);
        if let (Some(reason), Ok(millis)) = (reason, millis.parse()) {
            backups.push(Backup { path, at: Timestamp::from_millis(millis), reason });
        }
    }
    backups.sort_by_key(|backup| std::cmp::Reverse(backup.at));
    Ok(backups)
}

/// Makes a copy of the database as it is, and deletes those that are too old.
///
/// # Errors
/// It can't be read or written, or what was read is damaged: then nothing is deleted.
pub(super) fn make(state_dir: &Path, from: &Connection, reason: Reason) -> anyhow::Result<()> {
    let dir = dir(state_dir);
    files::private_dir(&dir)?;
    let path = dir.join(format!("{}-{}.db", reason.word(), now().as_millis()));
    let partial = path.with_extension("partial");
    let made = copy(from, &partial).and_then(|()| files::rename(&partial, &path));
    if let Err(error) = made {
        if let Err(error) = std::fs::remove_file(&partial) {
            tracing::warn!("{} stays: {error}", partial.display());
        }
        return Err(error.context("making a backup"));
    }
    delete_old(state_dir, reason)
}

fn copy(from: &Connection, partial: &Path) -> anyhow::Result<()> {
    files::private_file(partial)?;
    let mut to = Connection::open(partial).context("opening the backup")?;
    // All at once: in pieces it would begin anew whenever something is stored.
    let begun = std::time::Instant::now();
    loop {
        let step = Copy::new(from, &mut to)?.step(-1)?;
        if step == StepResult::Done {
            break;
        }
        if begun.elapsed() > PATIENCE {
            bail!("copying ended with {step:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // One file and no others beside it.
    to.pragma_update(None, "journal_mode", "DELETE")?;
    check::check(&to)?;
    to.close().map_err(|(_, error)| error).context("closing the backup")?;
    files::sync(partial)
}

fn delete_old(state_dir: &Path, reason: Reason) -> anyhow::Result<()> {
    let backups = all(state_dir)?.into_iter().filter(|backup| backup.reason == reason);
    for old in backups.skip(KEPT) {
        std::fs::remove_file(&old.path)
            .with_context(|| format!("deleting {}", old.path.display()))?;
    }
    // What was begun and not finished.
    for entry in std::fs::read_dir(dir(state_dir))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "partial") {
            std::fs::remove_file(&path).with_context(|| format!("deleting {}", path.display()))?;
        }
    }
    Ok(())
}

/// Makes the daily backups.
#[derive(Clone, Debug)]
pub struct Backups {
    state_dir: PathBuf,
}

impl Backups {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned() }
    }

    /// Makes one, on a connection of its own, if the last one is old enough; whether one was made. It reads the whole
    /// database, so not while a disk has better to do.
    ///
    /// # Errors
    /// The user reads them as [`no_backup`] says.
    pub fn make_if_due(&self) -> anyhow::Result<bool> {
        let now = now();
        let last = all(&self.state_dir)?.into_iter().find(|backup| backup.reason == Reason::Day);
        // One of the future says that the clock was set back.
        if last.is_some_and(|last| last.at <= now && now.since(last.at) < PERIOD) {
            return Ok(false);
        }
        let path = self.state_dir.join(DATABASE);
        let from = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("opening {}", path.display()))?;
        from.busy_timeout(PATIENCE)?;
        make(&self.state_dir, &from, Reason::Day)?;
        Ok(true)
    }
}

/// What the user reads when no backup can be made.
#[must_use]
pub fn no_backup(error: &anyhow::Error) -> Problem {
    if says_corrupt(error) {
        return damaged_now();
    }
    Problem::new(
        "store.no_backup",
        format!("No backup of the queue can be made: {}.", error.root_cause()),
    )
    .with_help("Make room on the disk of the data directory. It is tried again every hour.")
}
