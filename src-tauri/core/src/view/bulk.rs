//! Many devices at once.

use serde::{Deserialize, Serialize};

use crate::device::DeviceId;
use crate::error::Problem;

/// A device that a request for many could not be carried out for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Which.
    pub device: DeviceId,
    /// Why.
    pub problem: Problem,
}

/// What Install would do with these devices; each of them is in one of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct InstallPlan {
    /// They are online: built and flashed now.
    pub now: Vec<DeviceId>,
    /// Built now, flashed when they wake or can be reached.
    pub at_wake: Vec<DeviceId>,
    /// Their update is held: the user decides about each. They are left alone.
    pub held: Vec<DeviceId>,
    /// Their update is under way already. They are left alone.
    pub active: Vec<DeviceId>,
    /// They can't be built.
    pub refused: Vec<Refusal>,
}
