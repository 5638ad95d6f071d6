//! A build on its way to the device.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Build;
use crate::error::Problem;
use crate::retry::pause_is_over;
use crate::time::Timestamp;

/// Whether changes of the sources still matter to an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceTracking {
    /// A change holds the update.
    Tracked,
    /// The user has said: flash what was built.
    Waived,
}

/// Which OTA password and which key to use for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordChoice {
    /// Those of the build.
    OfBuild,
    /// Those of the last build that was installed on the device from here.
    LastInstalled,
}

/// How the last attempt to flash ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct AttemptReport {
    /// When it ended.
    pub at: Timestamp,
    /// Why it didn't succeed.
    pub problem: Problem,
}

/// Transfers that were cut before the device had the whole image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cuts {
    /// Of this build.
    pub in_all: u32,
    /// In the wake of the last one.
    pub in_wake: u32,
    /// The number of that wake.
    pub wake: Option<u32>,
}

impl Cuts {
    /// How many there were in this wake.
    #[must_use]
    pub fn within(self, wake: Option<u32>) -> u32 {
        if self.wake == wake { self.in_wake } else { 0 }
    }

    /// With one more, in this wake.
    #[must_use]
    pub fn and_another(self, wake: Option<u32>) -> Self {
        Self {
            in_all: self.in_all.saturating_add(1),
            in_wake: self.within(wake).saturating_add(1),
            wake,
        }
    }
}

/// A build on its way to the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What is delivered.
    pub build: Build,
    /// Whether changed sources hold it.
    pub tracking: SourceTracking,
    /// The password and the key to use next.
    pub password: PasswordChoice,
    /// Attempts that opened a connection.
    pub attempts: u32,
    /// Attempts that the device itself refused or failed, of a kind that is worth another try.
    pub device_errors: u32,
    /// Transfers that were cut.
    #[serde(default)]
    pub cuts: Cuts,
    /// Whether an attempt of unknown outcome has already been repeated without the device's own word.
    pub repeated_blindly: bool,
    /// The last attempt, when it failed.
    pub last_attempt: Option<AttemptReport>,
    /// Why the device may not take it, known before it has been tried.
    #[serde(default)]
    pub warning: Option<Problem>,
    /// Whether it travelled encrypted, the last time that almost all of it was sent.
    #[serde(default)]
    pub encrypted: Option<bool>,
    /// Addresses where something else answered, or nobody could tell what.
    #[serde(default)]
    pub avoided: Vec<AvoidedAddress>,
}

impl Delivery {
    /// Whether an address is left alone at the moment.
    #[must_use]
    pub fn avoids(&self, address: IpAddr, now: Timestamp) -> bool {
        self.avoided
            .iter()
            .any(|avoided| avoided.address == address && !pause_is_over(Some(avoided.until), now))
    }
}

/// An address that is left alone for a while, so that what answers there is no obstacle to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvoidedAddress {
    /// Which.
    pub address: IpAddr,
    /// Until when.
    pub until: Timestamp,
}
