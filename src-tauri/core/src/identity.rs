//! Who a device is. What is *pinned* of it changes by a [`Proof`] only; what anybody says about it are [`Claims`].
//!
//! A packet can be forged by every host of the network, and whoever repeats an old one need not even mean harm. So
//! a packet may lead to a knock or a question, and never changes what is pinned, nor moves an image, nor decides
//! about an update. What proves something is an answer of the address itself that nothing pinned contradicts, a
//! session that passed the [gate](crate::gate), and the user's word.
//!
//! A device that was never proven is trusted on first use: the first MAC address that is claimed for its name, and the
//! network hardware that it came with, bind those that come later, and the first proof pins it.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::device::{ConfigHash, MacAddress, Sighting, SightingKind, Source};
use crate::time::Timestamp;
use crate::update::BuildStamp;

/// How many proven addresses are kept.
const ADDRESSES_KEPT: usize = 4;

/// How many link-layer addresses of a device are kept: its own, and those of the repeaters that it is behind at times.
const LINKS_KEPT: usize = 4;

/// How many addresses are kept that were merely claimed.
const CLAIMED_ADDRESSES_KEPT: usize = 4;

/// How many hashes are kept that were merely claimed.
const CLAIMED_HASHES_KEPT: usize = 8;

/// The firmware that a device says it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunningBuild {
    /// The ESPHome version.
    pub version: Option<String>,
    /// The config hash. Older firmware has none, and the native API doesn't say it.
    pub config_hash: Option<ConfigHash>,
    /// When it was compiled, as far as the device was asked over its native API.
    pub stamp: Option<BuildStamp>,
}

impl RunningBuild {
    /// What a TXT record says, or an answer over the native API.
    fn said(sighting: &Sighting) -> Option<Self> {
        sighting.version.is_some().then(|| Self {
            version: sighting.version.clone(),
            config_hash: sighting.config_hash,
            stamp: sighting.stamp.clone(),
        })
    }

    /// This is said, and `before` was known: what the one kind of words can't have stays, unless they are of another
    /// build.
    fn after(mut self, before: Option<Self>) -> Self {
        let Some(before) = before.filter(|before| before.version == self.version) else {
            return self;
        };
        if self.stamp.is_none() {
            let same = before.config_hash.is_none() || before.config_hash == self.config_hash;
            self.stamp = before.stamp.filter(|_| same);
        } else if self.config_hash.is_none() {
            let same = before.stamp.is_none() || before.stamp == self.stamp;
            self.config_hash = before.config_hash.filter(|_| same);
        }
        self
    }
}

/// What is pinned of a device. Only [`Self::pin`], [`Self::accept`] and [`Self::install`] change it. Whoever decides has
/// no other way; the store gives it back as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    mac: Option<MacAddress>,
    link_addresses: Vec<MacAddress>,
    addresses: Vec<IpAddr>,
    build: Option<RunningBuild>,
    proven_at: Option<Timestamp>,
}

/// That an address is the device's, shown in a way that no packet can forge by itself. It can't be made by hand: the
/// judges are [`Identity::weigh`] and [`crate::gate::proof`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    address: IpAddr,
    link_address: Option<MacAddress>,
    mac: Option<MacAddress>,
    build: Option<RunningBuild>,
}

impl Proof {
    /// Of a session whose peer the gate has let pass; `answers` are those of the peer meanwhile, oldest first.
    pub(crate) fn of_session<'a>(
        peer: IpAddr,
        link_address: Option<MacAddress>,
        claimed_mac: Option<MacAddress>,
        answers: impl Iterator<Item = &'a Sighting>,
    ) -> Self {
        let mut proof = Self { address: peer, link_address, mac: claimed_mac, build: None };
        for words in answers {
            proof.mac = words.mac.or(proof.mac);
            proof.build = match RunningBuild::said(words) {
                Some(said) => Some(said.after(proof.build.take())),
                None => proof.build,
            };
        }
        proof
    }

    /// What the device said that it runs.
    #[must_use]
    pub const fn build(&self) -> Option<&RunningBuild> {
        self.build.as_ref()
    }
}

/// What anybody has said about a device, the newest last where there are several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// The first MAC address that somebody claimed to have, under its name.
    pub mac: Option<MacAddress>,
    /// The first link-layer address that went with it; the MAC address itself takes its place, since whoever is seen with
    /// that one is behind no repeater.
    pub link_address: Option<MacAddress>,
    /// Where it is said to be, newest first.
    pub addresses: Vec<IpAddr>,
    /// The ESPHome version that it is said to run.
    pub version: Option<String>,
    /// The config hash that it is said to run.
    pub config_hash: Option<ConfigHash>,
    /// The hashes that it was said to run, oldest first.
    #[serde(rename = "claimed_hashes")]
    pub hashes: Vec<ConfigHash>,
}

impl Claims {
    /// Whether what was claimed first lets the device be behind this link-layer address.
    fn let_it_be_behind(&self, link: MacAddress) -> bool {
        self.mac == Some(link) || self.link_address.is_none_or(|first| first == link)
    }

