//! The state machine of one connection.

use std::collections::VecDeque;
use std::sync::Arc;

use super::auth::{ClientNonce, Password, Scheme};
use super::channel::{Channel, Encryption};
use super::codec::{Compression, MAGIC, TYPE_APP, answer, client, server, size_field};
use super::device_error::DeviceError;
use super::error::{OtaError, Violation};
use super::image::PreparedImage;
use super::step::{Progress, Step};
use super::transfer::Transfer;

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct SessionRequest {
    /// The image to install.
    pub image: Arc<PreparedImage>,
    /// The OTA password of the firmware that runs on the device, if one is known.
    pub password: Option<Password>,
    /// Whether the update may travel in the clear.
    pub encryption: Encryption,
}

/// What a session has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// The handshake is over: the device waits for the update, and can no longer fall asleep.
    Authenticated,
    /// The end of the image is near. Record that it may be complete on the device, then call
    /// [`Session::allow_completion`].
    AboutToComplete,
    /// The device has confirmed the update and restarts. One byte is left to transmit; whether
    /// it arrives makes no difference.
    Accepted,
}

#[derive(Debug)]
enum State {
    Greeting,
    Version,
    Features,
    FeatureFlags,
    AuthRequest,
    Nonce { scheme: Scheme, nonce: Vec<u8> },
    AuthResult,
    Gate,
    Prepare,
    Checksum,
    Transfer,
    Received,
    Accepted,
    Failed(OtaError),
}

/// One connection to a device, from its greeting to the confirmed update, without any I/O.
///
/// Its memory is bounded whatever the device sends: input is consumed byte by byte, and nothing
/// longer than a nonce is kept.
#[derive(Debug)]
pub struct Session {
    request: SessionRequest,
    nonce: ClientNonce,
    state: State,
    channel: Channel,
    wire: Vec<u8>,
    wire_taken: usize,
    version: u8,
    extended: bool,
    compression: Compression,
    gate_open: bool,
    completion_allowed: bool,
    transfer: Option<Transfer>,
    events: VecDeque<SessionEvent>,
    round_trips: u32,
}

impl Session {
    /// Starts a session on a fresh connection. `nonce` must be random and used only once.
    #[must_use]
    pub fn new(request: SessionRequest, nonce: ClientNonce) -> Self {
        let mut session = Self {
            request,
            nonce,
            state: State::Greeting,
            channel: Channel::Plain,
            wire: Vec::new(),
            wire_taken: 0,
            version: 0,
            extended: false,
            compression: Compression::Raw,
            gate_open: false,
            completion_allowed: false,
            transfer: None,
            events: VecDeque::new(),
            round_trips: 0,
        };
        match session.request.encryption {
            Encryption::Required => session.state = State::Failed(OtaError::EncryptionUnavailable),
            Encryption::NotRequired => {
                session.round_trips += 1;
                session.send(&MAGIC);
                session.send(&[client::OFFERED]);
            }
        }
        session
    }

    /// The bytes to write next; empty when there is nothing to write for now.
    #[must_use]
    pub fn transmit(&self) -> &[u8] {
        let pending = self.wire.get(self.wire_taken..).unwrap_or_default();
        if !pending.is_empty() {
            return pending;
        }
        match (&self.channel, &self.transfer) {
            // In the clear the image goes out as it lies there, without a copy.
            (Channel::Plain, Some(transfer)) if self.sends_image() => {
                let bytes = self.request.image.form(self.compression).bytes;
                bytes.get(transfer.sendable(self.completion_allowed)).unwrap_or_default()
            }
            (Channel::Plain, _) => &[],
        }
    }

    /// Says that the transport has taken the first `count` bytes of [`Self::transmit`].
    ///
    /// Call it before anything that was received later is fed in: whether an answer is due is
    /// judged by what was sent.
    pub fn transmitted(&mut self, count: usize) {
        let pending = self.wire.len() - self.wire_taken;
        let from_wire = count.min(pending);
        self.wire_taken += from_wire;
        if self.wire_taken == self.wire.len() {
            self.wire.clear();
            self.wire_taken = 0;
        }
        if self.sends_image()
            && let Some(transfer) = &mut self.transfer
        {
            transfer.on_sent(count - from_wire);
        }
        self.announce_completion();
    }

