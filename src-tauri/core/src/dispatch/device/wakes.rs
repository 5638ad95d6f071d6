//! The wakes of devices: when one begins and ends.

use core::time::Duration;

use crate::device::DeviceId;
use crate::dispatch::Dispatch;
use crate::schedule::{Schedule, Wake};
use crate::time::Timestamp;
use crate::update::{FlashStage, UpdateState};
use crate::view::WakeRecord;

use super::{KnownDevice, Liveness};

/// A device that sleeps and wasn't heard of for so long has slept in between, whatever was thought of it. A
/// device that is awake is heard of at least every 120 s: so long the addresses in mDNS are valid.
const SLEPT_THROUGH: Duration = Duration::from_secs(150);

/// The least silence that is taken for sleep.
const LEAST_SLEEP: Duration = Duration::from_secs(20);

/// A device that is back within this time hasn't slept.
const BLINK: Duration = Duration::from_secs(3);

/// How long after a flash the device's return belongs to the same wake.
const REBOOT: Duration = Duration::from_secs(120);

impl Dispatch {
    /// There is evidence that a device is awake since this time: a new wake begins, or the last one goes on.
    /// Call it before what is known of the device changes.
    pub(super) fn note_awake(&mut self, name: &str, at: Timestamp) {
        if !self.is_rebooting(name, at) {
            self.begin_wake(name, at);
            return;
        }
        let said_goodbye = self.devices.get(name).is_some_and(|heard| {
            heard.liveness == Liveness::Gone
                && heard.wakes.last().is_some_and(|w| w.awake.is_some())
        });
        if said_goodbye {
            self.change_wake(name, |wake| wake.awake = None);
        }
    }

    /// The same, when it is known that it isn't held, and doesn't come back from a flash.
    pub(in crate::dispatch) fn begin_wake(&mut self, name: &str, at: Timestamp) {
        let sleeps = self.is_sleeper(name);
        let asleep = self.silence_of_sleep(name);
        let asleep = asleep.map_or(SLEPT_THROUGH, |long| long.clamp(LEAST_SLEEP, SLEPT_THROUGH));
        let Some(heard) = self.devices.get(name) else { return };
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
            let wakes = &mut self.devices.entry(name).wakes;
            wakes.push(Wake { number, at, awake: None, flashed: false });
            if wakes.len() > Schedule::WAKES_KEPT {
                wakes.remove(0);
            }
            self.learn(name, number);
            self.store_wakes(name);
        } else if returns {
            self.change_wake(name, |wake| wake.awake = None);
        }
    }

    /// Whether the device is held, or comes back from a flash rather than from its sleep.
    fn is_rebooting(&self, name: &str, now: Timestamp) -> bool {
        let slept = self.silence_of_sleep(name);
        let longest = slept.map_or(REBOOT, |silence| silence.clamp(LEAST_SLEEP, REBOOT));
        self.updates.values().filter(|update| update.is_for(name)).any(|update| {
            if let UpdateState::Flashing { stage, .. } = &update.state {
                // What was connected to before may have woken just now.
                return *stage == FlashStage::MayBeComplete || self.slots.contains_key(&update.id);
            }
            let UpdateState::Confirming { since: flashed, acknowledgement, returned_at, .. } =
                &update.state
            else {
                return false;
            };
            let back =
                returned_at.is_some_and(|back| back.since(*flashed) >= acknowledgement.settle());
            !back
                && *flashed <= now
                && now.since(*flashed) < REBOOT
                && self.silence_since(name, *flashed, now) < longest
        })
    }

    /// How long nothing was heard of the device, at most since this time.
    fn silence_since(&self, name: &str, time: Timestamp, now: Timestamp) -> Duration {
        let heard = self.devices.get(name);
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
        let Some(heard) = self.devices.get(name) else { return };
        let awake = heard.liveness == Liveness::Alive;
        if !awake || heard.wakes.last().is_none_or(|wake| wake.awake.is_some()) {
            return;
        }
        self.change_wake(name, |wake| wake.awake = Some(at.since(wake.at)));
    }

    /// The device of this name was flashed in its present wake.
    pub(in crate::dispatch) fn note_flashed(&mut self, name: &str) {
        let is_new = |heard: &KnownDevice| heard.wakes.last().is_some_and(|wake| !wake.flashed);
        if self.devices.get(name).is_some_and(is_new) {
            self.change_wake(name, |wake| wake.flashed = true);
            self.store_wakes(name);
        }
    }

    /// Changes the last wake of a device. Anybody can say that it comes and goes, so that is stored now and then.
    fn change_wake(&mut self, name: &str, change: impl FnOnce(&mut Wake)) {
        let last = self.devices.get_mut(name).and_then(|heard| heard.wakes.last_mut());
        if let Some(wake) = last {
            change(wake);
            let number = wake.number;
            self.learn(name, number);
            if self.keeps(name) {
                self.store_soon(name, self.last_input_at);
            }
        }
    }

    /// Learns from the wakes of a device, which are others from this number on.
    fn learn(&mut self, name: &str, from: u32) {
        self.touch(name);
        if let Some(heard) = self.devices.get_mut(name) {
            heard.learned = Schedule::learn(&heard.wakes);
            let first = heard.unstored_wakes.get_or_insert(from);
            *first = from.min(*first);
        }
    }

    /// The number of the wake that the device of this name is in, or was in last.
    pub(in crate::dispatch) fn wake_number(&self, name: &str) -> Option<u32> {
        self.devices.get(name)?.wakes.last().map(|wake| wake.number)
    }

    /// The wakes of a device that were seen, oldest first.
    #[must_use]
    pub fn wakes(&self, device: &DeviceId) -> Vec<WakeRecord> {
        let name = match (self.configs.get(device), self.active(device)) {
            (Some(file), _) => Some(self.name_of(file)),
            (None, Some(update)) => Some(update.name.as_str()),
            (None, None) => device.discovered_name().or_else(|| self.remembered_name(device)),
        };
        let wakes =
            name.and_then(|name| self.devices.get(name)).map(|heard| heard.wakes.as_slice());
        let record = |wake: &Wake| WakeRecord {
            at: wake.at,
            awake_seconds: wake
                .awake
                .map(|awake| u32::try_from(awake.as_secs()).unwrap_or(u32::MAX)),
            flashed: wake.flashed,
        };
        wakes.unwrap_or_default().iter().map(record).collect()
    }
}
