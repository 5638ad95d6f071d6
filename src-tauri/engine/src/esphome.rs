//! Finding ESPHome, and installing it into an environment of the application's own.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use wakeflash_core::compile::plain;
use wakeflash_core::error::Problem;
use wakeflash_core::pip::PipProgress;
use wakeflash_core::view::{EsphomeStatus, Progress};

use crate::artifacts::create_private_dir;
use crate::process::{Ended, Event, Limits, Process, path_with};

/// `esphome version` imports a lot; on a cold disk it takes its time.
const VERSION_LIMITS: Limits =
    Limits { total: Duration::from_secs(60), silence: Duration::from_secs(60) };
/// Asking a Python what it is.
const PYTHON_LIMITS: Limits =
    Limits { total: Duration::from_secs(10), silence: Duration::from_secs(10) };
/// Each step of an installation.
const INSTALL_LIMITS: Limits =
    Limits { total: Duration::from_secs(30 * 60), silence: Duration::from_secs(5 * 60) };

/// The oldest Python that runs a current ESPHome, as `3.minor`.
const MIN_PYTHON_MINOR: u32 = 12;
/// Written last: an environment without it is half made.
const COMPLETE: &str = "wakeflash-complete";

/// Why there is no installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallFailure {
    /// The caller cancelled it; nothing of it is left.
    Cancelled,
    /// It failed; nothing of it is left.
    Failed {
        /// Why, and what to do.
        problem: Problem,
    },
}

impl From<Problem> for InstallFailure {
    fn from(problem: Problem) -> Self {
        Self::Failed { problem }
    }
}

/// Finds the ESPHome to use: the configured one and no other, else the one on PATH, else our own.
pub async fn locate(configured: Option<&Path>, state_dir: &Path) -> EsphomeStatus {
    if let Some(configured) = configured {
        return status(configured, version(configured).await);
    }
    let own = own_program(state_dir);
    let has_own = own_is_complete(state_dir);
    let on_path = find_on_path(program_name()).await;
    let candidates = on_path.into_iter().chain(has_own.then_some(own));
    let mut last = None;
    for program in candidates {
        let found = status(&program, version(&program).await);
        if matches!(found, EsphomeStatus::Ready { .. }) {
            return found;
        }
        last = Some(found);
    }
    last.unwrap_or_else(|| EsphomeStatus::Missing {
        problem: Problem::new("esphome.missing", "ESPHome was not found on this computer.")
            .with_help("Let Wakeflash install it, or say where its program is."),
    })
}

fn status(program: &Path, version: Result<String, Problem>) -> EsphomeStatus {
    match version {
        Ok(version) => {
            EsphomeStatus::Ready { path: program.to_string_lossy().into_owned(), version }
        }
        Err(problem) => EsphomeStatus::Missing { problem },
    }
}

/// Asks an `esphome` program for its version.
///
/// # Errors
/// It doesn't start, doesn't answer, or isn't ESPHome.
pub async fn version(program: &Path) -> Result<String, Problem> {
    let mut command = Command::new(program);
    command.arg("version");
    if let Some(path) = path_with(program.parent()) {
        command.env("PATH", path);
    }
    let shown = program.display();
    let problem = |message: String| {
        Problem::new("esphome.broken", message)
            .with_help("Choose another ESPHome in the settings, or let Wakeflash install one.")
    };
    let broken = |what: String| problem(format!("ESPHome ({shown}) doesn't work: {what}."));
    let said = match ask(command, VERSION_LIMITS).await {
        Ok(said) => said,
        Err(error) => {
            // Not found may be the interpreter of a script, too.
            let there = tokio::fs::try_exists(program).await.unwrap_or(true);
            let missing = error.kind() == io::ErrorKind::NotFound && !there;
            return Err(match missing {
                true => problem(format!("There is no program {shown}.")),
                false => broken(error.to_string()),
            });
        }
    };
    said.iter()
        .find_map(|line| plain(line).trim().strip_prefix("Version: ").map(str::to_owned))
        .ok_or_else(|| broken("it doesn't tell its version".to_owned()))
}

/// What a short-lived program says when it succeeds.
async fn ask(command: Command, limits: Limits) -> io::Result<Vec<String>> {
    const MAX_LINES: usize = 1_000;
    let mut process = Process::spawn(command, limits, CancellationToken::new())?;
    let mut said = Vec::new();
    let ended = loop {
        match process.next().await? {
            Event::Lines(lines) => {
                said.extend(lines);
                said.truncate(MAX_LINES);
            }
            Event::Ended(ended) => break ended,
        }
    };
    process.end().await;
    match ended {
        Ended::Exited(Some(0)) => Ok(said),
        Ended::Exited(Some(code)) => Err(io::Error::other(format!("it ends with code {code}"))),
        Ended::Exited(None) => Err(io::Error::other("it is ended by a signal")),
        Ended::Cancelled | Ended::Overdue | Ended::Silent => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "it doesn't answer in time"))
        }
    }
}

