//! The environments of ESPHome that are the application's own.
//!
//! A Python environment knows its own path, so none is ever moved: each installation gets a directory of its own,
//! `esphome-<number>`, and counts once the file that is written last is in it. The newest one that counts is used;
//! older ones are deleted when nothing runs in them any more. `esphome`, without a number, is the one that earlier
//! versions made.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::artifacts::create_private_dir;

/// Written last: an environment without it is half made.
const COMPLETE: &str = "wakeflash-complete";
const STEM: &str = "esphome";

/// One environment. The newest one has the highest number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Environment {
    number: u32,
    dir: PathBuf,
}

impl Environment {
    fn of(dir: PathBuf) -> Option<Self> {
        let rest = dir.file_name()?.to_str()?.strip_prefix(STEM)?;
        let number = match rest.strip_prefix('-') {
            Some(number) => number.parse().ok().filter(|number| *number > 0)?,
            None if rest.is_empty() => 0,
            None => return None,
        };
        Some(Self { number, dir })
    }

    /// A new place, in which nothing is yet.
    ///
    /// # Errors
    /// The state directory can't be read or written.
    pub(super) fn new(state_dir: &Path) -> io::Result<Self> {
        create_private_dir(state_dir)?;
        let newest = all(state_dir)?.last().map_or(0, |environment| environment.number);
        let number = newest.saturating_add(1);
        Ok(Self { number, dir: state_dir.join(format!("{STEM}-{number}")) })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn bin(&self) -> PathBuf {
        self.dir.join(if cfg!(windows) { "Scripts" } else { "bin" })
    }

    /// Its `esphome`, whether it exists or not.
    pub(super) fn program(&self) -> PathBuf {
        self.bin().join(super::program_name())
    }

    /// Its `python`.
    pub(super) fn python(&self) -> PathBuf {
        self.bin().join(if cfg!(windows) { "python.exe" } else { "python" })
    }

    fn is_complete(&self) -> bool {
        self.dir.join(COMPLETE).is_file()
    }

    /// Makes it count, also after a power cut.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn complete(&self, version: &str) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(std::fs::File::open(&self.dir)?)?;
        let mut mark = std::fs::File::create(self.dir.join(COMPLETE))?;
        mark.write_all(version.as_bytes())?;
        mark.sync_all()?;
        // Its name, too.
        #[cfg(unix)]
        std::fs::File::open(&self.dir)?.sync_all()?;
        Ok(())
    }

    /// Deletes it, complete or not; its mark first, so that what is left of it never counts.
    ///
    /// # Errors
    /// It can't be deleted.
    pub(super) fn delete(&self) -> io::Result<()> {
        unless_gone(std::fs::remove_file(self.dir.join(COMPLETE)))?;
        unless_gone(std::fs::remove_dir_all(&self.dir))
    }
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// All of them, the newest last.
fn all(state_dir: &Path) -> io::Result<Vec<Environment>> {
    let entries = match std::fs::read_dir(state_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(Environment::of(entry?.path()));
    }
    found.sort();
    Ok(found)
}

/// Those that count, the newest first.
pub(super) fn complete(state_dir: &Path) -> Vec<Environment> {
    let mut found = all(state_dir).unwrap_or_else(|error| {
        tracing::warn!(%error, "our own environments can't be looked for");
        Vec::new()
    });
    found.retain(Environment::is_complete);
    found.reverse();
    found
}

/// What a killed installation has left: to be asked for at the start, when none can be under way.
pub(crate) fn leftovers(state_dir: &Path) -> Vec<Environment> {
    let mut found = all(state_dir).unwrap_or_default();
    found.retain(|environment| !environment.is_complete());
    found
}

/// What nobody needs any more: those older than the newest one that counts, and than the program that is used.
/// One that is being made is newer.
pub(crate) fn outdated(state_dir: &Path, used: Option<&Path>) -> Vec<Environment> {
    let Some(newest) = complete(state_dir).into_iter().next() else { return Vec::new() };
    let mut found = all(state_dir).unwrap_or_default();
    found.retain(|environment| {
        let is_used = used.is_some_and(|program| program.starts_with(&environment.dir));
        *environment < newest && !is_used
    });
    found
}

/// Deletes environments. What can't be deleted is tried again at the next start.
pub(crate) fn delete(environments: &[Environment]) {
    for environment in environments {
        match environment.delete() {
            Ok(()) => {
                tracing::info!("deleted {}, an ESPHome of our own", environment.dir.display())
            }
            Err(error) => {
                tracing::warn!(%error, "{} can't be deleted", environment.dir.display());
            }
        }
    }
}
