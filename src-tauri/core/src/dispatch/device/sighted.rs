//! Evidence from the network, and what follows from it.

use crate::device::{Sighting, SightingKind, Source};
use crate::dispatch::Dispatch;
use crate::identity::Worth;
use crate::time::Timestamp;

use super::Liveness;
use super::identity::is_another_board;

impl Dispatch {
    pub(in crate::dispatch) fn sighted(&mut self, sighting: &Sighting, now: Timestamp) {
        if !self.admits(sighting) {
            return;
        }
        let worth = self.weigh(sighting, now);
        if sighting.kind == SightingKind::Gone {
            self.goodbye(sighting, &worth, now);
            return;
        }
        let own = worth.is_own() || (worth == Worth::Claim && self.was_flashed_there(sighting));
        let is_proof = matches!(worth, Worth::Proof(_));
        // Another board under its name is no reason to try it again where it was that board.
        let may_be_it = own || (worth == Worth::Claim && !self.is_proven(&sighting.name));
        let woke = self.remember(sighting, worth, now);
        if is_proof {
            self.adopt(&sighting.name);
        }
        if own {
            self.watch_rollback(sighting, now);
            self.take_back_rollback(sighting, now);
            self.follow_safe_mode(sighting, woke, now);
        }
        if !is_proof {
            self.ask_about(sighting, own, now);
        }
        for id in self.active_ids() {
            let Some(update) = self.updates.get(&id) else { continue };
            if update.is_for(&sighting.name) && !is_another_board(update, sighting) {
                self.tell_update(id, sighting, (own, may_be_it), woke, now);
            }
        }
        if is_proof {
            self.follow_names(sighting);
        }
    }

    /// Somebody says that a device goes, or its records have run out.
    pub(in crate::dispatch) fn goodbye(
        &mut self,
        sighting: &Sighting,
        worth: &Worth,
        now: Timestamp,
    ) {
        let name = &sighting.name;
        let believed = !is_fresh(sighting) || worth.is_own() || !self.is_proven(name);
        self.touch(name);
        let Some(heard) = self.devices.get_mut(name) else { return };
        if !self.connected {
            heard.expired = true;
        } else if believed {
            // Records that run out do so long after the device went.
            let end = if is_fresh(sighting) { Some(now) } else { heard.memory.last_seen };
            self.note_asleep(name, end.unwrap_or(now));
            if let Some(heard) = self.devices.get_mut(name) {
                heard.liveness = Liveness::Gone;
                heard.said = None;
            }
        } else if heard.liveness == Liveness::Alive {
            heard.doubted_since.get_or_insert(now);
            self.ask_where_proven(name, now);
        }
    }
}

/// Whether a sighting is what somebody says now.
pub(in crate::dispatch) fn is_fresh(sighting: &Sighting) -> bool {
    match sighting.source {
        Source::Packet(_) | Source::Answer(_) => true,
        Source::Browse => false,
    }
}