    /// Takes bytes from the device, split in any way.
    ///
    /// # Errors
    /// When the device reports an error or breaks the protocol. The session has then ended and
    /// returns the same error for any further input.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), OtaError> {
        for byte in self.channel.open(bytes).iter().copied() {
            if let Err(error) = self.on_byte(byte) {
                self.state = State::Failed(error.clone());
                self.wire.clear();
                self.wire_taken = 0;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The next thing that the application should know.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// Lets the update begin, now or when the handshake is over.
    pub fn open_gate(&mut self) {
        self.gate_open = true;
        if matches!(self.state, State::Gate) {
            self.begin_update();
        }
    }

    /// Lets the end of the image go out.
    pub fn allow_completion(&mut self) {
        self.completion_allowed = true;
    }

    /// The step that is under way.
    #[must_use]
    pub fn step(&self) -> Step {
        if self.transfer.as_ref().is_some_and(|transfer| self.sends_image() && transfer.all_sent())
        {
            return Step::Commit;
        }
        match &self.state {
            State::Greeting => Step::Greeting,
            State::Version => Step::Version,
            State::Features | State::FeatureFlags => Step::Features,
            State::AuthRequest | State::Nonce { .. } => Step::Auth,
            State::AuthResult => Step::AuthResult,
            State::Gate => Step::Gate,
            State::Prepare => Step::Prepare,
            State::Checksum => Step::Checksum,
            State::Transfer => Step::Transfer,
            State::Received | State::Accepted => Step::Commit,
            State::Failed(error) => error.step(),
        }
    }

    /// How far the session is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let number = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        let step = self.step();
        let Some(transfer) = &self.transfer else {
            return Progress { step, sent: 0, acknowledged: 0, total: 0 };
        };
        let received = matches!(self.state, State::Received | State::Accepted);
        let acknowledged = if received { transfer.total() } else { transfer.acknowledged() };
        Progress {
            step,
            sent: number(transfer.sent()),
            acknowledged: number(acknowledged),
            total: number(transfer.total()),
        }
    }

    /// Whether the device has confirmed the update.
    #[must_use]
    pub fn accepted(&self) -> bool {
        matches!(self.state, State::Accepted)
    }

    /// The form in which the image travels; known once the handshake is over.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// How often the session has waited for the device before it could begin the update, not
    /// counting the opening of the connection.
    #[must_use]
    pub fn handshake_round_trips(&self) -> u32 {
        self.round_trips
    }

    /// What it means that the connection has ended now, with the operating system's reason.
    #[must_use]
    pub fn closed(&self, reason: impl Into<String>) -> OtaError {
        self.failure()
            .unwrap_or_else(|| OtaError::Closed { step: self.step(), reason: reason.into() })
    }

    /// What it means that the device hasn't answered in time.
    #[must_use]
    pub fn timed_out(&self) -> OtaError {
        self.failure().unwrap_or_else(|| OtaError::Timeout { step: self.step() })
    }

    /// What it means that the application ends the session now.
    #[must_use]
    pub fn cancelled(&self) -> OtaError {
        self.failure().unwrap_or_else(|| OtaError::Cancelled { step: self.step() })
    }

    /// Why the session has failed, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<OtaError> {
        if let State::Failed(error) = &self.state { Some(error.clone()) } else { None }
    }

    /// Whether image bytes may be on their way: from the answer to the sizes on.
    fn sends_image(&self) -> bool {
        match self.state {
            State::Checksum | State::Transfer | State::Received | State::Accepted => true,
            State::Greeting
            | State::Version
            | State::Features
            | State::FeatureFlags
            | State::AuthRequest
            | State::Nonce { .. }
            | State::AuthResult
            | State::Gate
            | State::Prepare
            | State::Failed(_) => false,
        }
    }

    fn send(&mut self, field: &[u8]) {
        self.channel.seal(field, &mut self.wire);
    }

