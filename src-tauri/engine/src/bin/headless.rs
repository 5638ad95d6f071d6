//! The engine without a window: commands as JSON lines on standard input, replies and events as JSON lines
//! on standard output, logs on standard error. docs/API.md describes the protocol.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tracing_subscriber::EnvFilter;
use wakeflash_core::error::Problem;
use wakeflash_core::request::{EngineRequest, Greeting};
use wakeflash_core::view::{Envelope, Notification, StoreChoice, StoreDamage};
use wakeflash_engine::handle::{Handle, Shell};
use wakeflash_engine::lines::{Line, read_line};
use wakeflash_engine::log_limit::Sparing;
use wakeflash_engine::runtime::{self, Engine, EngineOptions, StartError};

/// The longest command line, in bytes.
const LINE_LIMIT: usize = 64 * 1024;

/// Updates ESPHome devices that sleep, without a window.
#[derive(Debug, Parser)]
#[command(
    version,
    about = "Wakeflash without a window: commands, replies and events as JSON lines (docs/API.md)"
)]
struct Arguments {
    /// The directory of ESPHome's YAML files
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// The directory of the queue, the images and the logs
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The esphome program
    #[arg(long, value_name = "PATH")]
    esphome: Option<PathBuf>,
    /// Go on when standard input ends
    #[arg(long)]
    detached: bool,
    /// If the database is damaged, go on from its last backup, paused; the damaged one is kept
    #[arg(long, conflicts_with = "start_empty")]
    restore_backup: bool,
    /// If the database is damaged, go on with an empty queue; the damaged one is kept
    #[arg(long)]
    start_empty: bool,
}

impl Arguments {
    /// What to do about a damaged database.
    fn choice(&self) -> Option<StoreChoice> {
        let restore = self.restore_backup.then_some(StoreChoice::RestoreBackup);
        restore.or(self.start_empty.then_some(StoreChoice::StartEmpty))
    }
}

/// A request with the number that its reply repeats.
#[derive(Debug, Deserialize)]
struct Numbered {
    id: Option<u64>,
    #[serde(flatten)]
    request: Value,
}

/// A line on standard output.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Output {
    Greeting(Greeting),
    Reply { id: Option<u64>, ok: Box<RawValue> },
    Refusal { id: Option<u64>, error: Problem },
    NoStart { id: Option<u64>, error: Problem, damage: Option<StoreDamage> },
    Event(Box<Envelope>),
    Notification { notification: Notification },
}

/// Desktop notifications, as lines.
struct Lines(mpsc::Sender<Output>);

impl Shell for Lines {
    fn notify(&self, notification: Notification) {
        if let Err(error) = self.0.try_send(Output::Notification { notification }) {
            tracing::warn!("a notification was not printed: {error}");
        }
    }
}

/// How long what is left of the output may take to be written when everything has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long tasks that can't be ended are waited for: reading standard input occupies a thread that returns
/// only when there is something to read.
const RUNTIME_END: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    log.with_writer(Sparing::new(std::io::stderr)).init();
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("the runtime can't be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(arguments));
    // Dropping it would wait for the thread that reads standard input.
    runtime.shutdown_timeout(RUNTIME_END);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let choice = arguments.choice();
    let absolute = |path: PathBuf| std::path::absolute(path);
    let options = EngineOptions {
        state_dir: absolute(arguments.state)?,
        config_dir: arguments.config.map(absolute).transpose()?,
        esphome: arguments.esphome.map(absolute).transpose()?,
    };
    let (output, printed) = mpsc::channel(1_024);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut printer = tokio::spawn(print(printed));
    output.send(Output::Greeting(Greeting::own())).await?;
    let engine = match start(options, choice, Lines(output.clone())).await {
        Ok(engine) => engine,
        Err(error) => {
            let damage = error.damage();
            output.send(Output::NoStart { id: None, error: error.problem(), damage }).await?;
            drop(output);
            last_words(printer).await?;
            return Err(error.into());
        }
    };
    let events = tokio::spawn(forward(engine.handle.subscribe(), output.clone()));
    let mut printer_ended = None;
    let ended = tokio::select! {
        ended = take_commands(engine.handle.clone(), output.clone(), arguments.detached) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        // Nobody reads what happens any more.
        printed = &mut printer => {
            printer_ended = Some(printed);
            Ok(())
        }
    };
    engine.shutdown().await;
    drop(output);
    if let Some(printed) = printer_ended {
        printed??;
        return ended;
    }
    // The engine held the last sender of events; both tasks end with what they still have.
    let words = async {
        events.await?;
        last_words(printer).await
    };
    match tokio::time::timeout(LAST_WORDS, words).await {
        Ok(spoken) => ended.and(spoken),
        Err(_) => {
            tracing::warn!("the last lines were not printed: standard output isn't read");
            ended
        }
    }
}

