//! Noise as ESPHome's OTA protocol uses it: `Noise_NNpsk0_25519_ChaChaPoly_SHA256`, the client
//! begins, and everything travels in frames.
//!
//! A frame is the byte `01`, the payload's length as two bytes, and the payload. During the
//! handshake a payload is a status byte (`00`, or another one and a reason in words) and a Noise
//! message; afterwards it is the ciphertext of one protocol field. The prologue holds every byte
//! that both sides have said in the clear, so that nobody can change one of them unnoticed.
//!
//! The one secret that the client draws, its ephemeral key, comes in from outside: [`Drawn`]
//! hands it to `snow` in place of a random generator, so that the core has no source of
//! randomness, and a session with the same input gives the same output.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};

use super::codec::MAGIC;
use super::error::{OtaError, Violation};

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
const PROLOGUE: &[u8] = b"NoiseOTAInit";

/// The first byte of every frame.
const INDICATOR: u8 = 0x01;
const HEADER: usize = 3;
const TAG: usize = 16;

/// The most plaintext that a device takes in one frame.
pub const MAX_PLAINTEXT: usize = 1024;
/// The longest payload that is accepted. What devices send is far shorter.
const MAX_PAYLOAD: usize = MAX_PLAINTEXT + TAG;
/// A full frame of the image on the wire.
const IMAGE_FRAME: usize = HEADER + MAX_PLAINTEXT + TAG;

/// Image frames that are sealed ahead: enough to keep the socket busy, little enough to be no
/// second copy of the image.
const FRAMES_AHEAD: usize = 16;

/// The status byte of a handshake message that goes on.
const STATUS_OK: u8 = 0x00;
/// What a device says to a client that has another key.
const MAC_FAILURE: &str = "Handshake MAC failure";

/// The key that client and device share. Its `Debug` form doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionKey([u8; 32]);

impl EncryptionKey {
    /// Reads a key as configurations have it: 32 bytes in base64. `None`: it is none.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text.trim()).ok()?.try_into().ok().map(Self)
    }
}

impl std::fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EncryptionKey(***)")
    }
}

/// What was agreed on in the clear, all of which the handshake confirms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preamble {
    pub(super) version: u8,
    pub(super) client_features: u8,
    /// The device's two bytes: the marker and its flags.
    pub(super) feature_answer: [u8; 2],
}

impl Preamble {
    fn prologue(self) -> Vec<u8> {
        let ours = [0x00, self.version, self.client_features];
        [PROLOGUE, &MAGIC, &ours, &self.feature_answer].concat()
    }
}

/// Puts frames together, byte by byte; keeps one frame at most.
#[derive(Debug, Default)]
struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// The payload, when this byte completes a frame.
    fn take(&mut self, byte: u8) -> Result<Option<Vec<u8>>, Violation> {
        self.bytes.push(byte);
        let &[indicator, ref rest @ ..] = self.bytes.as_slice() else { return Ok(None) };
        if indicator != INDICATOR {
            return Err(Violation::NotAFrame(indicator));
        }
        let &[high, low, ref payload @ ..] = rest else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        match length {
            0 => Err(Violation::EmptyFrame),
            1..=MAX_PAYLOAD if payload.len() < length => Ok(None),
            1..=MAX_PAYLOAD => {
                let payload = self.bytes.split_off(HEADER);
                self.bytes.clear();
                Ok(Some(payload))
            }
            _ => Err(Violation::FrameTooLong(length)),
        }
    }
}

/// Appends a frame's header.
fn put_header(payload: usize, wire: &mut Vec<u8>) {
    // Every payload is far below 64 KiB.
    let [high, low] = u16::try_from(payload).unwrap_or(u16::MAX).to_be_bytes();
    wire.extend_from_slice(&[INDICATOR, high, low]);
}

/// The handshake: one message there, one back.
pub(super) struct Handshake {
    state: HandshakeState,
    frames: Frames,
}

impl Handshake {
    /// Begins; the frame to send is appended to the wire bytes.
    pub(super) fn begin(
        key: &EncryptionKey,
        ephemeral: [u8; 32],
        preamble: Preamble,
        wire: &mut Vec<u8>,
    ) -> Result<Self, OtaError> {
        let mut message = [0; 128];
        let begun = initiator(key, ephemeral, &preamble.prologue()).and_then(|mut state| {
            let length = state.write_message(&[], &mut message)?;
            Ok((state, length))
        });
        let (state, length) = begun.map_err(|error| unusable(&error))?;
        put_header(1 + length, wire);
        wire.push(STATUS_OK);
        wire.extend_from_slice(message.get(..length).unwrap_or_default());
        Ok(Self { state, frames: Frames::default() })
    }

