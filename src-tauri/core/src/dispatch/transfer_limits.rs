//! Transfers that break off: a device that cuts each of them is left alone for longer and longer, and the user is told.

use core::time::Duration;

use crate::error::Problem;
use crate::retry::{CUTS_TOLD, TRANSFER_HOUR, TRANSFERS_AN_HOUR, after_cuts};
use crate::time::Timestamp;
use crate::update::{Cuts, Delivery, StateKind, Update, UpdateId};
use crate::view::NotificationKind;

use super::Dispatch;

impl Dispatch {
    /// The image of an update begins to be sent.
    pub(super) fn note_transfer(&mut self, id: UpdateId, now: Timestamp) {
        let Some(name) = self.updates.get(&id).map(|update| update.name.clone()) else { return };
        let begun = &mut self.change_memory(&name).transfers;
        if begun.len() >= TRANSFERS_AN_HOUR {
            begun.remove(0);
        }
        begun.push(now);
    }

    pub(super) fn take_back_transfer(&mut self, id: UpdateId) {
        let Some(name) = self.updates.get(&id).map(|update| update.name.clone()) else { return };
        self.change_memory(&name).transfers.pop();
    }

    /// Until when no transfer to the device of an update begins, since too many have; `None`: there were fewer.
    pub(super) fn rests_until(&self, update: &Update) -> Option<Timestamp> {
        let begun = &self.memory(&update.name)?.transfers;
        let first = begun.first().filter(|_| begun.len() >= TRANSFERS_AN_HOUR)?;
        Some(*first + TRANSFER_HOUR)
    }

    /// Whether the device of an update is left alone.
    pub(super) fn is_resting(&self, update: &Update, now: Timestamp) -> bool {
        self.rests_until(update).is_some_and(|until| until > now)
    }

    /// When that must be looked at again: at its end, or at once when the clock was set back since.
    pub(super) fn rest_is_due(&self, update: &Update, now: Timestamp) -> Option<Timestamp> {
        let until = self.rests_until(update)?;
        Some(if until > now + TRANSFER_HOUR { now } else { until })
    }

    /// Forgets what began more than an hour ago, where that lets a device go on. What the clock, set back since, has put
    /// into the future began now at the latest.
    pub(super) fn end_rests(&mut self, now: Timestamp) {
        for id in self.active_ids() {
            let Some(update) = self.updates.get(&id) else { continue };
            if self.rest_is_due(update, now).is_none_or(|due| due > now) {
                continue;
            }
            let name = update.name.clone();
            let begun = &mut self.change_memory(&name).transfers;
            begun.iter_mut().for_each(|at| *at = now.min(*at));
            begun.retain(|at| *at + TRANSFER_HOUR > now);
        }
    }

    /// One more transfer of an update was cut in this wake.
    pub(super) fn cut_again(&self, id: UpdateId, delivery: &mut Delivery) {
        let name = self.updates.get(&id).map(|update| update.name.as_str());
        delivery.cuts = delivery.cuts.and_another(name.and_then(|name| self.wake_number(name)));
    }

    /// Tells the user when that has happened for the third time, and when the device has to be left alone.
    pub(super) fn tell_cuts(&mut self, id: UpdateId, now: Timestamp) {
        let Some(update) = self.updates.get(&id) else { return };
        let cuts = update.state.cuts();
        if cuts.in_all == CUTS_TOLD {
            self.notify_about(id, NotificationKind::TransfersCut, &broken_off(cuts.in_all));
        }
        let rest = self.updates.get(&id).and_then(|update| self.rests_until(update));
        if let Some(until) = rest.filter(|until| *until > now)
            && let Some(update) = self.change(id)
        {
            let minutes = until.since(now).as_secs().div_ceil(60);
            update.note(
                now,
                format!(
                    "{TRANSFERS_AN_HOUR} transfers began within an hour: the next one begins in {minutes} min at the \
                     earliest."
                ),
            );
        }
    }

    /// What the user should know about an update whose transfers break off.
    pub(super) fn breaks_off(&self, update: &Update) -> Option<Problem> {
        let cuts = update.state.cuts().in_all;
        if self.rest_shown(update).is_some() {
            let problem = Problem::new(
                "update.transfers_limited",
                format!(
                    "{TRANSFERS_AN_HOUR} transfers to this device began within an hour, and none was completed."
                ),
            );
            return Some(problem.with_help(
                "It is left alone for now, so that its flash isn't worn out, and the update goes on waiting. Look at \
                 the device: at its power supply, its distance to the access point, and its log.",
            ));
        }
        (cuts >= CUTS_TOLD).then(|| broken_off(cuts))
    }

    /// The time that the user sees.
    pub(super) fn rest_shown(&self, update: &Update) -> Option<Timestamp> {
        let waits = update.state.kind() == StateKind::Waiting;
        self.rests_until(update).filter(|_| waits)
    }
}

/// The pause when it turns out after a cut that the image had not arrived. The first time none is needed: the device
/// was away since.
pub(super) fn pause_after_unknown(cuts: Cuts) -> Option<Duration> {
    let before = cuts.in_wake.checked_sub(1).filter(|before| *before > 0)?;
    Some(after_cuts(before))
}

fn broken_off(cuts: u32) -> Problem {
    Problem::new(
        "update.transfers_cut",
        format!("The connection broke in {cuts} transfers before the device had the whole image."),
    )
    .with_help(
        "It is tried again by itself, after longer and longer pauses. Look at the device: at its power supply, its \
         distance to the access point, and its log.",
    )
}
