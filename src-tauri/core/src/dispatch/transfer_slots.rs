//! Who may transfer. Connections to sleepers are opened without limit, since a device that has been
//! authenticated can't sleep any more; their images are sent a few at a time.

use core::cmp::Reverse;
use core::time::Duration;

use crate::time::Timestamp;
use crate::update::{StateKind, UpdateId};

use super::{Dispatch, Effect};

/// A device that is held gives up after 105 s (ESPHome's data timeout). One that has been held for this long
/// comes before all others.
pub const HELD_LONG: Duration = Duration::from_secs(60);

/// A device that is held, or to which an image is being sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct TransferSlot {
    /// Since when it is held.
    since: Timestamp,
    /// Its image is being sent.
    granted: bool,
}

impl TransferSlot {
    pub(super) const fn held_since(since: Timestamp) -> Self {
        Self { since, granted: false }
    }
}

impl Dispatch {
    /// Lets the most urgent devices that are held have their images, as far as the limit allows.
    pub(super) fn fill_transfer_slots(&mut self, now: Timestamp) {
        let goes_on = |id: &UpdateId| {
            self.updates.get(id).is_some_and(|update| update.state.kind() == StateKind::Flashing)
        };
        for id in self.slots.keys_where(|id, _| !goes_on(id)) {
            self.slots.remove(&id);
        }
        let free = usize::from(self.settings.max_flashes).saturating_sub(self.granted());
        let held = self.slots.iter().filter(|(_, slot)| !slot.granted);
        let mut held: Vec<_> =
            held.map(|(id, slot)| (self.transfer_rank(*id, slot.since, now), *id)).collect();
        held.sort_unstable();
        for (_, id) in held.into_iter().take(free) {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.granted = true;
                self.decision.effects.push(Effect::GrantTransfer(id));
                self.note_transfer(id, now);
            }
        }
    }

    /// A transfer that was decided on, and doesn't begin: what ends it was decided with it.
    pub(super) fn withdraw_transfer(&mut self, id: UpdateId) {
        let grant = Effect::GrantTransfer(id);
        if self.decision.effects.contains(&grant) {
            self.decision.effects.retain(|effect| *effect != grant);
            self.slots.remove(&id);
            self.take_back_transfer(id);
        }
    }

    /// Whether the image of this update is being sent.
    pub(super) fn is_sending(&self, id: UpdateId) -> bool {
        self.slots.get(&id).is_some_and(|slot| slot.granted)
    }

    /// How many images are being sent.
    pub(super) fn granted(&self) -> usize {
        self.slots.values().filter(|slot| slot.granted).count()
    }

    /// The least comes first: who has been held for long, then the shortest windows, then who sleeps, then who
    /// has been held longest.
    fn transfer_rank(
        &self,
        id: UpdateId,
        since: Timestamp,
        now: Timestamp,
    ) -> (Reverse<bool>, Duration, Reverse<bool>, Timestamp) {
        let long = now.since(since) >= HELD_LONG;
        let update = self.updates.get(&id);
        let window = update.and_then(|update| self.window(&update.name));
        let sleeps = update.is_some_and(|update| self.update_sleeps(update));
        // Among those that have been held for long, only that counts.
        let window = if long { Duration::ZERO } else { window.unwrap_or(Duration::MAX) };
        (Reverse(long), window, Reverse(sleeps || long), since)
    }
}
