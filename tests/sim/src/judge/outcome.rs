//! What becomes of updates, against what is true.

use wakeflash_core::device::{ConfigHash, DeviceId};
use wakeflash_core::update::{
    Acknowledgement, Build, Delivery, InstalledHow, StateKind, Update, UpdateState,
};
use wakeflash_core::view::NotificationKind;

use super::{Facts, TOLD_IS_STORED};
use crate::plan::{MINUTE, Ms, SECOND};
use crate::world::{Device, Step, World};

/// Files that change back may be seen as they were for so long.
const SEEN_AS_THEY_WERE: Ms = MINUTE;

/// How long a device that is back may be silent.
const SILENCE: core::time::Duration = core::time::Duration::from_secs(15);

impl World<'_> {
    /// An update is stored as it was decided then.
    pub(crate) fn judge_update(&mut self, update: &Update, decided: Ms) -> Step {
        if self.judge.facts.get(&update.id).is_none_or(|facts| facts.kind.is_none()) {
            self.note_request(update);
        }
        let Some(facts) = self.judge.facts.get(&update.id) else { return Ok(()) };
        let (from, last_line) = (facts.kind, facts.last_line.clone());
        let to = update.state.kind();
        self.note_transitions(update, from, last_line.as_ref());
        if let Some(from) = from.filter(|from| *from != to) {
            self.judge_transition(update, from, decided)?;
        }
        self.follow_delivery(update);
        let now = self.now;
        if let Some(facts) = self.judge.facts.get_mut(&update.id) {
            facts.kind = Some(to);
            facts.last_line = update.timeline.last().cloned();
            if to == StateKind::Installed {
                facts.installed.get_or_insert(now);
            }
            let unwanted = matches!(to, StateKind::Cancelled | StateKind::Superseded);
            facts.unwanted_since = unwanted.then(|| facts.unwanted_since.unwrap_or(now));
            if let Some(device) = facts.device.filter(|_| to == StateKind::Installed) {
                self.judge.transfers.remove(&device);
            }
        }
        Ok(())
    }

    /// A new update: what is true when it is asked for.
    fn note_request(&mut self, update: &Update) {
        let device = self.device_of_file(&update.device);
        let hashes = device.map(|device| self.devices[device].hashes.clone());
        let dir = self.stored_dir();
        let told = device.and_then(|device| self.judge.has_told.get(&device));
        let had_told = told.is_some_and(|since| since + TOLD_IS_STORED < self.now);
        let facts = self.judge.facts.entry(update.id).or_default();
        *facts = Facts {
            device,
            dir,
            hashes_before: hashes.unwrap_or_default(),
            had_told,
            kind: None,
            ..Facts::default()
        };
    }

    /// Every line of the timeline since is a step through the table.
    fn note_transitions(
        &mut self,
        update: &Update,
        from: Option<StateKind>,
        last: Option<&wakeflash_core::update::TimelineEntry>,
    ) {
        let lines = &update.timeline;
        let begin = last
            .and_then(|last| lines.iter().rposition(|line| line == last))
            .map_or(0, |place| place + 1);
        // An update begins in the state of its first line.
        let first = lines.first().map(|line| line.state);
        let Some(mut before) = from.or(first) else { return };
        let mut previous = last;
        for line in lines.iter().skip(begin) {
            if line.text.contains("acknowledged the update and came back") {
                let waited = previous.is_some_and(|previous| {
                    previous.text.contains("is back") && line.at.since(previous.at) >= SILENCE
                });
                let row =
                    if waited { "Confirming: silent" } else { "Confirming: hash doesn't tell" };
                self.cover.row(row);
            } else {
                self.cover.transition(before, line.state, line);
            }
            self.tell_line(update, before, line);
            (before, previous) = (line.state, Some(line));
        }
    }

    fn follow_delivery(&mut self, update: &Update) {
        if let UpdateState::Held { changes, .. } = &update.state {
            let known = self.judge.facts.get_mut(&update.id).map(|it| &mut it.held_for);
            let before = known.map(|known| core::mem::replace(known, changes.clone()));
            if before.is_some_and(|before| !before.is_empty() && before != *changes) {
                self.cover.row("Held: others");
            }
        }
        let image = update.state.delivery().map(|delivery| delivery.build.image.clone());
        if let Some(facts) = self.judge.facts.get_mut(&update.id) {
            facts.image = image.or(facts.image.take());
        }
    }

    fn judge_transition(&mut self, update: &Update, from: StateKind, decided: Ms) -> Step {
        let id = update.id;
        let to = update.state.kind();
        if from == StateKind::Held
            && matches!(to, StateKind::Queued | StateKind::Building)
            && let Some(facts) = self.judge.facts.get_mut(&id)
        {
            // The user wants it built again.
            facts.finished_builds = 0;
        }
        let back = (from, to) == (StateKind::Installed, StateKind::Failed);
        let and_forth = (from, to) == (StateKind::Failed, StateKind::Installed);
        let undone = from == StateKind::Cancelled
            && update.timeline.iter().any(|line| line.text.starts_with("The cancel was undone"));
        if from.is_final() && !back && !and_forth && !undone {
            let what = format!("update {id} was {from:?} and is {:?}", update.state.kind());
            return Err(self.violation("1: nothing is lost", what));
        }
        match &update.state {
            UpdateState::Held { delivery, .. } => self.judge_held(update, from, delivery)?,
            UpdateState::Installed { how, .. } => self.judge_installed(update, *how)?,
            UpdateState::Failed { rolled_back, may_have_arrived, problem, .. } => {
                if problem.message.is_empty() || problem.code.is_empty() {
                    return Err(
                        self.violation("7: say it", format!("update {id} failed without words"))
                    );
                }
                if *rolled_back {
                    self.judge_rolled_back(update)?;
                } else if !may_have_arrived {
                    self.judge_not_there(update, decided, "Failed")?;
                }
            }
            UpdateState::Cancelled { may_have_arrived: false, .. } => {
                self.judge_not_there(update, decided, "Cancelled")?;
            }
            UpdateState::Waiting { delivery, .. } if from == StateKind::Confirming => {
                if !delivery.repeated_blindly {
                    self.judge_not_there(update, decided, "Waiting")?;
                }
            }
            UpdateState::Confirming { acknowledgement: Acknowledgement::Unknown, .. } => {
                if let Some(facts) = self.judge.facts.get_mut(&id) {
                    facts.unknown_outcomes += 1;
                }
            }
            UpdateState::Confirming { .. } => {
                let none = self.judge.facts.get(&id).is_none_or(|facts| facts.arrived.is_empty());
                if none {
                    let what =
                        format!("update {id} counts as acknowledged, and the device has no image");
                    return Err(self.violation("3: no guess", what));
                }
            }
            UpdateState::Queued
            | UpdateState::Building { .. }
            | UpdateState::Waiting { .. }
            | UpdateState::Flashing { .. }
            | UpdateState::Cancelled { .. }
            | UpdateState::Superseded { .. } => {}
        }
        // Whoever takes a Cancel back knows that it was held.
        if !undone {
            self.owe(update);
        }
        Ok(())
    }

    /// The user must hear of it.
    fn owe(&mut self, update: &Update) {
        let kind = match &update.state {
            UpdateState::Installed { .. } => NotificationKind::Installed,
            UpdateState::Failed { rolled_back: true, .. } => NotificationKind::RolledBack,
            UpdateState::Failed { .. } => NotificationKind::Failed,
            UpdateState::Held { .. } => NotificationKind::Held,
            UpdateState::Queued
            | UpdateState::Building { .. }
            | UpdateState::Waiting { .. }
            | UpdateState::Flashing { .. }
            | UpdateState::Confirming { .. }
            | UpdateState::Cancelled { .. }
            | UpdateState::Superseded { .. } => return,
        };
        if self.has_house() {
            let until = self.now + 5 * SECOND;
            self.judge.owed.push((update.id, kind, until));
        }
        if let (
            Some(device),
            NotificationKind::Failed | NotificationKind::RolledBack | NotificationKind::Held,
        ) = (self.device_of_file(&update.device), kind)
        {
            self.user_looks_soon(device);
        }
    }

    /// An update is held only when the files that it was built from are others.
    fn judge_held(&self, update: &Update, from: StateKind, delivery: &Delivery) -> Step {
        let dir = self.judge.facts.get(&update.id).and_then(|facts| facts.dir.as_deref());
        let changed = dir.is_none_or(|dir| self.changed_since(dir, &delivery.build.sources));
        let quiet = self.judge.files_changed_at + SEEN_AS_THEY_WERE < self.now;
        if changed || !quiet || !matches!(from, StateKind::Waiting | StateKind::Flashing) {
            return Ok(());
        }
        let what = format!("update {} is held, and none of its files has changed", update.id);
        Err(self.violation("4: what was asked for", what))
    }

    fn judge_installed(&mut self, update: &Update, how: InstalledHow) -> Step {
        let Some(build) = update.state.delivery().map(|delivery| &delivery.build) else {
            return Ok(());
        };
        let Some(facts) = self.judge.facts.get(&update.id) else { return Ok(()) };
        let Some(device) = facts.device.map(|device| &self.devices[device]) else { return Ok(()) };
        // An earlier image of this update says the same hash.
        let earlier = facts.arrived.iter().any(|(_, image)| {
            *image != build.image
                && self.images.get(image).is_some_and(|it| it.firmware.hash == build.config_hash)
        });
        let true_ = match how {
            InstalledHow::Confirmed | InstalledHow::AlreadyRunning if earlier => {
                facts.others || device.ran.contains(&build.image)
            }
            InstalledHow::Confirmed | InstalledHow::AlreadyRunning => {
                self.ran(device, build, &facts.hashes_before)
            }
            InstalledHow::Returned => !facts.arrived.is_empty(),
        };
        if true_ {
            return Ok(());
        }
        let what = format!(
            "update {} counts as installed ({how:?}), and the device never ran it",
            update.id
        );
        Err(self.violation("3: no guess", what))
    }

    /// Whether a device ran this build, or, since the request, what announces itself like it.
    fn ran(&self, device: &Device, build: &Build, before: &[ConfigHash]) -> bool {
        let new = build.config_hash.is_none_or(|hash| !before.contains(&hash));
        device.ran.iter().any(|image| {
            *image == build.image
                || self.images.get(image).is_some_and(|other| {
                    new && other.firmware.hash == build.config_hash
                        && Some(&other.firmware.version) == build.esphome_version.as_ref()
                })
        })
    }

    fn judge_rolled_back(&mut self, update: &Update) -> Step {
        let Some(facts) = self.judge.facts.get(&update.id) else { return Ok(()) };
        let Some(device) = facts.device.map(|device| &self.devices[device]) else { return Ok(()) };
        let fell = device
            .fell_from
            .iter()
            .any(|image| self.images.get(image).is_some_and(|image| image.file == update.device));
        if fell || facts.others {
            return Ok(());
        }
        let what =
            format!("update {} counts as rolled back, and its device still runs it", update.id);
        Err(self.violation("3: no guess", what))
    }

    /// It is said that the device hasn't got the image.
    fn judge_not_there(&mut self, update: &Update, decided: Ms, state: &str) -> Step {
        let Some(facts) = self.judge.facts.get(&update.id) else { return Ok(()) };
        let Some(device) = facts.device.map(|device| &self.devices[device]) else { return Ok(()) };
        let running = &device.firmware.image;
        // An update that goes on speaks of the image that it has now, one that has ended of all of them.
        let any = update.state.kind().is_final() || facts.image.as_ref() == Some(running);
        let arrived =
            facts.arrived.iter().any(|(at, image)| *at + SECOND < decided && image == running);
        let runs = any && arrived && !facts.others;
        if !runs || device.fell_from.contains(&device.firmware.image) {
            return Ok(());
        }
        let what = format!(
            "update {} is {state} as if the image had not arrived, and the device runs it",
            update.id
        );
        Err(self.violation("3: no guess", what))
    }

    pub(crate) fn device_of_file(&self, file: &DeviceId) -> Option<usize> {
        self.devices.iter().position(|device| {
            !device.plan.stranger && *file.as_str() == *format!("dev{}.yaml", device.plan.key)
        })
    }
}
