//! The log: on stderr, and in a file per day of which a week is kept. Both have limits: see
//! [`wakeflash_engine::log_limit`].

use std::io::IsTerminal as _;
use std::panic;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use wakeflash_engine::log_limit::{Daily, Sparing, aside};

use crate::means::paths::Paths;

/// Says what is logged, in the syntax of `tracing_subscriber`'s filter.
const FILTER: &str = "WAKEFLASH_LOG";
const KEPT_FILES: usize = 7;

/// Starts to log, and logs panics too. What is given back writes the last lines when it is dropped.
///
/// # Errors
/// The log is set up already.
pub(crate) fn start(paths: &Paths) -> anyhow::Result<Vec<WorkerGuard>> {
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("wakeflash")
        .filename_suffix("log")
        .max_log_files(KEPT_FILES)
        .build(paths.log_dir());
    let (to_stderr, written) = aside(std::io::stderr());
    let mut written = vec![written];
    let (to_file, failed) = match file {
        Ok(file) => {
            let (file, written_to_it) = aside(file);
            written.push(written_to_it);
            let file = Daily::new(file, written_today(paths));
            (Some(fmt::layer().with_ansi(false).with_writer(Sparing::new(file))), None)
        }
        Err(error) => (None, Some(error)),
    };
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::registry()
        .with(filter())
        .with(fmt::layer().with_ansi(colours).with_writer(Sparing::new(to_stderr)))
        .with(to_file)
        .try_init()?;
    log_panics();
    if let Some(error) = failed {
        tracing::warn!("there is no log file: {error}");
    }
    Ok(written)
}

/// How long the newest log is: it is today's, or there is none yet.
fn written_today(paths: &Paths) -> u64 {
    let entries = std::fs::read_dir(paths.log_dir()).into_iter().flatten().flatten();
    let logs = entries.filter(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.starts_with("wakeflash."))
    });
    let newest = logs.max_by_key(std::fs::DirEntry::file_name);
    newest.and_then(|entry| entry.metadata().ok()).map_or(0, |metadata| metadata.len())
}

/// Starts to log on stderr only, for the window's process: the application adds the time and keeps the file.
pub(crate) fn start_in_window() {
    let lines = fmt::layer().with_ansi(false).without_time().with_writer(std::io::stderr);
    let started = tracing_subscriber::registry().with(filter()).with(lines).try_init();
    log_panics();
    if let Err(error) = started {
        tracing::error!("the log is set up already: {error}");
    }
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// A panic ends a task at most; what it was about must be in the log file.
fn log_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        tracing::error!("panic: {info}\n{}", std::backtrace::Backtrace::capture());
        usual(info);
    }));
}

/// The last resort, where there is no log.
#[allow(clippy::print_stderr)]
pub(crate) fn complain(text: &str) {
    eprintln!("wakeflash: {text}");
}
