//! The sources of builds that matter now: those that are waited with, and those that run on devices.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wakeflash_core::configuration::ConfigFile;
use wakeflash_core::device::DeviceId;
use wakeflash_core::update::SourceFile;

use super::recorded::{Contents, telling_paths};
use super::sources::Stamp;

/// What is followed of each device.
pub type Followed = BTreeMap<DeviceId, FollowedSources>;

/// The sources of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowedSources {
    /// Of the build that waits for the device.
    pub delivered: Option<Arc<Vec<SourceFile>>>,
    /// Of the build that was installed last.
    pub installed: Option<Arc<Vec<SourceFile>>>,
}

/// What lay there when it was looked at.
pub(super) type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// The stamps of everything that tells whether one of these has changed.
pub(super) fn stamps(config_dir: &Path, followed: &Followed) -> Stamps {
    let mut stamps = Stamps::new();
    let sources = followed.values().flat_map(|one| [&one.delivered, &one.installed]);
    for sources in sources.flatten() {
        add_stamps(config_dir, sources, &mut stamps);
    }
    stamps
}

pub(super) fn add_stamps(config_dir: &Path, sources: &[SourceFile], stamps: &mut Stamps) {
    for path in telling_paths(config_dir, sources) {
        stamps.entry(path).or_insert_with_key(|path| Stamp::of(path));
    }
}

/// Says of each configuration whether its sources are no longer those of what was installed.
pub(super) fn note_modified(
    config_dir: &Path,
    followed: &Followed,
    contents: &mut Contents,
    configs: &mut [ConfigFile],
) {
    for config in configs {
        let installed = followed.get(&config.id).and_then(|one| one.installed.as_ref());
        let Some(installed) = installed else { continue };
        let code: Vec<SourceFile> =
            installed.iter().filter(|source| !source.is_yaml()).cloned().collect();
        config.sources.modified = Some(contents.differ(config_dir, installed));
        config.sources.code_modified = Some(contents.differ(config_dir, &code));
    }
}
