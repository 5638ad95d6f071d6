//! Whose log is to be recorded, and where the log of a device can be had.

use core::time::Duration;

use crate::address;
use crate::device::{DeviceId, DeviceMemory};
use crate::device_log::{LogSource, LogWish, Who};
use crate::dispatch::Dispatch;
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::{Api, StateKind};

use super::super::knock_targets::read;
use super::{KnownDevice, Liveness};

/// How many devices may be waited for to record their logs: each is tried to reach every two seconds.
const MOST_WISHES: usize = 16;

/// A pause of an update that ends so soon leaves no time for a log.
const SOON: Duration = Duration::from_secs(5);

impl Dispatch {
    /// The user wants the log of a device's next wake, or no longer.
    pub(in crate::dispatch) fn record_log(
        &mut self,
        device: &DeviceId,
        on: bool,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let name = self.known_name(device).ok_or_else(|| self.no_configuration(device))?;
        let is_on = self.memory(&name).is_some_and(|memory| memory.record_log.is_some());
        if is_on == on {
            return Ok(());
        }
        if on && self.devices.iter().filter(|(_, heard)| has_wish(heard)).count() >= MOST_WISHES {
            return Err(Problem::new(
                "log.too_many_wishes",
                format!("The logs of {MOST_WISHES} devices are already to be recorded."),
            )
            .with_help("Take one of them back, or wait until one has woken."));
        }
        let alive = self.devices.get(&name).map(|heard| heard.liveness) == Some(Liveness::Alive);
        let wish = LogWish { asked_at: now, while_awake: alive, wake: self.wake_number(&name) };
        self.change_memory(&name).record_log = on.then_some(wish);
        Ok(())
    }

    /// The log of this device was recorded and is kept.
    pub(in crate::dispatch) fn log_recorded(&mut self, name: &str) {
        if self.memory(name).is_some_and(|memory| memory.record_log.is_some()) {
            self.change_memory(name).record_log = None;
        }
    }

    /// The names of the devices whose logs are to be recorded as soon as they are there: of one that was awake when
    /// that was asked for, not before it was gone.
    #[must_use]
    pub fn logs_to_record(&self, now: Timestamp) -> Vec<String> {
        let is_next = |heard: &KnownDevice| {
            heard.memory.record_log.is_some_and(|wish| {
                let last = heard.wakes.last().map(|wake| wake.number);
                !wish.while_awake || heard.liveness != Liveness::Alive || last != wish.wake
            })
        };
        let wanted = self.devices.iter().filter(|(_, heard)| is_next(heard));
        wanted
            .map(|(name, _)| name.clone())
            .filter(|name| !self.log_has_to_wait(name, now))
            .collect()
    }

    /// Whether the log of this device is still to be recorded.
    #[must_use]
    pub fn has_log_wish(&self, name: &str) -> bool {
        self.devices.get(name).is_some_and(has_wish)
    }

    /// Whether an update wants the device of this name now, or in a moment. Its flash comes first: nobody follows the log meanwhile.
    #[must_use]
    pub fn log_has_to_wait(&self, name: &str, now: Timestamp) -> bool {
        let mut updates = self.updates.values().filter(|update| update.is_for(name));
        updates.any(|update| {
            update.state.kind() == StateKind::Flashing
                || self.purpose_of_knocking(update, now + SOON).is_some()
        })
    }

    /// The name that the device of a row goes by.
    ///
    /// # Errors
    /// There is no such row.
    pub fn log_name(&self, device: &DeviceId) -> Result<String, Problem> {
        self.known_name(device).ok_or_else(|| self.no_configuration(device))
    }

    /// When the wake began that the device of this name is in, or was in last.
    #[must_use]
    pub fn last_wake_at(&self, name: &str) -> Option<Timestamp> {
        self.devices.get(name)?.wakes.last().map(|wake| wake.at)
    }

    /// The file of the configuration whose device goes by this name.
    #[must_use]
    pub fn file_of_name(&self, name: &str) -> Option<&DeviceId> {
        self.configs.values().find(|file| self.name_of(file) == name).map(|file| &file.id)
    }

    /// Where the log of the device of this name can be had.
    #[must_use]
    pub fn log_source(&self, name: &str) -> LogSource {
        let memory = self.memory(name).cloned().unwrap_or_default();
        let entered = memory.user_address.as_deref().map(address::target);
        let file = self.configs.values().find(|file| self.name_of(file) == name);
        let configured = file.and_then(|file| file.content.as_ref().ok()?.address.as_deref());
        let installed = memory.installed_sources.as_ref().and_then(|it| it.address.as_deref());
        let mut given: Vec<_> = entered.into_iter().collect();
        for address in [installed, configured].into_iter().flatten().map(read) {
            if !given.contains(&address) {
                given.push(address);
            }
        }
        LogSource {
            name: name.to_owned(),
            given,
            found: memory.addresses().filter(|at| self.may_reach(name, *at)).collect(),
            installed: installed_api(&memory).cloned(),
            sleeps: self.is_sleeper(name),
            who: Who { name: name.to_owned(), identity: memory.identity, claims: memory.claims },
        }
    }
}

fn has_wish(heard: &KnownDevice) -> bool {
    heard.memory.record_log.is_some()
}

/// The API of the build that was installed from here and runs, as far as that is known.
fn installed_api(memory: &DeviceMemory) -> Option<&Api> {
    let runs = memory.installed()?;
    let build = memory.kept_builds.last()?;
    let same = (&build.stamp, build.config_hash) == (&runs.stamp, runs.config_hash);
    build.api.as_ref().filter(|_| same)
}
