//! What lies between the session and the wire.
//!
//! The session produces protocol fields and reads protocol bytes; a channel turns fields into
//! wire bytes and back.

use wakeflash_noise::EncryptionKey;

use super::noise::{Handshake, Transport};

/// Whether an update may travel in the clear. Nothing that a device says changes this: what
/// isn't allowed here is never sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// No key is known: in the clear.
    None,
    /// Encrypted with this key when the device offers it, else in the clear.
    WhenOffered(EncryptionKey),
    /// Encrypted with this key or not at all: an image holds Wi-Fi credentials.
    Required(EncryptionKey),
}

impl Encryption {
    /// The key, when there is one.
    #[must_use]
    pub fn key(&self) -> Option<&EncryptionKey> {
        match self {
            Self::None => None,
            Self::WhenOffered(key) | Self::Required(key) => Some(key),
        }
    }
}

/// How fields travel.
pub(super) enum Channel {
    /// Fields are bytes on the wire.
    Plain,
    /// The device's part of the Noise handshake is awaited; nothing else can be sent.
    Handshake(Box<Handshake>),
    /// Each field in an encrypted frame of its own.
    Noise(Box<Transport>),
}

impl std::fmt::Debug for Channel {
    /// Its kind only: the rest is keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Handshake(_) => "Handshake",
            Self::Noise(_) => "Noise",
        })
    }
}