/// Starts the engine, after the database was mended if it is damaged and the user has said how.
async fn start(
    options: EngineOptions,
    choice: Option<StoreChoice>,
    shell: Lines,
) -> Result<Engine, StartError> {
    if let Some(choice) = choice {
        runtime::mend_store(options.state_dir.clone(), choice).await?;
    }
    runtime::start(options, Arc::new(shell)).await
}

async fn last_words(printer: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    match tokio::time::timeout(LAST_WORDS, printer).await {
        Ok(printed) => printed?,
        Err(_) => {
            tracing::warn!("the last lines were not printed: standard output isn't read");
            Ok(())
        }
    }
}

async fn print(mut printed: mpsc::Receiver<Output>) -> anyhow::Result<()> {
    let mut stdout = tokio::io::stdout();
    while let Some(output) = printed.recv().await {
        let mut line = serde_json::to_vec(&output)?;
        line.push(b'\n');
        stdout.write_all(&line).await?;
        stdout.flush().await?;
    }
    Ok(())
}

async fn forward(mut events: broadcast::Receiver<Envelope>, output: mpsc::Sender<Output>) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if output.send(Output::Event(Box::new(event))).await.is_err() {
                    return;
                }
            }
            // The reader finds the gap in the revisions and asks for a snapshot.
            Err(broadcast::error::RecvError::Lagged(count)) => {
                tracing::warn!("{count} events were lost: standard output is read too slowly");
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Takes commands until `shutdown` or the end of the input.
async fn take_commands(
    handle: Handle,
    output: mpsc::Sender<Output>,
    detached: bool,
) -> anyhow::Result<()> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = Vec::new();
    loop {
        let Some(read) = read_line(&mut input, &mut line, LINE_LIMIT).await? else { break };
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let (id, parsed) = match read {
            Line::Whole => parse(&line),
            Line::TooLong => (None, Err(too_long())),
        };
        let result = match parsed {
            Ok(EngineRequest::Shutdown {}) => {
                output.send(Output::Reply { id, ok: RawValue::NULL.to_owned() }).await?;
                return Ok(());
            }
            Ok(request) => handle.answer(request).await,
            Err(problem) => Err(problem),
        };
        let reply = match result {
            Ok(ok) => Output::Reply { id, ok },
            Err(error) => Output::Refusal { id, error },
        };
        output.send(reply).await?;
    }
    if detached {
        std::future::pending::<()>().await;
    }
    Ok(())
}

fn too_long() -> Problem {
    Problem::new("command.unreadable", format!("This line is longer than {LINE_LIMIT} bytes."))
        .with_help("docs/API.md lists the commands.")
}

fn parse(line: &[u8]) -> (Option<u64>, Result<EngineRequest, Problem>) {
    let refused = |error: serde_json::Error| {
        Problem::new("command.unreadable", format!("This is not a command: {error}."))
            .with_help("docs/API.md lists the commands.")
    };
    match serde_json::from_slice::<Numbered>(line) {
        Ok(numbered) => (numbered.id, serde_json::from_value(numbered.request).map_err(refused)),
        Err(error) => (None, Err(refused(error))),
    }
}
