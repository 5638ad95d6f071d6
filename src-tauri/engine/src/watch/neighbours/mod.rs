//! The neighbour table of the operating system: which link-layer address an IP address has right now.
//!
//! Linux only. On other systems nothing is known; the gate then needs another proof, and a device that comes
//! back with another address is found by its name alone.

#[cfg(target_os = "linux")]
mod netlink;
mod table;

use std::net::IpAddr;

use wakeflash_core::device::MacAddress;

pub(super) use table::{Neighbours, run};

/// One line of the table; without a link-layer address, nobody has answered there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    address: IpAddr,
    link: Option<MacAddress>,
}

/// The link-layer address that the system has for `address`, when it is on the same link and has answered.
#[must_use]
pub fn link_address(address: IpAddr) -> Option<MacAddress> {
    entries().into_iter().find(|entry| entry.address == address && entry.link.is_some())?.link
}

/// The whole table, now.
#[cfg(target_os = "linux")]
fn entries() -> Vec<Entry> {
    netlink::dump().unwrap_or_else(|error| {
        tracing::debug!(%error, "the neighbour table can't be read");
        Vec::new()
    })
}

#[cfg(not(target_os = "linux"))]
fn entries() -> Vec<Entry> {
    Vec::new()
}
