//! What must survive: the updates, what is remembered of the devices, and the settings, in SQLite.
//!
//! Every commit is on the disk when it returns (WAL with `synchronous=FULL`). One copy of the application
//! at a time has the store open; the lock ends with the process, however it ends.

pub(crate) mod aside;
mod devices;
mod history;
mod migrations;
mod rows;
mod seal;
mod settings;
mod updates;
mod wakes;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::oneshot;
use wakeflash_core::device::{DeviceId, DeviceMemory};
pub use wakeflash_core::dispatch::WriteSet as Commit;
use wakeflash_core::error::Problem;
use wakeflash_core::schedule::Wake;
use wakeflash_core::settings::Settings;
use wakeflash_core::update::{Update, UpdateId};

pub use aside::Unreadable;
pub use history::History;

/// The version of the application.
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

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
            Self::Other(error) => Problem::new(
                "store.unusable",
                format!("The queue can't be opened: {}.", error.root_cause()),
            )
            .with_help("Check that the data directory can be written and that its disk isn't full. Nothing was changed."),
        }
    }
}

/// What was stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The active updates and the last one of every device.
    pub updates: Vec<Update>,
    /// What is remembered of the devices, by name.
    pub memories: BTreeMap<String, DeviceMemory>,
    /// The wakes of the devices that were seen, by name, oldest first.
    pub wakes: BTreeMap<String, Vec<Wake>>,
    /// The settings.
    pub settings: Settings,
    /// A number greater than that of every update that ever was.
    pub next_id: u32,
    /// What is to be said about it, such as rows that can't be read.
    pub problems: Vec<Problem>,
}

/// The open store.
#[derive(Clone, Debug)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
    writer: Arc<Writer>,
    _lock: Arc<File>,
}

/// A thread of its own for commits: they must not wait behind work on files that hangs.
#[derive(Debug)]
struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// A commit and where its outcome goes.
type Job = (Commit, oneshot::Sender<anyhow::Result<()>>);

impl Writer {
    fn start(connection: Arc<Mutex<Connection>>) -> anyhow::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let write = move || {
            while let Ok((commit, done)) = queue.recv() {
                // Whoever asked may be gone; it is written all the same.
                let _ = done.send(write(&connection, &commit));
            }
        };
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(write);
        let thread = thread.context("starting the thread of the store")?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }
}

impl Drop for Writer {
    /// The last commit ends, and the database is closed, before the lock is given up.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the store ended badly");
        }
    }
}

impl Store {
    /// Opens the store in a directory, which is made if it isn't there.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing has been changed then.
    pub fn open(state_dir: &Path) -> Result<Self, OpenError> {
        private_dir(state_dir)?;
        let lock = lock(state_dir)?;
        let path = state_dir.join("wakeflash.db");
        refuse_newer(&path)?;
        // SQLite gives its own files the mode of the database, so that one has to exist with the right mode.
        private_file(&path)?;
        let mut connection =
            Connection::open(&path).with_context(|| format!("opening {}", path.display()))?;
        configure(&connection).with_context(|| format!("preparing {}", path.display()))?;
        migrations::migrate(&mut connection)?;
        sign(&connection)?;
        let connection = Arc::new(Mutex::new(connection));
        let writer = Arc::new(Writer::start(Arc::clone(&connection))?);
        Ok(Self { connection, writer, _lock: Arc::new(lock) })
    }

