//! What must survive: the updates, what is remembered of the devices, and the settings, in SQLite.
//!
//! Every commit is on the disk when it is said to be (WAL with `synchronous=FULL`). One copy of the application
//! at a time has the store open; the lock ends with the process, however it ends.

mod answers;
pub(crate) mod aside;
mod backup;
mod check;
mod damage;
mod devices;
mod error;
mod files;
mod history;
mod load;
mod mend;
mod migrations;
mod open;
mod reader;
mod rows;
mod seal;
mod set_back;
mod settings;
mod tail;
mod updates;
mod wakes;
mod writer;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use rusqlite::Connection;
pub use wakeflash_core::dispatch::WriteSet as Commit;
use wakeflash_core::time::Timestamp;

pub use answers::Answers;
pub use backup::{Backups, no_backup};
pub use damage::Damage;
pub use error::{OpenError, unwritable};
pub(crate) use files::private_dir;
pub use history::{Ended, History};
pub use load::Loaded;
pub use mend::mend;
pub use reader::Reader;
pub use set_back::SET_BACK;
use tail::Tail;
use writer::Writer;

/// The version of the application.
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The file of the database.
const DATABASE: &str = "wakeflash.db";

/// SQLite's own file system.
const VFS: &str = "unix";

/// The open store. One commit at a time is under way, and nobody has to wait for it.
#[derive(Debug)]
pub struct Store {
    state_dir: PathBuf,
    reader: Reader,
    answers: Answers,
    writer: Writer,
}

impl Store {
    /// Opens the store in a directory, which is made if it isn't there.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing has been changed then.
    pub fn open(state_dir: &Path) -> Result<Self, OpenError> {
        Self::open_on(state_dir, VFS)
    }

    /// The same, through one of SQLite's file systems.
    pub(crate) fn open_on(state_dir: &Path, vfs: &str) -> Result<Self, OpenError> {
        let open::Opened { writes, reads, lock } = open::open(state_dir, vfs)?;
        let writer = Writer::start(writes, Tail::new(state_dir), lock)?;
        let answers = Answers::new(writer.beside());
        let state_dir = state_dir.to_owned();
        Ok(Self { state_dir, reader: Reader::new(reads), answers, writer })
    }

    /// Reads what was stored. Rows that can't be read are set aside.
    ///
    /// # Errors
    /// The database can't be read, or a row not be set aside.
    pub fn load(&self) -> Result<Loaded, OpenError> {
        let loaded = self.writer.with(load::load).and_then(|loaded| loaded);
        loaded.map_err(|error| OpenError::from(error).or_damage(&self.state_dir))
    }

    /// Hands in a change, to be written as a whole or not at all. [`Self::stored`] says how that ends; until then no
    /// other one may be handed in. A change of nothing shows whether the database can be written.
    pub fn begin(&mut self, commit: Commit) {
        self.writer.begin(commit);
    }

    /// Whether a change is under way.
    #[must_use]
    pub fn is_storing(&self) -> bool {
        self.writer.is_storing()
    }

    /// How the change ended that is under way. It is on the disk then, or nothing of it is stored. Without one it never
    /// answers. When it isn't waited for to the end, nothing is lost: it can be asked again.
    ///
    /// # Errors
    /// The disk is full or gone, or the database refuses.
    pub async fn stored(&mut self) -> anyhow::Result<()> {
        self.writer.stored().await
    }

    /// Hands in a change and waits for it.
    ///
    /// # Errors
    /// As [`Self::stored`].
    pub async fn commit(&mut self, commit: Commit) -> anyhow::Result<()> {
        self.begin(commit);
        self.stored().await
    }

    /// What reads beside it.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// What keeps ESPHome's answers in it.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.answers.clone()
    }

    /// What makes backups of it.
    #[must_use]
    pub fn backups(&self) -> Backups {
        Backups::new(&self.state_dir)
    }

    /// Closes it when the change that is under way has ended, and waits for that no longer than this; whether it has.
    pub async fn shutdown(&mut self, limit: Duration) -> bool {
        self.writer.shutdown(limit).await
    }
}

fn write(connection: &mut Connection, commit: &Commit) -> anyhow::Result<()> {
    let transaction = connection.transaction().context("beginning a transaction")?;
    if commit.is_empty() {
        // Something that changes nothing: it shows whether anything can be written.
        let version = migrations::version(&transaction)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    // The ended ones first: only one update per device may be active, also within the transaction.
    let (ended, active): (Vec<_>, Vec<_>) =
        commit.updates.iter().partition(|update| update.state.kind().is_final());
    for update in ended.into_iter().chain(active) {
        updates::save(&transaction, update)?;
        history::prune(&transaction, update.device.as_str())?;
    }
    for name in &commit.forgotten {
        devices::forget(&transaction, name)?;
        wakes::forget(&transaction, name)?;
    }
    for (name, memory) in &commit.memories {
        devices::save(&transaction, name, memory)?;
    }
    for (name, wakes) in &commit.wakes {
        wakes::save(&transaction, name, wakes)?;
    }
    if let Some(settings) = &commit.settings {
        settings::save(&transaction, settings)?;
    }
    transaction.commit().context("committing")
}

fn now() -> Timestamp {
    time_of(SystemTime::now())
}

fn time_of(time: SystemTime) -> Timestamp {
    let passed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(passed.as_millis().try_into().unwrap_or(i64::MAX))
}

#[cfg(test)]
pub(crate) mod tests;
