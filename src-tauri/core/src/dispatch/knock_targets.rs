//! Whom to try to reach, and where.

use core::net::IpAddr;
use core::time::Duration;

use crate::address;
use crate::device::{DeviceMemory, InstalledBuild};
use crate::knock::{Purpose, Target, TargetAddress};
use crate::retry::pause_is_over;
use crate::time::Timestamp;
use crate::update::{Build, Delivery, Update, UpdateState};

use super::Dispatch;

/// How often a device that is waited for is tried to reach when nothing tells when it wakes.
pub const KNOCK_PERIOD: Duration = Duration::from_secs(2);

impl Dispatch {
    /// The devices that should be tried now, and for what.
    #[must_use]
    pub fn targets(&self, now: Timestamp) -> Vec<Target> {
        self.updates.values().filter_map(|update| self.target(update, now)).collect()
    }

    pub(super) fn purpose_of_knocking<'a>(
        &self,
        update: &'a Update,
        now: Timestamp,
    ) -> Option<(&'a Delivery, Purpose)> {
        if let UpdateState::Confirming { delivery, .. } = &update.state {
            return Some((delivery, Purpose::Confirm));
        }
        let UpdateState::Waiting { delivery, retry_at } = &update.state else { return None };
        let wanted =
            pause_is_over(*retry_at, now) && self.may_hold(update) && !self.is_resting(update, now);
        wanted.then_some((delivery, Purpose::Capture))
    }

    fn target(&self, update: &Update, now: Timestamp) -> Option<Target> {
        let (delivery, purpose) = self.purpose_of_knocking(update, now)?;
        let build = &delivery.build;
        let memory = self.memory(&update.name);
        let entered = memory.and_then(|memory| memory.user_address.as_deref());
        let mut addresses: Vec<TargetAddress> = entered.map(address::target).into_iter().collect();
        let renamed = (build.name != update.name).then_some(build.name.as_str());
        let by_new_name = renamed.and_then(|name| self.memory(name));
        let memories = || memory.into_iter().chain(by_new_name);
        let proven = memories().flat_map(|memory| memory.identity.addresses());
        for address in proven.copied().map(TargetAddress::Ip) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let configured = match build.address.as_deref() {
            Some(address) => Some(read(address)),
            None => build.mdns.then(|| TargetAddress::Name(format!("{}.local", update.name))),
        };
        addresses.extend(configured.filter(|address| !addresses.contains(address)));
        // What runs on the device may be found elsewhere than what is to run on it.
        let installed = memory.and_then(|memory| memory.installed_sources.as_ref());
        let former =
            [installed.and_then(|build| build.address.as_ref()), build.before.address.as_ref()];
        for address in former.into_iter().flatten().map(|written| read(written)) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        // The address that ESPHome derives from the name is that of the new one.
        let local = TargetAddress::Name(format!("{}.local", update.name));
        if (renamed.is_some() || build.mac_suffix) && !addresses.contains(&local) {
            addresses.push(local);
        }
        let avoid: Vec<IpAddr> = delivery
            .avoided
            .iter()
            .map(|avoided| avoided.address)
            .filter(|address| delivery.avoids(*address, now))
            .collect();
        addresses.retain(|address| !matches!(address, TargetAddress::Ip(ip) if avoid.contains(ip)));
        let claimed = memories().flat_map(|memory| memory.claims.addresses.iter().copied());
        let claimed = claimed.filter(|ip| {
            let known = addresses.contains(&TargetAddress::Ip(*ip));
            !known && !avoid.contains(ip) && self.is_on_link(*ip)
        });
        Some(Target {
            update: update.id,
            name: update.name.clone(),
            other_name: renamed.map(str::to_owned),
            link_addresses: memory.into_iter().flat_map(DeviceMemory::link_addresses).collect(),
            claimed: claimed.collect(),
            recognised: self.is_proven(&update.name),
            addresses,
            avoid,
            ports: ports(build, installed),
            purpose,
            period: match purpose {
                Purpose::Capture => self.pace(&update.name, now).0,
                Purpose::Confirm => KNOCK_PERIOD,
            },
        })
    }
}

pub(super) fn read(written: &str) -> TargetAddress {
    written.parse().map_or_else(|_| TargetAddress::Name(written.to_owned()), TargetAddress::Ip)
}

/// The ports on which a device may take updates: those of the build, of what was installed, and of the compile before.
pub(super) fn ports(build: &Build, installed: Option<&InstalledBuild>) -> Vec<u16> {
    let mut ports = vec![build.ota.port];
    for port in [installed.and_then(|build| build.port), build.before.port].into_iter().flatten() {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}
