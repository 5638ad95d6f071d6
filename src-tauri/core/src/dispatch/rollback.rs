//! After the installation: whether the new firmware stays.
//!
//! A bootloader with rollback goes back to the old firmware when the new one ends before it was marked as good,
//! and firmware before ESPHome 2026.8 is marked only after it has run for a minute. A device that sleeps sooner
//! runs its old firmware in its next wake.

use core::time::Duration;

use crate::device::{BeforeInstall, DeviceMemory, InstalledBuild, Sighting};
use crate::time::Timestamp;
use crate::update::{Build, Delivery, InstalledHow, RollbackWatch, UpdateId, UpdateState};

use super::Dispatch;
use super::confirming::{Word, rolled_back, word};
use super::identity::is_another_board;

/// A device that runs the new firmware for so long without sleeping keeps it (ESPHome marks it after 60 s).
const STAYS_AFTER: Duration = Duration::from_secs(90);

/// The wakes after which it isn't waited for its word any longer.
const SILENT_WAKES: usize = 3;

/// Whether the firmware of an update that is installed now has to show that it stays.
pub(super) fn rollback_watch(how: InstalledHow, delivery: &Delivery) -> RollbackWatch {
    match how {
        InstalledHow::Confirmed | InstalledHow::Returned => RollbackWatch::Watched,
        // An attempt whose end nobody saw may have brought it.
        InstalledHow::AlreadyRunning if delivery.attempts > 0 => RollbackWatch::Watched,
        InstalledHow::AlreadyRunning => RollbackWatch::Over,
    }
}

/// Remembers what is installed now; and what was before, for as long as it may come back.
pub(super) fn note_installed(
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

impl Dispatch {
    /// What a device says itself for which an update was installed.
    pub(super) fn watch_rollback(&mut self, sighting: &Sighting, now: Timestamp) {
        for id in self.watched_ids(&sighting.name) {
            let Some(update) = self.updates.get(&id) else { continue };
            let UpdateState::Installed { delivery, at, .. } = &update.state else { continue };
            let at = *at;
            if is_another_board(update, sighting) {
                continue;
            }
            match word(&delivery.build, sighting) {
                // Whatever else it runs now, somebody has installed.
                Word::Other if !self.ran_before(id, sighting) => {
                    self.end_watch(id, now, "The device runs another firmware now.");
                }
                Word::Other => {
                    let problem = rolled_back(&delivery.build, sighting);
                    let (device, named) = (update.device.clone(), delivery.build.name.clone());
                    let here = self.is_here(update);
                    self.roll_back(id, problem, now);
                    self.bring_back(&named);
                    if here {
                        self.move_memory(&device, &named, &sighting.name);
                    }
                }
                Word::Wanted if self.has_stayed(&sighting.name, at, now) => {
                    self.end_watch(id, now, "The new firmware has stayed on the device.");
                }
                Word::Silent if self.says_no_more(sighting, at) => {
                    self.end_watch(id, now, "The device woke again; it doesn't say what it runs.");
                }
                Word::Wanted | Word::Silent => {}
            }
        }
    }

    /// A device that had gone back to its old firmware, as somebody who spoke from its address said, runs the build
    /// after all: that is its word, too, and it is the later one.
    pub(super) fn take_back_rollback(&mut self, sighting: &Sighting, now: Timestamp) {
        let rolled_back = self.updates.values().filter(|update| {
            let back = matches!(update.state, UpdateState::Failed { taken_back: Some(_), .. });
            back && update.is_for(&sighting.name) && !is_another_board(update, sighting)
        });
        let runs_it = rolled_back.filter(|update| {
            self.last(&update.device).is_some_and(|last| last.id == update.id)
                && update
                    .state
                    .delivery()
                    .is_some_and(|delivery| matches!(word(&delivery.build, sighting), Word::Wanted))
        });
        for id in runs_it.map(|update| update.id).collect::<Vec<_>>() {
            self.installed(id, InstalledHow::Confirmed, now);
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

    /// Whether the device says that it runs what it ran before the update.
    fn ran_before(&self, id: UpdateId, sighting: &Sighting) -> bool {
        let known = self.updates.get(&id).map(|update| update.known_hashes.as_slice());
        sighting.config_hash.is_none_or(|seen| known.unwrap_or_default().contains(&seen))
    }

    fn has_stayed(&self, name: &str, installed: Timestamp, now: Timestamp) -> bool {
        self.wakes_since(name, installed) > 0 || now.since(installed) >= STAYS_AFTER
    }

    /// Whether nothing more can be expected than this, which has no hash: a record with a version is complete,
    /// and a probe or an address comes before it, unless no record is heard in several wakes.
    fn says_no_more(&self, sighting: &Sighting, installed: Timestamp) -> bool {
        let enough = if sighting.version.is_some() { 1 } else { SILENT_WAKES };
        self.wakes_since(&sighting.name, installed) >= enough
    }

    fn wakes_since(&self, name: &str, installed: Timestamp) -> usize {
        let wakes = self.heard.get(name).map_or(&[][..], |heard| &heard.wakes);
        wakes.iter().filter(|wake| wake.at > installed).count()
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
}