fn program_name() -> &'static str {
    if cfg!(windows) { "esphome.exe" } else { "esphome" }
}

/// Our own environment.
fn env_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("esphome")
}

fn env_bin(state_dir: &Path) -> PathBuf {
    env_dir(state_dir).join(if cfg!(windows) { "Scripts" } else { "bin" })
}

/// The `esphome` of our own environment, whether it exists or not.
#[must_use]
pub fn own_program(state_dir: &Path) -> PathBuf {
    env_bin(state_dir).join(program_name())
}

fn own_is_complete(state_dir: &Path) -> bool {
    env_dir(state_dir).join(COMPLETE).is_file()
}

async fn find_on_path(name: &'static str) -> Option<PathBuf> {
    let found = spawn_blocking(move || on_path(name).next());
    found.await.unwrap_or_else(|error| {
        tracing::error!(%error, "the search on PATH died");
        None
    })
}

/// The files of this name on PATH that can be run.
fn on_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
    let name = name.to_owned();
    dirs.into_iter().map(move |dir| dir.join(&name)).filter(|program| is_executable(program))
}

fn is_executable(program: &Path) -> bool {
    let Ok(metadata) = std::fs::metadata(program) else { return false };
    #[cfg(unix)]
    let may_run = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let may_run = true;
    metadata.is_file() && may_run
}

/// Makes an environment of our own with the newest ESPHome in it, in place of the one that may be there. A slow
/// receiver misses some of the progress.
///
/// # Errors
/// It was cancelled, there is no fitting Python, or a step failed. A half-made environment is deleted.
pub async fn install(
    state_dir: &Path,
    progress: mpsc::Sender<Progress>,
    cancel: CancellationToken,
) -> Result<PathBuf, InstallFailure> {
    tell(&progress, begun("Looking for Python"));
    let python = tokio::select! {
        python = find_python() => python?,
        () = cancel.cancelled() => return Err(InstallFailure::Cancelled),
    };
    let made = make_env(state_dir, &python, &progress, &cancel).await;
    if made.is_err() {
        clear(state_dir).await?;
    }
    made
}

async fn make_env(
    state_dir: &Path,
    python: &Path,
    progress: &mpsc::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<PathBuf, InstallFailure> {
    clear(state_dir).await?;
    tell(progress, begun("Creating an environment"));
    let mut venv = Command::new(python);
    venv.args(["-m", "venv"]).arg(env_dir(state_dir));
    step(venv, progress, cancel).await?;
    tell(progress, begun("Looking for ESPHome's packages"));
    let mut pip =
        Command::new(env_bin(state_dir).join(if cfg!(windows) { "python.exe" } else { "python" }));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]);
    pip.args(["--progress-bar", "off", "esphome"]);
    step(pip, progress, cancel).await?;
    tell(progress, begun("Starting ESPHome for the first time"));
    let program = own_program(state_dir);
    let version = tokio::select! {
        version = version(&program) => version?,
        () = cancel.cancelled() => return Err(InstallFailure::Cancelled),
    };
    let marker = env_dir(state_dir).join(COMPLETE);
    on_files(move || std::fs::write(marker, version)).await?;
    Ok(program)
}

/// Removes our environment, complete or not; its marker first, so that it is never taken for complete.
async fn clear(state_dir: &Path) -> Result<(), InstallFailure> {
    let (state, env) = (state_dir.to_owned(), env_dir(state_dir));
    on_files(move || {
        create_private_dir(&state)?;
        let unless_gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        unless_gone(std::fs::remove_file(env.join(COMPLETE)))?;
        unless_gone(std::fs::remove_dir_all(&env))
    })
    .await
}

async fn on_files(
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), InstallFailure> {
    let result = spawn_blocking(work).await.unwrap_or_else(|died| Err(io::Error::other(died)));
    result.map_err(|error| {
        tracing::warn!(%error, "the environment can't be written");
        let message = format!("The environment of ESPHome can't be written: {error}.");
        Problem::new("esphome.install_write", message)
            .with_help("Free some space, and check that Wakeflash may write to its data directory.")
            .into()
    })
}

