//! By what a device can be recognised beside what it says, and whose words count for an update.

use core::net::IpAddr;

use crate::device::{ConfigFile, DeviceId, MacAddress, Sighting};
use crate::update::Update;

use super::Dispatch;

impl Dispatch {
    /// The address that a device's configuration names, when no other configuration names the same one.
    #[must_use]
    pub fn own_address(&self, device: &DeviceId) -> Option<IpAddr> {
        let address_of = |file: &ConfigFile| {
            file.content
                .as_ref()
                .ok()
                .and_then(|summary| summary.address.clone()?.parse::<IpAddr>().ok())
        };
        let own = address_of(self.configs.get(device)?)?;
        let owners = self.configs.values().filter(|file| address_of(file) == Some(own)).count();
        (owners == 1).then_some(own)
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