    /// Takes one byte; `true` when the device's message is complete and right.
    pub(super) fn take(&mut self, byte: u8) -> Result<bool, OtaError> {
        let step = super::Step::Encryption;
        let payload =
            self.frames.take(byte).map_err(|violation| OtaError::Protocol { violation, step })?;
        let Some(payload) = payload else { return Ok(false) };
        match payload.split_first() {
            Some((&STATUS_OK, message)) => {
                let mut nothing = [0; MAX_PAYLOAD];
                // The device knows the key: it has accepted ours. Its answer fails when somebody
                // has changed what was said in the clear, or is no answer to our message.
                self.state.read_message(message, &mut nothing).map_err(|_| OtaError::WrongKey)?;
                Ok(true)
            }
            Some((_, reason)) => Err(refusal(reason)),
            None => Err(OtaError::Protocol { violation: Violation::EmptyFrame, step }),
        }
    }

    /// The channel that the finished handshake has made.
    pub(super) fn finish(self) -> Result<Transport, OtaError> {
        let state = self.state.into_transport_mode().map_err(|error| unusable(&error))?;
        Ok(Transport { state, frames: self.frames, ahead: Ahead::default() })
    }
}

fn initiator(
    key: &EncryptionKey,
    ephemeral: [u8; 32],
    prologue: &[u8],
) -> Result<HandshakeState, snow::Error> {
    Builder::with_resolver(PATTERN.parse()?, Box::new(Drawn(ephemeral)))
        .psk(0, &key.0)?
        .prologue(prologue)?
        .build_initiator()
}

fn refusal(reason: &[u8]) -> OtaError {
    let reason: String =
        String::from_utf8_lossy(reason).chars().filter(|c| !c.is_control()).take(100).collect();
    if reason == MAC_FAILURE { OtaError::WrongKey } else { OtaError::HandshakeRefused { reason } }
}

fn unusable(error: &snow::Error) -> OtaError {
    OtaError::Encryption { reason: error.to_string() }
}

/// An encrypted connection.
pub(super) struct Transport {
    state: TransportState,
    frames: Frames,
    ahead: Ahead,
}

/// Image frames that are sealed and not yet handed over.
#[derive(Default)]
struct Ahead {
    wire: Vec<u8>,
    taken: usize,
    /// Image bytes in `wire`.
    plain: usize,
    /// Those of them in frames that were handed over as a whole.
    reported: usize,
}

impl Transport {
    /// Appends one protocol field, in a frame of its own.
    pub(super) fn seal(&mut self, field: &[u8], wire: &mut Vec<u8>) -> Result<(), OtaError> {
        for piece in field.chunks(MAX_PLAINTEXT) {
            let mut sealed = [0; MAX_PAYLOAD];
            let length =
                self.state.write_message(piece, &mut sealed).map_err(|error| unusable(&error))?;
            put_header(length, wire);
            wire.extend_from_slice(sealed.get(..length).unwrap_or_default());
        }
        Ok(())
    }

    /// Takes one byte; the protocol bytes of the frame that it completes.
    pub(super) fn open(&mut self, byte: u8) -> Result<Option<Vec<u8>>, Violation> {
        let Some(mut sealed) = self.frames.take(byte)? else { return Ok(None) };
        let mut plain = [0; MAX_PAYLOAD];
        let length =
            self.state.read_message(&sealed, &mut plain).map_err(|_| Violation::NotAuthentic)?;
        if length == 0 {
            return Err(Violation::EmptyFrame);
        }
        sealed.clear();
        sealed.extend_from_slice(plain.get(..length).unwrap_or_default());
        Ok(Some(sealed))
    }

    /// Image frames to hand over.
    pub(super) fn sealed_image(&self) -> &[u8] {
        self.ahead.wire.get(self.ahead.taken..).unwrap_or_default()
    }

