//! Cleaning what earlier builds of a device left: ESPHome does it, and where that fails or isn't enough, its build
//! folder is deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::update::Cleaning;
use wakeflash_esphome::compile::{Exit, plain};
use wakeflash_esphome::files;

use super::{BuildEnd, BuildRequest, MARKER, Told, file_argument};
use crate::configs::{config_path, data_dir, dir_problem, left_at, storage_path};
use crate::process::{Ended, Event, Limits, Process, path_with};

/// How long ESPHome may take to clean. Whoever asks for it waits, a minute at most.
const CLEAN_LIMITS: Limits =
    Limits { total: Duration::from_secs(45), silence: Duration::from_secs(45) };

/// The code of the refusal to delete what isn't where ESPHome puts it.
const ELSEWHERE: &str = "build.folder_elsewhere";

/// Whose build files are to be cleaned.
#[derive(Clone, Debug)]
pub struct CleanRequest {
    /// The `esphome` program, if there is one.
    pub esphome: Option<PathBuf>,
    /// Where the configuration lies.
    pub config_dir: PathBuf,
    /// Which one.
    pub device: DeviceId,
    /// The value of [`MARKER`].
    pub marker: String,
}

/// Cleans the build files of a device that isn't being built.
///
/// # Errors
/// Neither ESPHome nor Wakeflash could delete them.
pub async fn clean(request: CleanRequest, cancel: CancellationToken) -> Result<(), Problem> {
    config_path(&request.config_dir, &request.device)?;
    let dir = request.config_dir.clone();
    // A share that is away has nothing that could be deleted, and was not cleaned.
    if let Err(error) = tokio::fs::read_dir(&dir).await {
        return Err(dir_problem(&dir, &error));
    }
    let mut cleaned = false;
    if let Some(esphome) = &request.esphome {
        let CleanRequest { config_dir, device, marker, .. } = &request;
        let command = command(esphome, config_dir, device, marker);
        match Process::spawn(command, CLEAN_LIMITS, cancel) {
            Ok(process) => match listen(process).await {
                Ended::Exited(Exit::Code(0)) => cleaned = true,
                Ended::Cancelled => return Err(ending()),
                ended @ (Ended::Exited(_) | Ended::Overdue | Ended::Silent) => {
                    tracing::warn!(%device, ?ended, "esphome doesn't clean");
                }
            },
            Err(error) => tracing::warn!(%error, "esphome doesn't start"),
        }
    }
    match delete(request.config_dir, request.device).await {
        // ESPHome has emptied it wherever it is.
        Err(problem) if cleaned && problem.code == ELSEWHERE => Ok(()),
        deleted => deleted.map(drop),
    }
}

/// Does what is to be done before a build.
pub(super) async fn before(
    request: &BuildRequest,
    told: &mut Told,
    cancel: &CancellationToken,
) -> Result<(), BuildEnd> {
    let cleaned = match request.cleaning {
        Cleaning::No => return Ok(()),
        Cleaning::Clean => by_esphome(request, told, cancel.clone()).await?,
        Cleaning::Reset => false,
    };
    if cleaned {
        return Ok(());
    }
    let deleted = delete(request.config_dir.clone(), request.device.clone()).await?;
    let line = match deleted {
        Some(folder) => format!("Wakeflash deleted {}", folder.display()),
        None => "There is no build folder to delete.".to_owned(),
    };
    told.say(vec![line], |_| None).await;
    if cancel.is_cancelled() { Err(BuildEnd::Cancelled) } else { Ok(()) }
}

/// Whether ESPHome could.
async fn by_esphome(
    request: &BuildRequest,
    told: &mut Told,
    cancel: CancellationToken,
) -> Result<bool, BuildEnd> {
    let BuildRequest { esphome, config_dir, device, marker, .. } = request;
    let process =
        Process::spawn(command(esphome, config_dir, device, marker), CLEAN_LIMITS, cancel)
            .map_err(|error| super::not_started(esphome, &error))?;
    match told.follow(process, |_| None).await {
        Ok(Ended::Exited(Exit::Code(0))) => Ok(true),
        Ok(Ended::Cancelled) => Err(BuildEnd::Cancelled),
        Ok(ended @ (Ended::Exited(_) | Ended::Overdue | Ended::Silent)) => {
            tracing::warn!(%device, ?ended, "esphome doesn't clean");
            Ok(false)
        }
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "esphome can't be heard");
            Ok(false)
        }
    }
}

