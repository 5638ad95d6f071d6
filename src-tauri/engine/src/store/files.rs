//! Files and directories of the store: private ones, and changes of names that last.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

use super::OpenError;

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

/// Makes a file private, and makes it if it isn't there. SQLite gives its own files the mode of the database.
pub(super) fn private_file(path: &Path) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    opened
        .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
        .with_context(|| format!("making the file {}", path.display()))
}

/// Takes the only right to work with a state directory, for as long as the file is open.
pub(super) fn lock(state_dir: &Path) -> Result<File, OpenError> {
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

/// Gives a file another name, in the place of what has it. It lasts when this returns.
pub(super) fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::rename(from, to)
        .with_context(|| format!("renaming {} to {}", from.display(), to.display()))?;
    for dir in [from.parent(), to.parent()].into_iter().flatten() {
        sync(dir)?;
    }
    Ok(())
}

/// Waits until a file's content or a directory's names are on the disk.
pub(super) fn sync(path: &Path) -> anyhow::Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("waiting for {} to be on the disk", path.display()))
}

/// Whether there is something of this name, whatever it is.
pub(super) fn is_there(path: &Path) -> anyhow::Result<bool> {
    path.try_exists().with_context(|| format!("looking for {}", path.display()))
}

/// Deletes a file, if it is there.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    if is_there(path)? {
        std::fs::remove_file(path).with_context(|| format!("deleting {}", path.display()))?;
    }
    Ok(())
}
