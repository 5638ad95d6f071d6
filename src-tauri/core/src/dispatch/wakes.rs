//! The wakes of devices: when one begins and ends, and what they say about the next one.

use core::time::Duration;

use crate::device::DeviceId;
use crate::schedule::{Rhythm, Schedule, SleepPlan, Wake};
use crate::time::Timestamp;
use crate::update::{FlashStage, StateKind, UpdateState};
use crate::view::{NotificationKind, WakeRecord, WakeView};

use std::sync::Arc;

use super::{Dispatch, Heard, KNOCK_PERIOD, Liveness};

/// A device that sleeps and wasn't heard of for so long has slept in between, whatever was thought of it. A
/// device that is awake is heard of at least every 120 s: so long the addresses in mDNS are valid.
const SLEPT_THROUGH: Duration = Duration::from_secs(150);

/// The least silence that is taken for sleep.
const LEAST_SLEEP: Duration = Duration::from_secs(20);

/// A device that is back within this time hasn't slept.
const BLINK: Duration = Duration::from_secs(3);

/// How long after a flash the device's return belongs to the same wake.
const REBOOT: Duration = Duration::from_secs(120);

/// How often it is looked whether another wake is due, for what is shown.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(30);

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

impl Dispatch {
    /// There is evidence that a device is awake since this time: a new wake begins, or the last one goes on.
    /// Call it before what is known of the device changes.
    pub(super) fn note_awake(&mut self, name: &str, at: Timestamp) {
        if !self.is_rebooting(name, at) {
            self.begin_wake(name, at);
            return;
        }
        let said_goodbye = self.heard.get(name).is_some_and(|heard| {
            heard.liveness == Liveness::Gone
                && heard.wakes.last().is_some_and(|w| w.awake.is_some())
        });
        if said_goodbye && let Some(wake) = self.change_wakes(name).last_mut() {
            wake.awake = None;
            self.learn(name);
        }
    }

    /// The same, when it is known that it isn't held, and doesn't come back from a flash.
    pub(super) fn begin_wake(&mut self, name: &str, at: Timestamp) {
        let sleeps = self.is_sleeper(name);
        let asleep = self.silence_of_sleep(name);
        let asleep = asleep.map_or(SLEPT_THROUGH, |long| long.clamp(LEAST_SLEEP, SLEPT_THROUGH));
        let Some(heard) = self.heard.get(name) else { return };
        let silence = heard.memory.last_seen.map(|seen| at.since(seen));
        let slept = silence.is_none_or(|silence| silence >= asleep);
        let ended = heard.wakes.last().and_then(|wake| Some(wake.at + wake.awake?));
        let begins = match heard.liveness {
            Liveness::Gone => {
                // The clock may have been set back since.
                ended.is_none_or(|ended| ended > at || at.since(ended) >= BLINK)
            }
            // Nobody knows how long one that doesn't sleep has been there.
            Liveness::Alive | Liveness::Unheard => sleeps && slept,
        };
        let returns = heard.liveness == Liveness::Gone && ended.is_some();
        if begins {
            let number = heard.wakes.last().map_or(0, |wake| wake.number.wrapping_add(1));
            let wakes = self.change_wakes(name);
            wakes.push(Wake { number, at, awake: None, flashed: false });
            if wakes.len() > Schedule::WAKES_KEPT {
                wakes.remove(0);
            }
            self.learn(name);
        } else if returns && let Some(wake) = self.change_wakes(name).last_mut() {
            wake.awake = None;
            self.learn(name);
        }
    }

