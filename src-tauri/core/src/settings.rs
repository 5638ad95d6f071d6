//! What the user can choose.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

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

/// How the window looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum Theme {
    /// As the desktop says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// In which language the user is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum Language {
    /// As the desktop says.
    #[default]
    System,
    /// English.
    En,
    /// German.
    De,
}

/// What desktop notifications are raised about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase", default)]
pub struct NotifyKinds {
    /// An update is installed.
    pub installed: bool,
    /// An update failed, or its device rolled back.
    pub failed: bool,
    /// The sources of a waiting update changed.
    pub held: bool,
    /// A device that is waited for should have woken long ago.
    pub overdue: bool,
}

impl NotifyKinds {
    /// All of them, or none.
    #[must_use]
    pub const fn all(wanted: bool) -> Self {
        Self { installed: wanted, failed: wanted, held: wanted, overdue: wanted }
    }
}

impl Default for NotifyKinds {
    fn default() -> Self {
        Self::all(true)
    }
}

/// The user's choices, kept in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// The directory of ESPHome's YAML files; `None` until the user has chosen one.
    pub config_dir: Option<String>,
    /// The `esphome` program to use; `None`: the one on PATH, else the application's own.
    pub esphome_path: Option<String>,
    /// Whether the application's own ESPHome is used, whatever else there is. Installing it chooses it.
    pub own_esphome: bool,
    /// Where ccache shares what was compiled (`CCACHE_REMOTE_STORAGE`): the URL of an HTTP or Redis server.
    pub compiler_cache: Option<String>,
    /// What to do when the sources of a waiting update change.
    pub changed_sources: ChangedSources,
    /// How many builds may run at once, at least 1.
    pub max_builds: u8,
    /// How many transfers may run at once, at least 1.
    pub max_flashes: u8,
    /// What desktop notifications are raised about.
    pub notify: NotifyKinds,
    /// How the window looks.
    pub theme: Theme,
    /// In which language the user is spoken to.
    pub language: Language,
    /// Whether the application starts, without a window, when the user logs in.
    pub start_at_login: bool,
    /// Whether no new build and no new flash is begun. What runs goes on.
    pub paused: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config_dir: None,
            esphome_path: None,
            own_esphome: false,
            compiler_cache: None,
            changed_sources: ChangedSources::Hold,
            max_builds: 1,
            max_flashes: 4,
            notify: NotifyKinds::default(),
            theme: Theme::System,
            language: Language::System,
            start_at_login: false,
            paused: false,
        }
    }
}

impl Settings {
    /// Reads settings as any version has stored them.
    ///
    /// # Errors
    /// The text is no JSON, or a value has no meaning.
    pub fn from_stored(text: &str) -> Result<Self, serde_json::Error> {
        let mut stored: Value = serde_json::from_str(text)?;
        if let Value::Object(fields) = &mut stored
            // Schema 1 knew only all notifications or none.
            && let Some(Value::Bool(wanted)) = fields.remove("notifications")
            && !fields.contains_key("notify")
        {
            fields.insert("notify".to_owned(), serde_json::to_value(NotifyKinds::all(wanted))?);
        }
        serde_json::from_value(stored)
    }
}

/// Some of the settings, each with its new value. Those that aren't in it stay as they are when it arrives, whatever
/// whoever made it knew of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, specta::Type)]
#[specta(type = Settings)]
pub struct SettingsChange(Map<String, Value>);

impl SettingsChange {
    /// That the application starts at login, or doesn't.
    #[must_use]
    pub fn starting_at_login(mut self, on: bool) -> Self {
        self.0.insert(START_AT_LOGIN.to_owned(), Value::Bool(on));
        self
    }

    /// That nothing new begins, or that it does again.
    #[must_use]
    pub fn pausing(mut self, paused: bool) -> Self {
        self.0.insert("paused".to_owned(), Value::Bool(paused));
        self
    }

    /// That an ESPHome of the application's own builds.
    #[must_use]
    pub fn with_own_esphome(mut self) -> Self {
        self.0.insert("ownEsphome".to_owned(), Value::Bool(true));
        self
    }

