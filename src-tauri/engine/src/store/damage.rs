//! A database that isn't what was written: what is wrong, what there is instead, what would be lost.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;
use wakeflash_core::view::{StoreBackup, StoreDamage};

use super::backup::{self, Backup};
use super::{DATABASE, OpenError, check, migrations};

/// What is wrong with the database, and what there is instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong, for people who know SQLite.
    pub reason: String,
    /// The last backup that is good.
    pub backup: Option<Offer>,
    /// The devices that an update was asked for since that backup, as far as that can still be read.
    pub lost: Vec<String>,
}

/// A backup that can take the place of a damaged database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Where it is.
    pub path: PathBuf,
    /// When it was made.
    pub at: Timestamp,
    /// The devices whose updates are under way in it.
    pub under_way: Vec<String>,
    /// How many devices are remembered in it.
    pub devices: u32,
    last_update: u32,
}

impl Damage {
    /// Looks for what there is instead of a damaged database.
    pub(super) fn error(state_dir: &Path, reason: impl Into<String>) -> OpenError {
        let reason = reason.into();
        tracing::error!("the database is damaged: {reason}");
        let backups = match backup::all(state_dir) {
            Ok(backups) => backups,
            Err(error) => return OpenError::Other(error),
        };
        let backup = backups.iter().find_map(|backup| match look(backup) {
            Ok(offer) => Some(offer),
            Err(error) => {
                tracing::error!("{} can't be used: {error:#}", backup.path.display());
                None
            }
        });
        let since = backup.as_ref().map_or(0, |backup| backup.last_update);
        let lost = asked_since(&state_dir.join(DATABASE), since).into_iter().collect();
        OpenError::Damaged(Box::new(Self { reason, backup, lost }))
    }

    /// What the user reads.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let message = format!("The database of the queue is damaged: {}.", self.reason);
        let help = match &self.backup {
            Some(_) => {
                "Restore the last backup, or start with an empty queue. The damaged file is kept."
            }
            None => "There is no backup. Start with an empty queue; the damaged file is kept.",
        };
        Problem::new("store.damaged", message).with_help(help)
    }

    /// What the window shows of it.
    #[must_use]
    pub fn view(&self) -> StoreDamage {
        let backup = self.backup.as_ref().map(|offer| StoreBackup {
            at: offer.at,
            devices: offer.devices,
            under_way: offer.under_way.clone(),
        });
        StoreDamage { reason: self.reason.clone(), backup, lost: self.lost.clone() }
    }
}

/// Reads a backup to its end.
fn look(backup: &Backup) -> anyhow::Result<Offer> {
    let connection = Connection::open_with_flags(&backup.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check::check(&connection)?;
    let version = migrations::version(&connection)?;
    anyhow::ensure!((1..=migrations::VERSION).contains(&version), "it has version {version}");
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get(0));
    let mut active =
        connection.prepare("SELECT device FROM updates WHERE active = 1 ORDER BY id")?;
    let under_way = active.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Offer {
        path: backup.path.clone(),
        at: backup.at,
        under_way,
        devices: count("SELECT count(*) FROM devices")?,
        last_update: count("SELECT coalesce(max(id), 0) FROM updates")?,
    })
}

/// The devices that updates after this one were of, as far as a damaged database can be read.
fn asked_since(path: &Path, update: u32) -> BTreeSet<String> {
    let mut devices = BTreeSet::new();
    let mut read = || -> rusqlite::Result<()> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut statement =
            connection.prepare("SELECT device FROM updates WHERE id > ?1 ORDER BY id DESC")?;
        let mut rows = statement.query([update])?;
        while let Some(row) = rows.next()? {
            devices.insert(row.get(0)?);
        }
        Ok(())
    };
    if let Err(error) = read() {
        tracing::info!("what was asked for since can't be read to the end: {error}");
    }
    devices
}
