//! The decisions of Wakeflash.

pub mod ota;
