//! By what a device can be recognised beside what it says, and whose words count for an update.

use core::net::IpAddr;

use crate::device::{AddressClaim, MacAddress, Sighting};
use crate::gate::LiteralAddress;
use crate::update::{Build, Update};

use super::Dispatch;

impl Dispatch {
    /// What the address that the build of an update names proves. Another configuration of which nobody can tell
    /// which address it names could name the same.
    #[must_use]
    pub fn literal_address(&self, update: &Update, build: &Build) -> LiteralAddress {
        if !self.is_here(update) {
            // Which addresses the other files of its directory name isn't known.
            return LiteralAddress::None;
        }
        let literal = |address: &str| address.parse::<IpAddr>().ok();
        let Some(own) = build.address.as_deref().and_then(literal) else {
            return LiteralAddress::None;
        };
        let mut unknown = None;
        for other in self.configs.values().filter(|other| other.id != update.device) {
            let claim = other.content.as_ref().map_or(&AddressClaim::Unknown, |said| &said.claim);
            let file = || other.id.as_str().to_owned();
            match claim {
                AddressClaim::Names(Some(address)) if literal(address) == Some(own) => {
                    return LiteralAddress::Shared { address: own, with: file() };
                }
                AddressClaim::Names(_) | AddressClaim::NoDevice => {}
                AddressClaim::Unknown => unknown = unknown.or_else(|| Some(file())),
            }
        }
        match unknown {
            Some(with) => LiteralAddress::Uncertain { address: own, with },
            None => LiteralAddress::Own(own),
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
