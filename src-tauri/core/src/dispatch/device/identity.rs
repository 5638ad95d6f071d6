//! Which board is the device of a name, and what proves it.

use core::net::IpAddr;

use crate::configuration::AddressClaim;
use crate::configuration::NO_DEVICE;
use crate::device::{DeviceId, DeviceMemory, MacAddress, Sighting};
use crate::dispatch::{Dispatch, Effect};
use crate::error::Problem;
use crate::gate::LiteralAddress;
use crate::identity::{Claims, Identity, Rival, Worth};
use crate::time::Timestamp;
use crate::update::{Build, Update, UpdateId, UpdateState};
use crate::view::Trust;

use super::names::configured_name;

impl Dispatch {
    /// Whether the device of this name was ever proven.
    pub(in crate::dispatch) fn is_proven(&self, name: &str) -> bool {
        self.identity_of(name).is_some_and(|(identity, _)| identity.is_proven())
    }

    /// What is pinned and claimed of the device of this name. One that gets another name has one identity under both.
    pub(super) fn identity_of(&self, name: &str) -> Option<(&Identity, &Claims)> {
        let of = |name: &str| {
            let memory = self.memory(name)?;
            Some((&memory.identity, &memory.claims))
        };
        let own = of(name);
        if own.is_some_and(|(identity, _)| identity.is_proven()) {
            return own;
        }
        let of_update = self.updates.values().rev().filter(|update| update.is_for(name));
        let of_update = of_update.filter(|update| update.state.is_undecided()).find_map(|update| {
            let build = update.state.delivery().map(|delivery| delivery.build.name.as_str());
            [Some(update.name.as_str()), build].into_iter().flatten().find(|other| *other != name)
        });
        let of_file = || {
            let renamed = self.former_names.iter().find(|(file, _)| {
                let content = self.configs.get(file).map(|file| &file.content);
                content.is_some_and(|content| {
                    content.as_ref().is_ok_and(|summary| summary.name == name)
                })
            });
            renamed.map(|(_, former)| former.as_str())
        };
        let former = of_update.or_else(of_file).and_then(of);
        former.filter(|(identity, _)| identity.is_proven()).or(own)
    }

    pub(super) fn weigh(&self, sighting: &Sighting, now: Timestamp) -> Worth {
        match self.identity_of(&sighting.name) {
            Some((identity, claims)) => identity.weigh(claims, sighting, now),
            None => Identity::default().weigh(&Claims::default(), sighting, now),
        }
    }

    /// Whether the device of this name is known to be who it says.
    pub(in crate::dispatch) fn trust(&self, name: &str) -> Trust {
        match self.memory(name) {
            Some(memory) if memory.identity.is_proven() => Trust::Proven,
            Some(memory) if memory.last_seen.is_some() => Trust::Claimed,
            Some(_) | None => Trust::Unknown,
        }
    }

    /// What it proves that a device answers at this address: that it is the one of an update, when what runs on it is
    /// known to name this address, or, where that isn't known, its build does, and no other configuration nor what
    /// runs on another device names it. One of which nobody can tell could name it.
    #[must_use]
    pub fn literal_address(&self, update: &Update, build: &Build, peer: IpAddr) -> LiteralAddress {
        if !self.knows_the_files_of(update) {
            // Nor which addresses the others name.
            return LiteralAddress::None;
        }
        let is_peer = |address: &str| address.parse::<IpAddr>() == Ok(peer);
        let memory = self.memory_of(update);
        let named = match memory.and_then(DeviceMemory::installed) {
            Some(installed) => installed.address.as_deref(),
            None => build.address.as_deref(),
        };
        if !named.is_some_and(is_peer) {
            return LiteralAddress::None;
        }
        let address = peer;
        // What isn't the board that is meant was heard there: the address alone proves nothing.
        let rival = self.memory(&update.name).and_then(|memory| memory.rival_board());
        if rival.is_some_and(|rival| rival.address == Some(address)) {
            return LiteralAddress::None;
        }
        let mut unknown = None;
        for other in self.configs.values().filter(|other| other.id != update.device) {
            let claim = other.content.as_ref().map_or(&AddressClaim::Unknown, |said| &said.claim);
            let no_device = other.content.as_ref().is_err_and(|problem| problem.code == NO_DEVICE);
            let file = || other.id.as_str().to_owned();
            match claim {
                _ if no_device => {}
                AddressClaim::Names(Some(named)) if is_peer(named) => {
                    return LiteralAddress::Shared { address, with: file() };
                }
                AddressClaim::Names(_) | AddressClaim::NoDevice => {}
                AddressClaim::Unknown => unknown = unknown.or_else(|| Some(file())),
            }
        }
        let runs_there = self.devices.iter().find(|(name, heard)| {
            let installed = heard.memory.installed().and_then(|build| build.address.as_deref());
            !update.is_for(name) && installed.is_some_and(is_peer)
        });
        if let Some((name, _)) = runs_there {
            return LiteralAddress::Shared { address, with: name.clone() };
        }
        match unknown {
            Some(with) => LiteralAddress::Uncertain { address, with },
            None => LiteralAddress::Own(address),
        }
    }

