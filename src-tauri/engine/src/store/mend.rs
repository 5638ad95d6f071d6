//! Puts another database in the place of a damaged one, which is kept.
//!
//! A replacement is made beside it and complete when it has the name `wakeflash.db.next`. From then on it takes the
//! database's place, now or at the next start: whatever ends the application in the middle, there is never less than
//! one of the two, and never the log of the one beside the other.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rusqlite::Connection;
use wakeflash_core::time::Timestamp;
use wakeflash_core::view::StoreChoice;

use super::open::{create, sign};
use super::set_back::{SetBack, set_back};
use super::{DATABASE, OpenError, Store, files, migrations, time_of};

/// How many damaged databases are kept.
const KEPT: usize = 2;

const NEXT: &str = "wakeflash.db.next";

/// Does what the user has chosen about a damaged database. A sound one is left as it is.
///
/// # Errors
/// There is no backup, or it can't be written; the damaged database is still there then.
pub fn mend(state_dir: &Path, choice: StoreChoice) -> Result<(), OpenError> {
    let damage = match Store::open(state_dir).and_then(|store| store.load().map(drop)) {
        Ok(()) => return Ok(()),
        Err(OpenError::Damaged(damage)) => damage,
        Err(error) => return Err(error),
    };
    let _lock = files::lock(state_dir)?;
    let made = state_dir.join("wakeflash.db.made");
    files::remove(&made)?;
    match (choice, &damage.backup) {
        (StoreChoice::RestoreBackup, Some(backup)) => {
            tracing::warn!("restoring {}", backup.path.display());
            files::private_file(&made)?;
            std::fs::copy(&backup.path, &made).context("copying the backup")?;
            note_restored(&made, backup.at)?;
        }
        (StoreChoice::RestoreBackup, None) => return Err(OpenError::Damaged(damage)),
        (StoreChoice::StartEmpty, _) => {
            tracing::warn!("starting with an empty queue");
            create(&made)?;
        }
    }
    files::sync(&made)?;
    files::rename(&made, &state_dir.join(NEXT))?;
    finish(state_dir)?;
    Ok(())
}

fn note_restored(path: &Path, at: Timestamp) -> anyhow::Result<()> {
    let mut connection = Connection::open(path).context("opening the backup")?;
    migrations::migrate(&mut connection)?;
    sign(&connection)?;
    set_back(&mut connection, SetBack::Restored, at)?;
    connection.close().map_err(|(_, error)| error).context("closing the copy of the backup")
}

/// Ends what [`mend`] began.
pub(super) fn finish(state_dir: &Path) -> anyhow::Result<()> {
    let next = state_dir.join(NEXT);
    if !files::is_there(&next)? {
        return Ok(());
    }
    let database = state_dir.join(DATABASE);
    // The same name also when this is begun once more.
    let made = next.metadata().and_then(|next| next.modified());
    let made = made.with_context(|| format!("looking at {}", next.display()))?;
    let kept = state_dir.join("damaged").join(time_of(made).as_millis().to_string());
    files::private_dir(&kept)?;
    // Its log goes first, and what is noted about that: they must never be beside another database.
    for ending in ["-wal", "-shm", "-end", ""] {
        let file = PathBuf::from(format!("{}{ending}", database.display()));
        if files::is_there(&file)? {
            files::rename(&file, &kept.join(format!("{DATABASE}{ending}")))?;
        }
    }
    files::rename(&next, &database)?;
    tracing::warn!("the damaged database is in {}", kept.display());
    delete_old(&state_dir.join("damaged"))
}

fn delete_old(dir: &Path) -> anyhow::Result<()> {
    let reading = || format!("reading {}", dir.display());
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(reading)? {
        kept.push(entry.with_context(reading)?.path());
    }
    kept.sort();
    kept.reverse();
    for old in kept.iter().skip(KEPT) {
        std::fs::remove_dir_all(old).with_context(|| format!("deleting {}", old.display()))?;
    }
    Ok(())
}
