//! Whether a device is in ESPHome's safe mode, in which it is after ten starts that it didn't get through.
//!
//! Nothing says so. It shows where a device whose firmware was installed from here, with an API, answers without saying
//! what it runs, has its OTA port open, and refuses its API more than once. Where nobody knows that what runs has an API,
//! or at which port, nothing can be told.

use core::net::IpAddr;
use core::time::Duration;

use crate::device::{Presence, Sighting};
use crate::dispatch::{Dispatch, Effect};
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::OtaMethod;

use super::remembered::is_stale;
use super::{KnownDevice, Liveness};

/// A device that has just started says a moment later what it runs, and may open its API a moment after its OTA port.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// How long its API isn't looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How often in a wake it is looked in vain.
const LOOKS_IN_VAIN: u8 = 6;

/// What was found out about it.
#[derive(Clone, Debug, Default)]
pub(in crate::dispatch) struct SafeMode {
    looked_at: Option<Timestamp>,
    /// Since when, in this wake, its API has been refused.
    refused: Option<Timestamp>,
    /// How often, in this wake, nothing was found out.
    in_vain: u8,
    /// When to look, and where.
    look: Option<(Timestamp, IpAddr)>,
    /// Since when it is known.
    since: Option<Timestamp>,
}

/// Where a device takes connections, by the build that runs on it.
struct Ports {
    api: u16,
    ota: u16,
}

impl KnownDevice {
    pub(in crate::dispatch) fn look_at_api_at(&self) -> Option<Timestamp> {
        self.safe_mode.look.map(|(at, _)| at)
    }
}

impl Dispatch {
    /// A device has said something itself.
    pub(super) fn follow_safe_mode(&mut self, sighting: &Sighting, woke: bool, now: Timestamp) {
        let name = sighting.name.as_str();
        if sighting.is_record() || sighting.stamp.is_some() {
            // It runs its firmware.
            self.end_safe_mode(name);
            return;
        }
        if woke && let Some(heard) = self.devices.get_mut(name) {
            let since = heard.safe_mode.since;
            heard.safe_mode = SafeMode { since, ..SafeMode::default() };
        }
        let Some(peer) = sighting.source.sender() else { return };
        if self.ports_of_what_runs(name).is_some()
            && let Some(heard) = self.devices.get_mut(name)
            && is_stale(heard.safe_mode.looked_at, LOOK_AGAIN, now)
        {
            heard.safe_mode.look.get_or_insert((now + LOOK_AFTER, peer));
        }
    }

    /// What is known no longer holds: the device says what it runs, or has got another firmware.
    pub(in crate::dispatch) fn end_safe_mode(&mut self, name: &str) {
        if self.devices.get(name).is_some_and(|heard| heard.safe_mode.since.is_some()) {
            self.touch(name);
            self.decision.reordered = true;
        }
        if let Some(heard) = self.devices.get_mut(name) {
            let looked_at = heard.safe_mode.looked_at;
            heard.safe_mode = SafeMode { looked_at, ..SafeMode::default() };
        }
    }

    fn look_at_api(&mut self, name: &str, peer: IpAddr, now: Timestamp) {
        let Some(Ports { api, ota }) = self.ports_of_what_runs(name) else { return };
        let occupied = self
            .updates
            .values()
            .any(|update| update.is_for(name) && update.state.kind().occupies_the_device());
        if occupied || !self.may_reach(name, peer) {
            return;
        }
        let Some(heard) = self.devices.get_mut(name) else { return };
        heard.safe_mode.looked_at = Some(now);
        let name = name.to_owned();
        self.decision.effects.push(Effect::LookAtApi { name, peer, api, ota });
    }

    /// `None`: nobody knows that what runs has an API.
    fn ports_of_what_runs(&self, name: &str) -> Option<Ports> {
        let memory = self.memory(name)?;
        memory.installed()?;
        let build = memory.kept_builds.last()?;
        let native = build.ota.method == OtaMethod::Native;
        native.then_some(Ports { api: build.api.as_ref()?.port, ota: build.ota.port })
    }

    /// A device's OTA port is open, and its API was refused, or wasn't; or it couldn't be reached.
    pub(in crate::dispatch) fn looked_at_api(
        &mut self,
        name: &str,
        (peer, refused): (IpAddr, Option<bool>),
        now: Timestamp,
    ) {
        if refused == Some(false) {
            self.end_safe_mode(name);
            return;
        }
        let Some(heard) = self.devices.get_mut(name) else { return };
        let it = &mut heard.safe_mode;
        if heard.liveness != Liveness::Alive || it.looked_at.is_none() || it.since.is_some() {
            return;
        }
        if refused.is_none() {
            it.in_vain = it.in_vain.saturating_add(1);
            it.look = (it.in_vain < LOOKS_IN_VAIN).then_some((now + LOOK_AFTER, peer));
            return;
        }
        match it.refused {
            Some(first) if first <= now && now.since(first) >= LOOK_AFTER => {
                it.since = Some(now);
                self.touch(name);
                self.decision.reordered = true;
            }
            // The clock may have been set back.
            Some(_) | None => {
                it.refused = Some(now);
                it.look = Some((now + LOOK_AFTER, peer));
            }
        }
    }

    pub(in crate::dispatch) fn look_at_apis(&mut self, now: Timestamp) {
        let due = |heard: &KnownDevice| heard.look_at_api_at().is_some_and(|at| at <= now);
        for name in self.devices.keys_where(|_, heard| due(heard)) {
            let heard = self.devices.entry(&name);
            let look = heard.safe_mode.look.take();
            if let Some((_, peer)) = look.filter(|_| heard.liveness == Liveness::Alive) {
                self.look_at_api(&name, peer, now);
            }
        }
    }

    /// Whether a device is in safe mode at this moment, and takes an update.
    pub(in crate::dispatch) fn is_in_safe_mode(&self, name: &str) -> bool {
        self.devices.get(name).is_some_and(|heard| {
            heard.safe_mode.since.is_some() && heard.liveness == Liveness::Alive
        })
    }

    /// What the user has to know of a device that was found in safe mode, and has said nothing else since.
    pub(in crate::dispatch) fn crash_loop(
        &self,
        name: &str,
        presence: Presence,
    ) -> Option<Problem> {
        self.devices.get(name)?.safe_mode.since?;
        let problem = match presence {
            Presence::Online => Problem::new(
                "device.safe_mode",
                "The device is in safe mode: it has failed to start several times in a row.",
            ),
            Presence::Asleep | Presence::Offline | Presence::Unknown => Problem::new(
                "device.safe_mode",
                "The device was in safe mode when it was heard last: it had failed to start several times in a row.",
            ),
        };
        Some(problem.with_help(
            "In safe mode it takes an update for five minutes, then it starts once more. Go back to the last good build, \
             or correct its configuration and install that.",
        ))
    }
}
