//! Randomness that was drawn elsewhere.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

/// A client's ephemeral secret: 32 bytes of the system's generator, drawn for one handshake. It
/// can't be copied, so that it isn't used twice; its `Debug` form doesn't show it.
pub struct Ephemeral([u8; 32]);

impl Ephemeral {
    /// Takes bytes that were drawn for one handshake.
    #[must_use]
    pub fn new(drawn: [u8; 32]) -> Self {
        Self(drawn)
    }

    pub(crate) fn resolver(self) -> Drawn {
        Drawn(self.0)
    }
}

impl std::fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ephemeral(***)")
    }
}

/// In place of a random generator: the ephemeral secret, once.
pub(crate) struct Drawn([u8; 32]);

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
    use super::*;

    #[test]
    fn the_random_bytes_are_given_out_once() {
        let mut once = Once(Some([7; 32]));
        let mut out = [0; 32];
        once.try_fill_bytes(&mut out).unwrap();
        assert_eq!(out, [7; 32]);
        assert_eq!(once.try_fill_bytes(&mut out), Err(snow::Error::Rng));
    }
}
