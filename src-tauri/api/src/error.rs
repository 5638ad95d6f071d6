//! What goes wrong.

use wakeflash_noise::{FrameError, TransportError};

/// The part of the conversation that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The device's greeting is awaited, the first thing that it says on an encrypted connection.
    Greeting,
    /// Its half of the Noise handshake is awaited.
    Encryption,
    /// Who it is and what it runs is awaited.
    Introduction,
    /// It lists its entities.
    Listing,
    /// The values of its sensors are awaited.
    Readings,
    /// Its log is followed, or it is being decided whether it is.
    Log,
}

/// A device that doesn't keep to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A byte where a message or a frame should begin.
    #[error("byte 0x{0:02X} where a message should begin")]
    NotAFrame(u8),
    /// A frame without content.
    #[error("an empty frame")]
    EmptyFrame,
    /// A length or a type that no device has.
    #[error("a length or a type without end")]
    BadVarint,
    /// A message longer than any that a device sends.
    #[error("a message of {0} bytes")]
    MessageTooLong(u32),
    /// A frame that was damaged or forged.
    #[error("a frame that was changed on its way")]
    NotAuthentic,
    /// A frame whose message is longer than the frame, or has no type.
    #[error("a frame without a whole message")]
    BadEnvelope,
    /// A message that can't be read.
    #[error("a message that can't be read")]
    BadMessage,
    /// Another encryption than the one that there is.
    #[error("encryption of kind {0}")]
    UnknownEncryption(u8),
    /// A name that no device can have.
    #[error("a name that is none")]
    BadName,
    /// A MAC address that is none.
    #[error("a MAC address that is none")]
    BadMac,
    /// More than any device says.
    #[error("more than a device has to say")]
    TooMuch,
}

impl From<FrameError> for Violation {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::NotAFrame(byte) => Self::NotAFrame(byte),
            FrameError::Empty => Self::EmptyFrame,
            FrameError::TooLong(length) => {
                Self::MessageTooLong(u32::try_from(length).unwrap_or(u32::MAX))
            }
        }
    }
}

/// Why a device gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// What answers doesn't keep to the protocol.
    #[error("protocol violation in step {step:?}: {violation}")]
    Protocol {
        /// What it did.
        violation: Violation,
        /// When it did.
        step: Step,
    },
    /// It speaks another version of the protocol.
    #[error("version {0} of the native API is not supported")]
    UnsupportedVersion(u32),
    /// It refused the Noise handshake, for another reason than the key.
    #[error("the device refused the Noise handshake: {reason}")]
    HandshakeRefused {
        /// What it said; without control characters, and cut.
        reason: String,
    },
    /// The encryption failed on this side.
    #[error("encryption failed: {reason}")]
    Encryption {
        /// What went wrong.
        reason: String,
    },
    /// The connection was closed, was reset or broke.
    #[error("connection lost in step {step:?}: {reason}")]
    Closed {
        /// The step that was under way.
        step: Step,
        /// What the operating system said.
        reason: String,
    },
    /// The device didn't answer in time.
    #[error("no answer in time in step {step:?}")]
    Timeout {
        /// The step that was under way.
        step: Step,
    },
}

impl ApiError {
    pub(crate) fn violation(violation: Violation, step: Step) -> Self {
        Self::Protocol { violation, step }
    }

    pub(crate) fn of_transport(error: TransportError, step: Step) -> Self {
        match error {
            TransportError::NotAuthentic => Self::violation(Violation::NotAuthentic, step),
            TransportError::Unusable(reason) => Self::Encryption { reason },
        }
    }
}
