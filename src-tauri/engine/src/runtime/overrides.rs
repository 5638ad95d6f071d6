//! What the command line says instead of the settings. It holds for this run only and is never stored.

use std::path::Path;

use wakeflash_core::settings::Settings;

use super::EngineOptions;

/// The overridden settings, with what is stored in their place.
#[derive(Debug)]
pub(super) struct Overrides {
    config_dir: Option<Override<Option<String>>>,
    esphome_path: Option<Override<Option<String>>>,
    /// Who names a program wants no other one, not even our own.
    own_esphome: Option<Override<bool>>,
}

#[derive(Debug)]
struct Override<T> {
    effective: T,
    stored: T,
}

impl<T: Clone + PartialEq> Override<T> {
    fn apply(effective: T, setting: &mut T) -> Self {
        let stored = std::mem::replace(setting, effective.clone());
        Self { effective, stored }
    }

    /// What to store: an override that the user left alone is not a choice of theirs.
    fn restore(overridden: Option<&Self>, setting: &mut T) {
        if let Some(overridden) = overridden.filter(|it| it.effective == *setting) {
            setting.clone_from(&overridden.stored);
        }
    }

    /// The user has chosen: an override with another value than theirs is over.
    fn end_unless(overridden: &mut Option<Self>, setting: &T) {
        overridden.take_if(|it| it.effective != *setting);
    }
}

impl Overrides {
    /// Puts what the options say in the place of what was stored.
    pub(super) fn apply(options: &EngineOptions, settings: &mut Settings) -> Self {
        let text = |path: &Path| Some(path.to_string_lossy().into_owned());
        let (config_dir, esphome) = (options.config_dir.as_deref(), options.esphome.as_deref());
        Self {
            config_dir: config_dir.map(|dir| Override::apply(text(dir), &mut settings.config_dir)),
            esphome_path: esphome
                .map(|path| Override::apply(text(path), &mut settings.esphome_path)),
            own_esphome: esphome.map(|_| Override::apply(false, &mut settings.own_esphome)),
        }
    }

    /// The settings to store.
    pub(super) fn to_store(&self, effective: &Settings) -> Settings {
        let mut settings = effective.clone();
        Override::restore(self.config_dir.as_ref(), &mut settings.config_dir);
        Override::restore(self.esphome_path.as_ref(), &mut settings.esphome_path);
        Override::restore(self.own_esphome.as_ref(), &mut settings.own_esphome);
        settings
    }

    /// The user has chosen.
    pub(super) fn chosen(&mut self, effective: &Settings) {
        Override::end_unless(&mut self.config_dir, &effective.config_dir);
        Override::end_unless(&mut self.esphome_path, &effective.esphome_path);
        Override::end_unless(&mut self.own_esphome, &effective.own_esphome);
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
    #[test]
    fn a_given_esphome_is_used_before_our_own_until_the_user_installs_that() {
        let options = EngineOptions {
            state_dir: "/state".into(),
            config_dir: None,
            esphome: Some("/given".into()),
        };
        let chosen = Settings { own_esphome: true, ..Settings::default() };
        let mut settings = chosen.clone();
        let mut overrides = Overrides::apply(&options, &mut settings);
        assert_eq!(
            (settings.own_esphome, settings.esphome_path.as_deref()),
            (false, Some("/given"))
        );
        assert_eq!(overrides.to_store(&settings), chosen);
        settings.own_esphome = true;
        overrides.chosen(&settings);
        assert_eq!(overrides.to_store(&settings), chosen, "the path is none of theirs");
        // A path that the user chooses in this run takes the place of our own for good.
        settings =
            Settings { own_esphome: false, esphome_path: Some("/theirs".into()), ..settings };
        overrides.chosen(&settings);
        assert_eq!(overrides.to_store(&settings), settings);
    }
}
