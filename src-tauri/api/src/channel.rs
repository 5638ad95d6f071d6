//! What lies between messages and the wire.

use wakeflash_noise::{Frames, Transport};

use crate::answer::Worth;
use crate::error::{ApiError, Step, Violation};
use crate::message::{HelloRequest, VERSION, kind};
use crate::wire::{self, Message, Reader};

/// Who asks, as the device shows it in its log.
const CLIENT: &str = "Wakeflash";

/// How messages travel.
pub(crate) enum Channel {
    Plain(Reader),
    Noise(Frames, Box<Transport>),
}

impl std::fmt::Debug for Channel {
    /// Its kind only: the rest is keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Noise(..) => "Noise",
        })
    }
}

impl Channel {
    /// What is worth what comes over it.
    pub(crate) fn worth(&self) -> Worth {
        match self {
            Self::Plain(_) => Worth::Claim,
            Self::Noise(..) => Worth::Proof,
        }
    }

    /// The message, when this byte completes one.
    pub(crate) fn take(&mut self, byte: u8, step: Step) -> Result<Option<Message>, ApiError> {
        let violated = |violation: Violation| ApiError::violation(violation, step);
        match self {
            Self::Plain(reader) => reader.take(byte).map_err(violated),
            Self::Noise(frames, transport) => {
                let frame = frames.take(byte).map_err(|error| violated(error.into()))?;
                let Some(sealed) = frame else { return Ok(None) };
                let plain = transport.open(&sealed).map_err(|e| ApiError::of_transport(e, step))?;
                wire::read_sealed_form(&plain).map(Some).map_err(violated)
            }
        }
    }

    /// Appends a message to the wire bytes.
    pub(crate) fn send(
        &mut self,
        kind: u16,
        body: &[u8],
        wire: &mut Vec<u8>,
    ) -> Result<(), ApiError> {
        match self {
            Self::Plain(_) => {
                wire::put_message(kind, body, wire);
                Ok(())
            }
            Self::Noise(_, transport) => {
                let reason = |error| ApiError::Encryption { reason: format!("{error}") };
                transport.seal(&wire::sealed_form(kind, body), wire).map_err(reason)
            }
        }
    }

    /// Says hello and asks who is there, in one go: the device answers both at once.
    pub(crate) fn introduce(&mut self, wire: &mut Vec<u8>) -> Result<(), ApiError> {
        let hello = HelloRequest {
            client_info: CLIENT.to_owned(),
            api_version_major: VERSION.0,
            api_version_minor: VERSION.1,
        };
        self.send(kind::HELLO_REQUEST, &prost::Message::encode_to_vec(&hello), wire)?;
        self.send(kind::DEVICE_INFO_REQUEST, &[], wire)
    }
}
