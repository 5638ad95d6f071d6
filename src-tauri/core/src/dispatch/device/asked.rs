//! Which devices are asked themselves about what others say of them.

use core::net::IpAddr;
use core::time::Duration;

use crate::device::Sighting;
use crate::dispatch::{Dispatch, Effect};
use crate::time::Timestamp;
use crate::update::{StateKind, Update};

use super::Liveness;
use super::remembered::is_stale;

/// How long a device isn't asked again when others speak of it.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The same for a device that has just said something new itself. It says so twice, a second apart: an answer that gets
/// lost is asked for once more.
const ASK_AGAIN_SPOKEN: Duration = Duration::from_millis(800);

/// The same for a device that an update waits for.
const ASK_AGAIN_WAITED: Duration = Duration::from_millis(250);

/// Who asks learns of this many addresses at most.
const ADDRESSES_ASKED: usize = 3;

impl Dispatch {
    /// Asks a device itself about what others say of it, and about what it says itself, as long as that isn't pinned.
    pub(super) fn ask_about(&mut self, sighting: &Sighting, own: bool, now: Timestamp) {
        let name = sighting.name.as_str();
        let matters = self.keeps(name) || self.is_candidate(name);
        if !matters || !self.is_worth_asking(sighting) {
            return;
        }
        let of_itself = sighting.source.sender().filter(|from| sighting.addresses.contains(from));
        let proven = self.memory(name).map_or(&[][..], |memory| memory.identity.addresses());
        let mut addresses: Vec<IpAddr> = Vec::new();
        let said = sighting.addresses.iter().take(ADDRESSES_ASKED - 1);
        for address in of_itself.iter().chain(proven.first()).chain(said) {
            if !addresses.contains(address) {
                addresses.push(*address);
            }
        }
        addresses.truncate(ADDRESSES_ASKED);
        self.ask(name, addresses, if own { ASK_AGAIN_SPOKEN } else { ASK_AGAIN }, now);
    }

    /// The same about its goodbye, which somebody else has said.
    pub(super) fn ask_where_proven(&mut self, name: &str, now: Timestamp) {
        let addresses =
            self.memory(name).map_or(Vec::new(), |memory| memory.identity.addresses().to_vec());
        self.ask(name, addresses, ASK_AGAIN, now);
    }

    fn ask(&mut self, name: &str, mut addresses: Vec<IpAddr>, again: Duration, now: Timestamp) {
        let again = if self.waits_for(name).is_some() { ASK_AGAIN_WAITED } else { again };
        addresses.retain(|address| self.may_reach(name, *address));
        let Some(heard) = self.devices.get_mut(name) else { return };
        if addresses.is_empty() || !is_stale(heard.asked_at, again, now) {
            return;
        }
        heard.asked_at = Some(now);
        self.decision.effects.push(Effect::Ask { name: name.to_owned(), addresses });
    }

    /// Whether the device may know more about it than is pinned.
    fn is_worth_asking(&self, sighting: &Sighting) -> bool {
        let Some((identity, _)) = self.identity_of(&sighting.name) else { return true };
        let alive = self.devices.get(&sighting.name).map(|heard| heard.liveness);
        let elsewhere = || sighting.addresses.iter().any(|address| !identity.is_at(*address));
        let differs = || {
            let mac = sighting.mac.is_some() && sighting.mac != identity.mac();
            let build = identity.build().map(|build| (&build.version, build.config_hash));
            let said = (&sighting.version, sighting.config_hash);
            mac || (sighting.is_record() && build != Some(said))
        };
        !identity.is_proven()
            || alive != Some(Liveness::Alive)
            || matches!(self.waits_for(&sighting.name), Some(StateKind::Confirming))
            || elsewhere()
            || differs()
    }

    /// The state of the update that the device of this name is to get.
    fn waits_for(&self, name: &str) -> Option<StateKind> {
        let is_for = |update: &&Update| update.is_for(name) || update.is_suffixed_as(name);
        let active = self.updates.values().filter(is_for);
        active.map(|update| update.state.kind()).find(|kind| kind.awaits_the_device())
    }

    /// Whether an update waits for the device of this name, or for its word.
    #[must_use]
    pub fn is_waited_for(&self, name: &str) -> bool {
        self.waits_for(name).is_some()
    }
}
