//! Cancelled: for a moment everything is kept that the update needs to go on where it was.

use core::time::Duration;

use crate::device::DeviceId;
use crate::dispatch::{Dispatch, Effect};
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::{Delivery, Sha256, SourceTracking, StateKind, UpdateId, UpdateState};

/// For how long a Cancel can be taken back. The window offers it for 10 s; a click at their end still counts.
pub const UNDO: Duration = Duration::from_secs(15);

/// What is kept of an update that was cancelled.
#[derive(Clone, Debug)]
pub(in crate::dispatch) struct Undo {
    state: UpdateState,
    at: Timestamp,
}

impl Undo {
    /// A clock that was set back makes nothing last longer.
    fn holds(&self, now: Timestamp) -> bool {
        now >= self.at && now.since(self.at) < UNDO
    }
}

impl Dispatch {
    pub(in crate::dispatch) fn cancel(
        &mut self,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<(), Problem> {
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
        self.transition(id, UpdateState::Cancelled { at: now, may_have_arrived }, now, text);
        Ok(())
    }

    /// Keeps what an update is that is about to be cancelled.
    fn remember_for_undo(&mut self, id: UpdateId, now: Timestamp) {
        let Some(update) = self.updates.get(&id) else { return };
        let Some(state) = update.state.after_undo() else { return };
        self.undo.insert(id, Undo { state, at: now });
    }

    /// Takes back the cancels of some devices; those for which that is too late are answered with the reason.
    pub(in crate::dispatch) fn undo_cancels(&mut self, devices: &[DeviceId], now: Timestamp) {
        for device in devices {
            let undone = self.undo_cancel(device, now);
            self.note_refusal(device.clone(), undone);
        }
    }

    fn undo_cancel(&mut self, device: &DeviceId, now: Timestamp) -> Result<(), Problem> {
        self.is_free(device)?;
        let cancelled = self.last(device).filter(|it| it.state.kind() == StateKind::Cancelled);
        let id = cancelled.map(|update| update.id);
        let kept = id.and_then(|id| Some((id, self.undo.remove(&id)?)));
        let Some((id, undo)) = kept.filter(|(_, undo)| undo.holds(now)) else {
            return Err(Problem::new(
                "update.not_undone",
                format!("The cancelled update of {device} can't be taken up again."),
            )
            .with_help("Install builds it anew."));
        };
        let tracked = undo.state.delivery().is_some_and(is_tracked);
        if self.transition(id, undo.state, now, "The cancel was undone: it goes on where it was.")
            && tracked
        {
            // Nobody has looked at them meanwhile.
            self.decision.effects.push(Effect::CheckSources(id));
        }
        Ok(())
    }

    pub(in crate::dispatch) fn forget_undos(&mut self, now: Timestamp) {
        for id in self.undo.keys_where(|_, undo| !undo.holds(now)) {
            self.undo.remove(&id);
        }
    }

    /// The images that may yet be sent: of the updates under way, of those whose Cancel can be undone, and of the
    /// builds that devices can go back to.
    pub fn needed_images(&self) -> impl Iterator<Item = &Sha256> {
        let active = self.updates.values().filter(|update| !update.state.kind().is_final());
        let cancelled = self.undo.values().map(|undo| &undo.state);
        let delivered = active.map(|update| &update.state).chain(cancelled);
        let delivered = delivered.filter_map(UpdateState::delivery).map(|delivery| &delivery.build);
        let kept = self.devices.values().flat_map(|heard| &heard.memory.kept_builds);
        delivered.chain(kept).map(|build| &build.image)
    }
}

pub(in crate::dispatch) fn is_tracked(delivery: &Delivery) -> bool {
    delivery.tracking == SourceTracking::Tracked
}
