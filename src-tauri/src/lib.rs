//! Wakeflash, the application: puts the engine, the window, the tray and the notifications together.

mod app;
mod autostart;
pub mod cli;
mod commands;
mod desktop;
mod events;
mod language;
mod logging;
mod notify;
mod page;
mod paths;
mod preferences;
mod quit;
mod signals;
mod state;
mod tasks;
mod tray;
mod tray_host;
mod window;

pub use app::run;
