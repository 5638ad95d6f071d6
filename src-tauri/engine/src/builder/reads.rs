//! What a build reads: seen by a program of our own that runs ESPHome, and in what its compilers left. Where ESPHome
//! is started in another way, it is asked which files it would read.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use wakeflash_core::error::Problem;
use wakeflash_core::update::{Sha256, SourceFile};
use wakeflash_esphome::compile::Exit;
use wakeflash_esphome::ninja;
use wakeflash_esphome::witness::{self, CHANGED, Reads};

use super::{BuildEnd, BuildRequest, MARKER};
use crate::artifacts::{create_private_dir, digest};
use crate::configs::{data_dir, listed_reads, sources_of};
use crate::esphome::python;
use crate::process::{Ended, Event, Limits, Process, path_with};

/// How long ESPHome may take to list what it reads.
const LIST_LIMITS: Limits =
    Limits { total: Duration::from_secs(120), silence: Duration::from_secs(120) };

/// No more files than this are listed.
const MAX_LISTED: usize = 20_000;

/// A larger log of ninja isn't looked into.
const MAX_LOG: u64 = 64 << 20;

/// How it is found out what a build reads.
pub(super) enum Reading {
    /// It is written into this file.
    Seen { python: PathBuf, into: PathBuf },
    /// This was there before it.
    Listed(Reads),
}

impl Reading {
    pub(super) async fn prepare(
        request: &BuildRequest,
        cancel: &CancellationToken,
    ) -> Result<Self, BuildEnd> {
        let found = super::blocking(request, |request| Ok(python::of(&request.esphome))).await?;
        if let Some(python) = found {
            let into = dir(&request.state_dir).join(request.update.to_string());
            super::blocking(request, |request| {
                create_private_dir(&dir(&request.state_dir)).map_err(|error| lost(&error))
            })
            .await?;
            return Ok(Self::Seen { python, into });
        }
        let listed = list(request, cancel.clone()).await?;
        let reads = super::blocking(request, move |request| {
            listed_reads(&request.config_dir, &request.device, &listed)
        });
        Ok(Self::Listed(reads.await?))
    }

    /// Runs the `esphome` program.
    pub(super) fn command(&self, esphome: &Path) -> Command {
        match self {
            Self::Seen { python, into } => python::recording(python, into, esphome),
            Self::Listed(_) => Command::new(esphome),
        }
    }

    /// What the build read. `build_path` is where it did its work, and `began` when it began.
    pub(super) fn sources(
        self,
        request: &BuildRequest,
        build_path: Option<&Path>,
        began: SystemTime,
    ) -> Result<Vec<SourceFile>, Problem> {
        let reads = match &self {
            Self::Seen { into, .. } => {
                let text = fs::read_to_string(into).map_err(|error| lost(&error))?;
                if let Err(error) = fs::remove_file(into) {
                    tracing::warn!(path = %into.display(), %error, "it can't be deleted");
                }
                witness::reads(&text)?
            }
            Self::Listed(before) => before.clone(),
        };
        let mut sources = sources_of(&request.config_dir, reads);
        let known: BTreeSet<String> = sources.iter().map(|source| source.path.clone()).collect();
        if let Some(build_path) = build_path {
            let python = match &self {
                Self::Seen { python, .. } => Some(python.as_path()),
                Self::Listed(_) => None,
            };
            let compiled = Compiled::new(&request.config_dir, build_path, python);
            let more = compiled.inputs().into_iter().filter(|(shown, _)| !known.contains(shown));
            sources.extend(more.map(|(shown, path)| as_compiled(shown, &path, began)));
        }
        // Not what ESPHome writes and reads again; where `build_path:` leads is only known now.
        let below = |path: &Path| build_path.is_some_and(|build_path| path.starts_with(build_path));
        sources.retain(|source| !below(&request.config_dir.join(&source.path)));
        sources.sort();
        Ok(sources)
    }
}

/// Where it is written down for as long as a build runs.
fn dir(state_dir: &Path) -> PathBuf {
    state_dir.join("reads")
}

