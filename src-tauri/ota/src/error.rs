//! What can go wrong in a session, what it means, and what to tell the user.

use super::device_error::DeviceError;
use super::step::Step;

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// The network failed before the image was complete: try again while the device is awake.
    RetryNow,
    /// The device is there but serves somebody else, or still a connection that died: try again
    /// soon.
    Busy,
    /// Trying again in this wake is of no use; the next one may be different.
    NextWake,
    /// Trying again will not help.
    Permanent,
    /// The password is not that of the running firmware: try another, if there is one.
    WrongPassword,
    /// The device may or may not have taken the update: find out, never guess.
    OutcomeUnknown,
}

/// A device that doesn't keep to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A byte that is no answer in this step, or that came before its question was sent.
    #[error("unexpected byte 0x{0:02X}")]
    UnexpectedByte(u8),
    /// A nonce with something else than hexadecimal digits.
    #[error("byte 0x{0:02X} in a nonce")]
    BadNonce(u8),
    /// An acknowledgement for a block that was not sent.
    #[error("more blocks acknowledged than sent")]
    TooManyBlocks,
    /// "Received" without an acknowledgement for each block.
    #[error("too few blocks acknowledged")]
    TooFewBlocks,
    /// "Received" before the last byte was sent.
    #[error("reception confirmed before the image was sent")]
    EndedEarly,
    /// A byte where a frame of an encrypted connection should begin.
    #[error("byte 0x{0:02X} where a frame should begin")]
    NotAFrame(u8),
    /// A frame without content.
    #[error("an empty frame")]
    EmptyFrame,
    /// A frame longer than any that a device sends.
    #[error("a frame of {0} bytes")]
    FrameTooLong(usize),
    /// A frame that was damaged or forged.
    #[error("a frame that was changed on its way")]
    NotAuthentic,
}

/// Why a session failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtaError {
    /// The device reported an error.
    #[error("device error 0x{:02X} ({}) in step {step:?}", .error.byte(), .error.code())]
    Device {
        /// What it reported.
        error: DeviceError,
        /// When it did.
        step: Step,
    },
    /// The device asks for a password and none is known.
    #[error("the device asks for a password and none is known")]
    PasswordNeeded,
    /// What answers asks for the password by MD5, and isn't known to be a device that can do no
    /// better. Nothing of the password was sent.
    #[error("the device asks for an MD5 password check")]
    OutdatedPasswordCheck,
    /// The device speaks a version of the protocol that this client doesn't.
    #[error("protocol version {version} is not supported")]
    UnsupportedVersion {
        /// The version it announced.
        version: u8,
    },
    /// The configuration requires encryption, and the device offers none. Nothing was sent.
    #[error("encryption is required and the device offers none")]
    EncryptionNotOffered,
    /// The device has another encryption key, or somebody has changed the negotiation.
    #[error("the device has another encryption key")]
    WrongKey,
    /// The device refused the Noise handshake for another reason.
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
    /// What answers doesn't keep to the protocol.
    #[error("protocol violation in step {step:?}: {violation}")]
    Protocol {
        /// What it did.
        violation: Violation,
        /// When it did.
        step: Step,
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
    /// The application ended the session.
    #[error("cancelled in step {step:?}")]
    Cancelled {
        /// The step that was under way.
        step: Step,
    },
}