    /// Seals more of the image, when all that was sealed has been handed over. `sendable` is what
    /// may be sent now; what is less than a frame waits, unless it is the end of the image.
    pub(super) fn seal_image(
        &mut self,
        image: &[u8],
        sendable: Range<usize>,
    ) -> Result<(), OtaError> {
        if !self.sealed_image().is_empty() {
            return Ok(());
        }
        let ends = sendable.end == image.len();
        let most = sendable.len().min(FRAMES_AHEAD * MAX_PLAINTEXT);
        let whole = if ends && most == sendable.len() { most } else { most - most % MAX_PLAINTEXT };
        let piece = image.get(sendable.start..sendable.start + whole).unwrap_or_default();
        let mut wire = std::mem::take(&mut self.ahead).wire;
        wire.clear();
        self.seal(piece, &mut wire)?;
        self.ahead = Ahead { wire, plain: piece.len(), ..Ahead::default() };
        Ok(())
    }

    /// Says that bytes of [`Self::sealed_image`] were handed over; returns how many image bytes
    /// are in the frames that this has completed. A device makes use of whole frames only.
    pub(super) fn image_taken(&mut self, count: usize) -> usize {
        let ahead = &mut self.ahead;
        ahead.taken = ahead.wire.len().min(ahead.taken.saturating_add(count));
        let complete = if ahead.taken == ahead.wire.len() {
            ahead.plain
        } else {
            ahead.taken / IMAGE_FRAME * MAX_PLAINTEXT
        };
        let new = complete - ahead.reported;
        ahead.reported = complete;
        new
    }
}

/// In place of a random generator: the ephemeral key, once.
struct Drawn([u8; 32]);

impl CryptoResolver for Drawn {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.0))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct Once(Option<[u8; 32]>);

impl Random for Once {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        // A second draw would give the same bytes again, so there is none.
        match self.0.take() {
            Some(drawn) if drawn.len() == out.len() => {
                out.copy_from_slice(&drawn);
                Ok(())
            }
            Some(_) | None => Err(snow::Error::Rng),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(frames: &mut Frames, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Violation> {
        let mut payloads = Vec::new();
        for byte in bytes {
            payloads.extend(frames.take(*byte)?);
        }
        Ok(payloads)
    }

    #[test]
    fn a_key_is_32_bytes_in_base64() {
        let key = EncryptionKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let expected: Vec<u8> = (0..32).collect();
        assert_eq!(key.as_ref().unwrap().0.to_vec(), expected);
        assert!(!format!("{key:?}").contains("31"));
        for wrong in
            ["", "AAECAw==", "not base64 at all", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]
        {
            assert_eq!(EncryptionKey::from_base64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn frames_that_are_none_are_told_apart() {
        assert_eq!(all(&mut Frames::default(), &[0x02]), Err(Violation::NotAFrame(2)));
        assert_eq!(all(&mut Frames::default(), &[1, 0, 0]), Err(Violation::EmptyFrame));
        assert_eq!(all(&mut Frames::default(), &[1, 4, 17]), Err(Violation::FrameTooLong(1041)));
        assert_eq!(all(&mut Frames::default(), &[1, 0, 1]), Ok(vec![]));
    }

    #[test]
    fn a_reason_is_cut_and_cleaned() {
        assert_eq!(refusal(b"Handshake MAC failure"), OtaError::WrongKey);
        let long = [b"no\n".as_slice(), &[b'x'; 500]].concat();
        let OtaError::HandshakeRefused { reason } = refusal(&long) else { panic!("{long:?}") };
        assert!(reason.starts_with("nox") && reason.len() == 100);
    }

    #[test]
    fn the_random_bytes_are_given_out_once() {
        let mut once = Once(Some([7; 32]));
        let mut out = [0; 32];
        once.try_fill_bytes(&mut out).unwrap();
        assert_eq!(out, [7; 32]);
        assert_eq!(once.try_fill_bytes(&mut out), Err(snow::Error::Rng));
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..=MAX_PAYLOAD), 0..5),
        ) {
            let mut wire = Vec::new();
            for payload in &payloads {
                put_header(payload.len(), &mut wire);
                wire.extend_from_slice(payload);
            }
            prop_assert_eq!(all(&mut Frames::default(), &wire), Ok(payloads));
        }

        #[test]
        fn no_more_than_one_frame_is_kept(
            length in 0u16..1200,
            bytes in proptest::collection::vec(any::<u8>(), 0..5000),
        ) {
            let mut wire = vec![INDICATOR];
            wire.extend_from_slice(&length.to_be_bytes());
            wire.extend_from_slice(&bytes);
            let mut frames = Frames::default();
            for byte in wire {
                if frames.take(byte).is_err() {
                    break;
                }
                prop_assert!(frames.bytes.len() < HEADER + MAX_PAYLOAD);
            }
        }
    }
}
