//! What users live through: the real engine in a network of network namespaces, beside real devices that sleep, or
//! scripted ones where no real one would do it. One program for all of them, so that they wait side by side.

mod cancel;
mod cases;
mod challenge;
mod credentials;
mod demo;
mod device_log;
mod directory;
mod forged;
mod held;
mod input;
#[cfg(debug_assertions)]
mod kill;
mod main_job;
mod missed;
mod noise;
mod own_esphome;
mod peer;
mod presence;
mod previous;
mod remote;
mod restart;
mod safe_mode;
mod service;
mod soak;
mod store;
mod subnet;
mod surroundings;
mod wake_cut;
mod wake_evidence;
mod wake_storm;
mod wake_who;
mod wake_windows;
mod watch;
mod web_server;
