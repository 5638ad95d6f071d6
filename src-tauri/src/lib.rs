//! Wakeflash, the application: puts the engine, the window, the tray and the notifications together.

mod app;
#[cfg(test)]
mod layers;
mod means;
mod messages;
mod parts;

pub use means::cli;

use std::process::ExitCode;

use cli::Cli;

/// Runs the application until it is ended, or its window until that is closed.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    if cli.window { parts::window_process::run(&cli) } else { app::run(cli) }
}
