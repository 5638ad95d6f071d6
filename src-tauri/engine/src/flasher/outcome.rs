//! How a session can end.

use std::time::Duration;

use wakeflash_core::error::Problem;
use wakeflash_ota::{Compression, FailureClass, OtaError};

/// A session that ended with the device's confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashReport {
    /// Size in bytes of the image as it travelled.
    pub bytes: u64,
    /// From the call to the device's confirmation.
    pub duration: Duration,
    /// From the call to the end of the handshake.
    pub handshake: Duration,
    /// Whether the image travelled encrypted.
    pub encrypted: bool,
    /// The form in which the image travelled.
    pub compression: Compression,
    /// How often the session waited for the device before the update could begin, not counting
    /// the opening of the connection.
    pub handshake_round_trips: u32,
}

/// Why an image was not installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlashError {
    /// The session failed or was cancelled.
    #[error(transparent)]
    Ota(#[from] OtaError),
    /// The gate says that the device runs this firmware already. Nothing was sent.
    #[error("the device runs this firmware already")]
    AlreadyRunning,
    /// The gate did not let the update pass. Nothing was sent.
    #[error("refused at the gate: {reason}")]
    Refused {
        /// A sentence for the user.
        reason: String,
    },
    /// It could not be recorded that the image may be complete, so its end was not sent.
    #[error("the coming completion could not be recorded: {reason}")]
    NotRecorded {
        /// What the recording said.
        reason: String,
    },
    /// The operating system gave no random bytes. Nothing was sent.
    #[error("no random numbers: {0}")]
    Random(String),
}

impl FlashError {
    /// Whether the device may have taken the update although the session failed.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Ota(error) => error.outcome_unknown(),
            Self::AlreadyRunning
            | Self::Refused { .. }
            | Self::NotRecorded { .. }
            | Self::Random(_) => false,
        }
    }

    /// Whether the session was ended by its cancellation token.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        matches!(self, Self::Ota(OtaError::Cancelled { .. }))
    }

    /// What to do about it; `None` when nothing has failed.
    #[must_use]
    pub fn class(&self) -> Option<FailureClass> {
        match self {
            Self::Ota(error) => Some(error.class()),
            Self::AlreadyRunning => None,
            // Nothing of this is the device's fault.
            Self::Refused { .. } | Self::NotRecorded { .. } | Self::Random(_) => {
                Some(FailureClass::RetryNow)
            }
        }
    }

    /// What happened and what to do, for the user, with a stable identifier.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Ota(error) => Problem::new(error.code(), error.sentence())
                .with_help(error.help())
                .with_details(error.to_string()),
            Self::AlreadyRunning => Problem::new(
                "flash.already_running",
                "The device runs this firmware already; there is nothing to do.",
            ),
            Self::Refused { reason } => Problem::new("flash.refused", reason.clone()),
            Self::NotRecorded { reason } => Problem::new(
                "flash.not_recorded",
                format!(
                    "The transfer was stopped before its end because its state could not be \
                     saved: {reason}"
                ),
            )
            .with_help("Check that the disk is not full. It will be tried again."),
            Self::Random(reason) => Problem::new(
                "flash.random",
                format!("The system gave no random numbers, which a connection needs: {reason}"),
            )
            .with_help("Restart the computer. The update stays in the queue."),
        }
    }
}
