//! An update's life. Each state has a room, which holds all that changes an update in that state. Here is what they
//! share: the step from one state to the next, and what several states answer.

mod announced;
mod building;
pub(super) mod cancelled;
pub(super) mod confirming;
pub(super) mod failed;
mod flashing;
mod held;
mod installed;
pub(super) mod queued;
mod waiting;

pub use cancelled::UNDO;
pub use confirming::{SETTLE_AFTER_ACKNOWLEDGEMENT, SETTLE_AFTER_CUT, WORD_AFTER_RETURN};

use crate::device::{DeviceId, DeviceMemory, Sighting};
use crate::dispatch::device::sighted::is_fresh;
use crate::dispatch::update::announced::runs_it;
use crate::error::Problem;
use crate::retry::pause_is_over;
use crate::time::Timestamp;
use crate::update::{
    Acknowledgement, Build, Cleaning, Cuts, Delivery, FlashStage, InstalledHow, Note,
    PasswordChoice, Secret, SourceChange, SourceTracking, StateKind, Update, UpdateId, UpdateState,
};

use super::{Dispatch, Effect};
use confirming::is_from_the_future;
use queued::due_at;

/// A transition that the table doesn't have; it was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("update {update}: no transition from {from:?} to {to:?}")]
pub struct IllegalTransition {
    /// Of which update.
    pub update: UpdateId,
    pub from: StateKind,
    /// The refused state.
    pub to: StateKind,
}

impl Dispatch {
    /// The active update of a device.
    #[must_use]
    pub fn active(&self, device: &DeviceId) -> Option<&Update> {
        self.updates
            .values()
            .rev()
            .find(|update| update.device == *device && !update.state.kind().is_final())
    }

    pub(super) fn active_ids(&self) -> Vec<UpdateId> {
        self.updates
            .values()
            .filter(|update| !update.state.kind().is_final())
            .map(|update| update.id)
            .collect()
    }

    pub(super) fn count(&self, kind: StateKind) -> usize {
        self.updates.values().filter(|update| update.state.kind() == kind).count()
    }

    /// The update to change, and to store.
    pub(super) fn change(&mut self, id: UpdateId) -> Option<&mut Update> {
        let update = self.updates.get_mut(&id)?;
        self.decision.updates.insert(id);
        self.decision.touched.insert(update.device.clone());
        // Without a configuration, it depends on the update which of the two rows the device has.
        self.decision.touched.insert(DeviceId::discovered(&update.name));
        Some(update)
    }

    /// Moves an update to another state, if the table allows it, and writes it into its timeline.
    fn transition(
        &mut self,
        id: UpdateId,
        to: UpdateState,
        now: Timestamp,
        note: impl Into<Note>,
    ) -> bool {
        let Some(from) = self.updates.get(&id).map(|update| update.state.kind()) else {
            return false;
        };
        if !from.may_become(to.kind()) {
            self.decision.refused.push(IllegalTransition { update: id, from, to: to.kind() });
            return false;
        }
        if let Some(update) = self.change(id) {
            update.become_state(to);
            update.note(now, note);
        }
        true
    }

    pub(super) fn delivery(build: Build) -> Delivery {
        Delivery {
            build,
            tracking: crate::update::SourceTracking::Tracked,
            password: PasswordChoice::OfBuild,
            attempts: 0,
            device_errors: 0,
            cuts: Cuts::default(),
            repeated_blindly: false,
            last_attempt: None,
            warning: None,
            encrypted: None,
            avoided: Vec::new(),
        }
    }

