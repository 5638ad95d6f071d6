//! A database that is damaged, and what the user can do about it.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What is wrong with the database, and what there is instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct StoreDamage {
    /// What is wrong, for people who know SQLite.
    pub reason: String,
    /// The last backup that is good.
    pub backup: Option<StoreBackup>,
    /// The devices that an update was asked for since that backup, as far as that can still be read.
    pub lost: Vec<String>,
}

/// A backup that can take the place of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct StoreBackup {
    /// When it was made. Nothing that came later is in it.
    pub at: Timestamp,
    /// How many devices are remembered in it.
    pub devices: u32,
    /// The devices whose updates are under way in it.
    pub under_way: Vec<String>,
}

/// What to do about a damaged database. It is kept in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum StoreChoice {
    /// Go on from the last backup, paused.
    RestoreBackup,
    /// Go on with an empty queue and the settings of a new installation.
    StartEmpty,
}