/// Deletes what builds left that were killed. Blocks.
pub(crate) fn delete_leftovers(state_dir: &Path) {
    match fs::remove_dir_all(dir(state_dir)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, "what killed builds left can't be deleted"),
    }
}

/// A file that a compiler read at some time since `began`.
fn as_compiled(shown: String, path: &Path, began: SystemTime) -> SourceFile {
    let written = fs::metadata(path).and_then(|metadata| written(&metadata));
    let sha256 = match fs::read(path) {
        Ok(_) if written.is_ok_and(|written| written > began) => Some(Sha256(CHANGED.to_owned())),
        Ok(bytes) => Some(digest(&bytes)),
        // It was there.
        Err(_) => Some(Sha256(CHANGED.to_owned())),
    };
    SourceFile::file(shown, sha256)
}

/// When a file came to be what it is: one that was put in the place of another one brings its own time along.
fn written(metadata: &fs::Metadata) -> io::Result<SystemTime> {
    let modified = metadata.modified()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;

        let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
        let nanoseconds = u64::try_from(metadata.ctime_nsec()).unwrap_or_default();
        let since = Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds);
        Ok(modified.max(SystemTime::UNIX_EPOCH + since))
    }
    #[cfg(not(unix))]
    Ok(modified)
}

/// The directories that tell whose file a compiler read.
struct Compiled {
    build_path: PathBuf,
    config_dir: PathBuf,
    /// Those of ESPHome, of toolchains and of the system.
    others: Vec<PathBuf>,
}

impl Compiled {
    fn new(config_dir: &Path, build_path: &Path, python: Option<&Path>) -> Self {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let home = std::env::home_dir();
        let mut others: Vec<PathBuf> =
            ["/usr", "/opt", "/lib", "/nix", "/snap"].into_iter().map(PathBuf::from).collect();
        others.push(data_dir(config_dir));
        others.extend(home.iter().flat_map(|home| [home.join(".platformio"), home.join(".cache")]));
        let variables = ["PLATFORMIO_CORE_DIR", "IDF_PATH", "IDF_TOOLS_PATH", "CCACHE_DIR"];
        others.extend(variables.into_iter().filter_map(std::env::var_os).map(PathBuf::from));
        // The environment that ESPHome lies in.
        others.extend(python.and_then(|python| Some(python.parent()?.parent()?.to_owned())));
        others.retain(|dir| !dir.as_os_str().is_empty());
        others.extend(others.clone().iter().map(|dir| real(dir)));
        Self { build_path: real(build_path), config_dir: real(config_dir), others }
    }

    /// The user's files that compilers read, each as it is shown and where it lies.
    fn inputs(&self) -> Vec<(String, PathBuf)> {
        let mut found = BTreeSet::new();
        for log in logs(&self.build_path, 3) {
            let Some(dir) = log.parent() else { continue };
            match read_log(&log) {
                Ok(bytes) => {
                    found.extend(ninja::inputs(&bytes).into_iter().map(|path| dir.join(path)));
                }
                Err(error) => {
                    tracing::warn!(log = %log.display(), %error, "ninja's log can't be read");
                }
            }
        }
        let of_users = found.into_iter().filter_map(|path| {
            let path = path.canonicalize().ok()?;
            let shown = path.strip_prefix(&self.config_dir).unwrap_or(&path).to_str()?.to_owned();
            self.is_of_user(&path).then_some((shown, path))
        });
        of_users.collect()
    }

    fn is_of_user(&self, path: &Path) -> bool {
        let own = path.starts_with(&self.config_dir);
        // A config directory may lie in one of the others.
        let is_of =
            |other: &Path| path.starts_with(other) && !(own && self.config_dir.starts_with(other));
        !path.starts_with(&self.build_path) && !self.others.iter().any(|other| is_of(other))
    }
}

fn read_log(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MAX_LOG {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"));
    }
    fs::read(path)
}

