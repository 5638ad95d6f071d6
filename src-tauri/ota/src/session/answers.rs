//! What the session makes of each answer.

use super::super::auth::Scheme;
use super::super::channel::{Channel, Encryption};
use super::super::codec::{Compression, TYPE_APP, answer, server, size_field};
use super::super::device_error::DeviceError;
use super::super::error::{OtaError, Violation};
use super::super::noise::{Handshake, Preamble};
use super::super::step::Step;
use super::super::transfer::Transfer;
use super::{Session, SessionEvent, State};

impl Session {
    pub(super) fn on_wire_byte(&mut self, byte: u8) -> Result<(), OtaError> {
        let step = self.step();
        let broken = |violation| OtaError::Protocol { violation, step };
        let done = matches!(self.state, State::Accepted);
        match &mut self.channel {
            Channel::Plain => self.on_byte(byte),
            // The update is done; nothing that follows can change that.
            Channel::Noise(_) if done => Ok(()),
            Channel::Noise(noise) => {
                for byte in noise.open(byte).map_err(broken)?.unwrap_or_default() {
                    self.on_byte(byte)?;
                }
                Ok(())
            }
            Channel::Handshake(handshake) => {
                if !self.wire.is_empty() {
                    return Err(broken(Violation::UnexpectedByte(byte)));
                }
                match handshake.take(byte)? {
                    Some(message) => self.finish_key_exchange(&message),
                    None => Ok(()),
                }
            }
        }
    }

    fn finish_key_exchange(&mut self, message: &[u8]) -> Result<(), OtaError> {
        if let Channel::Handshake(handshake) = std::mem::replace(&mut self.channel, Channel::Plain)
        {
            self.channel = Channel::Noise(Box::new(handshake.finish(message)?));
        }
        self.state = State::AuthRequest;
        Ok(())
    }

    fn on_byte(&mut self, byte: u8) -> Result<(), OtaError> {
        // Flags are not an answer: their highest bit is no error.
        if !matches!(self.state, State::FeatureFlags | State::Accepted)
            && let Some(error) = DeviceError::from_byte(byte)
        {
            return Err(OtaError::Device { error, step: self.step() });
        }
        let outcome = match &self.state {
            State::Greeting => self.on_greeting(byte),
            State::Version => return self.on_version(byte),
            State::Features => return self.on_features(byte),
            State::FeatureFlags => return self.on_flags(byte),
            State::AuthRequest => return self.on_auth_request(byte),
            State::Nonce { .. } => return self.on_nonce(byte),
            State::AuthResult => self.on_auth_result(byte),
            State::Prepare => self.on_prepare(byte),
            State::Checksum => self.on_checksum(byte),
            State::Transfer => self.on_transfer(byte),
            State::Received => self.on_received(byte),
            State::Challenged { .. } | State::Gate | State::KeyExchange => {
                Err(Violation::UnexpectedByte(byte))
            }
            // The update is done; nothing that follows can change that.
            State::Accepted | State::Failed(_) => Ok(()),
        };
        outcome.map_err(|violation| OtaError::Protocol { violation, step: self.step() })
    }

    fn on_greeting(&mut self, byte: u8) -> Result<(), Violation> {
        self.expect(byte, answer::OK)?;
        self.state = State::Version;
        Ok(())
    }

    fn on_version(&mut self, version: u8) -> Result<(), OtaError> {
        if !matches!(version, 1 | 2) {
            return Err(OtaError::UnsupportedVersion { version });
        }
        self.version = version;
        self.state = State::Features;
        Ok(())
    }

    fn on_features(&mut self, byte: u8) -> Result<(), OtaError> {
        let broken = |violation| OtaError::Protocol { violation, step: Step::Features };
        self.after_question(byte).map_err(broken)?;
        match byte {
            answer::FEATURE_FLAGS => {
                self.extended = true;
                self.state = State::FeatureFlags;
                return Ok(());
            }
            answer::SUPPORTS_GZIP => self.compression = Compression::Gzip,
            answer::HEADER_OK => self.compression = Compression::Raw,
            other => return Err(broken(Violation::UnexpectedByte(other))),
        }
        self.go_on_in_the_clear()
    }

    fn on_flags(&mut self, flags: u8) -> Result<(), OtaError> {
        self.compression = if flags & server::DEFLATE != 0 {
            Compression::Deflate
        } else if flags & server::GZIP != 0 {
            Compression::Gzip
        } else {
            Compression::Raw
        };
        let Some(key) = self.request.encryption.key().filter(|_| flags & server::NOISE != 0) else {
            return self.go_on_in_the_clear();
        };
        let preamble = Preamble {
            version: self.version,
            client_features: self.client_features(),
            feature_answer: [answer::FEATURE_FLAGS, flags],
        };
        let handshake = Handshake::begin(key, self.random.ephemeral(), preamble, &mut self.wire)?;
        self.channel = Channel::Handshake(Box::new(handshake));
        self.round_trips += 1;
        self.state = State::KeyExchange;
        Ok(())
    }

