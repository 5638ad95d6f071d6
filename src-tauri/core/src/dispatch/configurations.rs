//! The configurations of the config directory, and what differs from what runs.

use core::net::IpAddr;

use crate::configuration::{AddressClaim, ConfigFile};
use crate::device::{DeviceId, DeviceMemory};
use crate::dispatch::device::names::configured_name;
use crate::error::Problem;
use crate::update::{Build, SourceFile};

use super::{Dispatch, Effect};

impl Dispatch {
    /// Takes over what is in the config directory.
    pub(super) fn replace_configs(&mut self, files: Vec<ConfigFile>) {
        let names = self.known_names();
        self.touch_configs();
        self.configs = files.into_iter().map(|file| (file.id.clone(), file)).collect();
        self.trace_names(&names);
        self.take_plans();
        self.touch_configs();
        // So does one under whose file name an update is for a device that had another name.
        let names = self.updates.values().map(|update| DeviceId::discovered(&update.name));
        self.decision.touched.extend(names);
    }

    /// A configuration that comes or goes makes a discovered device of the same name go or come.
    fn touch_configs(&mut self) {
        let ids = |file: &ConfigFile| [DeviceId::discovered(self.name_of(file)), file.id.clone()];
        let touched: Vec<DeviceId> = self.configs.values().flat_map(ids).collect();
        self.decision.touched.extend(touched);
    }

    pub(super) fn take_configs(&mut self, files: Vec<ConfigFile>) {
        self.directory_read(files);
        // Devices that sleep are built first, and which do may be known only now.
        self.decision.reordered = true;
        for id in self.active_ids() {
            let here = self.updates.get(&id).is_some_and(|update| self.is_here(update));
            if here && self.is_tracked(id) {
                self.decision.effects.push(Effect::CheckSources(id));
            }
        }
    }

    /// Another configuration of a device of the same name, as ESPHome says it.
    fn namesake(&self, file: &ConfigFile) -> Option<&ConfigFile> {
        let named = |file: &ConfigFile| {
            let summary = file.content.as_ref().ok()?;
            summary.validated.is_some().then(|| summary.name.clone())
        };
        let own = named(file)?;
        self.configs
            .values()
            .find(|other| other.id != file.id && named(other).as_ref() == Some(&own))
    }

    /// Says that two configurations are of one device, unless the user has said whose it is: this one.
    pub(super) fn same_name(&self, file: &ConfigFile) -> Option<Problem> {
        let other = self.namesake(file)?;
        let name = configured_name(file)?;
        let chosen = self.memory(name).and_then(|memory| memory.chosen.as_ref());
        if chosen.is_some_and(|chosen| *chosen == self.here(&file.id)) {
            return None;
        }
        let problem = Problem::new(
            "config.same_name",
            format!("{} configures a device of the same name, “{name}”.", other.id),
        );
        Some(problem.with_help(
            "Give one of the devices another name, or say whose device it is; it then doesn't get the firmware of the \
             others.",
        ))
    }

    /// Says that another configuration names the address of this one's device, so that it proves nothing.
    pub(super) fn same_address(&self, file: &ConfigFile) -> Option<Problem> {
        let named = |file: &ConfigFile| match file.content.as_ref().map(|said| &said.claim) {
            Ok(AddressClaim::Names(Some(address))) => address.parse::<IpAddr>().ok(),
            Ok(AddressClaim::Names(None) | AddressClaim::NoDevice | AddressClaim::Unknown)
            | Err(_) => None,
        };
        let own = named(file)?;
        let mut others = self.configs.values().filter(|other| other.id != file.id);
        let other = others.find(|other| named(other) == Some(own))?;
        let problem = Problem::new(
            "config.same_address",
            format!("{} configures a device with the same address, {own}.", other.id),
        );
        Some(problem.with_help(
            "Give one of the devices another address. Until then neither gets an update there, unless it says who it is \
             by mDNS, or has an encryption key of its own.",
        ))
    }

    /// The user says that the device of a configuration's name is this one's.
    pub(super) fn choose_config(&mut self, device: &DeviceId) -> Result<(), Problem> {
        let file = self.configs.get(device).ok_or_else(|| self.no_configuration(device))?;
        let name = self.name_of(file).to_owned();
        let here = self.here(device);
        let memory = self.change_memory(&name);
        memory.configured_by = Some(here.clone());
        memory.chosen = Some(here);
        self.touch(&name);
        Ok(())
    }

    /// The sources of what waits for a device and of what was installed on it, as far as their changes matter.
    #[must_use]
    pub fn followed_sources(&self, device: &DeviceId) -> [Option<&[SourceFile]>; 2] {
        let tracked = self.active(device).filter(|update| self.is_tracked(update.id));
        let delivered = tracked.and_then(|update| update.state.delivery());
        let file = self.configs.get(device);
        let memory = file.and_then(|file| self.memory(self.name_of(file)));
        let installed = memory.and_then(|memory| memory.installed_sources.as_ref());
        [
            delivered.map(|delivery| delivery.build.sources.as_slice()),
            installed.map(|sources| sources.files.as_slice()).filter(|files| !files.is_empty()),
        ]
    }

    /// The build whose sources tell what has changed since: that of what is under way for a device, or of what is
    /// installed on it; and the directory that they lie in.
    #[must_use]
    pub fn last_build(&self, device: &DeviceId) -> Option<(&Build, Option<&str>)> {
        if let Some(update) = self.active(device) {
            return Some((&update.state.delivery()?.build, self.directory_of(update)));
        }
        let file = self.configs.get(device)?;
        let memory = self.memory(self.name_of(file))?;
        memory.installed()?;
        Some((memory.kept_builds.last()?, self.settings.config_dir.as_deref()))
    }

    /// Whether a build of a configuration would differ from what runs on its device, as far as that is known: by the
    /// hash that ESPHome says such a build has, where it is the same ESPHome, and by the sources.
    pub(super) fn is_modified(&self, file: &ConfigFile, memory: &DeviceMemory) -> bool {
        let sources = &file.sources;
        let word = file.content.as_ref().ok().and_then(|summary| summary.validated.as_ref());
        let wanted = word.and_then(|word| Some((word.config_hash?, word.version.as_deref()?)));
        if let Some(installed) = memory.installed() {
            let built = installed.config_hash.zip(installed.version.as_deref());
            return match wanted.zip(built) {
                Some(((hash, version), (built, by))) if version == by => {
                    hash != built || sources.code_modified == Some(true)
                }
                Some(_) | None => sources.modified == Some(true),
            };
        }
        if let (Some((hash, version)), Some(running)) = (wanted, memory.config_hash())
            && memory.version() == Some(version)
        {
            return hash != running;
        }
        match (&sources.last_build, sources.newest, memory.config_hash()) {
            (Some(build), Some(newest), Some(running)) => {
                build.config_hash == running && newest > build.at
            }
            (None, _, _) | (_, None, _) | (_, _, None) => false,
        }
    }
}
