//! The engine without a window: as a service for any number of clients, for one program on standard input and output,
//! and the commands that ask the service. docs/API.md describes the protocol, docs/HEADLESS.md the service.

mod arguments;
mod ask;
mod attach;
mod commands;
mod failure;
mod host;
mod notify;
mod serve;
mod session;
mod socket;
mod status;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::CommandFactory as _;
use tracing_subscriber::EnvFilter;
use wakeflash_engine::log_limit::{Sparing, aside};

use arguments::{Arguments, Command};
use failure::Failure;

/// How long tasks that can't be ended are waited for: reading standard input occupies a thread that returns
/// only when there is something to read.
const RUNTIME_END: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let Err(failure) = run(arguments) else { return ExitCode::SUCCESS };
    // Without standard error, the exit code is what is left to say it.
    let _ =
        writeln!(std::io::stderr(), "wakeflash-headless: {}", status::plain(&failure.to_string()));
    ExitCode::from(failure.code())
}

fn run(mut arguments: Arguments) -> Result<(), Failure> {
    match arguments.command.take() {
        None => {
            let state = arguments.state()?;
            hosting(host::over_standard_streams(state, arguments.hosting, arguments.detached))
        }
        Some(Command::Serve(options)) => hosting(serve::serve(arguments.state()?, options)),
        Some(Command::Attach) => attach::attach(&arguments.state()?),
        Some(Command::Completions { shell }) => {
            let mut command = Arguments::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "wakeflash-headless", &mut script);
            commands::print(&script)
        }
        Some(Command::Man) => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Arguments::command()).render(&mut page);
            rendered.context("the manual page can't be written")?;
            commands::print(&page)
        }
        Some(command) => commands::carry_out(&arguments.state()?, command),
    }
}

/// Runs an engine, with its log on standard error.
fn hosting(host: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    let (to, _written) = aside(std::io::stderr());
    log.with_writer(Sparing::new(to)).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the runtime can't be started")?;
    let result = runtime.block_on(host);
    // Dropping it would wait for the thread that reads standard input.
    runtime.shutdown_timeout(RUNTIME_END);
    result
}

/// A path that means the same from everywhere.
fn absolute(path: Option<PathBuf>) -> anyhow::Result<Option<PathBuf>> {
    path.map(|path| std::path::absolute(&path).with_context(|| path.display().to_string()))
        .transpose()
}
