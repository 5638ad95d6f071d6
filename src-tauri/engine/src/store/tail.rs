//! Where the log of the database ended. SQLite takes a log that was cut off for one that was never longer: whoever
//! deletes it, or a file system that loses its end, would put the queue back without a word. So its end is noted beside
//! it after each commit. Nobody waits for that note to be on the disk: an old one, or none, says only less.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rusqlite::Connection;

use super::{DATABASE, files};

/// The header of a log.
const HEADER: usize = 32;

/// Where its number stands: two words, of which the first is one more each time that the log begins anew.
const SALT: std::ops::Range<usize> = 16..24;

/// The end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    salt: [u8; 8],
    frames: u32,
}

/// Notes where the log ends.
#[derive(Debug)]
pub(super) struct Tail {
    log: PathBuf,
    note: PathBuf,
}

impl Tail {
    pub(super) fn new(state_dir: &Path) -> Self {
        let beside = |ending: &str| state_dir.join(format!("{DATABASE}{ending}"));
        Self { log: beside("-wal"), note: beside("-end") }
    }

    /// Notes where it ends now.
    pub(super) fn note(&self, connection: &Connection) -> anyhow::Result<()> {
        let Some(salt) = self.salt()? else { return Ok(()) };
        let End { salt, frames } = End { salt, frames: frames(connection)? };
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.note)
            .with_context(|| format!("opening {}", self.note.display()))?;
        // Always as long, so that nothing of an older one is left.
        file.write_all(format!("{} {frames:010}\n", hex::encode(salt)).as_bytes())
            .with_context(|| format!("writing {}", self.note.display()))
    }

    /// The database was closed in order: all of the log is in it.
    pub(super) fn closed(&self) -> anyhow::Result<()> {
        files::remove(&self.note)
    }

    /// Whether something of the log that was there is gone. The connection has just been opened.
    pub(super) fn was_cut(&self, connection: &Connection) -> anyhow::Result<bool> {
        let Some(noted) = self.noted()? else { return Ok(false) };
        Ok(match self.salt()? {
            None => true,
            // Another log follows when all of the one before is in the database.
            Some(salt) => salt == noted.salt && frames(connection)? < noted.frames,
        })
    }

    fn noted(&self) -> anyhow::Result<Option<End>> {
        if !files::is_there(&self.note)? {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&self.note)
            .with_context(|| format!("reading {}", self.note.display()))?;
        Ok(parse(&text))
    }

    /// The number of the log; `None`: there is none.
    fn salt(&self) -> anyhow::Result<Option<[u8; 8]>> {
        if !files::is_there(&self.log)? {
            return Ok(None);
        }
        let mut header = Vec::new();
        OpenOptions::new()
            .read(true)
            .open(&self.log)
            .and_then(|log| log.take(HEADER as u64).read_to_end(&mut header))
            .with_context(|| format!("reading {}", self.log.display()))?;
        let salt = header.get(SALT).and_then(|salt| salt.try_into().ok());
        Ok(salt.filter(|_| header.len() == HEADER))
    }
}

fn parse(text: &str) -> Option<End> {
    let (salt, frames) = text.trim_end().split_once(' ')?;
    let mut end = End { salt: [0; 8], frames: frames.parse().ok()? };
    hex::decode_to_slice(salt, &mut end.salt).ok()?;
    Some(end)
}

/// How many pages the log has.
fn frames(connection: &Connection) -> anyhow::Result<u32> {
    let frames: i64 = connection
        .query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))
        .context("asking for the length of the log")?;
    Ok(u32::try_from(frames).unwrap_or(0))
}