    /// Takes over what somebody says of the device. The first MAC address stays.
    pub fn take(&mut self, sighting: &Sighting) {
        for address in sighting.addresses.iter().rev() {
            self.addresses.retain(|known| known != address);
            self.addresses.insert(0, *address);
        }
        self.addresses.truncate(CLAIMED_ADDRESSES_KEPT);
        // Who speaks of somebody else, and a cache, may repeat what anybody has made up.
        let of_itself = sighting.source.sender().is_some_and(|it| sighting.addresses.contains(&it));
        if of_itself {
            self.mac = self.mac.or(sighting.mac);
        }
        if of_itself && sighting.mac == self.mac {
            let own = sighting.link_address.filter(|link| self.mac == Some(*link));
            self.link_address = own.or(self.link_address).or(sighting.link_address);
        }
        if let Some(said) = RunningBuild::said(sighting) {
            let (version, config_hash) = (self.version.take(), self.config_hash);
            let build = said.after(Some(RunningBuild { version, config_hash, stamp: None }));
            (self.version, self.config_hash) = (build.version, build.config_hash);
        }
        if let Some(hash) = sighting.config_hash {
            self.hashes.retain(|known| *known != hash);
            self.hashes.push(hash);
            let many = self.hashes.len().saturating_sub(CLAIMED_HASHES_KEPT);
            self.hashes.drain(..many);
        }
    }
}

/// Another board, or other network hardware, that claims a device's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rival {
    /// The MAC address that it gives.
    pub mac: Option<MacAddress>,
    /// The link-layer address that the neighbour table has for it.
    pub link_address: Option<MacAddress>,
    /// Where it is.
    pub address: Option<IpAddr>,
    /// What it says that it runs.
    pub build: Option<RunningBuild>,
    /// When it was heard last.
    pub at: Timestamp,
}

impl Rival {
    fn of(sighting: &Sighting, sender: IpAddr, at: Timestamp) -> Self {
        Self {
            mac: sighting.mac,
            link_address: sighting.link_address,
            address: Some(sender),
            build: RunningBuild::said(sighting),
            at,
        }
    }

    /// Whether both are claims of the same board.
    #[must_use]
    pub fn is_same_board(&self, other: &Self) -> bool {
        (self.mac, self.link_address) == (other.mac, other.link_address)
    }
}

/// What a sighting is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worth {
    /// The device is there, and this is what it says: pinned.
    Proof(Proof),
    /// A packet from an address where the device was proven, and nothing contradicts it. It decides about an update,
    /// and pins nothing.
    OwnWord,
    /// Anybody may have said it.
    Claim,
    /// It calls itself like the device, and isn't the board that is pinned.
    Rival(Rival),
}

impl Worth {
    /// Whether the device itself says it.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        match self {
            Self::Proof(_) | Self::OwnWord => true,
            Self::Claim | Self::Rival(_) => false,
        }
    }
}

impl Identity {
    /// What was pinned before, as it comes out of the store.
    #[must_use]
    pub const fn stored(
        mac: Option<MacAddress>,
        link_addresses: Vec<MacAddress>,
        addresses: Vec<IpAddr>,
        build: Option<RunningBuild>,
        proven_at: Option<Timestamp>,
    ) -> Self {
        Self { mac, link_addresses, addresses, build, proven_at }
    }

