//! The config directory: which configurations there are, what they say, what they consist of.
//!
//! Nothing here starts ESPHome. Everything but [`watch`] blocks: call it through `spawn_blocking`.

mod candidates;
mod followed;
mod kept;
mod look;
mod paths;
mod presence;
mod recorded;
mod sources;
mod validate;
mod watcher;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wakeflash_core::configuration::{ConfigFile, ConfigSummary, RecordedBuild, SourcesState};
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;
use wakeflash_esphome::config;
use wakeflash_esphome::files::{self, Storage};

pub use candidates::candidates;
pub use followed::{Followed, FollowedSources};
pub use paths::config_path;
pub use recorded::changed_sources;
pub use validate::validate;
pub use watcher::{ConfigsEvent, Feed, Timing, Watch, watch};
pub use words::{Esphome, KeptWord, ask};

pub(crate) use kept::KeptSources;
pub(crate) use paths::SECRETS;
pub(crate) use presence::{Identity, present};
pub(crate) use recorded::sources_of;
pub(crate) use sources::listed_reads;
use sources::{SourceTree, Stamp};

/// A scan and the files that it read.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) configs: Vec<ConfigFile>,
    /// Every path that it depends on, with what lay there: a change of one is a reason for the next scan.
    pub(crate) stamps: BTreeMap<PathBuf, Option<Stamp>>,
}

/// The configurations in a directory, by name.
///
/// # Errors
/// The directory can't be read. A file that can't is listed with its problem.
pub fn scan(config_dir: &Path) -> Result<Vec<ConfigFile>, Problem> {
    scan_with_files(config_dir).map(|scan| scan.configs)
}

pub(crate) fn scan_with_files(config_dir: &Path) -> Result<Scan, Problem> {
    let mut configs = Vec::new();
    let dirs = watched_dirs(config_dir).map(|dir| (Stamp::of(&dir), dir));
    let mut tree = SourceTree::new(config_dir);
    for name in yaml_files(config_dir).map_err(|error| dir_problem(config_dir, &error))? {
        let (id, content) = match name.to_str() {
            Some(id) => (id.to_owned(), read_config(config_dir, id, &mut tree)),
            None => {
                let problem = Problem::new("config.file_name", "The file's name isn't UTF-8.")
                    .with_help("Rename the file; its name may consist of any letters in UTF-8.");
                (name.to_string_lossy().into_owned(), Err(problem))
            }
        };
        let (content, sources) = match content {
            Ok((summary, sources)) => (Ok(summary), sources),
            Err(problem) => (Err(problem), SourcesState::default()),
        };
        configs.push(ConfigFile { id: DeviceId::of_file(id), content, sources });
    }
    let mut stamps = tree.into_stamps();
    stamps.extend(dirs.map(|(stamp, dir)| (dir, stamp)));
    Ok(Scan { configs, stamps })
}

/// The directories whose own change is a reason to look: a file came, went or was replaced.
pub(crate) fn watched_dirs(config_dir: &Path) -> [PathBuf; 2] {
    [config_dir.to_owned(), data_dir(config_dir).join("storage")]
}