/// Runs a step of the installation.
async fn step(
    command: Command,
    progress: &mpsc::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<(), InstallFailure> {
    const KEPT: usize = 40;
    let fault = |error: io::Error| {
        tracing::warn!(%error, "a step of the installation of ESPHome failed");
        Problem::new("esphome.install", format!("Installing ESPHome failed: {error}."))
    };
    let mut process = Process::spawn(command, INSTALL_LIMITS, cancel.clone()).map_err(fault)?;
    let mut said = std::collections::VecDeque::new();
    let mut pip = PipProgress::default();
    let ended = loop {
        match process.next().await.map_err(fault)? {
            Event::Lines(lines) => {
                for line in
                    lines.iter().map(|line| plain(line)).filter(|line| !line.trim().is_empty())
                {
                    tracing::info!(line = line.trim(), "installing esphome");
                    if let Some(went) = pip.take(&line) {
                        tell(progress, went);
                    }
                    said.push_back(line.trim().to_owned());
                    if said.len() > KEPT {
                        said.pop_front();
                    }
                }
            }
            Event::Ended(ended) => break ended,
        }
    };
    process.end().await;
    match ended {
        Ended::Exited(Some(0)) => Ok(()),
        Ended::Cancelled => Err(InstallFailure::Cancelled),
        Ended::Exited(_) => Err(install_problem(said.make_contiguous()).into()),
        Ended::Overdue | Ended::Silent => Err(Problem::new(
            "esphome.install_timeout",
            "Installing ESPHome took too long and was ended.",
        )
        .with_help("Check the internet connection, then try again.")
        .into()),
    }
}

fn install_problem(said: &[String]) -> Problem {
    let says = |sign: &str| said.iter().any(|line| line.to_lowercase().contains(sign));
    if says("no space left") {
        return Problem::new(
            "esphome.install_space",
            "The disk is full: ESPHome can't be installed.",
        )
        .with_help("Free about 1 GB, then try again.");
    }
    if says("ensurepip") {
        return Problem::new("esphome.no_venv", "This Python can't create environments.")
            .with_help(
                "Install its venv package (Debian: `apt install python3-venv`), then try again.",
            );
    }
    if says("failed to establish a new connection") || says("name resolution") || says("timed out")
    {
        return Problem::new("esphome.install_network", "ESPHome can't be downloaded.")
            .with_help("Check the internet connection, then try again.");
    }
    let last = said.iter().rev().find(|line| line.starts_with("ERROR")).or(said.last());
    let last = last.map_or("it said nothing", String::as_str);
    Problem::new("esphome.install", format!("Installing ESPHome failed: {last}"))
        .with_help("The log of the application says more.")
}

/// The newest Python here that runs a current ESPHome.
async fn find_python() -> Result<PathBuf, Problem> {
    let candidates = spawn_blocking(python_candidates).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the search for Python died");
        Vec::new()
    });
    for python in candidates {
        match ask_python(&python).await {
            Ok(minor) if minor >= MIN_PYTHON_MINOR => return Ok(python),
            Ok(minor) => tracing::debug!(python = %python.display(), minor, "too old for ESPHome"),
            // A version manager's stand-in for a Python that isn't chosen ends like this.
            Err(error) => tracing::debug!(python = %python.display(), %error, "no Python"),
        }
    }
    let message =
        format!("ESPHome needs Python 3.{MIN_PYTHON_MINOR} or newer, and none was found.");
    Err(Problem::new("esphome.no_python", message)
        .with_help("Install a newer Python from python.org or your distribution, then try again."))
}

fn python_candidates() -> Vec<PathBuf> {
    let names = ["python3.14", "python3.13", "python3.12", "python3", "python"];
    let mut found: Vec<_> = names.into_iter().flat_map(on_path).collect();
    let versions = std::env::home_dir().map(|home| home.join(".pyenv/versions"));
    let mut managed: Vec<_> = versions
        .and_then(|dir| std::fs::read_dir(dir).ok())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin/python3"))
        .filter(|python| is_executable(python))
        .collect();
    managed.sort();
    found.extend(managed.into_iter().rev());
    found
}

/// The minor version of a Python 3.
async fn ask_python(python: &Path) -> io::Result<u32> {
    let mut command = Command::new(python);
    command.args(["-c", "import sys; print('python', *sys.version_info[:2])"]);
    let said = ask(command, PYTHON_LIMITS).await?;
    said.iter()
        .find_map(|line| line.strip_prefix("python 3 ")?.trim().parse().ok())
        .ok_or_else(|| io::Error::other("it is no Python 3"))
}

fn begun(step: &str) -> Progress {
    Progress { percent: None, step: step.to_owned() }
}

fn tell(progress: &mpsc::Sender<Progress>, went: Progress) {
    // Full: the receiver is slow and misses some. Closed: nobody wants to know.
    let _ = progress.try_send(went);
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