    /// What follows for an active update of the device from what is said about it. Only the device's `own` words
    /// decide something; what may be it is a reason to try it.
    pub(super) fn tell_update(
        &mut self,
        id: UpdateId,
        sighting: &Sighting,
        (own, may_be_it): (bool, bool),
        woke: bool,
        now: Timestamp,
    ) {
        let Some(update) = self.updates.get(&id) else { return };
        match &update.state {
            UpdateState::Waiting { delivery, .. } | UpdateState::Held { delivery, .. }
                if own && runs_it(update, &delivery.build, sighting) =>
            {
                self.installed(id, InstalledHow::AlreadyRunning, now);
            }
            UpdateState::Waiting { .. } => {
                self.end_pause(id, sighting, woke, may_be_it);
                self.end_avoiding(id, sighting, woke, may_be_it, now);
                // An entry of a cache is no evidence of life.
                if is_fresh(sighting) {
                    self.decision.effects.push(Effect::Nudge(sighting.name.clone()));
                }
            }
            UpdateState::Confirming { .. } if own => {
                self.note_previous_hash(id, sighting);
                self.confirm(id, sighting, now);
            }
            UpdateState::Flashing { .. } if own => self.note_previous_hash(id, sighting),
            UpdateState::Held { .. }
            | UpdateState::Flashing { .. }
            | UpdateState::Confirming { .. }
            | UpdateState::Queued
            | UpdateState::Building { .. }
            | UpdateState::Installed { .. }
            | UpdateState::Failed { .. }
            | UpdateState::Cancelled { .. }
            | UpdateState::Superseded { .. } => {}
        }
    }

    pub(super) fn is_tracked(&self, id: UpdateId) -> bool {
        let delivery = self.updates.get(&id).and_then(|update| update.state.undelivered());
        delivery.is_some_and(|delivery| delivery.tracking == SourceTracking::Tracked)
    }