fn logs(dir: &Path, depth: usize) -> Vec<PathBuf> {
    let log = dir.join(".ninja_deps");
    let mut found: Vec<PathBuf> = log.is_file().then_some(log).into_iter().collect();
    // One that can't be read has left nothing.
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    if depth > 0 {
        let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(dirs.flat_map(|entry| logs(&entry.path(), depth - 1)));
    }
    found
}

/// The files that ESPHome says it would read. An ESPHome that is too old for the question says nothing.
async fn list(request: &BuildRequest, cancel: CancellationToken) -> Result<Vec<String>, BuildEnd> {
    let mut command = Command::new(&request.esphome);
    command.args(["bundle", "--list-only"]).arg(super::file_argument(&request.device));
    command.current_dir(&request.config_dir).env(MARKER, &request.marker).env("PYTHONUTF8", "1");
    if let Some(path) = path_with(request.esphome.parent()) {
        command.env("PATH", path);
    }
    let mut process = Process::spawn(command, LIST_LIMITS, cancel)
        .map_err(|error| super::not_started(&request.esphome, &error))?;
    let mut listed = Vec::new();
    let ended = loop {
        match process.next().await {
            Ok(Event::Lines(lines)) => {
                let paths = lines.iter().filter_map(|line| line.strip_prefix("  "));
                let paths = paths.filter(|path| !path.starts_with(' '));
                listed.extend(paths.map(str::to_owned));
                listed.truncate(MAX_LISTED);
            }
            Ok(Event::Ended(ended)) => break ended,
            Err(error) => {
                tracing::warn!(%error, "esphome can't be heard");
                break Ended::Exited(Exit::Signal(None));
            }
        }
    };
    process.end().await;
    match ended {
        Ended::Exited(Exit::Code(0)) => Ok(listed),
        Ended::Cancelled => Err(BuildEnd::Cancelled),
        Ended::Exited(_) | Ended::Overdue | Ended::Silent => {
            tracing::warn!(device = %request.device, ?ended, "esphome doesn't list what it reads");
            Ok(Vec::new())
        }
    }
}

fn lost(error: &io::Error) -> Problem {
    Problem::new("build.reads_unkept", format!("What ESPHome reads can't be noted: {error}."))
        .with_help("See to it that there is room in Wakeflash's data directory, and that it can be written. The build is made again by itself.")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_config_directory_is_the_users_wherever_that_is() {
        let in_config = |config_dir: &str, path: &str| {
            let config_dir = Path::new(config_dir);
            let build_path = data_dir(config_dir).join("build/a");
            let python = Path::new("/opt/venv/bin/python");
            Compiled::new(config_dir, &build_path, Some(python)).is_of_user(Path::new(path))
        };
        for config_dir in ["/opt/esphome", "/opt/venv/config", "/srv/esphome"] {
            let of_user = |path: &str| in_config(config_dir, &format!("{config_dir}/{path}"));
            assert!(of_user("lib/dial.h") && of_user("near.h"));
            assert!(!of_user(".esphome/build/a/src/main.h") && !of_user(".esphome/x.h"));
            assert!(!in_config(config_dir, "/opt/venv/lib/esphome/core.h"));
        }
        assert!(!in_config("/opt", "/opt/.esphome/x.h"));
        assert!(in_config("/srv/esphome", "/srv/shared/near.h"));
    }

    #[test]
    fn an_old_file_that_is_put_in_the_place_of_another_one_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old.h"), dir.path().join("new.h"));
        fs::write(&old, "1").unwrap();
        fs::write(&new, "2").unwrap();
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        fs::File::open(&new).unwrap().set_modified(hour_ago).unwrap();
        let began = SystemTime::now() - Duration::from_secs(60);
        fs::rename(&new, &old).unwrap();
        let source = as_compiled("old.h".to_owned(), &old, began);
        assert_eq!(source.sha256, Some(Sha256(CHANGED.to_owned())));
        let later = SystemTime::now() + Duration::from_secs(60);
        let source = as_compiled("old.h".to_owned(), &old, later);
        assert_eq!(source.sha256, Some(digest(b"2")));
    }
}
