//! What lies between the session and the wire.
//!
//! The session produces protocol fields and reads protocol bytes; a channel turns fields into
//! wire bytes and back. In the clear both are the same. An encrypted channel would be another
//! variant of [`Channel`]: it seals each field into a frame of its own and opens whole frames,
//! and the exhaustive matches show every place that has to care.

use std::borrow::Cow;

/// Whether an update may travel in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// The configuration asks for no encryption of updates.
    NotRequired,
    /// The configuration requires encryption (`ota: encryption: key`): the image, which holds
    /// Wi-Fi credentials, must never be sent in the clear.
    ///
    /// This client can't encrypt yet, so a session with this policy fails before its first byte.
    Required,
}

/// How fields travel.
#[derive(Debug)]
pub(super) enum Channel {
    /// Fields are bytes on the wire.
    Plain,
}

impl Channel {
    /// Appends one protocol field to the wire bytes.
    pub(super) fn seal(&mut self, field: &[u8], wire: &mut Vec<u8>) {
        match self {
            Self::Plain => wire.extend_from_slice(field),
        }
    }

    /// The protocol bytes in what came over the wire.
    pub(super) fn open<'a>(&mut self, wire: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            Self::Plain => Cow::Borrowed(wire),
        }
    }
}
