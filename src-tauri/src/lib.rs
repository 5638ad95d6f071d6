//! Wakeflash, the application.
