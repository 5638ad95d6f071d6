//! Where an update stands.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Cuts, Delivery, SourceChange, StateKind, UpdateId};
use crate::device::ConfigHash;
use crate::error::Problem;
use crate::time::Timestamp;

/// How far a transfer is, as far as it must survive a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlashStage {
    /// The device can't have the whole image.
    Incomplete,
    /// The last bytes may have been sent: the device may commit at any time.
    MayBeComplete,
}

/// What is known when the device has to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledgement {
    /// The device acknowledged the end of the update.
    Final,
    /// The connection ended after the last byte and before the acknowledgement.
    Unknown,
}

/// How an update came to be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum InstalledHow {
    /// Flashed; the device announced the new firmware.
    Confirmed,
    /// Flashed; the device acknowledged the end of the update and came back.
    Returned,
    /// The device already ran this build when it was looked at; nothing was sent then.
    AlreadyRunning,
}

/// Whether the device may still go back to its old firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackWatch {
    /// The new firmware must show itself over the device's next wake.
    Watched,
    /// It stayed, or it wasn't this update that brought it.
    #[default]
    Over,
}

/// Where an update stands. A variant carries what that state needs, and nothing else does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum UpdateState {
    /// Waits for a build slot.
    Queued,
    /// ESPHome is compiling.
    Building {
        /// Since when.
        started_at: Timestamp,
    },
    /// Built; waits for the device.
    Waiting {
        /// What is delivered.
        delivery: Delivery,
        /// Not before this time, after a failed attempt.
        retry_at: Option<Timestamp>,
    },
    /// Built, but the sources have changed since; waits for the user.
    Held {
        /// What would be delivered.
        delivery: Delivery,
        /// What changed.
        changes: Vec<SourceChange>,
    },
    /// A connection to the device is open.
    Flashing {
        /// What is delivered.
        delivery: Delivery,
        /// Since when.
        started_at: Timestamp,
        /// The device's address.
        peer: IpAddr,
        /// What the device has said that it runs, in this wake.
        previous_hash: Option<ConfigHash>,
        /// How far it is.
        stage: FlashStage,
    },
    /// The whole image has been sent, or may have been; the device's word is awaited.
    Confirming {
        /// What was delivered.
        delivery: Delivery,
        /// What is known.
        acknowledgement: Acknowledgement,
        /// Since when.
        since: Timestamp,
        /// What the device said that it ran, just before it was flashed.
        previous_hash: Option<ConfigHash>,
        /// Where it was flashed.
        peer: IpAddr,
        /// When it was first reached after the transfer.
        returned_at: Option<Timestamp>,
    },
    /// The device runs it.
    Installed {
        /// What was delivered.
        delivery: Delivery,
        /// When it was known.
        at: Timestamp,
        /// How it was known.
        how: InstalledHow,
        /// Whether it stays so is still watched.
        #[serde(default)]
        watch: RollbackWatch,
    },
    /// It ended without success.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        problem: Problem,
        /// The device went back to its old firmware.
        rolled_back: bool,
        /// What it had taken then: it may yet say that it runs it.
        #[serde(default)]
        taken_back: Option<Box<Delivery>>,
        /// The device may have taken the image all the same.
        #[serde(default)]
        may_have_arrived: bool,
        /// The user has seen it, and wants to hear no more of it.
        #[serde(default)]
        dismissed: bool,
    },
    /// The user ended it.
    Cancelled {
        /// When.
        at: Timestamp,
        /// The whole image may have been sent before.
        may_have_arrived: bool,
    },
    /// A newer update of the same device took its place.
    Superseded {
        /// When.
        at: Timestamp,
        /// Which.
        by: UpdateId,
    },
}

impl UpdateState {
    /// The state without what it carries.
    #[must_use]
    pub const fn kind(&self) -> StateKind {
        match self {
            Self::Queued => StateKind::Queued,
            Self::Building { .. } => StateKind::Building,
            Self::Waiting { .. } => StateKind::Waiting,
            Self::Held { .. } => StateKind::Held,
            Self::Flashing { .. } => StateKind::Flashing,
            Self::Confirming { .. } => StateKind::Confirming,
            Self::Installed { .. } => StateKind::Installed,
            Self::Failed { .. } => StateKind::Failed,
            Self::Cancelled { .. } => StateKind::Cancelled,
            Self::Superseded { .. } => StateKind::Superseded,
        }
    }

