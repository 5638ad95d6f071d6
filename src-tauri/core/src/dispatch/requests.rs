//! What the user asks for beside an update's life: settings, addresses; and what can't be done.

use std::sync::Arc;

use crate::address;
use crate::build_failure::Lack;
use crate::compiler_cache;
use crate::device::DeviceId;
use crate::error::Problem;
use crate::settings::{Settings, SettingsChange};

use super::Dispatch;

/// What is longer is no label but a note, and has no room in a list.
const LABEL_LENGTH: usize = 32;

impl Dispatch {
    /// Remembers where the user says that a device is.
    pub(super) fn set_address(
        &mut self,
        device: &DeviceId,
        entered: Option<&str>,
    ) -> Result<(), Problem> {
        let address = entered.map(address::read).transpose()?;
        let name = self.known_name(device).ok_or_else(|| self.no_configuration(device))?;
        if self.memory(&name).and_then(|memory| memory.user_address.clone()) != address {
            self.change_memory(&name).user_address = address;
            self.decision.touched.insert(device.clone());
        }
        Ok(())
    }

    /// Gives devices a label, or takes it away from them.
    pub(super) fn set_label(
        &mut self,
        devices: &[DeviceId],
        entered: &str,
        on: bool,
    ) -> Result<(), Problem> {
        let label = entered.split_whitespace().collect::<Vec<_>>().join(" ");
        if label.is_empty() || label.chars().count() > LABEL_LENGTH {
            return Err(Problem::new("label.length", "This label is empty or too long.")
                .with_help("Take a word or two, 32 characters at most."));
        }
        let name = |device| self.known_name(device).ok_or_else(|| self.no_configuration(device));
        let names = devices.iter().map(name).collect::<Result<Vec<_>, _>>()?;
        for (device, name) in devices.iter().zip(names) {
            let has = self.memory(&name).is_some_and(|memory| memory.labels.contains(&label));
            if has != on {
                let labels = &mut self.change_memory(&name).labels;
                if on {
                    labels.insert(label.clone())
                } else {
                    labels.remove(&label)
                };
                self.decision.touched.insert(device.clone());
            }
        }
        Ok(())
    }

    /// Whether a device has a configuration in the config directory, readable or not.
    ///
    /// # Errors
    /// It has none.
    pub fn has_file(&self, device: &DeviceId) -> Result<(), Problem> {
        if self.configs.contains_key(device) { Ok(()) } else { Err(self.no_configuration(device)) }
    }

    /// Applied to the settings as they are by then.
    pub(super) fn change_some_settings(&mut self, change: SettingsChange) -> Result<(), Problem> {
        let settings = change.applied_to(&self.settings).map_err(|error| {
            Problem::new("engine.defect", format!("The settings can't be read: {error}."))
        })?;
        self.change_settings(settings)
    }

    pub(super) fn change_settings(&mut self, settings: Settings) -> Result<(), Problem> {
        if settings.max_builds == 0 || settings.max_flashes == 0 {
            return Err(Problem::new(
                "settings.zero",
                "At least one build and one transfer must be allowed at once.",
            ));
        }
        if let Some(address) = &settings.compiler_cache {
            compiler_cache::check(address)?;
        }
        let moved = settings.config_dir != self.settings.config_dir;
        let old = &self.settings;
        if (settings.own_esphome, &settings.esphome_path) != (old.own_esphome, &old.esphome_path) {
            self.is_back_for_builds(Lack::Esphome);
        }
        if moved {
            // The sources of waiting updates are compared when the new directory has been read.
            self.leave_directory();
        }
        self.settings = Arc::new(settings);
        self.decision.settings = true;
        if moved {
            self.decision.touched.extend(self.rows());
        }
        Ok(())
    }

    pub(super) fn no_configuration(&self, device: &DeviceId) -> Problem {
        if device.discovered_name().is_some_and(|name| self.devices.contains_key(name)) {
            Problem::new(
                "device.not_configured",
                format!(
                    "{device} was only seen on the network; there is no configuration to build."
                ),
            )
            .with_help("Add its YAML file to the config directory.")
        } else if !self.directory.is_there() {
            Problem::new("config_dir.reading", "The config directory hasn't been read yet.")
                .with_help("Try again in a moment, or choose a directory that can be read.")
        } else {
            Problem::new(
                "device.unknown",
                format!("There is no device {device:?} here.", device = device.as_str()),
            )
            .with_help(
                "A device is named by its file in the config directory, such as sleepy.yaml.",
            )
        }
    }
}
