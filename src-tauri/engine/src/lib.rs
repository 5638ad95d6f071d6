//! What Wakeflash does.
