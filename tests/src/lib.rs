//! The lab.

pub mod peer;
