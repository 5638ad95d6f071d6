//! What Wakeflash does.

pub mod flasher;
