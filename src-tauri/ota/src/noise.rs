//! Noise as the OTA protocol uses it: in the prologue stands every byte that both sides have said in the
//! clear, so that nobody can change one of them unnoticed, and each protocol field has a frame of its own.

use std::ops::Range;

use wakeflash_noise::{
    EncryptionKey, Ephemeral, FrameError, Frames, HEADER, HandshakeError, TAG, TransportError,
};

use super::codec::MAGIC;
use super::error::{OtaError, Violation};

const PROLOGUE: &[u8] = b"NoiseOTAInit";

/// The most plaintext that a device takes in one frame.
pub const MAX_PLAINTEXT: usize = 1024;
/// The longest payload that is accepted. What devices send is far shorter.
const MAX_PAYLOAD: u16 = (MAX_PLAINTEXT + TAG) as u16;
/// A full frame of the image on the wire.
const IMAGE_FRAME: usize = HEADER + MAX_PLAINTEXT + TAG;

/// Image frames that are sealed ahead: enough to keep the socket busy, little enough to be no
/// second copy of the image.
const FRAMES_AHEAD: usize = 16;

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

impl From<FrameError> for Violation {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::NotAFrame(byte) => Self::NotAFrame(byte),
            FrameError::Empty => Self::EmptyFrame,
            FrameError::TooLong(length) => Self::FrameTooLong(length),
        }
    }
}

impl From<HandshakeError> for OtaError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::WrongKey => Self::WrongKey,
            HandshakeError::Refused(reason) => Self::HandshakeRefused { reason },
            HandshakeError::Unusable(reason) => Self::Encryption { reason },
            HandshakeError::Empty => in_handshake(Violation::EmptyFrame),
        }
    }
}

fn in_handshake(violation: Violation) -> OtaError {
    OtaError::Protocol { violation, step: super::Step::Encryption }
}

/// The handshake: one message there, one back.
pub(super) struct Handshake {
    noise: wakeflash_noise::Handshake,
    frames: Frames,
}

impl Handshake {
    /// Begins; the frame to send is appended to the wire bytes.
    pub(super) fn begin(
        key: &EncryptionKey,
        ephemeral: Ephemeral,
        preamble: Preamble,
        wire: &mut Vec<u8>,
    ) -> Result<Self, OtaError> {
        let noise = wakeflash_noise::Handshake::begin(key, ephemeral, &preamble.prologue(), wire)?;
        Ok(Self { noise, frames: Frames::new(MAX_PAYLOAD) })
    }

    /// Takes one byte; the device's message, when this completes it.
    pub(super) fn take(&mut self, byte: u8) -> Result<Option<Vec<u8>>, OtaError> {
        self.frames.take(byte).map_err(|error| in_handshake(error.into()))
    }

    /// The channel that the device's message makes.
    pub(super) fn finish(self, message: &[u8]) -> Result<Transport, OtaError> {
        let noise = self.noise.finish(message)?;
        Ok(Transport { noise, frames: self.frames, ahead: Ahead::default() })
    }
}

/// An encrypted connection.
pub(super) struct Transport {
    noise: wakeflash_noise::Transport,
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
            let unusable =
                |error: TransportError| OtaError::Encryption { reason: error.to_string() };
            self.noise.seal(piece, wire).map_err(unusable)?;
        }
        Ok(())
    }

    /// Takes one byte; the protocol bytes of the frame that it completes.
    pub(super) fn open(&mut self, byte: u8) -> Result<Option<Vec<u8>>, Violation> {
        let Some(sealed) = self.frames.take(byte)? else { return Ok(None) };
        match self.noise.open(&sealed) {
            Ok(plain) if plain.is_empty() => Err(Violation::EmptyFrame),
            Ok(plain) => Ok(Some(plain)),
            Err(_) => Err(Violation::NotAuthentic),
        }
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
