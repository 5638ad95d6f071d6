//! The device's side of Noise: the responder, and the frames. It does no I/O; the tests of the core
//! use it as well.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";

/// The most ciphertext that a device takes in one frame.
pub(crate) const MAX_CIPHERTEXT: usize = 1024 + 16;

/// A frame with this payload.
#[must_use]
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[1], &length[..], payload].concat()
}

/// What both sides have said in the clear, as the prologue wants it.
#[must_use]
pub(crate) fn prologue(version: u8, client_features: u8, server_flags: u8) -> Vec<u8> {
    let said = [0x6C, 0x26, 0xF7, 0x5C, 0x45, 0x00, version, client_features, 0x48, server_flags];
    [&b"NoiseOTAInit"[..], &said].concat()
}

/// The handshake as a device makes it.
pub(crate) struct Responder(HandshakeState);

impl Responder {
    /// Waits for the client's message.
    ///
    /// # Errors
    /// When the key is none.
    pub(crate) fn new(key: &[u8; 32], prologue: &[u8]) -> Result<Self, snow::Error> {
        let builder = Builder::with_resolver(PATTERN.parse()?, Box::new(Fixed));
        builder.psk(0, key)?.prologue(prologue)?.build_responder().map(Self)
    }

    /// Takes the payload of the client's frame; gives that of the answer, and the connection if the key was
    /// the same.
    ///
    /// # Errors
    /// When the client's message is none.
    pub(crate) fn answer(
        mut self,
        payload: &[u8],
    ) -> Result<(Vec<u8>, Option<Connection>), snow::Error> {
        let reject = |reason: &[u8]| [&[1], reason].concat();
        let Some((&0, message)) = payload.split_first() else { return Err(snow::Error::Input) };
        let mut buffer = [0; 256];
        match self.0.read_message(message, &mut buffer) {
            Ok(_) => {}
            Err(snow::Error::Decrypt) => return Ok((reject(b"Handshake MAC failure"), None)),
            Err(_) => return Ok((reject(b"Handshake error"), None)),
        }
        let length = self.0.write_message(&[], &mut buffer)?;
        let connection = Connection(self.0.into_transport_mode()?);
        Ok(([&[0], &buffer[..length]].concat(), Some(connection)))
    }
}

/// An encrypted connection, seen from the device.
pub(crate) struct Connection(TransportState);

impl Connection {
    /// A frame with this plaintext.
    ///
    /// # Errors
    /// When it is too long.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Result<Vec<u8>, snow::Error> {
        let mut sealed = vec![0; plain.len() + 16];
        let length = self.0.write_message(plain, &mut sealed)?;
        Ok(frame(&sealed[..length]))
    }

    /// The plaintext of a frame's payload.
    ///
    /// # Errors
    /// When it was changed.
    pub(crate) fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, snow::Error> {
        let mut plain = vec![0; sealed.len()];
        let length = self.0.read_message(sealed, &mut plain)?;
        plain.truncate(length);
        Ok(plain)
    }
}

/// An ephemeral key that is always the same: a test is to be the same every time.
struct Fixed;

impl CryptoResolver for Fixed {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Self))
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

impl Random for Fixed {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        out.fill(0x42);
        Ok(())
    }
}
