//! What Wakeflash does: the store, the network watch, the builder, the flasher, and the loop that runs them.

pub mod gate;
pub mod handle;
pub mod watch;
