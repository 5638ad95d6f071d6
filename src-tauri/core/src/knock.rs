//! When to knock where. A waiting device is knocked at by connecting to its OTA port, again and again; this
//! decides which attempt is due, and the engine makes it.
//!
//! Time is the [`Duration`] since any fixed moment, of a clock that never goes back.

use core::cmp::Reverse;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::update::UpdateId;

/// What an opened connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It becomes the OTA session.
    Capture,
    /// It only shows that the device has come back after a flash.
    Confirm,
}

/// Where a device may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetAddress {
    /// At this address.
    Ip(IpAddr),
    /// Wherever this name leads: `.local`, or a name of the DNS.
    Name(String),
}

/// A device that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The update that waits.
    pub update: UpdateId,
    /// The device's name.
    pub name: String,
    /// Where it may be, best first.
    pub addresses: Vec<TargetAddress>,
    /// Where not to knock, also when a name leads there.
    pub avoid: Vec<IpAddr>,
    /// Its OTA port.
    pub port: u16,
    /// What the connection is for.
    pub purpose: Purpose,
    /// The time between two knocks at one address.
    pub period: Duration,
}

/// One place to knock at, or a name to look up, on behalf of one update.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// For which update.
    pub update: UpdateId,
    /// Where.
    pub address: TargetAddress,
    /// The OTA port.
    pub port: u16,
}

/// An attempt that is due now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Tells this attempt from others at the same spot.
    pub id: u64,
    /// Where to knock, or what to look up.
    pub spot: Spot,
    /// The attempt at the same spot that it takes the place of: evidence came while that one was waiting for
    /// an answer to a packet that the device has slept through.
    pub replaces: Option<u64>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A connection opened, or a name was found.
    Success,
    /// Anything else.
    Failure,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    id: u64,
    since: Duration,
}

#[derive(Clone, Debug)]
struct Slot {
    name: String,
    period: Duration,
    due: Duration,
    nudged: bool,
    flight: Option<Flight>,
}

/// The plan of all knocks.
///
/// - At most one attempt per address and port is under way, whatever the number of updates that want it.
/// - At most `limit` attempts are under way; who was due first comes first. A nudge (there is evidence of
///   life) comes before everything else and may go beyond the limit, up to twice of it.
/// - After a success the update is left alone for [`REST`] or its period, whichever is longer, nudges
///   included: the connection is in good hands, and a second one would only stand in its way.
#[derive(Clone, Debug)]
pub struct Plan {
    limit: usize,
    slots: BTreeMap<Spot, Slot>,
    resting: BTreeMap<UpdateId, Duration>,
    next_id: u64,
}

/// How long an update is left alone after a success.
pub const REST: Duration = Duration::from_secs(2);

/// The least time between two look-ups of one name: the answer seldom changes, and each one costs packets.
pub const LOOKUP_PERIOD: Duration = Duration::from_secs(10);

/// A nudge doesn't replace an attempt before it is that old: its packets have just been sent.
pub const FRESH: Duration = Duration::from_millis(200);

