//! What the user is told though the window is closed.

use serde::{Deserialize, Serialize};

use crate::device::DeviceId;
use crate::settings::NotifyKinds;

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum NotificationKind {
    /// A queued update is installed.
    Installed,
    /// An update failed.
    Failed,
    /// The device went back to its old firmware.
    RolledBack,
    /// The sources of a waiting update changed.
    Held,
    /// A device that an update waits for has not woken for long.
    Overdue,
    /// A device that took an update was not heard of since.
    NotReturned,
    /// An update can't be built for the moment, and is tried again by itself.
    BuildDelayed,
    /// The transfers of an update break off, one after the other; it is tried again by itself.
    TransfersCut,
}

/// What is known about an update that is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum Installation {
    /// The device itself announced the firmware, and ran another one before.
    Announced,
    /// The device acknowledged the end of the update and came back.
    Acknowledged,
    /// The same, and it is the firmware that was installed from here before.
    Again,
    /// The device already ran this build when it was looked at; nothing was sent then.
    AlreadyRunning,
}

impl NotificationKind {
    /// Whether the user wants to hear about it.
    #[must_use]
    pub const fn is_wanted(self, kinds: NotifyKinds) -> bool {
        match self {
            Self::Installed => kinds.installed,
            Self::Failed | Self::RolledBack | Self::BuildDelayed | Self::TransfersCut => {
                kinds.failed
            }
            Self::Held => kinds.held,
            Self::Overdue | Self::NotReturned => kinds.overdue,
        }
    }
}

/// Something the user should know though the window is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Which device it is about.
    pub device: DeviceId,
    /// What a person calls the device.
    pub name: String,
    /// What it is about.
    pub kind: NotificationKind,
    /// What is known about the installation; `None`: it is about something else.
    pub installed: Option<Installation>,
    /// What the body says beside the title: the reason, or the files that changed.
    pub detail: String,
    /// The code of the problem whose message the reason is.
    pub code: Option<String>,
    /// One line.
    pub title: String,
    /// One or two sentences.
    pub body: String,
}
