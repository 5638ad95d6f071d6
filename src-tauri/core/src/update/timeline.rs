//! What happened to an update, in sentences.

use serde::{Deserialize, Serialize};

use super::StateKind;
use crate::error::Problem;
use crate::time::Timestamp;

/// A line of an update's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// When it happened.
    pub at: Timestamp,
    /// The state that it led to, or left unchanged.
    pub state: StateKind,
    /// What happened, in a sentence.
    pub text: String,
    /// The code of the problem whose message this is; `None`: it is another sentence.
    #[serde(default)]
    pub code: Option<String>,
}

/// A sentence for the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub text: String,
    /// See [`TimelineEntry::code`].
    pub code: Option<String>,
}

impl From<&str> for Note {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Note {
    fn from(text: String) -> Self {
        Self { text, code: None }
    }
}

impl From<&Problem> for Note {
    fn from(problem: &Problem) -> Self {
        Self { text: problem.message.clone(), code: Some(problem.code.clone()) }
    }
}
