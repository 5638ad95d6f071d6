//! A client for ESPHome's over-the-air protocol that does no I/O.
//!
//! The protocol is that of ESPHome's `ota: platform: esphome`, versions 1 and 2, with MD5 and
//! SHA-256 password checks, the legacy and the extended feature answer, Noise encryption, and images
//! sent as raw deflate, gzip or as they are. [`Encryption`] says what may travel in the clear;
//! nothing that a device says, and no fault of the network, changes that.
//!
//! # How to use it
//!
//! 1. Build a [`PreparedImage`] long before the device wakes: it holds every form of the image
//!    that a device may ask for.
//! 2. Make a [`Session`] when a connection opens. Write what [`Session::transmit`] shows, report
//!    how much was taken with [`Session::transmitted`], feed what arrives to
//!    [`Session::receive`], and look at [`Session::poll_event`] after each.
//! 3. Call [`Session::answer_challenge`] when the peer is known, as far as a password goes. Until
//!    then no answer to its challenge is produced.
//! 4. Call [`Session::open_gate`] when the device is surely the right one. Until then nothing of
//!    the update is produced, and the image needn't be in memory.
//! 5. On [`SessionEvent::AboutToComplete`] record that the image may soon be complete on the
//!    device, then call [`Session::allow_completion`]. Until then the end of the image is held.
//! 6. [`SessionEvent::Accepted`] says that the device has confirmed the update. When the
//!    connection dies first, [`Session::closed`], [`Session::timed_out`] or
//!    [`Session::cancelled`] say what that means. One of these meanings is
//!    [`FailureClass::OutcomeUnknown`]: the device may have the whole image, or not.
//!
//! ```
//! use std::sync::Arc;
//! use wakeflash_ota::{
//!     Encryption, PreparedImage, Randomness, Session, SessionEvent, SessionRequest,
//! };
//!
//! let image = Arc::new(PreparedImage::new(b"firmware".to_vec())?);
//! let request = SessionRequest { password: None, encryption: Encryption::None };
//! // These come from the system's generator.
//! let mut session = Session::new(request, Randomness::new([7; Randomness::LENGTH]));
//! session.open_gate(image);
//! session.allow_completion();
//!
//! // A device that has no password, takes the image as it is, and finds it right.
//! let answers: [&[u8]; 5] = [&[0, 2, 0x48, 0], &[0x41], &[0x42], &[0x43], &[0x47, 0x44, 0x45]];
//! for answer in answers {
//!     while !session.transmit().is_empty() {
//!         let written = session.transmit().len();
//!         session.transmitted(written);
//!     }
//!     session.receive(answer)?;
//! }
//! assert!(session.accepted());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Round trips
//!
//! The device reads its input strictly in order and byte by byte, so what needs no answer is
//! sent along: the features with the magic, the response with the client's nonce, the MD5 and
//! the image without waiting for the answer to the MD5 (there is no way for it to fail). The
//! sizes are the one thing that is waited for: a device that has no room closes the connection
//! right after its error byte, and input that it had not read would turn that close into a
//! reset that can overtake the byte.
//!
//! | waits for the device      | no password | password | Noise |
//! |---------------------------|-------------|----------|-------|
//! | greeting and features     | 1           | 1        | 1     |
//! | nonce, or Noise handshake |             | 1        | 1     |
//! | sizes                     | 1           | 1        | 1     |
//! | until the first image byte| 2           | 3        | 3     |
//!
//! The opening of the connection is one more. Nothing can be sent together with the client's
//! Noise message, nor that message earlier: its prologue holds the flags that the device answers
//! to the features, and the keys of everything after it need the device's ephemeral key. The
//! device's first encrypted answer comes right behind its handshake message; it asks for no
//! password then.
//!
//! A device that has accepted the password or the key enters its blocking data phase before it
//! says so. From then on it can't fall asleep, even while the gate is still shut.

#![warn(missing_docs)]

mod auth;
mod channel;
mod codec;
mod device_error;
mod error;
mod image;
mod noise;
mod session;
mod step;
mod transfer;

pub use auth::{Password, PasswordCheck, Randomness};
pub use channel::Encryption;
pub use codec::{ACK_BLOCK, Compression, DEFLATE_WINDOW_BITS, MAGIC};
pub use device_error::DeviceError;
pub use error::{FailureClass, OtaError, Violation};
pub use image::{ImageError, MAX_IMAGE_SIZE, PreparedImage};
pub use noise::MAX_PLAINTEXT;
pub use session::{Session, SessionEvent, SessionRequest};
pub use step::{Progress, Step};
pub use transfer::{COMPLETION_NOTICE, HELD_TAIL, WINDOW};
pub use wakeflash_noise::EncryptionKey;
