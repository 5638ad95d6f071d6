//! Where the engine works, when that is another computer than the one that shows it.

use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::time::Timestamp;

/// Another computer, as this one knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// What the user calls it: `user@host`, or a name that their SSH knows.
    pub name: String,
    /// That there is no connection; `None`: there is one, and all that is shown is true now.
    pub away: Option<Away>,
}

/// There is no connection: what is shown is as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct Away {
    /// Since when; `None`: there was none yet.
    pub since: Option<Timestamp>,
    /// Why; `None`: it is being tried for the first time.
    pub problem: Option<Problem>,
}