    pub(super) fn sources_checked(
        &mut self,
        id: UpdateId,
        changes: Vec<SourceChange>,
        now: Timestamp,
    ) {
        if !self.is_tracked(id) {
            return;
        }
        let Some(update) = self.updates.get(&id) else { return };
        if let UpdateState::Held { .. } = &update.state {
            self.held_sources_checked(id, changes, now);
        } else if !changes.is_empty()
            && let UpdateState::Waiting { delivery, .. } = &update.state
        {
            let delivery = delivery.clone();
            self.sources_changed(id, delivery, changes, now);
        }
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

    /// When time alone decides something about an update.
    pub(super) fn update_is_due(&self, update: &Update, now: Timestamp) -> Option<Timestamp> {
        match &update.state {
            UpdateState::Waiting { delivery, retry_at } => {
                let avoided = delivery.avoided.iter().map(|avoided| avoided.until);
                let pauses = retry_at.iter().copied().chain(avoided);
                let pauses = pauses.filter(|at| !pause_is_over(Some(*at), now));
                let rest = self.rest_is_due(update, now);
                pauses.chain(self.pace(&update.name, now).1).chain(rest).min()
            }
            UpdateState::Confirming { .. } if is_from_the_future(update, now) => Some(now),
            UpdateState::Confirming { .. } => self.silence_decides_at(update),
            UpdateState::Queued => due_at(update, now),
            UpdateState::Building { .. }
            | UpdateState::Held { .. }
            | UpdateState::Flashing { .. }
            | UpdateState::Installed { .. }
            | UpdateState::Failed { .. }
            | UpdateState::Cancelled { .. }
            | UpdateState::Superseded { .. } => None,
        }
    }

    /// What was going on when the application ended isn't going on any more.
    pub(super) fn recover(&mut self, now: Timestamp) {
        self.adopt_updates();
        for id in self.active_ids() {
            let Some(update) = self.updates.get(&id) else { continue };
            match update.state.clone() {
                UpdateState::Building { .. } => {
                    self.transition(
                        id,
                        UpdateState::Queued,
                        now,
                        "Wakeflash was ended during the build; it starts again.",
                    );
                }
                UpdateState::Flashing { stage: FlashStage::MayBeComplete, .. } => {
                    let text = "Wakeflash was ended when the whole image may have been sent: the device has to say what it runs.";
                    self.await_word(id, Acknowledgement::Unknown, now, text);
                }
                UpdateState::Flashing { delivery, stage: FlashStage::Incomplete, .. } => {
                    let text = "Wakeflash was ended during the transfer; the device keeps its old firmware.";
                    self.transition(
                        id,
                        UpdateState::Waiting { delivery, retry_at: None },
                        now,
                        text,
                    );
                }
                // Nobody listened to what it said after its return: it has to return once more.
                UpdateState::Confirming { returned_at: Some(_), .. } => {
                    if let Some(update) = self.change(id)
                        && let UpdateState::Confirming { returned_at, .. } = &mut update.state
                    {
                        *returned_at = None;
                    }
                }
                UpdateState::Queued
                | UpdateState::Waiting { .. }
                | UpdateState::Held { .. }
                | UpdateState::Confirming { returned_at: None, .. }
                | UpdateState::Installed { .. }
                | UpdateState::Failed { .. }
                | UpdateState::Cancelled { .. }
                | UpdateState::Superseded { .. } => {}
            }
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
        let last = self.last(device).map(|update| update.state.kind());
        if last.is_some_and(StateKind::can_be_retried) {
            self.install(device, now)
        } else if self.is_known(device) {
            Err(Problem::new(
                "update.none",
                format!("{device} has no failed or cancelled update to retry."),
            ))
        } else {
            Err(self.no_configuration(device))
        }
    }

    /// Builds once more. When the device refuses the password of the build, the one that is on it now is tried, in the
    /// place of that of the last installed build.
    pub(super) fn retry_with_password(
        &mut self,
        device: &DeviceId,
        password: Secret,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let name = self.known_name(device).ok_or_else(|| self.no_configuration(device))?;
        self.retry(device, now)?;
        self.change_memory(&name).installed_password = Some(password);
        Ok(())
    }

    /// Builds once more, with its build files cleaned before. Where that was done already, they are deleted.
    pub(super) fn retry_clean(&mut self, device: &DeviceId, now: Timestamp) -> Result<(), Problem> {
        let failed = |update: &&Update| !matches!(update.state, UpdateState::Cancelled { .. });
        let before = self.last(device).filter(failed).map(|update| update.cleaning);
        self.retry(device, now)?;
        let cleaning = before.unwrap_or_default().more();
        if let Some(update) = self.decision.started.and_then(|id| self.change(id)) {
            update.cleaning = cleaning;
            let text = match cleaning {
                Cleaning::No | Cleaning::Clean => "Its build files are cleaned before.",
                Cleaning::Reset => "Its build files are deleted before.",
            };
            update.note(now, text);
        }
        Ok(())
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
            self.transition(
                old,
                UpdateState::Superseded { at: now, by: id },
                now,
                "A newer update took its place.",
            );
        }
        self.let_go_of_what_has_been(device);
        let mut update = Update {
            id,
            device: device.clone(),
            directory: self.settings.config_dir.clone(),
            mac: self.memory(&name).and_then(|memory| memory.identity.mac()),
            previous_stamp: None,
            from_version: self.memory(&name).and_then(|memory| memory.version()).map(str::to_owned),
            known_hashes: self.memory(&name).map(DeviceMemory::known_hashes).unwrap_or_default(),
            name,
            requested_at: now,
            wire_size: None,
            ended_delivery: None,
            build_again: None,
            changed_in_builds: Vec::new(),
            cleaning: Cleaning::No,
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

    /// The store has all that has been. In memory stay the last one, and those that may yet change.
    fn let_go_of_what_has_been(&mut self, device: &DeviceId) {
        let of_device =
            |update: &Update| update.device == *device && update.state.kind().is_final();
        let mut ended = self.updates.keys_where(|_, update| of_device(update));
        ended.pop();
        for id in ended {
            let undecided = self.updates.get(&id).is_some_and(|it| it.state.is_undecided());
            let to_be_stored = self.decision.updates.contains(&id);
            if !undecided && !to_be_stored {
                self.updates.remove(&id);
                self.undo.remove(&id);
            }
        }
    }

    /// Ends the process or the connection that works for an update.
    fn stop_work(&mut self, id: UpdateId) {
        let Some(kind) = self.updates.get(&id).map(|update| update.state.kind()) else { return };
        if kind == StateKind::Building {
            self.decision.effects.push(Effect::StopBuild(id));
        } else if kind == StateKind::Flashing {
            // What was decided together is carried out together: not a byte is to leave first.
            self.withdraw_transfer(id);
            self.decision.effects.push(Effect::StopFlash(id));
        }
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
}