    /// What the device said that it ran, just before it was flashed.
    #[must_use]
    pub const fn previous_hash(&self) -> Option<ConfigHash> {
        match self {
            Self::Flashing { previous_hash, .. } | Self::Confirming { previous_hash, .. } => {
                *previous_hash
            }
            Self::Queued
            | Self::Building { .. }
            | Self::Waiting { .. }
            | Self::Held { .. }
            | Self::Installed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. } => None,
        }
    }

    /// What is on its way to the device, or arrived there.
    #[must_use]
    pub const fn delivery(&self) -> Option<&Delivery> {
        match self {
            Self::Waiting { delivery, .. }
            | Self::Held { delivery, .. }
            | Self::Flashing { delivery, .. }
            | Self::Confirming { delivery, .. }
            | Self::Installed { delivery, .. } => Some(delivery),
            // `as_deref` isn't const.
            Self::Failed { taken_back: Some(delivery), .. } => Some(delivery),
            Self::Queued
            | Self::Building { .. }
            | Self::Failed { taken_back: None, .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. } => None,
        }
    }

    /// What is built and on its way to nobody yet.
    pub(crate) const fn undelivered(&self) -> Option<&Delivery> {
        match self {
            Self::Waiting { delivery, .. } | Self::Held { delivery, .. } => Some(delivery),
            Self::Queued
            | Self::Building { .. }
            | Self::Flashing { .. }
            | Self::Confirming { .. }
            | Self::Installed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. } => None,
        }
    }

    /// The transfers that were cut so far, as long as there may be more.
    pub(crate) fn cuts(&self) -> Cuts {
        match self {
            Self::Waiting { delivery, .. } | Self::Flashing { delivery, .. } => delivery.cuts,
            Self::Queued
            | Self::Building { .. }
            | Self::Held { .. }
            | Self::Confirming { .. }
            | Self::Installed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. } => Cuts::default(),
        }
    }

    /// Whether the device may yet turn out to run it, or something else.
    pub(crate) const fn is_undecided(&self) -> bool {
        match self {
            Self::Queued
            | Self::Building { .. }
            | Self::Waiting { .. }
            | Self::Held { .. }
            | Self::Flashing { .. }
            | Self::Confirming { .. }
            | Self::Installed { watch: RollbackWatch::Watched, .. }
            | Self::Failed { taken_back: Some(_), .. } => true,
            Self::Installed { watch: RollbackWatch::Over, .. }
            | Self::Failed { taken_back: None, .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. } => false,
        }
    }

    /// As what it goes on when its Cancel is taken back. A transfer that was cut, and a device that may just commit, are
    /// not as they were.
    pub(crate) fn after_undo(&self) -> Option<Self> {
        match self {
            // A build that was stopped begins anew.
            Self::Queued | Self::Building { .. } => Some(Self::Queued),
            Self::Waiting { .. } | Self::Held { .. } => Some(self.clone()),
            Self::Flashing { .. }
            | Self::Confirming { .. }
            | Self::Installed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. } => None,
        }
    }

    /// The device turns out to be called so with what is on its way to it.
    pub(crate) fn rename_device(&mut self, name: &str) {
        match self {
            Self::Waiting { delivery, .. }
            | Self::Held { delivery, .. }
            | Self::Flashing { delivery, .. }
            | Self::Confirming { delivery, .. }
            | Self::Installed { delivery, .. } => name.clone_into(&mut delivery.build.name),
            Self::Queued
            | Self::Building { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. } => {}
        }
    }

    /// Whether the device may have taken the image, whatever is known of it.
    #[must_use]
    pub const fn may_have_arrived(&self) -> bool {
        match self {
            Self::Confirming { .. }
            | Self::Installed { .. }
            | Self::Flashing { stage: FlashStage::MayBeComplete, .. } => true,
            Self::Waiting { delivery, .. }
            | Self::Held { delivery, .. }
            | Self::Flashing { delivery, stage: FlashStage::Incomplete, .. } => {
                delivery.repeated_blindly
            }
            Self::Failed { may_have_arrived, .. } | Self::Cancelled { may_have_arrived, .. } => {
                *may_have_arrived
            }
            Self::Queued | Self::Building { .. } | Self::Superseded { .. } => false,
        }
    }

    /// Whether an image that was sent whole has neither been confirmed nor refused by the device. A transfer that
    /// ends with the device's refusal leaves nothing open but what an earlier one left.
    #[must_use]
    pub const fn image_is_unaccounted_for(&self) -> bool {
        match self {
            Self::Flashing { delivery, .. } => delivery.repeated_blindly,
            Self::Installed { .. } => false,
            Self::Queued
            | Self::Building { .. }
            | Self::Waiting { .. }
            | Self::Held { .. }
            | Self::Confirming { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. } => self.may_have_arrived(),
        }
    }

    /// When it ended; `None`: it is under way.
    #[must_use]
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match self {
            Self::Installed { at, .. }
            | Self::Failed { at, .. }
            | Self::Cancelled { at, .. }
            | Self::Superseded { at, .. } => Some(*at),
            Self::Queued
            | Self::Building { .. }
            | Self::Waiting { .. }
            | Self::Held { .. }
            | Self::Flashing { .. }
            | Self::Confirming { .. } => None,
        }
    }

    /// Whether it failed and the user has put that aside: it is shown in the history only.
    #[must_use]
    pub const fn is_dismissed(&self) -> bool {
        matches!(self, Self::Failed { dismissed: true, .. })
    }
}
