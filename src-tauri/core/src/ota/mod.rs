//! A client for ESPHome's over-the-air protocol that does no I/O.
//!
//! The protocol is that of ESPHome's `ota: platform: esphome`, versions 1 and 2, with MD5 and
//! SHA-256 password checks, the legacy and the extended feature answer, and images sent as raw
//! deflate, gzip or as they are. Noise encryption is not spoken yet; [`Encryption::Required`]
//! makes a session refuse to run rather than send an image in the clear.
//!
//! # How to use it
//!
//! 1. Build a [`PreparedImage`] long before the device wakes: it holds every form of the image
//!    that a device may ask for.
//! 2. Make a [`Session`] when a connection opens. Write what [`Session::transmit`] shows, report
//!    how much was taken with [`Session::transmitted`], feed what arrives to
//!    [`Session::receive`], and look at [`Session::poll_event`] after each.
//! 3. Call [`Session::open_gate`] when the device is surely the right one. Until then nothing of
//!    the update is produced.
//! 4. On [`SessionEvent::AboutToComplete`] record that the image may soon be complete on the
//!    device, then call [`Session::allow_completion`]. Until then the end of the image is held.
//! 5. [`SessionEvent::Accepted`] says that the device has confirmed the update. When the
//!    connection dies first, [`Session::closed`], [`Session::timed_out`] or
//!    [`Session::cancelled`] say what that means.
//!
//! # Round trips
//!
//! The device reads its input strictly in order and byte by byte, so what needs no answer is
//! sent along: the features with the magic, the response with the client's nonce, the MD5 and
//! the image without waiting for the answer to the MD5 (there is no way for it to fail). The
//! sizes are the one thing that is waited for: a device that has no room closes the connection
//! right after its error byte, and input that it had not read would turn that close into a
//! reset that can overtake the byte. Image bytes start three round trips after the connection
//! opened with a password, two without.
//!
//! A device that has accepted the password enters its blocking data phase before it says so.
//! From the password's acceptance on it can't fall asleep, even while the gate is still shut.

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

pub use auth::{Password, Randomness};
pub use channel::Encryption;
pub use codec::{ACK_BLOCK, Compression, DEFLATE_WINDOW_BITS, MAGIC};
pub use device_error::DeviceError;
pub use error::{FailureClass, OtaError, Violation};
pub use image::{ImageError, MAX_IMAGE_SIZE, PreparedImage};
pub use noise::{EncryptionKey, MAX_PLAINTEXT};
pub use session::{Session, SessionEvent, SessionRequest};
pub use step::{Progress, Step};
pub use transfer::{COMPLETION_NOTICE, HELD_TAIL, WINDOW};
