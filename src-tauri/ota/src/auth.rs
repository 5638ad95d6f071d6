//! The password check: a challenge, answered with a hash.

use md5::Md5;
use sha2::{Digest, Sha256};
use wakeflash_noise::Ephemeral;

/// An OTA password. Its `Debug` form doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Wraps a password.
    #[must_use]
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(***)")
    }
}

/// The random bytes of one session: 32 for the client's nonce in the password check, 32 for its
/// ephemeral key in the Noise handshake. They are fresh for each session, from a generator that is
/// fit for cryptography: the core makes no randomness of its own.
#[derive(Clone, Copy)]
pub struct Randomness {
    nonce: [u8; 32],
    ephemeral: [u8; 32],
}

impl Randomness {
    /// How many bytes a session needs.
    pub const LENGTH: usize = 64;

    /// Takes over random bytes.
    #[must_use]
    pub fn new(bytes: [u8; Self::LENGTH]) -> Self {
        let (mut nonce, mut ephemeral) = ([0; 32], [0; 32]);
        let (first, second) = bytes.split_at(32);
        nonce.copy_from_slice(first);
        ephemeral.copy_from_slice(second);
        Self { nonce, ephemeral }
    }

    pub(super) fn nonce(&self) -> [u8; 32] {
        self.nonce
    }

    pub(super) fn ephemeral(&self) -> Ephemeral {
        Ephemeral::new(self.ephemeral)
    }
}

impl std::fmt::Debug for Randomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Randomness(***)")
    }
}

/// Which password checks may be answered. The answer to a challenge lets whoever sent it try
/// passwords at leisure, so it is given only to a peer that is known, and MD5, which makes that
/// cheap, only to firmware that is known to have nothing better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// SHA-256, as all firmware since ESPHome 2025.10 wants it from a client that knows it.
    Sha256,
    /// MD5 too: the firmware is older.
    AlsoMd5,
}

impl PasswordCheck {
    pub(super) fn allows(self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Sha256 => true,
            Scheme::Md5 => self == Self::AlsoMd5,
        }
    }
}

/// The hash that the device asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Firmware from before SHA-256 was introduced.
    Md5,
    Sha256,
}

impl Scheme {
    /// The length of nonces and responses: a digest in hexadecimal.
    pub(super) fn hex_len(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha256 => 64,
        }
    }

    /// The client's nonce and then hex(H(password, device nonce, client nonce)).
    pub(super) fn reply(self, password: &Password, nonce: &[u8], client: [u8; 32]) -> Vec<u8> {
        let own: String = hex::encode(client).chars().take(self.hex_len()).collect();
        let proof = match self {
            Self::Md5 => hex::encode(digest::<Md5>(password, nonce, &own)),
            Self::Sha256 => hex::encode(digest::<Sha256>(password, nonce, &own)),
        };
        let mut reply = own.into_bytes();
        reply.extend_from_slice(proof.as_bytes());
        reply
    }
}

fn digest<H: Digest>(password: &Password, nonce: &[u8], own: &str) -> Vec<u8> {
    let mut hash = H::new();
    hash.update(password.0.as_bytes());
    hash.update(nonce);
    hash.update(own.as_bytes());
    hash.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_a_nonce_and_a_hash_of_the_right_length() {
        let password = Password::new("hunter2");
        for scheme in [Scheme::Md5, Scheme::Sha256] {
            let nonce = vec![b'a'; scheme.hex_len()];
            let reply = scheme.reply(&password, &nonce, [0xAB; 32]);
            assert_eq!(reply.len(), 2 * scheme.hex_len());
            assert!(reply.starts_with(b"abab"));
        }
    }

    #[test]
    fn the_hashes_of_known_input_are_known() {
        // Computed with another implementation, over "hunter2", a nonce of "a" and one of "0".
        let known = [
            (Scheme::Md5, "523d5d7ddfa57455373272624daaf2e0"),
            (Scheme::Sha256, "83345dda939f941f57b6d97325c0ed0b64125d8298c0a8ae3d18c1e7cc1d0276"),
        ];
        for (scheme, expected) in known {
            let nonce = vec![b'a'; scheme.hex_len()];
            let reply = scheme.reply(&Password::new("hunter2"), &nonce, [0; 32]);
            assert_eq!(&reply[scheme.hex_len()..], expected.as_bytes());
        }
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        assert!(!format!("{:?}", Password::new("hunter2")).contains("hunter2"));
        assert!(!format!("{:?}", Randomness::new([7; 64])).contains('7'));
    }
}
