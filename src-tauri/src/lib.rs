//! Wakeflash, the application.

pub mod commands;
mod desktop;
mod engine;
pub mod events;
mod paths;
mod state;
mod tray;
mod window;
