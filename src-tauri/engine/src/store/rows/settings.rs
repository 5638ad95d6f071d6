//! The row of settings.

use serde::{Deserialize, Serialize};
use wakeflash_core::settings::{ChangedSources, Language, NotifyKinds, Settings, Theme};

use super::Misread;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SettingsRow {
    config_dir: Option<String>,
    esphome_path: Option<String>,
    own_esphome: bool,
    compiler_cache: Option<String>,
    changed_sources: ChangedSourcesRow,
    max_builds: u8,
    max_flashes: u8,
    notify: NotifyRow,
    theme: ThemeRow,
    language: LanguageRow,
    start_at_login: bool,
    paused: bool,
}

impl From<&Settings> for SettingsRow {
    fn from(settings: &Settings) -> Self {
        let Settings {
            config_dir,
            esphome_path,
            own_esphome,
            compiler_cache,
            changed_sources,
            max_builds,
            max_flashes,
            notify,
            theme,
            language,
            start_at_login,
            paused,
        } = settings;
        Self {
            config_dir: config_dir.clone(),
            esphome_path: esphome_path.clone(),
            own_esphome: *own_esphome,
            compiler_cache: compiler_cache.clone(),
            changed_sources: (*changed_sources).into(),
            max_builds: *max_builds,
            max_flashes: *max_flashes,
            notify: notify.into(),
            theme: (*theme).into(),
            language: (*language).into(),
            start_at_login: *start_at_login,
            paused: *paused,
        }
    }
}

impl TryFrom<SettingsRow> for Settings {
    type Error = Misread;

    fn try_from(row: SettingsRow) -> Result<Self, Misread> {
        Ok(Self {
            config_dir: row.config_dir,
            esphome_path: row.esphome_path,
            own_esphome: row.own_esphome,
            compiler_cache: row.compiler_cache,
            changed_sources: row.changed_sources.into(),
            max_builds: row.max_builds,
            max_flashes: row.max_flashes,
            notify: row.notify.into(),
            theme: row.theme.into(),
            language: row.language.into(),
            start_at_login: row.start_at_login,
            paused: row.paused,
        })
    }
}

mirror! { ChangedSourcesRow of ChangedSources {
    Hold = "hold",
    Rebuild = "rebuild",
    Flash = "flash",
} }

mirror! { ThemeRow of Theme {
    System = "system",
    Light = "light",
    Dark = "dark",
} }

mirror! { LanguageRow of Language {
    System = "system",
    En = "en",
    De = "de",
} }

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotifyRow {
    installed: bool,
    failed: bool,
    held: bool,
    overdue: bool,
}

impl From<&NotifyKinds> for NotifyRow {
    fn from(NotifyKinds { installed, failed, held, overdue }: &NotifyKinds) -> Self {
        Self { installed: *installed, failed: *failed, held: *held, overdue: *overdue }
    }
}

impl From<NotifyRow> for NotifyKinds {
    fn from(NotifyRow { installed, failed, held, overdue }: NotifyRow) -> Self {
        Self { installed, failed, held, overdue }
    }
}