fn command(esphome: &Path, config_dir: &Path, device: &DeviceId, marker: &str) -> Command {
    let mut command = Command::new(esphome);
    command.args(["--dashboard", "clean"]).arg(file_argument(device)).current_dir(config_dir);
    command.env(MARKER, marker).env("PYTHONUNBUFFERED", "1").env("PYTHONUTF8", "1");
    if let Some(path) = path_with(esphome.parent()) {
        command.env("PATH", path);
    }
    command
}

/// What it says goes into the application's log: it is no build's.
async fn listen(mut process: Process) -> Ended {
    let ended = loop {
        match process.next().await {
            Ok(Event::Lines(lines)) => {
                for line in lines.iter().map(|line| plain(line)) {
                    tracing::info!(line = line.trim(), "cleaning build files");
                }
            }
            Ok(Event::Ended(ended)) => break ended,
            Err(error) => {
                tracing::warn!(%error, "esphome can't be heard");
                break Ended::Exited(Exit::Signal(None));
            }
        }
    };
    process.end().await;
    ended
}

async fn delete(config_dir: PathBuf, device: DeviceId) -> Result<Option<PathBuf>, Problem> {
    let deleted = spawn_blocking(move || delete_folder(&config_dir, &device)).await;
    deleted.unwrap_or_else(|error| {
        tracing::error!(%error, "the deletion of a build folder died");
        Err(Problem::new("build.fault", "The build failed because of a fault in Wakeflash.")
            .with_help("Please report it, with the log of the application."))
    })
}

