//! The lab: real ESPHome devices on this machine, a responder that speaks mDNS for them, a LAN of
//! network namespaces to put them in, scripted devices, and clients for the programs under test.

pub mod announcer;
pub mod bench;
pub mod clock;
pub mod control;
pub mod demo;
pub mod desktop;
pub mod device;
pub mod disk;
pub mod esphome;
pub mod flash;
pub mod headless;
pub mod jsonl;
pub mod kept;
pub mod lan;
pub mod link;
pub mod paths;
pub mod peer;
pub mod relay;
pub mod scripted;
pub mod soak;
pub mod sshd;
pub mod stage;
pub mod supervisor;
pub mod yaml;
