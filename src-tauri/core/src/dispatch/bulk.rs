//! What the window asks for beside an update's life: many devices at once, addresses, what is modified.

use std::collections::BTreeSet;

use crate::address;
use crate::credentials::key_of;
use crate::device::{ConfigFile, DeviceId, DeviceMemory, InstalledBuild, Presence};
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::{
    Build, Encryption, Secret, SourceFile, StateKind, Update, UpdateId, sources_digest,
};
use crate::view::{ActivityRecord, InstallPlan, Refusal, UpdateRecord};

use super::Dispatch;

/// What Install does with a device.
enum Intent {
    Now,
    AtWake,
    Held,
    Active,
    Refused(Problem),
}

impl Dispatch {
    /// What [`super::Input::InstallMany`] would do with these devices. `None`: with all that there is an update
    /// for.
    #[must_use]
    pub fn install_plan(&self, devices: Option<&[DeviceId]>, now: Timestamp) -> InstallPlan {
        let mut plan = InstallPlan::default();
        let devices = devices.map_or_else(|| self.updatable(now), unique);
        for device in devices {
            match self.intent(&device, now) {
                Intent::Now => plan.now.push(device),
                Intent::AtWake => plan.at_wake.push(device),
                Intent::Held => plan.held.push(device),
                Intent::Active => plan.active.push(device),
                Intent::Refused(problem) => plan.refused.push(Refusal { device, problem }),
            }
        }
        plan
    }

    /// The devices that there is an update for.
    fn updatable(&self, now: Timestamp) -> Vec<DeviceId> {
        let rows = self.rows().into_iter().filter_map(|id| self.row(&id, now));
        rows.filter(|row| row.update_available).map(|row| row.id).collect()
    }

    fn intent(&self, device: &DeviceId, now: Timestamp) -> Intent {
        if let Err(problem) = self.is_free(device) {
            return Intent::Refused(problem);
        }
        match self.active(device).map(|update| update.state.kind()) {
            Some(StateKind::Held) => return Intent::Held,
            Some(_) => return Intent::Active,
            None => {}
        }
        match self.installable(device) {
            Ok(name) if self.presence(device, &name, now) == Presence::Online => Intent::Now,
            Ok(_) => Intent::AtWake,
            Err(problem) => Intent::Refused(problem),
        }
    }

    /// Starts an update of each device that has none under way; one that has is left alone, since a wish
    /// for many must not end a transfer that nobody thought of.
    pub(super) fn install_many(&mut self, devices: &[DeviceId], now: Timestamp) {
        for device in unique(devices) {
            let begun = match self.intent(&device, now) {
                Intent::Now | Intent::AtWake => self.install(&device, now),
                Intent::Held => Err(Problem::new(
                    "update.held",
                    format!("The update of {device} is held; decide about it first."),
                )),
                Intent::Active => Err(Problem::new(
                    "update.active",
                    format!("{device} already has an update under way."),
                )),
                Intent::Refused(problem) => Err(problem),
            };
            self.note_refusal(device, begun);
        }
        self.decision.started = None;
    }

    /// Ends the updates of many devices.
    pub(super) fn cancel_many(&mut self, devices: &[DeviceId], now: Timestamp) {
        for device in unique(devices) {
            let ended = self.cancel(&device, now);
            self.note_refusal(device, ended);
        }
    }

    pub(super) fn note_refusal(&mut self, device: DeviceId, result: Result<(), Problem>) {
        if let Err(problem) = result {
            self.decision.refusals.push(Refusal { device, problem });
        }
    }

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

    /// The name that the device of a row goes by.
    pub(super) fn known_name(&self, device: &DeviceId) -> Option<String> {
        if let Some(file) = self.configs.get(device) {
            return Some(self.name_of(file).to_owned());
        }
        let of_update = self.active(device).map(|update| update.name.as_str());
        let heard = |name: &&str| self.heard.contains_key(*name);
        of_update.or_else(|| device.discovered_name().filter(heard)).map(str::to_owned)
    }

    /// The compressed image of an update is ready to be sent.
    pub(super) fn image_ready(&mut self, id: UpdateId, wire_size: u32) {
        let is_news = |update: &Update| {
            !update.state.kind().is_final() && update.wire_size != Some(wire_size)
        };
        if self.updates.get(&id).is_some_and(is_news)
            && let Some(update) = self.change(id)
        {
            update.wire_size = Some(wire_size);
        }
    }

    /// The passwords and keys that are kept, so that no report contains them.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let key = |encryption: Option<&Encryption>| encryption.and_then(key_of).cloned();
        let remembered = self.heard.values().flat_map(|heard| {
            let memory = &heard.memory;
            let before = memory.before_install.as_ref();
            let keys = [
                key(memory.installed_encryption.as_ref()),
                key(before.and_then(|before| before.encryption.as_ref())),
            ];
            let passwords = [
                memory.installed_password.clone(),
                before.and_then(|before| before.password.clone()),
            ];
            keys.into_iter().chain(passwords).flatten()
        });
        let deliveries = self.updates.values().filter_map(|update| update.state.delivery());
        let of_builds = deliveries.flat_map(|delivery| {
            let ota = &delivery.build.ota;
            ota.password.clone().into_iter().chain(key(Some(&ota.encryption)))
        });
        remembered.chain(of_builds).collect()
    }

    /// An update as its device's history shows it.
    #[must_use]
    pub fn record(&self, update: &Update) -> UpdateRecord {
        UpdateRecord::of(update, self.state_view(update))
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

    /// An update that has ended, as it is shown among those of all devices.
    #[must_use]
    pub fn activity_record(&self, update: &Update) -> ActivityRecord {
        ActivityRecord::of(update, self.state_view(update))
    }

    /// What is remembered of a build that is installed now.
    pub(super) fn installed_sources(build: &Build) -> InstalledBuild {
        InstalledBuild {
            digest: sources_digest(&build.sources),
            files: build.sources.clone(),
            config_hash: build.config_hash,
            version: build.esphome_version.clone(),
            port: Some(build.ota.port),
            address: build.address.clone(),
        }
    }

    /// Whether a build of a configuration would differ from what runs on its device, as far as that is known: by the
    /// hash that ESPHome says such a build has, where it is the same ESPHome, and by the sources.
    pub(super) fn is_modified(&self, file: &ConfigFile, memory: &DeviceMemory) -> bool {
        let sources = &file.sources;
        let word = file.content.as_ref().ok().and_then(|summary| summary.word.as_ref());
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

fn unique(devices: &[DeviceId]) -> Vec<DeviceId> {
    let mut seen = BTreeSet::new();
    devices.iter().filter(|device| seen.insert(*device)).cloned().collect()
}
