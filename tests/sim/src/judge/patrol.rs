//! What must hold all the time, looked at every few seconds; and at the end of a life.

use wakeflash_core::update::{InstalledHow, StateKind, Update, UpdateId, UpdateState};

use super::{ANSWER_WITHIN, Facts, Judge};
use crate::house::Request;
use crate::plan::{Ms, SECOND, Voice};
use crate::world::{CONFIG_DIR, Step, World};

/// A change of the sources must be known within this time.
const KNOWN_WITHIN: Ms = 60 * SECOND;

/// So soon after an installation a packet may be from before it.
const SETTLED: Ms = 10 * SECOND;

impl Judge {
    fn overdue(&self, now: Ms) -> Option<String> {
        let (update, kind, _) = self.owed.iter().find(|(_, _, until)| *until < now)?;
        Some(format!("nobody was told that update {update} is {kind:?}"))
    }
}

/// A device that refuses an image for its own reasons is asked three times; those of which the application's end took the
/// memory come on top.
const DEVICE_FAILURES: u32 = 5;

impl World<'_> {
    pub(crate) fn patrol(&mut self) -> Step {
        if !self.has_house() || self.is_asleep() {
            return Ok(());
        }
        if let Some(what) = self.judge.overdue(self.now) {
            return Err(self.violation("7: say it", what));
        }
        if let Some(at) = self.judge.trouble_untold
            && at + 5 * SECOND < self.now
        {
            return Err(
                self.violation("7: say it", "a commit failed, and the status doesn't say so")
            );
        }
        if self.judge.hangs_untold(self.now) {
            return Err(
                self.violation("7: say it", "the disk hangs, and the status doesn't say so")
            );
        }
        if let Some(name) = self.judge.flooded.take() {
            let what = format!("what is stored of {name} follows a flood of packets");
            return Err(self.violation("requests are answered", what));
        }
        self.safe_mode_is_true()?;
        self.presence_is_true()?;
        self.requests_are_answered()?;
        self.changes_are_known()?;
        self.updates_are_shown()
    }

    /// What never was in safe mode isn't said to be.
    fn safe_mode_is_true(&self) -> Step {
        for device in self.devices.iter().filter(|it| !it.was_in_safe_mode && !it.plan.stranger) {
            if self.is_said_to_crash(device.plan.key) {
                let what = format!("{} never was in safe mode", device.firmware.name);
                return Err(self.violation("3: no guess", what));
            }
        }
        Ok(())
    }

    fn requests_are_answered(&self) -> Step {
        let Some((asked, request)) = self.oldest_request() else { return Ok(()) };
        let shown = matches!(request, Request::List);
        let excuse = if shown { 0 } else { self.judge.excuse(asked, self.now) };
        if self.now > asked + ANSWER_WITHIN + excuse + 5 * SECOND {
            let what = format!("{request:?} has had no answer for {} ms", self.now - asked);
            return Err(self.violation("requests are answered", what));
        }
        Ok(())
    }

    /// Sources that have changed hold an update at once, not at its wake.
    fn changes_are_known(&mut self) -> Step {
        let fair = self.sources_can_be_compared();
        let waiting: Vec<(UpdateId, bool)> = self
            .stored_updates()
            .filter_map(|update| match &update.state {
                UpdateState::Waiting { delivery, .. }
                    if delivery.tracking == wakeflash_core::update::SourceTracking::Tracked =>
                {
                    let dir = self.judge.facts.get(&update.id)?.dir.clone()?;
                    let here = dir == CONFIG_DIR;
                    Some((update.id, here && self.changed_since(&dir, &delivery.build.sources)))
                }
                UpdateState::Waiting { .. }
                | UpdateState::Queued
                | UpdateState::Building { .. }
                | UpdateState::Held { .. }
                | UpdateState::Flashing { .. }
                | UpdateState::Confirming { .. }
                | UpdateState::Installed { .. }
                | UpdateState::Failed { .. }
                | UpdateState::Cancelled { .. }
                | UpdateState::Superseded { .. } => None,
            })
            .collect();
        let now = self.now;
        for (id, facts) in &mut self.judge.facts {
            let dirty = fair && waiting.contains(&(*id, true));
            facts.dirty_since = if dirty { facts.dirty_since.or(Some(now)) } else { None };
        }
        let late =
            |facts: &&Facts| facts.dirty_since.is_some_and(|since| since + KNOWN_WITHIN < now);
        if self.judge.facts.values().any(|facts| late(&facts)) {
            return Err(self.violation(
                "4: what was asked for",
                "the sources of a waiting update changed a minute ago, and it is not held",
            ));
        }
        Ok(())
    }

    /// Every update under way, and every failure, is in its row.
    fn updates_are_shown(&mut self) -> Step {
        if !self.disk_is_quiet() {
            return Ok(());
        }
        let due: Vec<(UpdateId, wakeflash_core::device::DeviceId)> = self
            .stored_updates()
            .filter(|update| {
                let kind = update.state.kind();
                !kind.is_final()
            })
            .map(|update| (update.id, update.device.clone()))
            .collect();
        for (id, device) in due {
            let shown = self.row(&device).and_then(|row| row.update).map(|update| update.id);
            if shown != Some(id) {
                let what = format!("update {id} of {device} is in no row (shown: {shown:?})");
                return Err(self.violation("7: say it", what));
            }
        }
        Ok(())
    }

    /// Whether something of this life is still to come to its end.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.stored_updates()
            .any(|update| !update.state.kind().is_final() && self.can_be_flashed(update.id))
    }

    /// Whether nothing but the application keeps a device from its firmware.
    fn can_be_flashed(&self, id: UpdateId) -> bool {
        let Some(update) = self.stored_update(id) else { return false };
        let Some(facts) = self.judge.facts.get(&id) else { return false };
        let Some(device) = facts.device.map(|device| &self.devices[device]) else { return false };
        let plan = &device.plan;
        let found = plan.voice == Voice::Full;
        let board = update.mac.is_none_or(|mac| mac == device.mac);
        let name = &device.firmware.name;
        let named = update.is_for(name);
        let here = facts.dir.as_deref() == Some(CONFIG_DIR);
        found && board && named && here && !facts.other_password
    }

    /// When a life is over.
    pub(crate) fn judge_end(&mut self) -> Step {
        let open: Vec<UpdateId> = self
            .stored_updates()
            .filter(|it| !it.state.kind().is_final())
            .map(|it| it.id)
            .collect();
        for id in open {
            if self.can_be_flashed(id) {
                let state = self.stored_update(id).map(|update| update.state.kind());
                let what =
                    format!("update {id} is {state:?} for ever, though its device can be flashed");
                return Err(self.violation("liveness", what));
            }
        }
        let worn = self.judge.facts.iter().find(|(_, it)| it.device_failures > DEVICE_FAILURES);
        if let Some((id, facts)) = worn {
            let what = format!("update {id} failed on its device {} times", facts.device_failures);
            return Err(self.violation("no device is worn out", what));
        }
        self.falls_are_known()?;
        let failed: Vec<UpdateId> = self
            .stored_updates()
            .filter(|update| update.state.kind() == StateKind::Failed)
            .map(|update| update.id)
            .collect();
        for id in failed {
            self.failure_is_right(id)?;
        }
        Ok(())
    }

    /// A device that went back to its old firmware, and has said so, doesn't count as updated.
    fn falls_are_known(&self) -> Step {
        for update in self.stored_updates() {
            let UpdateState::Installed { delivery, how: InstalledHow::Confirmed, .. } =
                &update.state
            else {
                continue;
            };
            let newer = |other: &Update| other.device == update.device && other.id > update.id;
            let Some(facts) = self.judge.facts.get(&update.id) else { continue };
            let (Some(device), Some(installed)) = (facts.device, facts.installed) else { continue };
            let Some((told, said)) = self.judge.last_told.get(&device) else { continue };
            let (it, build) = (&self.devices[device], &delivery.build);
            let fell = it.fell_from.contains(&build.image) && it.firmware.image != build.image;
            let says_so = it.firmware.hash == Some(*said)
                && build.config_hash != Some(*said)
                && facts.hashes_before.contains(said)
                && *told > installed + SETTLED;
            let others = facts.others || facts.new_board || !facts.had_told;
            if fell && says_so && !others && !self.stored_updates().any(newer) {
                let name = &it.firmware.name;
                let what = format!("{name} has gone back from update {}, and said so", update.id);
                return Err(self.violation("3: no guess", what));
            }
        }
        Ok(())
    }

    /// Nothing that passes by itself ends an update.
    fn failure_is_right(&self, id: UpdateId) -> Step {
        let (Some(update), Some(facts)) = (self.stored_update(id), self.judge.facts.get(&id))
        else {
            return Ok(());
        };
        let UpdateState::Failed { problem, rolled_back, .. } = &update.state else { return Ok(()) };
        let why = facts.may_fail.is_some()
            || *rolled_back
            || facts.device_failures >= 3
            || facts.unknown_outcomes >= 2
            || facts.other_password
            || problem.code == "ota.auth_invalid";
        if why {
            return Ok(());
        }
        let what =
            format!("update {id} failed for good for what passes by itself: {}", problem.code);
        Err(self.violation("liveness", what))
    }
}
