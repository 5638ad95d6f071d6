//! The next wakes of devices: when they are expected, shown and overdue, and how often to knock until then.

use core::time::Duration;

use crate::device::DeviceId;
use crate::dispatch::Dispatch;
use crate::dispatch::knock_targets::KNOCK_PERIOD;
use crate::error::Problem;
use crate::schedule::{Rhythm, Schedule};
use crate::time::Timestamp;
use crate::update::{StateKind, Update, UpdateState};
use crate::view::{NotificationKind, WakeView};

use super::Liveness;

/// How often it is looked whether another wake is due, for what is shown.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How many wakes must have been missed before the user is told.
const MISSED_FOR_LONG: u64 = 3;

/// How long the user isn't told again of the same device.
const TELL_AGAIN: Duration = Duration::from_secs(24 * 3_600);

/// How often a device is tried when it is expected, and when it was just heard of.
pub const FAST: Duration = Duration::from_millis(200);

/// How long after evidence that is.
const AFTER_EVIDENCE: Duration = Duration::from_secs(10);

/// How often a device is tried at least within its usual time awake.
const KNOCKS_PER_WINDOW: u32 = 4;

/// A device that restarts after an update is back within seconds, and within a minute or two where its network is slow.
const GONE_FOR_LONG: Duration = Duration::from_secs(600);

fn confirming_since(update: &Update) -> Option<Timestamp> {
    if let UpdateState::Confirming { since, returned_at: None, .. } = &update.state {
        Some(*since)
    } else {
        None
    }
}

impl Dispatch {
    /// What is known about the wakes of the device of this name.
    pub(super) fn schedule(&self, name: &str) -> Schedule {
        let learned = self.devices.get(name).map(|heard| heard.learned).unwrap_or_default();
        learned.or_guess(self.sleep_plan(name).as_ref())
    }

    /// How long the device of this name is usually awake, as far as it is known.
    #[must_use]
    pub fn window(&self, name: &str) -> Option<Duration> {
        self.schedule(name).window
    }

    /// Whether nothing that an update waits for has come, though it should have.
    fn is_overdue(&self, name: &str, now: Timestamp) -> bool {
        let away = self.devices.get(name).is_some_and(|heard| heard.liveness != Liveness::Alive);
        away && self.connected && self.schedule(name).missed(now, self.listening_since) > 0
    }

    /// The middle of the wake that is waited for: the next one, or one that should have come, and hasn't.
    fn expected(&self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let schedule = self.schedule(name);
        let next = schedule.next(now)?;
        let away = self.devices.get(name).is_some_and(|heard| heard.liveness != Liveness::Alive);
        let due = schedule.due(self.listening_since).filter(|_| away && self.connected);
        Some(due.map_or(next, |due| due.min(next)))
    }

    pub(in crate::dispatch) fn wake_view(
        &self,
        device: &DeviceId,
        name: &str,
        now: Timestamp,
    ) -> Option<WakeView> {
        let schedule = self.schedule(name);
        let known = match schedule.rhythm {
            Rhythm::Regular => true,
            Rhythm::Configured | Rhythm::Irregular => self.sleeps(device, name),
            Rhythm::Unknown => {
                let seen = self.devices.get(name).is_some_and(|heard| !heard.wakes.is_empty());
                self.sleeps(device, name) && (seen || schedule.window.is_some())
            }
        };
        let seconds = |duration: Duration| {
            u32::try_from((duration + Duration::from_millis(500)).as_secs()).unwrap_or(u32::MAX)
        };
        known.then(|| WakeView {
            rhythm: schedule.rhythm,
            period_seconds: schedule.period.map(seconds),
            jitter_seconds: schedule.period.map(|_| seconds(schedule.spread)),
            next: self.expected(name, now),
            overdue: self.is_overdue(name, now),
            window_seconds: schedule.window.map(seconds),
        })
    }

    /// Marks the rows for which another wake is due, or is late, since it was looked last.
    pub(in crate::dispatch) fn look_ahead(&mut self, now: Timestamp) {
        self.looked_at = now;
        let names: Vec<String> = self.devices.keys().cloned().collect();
        for name in names {
            let outlook = (self.expected(&name, now), self.is_overdue(&name, now));
            if let Some(heard) = self.devices.get_mut(&name)
                && heard.outlook != outlook
            {
                heard.outlook = outlook;
                self.touch(&name);
            }
        }
    }