    /// Reads what was stored. Rows that can't be read are set aside.
    ///
    /// # Errors
    /// The database can't be read, or a row not be set aside.
    pub fn load(&self) -> anyhow::Result<Loaded> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that were set aside when the schema was brought up.
        aside::put_stand_ins(&connection)?;
        loop {
            let (updates, mut unreadable) = updates::load(&connection)?;
            let (memories, devices) = devices::load(&connection)?;
            let (settings, rows) = settings::load(&connection)?;
            unreadable.extend(devices.into_iter().chain(rows));
            if !unreadable.is_empty() {
                // What comes to light below them may be unreadable, too.
                set_aside(&mut connection, &unreadable)?;
                continue;
            }
            let wakes = wakes::load(&connection)?;
            let next_id = updates::next_id(&connection)?;
            let problems = aside::problems(&aside::open_losses(&connection, &updates)?);
            return Ok(Loaded { updates, memories, wakes, settings, next_id, problems });
        }
    }

    /// Writes a change as a whole or not at all; it is on the disk when this returns.
    ///
    /// # Errors
    /// The disk is full or gone, or the database refuses; nothing of it is stored then.
    pub async fn commit(&self, commit: Commit) -> anyhow::Result<()> {
        let (done, outcome) = oneshot::channel();
        let jobs = self.writer.jobs.as_ref().context("the store is closed")?;
        jobs.send((commit, done)).ok().context("the thread of the store has ended")?;
        outcome.await.context("the thread of the store has ended")?
    }

    /// The updates of a device, newest first; at most 50.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn history(&self, device: &DeviceId) -> anyhow::Result<History> {
        let (store, device) = (self.clone(), device.clone());
        tokio::task::spawn_blocking(move || {
            let connection = store.connection.lock().unwrap_or_else(PoisonError::into_inner);
            history::load(&connection, device.as_str())
        })
        .await?
    }

    /// Whether there is an update of this number.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn has_update(&self, id: UpdateId) -> anyhow::Result<bool> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || {
            let connection = store.connection.lock().unwrap_or_else(PoisonError::into_inner);
            history::has(&connection, id.0)
        })
        .await?
    }

    /// Whether a change could be written now: writes one that changes nothing.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn check_writable(&self) -> anyhow::Result<()> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut connection = store.connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction().context("beginning a transaction")?;
            let version: u32 =
                transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            transaction.pragma_update(None, "user_version", version)?;
            transaction.commit().context("committing")
        })
        .await?
    }
}

fn write(connection: &Mutex<Connection>, commit: &Commit) -> anyhow::Result<()> {
    let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
    let transaction = connection.transaction().context("beginning a transaction")?;
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

fn set_aside(connection: &mut Connection, unreadable: &[Unreadable]) -> anyhow::Result<()> {
    let transaction = connection.transaction()?;
    for row in unreadable {
        aside::set_aside(&transaction, row, migrations::VERSION)?;
    }
    aside::put_stand_ins(&transaction)?;
    transaction.commit().context("setting rows aside")
}

/// Looks at the version of a database without changing anything of it.
fn refuse_newer(path: &Path) -> Result<(), OpenError> {
    if !path.exists() {
        return Ok(());
    }
    let opening = || format!("opening {}", path.display());
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(opening)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .with_context(opening)?;
    let found = migrations::version(&connection)?;
    let known = migrations::VERSION;
    if found <= known {
        return Ok(());
    }
    // Another version may have moved even this.
    let written_by = connection
        .query_row("SELECT written_by FROM about", [], |row| row.get(0))
        .optional()
        .unwrap_or_default();
    Err(OpenError::Newer { found, known, written_by })
}

/// Says which version has written last, for older ones.
fn sign(connection: &Connection) -> anyhow::Result<()> {
    connection
        .execute(
            "INSERT INTO about (only, written_by) VALUES (1, ?1) ON CONFLICT (only)
             DO UPDATE SET written_by = excluded.written_by
             WHERE written_by <> excluded.written_by",
            [OWN_VERSION],
        )
        .context("saying which version this is")
        .map(drop)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// Makes a directory that only its owner can enter. The rights of one that is there are somebody's choice.
pub(crate) fn private_dir(path: &Path) -> anyhow::Result<()> {
    if let Ok(metadata) = std::fs::metadata(path) {
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!("others can enter {} (mode {mode:o})", path.display());
        }
    }
    // The mode is that of what is made here.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("making the directory {}", path.display()))
}

fn private_file(path: &Path) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    opened
        .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
        .with_context(|| format!("making the file {}", path.display()))
}

fn lock(state_dir: &Path) -> Result<File, OpenError> {
    let path = state_dir.join("lock");
    let opened =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = opened.with_context(|| format!("opening {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(error) if io::Error::from(error).kind() == io::ErrorKind::WouldBlock => {
            Err(OpenError::InUse(state_dir.to_owned()))
        }
        Err(error) => {
            Err(anyhow::Error::new(error).context(format!("locking {}", path.display())).into())
        }
    }
}

#[cfg(test)]
mod tests;
