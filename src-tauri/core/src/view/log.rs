//! The log of a device, as it is shown.

use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::time::Timestamp;

/// The log of a device while somebody looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct DeviceLog {
    /// Whether it is being followed.
    pub state: DeviceLogState,
    /// The number of the first of these lines, counted from 0 since somebody looks.
    pub first_line: u32,
    /// What the device said, with colours as ESPHome writes them; safe to show.
    pub lines: Vec<String>,
    /// `logger: level:` of the configuration, as it was last compiled; `NONE`: it has no `logger:`. `None`: nobody knows.
    pub level: Option<String>,
}

/// Whether the log of a device is being followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DeviceLogState {
    /// A connection is being tried.
    Connecting,
    /// What the device says is shown as it says it.
    Live {
        /// Since when.
        since: Timestamp,
    },
    /// It isn't, for this reason; it is tried again as long as somebody looks.
    Waiting {
        /// Why.
        problem: Problem,
    },
}

/// A log of one wake that was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct LogRecording {
    /// When the recording began; it names it.
    pub at: Timestamp,
    /// When the wake was first noticed.
    pub wake_at: Option<Timestamp>,
    /// How long it lasted, in whole seconds.
    pub seconds: u32,
    /// How many lines it has.
    pub lines: u32,
    /// Why it ends there.
    pub end: RecordingEnd,
}

/// Why the recording of a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum RecordingEnd {
    /// The device took its leave: it went to sleep, or restarted.
    Slept,
    /// The connection broke.
    Lost,
    /// It is as long as a recording may be.
    Full,
    /// An update of the device began.
    Update,
}