    /// Tells the user of devices that updates wait for and that have not woken for long.
    pub(in crate::dispatch) fn tell_overdue(&mut self, now: Timestamp) {
        for id in self.active_ids() {
            let Some(update) = self.updates.get(&id) else { continue };
            if update.state.kind() != StateKind::Waiting || !self.is_overdue(&update.name, now) {
                continue;
            }
            let name = update.name.clone();
            let schedule = self.schedule(&name);
            let missed = schedule.missed(now, self.listening_since);
            let told = self.memory(&name).and_then(|memory| memory.overdue_told);
            if told.is_some_and(|told| told > now) {
                // The clock was set back.
                self.change_memory(&name).overdue_told = Some(now);
            }
            if missed < MISSED_FOR_LONG || told.is_some_and(|told| now.since(told) < TELL_AGAIN) {
                continue;
            }
            self.change_memory(&name).overdue_told = Some(now);
            let text = format!(
                "It has missed {missed} wakes. Check its battery and its network; the update goes on waiting."
            );
            self.notify_about(id, NotificationKind::Overdue, text);
        }
    }

    /// Tells the user once of devices that took an update and were not heard of since: the new firmware may not reach
    /// the network.
    pub(in crate::dispatch) fn tell_not_returned(&mut self, now: Timestamp) {
        for id in self.active_ids() {
            let Some(update) = self.updates.get(&id) else { continue };
            let (Some(problem), Some(since)) =
                (self.not_returned(update), confirming_since(update))
            else {
                continue;
            };
            let (name, device) = (update.name.clone(), update.device.clone());
            let told = self.memory(&name).and_then(|memory| memory.overdue_told);
            if told.is_none_or(|told| told < since || told > now) {
                self.change_memory(&name).overdue_told = Some(now);
                self.decision.touched.insert(device);
                self.notify_about(id, NotificationKind::NotReturned, &problem);
            }
        }
    }

    /// What the user should know of a device that took an update and was not heard of for long.
    pub(in crate::dispatch) fn not_returned(&self, update: &Update) -> Option<Problem> {
        let since = confirming_since(update)?;
        let listened = self.last_input_at.since(since.max(self.listening_since));
        let heard = self.memory(&update.name).and_then(|memory| memory.last_seen);
        let silent = self.connected && heard.is_none_or(|heard| heard <= since);
        (silent && listened >= GONE_FOR_LONG).then(|| {
            let minutes = GONE_FOR_LONG.as_secs() / 60;
            Problem::new(
                "device.not_returned",
                format!("It took the firmware and was not heard of in the {minutes} minutes after that."),
            )
            .with_help(
                "Look at it: the new firmware may not reach your network, for a wrong Wi-Fi password for instance, or \
                 the device has no power. As soon as it says what it runs, the update is over. Where it stays silent, \
                 a cable brings it back.",
            )
        })
    }

    /// How often to try a device that is waited for, and until when that holds.
    pub(in crate::dispatch) fn pace(
        &self,
        name: &str,
        now: Timestamp,
    ) -> (Duration, Option<Timestamp>) {
        let heard_until = self.devices.get(name).and_then(|heard| {
            let seen = heard.memory.last_seen.filter(|seen| *seen <= now)?;
            (heard.liveness == Liveness::Alive).then_some(seen + AFTER_EVIDENCE)
        });
        let schedule = self.schedule(name);
        let rush = schedule.rush(now);
        if let Some(until) = heard_until.filter(|until| *until > now) {
            return (FAST, Some(until));
        }
        let usual = schedule
            .window
            .map_or(KNOCK_PERIOD, |window| (window / KNOCKS_PER_WINDOW).clamp(FAST, KNOCK_PERIOD));
        match rush {
            Some((from, until)) if from <= now => (FAST, Some(until)),
            Some((from, _)) => (usual, Some(from)),
            None => (usual, None),
        }
    }

    /// When it is to be looked again.
    pub(in crate::dispatch) fn look_again_at(&self, now: Timestamp) -> Option<Timestamp> {
        let expected = self.devices.keys().any(|name| self.schedule(name).period.is_some());
        expected.then(|| self.looked_at.min(now) + LOOK_EVERY)
    }
}
