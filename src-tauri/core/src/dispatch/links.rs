//! The networks that this computer is in, and where a packet may be sent.

use core::net::IpAddr;

use crate::network::Prefix;

use super::Dispatch;

impl Dispatch {
    /// The networks that this computer is in.
    pub(super) fn take_links(&mut self, links: Vec<Prefix>) {
        self.links = links;
        // What is knocked at, and what the user is told about it, depends on it.
        self.decision.touched.extend(self.updates.values().map(|update| update.device.clone()));
    }

    /// Whether an address is in one of this computer's own networks.
    pub(super) fn is_on_link(&self, address: IpAddr) -> bool {
        self.links.iter().any(|link| link.contains(address))
    }

    /// Whether a packet may be sent to an address on behalf of a device: it is in one of this computer's own networks,
    /// or the device was proven there, or its configuration or the user says that it is there. A packet that says so
    /// would else make this computer connect to any host of the world.
    #[must_use]
    pub fn may_reach(&self, name: &str, address: IpAddr) -> bool {
        let given = |text: &Option<String>| {
            text.as_ref().and_then(|text| text.parse().ok()) == Some(address)
        };
        let of_files = || {
            let mut files = self.configs.values().filter(|file| self.name_of(file) == name);
            files.any(|file| file.content.as_ref().is_ok_and(|summary| given(&summary.address)))
        };
        let of_builds = || {
            let mut updates = self.updates.values().filter(|update| update.is_for(name));
            updates.any(|update| {
                update.state.delivery().is_some_and(|delivery| given(&delivery.build.address))
            })
        };
        let of_memory = || {
            self.memory(name)
                .is_some_and(|memory| memory.identity.is_at(address) || given(&memory.user_address))
        };
        self.is_on_link(address) || of_memory() || of_files() || of_builds()
    }
}
