//! Where a device's log can be had, and who has to say it.

use core::net::IpAddr;

use crate::device::{MacAddress, Sighting};
use crate::identity::{Claims, Identity, Worth};
use crate::knock::TargetAddress;
use crate::time::Timestamp;
use crate::update::Api;

/// The log of a device is to be recorded at its next wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogWish {
    /// When the user asked for it.
    pub asked_at: Timestamp,
    /// The device was awake then: that wake isn't the one.
    pub while_awake: bool,
    /// The number of the wake that the device was in then, or was in last.
    pub wake: Option<u32>,
}

/// Where the log of a device can be had.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSource {
    /// What the device calls itself.
    pub name: String,
    /// Where it is, as the user or a configuration says.
    pub given: Vec<TargetAddress>,
    /// Where it was proven, or is said to be; in this computer's own networks.
    pub found: Vec<IpAddr>,
    /// What was installed from here says about its API; `None`: that isn't what runs, or it says nothing.
    pub installed: Option<Api>,
    /// Known to use deep sleep.
    pub sleeps: bool,
    /// Who it has to be.
    pub who: Who,
}

/// Who has to say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    pub name: String,
    pub identity: Identity,
    pub claims: Claims,
}

impl Who {
    /// Whether a connection may be opened to an address where the device is merely said to be: only its own network
    /// hardware is greeted there, once it was ever proven.
    #[must_use]
    pub fn may_be_at(&self, address: IpAddr, link: Option<MacAddress>) -> bool {
        self.identity.may_be_at(address, link, false)
    }

    /// Whether the device itself says this: the rules are those for everything else that it answers.
    #[must_use]
    pub fn is(&self, says: &Sighting, now: Timestamp) -> bool {
        let called = says.name.eq_ignore_ascii_case(&self.name);
        called && matches!(self.identity.weigh(&self.claims, says, now), Worth::Proof(_))
    }
}
