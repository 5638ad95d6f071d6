//! How sure it is which device is which.

use serde::{Deserialize, Serialize};

use crate::device::{ConfigHash, MacAddress};
use crate::identity::Rival;
use crate::time::Timestamp;

/// Whether a device is known to be who it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum Trust {
    /// Nothing was heard of it.
    #[default]
    Unknown,
    /// Something on the network says so; it has never shown it.
    Claimed,
    /// It has answered a question that was put to its address, or passed the gate, or the user has said so.
    Proven,
}

/// Another board that claims a device's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct RivalView {
    /// The MAC address that it gives.
    pub mac: Option<MacAddress>,
    /// The address of its network hardware, as this computer sees it.
    pub link_address: Option<MacAddress>,
    /// Where it is.
    pub address: Option<String>,
    /// The ESPHome version that it says it runs.
    pub version: Option<String>,
    /// The config hash that it says it runs.
    pub config_hash: Option<ConfigHash>,
    /// When it was heard last.
    pub at: Timestamp,
}

impl RivalView {
    pub(crate) fn of(rival: &Rival) -> Self {
        let build = rival.build.as_ref();
        Self {
            mac: rival.mac,
            link_address: rival.link_address,
            address: rival.address.map(|address| address.to_string()),
            version: build.and_then(|build| build.version.clone()),
            config_hash: build.and_then(|build| build.config_hash),
            at: rival.at,
        }
    }
}
