//! What a user reads when something went wrong.

use serde::{Deserialize, Serialize};

/// A failure in a user's words. The chain of technical causes goes to the log, never in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{message}")]
pub struct Problem {
    /// A stable identifier such as `build.failed`, for programs; its first part is the area.
    pub code: String,
    /// What happened, in one sentence.
    pub message: String,
    /// What to do about it, when there is something to do.
    pub help: Option<String>,
    /// What only somebody who looks closer wants to know, such as hashes.
    #[serde(default)]
    pub details: Option<String>,
}

impl Problem {
    /// A problem without advice.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), help: None, details: None }
    }

    /// The same problem with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same problem with what only somebody who looks closer wants to know.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }
}
