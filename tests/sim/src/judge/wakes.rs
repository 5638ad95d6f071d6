//! Every wake counts: a wake in which nothing went wrong must be used.

use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{Acknowledgement, UpdateId, UpdateState};

use core::time::Duration;

use crate::plan::{Ms, SECOND, Voice};
use crate::world::{CONFIG_DIR, Step, World};

/// A wake of a device that an update waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance {
    update: UpdateId,
}

/// Within this time an image goes to a device that is awake, when nothing is wrong.
const LONG_ENOUGH: Ms = 9 * SECOND;

/// No attempt is put off for longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl World<'_> {
    /// A device's port is open.
    pub(crate) fn wake_begins(&mut self, device: usize) {
        self.judge.chances.remove(&device);
        let it = &self.devices[device];
        let window = it.sleeps_at.map_or(Ms::MAX, |end| end.saturating_sub(self.now));
        if !self.is_fair()
            || self.is_posed(device)
            || it.plan.voice != Voice::Full
            || it.safe_mode
            || it.plan.stranger
        {
            return;
        }
        let Some(update) = self.active_update(device) else { return };
        if self.is_left_alone(update) {
            return;
        }
        let delivery = update.state.delivery();
        let hash = delivery.and_then(|delivery| delivery.build.config_hash);
        let tells = it.firmware.hash.is_some()
            && self.judge.facts.get(&update.id).is_some_and(|facts| facts.had_told)
            && hash.is_some_and(|hash| !it.hashes.contains(&hash));
        let open = match &update.state {
            UpdateState::Waiting { retry_at, delivery } => {
                self.is_no_pause(*retry_at) && delivery.avoided.is_empty()
            }
            // A device that has started anew since has nothing left to install: its old hash decides at once.
            UpdateState::Confirming { acknowledgement: Acknowledgement::Unknown, .. } => tells,
            UpdateState::Flashing { .. } => tells && self.has_lost_its_device(update.id),
            UpdateState::Queued
            | UpdateState::Building { .. }
            | UpdateState::Held { .. }
            | UpdateState::Confirming { .. }
            | UpdateState::Installed { .. }
            | UpdateState::Failed { .. }
            | UpdateState::Cancelled { .. }
            | UpdateState::Superseded { .. } => false,
        };
        let changed = delivery.is_some_and(|it| self.changed_since(CONFIG_DIR, &it.build.sources));
        let board = update.mac.is_none_or(|mac| mac == it.mac);
        if it.other_client_until > self.now {
            return;
        }
        if !open || changed || window < LONG_ENOUGH || !board || !update.is_for(&it.firmware.name) {
            return;
        }
        let chance = Chance { update: update.id };
        self.judge.chances.insert(device, chance);
        self.must_be_served(device, LONG_ENOUGH);
    }

    /// Nobody waits for longer, whatever became of the clock.
    fn is_no_pause(&self, until: Option<Timestamp>) -> bool {
        let now = self.wall();
        until.is_none_or(|until| until <= now || until > now + LONGEST_PAUSE)
    }

    /// An image goes to the device.
    pub(crate) fn wake_is_used(&mut self, device: usize) {
        self.judge.chances.remove(&device);
    }

    /// Something goes wrong: nobody can say any more what should have been.
    pub(crate) fn disturb(&mut self) {
        self.judge.chances.clear();
    }

    /// The device has been awake for long enough.
    pub(crate) fn wake_is_over(&mut self, device: usize) -> Step {
        let Some(chance) = self.judge.chances.remove(&device) else { return Ok(()) };
        let Some(update) = self.stored_update(chance.update) else { return Ok(()) };
        let missed = matches!(
            update.state,
            UpdateState::Waiting { .. }
                | UpdateState::Confirming { .. }
                | UpdateState::Flashing { .. }
        );
        if !missed || self.devices[device].held || !self.is_fair() {
            return Ok(());
        }
        let what = format!(
            "update {} ({:?}) missed a wake in which nothing went wrong",
            update.id,
            update.state.kind()
        );
        Err(self.violation("5: every wake counts", what))
    }
}