    /// The link-layer address by which the neighbour table shows the device of an update; `None`: none does. It
    /// is that of the board that is meant, and of no other device: a repeater puts its own for all behind it.
    #[must_use]
    pub fn own_link_address(&self, update: &Update) -> Option<MacAddress> {
        let memory = self.memory(&update.name)?;
        let link = memory.link_addresses().next()?;
        let mac = memory.mac();
        let meant = update.mac.is_none() || mac == update.mac;
        // It may be behind the same repeater, whatever was heard of it last. Hardware of its own no other board has.
        let of_rival = memory.rival_board().is_some() && mac != Some(link);
        let shared = self.devices.iter().any(|(name, other)| {
            // A device that was renamed is known under both names.
            let same_board = mac.is_some() && other.memory.mac() == mac;
            other.memory.link_addresses().any(|own| own == link)
                && !update.is_for(name)
                && !same_board
        });
        (meant && !shared && !of_rival).then_some(link)
    }

    /// The user says that the board which claims a device's name is the device.
    pub(in crate::dispatch) fn accept_board(
        &mut self,
        device: &DeviceId,
        (mac, link_address): (Option<MacAddress>, Option<MacAddress>),
        now: Timestamp,
    ) -> Result<(), Problem> {
        let name = self.known_name(device).ok_or_else(|| self.no_configuration(device))?;
        let configured = self.configs.get(device).and_then(configured_name).map(str::to_owned);
        let claimed = [Some(name), configured].into_iter().flatten().find_map(|name| {
            let rival = self.memory(&name)?.rival.clone()?;
            Some((name, rival))
        });
        let Some((name, rival)) = claimed else {
            return Err(Problem::new(
                "device.no_rival",
                format!("No other board says that it is {device}."),
            ));
        };
        if (rival.mac, rival.link_address) != (mac, link_address) {
            return Err(Problem::new(
                "device.another_rival",
                format!("By now yet another board says that it is {device}."),
            )
            .with_help("Compare its addresses, and accept it if it is yours."));
        }
        let hash = rival.build.as_ref().and_then(|build| build.config_hash);
        let memory = self.change_memory(&name);
        memory.identity.accept(&rival, now);
        memory.claims = Claims { mac: rival.mac, ..Claims::default() };
        memory.rival = None;
        if let Some(hash) = hash {
            memory.note_hash(hash);
        }
        for id in self.active_ids() {
            if self.updates.get(&id).is_some_and(|update| update.is_for(&name)) {
                self.deliver_to(id, &rival, now);
            }
        }
        self.decision.effects.push(Effect::Nudge(name));
        Ok(())
    }

    /// An update that hasn't reached its device yet is for this board now.
    fn deliver_to(&mut self, id: UpdateId, rival: &Rival, now: Timestamp) {
        let Some(update) = self.change(id) else { return };
        if !update.state.kind().is_before_its_flash() {
            // The image went to the board that was known before, and its word is awaited.
            return;
        }
        if let UpdateState::Waiting { delivery, .. } | UpdateState::Held { delivery, .. } =
            &mut update.state
        {
            delivery.avoided.clear();
        }
        update.mac = rival.mac.or(update.mac);
        let hash = rival.build.as_ref().and_then(|build| build.config_hash);
        update.known_hashes.extend(hash.filter(|hash| !update.known_hashes.contains(hash)));
        update.note(now, "You have accepted the board that claims this name.");
    }
}

/// Whether another board than the one that the update is for says this, under the same name. It decides
/// nothing about the update, as it doesn't get the image.
pub(in crate::dispatch) fn is_another_board(update: &Update, sighting: &Sighting) -> bool {
    update.mac.zip(sighting.mac).is_some_and(|(meant, said)| meant != said)
}
