//! Evidence of life: who is waited for, and the way from whoever hears something to whoever knocks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use wakeflash_core::device::MacAddress;
use wakeflash_core::knock::{Target, TargetAddress};

/// Addresses of one device that may come with evidence before somebody takes it.
const MAX_ADDRESSES: usize = 8;

/// Tells the watch that there is evidence of life of a device, so that it is knocked at now.
#[derive(Clone, Debug, Default)]
pub struct Nudger {
    names: Arc<Mutex<BTreeMap<String, BTreeSet<IpAddr>>>>,
    notify: Arc<Notify>,
}

impl Nudger {
    /// There is evidence of life of the device of this name. Never waits; names that nobody waits for are
    /// ignored, and many nudges before the watch gets to them count as one.
    pub fn nudge(&self, name: &str) {
        self.nudge_at(name, &[]);
    }

    /// The same, and the evidence says that the device is at these addresses.
    pub fn nudge_at(&self, name: &str, addresses: &[IpAddr]) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.entry(name.to_ascii_lowercase()).or_default();
        for address in addresses {
            if known.len() < MAX_ADDRESSES {
                known.insert(*address);
            }
        }
        drop(names);
        self.notify.notify_one();
    }

    /// Waits for nudges and takes them. Nothing is lost when the future is dropped.
    pub(super) async fn take(&self) -> BTreeMap<String, BTreeSet<IpAddr>> {
        loop {
            // A map of names can't be left half-changed.
            let names =
                std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner));
            if !names.is_empty() {
                return names;
            }
            self.notify.notified().await;
        }
    }
}

/// What is worth hearing: the devices that are waited for, by what they may be recognised by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    names: BTreeSet<String>,
    by_address: BTreeMap<IpAddr, BTreeSet<String>>,
    by_link_address: BTreeMap<MacAddress, BTreeSet<String>>,
}

impl Interest {
    pub(super) fn of(targets: &[Target]) -> Self {
        let mut interest = Self::default();
        for target in targets {
            interest.names.extend(target.names());
            let name = target.name.to_ascii_lowercase();
            for address in &target.addresses {
                if let TargetAddress::Ip(ip) = address {
                    interest.by_address.entry(*ip).or_default().insert(name.clone());
                }
            }
            for link in &target.link_addresses {
                interest.by_link_address.entry(*link).or_default().insert(name.clone());
            }
        }
        interest
    }

    pub(super) fn waits_for(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The devices that were last known at this address.
    pub(super) fn at(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        self.by_address.get(&address).into_iter().flatten().map(String::as_str)
    }

    /// The devices with this link-layer address.
    pub(super) fn with_link(&self, link: MacAddress) -> impl Iterator<Item = &str> {
        self.by_link_address.get(&link).into_iter().flatten().map(String::as_str)
    }
}
