//! What comes of having a configuration validated.

use serde::{Deserialize, Serialize};

use crate::error::Problem;

/// What ESPHome says about a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Validation {
    /// Nothing is wrong with it.
    Valid,
    /// It refuses it.
    Invalid {
        /// What is wrong, the first of all that is.
        problem: Problem,
        /// The file that it is in, relative to the config directory where it lies below it; null: ESPHome doesn't say.
        file: Option<String>,
        /// The line of that file, counted from 1.
        line: Option<u32>,
    },
}
