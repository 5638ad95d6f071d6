//! The network: who is at which address, packets, and connections to OTA ports.

use core::net::IpAddr;
use std::collections::BTreeMap;

use wakeflash_core::device::{MacAddress, Sighting, SightingKind, Source};
use wakeflash_core::knock::{Purpose, Target, TargetAddress};
use wakeflash_core::update::UpdateId;

use super::{Ev, Packet, Step, World};
use crate::house::Event;
use crate::plan::{MINUTE, Ms, SECOND, Voice};

/// How long what was heard counts for the gate.
pub(super) const LATELY: Ms = 10 * SECOND;

/// The resolver's cache finds out that an address is out of date.
const ADDRESS_LIVES: Ms = 125 * SECOND;

/// How long a connection is tried.
const UNREACHABLE_AFTER: Ms = 2 * SECOND;

/// How long the resolver may tell of what it heard.
const CACHE_LIVES: Ms = 75 * MINUTE;

/// The state of the network.
#[derive(Debug)]
pub(super) struct Lan {
    /// Who has an address now.
    pub(super) holders: BTreeMap<IpAddr, usize>,
    /// What each address said lately.
    pub(super) lately: BTreeMap<IpAddr, Vec<(Ms, Sighting)>>,
    loss: u64,
    pub(super) lossy_until: Ms,
    pub(super) slow_until: Ms,
    pub(super) echoes_until: Ms,
    pub(super) down_until: Ms,
}

impl Lan {
    pub(super) fn new(loss: u64) -> Self {
        Self {
            holders: BTreeMap::new(),
            lately: BTreeMap::new(),
            loss,
            lossy_until: 0,
            slow_until: 0,
            echoes_until: 0,
            down_until: 0,
        }
    }

    fn loss(&self, now: Ms) -> u64 {
        if self.lossy_until > now { 600 } else { self.loss }
    }
}

/// A link-layer address that something on the way puts in the place of others.
const REPEATER: MacAddress = MacAddress([0x02, 0xEE, 0, 0, 0, 1]);

