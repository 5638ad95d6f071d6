//! `esphome compile` as a child process: its output, its end, and what it left.

mod clean;
mod lack;
mod leftovers;
mod log;
mod outcome;
mod reads;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use wakeflash_core::build_failure::{BuildFailure, Lack};
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::update::{Build, Cleaning, SourceChange, UpdateId};
use wakeflash_core::view::Progress;
use wakeflash_esphome::compile::{CompileOutput, Exit};

use crate::configs::{self, Identity, changed_sources, config_path, present};
use crate::kill::{self, Point};
use crate::process::{Ended, Event, Process, path_with};

pub use crate::process::Limits;
pub use clean::{CleanRequest, clean};
pub use leftovers::end_leftovers;
pub(crate) use log::delete_old as delete_old_logs;
use reads::Reading;
pub(crate) use reads::delete_leftovers as delete_left_reads;

/// The environment variable that tells our builds from anybody else's.
pub const MARKER: &str = "WAKEFLASH_BUILD";

/// One build may take an hour: the first one of a platform downloads a toolchain in silence.
pub const LIMITS: Limits =
    Limits { total: Duration::from_secs(60 * 60), silence: Duration::from_secs(15 * 60) };

/// When a file system that doesn't answer counts as gone.
const DIRECTORY_PATIENCE: Duration = Duration::from_secs(30);

/// What to build, and how.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The `esphome` program.
    pub esphome: PathBuf,
    /// Where the configuration lies.
    pub config_dir: PathBuf,
    /// Which one.
    pub device: DeviceId,
    /// For which update; it names the log file.
    pub update: UpdateId,
    /// The application's data directory.
    pub state_dir: PathBuf,
    /// The value of [`MARKER`]: the same for every run of this application on this data directory.
    pub marker: String,
    /// Where ccache shares what was compiled; `None`: as the environment says.
    pub compiler_cache: Option<String>,
    /// What is done to the build files before.
    pub cleaning: Cleaning,
    /// How long it may take.
    pub limits: Limits,
}

/// What is told while it builds. When the receiver is slow, lines are left out and progress is coalesced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuilderEvent {
    /// It said something.
    Lines {
        /// The number of the first of these lines, counted from 0. A gap: those lines are in the log only.
        first_line: u32,
        /// The lines, with ANSI colours.
        lines: Vec<String>,
    },
    /// It went on.
    Progress(Progress),
}

/// A build that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildOutcome {
    /// What was built; its image is in the artifact store. Its sources are what the build read.
    pub build: Build,
    /// What was changed while it was being built.
    pub changes: Vec<SourceChange>,
}

/// How a build ended that didn't succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildEnd {
    /// The caller cancelled it; nothing of it runs any more.
    Cancelled,
    /// It failed.
    Failed(BuildFailure),
}

impl From<BuildFailure> for BuildEnd {
    fn from(failure: BuildFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Problem> for BuildEnd {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem.into())
    }
}

/// The log file of an update's build.
#[must_use]
pub fn log_path(state_dir: &Path, update: UpdateId) -> PathBuf {
    state_dir.join("logs").join(format!("build-{update}.log"))
}

/// Builds a configuration. It ends within its limits, or two seconds after a cancel, and leaves no process
/// behind; dropped before its end, it kills them.
///
/// # Errors
/// It was cancelled, or failed for the reason in the problem.
pub async fn build(
    request: BuildRequest,
    output: mpsc::Sender<BuilderEvent>,
    cancel: CancellationToken,
) -> Result<BuildOutcome, BuildEnd> {
    config_path(&request.config_dir, &request.device)?;
    let before = tokio::select! {
        before = directory(&request) => before?,
        () = cancel.cancelled() => return Err(BuildEnd::Cancelled),
    };
    let failure = match attempt(&request, output, cancel).await {
        Err(BuildEnd::Failed(failure)) => failure,
        ended => return ended,
    };
    // Whatever it says: nothing can be built from a directory that went meanwhile.
    if directory(&request).await? != before {
        let message = "The config directory went and came back while it was built from.";
        return Err(
            BuildFailure::again(Lack::Directory, Problem::new("config_dir.went", message)).into()
        );
    }
    Err(failure.into())
}

/// Makes sure that the config directory is there. A share may never answer.
async fn directory(request: &BuildRequest) -> Result<Identity, BuildFailure> {
    let look = blocking(request, |request| present(&request.config_dir, &request.device));
    let present = tokio::time::timeout(DIRECTORY_PATIENCE, look).await;
    let silent = |_| Err(configs::silent(&request.config_dir));
    let problem = |failure: BuildFailure| failure.problem;
    let present = present.map_or_else(silent, |present| present.map_err(problem));
    present.map_err(|problem| BuildFailure::again(Lack::Directory, problem))
}

