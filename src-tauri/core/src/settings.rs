//! What the user can choose.

use serde::{Deserialize, Serialize};

/// What to do with a waiting update when the files it was built from have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum ChangedSources {
    /// Hold the update and ask.
    #[default]
    Hold,
    /// Build again and keep waiting.
    Rebuild,
    /// Flash what was built.
    Flash,
}

/// The user's choices, kept in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// The directory of ESPHome's YAML files; `None` until the user has chosen one.
    pub config_dir: Option<String>,
    /// The `esphome` program to use; `None`: the one on PATH, else the application's own.
    pub esphome_path: Option<String>,
    /// What to do when the sources of a waiting update change.
    pub changed_sources: ChangedSources,
    /// How many builds may run at once, at least 1.
    pub max_builds: u8,
    /// How many transfers may run at once, at least 1.
    pub max_flashes: u8,
    /// Whether to raise desktop notifications.
    pub notifications: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config_dir: None,
            esphome_path: None,
            changed_sources: ChangedSources::Hold,
            max_builds: 1,
            max_flashes: 4,
            notifications: true,
        }
    }
}
