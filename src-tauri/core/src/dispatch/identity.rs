//! By what a device can be recognised beside what it says, and whose words count for an update.

use core::net::IpAddr;

use crate::device::{AddressClaim, DeviceMemory, MacAddress, Sighting};
use crate::gate::LiteralAddress;
use crate::update::{Build, Update};
use crate::word::NO_DEVICE;

use super::Dispatch;

impl Dispatch {
    /// What it proves that a device answers at this address: that it is the one of an update, when what runs on it is
    /// known to name this address, or, where that isn't known, its build does, and no other configuration nor what
    /// runs on another device names it. One of which nobody can tell could name it.
    #[must_use]
    pub fn literal_address(&self, update: &Update, build: &Build, peer: IpAddr) -> LiteralAddress {
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
        let runs_there = self.heard.iter().find(|(name, heard)| {
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
        let link = memory.link_address?;
        let meant = update.mac.is_none() || memory.mac == update.mac;
        let shared = self.heard.iter().any(|(name, other)| {
            // A device that was renamed is known under both names.
            let same_board = memory.mac.is_some() && other.memory.mac == memory.mac;
            other.memory.link_address == Some(link) && !update.is_for(name) && !same_board
        });
        (meant && !shared).then_some(link)
    }
}

/// Whether another board than the one that the update is for says this, under the same name. It decides
/// nothing about the update, as it doesn't get the image.
pub(super) fn is_another_board(update: &Update, sighting: &Sighting) -> bool {
    update.mac.zip(sighting.mac).is_some_and(|(meant, said)| meant != said)
}
