//! When to knock where. A waiting device is knocked at by connecting to its OTA port, again and again; this
//! decides which attempt is due, and the engine makes it.
//!
//! Time is the [`Duration`] since any fixed moment, of a clock that never goes back.

mod lane;
mod plan;
mod ramp;

use core::net::IpAddr;
use core::time::Duration;

use crate::device::MacAddress;
use crate::update::UpdateId;

pub use plan::{LOOKUP_PERIOD, LOOKUP_TIMEOUT, MAX_FLIGHTS, Plan, REST};
pub use ramp::{HOT, STEADY};

/// What an opened connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It becomes the OTA session.
    Capture,
    /// It only shows that the device has come back after a flash.
    Confirm,
}

/// Where a device may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetAddress {
    /// At this address.
    Ip(IpAddr),
    /// Wherever this name leads: `.local`, or a name of the DNS.
    Name(String),
}

/// A device that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The update that waits.
    pub update: UpdateId,
    /// The device's name.
    pub name: String,
    /// Another name that it may go by: the one that its new firmware gives it.
    pub other_name: Option<String>,
    /// The link-layer addresses that are its own, as far as they are known.
    pub link_addresses: Vec<MacAddress>,
    /// Where it may be, best first.
    pub addresses: Vec<TargetAddress>,
    /// Where it is said to be.
    pub claimed: Vec<IpAddr>,
    /// It was proven: where it is merely said to be, only its own link-layer address makes a connection its session.
    pub recognised: bool,
    /// Where not to knock, also when a name leads there.
    pub avoid: Vec<IpAddr>,
    /// Its OTA port, and others on which it may take updates.
    pub ports: Vec<u16>,
    /// What the connection is for.
    pub purpose: Purpose,
    /// The time between two knocks at one address while there is no evidence of life.
    pub period: Duration,
}

impl Target {
    /// The names that the device may go by, in lowercase.
    pub fn names(&self) -> impl Iterator<Item = String> {
        [Some(&self.name), self.other_name.as_ref()]
            .into_iter()
            .flatten()
            .map(|name| name.to_ascii_lowercase())
    }
}

/// One place to knock at, or a name to look up, on behalf of one update.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// For which update.
    pub update: UpdateId,
    /// Where.
    pub address: TargetAddress,
    /// The OTA port.
    pub port: u16,
}

/// An attempt that is due now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Tells this attempt from all others.
    pub id: u64,
    /// Where to knock, or what to look up.
    pub spot: Spot,
    /// When to give it up.
    pub timeout: Duration,
    /// The attempt at the same spot that it takes the place of.
    pub replaces: Option<u64>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A connection opened, or a name was found.
    Success,
    /// Somebody is there, and nobody listens at the port yet: a sign of life.
    Refused,
    /// Anything else.
    Failure,
}

/// How much may be done for the whole fleet at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attempts under way; twice as many when there is evidence of life.
    pub under_way: usize,
    /// Attempts begun in a second; twice as many again after evidence of life.
    pub per_second: u32,
}
