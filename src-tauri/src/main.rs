//! Wakeflash.
fn main() {}