    /// Whether it was ever proven.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        self.proven_at.is_some()
    }

    /// The MAC address that its firmware gives.
    #[must_use]
    pub const fn mac(&self) -> Option<MacAddress> {
        self.mac
    }

    /// The link-layer addresses that the neighbour table has had for it, newest first.
    #[must_use]
    pub fn link_addresses(&self) -> &[MacAddress] {
        &self.link_addresses
    }

    /// Where it was proven, newest first.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// What it runs, as far as it has said so.
    #[must_use]
    pub const fn build(&self) -> Option<&RunningBuild> {
        self.build.as_ref()
    }

    /// When it was proven last.
    #[must_use]
    pub const fn proven_at(&self) -> Option<Timestamp> {
        self.proven_at
    }

    /// Whether the same is pinned, whenever that was last proven.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let as_old = Self { proven_at: other.proven_at, ..self.clone() };
        self.is_proven() == other.is_proven() && as_old == *other
    }

    /// Whether it was proven at this address.
    #[must_use]
    pub fn is_at(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// Whether this is hardware of its own.
    #[must_use]
    pub fn has_link(&self, link: MacAddress) -> bool {
        self.link_addresses.contains(&link) || self.mac == Some(link)
    }

    /// Whether what is pinned lets the device be at this address, behind this link-layer address (`None`: the neighbour
    /// table has none, as of a host behind a router). `says_mac`: it gives the pinned MAC address.
    #[must_use]
    pub fn may_be_at(&self, address: IpAddr, link: Option<MacAddress>, says_mac: bool) -> bool {
        match link {
            _ if !self.is_proven() => true,
            Some(link) if self.has_link(link) => true,
            // Proven through a router, or where no neighbour table is read.
            Some(_) if self.link_addresses.is_empty() => self.is_at(address),
            Some(_) => false,
            None => {
                let says_mac = says_mac || self.mac.is_none();
                self.is_at(address) || (self.link_addresses.is_empty() && says_mac)
            }
        }
    }

    /// What a sighting under the device's name is worth; `claimed` binds as long as nothing is pinned.
    #[must_use]
    pub fn weigh(&self, claimed: &Claims, sighting: &Sighting, now: Timestamp) -> Worth {
        let expected = if self.is_proven() { self.mac } else { claimed.mac };
        let is_other = expected.zip(sighting.mac).is_some_and(|(own, said)| own != said);
        match sighting.source {
            Source::Browse => Worth::Claim,
            Source::Packet(_) | Source::Answer(_) if sighting.kind == SightingKind::Gone => {
                self.weigh_goodbye(sighting)
            }
            Source::Packet(sender) => {
                let of_itself = sighting.addresses.contains(&sender);
                let link = sighting.link_address;
                if is_other && of_itself {
                    Worth::Rival(Rival::of(sighting, sender, now))
                } else if self.is_at(sender) && !is_other && link.is_none_or(|link| self.fits(link))
                {
                    Worth::OwnWord
                } else {
                    Worth::Claim
                }
            }
            Source::Answer(sender) => {
                let link = sighting.link_address;
                let says_mac = self.mac.is_some() && self.mac == sighting.mac;
                let complete = sighting.mac.is_some() || sighting.version.is_some();
                let told = complete || expected.is_none() || link.is_some_and(|l| self.has_link(l));
                let as_claimed =
                    self.is_proven() || link.is_none_or(|link| claimed.let_it_be_behind(link));
                if is_other {
                    Worth::Rival(Rival::of(sighting, sender, now))
                } else if told && as_claimed && self.may_be_at(sender, link, says_mac) {
                    Worth::Proof(Proof::of_session(sender, link, None, core::iter::once(sighting)))
                } else if link.is_some() {
                    Worth::Rival(Rival::of(sighting, sender, now))
                } else {
                    Worth::Claim
                }
            }
        }
    }

    /// Who says goodbye gives no address: it counts from where the device is.
    fn weigh_goodbye(&self, sighting: &Sighting) -> Worth {
        let own = sighting.source.sender().is_some_and(|sender| self.is_at(sender));
        if own { Worth::OwnWord } else { Worth::Claim }
    }

    fn fits(&self, link: MacAddress) -> bool {
        self.link_addresses.is_empty() || self.has_link(link)
    }

    /// Takes over what was proven.
    pub fn pin(&mut self, proof: Proof, now: Timestamp) {
        let Proof { address, link_address, mac, build } = proof;
        put_first(&mut self.addresses, address, ADDRESSES_KEPT);
        if let Some(link) = link_address {
            put_first(&mut self.link_addresses, link, LINKS_KEPT);
        }
        self.mac = self.mac.or(mac);
        self.build = match build {
            Some(said) => Some(said.after(self.build.take())),
            None => self.build.take(),
        };
        self.proven_at = Some(now);
    }

    /// The user says that this is the device.
    pub fn accept(&mut self, rival: &Rival, now: Timestamp) {
        if rival.mac.is_some() && rival.mac != self.mac {
            *self = Self { mac: rival.mac, ..Self::default() };
        }
        if let Some(address) = rival.address {
            put_first(&mut self.addresses, address, ADDRESSES_KEPT);
        }
        if let Some(link) = rival.link_address {
            put_first(&mut self.link_addresses, link, LINKS_KEPT);
        }
        self.build = rival.build.clone().or(self.build.take());
        self.proven_at = Some(now);
    }

    /// A build was installed, and the device has said so.
    pub fn install(&mut self, build: RunningBuild) {
        let before = self.build.take().unwrap_or_default();
        self.build = Some(RunningBuild { version: build.version.or(before.version), ..build });
    }

    /// Another device answers at an address where this one was.
    pub fn forget_address(&mut self, address: IpAddr) {
        self.addresses.retain(|known| *known != address);
    }

    /// One device that had two names, `self` being what is known under the newer one.
    #[must_use]
    pub fn brought_together(mut self, older: Self) -> Self {
        if !self.is_proven() {
            return older;
        }
        let same_board = self.mac.is_none() || older.mac.is_none() || self.mac == older.mac;
        if same_board {
            for address in older.addresses {
                if self.addresses.len() < ADDRESSES_KEPT && !self.addresses.contains(&address) {
                    self.addresses.push(address);
                }
            }
            for link in older.link_addresses {
                if self.link_addresses.len() < LINKS_KEPT && !self.link_addresses.contains(&link) {
                    self.link_addresses.push(link);
                }
            }
            self.mac = self.mac.or(older.mac);
            self.build = self.build.or(older.build);
        }
        self
    }
}

fn put_first<T: PartialEq>(list: &mut Vec<T>, item: T, kept: usize) {
    list.retain(|known| *known != item);
    list.insert(0, item);
    list.truncate(kept);
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
