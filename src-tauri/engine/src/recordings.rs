//! The recorded logs of devices: a file for each, for its owner's eyes only.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wakeflash_core::time::Timestamp;
use wakeflash_core::view::{LogRecording, RecordingEnd};

use crate::artifacts::{create_private_dir, create_private_file};

/// How many recordings are kept of a device, and of all together.
const KEPT: usize = 5;
const KEPT_IN_ALL: usize = 200;
/// No recording is longer than this, with all that stands around its lines: such a file isn't ours.
const LONGEST: u64 = 8 << 20;

/// A log of one wake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    /// The name that the device goes by.
    pub(crate) name: String,
    pub(crate) at: Timestamp,
    pub(crate) wake_at: Option<Timestamp>,
    pub(crate) seconds: u32,
    pub(crate) end: RecordingEnd,
    pub(crate) lines: Vec<String>,
}

impl Recording {
    fn view(&self) -> LogRecording {
        LogRecording {
            at: self.at,
            wake_at: self.wake_at,
            seconds: self.seconds,
            lines: u32::try_from(self.lines.len()).unwrap_or(u32::MAX),
            end: self.end,
        }
    }
}

fn root(state_dir: &Path) -> PathBuf {
    state_dir.join("device-logs")
}

/// A name may be any text, and of any length.
fn dir_of(state_dir: &Path, name: &str) -> PathBuf {
    let digest = hex::encode(Sha256::digest(name.as_bytes()));
    root(state_dir).join(digest.get(..32).unwrap_or(&digest))
}

fn path_of(state_dir: &Path, name: &str, at: Timestamp) -> PathBuf {
    dir_of(state_dir, name).join(format!("{}.json", at.as_millis()))
}

/// Keeps a recording; the oldest make room. It is there as a whole or not at all. Blocks.
///
/// # Errors
/// It can't be written.
pub(crate) fn keep(state_dir: &Path, recording: &Recording) -> anyhow::Result<()> {
    let dir = dir_of(state_dir, &recording.name);
    create_private_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
    let path = path_of(state_dir, &recording.name, recording.at);
    let new = path.with_extension("new");
    let written = (|| {
        let mut file = create_private_file(&new)?;
        file.write_all(&serde_json::to_vec(recording)?)?;
        file.sync_all()?;
        std::fs::rename(&new, &path)
    })();
    if written.is_err()
        && let Err(error) = std::fs::remove_file(&new)
    {
        tracing::debug!(%error, "what was written of a recording stays");
    }
    written.with_context(|| format!("writing {}", path.display()))?;
    make_room(files_in(&dir)?, KEPT);
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root(state_dir)).context("looking for recordings")? {
        all.extend(files_in(&entry.context("looking for recordings")?.path())?);
    }
    make_room(all, KEPT_IN_ALL);
    Ok(())
}

/// The recordings in a directory, by when they began.
fn files_in(dir: &Path) -> anyhow::Result<Vec<(i64, PathBuf)>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("looking for recordings in {}", dir.display()));
        }
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        let is_one = path.extension().is_some_and(|extension| extension == "json");
        let at = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        files.extend(at.filter(|_| is_one).map(|at| (at, path)));
    }
    Ok(files)
}

fn make_room(mut files: Vec<(i64, PathBuf)>, kept: usize) {
    files.sort_unstable();
    let many = files.len().saturating_sub(kept);
    for (_, path) in files.into_iter().take(many) {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "an old recording can't be deleted");
        }
    }
}

/// The recordings of a device, newest first. One that can't be read is left out, and the log says so. Blocks.
///
/// # Errors
/// Their directory can't be read.
pub(crate) fn list(state_dir: &Path, name: &str) -> anyhow::Result<Vec<LogRecording>> {
    let mut files = files_in(&dir_of(state_dir, name))?;
    files.sort_unstable();
    let mut recordings = Vec::new();
    for (_, path) in files.into_iter().rev().take(KEPT) {
        match read_file(&path, name) {
            Ok(recording) => recordings.push(recording.view()),
            Err(error) => tracing::warn!("a recording can't be read: {error:#}"),
        }
    }
    Ok(recordings)
}

