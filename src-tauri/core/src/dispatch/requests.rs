//! What the user asks for.

use std::sync::Arc;

use crate::build_failure::Lack;
use crate::credentials;
use crate::device::{DeviceId, DeviceMemory};
use crate::error::Problem;
use crate::settings::{Settings, SettingsChange};
use crate::time::Timestamp;
use crate::update::{Delivery, SourceTracking, StateKind, Update, UpdateId, UpdateState};

use super::{Builder, Dispatch, Effect};

impl Dispatch {
    pub(super) fn install(&mut self, device: &DeviceId, now: Timestamp) -> Result<(), Problem> {
        let name = self.installable(device)?;
        self.begin(device, name, UpdateState::Queued, "Install requested.", now)
    }

    /// Goes back to the build that was installed before. Nothing is built, so its configuration may be broken.
    pub(super) fn install_previous(
        &mut self,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let name = self.known_name(device).ok_or_else(|| self.no_configuration(device))?;
        let previous = self.memory(&name).and_then(DeviceMemory::previous_build).cloned();
        let build = previous.ok_or_else(|| {
            Problem::new("update.no_previous", format!("No earlier build of {device} is kept."))
                .with_help("The last two builds that were installed from here are.")
        })?;
        let warning = credentials::warning(&build, self.memory(&name));
        let tracking = SourceTracking::Waived;
        let delivery = Delivery { tracking, warning, ..Self::delivery(build) };
        let waiting = UpdateState::Waiting { delivery, retry_at: None };
        self.begin(device, name, waiting, "The previous build was requested.", now)
    }

    /// A new update of a device; the one that is under way makes room.
    fn begin(
        &mut self,
        device: &DeviceId,
        name: String,
        state: UpdateState,
        text: &str,
        now: Timestamp,
    ) -> Result<(), Problem> {
        self.is_free(device)?;
        let id = UpdateId(self.next_id);
        self.next_id = self.next_id.checked_add(1).ok_or_else(|| {
            Problem::new("queue.exhausted", "The queue has no numbers left for new updates.")
        })?;
        if let Some(old) = self.active(device).map(|update| update.id) {
            self.stop_work(old);
            self.go(
                old,
                UpdateState::Superseded { at: now, by: id },
                now,
                "A newer update took its place.",
            );
        }
        let mut update = Update {
            id,
            device: device.clone(),
            directory: self.settings.config_dir.clone(),
            mac: self.memory(&name).and_then(|memory| memory.identity.mac()),
            from_version: self.memory(&name).and_then(|memory| memory.version()).map(str::to_owned),
            known_hashes: self.memory(&name).map(DeviceMemory::known_hashes).unwrap_or_default(),
            name,
            requested_at: now,
            wire_size: None,
            ended_delivery: None,
            build_again: None,
            changed_in_builds: Vec::new(),
            earlier_may_have_arrived: false,
            state,
            timeline: Vec::new(),
        };
        update.note(now, text);
        self.updates.insert(id, update);
        self.decision.updates.insert(id);
        self.decision.touched.insert(device.clone());
        self.decision.started = Some(id);
        Ok(())
    }

    /// The name of a device that can be built, or why it can't.
    pub(super) fn installable(&self, device: &DeviceId) -> Result<String, Problem> {
        let file = self.configs.get(device).ok_or_else(|| self.no_configuration(device))?;
        file.content.as_ref().map_err(Clone::clone)?;
        if let Some(problem) = self.same_name(file) {
            return Err(problem);
        }
        if self.builder == Some(Builder::Missing) {
            return Err(Problem::new(
                "esphome.missing",
                "ESPHome was not found, so nothing can be built.",
            )
            .with_help("Install it with one click, or choose where it is, in the settings."));
        }
        Ok(self.name_of(file).to_owned())
    }

