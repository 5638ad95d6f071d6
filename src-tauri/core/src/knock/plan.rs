use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::lane::Lane;
use super::ramp::{Ramp, STEADY};
use super::{Attempt, Limits, Outcome, Spot, Target, TargetAddress};
use crate::update::UpdateId;

/// How long an update is left alone after a success.
pub const REST: Duration = Duration::from_secs(2);

/// The least time between two look-ups of one name: the answer seldom changes, and each one costs packets.
pub const LOOKUP_PERIOD: Duration = Duration::from_secs(10);

/// How many names are looked up in a second without evidence, over the whole fleet: look-ups are multicast to everybody.
const LOOKUPS_PER_SECOND: u32 = 1;

/// How far look-ups may run ahead of that, so that ten begin at once: few names don't disturb anybody.
const LOOKUPS_BURST: Duration = Duration::from_secs(9);

/// How far other attempts may run ahead of their limit.
const BURST: Duration = Duration::from_millis(200);

/// After evidence of life a name is looked up again when its last look-up is this old.
const LOOKUP_FRESH: Duration = Duration::from_secs(2);

/// When a look-up is given up.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// In between an attempt is kept for this long: the system repeats its SYN after a second, and a device that
/// shows itself by ARP gets the SYN that waited for that.
const MEDIUM_TIMEOUT: Duration = Duration::from_millis(1500);

/// From this period on, the system's own repetitions are the knocks.
const SLOW: Duration = Duration::from_secs(2);

/// At the slow pace an attempt is kept for this long, and the next one follows: the system repeats its SYN after
/// 1 and 3 s (RFC 6298, section 2.1), Linux from 6.5 on after 1, 2 and 3 s (`tcp_syn_linear_timeouts`). No time
/// between two SYNs is longer than [`SLOW`], for half of the attempts.
const SLOW_TIMEOUT: Duration = Duration::from_secs(4);

/// At the fast pace the next SYN comes soon, but an answer to this one may take a device in power save 300 ms
/// and more: attempts overlap rather than cut each other short.
const FAST_TIMEOUT: Duration = Duration::from_millis(1000);

/// Slow attempts begin and end at multiples of this: a processor that wakes up for each of them alone spends more
/// on that than on the attempts.
const GRID: Duration = Duration::from_millis(250);

/// Attempts under way at one spot; one more takes the place of the oldest.
pub const MAX_FLIGHTS: usize = 6;

type SlotId = u32;
type Place = (TargetAddress, u16);

fn grid_before(time: Duration) -> Duration {
    GRID.saturating_mul(u32::try_from(time.as_millis() / GRID.as_millis()).unwrap_or(u32::MAX))
}

fn grid_after(time: Duration) -> Duration {
    let before = grid_before(time);
    if before == time { time } else { before.saturating_add(GRID) }
}

#[derive(Clone, Debug)]
struct Slot {
    spot: Spot,
    period: Duration,
    due: Duration,
    /// It is due because of evidence of life.
    urgent: bool,
    /// When its last attempt began.
    last: Option<Duration>,
    /// Attempts under way, the oldest first.
    flights: BTreeSet<u64>,
}

impl Slot {
    fn place(&self) -> Place {
        (self.spot.address.clone(), self.spot.port)
    }

    fn is_name(&self) -> bool {
        matches!(self.spot.address, TargetAddress::Name(_))
    }
}

/// Who knocks at an address and port now.
#[derive(Clone, Debug)]
struct Occupied {
    by: UpdateId,
    flights: usize,
    /// Slots that were due meanwhile.
    waiting: BTreeSet<SlotId>,
}

