//! What Wakeflash does: the store, the network watch, the builder, the flasher, and the loop that runs them.

pub mod api;
pub mod artifacts;
pub mod builder;
pub mod configs;
pub mod esphome;
pub mod flasher;
pub mod gate;
pub mod handle;
pub mod kill;
pub mod lines;
pub mod log_limit;
mod ota_socket;
mod process;
mod recordings;
mod report;
pub mod runtime;
#[cfg(test)]
mod script;
pub mod store;
#[cfg(test)]
mod told;
pub mod watch;
