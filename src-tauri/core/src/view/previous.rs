//! The build that a device can go back to.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::update::Build;

/// What was installed before, and is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct PreviousBuild {
    /// The ESPHome that built it.
    pub version: Option<String>,
    /// When it was built.
    pub built_at: Timestamp,
}

impl PreviousBuild {
    pub(crate) fn of(build: &Build) -> Self {
        Self { version: build.esphome_version.clone(), built_at: build.built_at }
    }
}
