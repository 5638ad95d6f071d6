//! The decisions of Wakeflash: which device is which, what state an update is in, what happens next.
//!
//! Nothing in this crate does I/O or reads a clock. Time is an argument, the network is a value, and
//! everything that has to be done is returned as an [`dispatch::Effect`] for the engine to carry out.

pub mod address;
pub mod build_failure;
pub mod compiler_cache;
pub mod conductor;
pub mod configuration;
pub mod credentials;
pub mod device;
pub mod device_log;
pub mod dispatch;
pub mod error;
pub mod gate;
pub mod identity;
pub mod knock;
pub mod mdns;
pub mod network;
pub mod notification;
pub mod request;
pub mod retry;
pub mod schedule;
pub mod settings;
pub mod time;
pub mod tray;
pub mod update;
pub mod view;
pub mod words;