    /// Those of some settings that belong to the computer that is looked at, not to the one that works: how it looks,
    /// in which language, what it tells, whether it starts at login.
    #[must_use]
    pub fn of_the_screen(settings: &Settings) -> Self {
        let all = serde_json::to_value(settings).unwrap_or_default();
        let fields = all.as_object().cloned().unwrap_or_default();
        Self(fields).divided().0
    }

    /// What belongs to the computer that is looked at, and the rest.
    #[must_use]
    pub fn divided(self) -> (Self, Self) {
        let (screen, rest) =
            self.0.into_iter().partition(|(name, _)| OF_THE_SCREEN.contains(&name.as_str()));
        (Self(screen), Self(rest))
    }

    /// This change, and then another one.
    #[must_use]
    pub fn and(mut self, then: Self) -> Self {
        self.0.extend(then.0);
        self
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the application is to start at login; `None`: nothing is said about it.
    #[must_use]
    pub fn start_at_login(&self) -> Option<bool> {
        self.0.get(START_AT_LOGIN)?.as_bool()
    }

    /// The settings with this change.
    ///
    /// # Errors
    /// A value has no meaning. It is looked at when it arrives, so this never happens then.
    pub fn applied_to(self, settings: &Settings) -> Result<Settings, serde_json::Error> {
        let mut all = serde_json::to_value(settings)?;
        if let Value::Object(fields) = &mut all {
            fields.extend(self.0);
        }
        serde_json::from_value(all)
    }
}

const START_AT_LOGIN: &str = "startAtLogin";
const OF_THE_SCREEN: [&str; 4] = ["theme", "language", "notify", START_AT_LOGIN];

impl<'de> Deserialize<'de> for SettingsChange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let change = Self(Map::deserialize(deserializer)?);
        change.clone().applied_to(&Settings::default()).map_err(D::Error::custom)?;
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_first_version_keep_their_meaning() {
        let old = r#"{"configDir":"/c","changedSources":"rebuild","maxBuilds":2,"maxFlashes":3,"notifications":false}"#;
        let read = Settings::from_stored(old).unwrap();
        assert_eq!(read.notify, NotifyKinds::all(false));
        assert_eq!((read.max_builds, read.changed_sources), (2, ChangedSources::Rebuild));
        assert!(!read.start_at_login && !read.paused && !read.own_esphome);
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(Settings::from_stored(&written).unwrap(), read);
    }

    #[test]
    fn a_change_leaves_alone_what_it_does_not_name() {
        let change = r#"{"theme":"dark","configDir":null}"#;
        let change: SettingsChange = serde_json::from_str(change).unwrap();
        let before = Settings {
            paused: true,
            own_esphome: true,
            config_dir: Some("/c".to_owned()),
            ..Settings::default()
        };
        let after = Settings { theme: Theme::Dark, config_dir: None, ..before.clone() };
        assert_eq!((change.start_at_login(), change.applied_to(&before).unwrap()), (None, after));
        let change = SettingsChange::default().pausing(false).with_own_esphome();
        let resumed = Settings { paused: false, ..before.clone() };
        assert_eq!(
            change.applied_to(&Settings { own_esphome: false, ..before.clone() }).unwrap(),
            resumed
        );
        let change = SettingsChange::default().starting_at_login(true);
        assert_eq!(change.start_at_login(), Some(true));
        let after = Settings { start_at_login: true, ..before.clone() };
        assert_eq!(change.applied_to(&before).unwrap(), after);
        for wrong in [r#"{"maxBuilds":"many"}"#, r#"{"startAtLogin":null}"#, "[]"] {
            assert!(serde_json::from_str::<SettingsChange>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_newer_choice_says_comes_before_the_old_one() {
        let both = r#"{"notifications":true,"notify":{"installed":false}}"#;
        let notify = Settings::from_stored(both).unwrap().notify;
        assert_eq!(notify, NotifyKinds { installed: false, ..NotifyKinds::all(true) });
    }
}