impl World<'_> {
    /// Puts a packet on the air.
    pub(super) fn send(&mut self, packet: Packet) {
        let loss = self.lan.loss(self.now);
        if self.rng.chance(loss) {
            self.cover.struck("a packet is lost");
            return;
        }
        let mut delay = self.rng.between(1, 5);
        if self.lan.slow_until > self.now {
            self.cover.struck("a packet is delayed");
            delay += self.rng.below(1_500);
        }
        if self.lan.echoes_until > self.now && self.rng.chance(500) {
            self.cover.struck("a packet is repeated");
            let later = delay + self.rng.below(1_500);
            self.after(later, Ev::Packet(Box::new(packet.clone())));
        }
        if is_packet(&packet.sighting) && self.rng.chance(300) {
            // The resolver says it, too; and again when its cache changes, whatever became of the device meanwhile.
            let sighting = Sighting { source: Source::Browse, ..packet.sighting.clone() };
            if sighting.version.is_some() {
                let late = if self.rng.chance(200) { self.rng.below(CACHE_LIVES) } else { 20 };
                let echo = Packet { sighting, ..packet.clone() };
                self.after(delay + late, Ev::Packet(Box::new(echo)));
            }
        }
        self.after(delay, Ev::Packet(Box::new(packet)));
    }

    /// A packet reaches this computer.
    pub(super) fn arrives(&mut self, packet: Packet) -> Step {
        if !self.is_online() {
            return Ok(());
        }
        let Packet { sender, mut sighting, by } = packet;
        if is_packet(&sighting) {
            // The neighbour table needn't have it yet.
            let known = self.rng.chance(900);
            sighting.link_address = by.and_then(|_| self.link_of(sender)).filter(|_| known);
            self.note_lately(sender, &sighting);
        }
        if by.is_some() && sighting.kind == SightingKind::Alive && is_packet(&sighting) {
            self.sessions_hear(sender, &sighting)?;
        }
        if sighting.kind == SightingKind::Alive && is_packet(&sighting) {
            self.knock_for(&sighting, sender);
        }
        self.say(Event::Heard(sighting))
    }

    fn note_lately(&mut self, sender: IpAddr, sighting: &Sighting) {
        let now = self.now;
        let heard = self.lan.lately.entry(sender).or_default();
        heard.retain(|(at, _)| at + LATELY > now);
        if sighting.kind == SightingKind::Gone {
            heard.retain(|(_, heard)| heard.name != sighting.name);
        } else if heard.len() < 32 {
            heard.push((now, sighting.clone()));
        }
    }

    /// What the neighbour table has for an address.
    pub(super) fn link_of(&self, address: IpAddr) -> Option<MacAddress> {
        let device = *self.lan.holders.get(&address)?;
        self.devices[device].is_on.then(|| self.link_when_on(device))
    }

    /// And when it is on.
    pub(super) fn link_when_on(&self, device: usize) -> MacAddress {
        let device = &self.devices[device];
        if device.plan.repeater { REPEATER } else { device.mac }
    }

    /// Evidence of life: a target is knocked at before anything is decided.
    fn knock_for(&mut self, sighting: &Sighting, sender: IpAddr) {
        let named = |target: &&Target| {
            target.names().any(|name| name == sighting.name)
                || target.addresses.contains(&TargetAddress::Ip(sender))
        };
        let ids: Vec<UpdateId> = self.targets.iter().filter(named).map(|t| t.update).collect();
        for update in ids {
            self.knock_soon(update, 50);
        }
    }

    pub(super) fn knock_soon(&mut self, update: UpdateId, pause: Ms) {
        let at = self.now + pause;
        if self.knocking.get(&update).is_none_or(|planned| *planned > at) {
            self.knocking.insert(update, at);
            let life = self.life;
            self.at(at, Ev::Knock { life, update });
        }
    }

    /// Somebody's port is open: who knocks there will find out within a period.
    pub(super) fn knock_where(&mut self, device: usize) {
        if !self.devices[device].listens {
            return;
        }
        let near: Vec<(UpdateId, Ms)> = self
            .targets
            .iter()
            .filter(|target| self.finds(target).is_some_and(|(_, found)| found == device))
            .map(|target| (target.update, ms(target.period)))
            .collect();
        for (update, period) in near {
            let pause = self.rng.between(10, period.max(20));
            self.knock_soon(update, pause);
        }
    }

    /// Where a knock for a target finds an open port. Where the device is merely said to be, its own hardware has to be
    /// there.
    fn finds(&self, target: &Target) -> Option<(IpAddr, usize)> {
        let own = |ip: IpAddr| {
            let link = self.link_of(ip);
            !target.recognised || link.is_some_and(|link| target.link_addresses.contains(&link))
        };
        let given = target.addresses.iter().filter_map(|address| match address {
            TargetAddress::Ip(ip) => Some(*ip),
            TargetAddress::Name(name) => self.resolves(name).filter(|ip| own(*ip)),
        });
        let claimed = target.claimed.iter().copied().filter(|ip| own(*ip));
        given.chain(claimed).find_map(|ip| {
            let device = *self.lan.holders.get(&ip)?;
            let open = self.devices[device].listens && !target.avoid.contains(&ip);
            open.then_some((ip, device))
        })
    }

    /// Addresses are asked who they are.
    pub(super) fn ask_who(&mut self, name: &str, addresses: &[IpAddr]) {
        let life = self.life;
        for ip in addresses {
            let Some(device) = self.lan.holders.get(ip).copied() else { continue };
            let it = &self.devices[device];
            let rtt = it.plan.rtt;
            let record = it.record().filter(|record| it.is_on && record.name == name);
            let lost = !self.is_online() || self.rng.chance(self.lan.loss(self.now));
            let Some(record) = record.filter(|_| !lost) else { continue };
            let link_address = self.link_of(*ip);
            let sighting = Sighting { source: Source::Answer(*ip), link_address, ..record };
            let event = Box::new(Event::Heard(sighting));
            self.after(rtt, Ev::Host { life, event });
        }
    }

    /// Whether a device that takes connections has an open API as well.
    pub(super) fn look_at_api(&mut self, name: String, peer: IpAddr) {
        let lost = !self.is_online() || self.rng.chance(self.lan.loss(self.now));
        let it = self.lan.holders.get(&peer).map(|device| &self.devices[*device]);
        let it = it.filter(|it| it.listens && !lost);
        let after = it.map_or(UNREACHABLE_AFTER, |it| it.plan.rtt);
        let refused = it.map(|it| it.safe_mode);
        let life = self.life;
        let event = Box::new(Event::LookedAtApi { name, peer, refused });
        self.after(after, Ev::Host { life, event });
    }

    fn resolves(&self, name: &str) -> Option<IpAddr> {
        let bare = name.strip_suffix(".local")?;
        let device = self.devices.iter().find(|device| {
            let own = device.voice() != Voice::None && device.firmware.name == bare;
            let posed = device.pose.as_ref().is_some_and(|pose| pose.name == bare);
            device.listens && (own || posed)
        })?;
        Some(device.address)
    }

    pub(super) fn take_targets(&mut self, targets: Vec<Target>) {
        self.targets = targets;
        let all: Vec<(UpdateId, Ms)> =
            self.targets.iter().map(|target| (target.update, ms(target.period))).collect();
        for (update, period) in all {
            let target = self.targets.iter().find(|target| target.update == update);
            let found = target.and_then(|target| self.finds(target));
            match found {
                Some(_) => {
                    let pause = self.rng.between(10, period.max(20));
                    self.knock_soon(update, pause);
                }
                None => self.knock_soon(update, 4 * SECOND),
            }
        }
    }

    /// A connection is tried.
    pub(super) fn knock(&mut self, life: u32, update: UpdateId) -> Step {
        if life != self.life || self.knocking.get(&update) != Some(&self.now) {
            return Ok(());
        }
        self.knocking.remove(&update);
        if !self.is_online() {
            return Ok(());
        }
        let Some(target) = self.targets.iter().find(|target| target.update == update).cloned()
        else {
            return Ok(());
        };
        let Some((ip, device)) = self.finds(&target) else {
            return self.say(Event::Unreachable { update });
        };
        let loss = self.lan.loss(self.now);
        if self.rng.chance(loss) {
            self.knock_soon(update, SECOND);
            return Ok(());
        }
        match target.purpose {
            Purpose::Capture => {
                self.connected.insert(update, ip);
                self.knock_soon(update, ms(target.period));
                self.say(Event::Connected { update, peer: ip })
            }
            Purpose::Confirm => {
                self.knock_soon(update, 2 * SECOND);
                self.asks_for_word(update, ip, device)
            }
        }
    }

    /// Whoever accepts connections again is asked who it is.
    fn asks_for_word(&mut self, update: UpdateId, peer: IpAddr, device: usize) -> Step {
        let life = self.life;
        let record =
            self.devices[device].record().filter(|_| self.devices[device].voice() == Voice::Full);
        let lost = self.rng.chance(self.lan.loss(self.now));
        let rtt = self.devices[device].plan.rtt;
        let it = &self.devices[device];
        if it.session.is_none() && it.other_client_until <= self.now {
            self.cover.row("Confirming: greets");
            let event = Box::new(Event::ServesAgain { update, peer });
            self.after(rtt, Ev::Host { life, event });
        }
        match record {
            Some(record) if !lost => {
                let sighting = Sighting {
                    source: Source::Answer(peer),
                    link_address: self.link_of(peer),
                    ..record
                };
                let event = Box::new(Event::Heard(sighting));
                self.after(rtt, Ev::Host { life, event });
            }
            Some(_) | None => {
                let event = Box::new(Event::Returned { update, peer });
                self.after(2 * SECOND, Ev::Host { life, event });
            }
        }
        Ok(())
    }

    /// A device went: without a goodbye the cache finds out late.
    pub(super) fn device_is_away(&mut self, device: usize, quiet: bool) {
        let name = self.devices[device].firmware.name.clone();
        let waits = self.targets.iter().find(|target| target.names().any(|own| own == name));
        if let Some(update) = waits.map(|target| target.update) {
            self.knock_soon(update, 4 * SECOND);
        }
        if quiet && self.devices[device].voice() == Voice::Full {
            self.after(ADDRESS_LIVES, Ev::Over(super::faults::Over::Cached { device }));
        }
    }

    /// The record of a device has run out of the cache: it was asked, and didn't answer.
    pub(super) fn runs_out(&mut self, device: usize) -> Step {
        let it = &self.devices[device];
        if it.listens || it.said.is_none() || !self.is_online() {
            return Ok(());
        }
        let name = it.firmware.name.clone();
        self.say(Event::Silent { name })
    }
}

const fn is_packet(sighting: &Sighting) -> bool {
    matches!(sighting.source, Source::Packet(_))
}

pub(super) fn ms(duration: core::time::Duration) -> Ms {
    Ms::try_from(duration.as_millis()).unwrap_or(Ms::MAX)
}