/// The lines of a recording; `None`: it is gone. Blocks.
///
/// # Errors
/// It can't be read.
pub(crate) fn read(
    state_dir: &Path,
    name: &str,
    at: Timestamp,
) -> anyhow::Result<Option<Vec<String>>> {
    let path = path_of(state_dir, name, at);
    if !path.try_exists().with_context(|| format!("looking for {}", path.display()))? {
        return Ok(None);
    }
    read_file(&path, name).map(|recording| Some(recording.lines))
}

fn read_file(path: &Path, name: &str) -> anyhow::Result<Recording> {
    let reading = || format!("reading {}", path.display());
    let size = std::fs::metadata(path).with_context(reading)?.len();
    if size > LONGEST {
        bail!("{} has {size} bytes", path.display());
    }
    let bytes = std::fs::read(path).with_context(reading)?;
    let recording: Recording = serde_json::from_slice(&bytes).with_context(reading)?;
    if recording.name != name {
        bail!("{} is of another device", path.display());
    }
    Ok(recording)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn recording(name: &str, at: i64) -> Recording {
        Recording {
            name: name.to_owned(),
            at: Timestamp::from_millis(at),
            wake_at: Some(Timestamp::from_millis(at - 1)),
            seconds: 9,
            end: RecordingEnd::Slept,
            lines: vec![format!("{name} says {at}"), "\x1b[0;32mgreen\x1b[0m".to_owned()],
        }
    }

    fn times(dir: &Path, name: &str) -> Vec<i64> {
        list(dir, name).unwrap().iter().map(|it| it.at.as_millis()).collect()
    }

    #[test]
    fn the_newest_of_each_device_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert!(times(dir, "sleepy").is_empty());
        for at in [3, 1, 2, 40, 5, 6, 7] {
            keep(dir, &recording("sleepy", at)).unwrap();
        }
        keep(dir, &recording("../other", 9)).unwrap();
        assert_eq!(times(dir, "sleepy"), [40, 7, 6, 5, 3]);
        assert_eq!(times(dir, "../other"), [9]);
        let lines = |at| read(dir, "sleepy", Timestamp::from_millis(at)).unwrap();
        assert_eq!(lines(40), Some(recording("sleepy", 40).lines));
        assert_eq!(lines(1), None);
        assert_eq!(list(dir, "../other").unwrap(), [recording("../other", 9).view()]);
    }

    #[test]
    fn all_of_them_together_have_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        for device in 0..50 {
            for at in 1..=5 {
                keep(dir.path(), &recording(&format!("d{device}"), device * 10 + at)).unwrap();
            }
        }
        let left = |name: &str| times(dir.path(), name).len();
        assert_eq!((left("d0"), left("d9"), left("d10"), left("d49")), (0, 0, 5, 5));
    }

    #[test]
    fn they_are_for_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), &recording("sleepy", 1)).unwrap();
        let path = path_of(dir.path(), "sleepy", Timestamp::from_millis(1));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn a_broken_one_is_not_listed_and_said_when_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), &recording("sleepy", 1)).unwrap();
        keep(dir.path(), &recording("sleepy", 2)).unwrap();
        let path = path_of(dir.path(), "sleepy", Timestamp::from_millis(2));
        for broken in ["{", &serde_json::to_string(&recording("other", 2)).unwrap()] {
            std::fs::write(&path, broken).unwrap();
            assert_eq!(times(dir.path(), "sleepy"), [1]);
            assert!(read(dir.path(), "sleepy", Timestamp::from_millis(2)).is_err());
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("device-logs"), "in the way").unwrap();
        assert!(keep(dir.path(), &recording("sleepy", 1)).is_err());
    }
}
