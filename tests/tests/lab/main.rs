//! The lab itself: its devices are real ESPHome firmware, its links are what they say, and it cleans up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod api;
mod bench;
mod device;
mod link;
