//! The installed ESPHome: what it says of configurations, what its builds read and leave.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail like tests"
)]

mod builder;
mod cases;
mod sources;
