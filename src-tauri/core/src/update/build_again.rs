//! A build that failed and is made again.

use serde::{Deserialize, Serialize};

use crate::build_failure::Lack;
use crate::error::Problem;
use crate::time::Timestamp;

/// Builds of an update that failed in a row, and the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildAgain {
    /// How many failed.
    pub failures: u32,
    /// What the last one was missing.
    pub lack: Lack,
    /// Why it failed.
    pub problem: Problem,
    /// Not before this time; `None`: as soon as it is its turn.
    pub not_before: Option<Timestamp>,
}
