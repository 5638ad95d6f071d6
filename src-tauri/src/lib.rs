//! Wakeflash, the application: puts the engine, the window, the tray and the notifications together.

mod app;
mod autostart;
pub mod cli;
mod display;
mod events;
mod language;
mod logging;
mod notify;
mod page;
mod paths;
mod preferences;
mod program;
mod quit;
mod signals;
mod state;
mod tasks;
mod tray;
mod tray_host;
mod window;
mod window_process;
mod wire;

use std::process::ExitCode;

use cli::Cli;

/// Runs the application until it is ended, or its window until that is closed.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    if cli.window { window_process::run(&cli) } else { app::run(cli) }
}

/// The last resort, where there is no log.
#[allow(clippy::print_stderr)]
fn complain(text: &str) {
    eprintln!("wakeflash: {text}");
}

/// What `tauri.conf.json` says, and the files of the page.
fn context() -> tauri::Context {
    tauri::generate_context!()
}
