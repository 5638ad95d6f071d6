//! The state of the application itself.

use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::view::Place;

/// The state of the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The config directory.
    pub config_dir: ConfigDirStatus,
    /// ESPHome.
    pub esphome: EsphomeStatus,
    /// Why the store can't be written, when it can't.
    pub store: Option<Problem>,
    /// What else is to be known about what is kept, such as rows that can't be read.
    pub store_warnings: Vec<Problem>,
    /// Why the network can't be watched, when it can't.
    pub network: Option<Problem>,
    /// Other tools that are about to update the same devices.
    pub other_tools: Vec<Problem>,
    /// Whether no new build and no new flash is begun.
    pub paused: bool,
    /// How many updates are where.
    pub counts: Counts,
    /// Where all this is, when it isn't here. Only who shows an engine elsewhere says so.
    #[serde(default)]
    pub place: Option<Place>,
}

/// How many updates are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Waiting for their device.
    pub waiting: u32,
    /// Queued, building, flashing or confirming.
    pub working: u32,
    /// Held, or failed and not yet retried.
    pub attention: u32,
}

/// The state of the config directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ConfigDirStatus {
    /// Not chosen yet.
    Unset,
    /// Being read for the first time.
    Reading {
        /// Which.
        path: String,
    },
    /// Read and followed.
    Ready {
        /// Which.
        path: String,
    },
    /// It can't be read. Updates that wait keep waiting.
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        problem: Problem,
    },
}

/// The state of ESPHome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EsphomeStatus {
    /// Being looked for.
    Searching,
    /// Found and working.
    Ready {
        path: String,
        /// What it says its version is.
        version: String,
        /// What is wrong all the same: it stands in for the chosen one, or another one couldn't be installed.
        problem: Option<Problem>,
    },
    /// Not found, or it doesn't start.
    Missing {
        /// What was tried and what to do.
        problem: Problem,
    },
    /// Being installed into an environment of the application's own.
    Installing {
        /// What is being done.
        step: String,
        /// How far that is, 0 to 100; `None`: nobody knows.
        percent: Option<u8>,
    },
}
