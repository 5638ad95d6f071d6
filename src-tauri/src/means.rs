//! What the shell does its work with: each on its own, for whoever needs it.

pub(crate) mod autostart;
pub mod cli;
pub(crate) mod display;
pub(crate) mod language;
pub(crate) mod logging;
pub(crate) mod notification_server;
pub(crate) mod paths;
pub(crate) mod preferences;
pub(crate) mod program;
pub(crate) mod signals;
pub(crate) mod tasks;