/// The plan of all knocks.
///
/// - Who was due first comes first. Evidence of life comes before everything else.
/// - The whole fleet is bounded by [`Limits`], look-ups to one a second; what exceeds them comes later, nothing is left
///   out. Names that were never looked up come before the others.
/// - Without evidence an attempt lasts as long as the system repeats its SYN in time, where there is room for
///   that.
/// - Only one update at a time knocks at one address and port. At the fast pace its attempts there overlap, up
///   to [`MAX_FLIGHTS`].
/// - After evidence of life the pace of a device is 50, 100 and then every 250 ms, for 5 s, or 10 s when the
///   evidence goes on. A refused connection is such evidence, once a minute.
/// - After a success the update is left alone for [`REST`] or its period, whichever is longer, evidence
///   included: the connection is in good hands, and a second one would only stand in its way.
#[derive(Clone, Debug)]
pub struct Plan {
    limits: Limits,
    slots: BTreeMap<SlotId, Slot>,
    ids: BTreeMap<Spot, SlotId>,
    /// How many slots there are for each place.
    places: BTreeMap<Place, u32>,
    /// How many of the slots are names.
    names_looked_up: usize,
    /// The updates that wait for a device of this name, in lowercase.
    names: BTreeMap<String, BTreeSet<UpdateId>>,
    of_update: BTreeMap<UpdateId, BTreeSet<SlotId>>,
    urgent: Lane<SlotId>,
    regular: Lane<SlotId>,
    lookups: Lane<SlotId>,
    flights: BTreeMap<u64, SlotId>,
    occupied: BTreeMap<Place, Occupied>,
    ramps: BTreeMap<UpdateId, Ramp>,
    resting: BTreeMap<UpdateId, Duration>,
    next_slot: SlotId,
    next_id: u64,
}

