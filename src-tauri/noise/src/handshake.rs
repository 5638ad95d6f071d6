//! The client's handshake, and the connection that it makes.

use snow::{Builder, HandshakeState, TransportState};

use crate::drawn::Ephemeral;
use crate::frames::{HEADER, TAG, put_frame};
use crate::key::EncryptionKey;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";

/// The status byte of a handshake message that goes on.
const STATUS_OK: u8 = 0x00;
/// What a device says to a client that has another key.
const MAC_FAILURE: &str = "Handshake MAC failure";
/// How much of a reason is kept.
const LONGEST_REASON: usize = 100;
/// A handshake message of either side: an ephemeral key and a tag.
const MESSAGE: usize = 32 + TAG;

/// Why a handshake made no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The device has another key, or somebody has changed what was said in the clear.
    #[error("the device has another encryption key")]
    WrongKey,
    /// The device refused for another reason.
    #[error("the device refused the Noise handshake: {0}")]
    Refused(String),
    /// A message without content.
    #[error("an empty handshake message")]
    Empty,
    /// It failed on this side.
    #[error("encryption failed: {0}")]
    Unusable(String),
}

fn unusable(error: snow::Error) -> HandshakeError {
    HandshakeError::Unusable(error.to_string())
}

/// The handshake: one message there, one back.
pub struct Handshake(HandshakeState);

impl Handshake {
    /// Begins; the frame to send is appended to the wire bytes. The prologue holds what both sides
    /// have said in the clear, so that nobody can change it unnoticed.
    ///
    /// # Errors
    /// [`HandshakeError::Unusable`].
    pub fn begin(
        key: &EncryptionKey,
        ephemeral: Ephemeral,
        prologue: &[u8],
        wire: &mut Vec<u8>,
    ) -> Result<Self, HandshakeError> {
        let pattern = PATTERN.parse().map_err(unusable)?;
        let mut state = Builder::with_resolver(pattern, Box::new(ephemeral.resolver()))
            .psk(0, &key.0)
            .and_then(|builder| builder.prologue(prologue))
            .and_then(Builder::build_initiator)
            .map_err(unusable)?;
        let mut message = [0; MESSAGE];
        let length = state.write_message(&[], &mut message).map_err(unusable)?;
        let payload = [&[STATUS_OK], message.get(..length).unwrap_or_default()].concat();
        put_frame(&payload, wire);
        Ok(Self(state))
    }

    /// Takes the payload of the device's answer.
    ///
    /// # Errors
    /// When it makes no connection.
    pub fn finish(mut self, payload: &[u8]) -> Result<Transport, HandshakeError> {
        match payload.split_first() {
            Some((&STATUS_OK, message)) => {
                let mut nothing = vec![0; payload.len()];
                // A device that answers has accepted our key. Its answer fails when somebody has
                // changed what was said in the clear, or is no answer to our message.
                self.0.read_message(message, &mut nothing).map_err(|_| HandshakeError::WrongKey)?;
                Ok(Transport(self.0.into_transport_mode().map_err(unusable)?))
            }
            Some((_, reason)) => Err(refusal(reason)),
            None => Err(HandshakeError::Empty),
        }
    }
}

fn refusal(reason: &[u8]) -> HandshakeError {
    let reason: String = String::from_utf8_lossy(reason)
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_REASON)
        .collect();
    if reason == MAC_FAILURE { HandshakeError::WrongKey } else { HandshakeError::Refused(reason) }
}

/// Why a connection is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// A frame that was damaged or forged.
    #[error("a frame that was changed on its way")]
    NotAuthentic,
    /// It failed on this side.
    #[error("encryption failed: {0}")]
    Unusable(String),
}

/// An encrypted connection.
pub struct Transport(TransportState);

impl Transport {
    /// Appends a frame with this plaintext.
    ///
    /// # Errors
    /// [`TransportError::Unusable`].
    pub fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), TransportError> {
        let start = wire.len();
        put_frame(&vec![0; plain.len() + TAG], wire);
        let sealed = wire.get_mut(start + HEADER..).unwrap_or_default();
        match self.0.write_message(plain, sealed) {
            Ok(_) => Ok(()),
            Err(error) => {
                wire.truncate(start);
                Err(TransportError::Unusable(error.to_string()))
            }
        }
    }

    /// The plaintext of a frame's payload.
    ///
    /// # Errors
    /// [`TransportError::NotAuthentic`].
    pub fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, TransportError> {
        let mut plain = vec![0; sealed.len()];
        let length =
            self.0.read_message(sealed, &mut plain).map_err(|_| TransportError::NotAuthentic)?;
        plain.truncate(length);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(wire: &mut Vec<u8>) -> Handshake {
        let key = EncryptionKey([7; 32]);
        Handshake::begin(&key, Ephemeral::new([9; 32]), b"prologue", wire).unwrap()
    }

    #[test]
    fn it_begins_with_one_frame() {
        let mut wire = Vec::new();
        begun(&mut wire);
        assert_eq!(wire[..4], [1, 0, 49, 0]);
        assert_eq!(wire.len(), 3 + 49);
    }

    #[test]
    fn a_refusal_is_told_from_another_key() {
        let finish = |payload: &[u8]| begun(&mut Vec::new()).finish(payload).err().unwrap();
        assert_eq!(finish(b""), HandshakeError::Empty);
        assert_eq!(finish(b"\x01Handshake MAC failure"), HandshakeError::WrongKey);
        assert_eq!(finish(&[0; 49]), HandshakeError::WrongKey);
        assert_eq!(finish(&[0; 3]), HandshakeError::WrongKey);
        assert_eq!(finish(b"\x01Busy"), HandshakeError::Refused("Busy".to_owned()));
    }

    #[test]
    fn a_reason_is_cut_and_cleaned() {
        let long = [b"no\n".as_slice(), &[b'x'; 500]].concat();
        let HandshakeError::Refused(reason) = refusal(&long) else { panic!("{long:?}") };
        assert!(reason.starts_with("nox") && reason.len() == LONGEST_REASON);
    }
}
