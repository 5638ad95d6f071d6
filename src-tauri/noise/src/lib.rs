//! Noise as ESPHome's over-the-air protocol and its native API use it, without I/O.
//!
//! Both speak `Noise_NNpsk0_25519_ChaChaPoly_SHA256`, the client begins, and everything travels in
//! frames: the byte `01`, the payload's length as two bytes, the payload. A payload of the handshake
//! is a status byte (`00`, or another one and a reason in words) and a Noise message; afterwards it
//! is a ciphertext. What differs is the prologue, and what is said inside.
//!
//! The one secret that a client draws is an argument ([`Ephemeral`]): the same input gives the same
//! output, and this crate has no source of randomness.

#![warn(missing_docs)]

mod drawn;
mod frames;
mod handshake;
mod key;

pub use drawn::Ephemeral;
pub use frames::{FrameError, Frames, HEADER, INDICATOR, TAG, put_frame};
pub use handshake::{Handshake, HandshakeError, Transport, TransportError};
pub use key::EncryptionKey;
