//! The log: on stderr, and in a file per day of which a week is kept.

use std::io::IsTerminal as _;
use std::panic;

use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::paths::Paths;

/// Says what is logged, in the syntax of `tracing_subscriber`'s filter.
const FILTER: &str = "WAKEFLASH_LOG";
const KEPT_FILES: usize = 7;

/// Starts to log, and logs panics too.
///
/// # Errors
/// The log is set up already.
pub(crate) fn start(paths: &Paths) -> anyhow::Result<()> {
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("wakeflash")
        .filename_suffix("log")
        .max_log_files(KEPT_FILES)
        .build(paths.log_dir());
    let (to_file, failed) = match file {
        Ok(file) => (Some(fmt::layer().with_ansi(false).with_writer(file)), None),
        Err(error) => (None, Some(error)),
    };
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::registry()
        .with(filter())
        .with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr))
        .with(to_file)
        .try_init()?;
    log_panics();
    if let Some(error) = failed {
        tracing::warn!("there is no log file: {error}");
    }
    Ok(())
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