    /// Whether the device is held, or comes back from a flash rather than from its sleep.
    fn is_rebooting(&self, name: &str, now: Timestamp) -> bool {
        let slept = self.silence_of_sleep(name);
        let longest = slept.map_or(REBOOT, |silence| silence.clamp(LEAST_SLEEP, REBOOT));
        self.updates.values().any(|update| {
            update.is_for(name)
                && match &update.state {
                    // What was connected to before may have woken just now.
                    UpdateState::Flashing { stage, .. } => {
                        *stage == FlashStage::MayBeComplete || self.slots.contains_key(&update.id)
                    }
                    UpdateState::Confirming {
                        since: flashed,
                        acknowledgement,
                        returned_at,
                        ..
                    } => {
                        let back = returned_at
                            .is_some_and(|back| back.since(*flashed) >= acknowledgement.settle());
                        !back
                            && *flashed <= now
                            && now.since(*flashed) < REBOOT
                            && self.silence_since(name, *flashed, now) < longest
                    }
                    // It has come back already.
                    UpdateState::Installed { .. }
                    | UpdateState::Queued
                    | UpdateState::Building { .. }
                    | UpdateState::Waiting { .. }
                    | UpdateState::Held { .. }
                    | UpdateState::Failed { .. }
                    | UpdateState::Cancelled { .. }
                    | UpdateState::Superseded { .. } => false,
                }
        })
    }

    /// How long nothing was heard of the device, at most since this time.
    fn silence_since(&self, name: &str, time: Timestamp, now: Timestamp) -> Duration {
        let heard = self.heard.get(name);
        let ended = heard
            .filter(|heard| heard.liveness == Liveness::Gone)
            .and_then(|heard| heard.wakes.last())
            .and_then(|wake| Some(wake.at + wake.awake?));
        let seen = heard.and_then(|heard| heard.memory.last_seen);
        now.since([seen, ended].into_iter().flatten().fold(time, Timestamp::max))
    }

    /// Whoever was silent for longer has slept: longer than a reboot takes, and shorter than its sleep.
    /// `None`: nothing tells.
    fn silence_of_sleep(&self, name: &str) -> Option<Duration> {
        let planned =
            self.sleep_plan(name).and_then(|plan| plan.sleep()).map(|sleep| sleep * 3 / 4);
        let learned = self.schedule(name).period.map(|period| period / 2);
        planned.into_iter().chain(learned).min()
    }

    /// The device of this name went to sleep at this time.
    pub(super) fn note_asleep(&mut self, name: &str, at: Timestamp) {
        let Some(heard) = self.heard.get(name) else { return };
        let awake = heard.liveness == Liveness::Alive;
        if !awake || heard.wakes.last().is_none_or(|wake| wake.awake.is_some()) {
            return;
        }
        if let Some(wake) = self.change_wakes(name).last_mut() {
            wake.awake = Some(at.since(wake.at));
        }
        self.learn(name);
    }

    /// The device of this name was flashed in its present wake.
    pub(super) fn note_flashed(&mut self, name: &str) {
        let is_new = |heard: &Heard| heard.wakes.last().is_some_and(|wake| !wake.flashed);
        if self.heard.get(name).is_some_and(is_new)
            && let Some(wake) = self.change_wakes(name).last_mut()
        {
            wake.flashed = true;
            self.learn(name);
        }
    }

    /// The wakes of a device to change, and to store.
    fn change_wakes(&mut self, name: &str) -> &mut Vec<Wake> {
        self.touch(name);
        if self.keeps(name) {
            self.decision.wakes.insert(name.to_owned());
        }
        &mut self.heard.entry(name).wakes
    }

    /// The number of the wake that the device of this name is in, or was in last.
    pub(super) fn wake_number(&self, name: &str) -> Option<u32> {
        self.heard.get(name)?.wakes.last().map(|wake| wake.number)
    }

    fn learn(&mut self, name: &str) {
        if let Some(heard) = self.heard.get_mut(name) {
            heard.learned = Schedule::learn(&heard.wakes);
        }
    }

    /// What is known about the wakes of the device of this name.
    pub(super) fn schedule(&self, name: &str) -> Schedule {
        let learned = self.heard.get(name).map(|heard| heard.learned).unwrap_or_default();
        learned.or_guess(self.sleep_plan(name).as_ref())
    }

    fn sleep_plan(&self, name: &str) -> Option<SleepPlan> {
        self.memory(name)
            .and_then(|memory| memory.sleep_plan)
            .or_else(|| self.plans.get(name).copied())
    }

