//! The state machine of one connection.

mod answers;

use std::collections::VecDeque;
use std::sync::Arc;

use super::auth::{Password, PasswordCheck, Randomness, Scheme};
use super::channel::{Channel, Encryption};
use super::codec::{Compression, MAGIC, client};
use super::error::OtaError;
use super::image::PreparedImage;
use super::step::{Progress, Step};
use super::transfer::Transfer;

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct SessionRequest {
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
    /// The device's half of the Noise handshake is awaited.
    KeyExchange,
    AuthRequest,
    Nonce {
        scheme: Scheme,
        nonce: Vec<u8>,
    },
    /// The challenge is complete, and may not be answered yet.
    Challenged {
        scheme: Scheme,
        nonce: Vec<u8>,
    },
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
/// longer than a nonce or an encrypted frame is kept. An encrypted image is sealed 16 KiB at a
/// time, as the transport takes it.
#[derive(Debug)]
pub struct Session {
    request: SessionRequest,
    random: Randomness,
    state: State,
    channel: Channel,
    /// Why nothing more can be encrypted.
    fault: Option<OtaError>,
    wire: Vec<u8>,
    wire_taken: usize,
    version: u8,
    extended: bool,
    compression: Compression,
    /// Which challenge may be answered; `None`: none yet.
    may_answer: Option<PasswordCheck>,
    /// The image; `None` as long as the gate is shut.
    image: Option<Arc<PreparedImage>>,
    completion_allowed: bool,
    transfer: Option<Transfer>,
    events: VecDeque<SessionEvent>,
    round_trips: u32,
}

impl Session {
    /// Starts a session on a fresh connection. `random` must be drawn for it and used only once.
    #[must_use]
    pub fn new(request: SessionRequest, random: Randomness) -> Self {
        let mut session = Self {
            request,
            random,
            state: State::Greeting,
            channel: Channel::Plain,
            fault: None,
            wire: Vec::new(),
            wire_taken: 0,
            version: 0,
            extended: false,
            compression: Compression::Raw,
            may_answer: None,
            image: None,
            completion_allowed: false,
            transfer: None,
            events: VecDeque::new(),
            round_trips: 1,
        };
        let features = session.client_features();
        session.send(&MAGIC);
        session.send(&[features]);
        session
    }

    /// The bytes to write next; empty when there is nothing to write for now.
    #[must_use]
    pub fn transmit(&self) -> &[u8] {
        if self.fault.is_some() {
            return &[];
        }
        let pending = self.wire.get(self.wire_taken..).unwrap_or_default();
        if !pending.is_empty() || !self.sends_image() {
            return pending;
        }
        match (&self.channel, &self.transfer, &self.image) {
            // In the clear the image goes out as it lies there, without a copy.
            (Channel::Plain, Some(transfer), Some(image)) => {
                let bytes = image.form(self.compression).bytes;
                bytes.get(transfer.sendable(self.completion_allowed)).unwrap_or_default()
            }
            (Channel::Noise(noise), _, _) => noise.sealed_image(),
            (Channel::Plain | Channel::Handshake(_), _, _) => &[],
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
        if self.sends_image() {
            let image = match &mut self.channel {
                Channel::Plain => count - from_wire,
                Channel::Noise(noise) => noise.image_taken(count - from_wire),
                Channel::Handshake(_) => 0,
            };
            if let Some(transfer) = &mut self.transfer {
                transfer.on_sent(image);
            }
        }
        self.announce_completion();
        self.seal_more();
    }

    /// Takes bytes from the device, split in any way.
    ///
    /// # Errors
    /// When the device reports an error or breaks the protocol. The session has then ended and
    /// returns the same error for any further input.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), OtaError> {
        for byte in bytes {
            let taken = match self.failure() {
                Some(error) => Err(error),
                None => self.on_wire_byte(*byte),
            };
            if let Err(error) = taken {
                self.state = State::Failed(error.clone());
                self.wire.clear();
                self.wire_taken = 0;
                return Err(error);
            }
        }
        self.seal_more();
        self.failure().map_or(Ok(()), Err)
    }

    /// The next thing that the application should know.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// Lets the device's challenge be answered, now or when it comes, if it is of a kind that may be.
    ///
    /// # Errors
    /// When it has come and isn't. The session has then ended.
    pub fn answer_challenge(&mut self, check: PasswordCheck) -> Result<(), OtaError> {
        self.may_answer = Some(check);
        let answered = self.answer_if_allowed();
        if let Err(error) = &answered {
            self.state = State::Failed(error.clone());
        }
        answered
    }

    /// Lets the update begin, now or when the handshake is over, with this image: a session that waits needs none.
    pub fn open_gate(&mut self, image: Arc<PreparedImage>) {
        self.image = Some(image);
        if matches!(self.state, State::Gate) {
            self.begin_update();
        }
    }

    /// Lets the end of the image go out.
    pub fn allow_completion(&mut self) {
        self.completion_allowed = true;
        self.seal_more();
    }

    /// Whether the connection is encrypted: from the end of the Noise handshake on.
    #[must_use]
    pub fn encrypted(&self) -> bool {
        matches!(self.channel, Channel::Noise(_))
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
            State::KeyExchange => Step::Encryption,
            State::AuthRequest | State::Nonce { .. } => Step::Auth,
            State::Challenged { .. } => Step::Identity,
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
        let (step, encrypted) = (self.step(), self.encrypted());
        let Some(transfer) = &self.transfer else {
            return Progress { step, encrypted, sent: 0, acknowledged: 0, total: 0 };
        };
        let received = matches!(self.state, State::Received | State::Accepted);
        let acknowledged = if received { transfer.total() } else { transfer.acknowledged() };
        Progress {
            step,
            encrypted,
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
        let failed = if let State::Failed(error) = &self.state { Some(error) } else { None };
        failed.or(self.fault.as_ref()).cloned()
    }

    /// Whether image bytes may be on their way: from the answer to the sizes on.
    fn sends_image(&self) -> bool {
        match self.state {
            State::Checksum | State::Transfer | State::Received | State::Accepted => true,
            State::Greeting
            | State::Version
            | State::Features
            | State::FeatureFlags
            | State::KeyExchange
            | State::AuthRequest
            | State::Nonce { .. }
            | State::Challenged { .. }
            | State::AuthResult
            | State::Gate
            | State::Prepare
            | State::Failed(_) => false,
        }
    }

    /// Everything that this client can do. A device that sees the bit for Noise, and can do it
    /// as well, goes on with the Noise handshake, so it is offered only with a key.
    fn client_features(&self) -> u8 {
        let noise = if self.request.encryption.key().is_some() { client::NOISE } else { 0 };
        client::OFFERED | noise
    }

    fn send(&mut self, field: &[u8]) {
        match &mut self.channel {
            Channel::Plain => self.wire.extend_from_slice(field),
            Channel::Noise(noise) => {
                if let Err(error) = noise.seal(field, &mut self.wire) {
                    self.fault = Some(error);
                }
            }
            // Every field waits for an answer that only the finished handshake can bring.
            Channel::Handshake(_) => {}
        }
    }

    /// Seals what may be sent of the image, when everything before it has been taken.
    fn seal_more(&mut self) {
        if !self.sends_image() {
            return;
        }
        let (Channel::Noise(noise), Some(transfer), Some(image)) =
            (&mut self.channel, &self.transfer, &self.image)
        else {
            return;
        };
        let bytes = image.form(self.compression).bytes;
        let sendable = transfer.sendable(self.completion_allowed);
        if let Err(error) = noise.seal_image(bytes, sendable) {
            self.fault = Some(error);
        }
    }

    fn announce_completion(&mut self) {
        if self.sends_image() && self.transfer.as_mut().is_some_and(Transfer::take_notice) {
            self.events.push_back(SessionEvent::AboutToComplete);
        }
    }
}
