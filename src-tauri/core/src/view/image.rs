//! An image that was built.

use serde::{Deserialize, Serialize};

/// Where the image of a build is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct BuiltImage {
    /// The file. It is the application's own, and goes when nothing needs it any more.
    pub path: String,
    /// What a copy of it may be called.
    pub name: String,
}
