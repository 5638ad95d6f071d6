//! What is shown of a device's wakes.

use serde::{Deserialize, Serialize};

use crate::schedule::Rhythm;
use crate::time::Timestamp;

/// When a device wakes, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct WakeView {
    /// What kind of schedule it has.
    pub rhythm: Rhythm,
    /// The usual time between two wakes.
    pub period_seconds: Option<u32>,
    /// How much earlier or later than expected it may be.
    pub jitter_seconds: Option<u32>,
    /// The middle of the next expected wake; of one that is late or overdue, when it should have come.
    /// `None`: nothing tells.
    pub next: Option<Timestamp>,
    /// It should have woken, and hasn't.
    pub overdue: bool,
    /// How long it is usually awake.
    pub window_seconds: Option<u32>,
}

/// A wake that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct WakeRecord {
    /// When it was first noticed.
    pub at: Timestamp,
    /// How long it lasted. `None`: it lasts, or nobody saw its end.
    pub awake_seconds: Option<u32>,
    /// It was flashed in this wake.
    pub flashed: bool,
}