    fn on_byte(&mut self, byte: u8) -> Result<(), OtaError> {
        if let State::Failed(error) = &self.state {
            return Err(error.clone());
        }
        // Flags are not an answer: their highest bit is no error.
        if !matches!(self.state, State::FeatureFlags | State::Accepted)
            && let Some(error) = DeviceError::from_byte(byte)
        {
            return Err(OtaError::Device { error, step: self.step() });
        }
        let outcome = match &self.state {
            State::Greeting => self.on_greeting(byte),
            State::Version => return self.on_version(byte),
            State::Features => self.on_features(byte),
            State::FeatureFlags => self.on_flags(byte),
            State::AuthRequest => return self.on_auth_request(byte),
            State::Nonce { .. } => self.on_nonce(byte),
            State::AuthResult => self.on_auth_result(byte),
            State::Prepare => self.on_prepare(byte),
            State::Checksum => self.on_checksum(byte),
            State::Transfer => self.on_transfer(byte),
            State::Received => self.on_received(byte),
            State::Gate => Err(Violation::UnexpectedByte(byte)),
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

    fn on_features(&mut self, byte: u8) -> Result<(), Violation> {
        self.after_question(byte)?;
        match byte {
            answer::FEATURE_FLAGS => {
                self.extended = true;
                self.state = State::FeatureFlags;
                return Ok(());
            }
            answer::SUPPORTS_GZIP => self.compression = Compression::Gzip,
            answer::HEADER_OK => self.compression = Compression::Raw,
            other => return Err(Violation::UnexpectedByte(other)),
        }
        self.state = State::AuthRequest;
        Ok(())
    }

    fn on_flags(&mut self, flags: u8) -> Result<(), Violation> {
        self.compression = if flags & server::DEFLATE != 0 {
            Compression::Deflate
        } else if flags & server::GZIP != 0 {
            Compression::Gzip
        } else {
            Compression::Raw
        };
        self.state = State::AuthRequest;
        Ok(())
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

    fn on_nonce(&mut self, byte: u8) -> Result<(), Violation> {
        let State::Nonce { scheme, nonce } = &mut self.state else {
            return Err(Violation::UnexpectedByte(byte));
        };
        if !byte.is_ascii_hexdigit() {
            return Err(Violation::BadNonce(byte));
        }
        nonce.push(byte);
        if nonce.len() < scheme.hex_len() {
            return Ok(());
        }
        let Some(password) = &self.request.password else {
            return Err(Violation::UnexpectedByte(byte));
        };
        let reply = scheme.reply(password, nonce, self.nonce);
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
        let total = self.request.image.wire_size(self.compression);
        self.transfer = Some(Transfer::new(total, self.version >= 2));
        self.state = State::Gate;
        self.events.push_back(SessionEvent::Authenticated);
        if self.gate_open {
            self.begin_update();
        }
    }

    fn begin_update(&mut self) {
        if self.extended {
            self.send(&[TYPE_APP]);
        }
        self.send(&size_field(self.request.image.wire_size(self.compression)));
        if self.compression == Compression::Deflate {
            self.send(&size_field(self.request.image.size()));
        }
        self.state = State::Prepare;
    }

    fn on_prepare(&mut self, byte: u8) -> Result<(), Violation> {
        self.after_question(byte)?;
        self.expect(byte, answer::PREPARE_OK)?;
        let image = Arc::clone(&self.request.image);
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
            answer::BLOCK_OK => transfer.on_block(),
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

    fn announce_completion(&mut self) {
        if self.sends_image() && self.transfer.as_mut().is_some_and(Transfer::take_notice) {
            self.events.push_back(SessionEvent::AboutToComplete);
        }
    }

    fn expect(&self, byte: u8, wanted: u8) -> Result<(), Violation> {
        if byte == wanted { Ok(()) } else { Err(Violation::UnexpectedByte(byte)) }
    }

    /// An answer can't come before its question has left.
    fn after_question(&self, byte: u8) -> Result<(), Violation> {
        if self.wire.is_empty() { Ok(()) } else { Err(Violation::UnexpectedByte(byte)) }
    }
}