async fn attempt(
    request: &BuildRequest,
    output: mpsc::Sender<BuilderEvent>,
    cancel: CancellationToken,
) -> Result<BuildOutcome, BuildEnd> {
    if cancel.is_cancelled() {
        return Err(BuildEnd::Cancelled);
    }
    let reading = Reading::prepare(request, &cancel).await?;
    let before = blocking(request, |request| Ok(outcome::Before::look(request))).await?;
    let mut told = Told::new(request, output);
    let cleaned = clean::before(request, &mut told, &cancel).await;
    let compile = match cleaned {
        Ok(()) => compile(request, &reading, &mut told, cancel.clone()).await,
        Err(end) => Err(end),
    };
    told.close().await;
    let compile = compile?;
    let hash = compile.config_hash();
    let finish = blocking(request, move |request| {
        let build = outcome::collect(request, reading, hash, &before)?;
        let changes = changed_sources(&request.config_dir, &request.device, &build.sources)?;
        Ok(BuildOutcome { build, changes })
    });
    tokio::select! {
        outcome = finish => Ok(outcome?),
        () = cancel.cancelled() => Err(BuildEnd::Cancelled),
    }
}

/// Does work on files where it blocks nobody.
async fn blocking<T: Send + 'static>(
    request: &BuildRequest,
    work: impl FnOnce(&BuildRequest) -> Result<T, Problem> + Send + 'static,
) -> Result<T, BuildFailure> {
    let request = request.clone();
    let done = spawn_blocking(move || work(&request)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "work on a build died");
        Err(Problem::new("build.fault", "The build failed because of a fault in Wakeflash.")
            .with_help("Please report it, with the log of the application."))
    });
    done.map_err(lack::failure)
}

/// A name that begins with a dash would be taken for an option.
fn file_argument(device: &DeviceId) -> String {
    let name = device.as_str();
    if name.starts_with('-') { format!("./{name}") } else { name.to_owned() }
}

fn command(request: &BuildRequest, reading: &Reading) -> Command {
    let mut command = reading.command(&request.esphome);
    // `--dashboard` makes ESPHome colour what goes into a pipe (with `\033` spelled out) and report the
    // progress of downloads.
    command.args(["--dashboard", "compile"]).arg(file_argument(&request.device));
    command.current_dir(&request.config_dir);
    command.env(MARKER, &request.marker).env("PYTHONUNBUFFERED", "1").env("PYTHONUTF8", "1");
    command.env_remove("NO_COLOR");
    if let Some(cache) = &request.compiler_cache {
        command.env("CCACHE_REMOTE_STORAGE", cache);
    }
    if let Some(path) = path_with(request.esphome.parent()) {
        command.env("PATH", path);
    }
    command
}

/// Runs `esphome compile` to its successful end.
async fn compile(
    request: &BuildRequest,
    reading: &Reading,
    told: &mut Told,
    cancel: CancellationToken,
) -> Result<CompileOutput, BuildEnd> {
    let process = Process::spawn(command(request, reading), request.limits, cancel)
        .map_err(|error| not_started(&request.esphome, &error))?;
    kill::here(Point::BuildStarted);
    let mut compile = CompileOutput::new();
    let ended = told.follow(process, |line| compile.line(line)).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "a build was given up");
        Problem::new("build.output", "The output of ESPHome can't be read.")
    })?;
    match ended {
        Ended::Exited(Exit::Code(0)) => Ok(compile),
        Ended::Exited(exit) => Err(compile.failure(exit).into()),
        Ended::Cancelled => Err(BuildEnd::Cancelled),
        Ended::Overdue => {
            Err(compile.overdue(overdue(request.limits.total, "took longer than")).into())
        }
        Ended::Silent => {
            Err(compile.overdue(overdue(request.limits.silence, "said nothing for")).into())
        }
    }
}

/// What a build says: into its log, and to who listens.
struct Told {
    path: PathBuf,
    log: Option<log::Log>,
    outbox: Outbox,
}

impl Told {
    fn new(request: &BuildRequest, output: mpsc::Sender<BuilderEvent>) -> Self {
        let path = log_path(&request.state_dir, request.update);
        Self { path, log: None, outbox: Outbox::new(output) }
    }

