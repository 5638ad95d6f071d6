//! What is asked of the engine.

use core::net::IpAddr;

use crate::device::DeviceId;
use crate::update::{PasswordChoice, UpdateId};
use crate::view::Notification;

/// What has to be done, after the state was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start ESPHome, once an earlier build of the same device that is being stopped has ended: the two
    /// would work in the same directory.
    StartBuild {
        /// For which update.
        update: UpdateId,
        /// Of which device.
        device: DeviceId,
    },
    /// Look for ESPHome: it may have gone, or come.
    FindEsphome,
    /// End ESPHome.
    StopBuild(UpdateId),
    /// Use the open connection to flash.
    StartFlash {
        /// Which update.
        update: UpdateId,
        /// With which password.
        password: PasswordChoice,
    },
    /// Let a flash whose device is held send its image.
    GrantTransfer(UpdateId),
    /// Close the connection that was just reported; a flash that runs keeps its own.
    DropConnection(UpdateId),
    /// End a running flash; the connection is closed.
    StopFlash(UpdateId),
    /// Compare the sources of an update with what it was built from.
    CheckSources(UpdateId),
    /// Try to connect to this device at once.
    Nudge(String),
    /// Ask these addresses which device they are, and what it runs.
    Ask {
        /// The name of the device that is said to be there.
        name: String,
        /// Where.
        addresses: Vec<IpAddr>,
    },
    /// See whether a device refuses its API while its OTA port is open.
    LookAtApi {
        /// The name of the device.
        name: String,
        /// Where it has answered.
        peer: IpAddr,
        /// The port of its API.
        api: u16,
        /// The port at which it takes updates.
        ota: u16,
    },
    /// Tell the user.
    Notify(Notification),
}
