//! The parts of the shell. None knows another one: they meet in messages, and in `app`, which puts them together.

pub(crate) mod notify;
pub(crate) mod tray;
pub(crate) mod window;
pub(crate) mod window_process;