    pub(super) fn no_configuration(&self, device: &DeviceId) -> Problem {
        if device.discovered_name().is_some_and(|name| self.heard.contains_key(name)) {
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

    pub(super) fn cancel(&mut self, device: &DeviceId, now: Timestamp) -> Result<(), Problem> {
        let Some(update) = self.active(device) else { return Err(self.nothing_active(device)) };
        let id = update.id;
        let may_have_arrived = update.may_have_arrived();
        self.remember_for_undo(id, now);
        self.stop_work(id);
        let text = if may_have_arrived {
            "Cancelled, after the whole image may have reached the device: it may run it."
        } else {
            "Cancelled."
        };
        self.go(id, UpdateState::Cancelled { at: now, may_have_arrived }, now, text);
        Ok(())
    }

    fn nothing_active(&self, device: &DeviceId) -> Problem {
        if self.is_known(device) {
            Problem::new("update.none", format!("{device} has no update that is under way."))
        } else {
            self.no_configuration(device)
        }
    }

    fn is_known(&self, device: &DeviceId) -> bool {
        self.configs.contains_key(device)
            || self.updates.values().any(|update| update.device == *device)
    }

    /// Ends the process or the connection that works for an update.
    fn stop_work(&mut self, id: UpdateId) {
        let Some(kind) = self.updates.get(&id).map(|update| update.state.kind()) else { return };
        match kind {
            StateKind::Building => self.decision.effects.push(Effect::StopBuild(id)),
            StateKind::Flashing => {
                // What was decided together is carried out together: not a byte is to leave first.
                self.decision.effects.retain(|effect| *effect != Effect::GrantTransfer(id));
                self.decision.effects.push(Effect::StopFlash(id));
            }
            StateKind::Queued
            | StateKind::Waiting
            | StateKind::Held
            | StateKind::Confirming
            | StateKind::Installed
            | StateKind::Failed
            | StateKind::Cancelled
            | StateKind::Superseded => {}
        }
    }

    pub(super) fn retry(&mut self, device: &DeviceId, now: Timestamp) -> Result<(), Problem> {
        self.is_free(device)?;
        if let Some(id) = self.active(device).map(|update| update.id) {
            if self.end_build_pause(id) {
                self.decision.started = Some(id);
                return Ok(());
            }
            return Err(Problem::new(
                "update.active",
                format!("{device} already has an update under way."),
            ));
        }
        match self.last(device).map(|update| update.state.kind()) {
            Some(StateKind::Failed | StateKind::Cancelled) => self.install(device, now),
            Some(
                StateKind::Queued
                | StateKind::Building
                | StateKind::Waiting
                | StateKind::Held
                | StateKind::Flashing
                | StateKind::Confirming
                | StateKind::Installed
                | StateKind::Superseded,
            )
            | None
                if self.is_known(device) =>
            {
                Err(Problem::new(
                    "update.none",
                    format!("{device} has no failed or cancelled update to retry."),
                ))
            }
            Some(_) | None => Err(self.no_configuration(device)),
        }
    }

    pub(super) fn rebuild(&mut self, device: &DeviceId, now: Timestamp) -> Result<(), Problem> {
        let id = self.held(device)?;
        self.is_free(device)?;
        self.installable(device)?;
        self.go(id, UpdateState::Queued, now, "To be built again from the changed sources.");
        Ok(())
    }

    pub(super) fn flash_anyway(
        &mut self,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let id = self.held(device)?;
        let Some(mut delivery) =
            self.updates.get(&id).and_then(|update| update.state.delivery().cloned())
        else {
            return Err(self.nothing_active(device));
        };
        delivery.tracking = SourceTracking::Waived;
        delivery.warning = self.credential_warning(id, &delivery.build);
        let waiting = UpdateState::Waiting { delivery, retry_at: None };
        self.go(id, waiting, now, "Will be flashed as it was built.");
        Ok(())
    }

    pub(super) fn dismiss(&mut self, device: &DeviceId) -> Result<(), Problem> {
        let shown = self.shown_update(device);
        let failed = shown.filter(|update| update.state.kind() == StateKind::Failed);
        if let Some(id) = failed.map(|update| update.id)
            && let Some(update) = self.change(id)
            && let UpdateState::Failed { dismissed, .. } = &mut update.state
        {
            *dismissed = true;
            return Ok(());
        }
        if self.is_known(device) {
            return Err(Problem::new(
                "update.none",
                format!("{device} has no failed update to put aside."),
            ));
        }
        Err(self.no_configuration(device))
    }

    fn held(&self, device: &DeviceId) -> Result<UpdateId, Problem> {
        let update = self.active(device).ok_or_else(|| self.nothing_active(device))?;
        match update.state.kind() {
            StateKind::Held => Ok(update.id),
            StateKind::Queued
            | StateKind::Building
            | StateKind::Waiting
            | StateKind::Flashing
            | StateKind::Confirming
            | StateKind::Installed
            | StateKind::Failed
            | StateKind::Cancelled
            | StateKind::Superseded => {
                Err(Problem::new("update.not_held", format!("The update of {device} is not held.")))
            }
        }
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
}