    /// How long the device of this name is usually awake, as far as it is known.
    #[must_use]
    pub fn window(&self, name: &str) -> Option<Duration> {
        self.schedule(name).window
    }

    /// Whether the device of this name is known to use deep sleep.
    pub(super) fn is_sleeper(&self, name: &str) -> bool {
        self.sleepers.contains(name) || self.memory(name).is_some_and(|memory| memory.deep_sleep)
    }

    /// Whether nothing that an update waits for has come, though it should have.
    pub(super) fn is_overdue(&self, name: &str, now: Timestamp) -> bool {
        let away = self.heard.get(name).is_some_and(|heard| heard.liveness != Liveness::Alive);
        away && self.connected && self.schedule(name).missed(now, self.listening_since) > 0
    }

    /// The middle of the wake that is waited for: the next one, or one that should have come, and hasn't.
    fn expected(&self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let schedule = self.schedule(name);
        let next = schedule.next(now)?;
        let away = self.heard.get(name).is_some_and(|heard| heard.liveness != Liveness::Alive);
        let due = schedule.due(self.listening_since).filter(|_| away && self.connected);
        Some(due.map_or(next, |due| due.min(next)))
    }

    pub(super) fn wake_view(
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
                let seen = self.heard.get(name).is_some_and(|heard| !heard.wakes.is_empty());
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

    /// The wakes of a device that were seen, oldest first.
    #[must_use]
    pub fn wakes(&self, device: &DeviceId) -> Vec<WakeRecord> {
        let name = match (self.configs.get(device), self.active(device)) {
            (Some(file), _) => Some(self.name_of(file)),
            (None, Some(update)) => Some(update.name.as_str()),
            (None, None) => device.discovered_name().or_else(|| self.remembered_name(device)),
        };
        let wakes = name.and_then(|name| self.heard.get(name)).map(|heard| heard.wakes.as_slice());
        let record = |wake: &Wake| WakeRecord {
            at: wake.at,
            awake_seconds: wake
                .awake
                .map(|awake| u32::try_from(awake.as_secs()).unwrap_or(u32::MAX)),
            flashed: wake.flashed,
        };
        wakes.unwrap_or_default().iter().map(record).collect()
    }

    /// Marks the rows for which another wake is due, or is late, since it was looked last.
    pub(super) fn look_ahead(&mut self, now: Timestamp) {
        self.looked_at = now;
        let names: Vec<String> = self.heard.keys().cloned().collect();
        for name in names {
            let outlook = (self.expected(&name, now), self.is_overdue(&name, now));
            if let Some(heard) = self.heard.get_mut(&name)
                && heard.outlook != outlook
            {
                heard.outlook = outlook;
                self.touch(&name);
            }
        }
    }

    /// Tells the user of devices that updates wait for and that have not woken for long.
    pub(super) fn tell_overdue(&mut self, now: Timestamp) {
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

    /// How often to try a device that is waited for, and until when that holds.
    pub(super) fn pace(&self, name: &str, now: Timestamp) -> (Duration, Option<Timestamp>) {
        let heard_until = self.heard.get(name).and_then(|heard| {
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
    pub(super) fn look_again_at(&self, now: Timestamp) -> Option<Timestamp> {
        let expected = self.heard.keys().any(|name| self.schedule(name).period.is_some());
        expected.then(|| self.looked_at.min(now) + LOOK_EVERY)
    }

    /// Takes over who sleeps, and how long, from the configurations.
    pub(super) fn take_plans(&mut self) {
        let summaries = || {
            let files = self.configs.values();
            files.filter_map(|file| Some((self.name_of(file), file.content.as_ref().ok()?)))
        };
        let sleepers = summaries().filter(|(_, summary)| summary.deep_sleep);
        let sleepers = sleepers.map(|(name, _)| name.to_owned()).collect();
        let plans =
            summaries().filter_map(|(name, summary)| Some((name.to_owned(), summary.sleep_plan?)));
        let plans = plans.collect();
        (self.sleepers, self.plans) = (Arc::new(sleepers), Arc::new(plans));
    }
}
