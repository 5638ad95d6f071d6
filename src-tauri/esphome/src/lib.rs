//! What ESPHome writes and says: configurations, what a compile leaves, and its output, read into the types of
//! `wakeflash-core`. Nothing here does I/O: bytes and lines are arguments.

#![warn(missing_docs)]

pub mod answer;
mod boot_check;
pub mod compile;
pub mod config;
pub mod files;
pub mod image;
pub mod log_config;
pub mod mask;
pub mod ninja;
pub mod pip;
pub mod scrub;
pub mod secrets;
pub mod upload;
pub mod witness;
