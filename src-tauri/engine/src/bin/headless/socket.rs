//! Where the service is found: a Unix socket in a directory of its own, both for nobody but their owner.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tokio::net::UnixListener;

/// The socket of a state directory.
pub(crate) fn path(state: &Path) -> PathBuf {
    state.join("service").join("socket")
}

/// Listens for clients. Only who holds the lock of the state directory may do this: a socket that is there is then
/// that of a process that has ended.
pub(crate) fn listen(state: &Path) -> anyhow::Result<UnixListener> {
    let path = path(state);
    let dir = state.join("service");
    let what = || format!("{} can't be listened on", path.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).with_context(what)?;
    // Whatever the rights of one that is there were: what others could do before the next line is over with the socket
    // that is removed next.
    std::fs::set_permissions(&dir, Permissions::from_mode(0o700)).with_context(what)?;
    remove(state)?;
    let listener = UnixListener::bind(&path).with_context(what)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).with_context(what)?;
    Ok(listener)
}

/// Removes the socket, if there is one.
pub(crate) fn remove(state: &Path) -> anyhow::Result<()> {
    let path = path(state);
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) => {
            ensure!(metadata.file_type().is_socket(), "{} is no socket", path.display());
            std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("looking at {}", path.display())),
    }
}