/// Deletes a device's build folder, which lies where ESPHome puts it by itself: a link is never followed, and what lies
/// elsewhere (`build_path:`) is the user's. Blocks.
fn delete_folder(config_dir: &Path, device: &DeviceId) -> Result<Option<PathBuf>, Problem> {
    let storage = storage_path(config_dir, device.as_str(), "json");
    let said = match fs::read(&storage) {
        Ok(bytes) => files::storage(&bytes)?.build_path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(undeleted(&storage, &error)),
    };
    let Some(folder) = said.map(|said| left_at(config_dir, &said)) else { return Ok(None) };
    match fs::symlink_metadata(&folder) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(elsewhere(&folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(undeleted(&folder, &error)),
    }
    let real = |path: &Path| path.canonicalize().map_err(|error| undeleted(path, &error));
    let (builds, found) = (real(&data_dir(config_dir))?.join("build"), real(&folder)?);
    if found.parent() != Some(&builds) {
        return Err(elsewhere(&folder));
    }
    if is_of_another(config_dir, &storage, &folder) {
        return Ok(None);
    }
    fs::remove_dir_all(&found).map_err(|error| undeleted(&found, &error))?;
    Ok(Some(found))
}

/// Whether another configuration was built there: this one had its name once.
fn is_of_another(config_dir: &Path, own: &Path, folder: &Path) -> bool {
    let beside = own.parent().and_then(|dir| fs::read_dir(dir).ok());
    let mut others = beside.into_iter().flatten().flatten().map(|entry| entry.path());
    others.any(|other| {
        let said = || files::storage(&fs::read(&other).ok()?).ok()?.build_path;
        other != own && said().is_some_and(|said| left_at(config_dir, &said) == folder)
    })
}

fn elsewhere(folder: &Path) -> Problem {
    let folder = folder.display();
    Problem::new(
        "build.folder_elsewhere",
        format!("The build folder {folder} isn't where ESPHome puts it by itself, so Wakeflash doesn't delete it."),
    )
    .with_help("Delete it yourself if nothing else is in it, then retry.")
}

fn undeleted(path: &Path, error: &io::Error) -> Problem {
    tracing::warn!(path = %path.display(), %error, "build files can't be deleted");
    let path = path.display();
    Problem::new(
        "build.not_cleaned",
        format!("The build files can't be deleted ({path}): {error}."),
    )
    .with_help("Check that Wakeflash may write to ESPHome's data directory, then retry.")
}

fn ending() -> Problem {
    Problem::new("engine.ended", "Wakeflash is shutting down.")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A config directory, with a build folder in it that is said to be there.
    fn built_at(said: &str) -> (tempfile::TempDir, DeviceId) {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join(".esphome");
        fs::create_dir_all(data.join("storage")).unwrap();
        fs::create_dir_all(data.join("build/a/src")).unwrap();
        let said = said.replace("DIR", dir.path().to_str().unwrap());
        let storage = format!(r#"{{"name":"a","build_path":"{said}"}}"#);
        fs::write(data.join("storage/a.yaml.json"), storage).unwrap();
        (dir, DeviceId::of_file("a.yaml"))
    }

    #[test]
    fn the_build_folder_is_deleted_and_nothing_beside_it() {
        for said in ["DIR/.esphome/build/a", "build/a", "/in/a/container/.esphome/build/a"] {
            let (dir, device) = built_at(said);
            fs::create_dir_all(dir.path().join(".esphome/build/b")).unwrap();
            fs::write(dir.path().join("kept"), "x").unwrap();
            symlink(dir.path(), dir.path().join(".esphome/build/a/link")).unwrap();
            let deleted = delete_folder(dir.path(), &device).unwrap();
            assert!(deleted.is_some_and(|folder| folder.ends_with(".esphome/build/a")), "{said}");
            assert!(!dir.path().join(".esphome/build/a").exists());
            assert!(
                dir.path().join(".esphome/build/b").exists() && dir.path().join("kept").exists()
            );
            assert_eq!(delete_folder(dir.path(), &device), Ok(None), "once is enough");
        }
    }

    #[test]
    fn what_lies_elsewhere_is_never_deleted() {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir_all(outside.path().join("build/mine")).unwrap();
        let mine = outside.path().join("build/mine");
        for said in [
            mine.to_str().unwrap(),
            "DIR",
            "DIR/.esphome",
            "DIR/.esphome/build",
            "DIR/.esphome/build/a/src",
            "DIR/.esphome/build/../storage",
            "DIR/.esphome/build/linked",
            "DIR/.esphome/build/linked/mine",
        ] {
            let (dir, device) = built_at(said);
            symlink(outside.path().join("build"), dir.path().join(".esphome/build/linked"))
                .unwrap();
            let refused = delete_folder(dir.path(), &device).unwrap_err();
            assert_eq!(refused.code, "build.folder_elsewhere", "{said}");
            assert!(mine.exists() && dir.path().join(".esphome/build/a/src").exists(), "{said}");
        }
    }

    #[test]
    fn a_folder_in_which_another_configuration_is_built_by_now_is_left_alone() {
        let (dir, device) = built_at("DIR/.esphome/build/a");
        let data = dir.path().join(".esphome");
        fs::copy(data.join("storage/a.yaml.json"), data.join("storage/b.yaml.json")).unwrap();
        assert_eq!(delete_folder(dir.path(), &device), Ok(None));
        assert!(data.join("build/a/src").exists());
    }

    #[tokio::test]
    async fn a_directory_that_is_away_is_not_said_to_be_clean() {
        let dir = tempfile::tempdir().unwrap();
        let request = CleanRequest {
            esphome: None,
            config_dir: dir.path().join("away"),
            device: DeviceId::of_file("a.yaml"),
            marker: String::new(),
        };
        assert!(clean(request, CancellationToken::new()).await.is_err());
    }

    #[test]
    fn without_a_build_there_is_nothing_to_delete() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(delete_folder(dir.path(), &DeviceId::of_file("a.yaml")), Ok(None));
    }
}
