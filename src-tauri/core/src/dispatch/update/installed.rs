//! Installed: whether the new firmware stays.
//!
//! A bootloader with rollback goes back to the old firmware when the new one ends before it was marked as good,
//! and firmware before ESPHome 2026.8 is marked only after it has run for a minute. A device that sleeps sooner
//! runs its old firmware in its next wake.

use core::time::Duration;

use crate::device::{BeforeInstall, ConfigHash, DeviceMemory, InstalledBuild, Sighting};
use crate::dispatch::Dispatch;
use crate::dispatch::device::identity::is_another_board;
use crate::dispatch::rollback::rolled_back;
use crate::identity::RunningBuild;
use crate::time::Timestamp;
use crate::update::{
    Acknowledgement, Build, Delivery, InstalledHow, RollbackWatch, UpdateId, UpdateState,
    sources_digest,
};
use crate::view::Installation;

use super::announced::{Firmware, announced_firmware};

/// A device that runs the new firmware for so long without sleeping keeps it (ESPHome marks it after 60 s).
const STAYS_AFTER: Duration = Duration::from_secs(90);

/// The wakes after which it isn't waited for its word any longer.
const SILENT_WAKES: usize = 3;

impl Dispatch {
    pub(in crate::dispatch) fn installed(
        &mut self,
        id: UpdateId,
        how: InstalledHow,
        now: Timestamp,
    ) {
        let Some(update) = self.updates.get(&id) else { return };
        let Some(delivery) = update.state.delivery().cloned() else { return };
        let text = match how {
            InstalledHow::Confirmed => "Installed: the device announced the new firmware.",
            InstalledHow::Returned => {
                "Installed: the device acknowledged the update and came back."
            }
            InstalledHow::AlreadyRunning => {
                "Installed: the device already runs this build, nothing more is sent."
            }
        };
        let build = delivery.build.clone();
        let name = build.name.clone();
        let (device, former, here) =
            (update.device.clone(), update.name.clone(), self.is_here(update));
        let watch = rollback_watch(how, &delivery);
        let previous_hash = update.state.previous_hash();
        if self.transition(id, UpdateState::Installed { delivery, at: now, how, watch }, now, text)
        {
            self.note_what_it_ran(id, previous_hash);
            self.end_safe_mode(&former);
            // Of what is of another directory, that is found out when it is chosen again.
            if here {
                self.move_memory(&device, &former, &name);
            }
            let sources = Self::installed_sources(&build);
            let memory = self.change_memory(&name);
            let known =
                installation(how, previous_hash, memory.installed_sources.as_ref(), &sources);
            note_installed(memory, &build, sources, watch);
            (memory.deep_sleep, memory.sleep_plan) = (build.deep_sleep, build.sleep_plan);
            memory.identity.install(RunningBuild {
                version: build.esphome_version,
                config_hash: build.config_hash,
                stamp: build.stamp,
            });
            memory.transfers.clear();
            if let Some(hash) = build.config_hash {
                memory.note_hash(hash);
            }
            self.notify_installed(id, known, text);
        }
    }

    /// What a device says itself for which an update was installed.
    pub(in crate::dispatch) fn watch_rollback(&mut self, sighting: &Sighting, now: Timestamp) {
        for id in self.watched_ids(&sighting.name) {
            let Some(update) = self.updates.get(&id) else { continue };
            let UpdateState::Installed { delivery, at, .. } = &update.state else { continue };
            let at = *at;
            if is_another_board(update, sighting) {
                continue;
            }
            // When the clock was set back since, nobody can tell.
            let settled = at > now || now.since(at) >= Acknowledgement::Final.settle();
            match announced_firmware(&delivery.build, sighting) {
                // A packet from before the restart may be late.
                Firmware::Other if !settled => {}
                // Nobody knows the stamp of what ran before: only a hash can tell.
                Firmware::Other if sighting.stamp.is_some() && update.previous_stamp.is_none() => {}
                // Whatever else it runs now, somebody has installed.
                Firmware::Other if !self.ran_before(id, sighting) => {
                    self.end_watch(id, now, "The device runs another firmware now.");
                }
                Firmware::Other => {
                    let problem = rolled_back(&delivery.build, sighting);
                    let (device, named) = (update.device.clone(), delivery.build.name.clone());
                    let here = self.is_here(update);
                    self.roll_back(id, problem, now);
                    self.bring_back(&named);
                    if here {
                        self.move_memory(&device, &named, &sighting.name);
                    }
                }
                Firmware::This | Firmware::Wanted if self.has_stayed(&sighting.name, at, now) => {
                    self.end_watch(id, now, "The new firmware has stayed on the device.");
                }
                Firmware::Unsaid if self.says_no_more(sighting, at, now) => {
                    self.end_watch(id, now, "The device woke again; it doesn't say what it runs.");
                }
                Firmware::This | Firmware::Wanted | Firmware::Unsaid => {}
            }
        }
    }

    /// The updates of a device whose firmware is watched, and that no newer one has replaced.
    fn watched_ids(&self, name: &str) -> Vec<UpdateId> {
        let watched = self.updates.values().filter(|update| {
            let watched = matches!(
                update.state,
                UpdateState::Installed { watch: RollbackWatch::Watched, .. }
            );
            watched && update.is_for(name)
        });
        let newest = |update: &&crate::update::Update| {
            let mut later = self.updates.values().rev().take_while(|other| other.id > update.id);
            !later.any(|later| later.is_of_the_file_of(update))
        };
        watched.filter(newest).map(|update| update.id).collect()
    }