impl Plan {
    /// An empty plan.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let Limits { under_way, per_second } = limits;
        Self {
            limits,
            slots: BTreeMap::new(),
            ids: BTreeMap::new(),
            places: BTreeMap::new(),
            names_looked_up: 0,
            names: BTreeMap::new(),
            of_update: BTreeMap::new(),
            urgent: Lane::new(under_way.saturating_mul(2), per_second.saturating_mul(2), BURST),
            regular: Lane::new(under_way, per_second, BURST),
            // Few, but addresses may take all places that there are for them.
            lookups: Lane::new(under_way.saturating_mul(2), LOOKUPS_PER_SECOND, LOOKUPS_BURST),
            flights: BTreeMap::new(),
            occupied: BTreeMap::new(),
            ramps: BTreeMap::new(),
            resting: BTreeMap::new(),
            next_slot: 0,
            next_id: 0,
        }
    }

    /// Takes over the list of devices that are waited for. What is new is due at once; what stays keeps its
    /// turn. Returns the attempts under way that nobody wants any more.
    pub fn set_targets(&mut self, now: Duration, targets: &[Target]) -> Vec<u64> {
        self.names.clear();
        let mut gone: BTreeSet<SlotId> = self.slots.keys().copied().collect();
        let mut wanted = BTreeSet::new();
        for target in targets {
            wanted.insert(target.update);
            for name in target.names() {
                self.names.entry(name).or_default().insert(target.update);
            }
        }
        self.resting.retain(|update, _| wanted.contains(update));
        self.ramps.retain(|update, _| wanted.contains(update));
        for target in targets {
            for address in &target.addresses {
                for port in &target.ports {
                    let id = self.want(now, target, address, *port);
                    gone.remove(&id);
                }
            }
        }
        gone.into_iter().flat_map(|id| self.remove(id)).collect()
    }

    fn want(
        &mut self,
        now: Duration,
        target: &Target,
        address: &TargetAddress,
        port: u16,
    ) -> SlotId {
        let spot = Spot { update: target.update, address: address.clone(), port };
        let period = match address {
            TargetAddress::Ip(_) => target.period,
            TargetAddress::Name(_) => target.period.max(LOOKUP_PERIOD),
        };
        let rested = self.resting.get(&target.update).copied().unwrap_or_default();
        if let Some(&id) = self.ids.get(&spot) {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.period = period;
            }
            if let Some(slot) = self.slots.get(&id).filter(|slot| !slot.is_name()) {
                let due = slot.due.min(now.saturating_add(self.pause(slot))).max(rested);
                self.set_due(id, due, false);
            }
            return id;
        }
        let id = self.next_slot;
        self.next_slot = self.next_slot.wrapping_add(1);
        let due = match address {
            TargetAddress::Ip(_) => rested.max(now),
            TargetAddress::Name(_) => rested,
        };
        let (urgent, last, flights) = (false, None, BTreeSet::new());
        self.ids.insert(spot.clone(), id);
        self.of_update.entry(target.update).or_default().insert(id);
        let slot = Slot { spot, period, due, urgent, last, flights };
        *self.places.entry(slot.place()).or_default() += 1;
        self.names_looked_up += usize::from(slot.is_name());
        self.slots.insert(id, slot);
        self.enqueue(id);
        // Evidence of life may have been what brought this address.
        if self.ramps.get(&target.update).is_some_and(|ramp| ramp.is_hot(now)) {
            self.set_due(id, due, true);
        }
        id
    }

    fn remove(&mut self, id: SlotId) -> Vec<u64> {
        let flights = self.take_flights(id);
        let Some(slot) = self.slots.remove(&id) else { return flights };
        self.dequeue(slot.due, id);
        let place = slot.place();
        if let Some(occupied) = self.occupied.get_mut(&place) {
            occupied.waiting.remove(&id);
        }
        self.names_looked_up -= usize::from(slot.is_name());
        if let Some(count) = self.places.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.places.remove(&place);
            }
        }
        self.ids.remove(&slot.spot);
        if let Some(of_update) = self.of_update.get_mut(&slot.spot.update) {
            of_update.remove(&id);
            if of_update.is_empty() {
                self.of_update.remove(&slot.spot.update);
            }
        }
        flights
    }

    /// How long after an attempt at an address the next one is due, when there is no evidence of life.
    fn pause(&self, slot: &Slot) -> Duration {
        if self.may_last(slot) { slot.period.max(SLOW_TIMEOUT) } else { slot.period }
    }

    /// Whether the system may repeat the SYN for a while, which costs much less than further attempts. Not
    /// where somebody else waits for the place, nor where all attempts would be taken up by few.
    fn may_last(&self, slot: &Slot) -> bool {
        let alone = self.places.get(&slot.place()).is_none_or(|slots| *slots == 1);
        let addresses = self.slots.len() - self.names_looked_up;
        slot.period >= SLOW && alone && addresses <= self.limits.under_way / 4 * 3
    }

    /// There is evidence of life of the device of this name: all its addresses are due now, and often for the
    /// next seconds.
    pub fn evidence(&mut self, now: Duration, name: &str) {
        let Some(updates) = self.names.get(&name.to_ascii_lowercase()).cloned() else { return };
        for update in updates {
            if self.is_resting(now, update) {
                continue;
            }
            let ramp = Ramp::evidence(self.ramps.get(&update).copied(), now);
            self.ramps.insert(update, ramp);
            for id in self.of_update.get(&update).cloned().unwrap_or_default() {
                let Some(slot) = self.slots.get(&id) else { continue };
                // The last attempt has just been made: its packets are still on their way.
                let fresh = match slot.spot.address {
                    TargetAddress::Ip(_) => ramp.step(now),
                    TargetAddress::Name(_) => LOOKUP_FRESH,
                };
                let earliest = slot.last.map_or(now, |last| last.saturating_add(fresh).max(now));
                self.set_due(id, slot.due.min(earliest), true);
            }
        }
    }

    /// Puts a slot into the queue that it belongs to, unless it waits for its place.
    fn set_due(&mut self, id: SlotId, due: Duration, urgent: bool) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let was_due = core::mem::replace(&mut slot.due, due);
        slot.urgent |= urgent;
        if self.dequeue(was_due, id) {
            self.enqueue(id);
        }
    }

    /// Returns whether it was in a queue.
    fn dequeue(&mut self, due: Duration, id: SlotId) -> bool {
        [&mut self.urgent, &mut self.regular, &mut self.lookups]
            .into_iter()
            .any(|lane| lane.remove(due, id))
    }

    fn enqueue(&mut self, id: SlotId) {
        let Some(slot) = self.slots.get(&id) else { return };
        let lane = match slot.spot.address {
            _ if slot.urgent => &mut self.urgent,
            TargetAddress::Ip(_) => &mut self.regular,
            TargetAddress::Name(_) => &mut self.lookups,
        };
        lane.add(slot.due, id);
    }

    /// The attempts that are due, most urgent first. They count as under way from now on.
    pub fn start_due(&mut self, now: Duration) -> Vec<Attempt> {
        self.resting.retain(|_, until| *until > now);
        let mut attempts = Vec::new();
        let lanes: [fn(&mut Self) -> &mut Lane<SlotId>; 3] =
            [|plan| &mut plan.urgent, |plan| &mut plan.regular, |plan| &mut plan.lookups];
        for lane in lanes {
            loop {
                let under_way = self.flights.len();
                let Some(id) = lane(self).take(now, under_way) else { break };
                if let Some(attempt) = self.start(now, id) {
                    lane(self).spend(now);
                    attempts.push(attempt);
                }
            }
        }
        attempts
    }

    /// Starts an attempt of a slot that was taken out of its queue; `None` when it has to wait for its place.
    fn start(&mut self, now: Duration, id: SlotId) -> Option<Attempt> {
        let slot = self.slots.get(&id)?;
        let (pause, lasts) = (self.pause(slot), self.may_last(slot));
        let slot = self.slots.get_mut(&id)?;
        let update = slot.spot.update;
        let vacant = Occupied { by: update, flights: 0, waiting: BTreeSet::new() };
        let place = self.occupied.entry(slot.place()).or_insert(vacant);
        // Whoever is there makes room when somebody else waits.
        if place.flights > 0 && (place.by != update || !place.waiting.is_empty()) {
            place.waiting.insert(id);
            return None;
        }
        place.by = update;
        let is_name = slot.is_name();
        let at_most = if is_name { 1 } else { MAX_FLIGHTS };
        let replaces = slot.flights.first().copied().filter(|_| slot.flights.len() >= at_most);
        if let Some(replaced) = replaces {
            slot.flights.remove(&replaced);
            self.flights.remove(&replaced);
        } else {
            place.flights += 1;
        }
        self.next_id += 1;
        slot.flights.insert(self.next_id);
        self.flights.insert(self.next_id, id);
        let ramp = self.ramps.get(&update).filter(|ramp| ramp.is_hot(now) && !is_name);
        slot.urgent = ramp.is_some();
        let is_first = slot.last.replace(now).is_none();
        let pause = ramp.map_or(pause, |ramp| ramp.step(now).min(slot.period));
        slot.due = now.saturating_add(pause);
        if !is_name && lasts && pause > STEADY {
            // Those that begin together are spread once: so many as a fleet has would exceed the limits together.
            let spread = if is_first { GRID.saturating_mul(id % 8) } else { Duration::ZERO };
            slot.due = grid_before(slot.due.saturating_sub(spread));
        }
        let timeout = match slot.spot.address {
            TargetAddress::Name(_) => LOOKUP_TIMEOUT,
            TargetAddress::Ip(_) if pause <= STEADY => FAST_TIMEOUT,
            TargetAddress::Ip(_) if lasts => slot.due.saturating_sub(now),
            TargetAddress::Ip(_) => MEDIUM_TIMEOUT,
        };
        let attempt = Attempt { id: self.next_id, spot: slot.spot.clone(), timeout, replaces };
        self.enqueue(id);
        Some(attempt)
    }

    /// Whether the update is being left alone: it has a connection already.
    #[must_use]
    pub fn is_resting(&self, now: Duration, update: UpdateId) -> bool {
        self.resting.get(&update).is_some_and(|until| *until > now)
    }

    /// An attempt has ended. Returns the other attempts of the same update that are under way when it was a
    /// success at an address: they are of no use any more. An attempt that has been replaced or is unwanted
    /// changes nothing.
    pub fn ended(&mut self, now: Duration, id: u64, outcome: Outcome) -> Vec<u64> {
        let Some(slot_id) = self.flights.remove(&id) else { return Vec::new() };
        let Some(slot) = self.slots.get_mut(&slot_id) else { return Vec::new() };
        slot.flights.remove(&id);
        let (place, update, is_name) = (slot.place(), slot.spot.update, slot.is_name());
        self.leave(&place, 1);
        match outcome {
            Outcome::Success if is_name => return Vec::new(),
            Outcome::Success => return self.rest(now, update),
            Outcome::Refused => {
                let ramp = Ramp::refused(self.ramps.get(&update).copied(), now);
                self.ramps.insert(update, ramp);
            }
            Outcome::Failure => {}
        }
        // Where there is no way to the device, or nobody listens, an attempt doesn't last until its time is up.
        let Some(slot) = self.slots.get(&slot_id) else { return Vec::new() };
        let hot = self.ramps.get(&update).filter(|ramp| ramp.is_hot(now));
        let (due, urgent) = match (outcome, hot) {
            _ if is_name => return Vec::new(),
            (Outcome::Refused, Some(ramp)) => (now.saturating_add(ramp.step(now)), true),
            // Another attempt goes on.
            _ if !slot.flights.is_empty() => return Vec::new(),
            (Outcome::Refused | Outcome::Failure | Outcome::Success, _) => {
                let rested = self.resting.get(&update).copied().unwrap_or_default();
                let last = slot.last.unwrap_or(now);
                (grid_after(last.saturating_add(slot.period).max(now)).max(rested), false)
            }
        };
        self.set_due(slot_id, slot.due.min(due), urgent);
        Vec::new()
    }

    fn rest(&mut self, now: Duration, update: UpdateId) -> Vec<u64> {
        let ids = self.of_update.get(&update).cloned().unwrap_or_default();
        let periods = ids.iter().filter_map(|id| Some(self.slots.get(id)?.period));
        let rest = periods.fold(REST, |rest, period| rest.max(period.min(LOOKUP_PERIOD)));
        let until = now.saturating_add(rest);
        self.resting.insert(update, until);
        self.ramps.remove(&update);
        let mut useless = Vec::new();
        for id in ids {
            useless.extend(self.take_flights(id));
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.urgent = false;
                let due = if slot.is_name() { slot.due.max(until) } else { until };
                self.set_due(id, due, false);
            }
        }
        useless
    }

    fn take_flights(&mut self, id: SlotId) -> Vec<u64> {
        let Some(slot) = self.slots.get_mut(&id) else { return Vec::new() };
        let flights: Vec<u64> = core::mem::take(&mut slot.flights).into_iter().collect();
        let place = slot.place();
        for flight in &flights {
            self.flights.remove(flight);
        }
        self.leave(&place, flights.len());
        flights
    }

    /// So many attempts at a place have ended; the last one lets the next update in.
    fn leave(&mut self, place: &Place, flights: usize) {
        let Some(occupied) = self.occupied.get_mut(place) else { return };
        occupied.flights = occupied.flights.saturating_sub(flights);
        if occupied.flights == 0
            && let Some(occupied) = self.occupied.remove(place)
        {
            for id in occupied.waiting {
                self.enqueue(id);
            }
        }
    }

    /// When [`Self::start_due`] is worth calling next, as far as time alone decides it. What waits for another
    /// attempt to end becomes possible with [`Self::ended`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let under_way = self.flights.len();
        let lanes = [&self.urgent, &self.regular, &self.lookups];
        lanes.into_iter().filter_map(|lane| lane.next_at(under_way)).min()
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
