//! Whether a device is there, as far as that is known.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use crate::device::{ConfigHash, DeviceId, Presence};
use crate::dispatch::Dispatch;
use crate::time::Timestamp;
use crate::update::UpdateId;

use super::{KnownDevice, Liveness};

/// How long a device that can't be reached is still shown as Online when it says nothing meanwhile.
pub const DOUBT: Duration = Duration::from_secs(10);

impl Dispatch {
    /// A device answered, without saying anything about itself.
    pub(in crate::dispatch) fn alive(&mut self, name: &str, now: Timestamp) {
        self.touch(name);
        self.devices.entry(name);
        self.note_awake(name, now);
        let heard = self.devices.entry(name);
        heard.liveness = Liveness::Alive;
        heard.doubted_since = None;
        heard.expired = false;
        heard.memory.last_seen = Some(now);
    }

    pub(in crate::dispatch) fn unreachable(&mut self, id: UpdateId, now: Timestamp) {
        let Some(name) = self.updates.get(&id).map(|update| update.name.clone()) else { return };
        let Some(heard) = self.devices.get_mut(&name) else { return };
        if heard.liveness == Liveness::Alive && self.connected {
            heard.doubted_since.get_or_insert(now);
        }
    }

    /// A device that went without a goodbye is no longer shown as Online.
    pub(in crate::dispatch) fn settle_doubts(&mut self, now: Timestamp) {
        if !self.connected {
            return;
        }
        // The clock was set back: the doubt begins now.
        let of_the_future =
            |heard: &KnownDevice| heard.doubted_since.is_some_and(|since| since > now);
        for name in self.devices.keys_where(|_, heard| of_the_future(heard)) {
            self.devices.entry(&name).doubted_since = Some(now);
        }
        let is_gone = |heard: &KnownDevice| heard.doubt_ends_at().is_some_and(|end| end <= now);
        for name in self.devices.keys_where(|_, heard| is_gone(heard)) {
            let end = self.devices.get(&name).and_then(|heard| heard.doubted_since);
            self.note_asleep(&name, end.unwrap_or(now));
            if let Some(heard) = self.devices.get_mut(&name) {
                heard.liveness = Liveness::Gone;
                heard.doubted_since = None;
                heard.said = None;
            }
            self.touch(&name);
        }
    }

    /// Whether a device is thought to be there.
    pub(in crate::dispatch) fn presence(
        &self,
        device: &DeviceId,
        name: &str,
        now: Timestamp,
    ) -> Presence {
        let gone = if self.sleeps(device, name) { Presence::Asleep } else { Presence::Offline };
        match self.devices.get(name) {
            Some(KnownDevice { liveness: Liveness::Alive, .. }) => Presence::Online,
            Some(KnownDevice { liveness: Liveness::Gone, .. }) => gone,
            Some(KnownDevice { liveness: Liveness::Unheard, memory, .. })
                if memory.last_seen.is_some()
                    && self.first_look_until.is_none_or(|until| until <= now) =>
            {
                gone
            }
            Some(KnownDevice { liveness: Liveness::Unheard, .. }) | None => Presence::Unknown,
        }
    }

    /// The devices that are shown as Online, and where they were seen. A device that is being flashed, or whose
    /// return is awaited, isn't among them: it has other things to do than to answer, and is looked after.
    #[must_use]
    pub fn online(&self) -> Vec<(&str, Vec<IpAddr>)> {
        let occupied: BTreeSet<&str> = self
            .updates
            .values()
            .filter(|update| update.state.kind().occupies_the_device())
            .map(|update| update.name.as_str())
            .collect();
        self.devices
            .iter()
            .filter(|(name, heard)| {
                heard.liveness == Liveness::Alive && !occupied.contains(name.as_str())
            })
            .map(|(name, heard)| {
                let addresses = heard.memory.addresses();
                (name.as_str(), addresses.filter(|at| self.may_reach(name, *at)).collect())
            })
            .collect()
    }

    /// A device that was asked and tried to reach, in vain, is gone.
    pub(in crate::dispatch) fn silent(&mut self, name: &str) {
        if !self.connected {
            return;
        }
        let Some(heard) = self.devices.get(name) else { return };
        let (Liveness::Alive, Some(last)) = (heard.liveness, heard.memory.last_seen) else {
            return;
        };
        self.note_asleep(name, last);
        if let Some(heard) = self.devices.get_mut(name) {
            heard.liveness = Liveness::Gone;
            heard.doubted_since = None;
        }
        self.touch(name);
    }

    /// What the device has said that it runs, in this wake.
    pub(in crate::dispatch) fn said_in_this_wake(&self, name: &str) -> Option<ConfigHash> {
        let heard = self.devices.get(name)?;
        if heard.liveness == Liveness::Alive { heard.said } else { None }
    }
}