    /// A device that was never heard before may say for the first time in the wake of its flash what it runs.
    fn note_what_it_ran(&mut self, id: UpdateId, previous: Option<ConfigHash>) {
        if let Some(previous) = previous
            && let Some(update) = self.change(id)
            && !update.known_hashes.contains(&previous)
        {
            update.known_hashes.push(previous);
        }
    }

    /// Whether the device says that it runs what it ran before the update.
    fn ran_before(&self, id: UpdateId, sighting: &Sighting) -> bool {
        let Some(update) = self.updates.get(&id) else { return false };
        match (&sighting.stamp, sighting.config_hash) {
            (Some(said), _) => update.previous_stamp.as_ref() == Some(said),
            (None, Some(said)) => update.known_hashes.contains(&said),
            (None, None) => true,
        }
    }

    fn has_stayed(&self, name: &str, installed: Timestamp, now: Timestamp) -> bool {
        self.wakes_since(name, installed, now) > 0 || now.since(installed) >= STAYS_AFTER
    }

    /// Whether nothing more can be expected than this, which has no hash: a record with a version is complete,
    /// and a probe or an address comes before it, unless no record is heard in several wakes.
    fn says_no_more(&self, sighting: &Sighting, installed: Timestamp, now: Timestamp) -> bool {
        let enough = if sighting.is_record() { 1 } else { SILENT_WAKES };
        self.wakes_since(&sighting.name, installed, now) >= enough
    }

    fn wakes_since(&self, name: &str, installed: Timestamp, now: Timestamp) -> usize {
        let wakes = self.devices.get(name).map_or(&[][..], |heard| &heard.wakes);
        // Those of the future are from before the clock was set back.
        wakes.iter().filter(|wake| wake.at > installed && wake.at <= now).count()
    }

    /// The device takes again what its old firmware took.
    fn bring_back(&mut self, name: &str) {
        if self.memory(name).is_some_and(|memory| memory.before_install.is_some()) {
            let memory = self.change_memory(name);
            let before = memory.before_install.take().unwrap_or_default();
            // It would go back again.
            memory.kept_builds.pop();
            memory.installed_password = before.password;
            memory.installed_encryption = before.encryption;
            memory.installed_sources = before.sources;
        }
    }

    fn end_watch(&mut self, id: UpdateId, now: Timestamp, text: &str) {
        if let Some(update) = self.change(id)
            && let UpdateState::Installed { watch, delivery, .. } = &mut update.state
        {
            *watch = RollbackWatch::Over;
            let name = delivery.build.name.clone();
            update.note(now, text);
            self.change_memory(&name).before_install = None;
        }
    }

    /// What is remembered of a build that is installed now.
    pub(in crate::dispatch) fn installed_sources(build: &Build) -> InstalledBuild {
        InstalledBuild {
            digest: sources_digest(&build.sources),
            files: build.sources.clone(),
            config_hash: build.config_hash,
            version: build.esphome_version.clone(),
            stamp: build.stamp.clone(),
            port: Some(build.ota.port),
            address: build.address.clone(),
        }
    }
}

/// What the user can be told. The hash alone doesn't make it the same firmware: it is that of the configuration,
/// and says nothing about components and ESPHome.
pub(in crate::dispatch) fn installation(
    how: InstalledHow,
    previous_hash: Option<ConfigHash>,
    before: Option<&InstalledBuild>,
    now: &InstalledBuild,
) -> Installation {
    match how {
        InstalledHow::Confirmed => Installation::Announced,
        InstalledHow::AlreadyRunning => Installation::AlreadyRunning,
        InstalledHow::Returned => {
            // Firmware that came by another way is not what was installed from here.
            let ran = previous_hash.is_some() && previous_hash == now.config_hash;
            // Each build has a stamp of its own.
            let as_before = |before: &InstalledBuild| InstalledBuild {
                stamp: now.stamp.clone(),
                ..before.clone()
            };
            if ran && before.map(as_before).as_ref() == Some(now) {
                Installation::Again
            } else {
                Installation::Acknowledged
            }
        }
    }
}

/// Whether the firmware of an update that is installed now has to show that it stays.
fn rollback_watch(how: InstalledHow, delivery: &Delivery) -> RollbackWatch {
    match how {
        InstalledHow::Confirmed | InstalledHow::Returned => RollbackWatch::Watched,
        // An attempt whose end nobody saw may have brought it.
        InstalledHow::AlreadyRunning if delivery.attempts > 0 => RollbackWatch::Watched,
        InstalledHow::AlreadyRunning => RollbackWatch::Over,
    }
}

/// Remembers what is installed now; and what was before, for as long as it may come back.
fn note_installed(
    memory: &mut DeviceMemory,
    build: &Build,
    sources: InstalledBuild,
    watch: RollbackWatch,
) {
    let before = BeforeInstall {
        password: memory.installed_password.take(),
        encryption: memory.installed_encryption.take(),
        sources: memory.installed_sources.take(),
    };
    memory.before_install = match watch {
        RollbackWatch::Watched => Some(before),
        RollbackWatch::Over => None,
    };
    memory.keep_build(build);
    memory.installed_sources = Some(sources);
    memory.installed_password = build.ota.password.clone();
    memory.installed_encryption = Some(build.ota.encryption.clone());
}
