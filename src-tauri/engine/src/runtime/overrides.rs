//! What the command line says instead of the settings. It holds for this run only and is never stored.

use std::path::Path;

use wakeflash_core::settings::Settings;

use super::EngineOptions;

/// The overridden settings, with what is stored in their place.
#[derive(Debug)]
pub(super) struct Overrides {
    config_dir: Option<Override>,
    esphome_path: Option<Override>,
}

#[derive(Debug)]
struct Override {
    effective: String,
    stored: Option<String>,
}

impl Override {
    fn apply(path: Option<&Path>, setting: &mut Option<String>) -> Option<Self> {
        let effective = path?.to_string_lossy().into_owned();
        let stored = setting.replace(effective.clone());
        Some(Self { effective, stored })
    }

    fn holds(&self, setting: Option<&str>) -> bool {
        setting == Some(self.effective.as_str())
    }
}

impl Overrides {
    /// Puts what the options say in the place of what was stored.
    pub(super) fn apply(options: &EngineOptions, settings: &mut Settings) -> Self {
        Self {
            config_dir: Override::apply(options.config_dir.as_deref(), &mut settings.config_dir),
            esphome_path: Override::apply(options.esphome.as_deref(), &mut settings.esphome_path),
        }
    }

    /// The settings to store: an override that the user left alone is not a choice of theirs.
    pub(super) fn to_store(&self, effective: &Settings) -> Settings {
        let mut settings = effective.clone();
        let pairs = [
            (&self.config_dir, &mut settings.config_dir),
            (&self.esphome_path, &mut settings.esphome_path),
        ];
        for (overridden, setting) in pairs {
            if let Some(overridden) = overridden
                && overridden.holds(setting.as_deref())
            {
                setting.clone_from(&overridden.stored);
            }
        }
        settings
    }

    /// The user has chosen: an override with another value than theirs is over.
    pub(super) fn chosen(&mut self, effective: &Settings) {
        self.config_dir.take_if(|it| !it.holds(effective.config_dir.as_deref()));
        self.esphome_path.take_if(|it| !it.holds(effective.esphome_path.as_deref()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_is_used_and_not_stored_until_the_user_chooses_otherwise() {
        let dir = |path: &str| Some(path.to_owned());
        let options = EngineOptions {
            state_dir: "/state".into(),
            config_dir: Some("/given".into()),
            esphome: None,
        };
        let mut settings = Settings { config_dir: dir("/stored"), ..Settings::default() };
        let mut overrides = Overrides::apply(&options, &mut settings);
        assert_eq!(settings.config_dir, dir("/given"));
        settings.max_builds = 2;
        overrides.chosen(&settings);
        let stored = overrides.to_store(&settings);
        assert_eq!((stored.config_dir, stored.max_builds), (dir("/stored"), 2));
        settings.config_dir = dir("/chosen");
        assert_eq!(overrides.to_store(&settings).config_dir, dir("/chosen"));
        overrides.chosen(&settings);
        settings.config_dir = dir("/given");
        assert_eq!(overrides.to_store(&settings).config_dir, dir("/given"), "now it is a choice");
    }
}