impl Plan {
    /// An empty plan with a limit on attempts that are under way.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, slots: BTreeMap::new(), resting: BTreeMap::new(), next_id: 0 }
    }

    /// Takes over the list of devices that are waited for. What is new is due at once; what stays keeps its
    /// turn. Returns the attempts under way that nobody wants any more.
    pub fn set_targets(&mut self, now: Duration, targets: &[Target]) -> Vec<u64> {
        let mut old = core::mem::take(&mut self.slots);
        for target in targets {
            for address in &target.addresses {
                let spot =
                    Spot { update: target.update, address: address.clone(), port: target.port };
                let period = match address {
                    TargetAddress::Ip(_) => target.period,
                    TargetAddress::Name(_) => target.period.max(LOOKUP_PERIOD),
                };
                let slot = match old.remove(&spot) {
                    Some(slot) => Slot {
                        due: slot.due.min(now.saturating_add(period)),
                        name: target.name.clone(),
                        period,
                        ..slot
                    },
                    None => Slot {
                        name: target.name.clone(),
                        period,
                        due: now,
                        nudged: false,
                        flight: None,
                    },
                };
                self.slots.entry(spot).or_insert(slot);
            }
        }
        let wanted: BTreeSet<UpdateId> = targets.iter().map(|target| target.update).collect();
        self.resting.retain(|update, until| wanted.contains(update) && *until > now);
        old.into_values().filter_map(|slot| slot.flight).map(|flight| flight.id).collect()
    }

    /// There is evidence of life of the device of this name: all its addresses are due now.
    pub fn nudge(&mut self, now: Duration, name: &str) {
        for slot in self.slots.values_mut().filter(|slot| slot.name.eq_ignore_ascii_case(name)) {
            let earliest =
                slot.flight.map_or(now, |flight| flight.since.saturating_add(FRESH).max(now));
            slot.nudged = true;
            slot.due = slot.due.min(earliest);
            if slot.flight.is_some() {
                slot.due = slot.due.max(earliest);
            }
        }
    }

    /// The attempts that are due, most urgent first. They count as under way from now on.
    pub fn start_due(&mut self, now: Duration) -> Vec<Attempt> {
        self.resting.retain(|_, until| *until > now);
        let mut due: Vec<(Reverse<bool>, Duration, Spot)> = self
            .slots
            .iter()
            .filter(|(spot, slot)| self.may_start(spot, slot, now))
            .map(|(spot, slot)| (Reverse(slot.nudged), slot.due, spot.clone()))
            .collect();
        due.sort();
        let flying = self.slots.iter().filter(|(_, slot)| slot.flight.is_some());
        let mut busy: BTreeSet<(TargetAddress, u16)> =
            flying.clone().map(|(spot, _)| (spot.address.clone(), spot.port)).collect();
        let mut under_way = flying.count();
        let mut attempts = Vec::new();
        for (Reverse(nudged), _, spot) in due {
            let Some(slot) = self.slots.get_mut(&spot) else { continue };
            let replaces = slot.flight.map(|flight| flight.id);
            let bound = if nudged { self.limit.saturating_mul(2) } else { self.limit };
            if replaces.is_none() {
                let place = (spot.address.clone(), spot.port);
                if under_way >= bound || !busy.insert(place) {
                    continue;
                }
                under_way += 1;
            }
            self.next_id += 1;
            slot.flight = Some(Flight { id: self.next_id, since: now });
            slot.nudged = false;
            slot.due = now.saturating_add(slot.period);
            attempts.push(Attempt { id: self.next_id, spot, replaces });
        }
        attempts
    }

    fn may_start(&self, spot: &Spot, slot: &Slot, now: Duration) -> bool {
        let free = slot.flight.is_none() || slot.nudged;
        free && slot.due <= now && !self.resting.contains_key(&spot.update)
    }

    /// Whether the update is being left alone: it has a connection already.
    #[must_use]
    pub fn is_resting(&self, now: Duration, update: UpdateId) -> bool {
        self.resting.get(&update).is_some_and(|until| *until > now)
    }

    /// An attempt has ended. Returns the other attempts of the same update that are under way when it was a
    /// success at an address: they are of no use any more. An attempt that has been replaced changes nothing
    /// by its failure.
    pub fn ended(&mut self, now: Duration, id: u64, spot: &Spot, outcome: Outcome) -> Vec<u64> {
        if let Some(slot) = self.slots.get_mut(spot)
            && slot.flight.is_some_and(|flight| flight.id == id)
        {
            slot.flight = None;
        }
        let (Outcome::Success, TargetAddress::Ip(_)) = (outcome, &spot.address) else {
            return Vec::new();
        };
        let of_update = self.slots.iter_mut().filter(|(other, _)| other.update == spot.update);
        let mut useless = Vec::new();
        let mut rest = REST;
        for (_, slot) in of_update {
            rest = rest.max(slot.period.min(LOOKUP_PERIOD));
            slot.nudged = false;
            useless.extend(slot.flight.take().map(|flight| flight.id));
        }
        self.resting.insert(spot.update, now.saturating_add(rest));
        useless
    }

    /// When [`Self::start_due`] is worth calling next, as far as time alone decides it. What waits for another
    /// attempt to end becomes possible with [`Self::ended`].
    #[must_use]
    pub fn next_deadline(&self, now: Duration) -> Option<Duration> {
        let under_way = self.slots.values().filter(|slot| slot.flight.is_some()).count();
        let nudged = self.slots.values().any(|slot| slot.nudged);
        let bound = if nudged { self.limit.saturating_mul(2) } else { self.limit };
        self.slots
            .iter()
            .filter(|(_, slot)| slot.flight.is_none() || slot.nudged)
            .map(|(spot, slot)| {
                let rested = self.resting.get(&spot.update).copied().unwrap_or_default();
                slot.due.max(rested)
            })
            // What is overdue was held back by a limit, and only the end of an attempt frees it.
            .filter(|due| *due > now || under_way == 0)
            .filter(|_| under_way < bound)
            .min()
    }
}

#[cfg(test)]
#[path = "knock_tests.rs"]
mod tests;
