//! The flasher over real sockets: against real devices, against an independent implementation and against scripted ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod device;
mod espota2;
mod flashing;
mod noise;
mod peer;
mod web_server;
