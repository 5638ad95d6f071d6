//! Opening the database. Until it is known to be sound and not too new, nothing of it is written.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::backup::{self, Reason};
use super::damage::Damage;
use super::error::says_damaged;
use super::set_back::{SetBack, set_back};
use super::{DATABASE, OWN_VERSION, OpenError, Tail, check, files, mend, migrations, time_of};

/// How long somebody else who writes into the database is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open database.
#[derive(Debug)]
pub(super) struct Opened {
    /// Whoever writes has this one.
    pub(super) writes: Connection,
    /// It sees what is committed, and waits for nobody.
    pub(super) reads: Connection,
    pub(super) lock: File,
}

/// Opens the database of a state directory, through one of SQLite's file systems.
pub(super) fn open(state_dir: &Path, vfs: &str) -> Result<Opened, OpenError> {
    files::private_dir(state_dir)?;
    let lock = files::lock(state_dir)?;
    mend::finish(state_dir)?;
    let path = state_dir.join(DATABASE);
    if is_there(state_dir, &path)? {
        look(state_dir, &path, vfs).map_err(|error| error.or_damage(state_dir))?;
        files::private_file(&path)?;
    } else {
        // It has its name when it is complete: an empty file is none.
        let made = path.with_extension("db.made");
        create(&made)?;
        files::rename(&made, &path)?;
    }
    let opened = connect(&path, vfs).and_then(|mut writes| {
        let cut = Tail::new(state_dir).was_cut(&writes)?;
        bring_up(state_dir, &mut writes)?;
        if cut {
            tracing::error!("the end of the database's log is gone");
            let changed = path.metadata().and_then(|file| file.modified())?;
            set_back(&mut writes, SetBack::Cut, time_of(changed))?;
        }
        let reads = read_only(&path, vfs)?;
        Ok((writes, reads))
    });
    let (writes, reads) = opened.map_err(|error| OpenError::from(error).or_damage(state_dir))?;
    Ok(Opened { writes, reads, lock })
}

impl OpenError {
    /// The same, or that the database is damaged, when that is what it says.
    pub(super) fn or_damage(self, state_dir: &Path) -> Self {
        match self {
            Self::Other(error) if says_damaged(&error) => {
                Damage::error(state_dir, format!("{}", error.root_cause()))
            }
            Self::Other(_) | Self::InUse(_) | Self::Newer { .. } | Self::Damaged(_) => self,
        }
    }
}

/// Whether there is a database; one that has gone is damage.
fn is_there(state_dir: &Path, path: &Path) -> Result<bool, OpenError> {
    if files::is_there(path)? {
        let size = path.metadata().with_context(|| format!("looking at {}", path.display()))?;
        if size.is_file() && size.len() == 0 {
            return Err(Damage::error(state_dir, "the file is empty"));
        }
        return Ok(true);
    }
    let log = path.with_extension("db-wal");
    if files::is_there(&log)? || !backup::all(state_dir)?.is_empty() {
        return Err(Damage::error(state_dir, "the file is gone"));
    }
    Ok(false)
}

/// Looks at a database without changing anything of it.
fn look(state_dir: &Path, path: &Path, vfs: &str) -> Result<(), OpenError> {
    let connection = read_only(path, vfs)?;
    let found = migrations::version(&connection)?;
    let known = migrations::VERSION;
    // Another version may have moved even this.
    let about = connection
        .query_row("SELECT written_by, schema FROM about", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .unwrap_or_default();
    let (written_by, schema): (Option<String>, Option<u32>) = about.unzip();
    match schema {
        Some(schema) if schema != found => {
            let reason = format!("it is of version {found} and of version {schema}");
            Err(Damage::error(state_dir, reason))
        }
        _ if found > known => Err(OpenError::Newer { found, known, written_by }),
        _ => Ok(check::check(&connection)?),
    }
}

fn connect(path: &Path, vfs: &str) -> anyhow::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(path, flags, vfs)
        .with_context(|| format!("opening {}", path.display()))?;
    configure(&connection).with_context(|| format!("preparing {}", path.display()))?;
    Ok(connection)
}

fn read_only(path: &Path, vfs: &str) -> anyhow::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(path, flags, vfs)
        .with_context(|| format!("opening {}", path.display()))?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// Makes an empty database.
pub(super) fn create(path: &Path) -> anyhow::Result<()> {
    files::private_file(path)?;
    let mut connection =
        Connection::open(path).with_context(|| format!("making {}", path.display()))?;
    migrations::migrate(&mut connection)?;
    sign(&connection)?;
    connection.close().map_err(|(_, error)| error).context("closing a new database")
}

/// Brings the schema up to date. What was before is kept.
fn bring_up(state_dir: &Path, connection: &mut Connection) -> anyhow::Result<()> {
    if migrations::version(connection)? < migrations::VERSION {
        backup::make(state_dir, connection, Reason::Schema)?;
        migrations::migrate(connection)?;
    }
    sign(connection)
}

/// Says which version has written last, for older ones.
pub(super) fn sign(connection: &Connection) -> anyhow::Result<()> {
    connection
        .execute(
            "INSERT INTO about (only, written_by, schema) VALUES (1, ?1, ?2) ON CONFLICT (only)
             DO UPDATE SET written_by = excluded.written_by, schema = excluded.schema
             WHERE (written_by, schema) <> (excluded.written_by, excluded.schema)",
            (OWN_VERSION, migrations::VERSION),
        )
        .context("saying which version this is")
        .map(drop)
}
