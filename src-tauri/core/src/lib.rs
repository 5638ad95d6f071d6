//! The decisions of Wakeflash.
