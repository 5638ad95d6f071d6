//! Whether a config directory is there: nothing is said about its files when it isn't.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;

use super::dir_problem;

/// Tells a directory from another one that lies at its path at another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let (device, inode) = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.dev(), metadata.ino())
        };
        // Elsewhere nothing tells them apart.
        #[cfg(not(unix))]
        let (device, inode) = (0, u64::from(metadata.is_dir()));
        Self { device, inode }
    }
}

/// Makes sure that the directory of a configuration is there, and more than an empty mount point.
///
/// # Errors
/// It isn't, or can't be read.
pub(crate) fn present(config_dir: &Path, device: &DeviceId) -> Result<Identity, Problem> {
    let look = || {
        let identity = Identity::of(&fs::metadata(config_dir)?);
        let used = has_yaml(config_dir)? || config_dir.join(device.as_str()).exists();
        // The drive or share isn't mounted, and its mount point is what can be seen.
        if used { Ok(identity) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    look().map_err(|error: io::Error| dir_problem(config_dir, &error))
}

/// Whether there is any YAML file at all.
fn has_yaml(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let name = PathBuf::from(entry?.file_name());
        if name.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            return Ok(true);
        }
    }
    Ok(false)
}