/// The names of the YAML files directly in a directory, sorted. A link that leads nowhere is one of them:
/// its problem is told; a directory with such a name is none.
fn yaml_files(dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let is_dir = || fs::metadata(dir.join(&name)).is_ok_and(|metadata| metadata.is_dir());
        if paths::is_config_name(&name.to_string_lossy()) && !is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read_config(
    config_dir: &Path,
    id: &str,
    tree: &mut SourceTree,
) -> Result<(ConfigSummary, SourcesState), Problem> {
    let (documents, paths) = tree.follow(Path::new(id))?;
    let storage = storage(config_dir, id);
    let stem = id.rsplit_once('.').map_or(id, |(stem, _)| stem);
    let last_build = storage.as_ref().and_then(|storage| last_build(config_dir, storage));
    let sources = SourcesState { last_build, ..tree.state_of(&paths) };
    Ok((config::summarize(stem, &documents, storage.as_ref()), sources))
}

/// What ESPHome recorded about its last build; `None` when it recorded nothing that can be read.
fn last_build(config_dir: &Path, storage: &Storage) -> Option<RecordedBuild> {
    let path = left_at(config_dir, storage.build_path.as_ref()?).join("build_info.json");
    let info = files::build_info(&fs::read(path).ok()?).ok()?;
    let at = Timestamp::from_millis(info.build_time?.checked_mul(1_000)?);
    Some(RecordedBuild { config_hash: info.config_hash?, at })
}

/// What the last compile recorded. Without it the list says a little less, so its failures are only logged.
fn storage(config_dir: &Path, id: &str) -> Option<Storage> {
    let path = storage_path(config_dir, id, "json");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "ESPHome's storage file can't be read");
            return None;
        }
    };
    match files::storage(&bytes) {
        Ok(storage) => Some(storage),
        Err(problem) => {
            tracing::warn!(path = %path.display(), %problem, "ESPHome's storage file is of no use");
            None
        }
    }
}

/// Where ESPHome keeps what it knows about the configurations of a directory.
pub(crate) fn data_dir(config_dir: &Path) -> PathBuf {
    match std::env::var_os("ESPHOME_DATA_DIR").filter(|dir| !dir.is_empty()) {
        // A relative one is relative to where ESPHome is started, which is the config directory.
        Some(dir) => config_dir.join(dir),
        None => config_dir.join(".esphome"),
    }
}

/// Where something lies that ESPHome says it has left at this path. In a container it sees other paths: then it is what
/// lies below the data directory, or the config directory, under as much of the path as there is.
pub(crate) fn left_at(config_dir: &Path, said: &str) -> PathBuf {
    /// A name alone could be anything's.
    const NAMES: usize = 2;
    let data_dir = data_dir(config_dir);
    let path = data_dir.join(said);
    if path.exists() {
        return path;
    }
    let names: Vec<_> = said.split(['/', '\\']).filter(|name| !name.is_empty()).collect();
    let ends = (0..names.len().saturating_sub(NAMES - 1)).filter_map(|from| names.get(from..));
    let mut elsewhere = ends.flat_map(|end| {
        let end: PathBuf = end.iter().collect();
        [data_dir.join(&end), config_dir.join(&end)]
    });
    elsewhere.find(|path| path.exists()).unwrap_or(path)
}

/// `storage/FILE.EXTENSION` below the data directory.
pub(crate) fn storage_path(config_dir: &Path, id: &str, extension: &str) -> PathBuf {
    data_dir(config_dir).join("storage").join(format!("{id}.{extension}"))
}

/// Why a config directory can't be read.
pub(crate) fn dir_problem(dir: &Path, error: &io::Error) -> Problem {
    tracing::debug!(dir = %dir.display(), %error, "the config directory can't be read");
    let shown = dir.display();
    let (code, message, help) = if error.kind() == io::ErrorKind::NotFound {
        let message = format!("The config directory {shown} is not there.");
        let help = "Check how its path is written. If it lies on a drive or a network share, connect that.";
        ("config_dir.missing", message, help)
    } else if error.kind() == io::ErrorKind::NotADirectory {
        let help = "Choose the directory that your YAML files lie in.";
        ("config_dir.no_directory", format!("{shown} is no directory."), help)
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        let message = format!("Wakeflash may not read the config directory {shown}.");
        ("config_dir.denied", message, "Give yourself the right to read it.")
    } else {
        let message = format!("The config directory {shown} can't be read: {error}.");
        ("config_dir.unreadable", message, "Check the drive or the network share that it lies on.")
    };
    Problem::new(code, message).with_help(help)
}

/// It doesn't even say that it isn't there.
pub(crate) fn silent(dir: &Path) -> Problem {
    let message = format!("The config directory {} doesn't answer.", dir.display());
    Problem::new("config_dir.silent", message)
        .with_help("Check the drive or the network share that it lies on.")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