impl OtaError {
    /// What to do about it.
    ///
    /// Whatever ends a session after the last byte of the image may have left is
    /// [`FailureClass::OutcomeUnknown`], with one exception: an error that the device itself
    /// reports is a definite failure.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Device { error, step } => error.class(*step),
            Self::PasswordNeeded | Self::WrongKey => FailureClass::WrongPassword,
            Self::UnsupportedVersion { .. } | Self::EncryptionNotOffered => FailureClass::Permanent,
            // By then it may be known what the device runs.
            Self::HandshakeRefused { .. }
            | Self::Encryption { .. }
            | Self::OutdatedPasswordCheck => FailureClass::NextWake,
            Self::Protocol { step: Step::Commit, .. }
            | Self::Closed { step: Step::Commit, .. }
            | Self::Timeout { step: Step::Commit }
            | Self::Cancelled { step: Step::Commit } => FailureClass::OutcomeUnknown,
            // A device accepts a second connection only in its queue, and answers nothing there.
            Self::Closed { step: Step::Greeting, .. } | Self::Timeout { step: Step::Greeting } => {
                FailureClass::Busy
            }
            Self::Closed { .. } | Self::Timeout { .. } => FailureClass::RetryNow,
            // The address may belong to something else by now, so the update isn't at fault.
            Self::Protocol { .. } => FailureClass::NextWake,
            // Nobody wants a retry that was cancelled.
            Self::Cancelled { .. } => FailureClass::NextWake,
        }
    }

    /// Whether the device may have taken the update although the session failed.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        self.class() == FailureClass::OutcomeUnknown
    }

    /// The step in which it happened.
    #[must_use]
    pub fn step(&self) -> Step {
        match self {
            Self::Device { step, .. }
            | Self::Protocol { step, .. }
            | Self::Closed { step, .. }
            | Self::Timeout { step }
            | Self::Cancelled { step } => *step,
            Self::PasswordNeeded | Self::OutdatedPasswordCheck => Step::Auth,
            Self::UnsupportedVersion { .. } => Step::Version,
            Self::EncryptionNotOffered => Step::Features,
            Self::WrongKey | Self::HandshakeRefused { .. } | Self::Encryption { .. } => {
                Step::Encryption
            }
        }
    }

    /// A stable identifier.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Device { error, .. } => error.code(),
            Self::PasswordNeeded => "ota.password_needed",
            Self::OutdatedPasswordCheck => "ota.outdated_password_check",
            Self::UnsupportedVersion { .. } => "ota.unsupported_version",
            Self::EncryptionNotOffered => "ota.encryption_not_offered",
            Self::WrongKey => "ota.wrong_key",
            Self::HandshakeRefused { .. } => "ota.handshake_refused",
            Self::Encryption { .. } => "ota.encryption",
            Self::Protocol { .. } => "ota.protocol",
            Self::Closed { .. } => "ota.closed",
            Self::Timeout { .. } => "ota.timeout",
            Self::Cancelled { .. } => "ota.cancelled",
        }
    }

    /// What happened, for the user.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Device { error, step } => error.sentence(*step),
            Self::PasswordNeeded => {
                "The device asks for an OTA password, and the configuration has none.".to_owned()
            }
            Self::UnsupportedVersion { version } => format!(
                "The device speaks version {version} of the update protocol, which this version of Wakeflash \
                 doesn't know."
            ),
            Self::EncryptionNotOffered => {
                "The configuration requires encrypted updates, and the firmware on the device offers none."
                    .to_owned()
            }
            Self::OutdatedPasswordCheck => {
                "The device asks for its password by MD5, which only firmware before ESPHome 2025.10 does, and it \
                 isn't known to run that."
                    .to_owned()
            }
            Self::WrongKey => "The device has another encryption key.".to_owned(),
            Self::HandshakeRefused { reason } => {
                format!("The device refused the encrypted connection: “{reason}”.")
            }
            Self::Encryption { reason } => {
                format!("The connection could not be encrypted ({reason}).")
            }
            Self::Protocol { step, .. } => {
                format!("The device gave an answer that makes no sense {}.", step.phrase())
            }
            Self::Closed { step: Step::Greeting, .. } | Self::Timeout { step: Step::Greeting } => {
                "The device took the connection but didn't answer: it is probably busy with another one."
                    .to_owned()
            }
            Self::Closed { step, .. } => {
                format!("The connection to the device was lost {}.", step.phrase())
            }
            Self::Timeout { step } => format!("The device fell silent {}.", step.phrase()),
            Self::Cancelled { step } => format!("The update was cancelled {}.", step.phrase()),
        }
    }

    /// What to do about it, for the user.
    #[must_use]
    pub fn help(&self) -> &'static str {
        const CHECKING: &str = "The device may have taken the firmware nevertheless. Wakeflash looks at what it \
                                runs when it comes back.";
        const AGAIN: &str = "It will be tried again as soon as the device answers.";
        match self {
            Self::Device { error, step } => error.help(*step),
            _ if self.outcome_unknown() => CHECKING,
            Self::PasswordNeeded => "Enter the OTA password of the firmware that runs on it now.",
            Self::UnsupportedVersion { .. } => "Update Wakeflash.",
            Self::EncryptionNotOffered => {
                "Nothing was sent. That firmware is older than ESPHome 2026.9 or was built without a key. Set \
                 `allow_plaintext_upload: true` below `ota: encryption:` for this one update, or flash it once \
                 over USB."
            }
            Self::OutdatedPasswordCheck => {
                "The password was not sent. Let the device be seen by mDNS, so that its version is known, or flash \
                 it once over USB."
            }
            Self::WrongKey => {
                "Nothing was sent. Put the key of the firmware that runs on it now into the configuration, or \
                 flash it once over USB."
            }
            Self::HandshakeRefused { .. } => "It will be tried again when the device wakes.",
            Self::Encryption { .. } => "Nothing was sent in the clear. It will be tried again.",
            Self::Protocol { .. } => {
                "Check that the address and port belong to this device. It will be tried again at the next wake."
            }
            Self::Closed { step: Step::Greeting, .. } | Self::Timeout { step: Step::Greeting } => {
                "It will be tried again soon. End other uploads to this device."
            }
            Self::Closed { .. } | Self::Timeout { .. } => AGAIN,
            Self::Cancelled { .. } => "The device keeps its old firmware.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(step: Step) -> [OtaError; 4] {
        [
            OtaError::Closed { step, reason: "reset".to_owned() },
            OtaError::Timeout { step },
            OtaError::Cancelled { step },
            OtaError::Protocol { violation: Violation::TooFewBlocks, step },
        ]
    }

    #[test]
    fn the_outcome_is_unknown_only_after_the_last_byte() {
        for error in losses(Step::Commit) {
            assert!(error.outcome_unknown(), "{error}");
            assert!(error.help().contains("may have taken"), "{error}");
        }
        for error in losses(Step::Transfer) {
            assert!(!error.outcome_unknown(), "{error}");
        }
        let device = OtaError::Device { error: DeviceError::Md5Mismatch, step: Step::Commit };
        assert_eq!(device.class(), FailureClass::NextWake);
    }

    #[test]
    fn silence_before_the_greeting_means_busy() {
        let [closed, timeout, ..] = losses(Step::Greeting);
        assert_eq!(closed.class(), FailureClass::Busy);
        assert_eq!(timeout.class(), FailureClass::Busy);
        let [closed, timeout, ..] = losses(Step::Features);
        assert_eq!(closed.class(), FailureClass::RetryNow);
        assert_eq!(timeout.class(), FailureClass::RetryNow);
    }
}