    /// The device offers no encryption, or there is no key for it.
    fn go_on_in_the_clear(&mut self) -> Result<(), OtaError> {
        match self.request.encryption {
            Encryption::Required(_) => Err(OtaError::EncryptionNotOffered),
            Encryption::None | Encryption::WhenOffered(_) => {
                self.state = State::AuthRequest;
                Ok(())
            }
        }
    }

    fn on_auth_request(&mut self, byte: u8) -> Result<(), OtaError> {
        let scheme = match byte {
            answer::AUTH_OK => {
                self.authenticated();
                return Ok(());
            }
            answer::REQUEST_MD5 => Scheme::Md5,
            answer::REQUEST_SHA256 => Scheme::Sha256,
            other => {
                let violation = Violation::UnexpectedByte(other);
                return Err(OtaError::Protocol { violation, step: Step::Auth });
            }
        };
        if self.request.password.is_none() {
            return Err(OtaError::PasswordNeeded);
        }
        self.state = State::Nonce { scheme, nonce: Vec::with_capacity(scheme.hex_len()) };
        Ok(())
    }

    fn on_nonce(&mut self, byte: u8) -> Result<(), OtaError> {
        let broken = |violation| Err(OtaError::Protocol { violation, step: Step::Auth });
        let State::Nonce { scheme, nonce } = &mut self.state else {
            return broken(Violation::UnexpectedByte(byte));
        };
        if !byte.is_ascii_hexdigit() {
            return broken(Violation::BadNonce(byte));
        }
        nonce.push(byte);
        if nonce.len() < scheme.hex_len() {
            return Ok(());
        }
        self.state = State::Challenged { scheme: *scheme, nonce: std::mem::take(nonce) };
        self.answer_if_allowed()
    }

    /// Answers the device's challenge, when it is there and may be answered.
    pub(super) fn answer_if_allowed(&mut self) -> Result<(), OtaError> {
        let (State::Challenged { scheme, nonce }, Some(allowed)) = (&self.state, self.may_answer)
        else {
            return Ok(());
        };
        if !allowed.allows(*scheme) {
            return Err(OtaError::OutdatedPasswordCheck);
        }
        let password = self.request.password.as_ref().ok_or(OtaError::PasswordNeeded)?;
        let reply = scheme.reply(password, nonce, self.random.nonce());
        self.round_trips += 1;
        self.send(&reply);
        self.state = State::AuthResult;
        Ok(())
    }

    fn on_auth_result(&mut self, byte: u8) -> Result<(), Violation> {
        self.after_question(byte)?;
        self.expect(byte, answer::AUTH_OK)?;
        self.authenticated();
        Ok(())
    }

    fn authenticated(&mut self) {
        self.state = State::Gate;
        self.events.push_back(SessionEvent::Authenticated);
        self.begin_update();
    }

    /// Announces the image, if the gate is open.
    pub(super) fn begin_update(&mut self) {
        let Some(image) = &self.image else { return };
        let (total, size) = (image.wire_size(self.compression), image.size());
        self.transfer = Some(Transfer::new(total, self.version >= 2));
        if self.extended {
            self.send(&[TYPE_APP]);
        }
        self.send(&size_field(total));
        if self.compression == Compression::Deflate {
            self.send(&size_field(size));
        }
        self.state = State::Prepare;
    }

    fn on_prepare(&mut self, byte: u8) -> Result<(), Violation> {
        self.after_question(byte)?;
        self.expect(byte, answer::PREPARE_OK)?;
        let Some(image) = self.image.clone() else { return Err(Violation::UnexpectedByte(byte)) };
        self.send(image.form(self.compression).md5.as_bytes());
        self.state = State::Checksum;
        self.announce_completion();
        Ok(())
    }

    fn on_checksum(&mut self, byte: u8) -> Result<(), Violation> {
        self.after_question(byte)?;
        self.expect(byte, answer::MD5_OK)?;
        self.state = State::Transfer;
        Ok(())
    }

    fn on_transfer(&mut self, byte: u8) -> Result<(), Violation> {
        let Some(transfer) = &mut self.transfer else {
            return Err(Violation::UnexpectedByte(byte));
        };
        match byte {
            answer::BLOCK_OK => {
                transfer.on_block()?;
                self.announce_completion();
                Ok(())
            }
            answer::RECEIVED => {
                transfer.on_received()?;
                self.state = State::Received;
                Ok(())
            }
            other => Err(Violation::UnexpectedByte(other)),
        }
    }

    fn on_received(&mut self, byte: u8) -> Result<(), Violation> {
        if byte == answer::BLOCK_OK {
            return Err(Violation::TooManyBlocks);
        }
        self.expect(byte, answer::UPDATE_END)?;
        self.send(&[answer::OK]);
        self.state = State::Accepted;
        self.events.push_back(SessionEvent::Accepted);
        Ok(())
    }

    fn expect(&self, byte: u8, wanted: u8) -> Result<(), Violation> {
        if byte == wanted { Ok(()) } else { Err(Violation::UnexpectedByte(byte)) }
    }

    /// An answer can't come before its question has left.
    fn after_question(&self, byte: u8) -> Result<(), Violation> {
        if self.wire.is_empty() { Ok(()) } else { Err(Violation::UnexpectedByte(byte)) }
    }
}