    /// The log is begun with the first program that starts: the one from before tells more than nothing.
    async fn log(&mut self) -> &mut log::Log {
        if self.log.is_none() {
            self.log = Some(log::Log::create(&self.path).await);
        }
        self.log.get_or_insert_default()
    }

    async fn say(&mut self, lines: Vec<String>, mut hear: impl FnMut(&str) -> Option<Progress>) {
        self.log().await.write(&lines).await;
        for line in lines {
            let progress = hear(&line);
            self.outbox.push(line, progress);
        }
    }

    /// Follows a program until nothing of it runs any more.
    async fn follow(
        &mut self,
        mut process: Process,
        mut hear: impl FnMut(&str) -> Option<Progress>,
    ) -> anyhow::Result<Ended> {
        self.log().await;
        let ended = loop {
            let event = tokio::select! {
                biased;
                event = process.next() => event.context("reading the output of esphome"),
                () = self.outbox.deliver() => continue,
            };
            match event {
                Ok(Event::Lines(lines)) => {
                    let lines = lines.iter().map(|line| line.replace("\\033[", "\x1b["));
                    self.say(lines.collect(), &mut hear).await;
                }
                Ok(Event::Ended(ended)) => break Ok(ended),
                Err(error) => break Err(error),
            }
        };
        process.end().await;
        ended
    }

    async fn close(mut self) {
        if let Some(log) = self.log {
            log.close().await;
        }
        self.outbox.flush().await;
    }
}

fn not_started(esphome: &Path, error: &std::io::Error) -> BuildFailure {
    tracing::warn!(esphome = %esphome.display(), %error, "esphome doesn't start");
    let message = format!("ESPHome ({}) can't be started: {error}.", esphome.display());
    let problem = Problem::new("build.not_started", message)
        .with_help("Choose another ESPHome in the settings, or let Wakeflash install one.");
    // It is being updated, or lies on a drive that isn't there.
    BuildFailure::again(lack::of_error(error).unwrap_or(Lack::Esphome), problem)
}

fn overdue(limit: Duration, what: &str) -> Problem {
    let minutes = limit.as_secs().div_ceil(60);
    Problem::new("build.timeout", format!("ESPHome {what} {minutes} min and was ended."))
        .with_help("Look at the end of the build log, then retry.")
}

/// What the receiver hasn't taken yet. It is bounded, so that neither a slow window nor a talkative build
/// holds the other up.
struct Outbox {
    output: mpsc::Sender<BuilderEvent>,
    lines: std::collections::VecDeque<String>,
    first_line: u32,
    progress: Option<Progress>,
    closed: bool,
}

impl Outbox {
    /// The most lines that wait, and the most that are sent at once.
    const WAITING: usize = 2_000;
    const BATCH: usize = 200;
    /// How long the receiver may take with the last lines.
    const PATIENCE: Duration = Duration::from_millis(500);

    fn new(output: mpsc::Sender<BuilderEvent>) -> Self {
        Self {
            output,
            lines: std::collections::VecDeque::new(),
            first_line: 0,
            progress: None,
            closed: false,
        }
    }

    fn push(&mut self, line: String, progress: Option<Progress>) {
        if self.lines.len() >= Self::WAITING {
            self.lines.pop_front();
            self.first_line = self.first_line.saturating_add(1);
        }
        self.lines.push_back(line);
        if progress.is_some() {
            self.progress = progress;
        }
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.progress.is_none()
    }

    /// Sends one event when the receiver takes it; waits for ever when there is nothing to send. Cancel
    /// safe.
    async fn deliver(&mut self) {
        if self.closed || self.is_empty() {
            return std::future::pending().await;
        }
        let Ok(permit) = self.output.reserve().await else {
            self.closed = true;
            return;
        };
        if let Some(progress) = self.progress.take() {
            permit.send(BuilderEvent::Progress(progress));
            return;
        }
        let lines: Vec<_> = self.lines.drain(..self.lines.len().min(Self::BATCH)).collect();
        let first_line = self.first_line;
        self.first_line = first_line.saturating_add(u32::try_from(lines.len()).unwrap_or(u32::MAX));
        permit.send(BuilderEvent::Lines { first_line, lines });
    }

    /// Sends what is left, to a receiver that still takes something.
    async fn flush(&mut self) {
        let all = async {
            while !self.closed && !self.is_empty() {
                self.deliver().await;
            }
        };
        if tokio::time::timeout(Self::PATIENCE, all).await.is_err() {
            tracing::debug!("the last lines of a build were only written to its log");
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
#[path = "tests.rs"]
mod tests;
