//! The state machine of one connection.

mod talk;

use std::collections::VecDeque;
use std::mem;

use wakeflash_noise::{
    EncryptionKey, Ephemeral, FrameError, Frames, Handshake, HandshakeError, INDICATOR, put_frame,
};

use crate::answer::{Answer, Greeting};
use crate::channel::Channel;
use crate::error::{ApiError, Step, Violation};
use crate::message::kind;
use crate::outcome::{Event, LogEnd, Outcome, Silence};
use crate::power::Sensors;
use crate::wire::{self, Reader};

/// What both sides have said before the handshake: nothing that could be changed.
const PROLOGUE: &[u8] = b"NoiseAPIInit\0\0";
/// The byte in a greeting for the one encryption that there is.
const NOISE: u8 = 0x01;
/// The most that is taken from a device: more than the largest has to say of all its entities.
pub const MAX_RECEIVED: usize = 1 << 20;

/// How a connection begins.
#[derive(Debug)]
pub enum Opening {
    /// In the clear: what is said is a claim.
    Plaintext,
    /// Encrypted: what is said is a proof that whoever says it has the key.
    Encrypted(EncryptionKey, Ephemeral),
    /// Up to the greeting of an encrypted connection, which takes no key.
    Greeting,
}

/// What is wanted of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Who it is and what it runs.
    Identity,
    /// That, and what its battery says.
    Power,
    /// That, and its log, if the caller wants it by then.
    Log,
}

#[derive(Debug)]
enum State {
    Greeting(Frames, Option<Begun>),
    KeyExchange(Frames, Begun, Option<Greeting>),
    /// Messages go to and fro; with the greeting, where there was one.
    Talking(Channel, Option<Greeting>, Talk),
    Ended(Outcome),
}

#[derive(Debug)]
enum Talk {
    Introduction,
    Listing(Answer, Sensors),
    Readings(Answer, Sensors),
    /// It is for the caller to say whether its log is followed.
    Known(Answer),
    Log(Answer),
}

/// The handshake that was sent; not shown, since it holds keys.
struct Begun(Box<Handshake>);

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handshake(***)")
    }
}

/// One connection to a device, without any I/O.
///
/// Its memory is bounded whatever the device sends: one message of 64 KiB, and sixteen sensors; of a log what was
/// received since the events were taken last.
#[derive(Debug)]
pub struct Session {
    state: State,
    wish: Wish,
    wire: Vec<u8>,
    wire_taken: usize,
    received: usize,
    events: VecDeque<Event>,
}

impl Session {
    /// Begins on a fresh connection.
    #[must_use]
    pub fn new(opening: Opening, wish: Wish) -> Self {
        let mut wire = Vec::new();
        let frames = Frames::new(u16::MAX);
        let state = match opening {
            Opening::Plaintext => talking(Channel::Plain(Reader::default()), None, &mut wire),
            Opening::Greeting => {
                put_frame(&[], &mut wire);
                State::Greeting(frames, None)
            }
            Opening::Encrypted(key, ephemeral) => {
                put_frame(&[], &mut wire);
                match Handshake::begin(&key, ephemeral, PROLOGUE, &mut wire) {
                    Ok(handshake) => State::Greeting(frames, Some(Begun(Box::new(handshake)))),
                    Err(error) => State::Ended(without_keys(None, error)),
                }
            }
        };
        let events = VecDeque::new();
        Self { state, wish, wire, wire_taken: 0, received: 0, events }
    }

    /// The bytes to write next; empty when there is nothing to write for now. A session that has
    /// ended may have a goodbye to say.
    #[must_use]
    pub fn transmit(&self) -> &[u8] {
        self.wire.get(self.wire_taken..).unwrap_or_default()
    }

    /// Says that the transport has taken the first `count` bytes of [`Self::transmit`].
    pub fn transmitted(&mut self, count: usize) {
        self.wire_taken = self.wire.len().min(self.wire_taken.saturating_add(count));
        if self.wire_taken == self.wire.len() {
            self.wire.clear();
            self.wire_taken = 0;
        }
    }

    /// Takes bytes from the device, split in any way. What comes after the end is ignored.
    pub fn receive(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let Some(step) = self.step() else { return };
            self.received = self.received.saturating_add(1);
            // How long a log is followed, and what is kept of it, is for the caller to say.
            let taken = if self.received > MAX_RECEIVED && step != Step::Log {
                Err(ApiError::violation(Violation::TooMuch, step))
            } else {
                self.on_byte(*byte, step)
            };
            if let Err(error) = taken {
                self.fail(error);
            }
        }
    }

    /// The next thing that the application may want to know before the end.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What came of it, once it has ended: write what is left of [`Self::transmit`], then close.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Ended(outcome) => Some(outcome),
            State::Greeting(..) | State::KeyExchange(..) | State::Talking(..) => None,
        }
    }

    /// The part of the conversation that is under way; `None` once it has ended.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        match &self.state {
            State::Greeting(..) => Some(Step::Greeting),
            State::KeyExchange(..) => Some(Step::Encryption),
            State::Talking(_, _, Talk::Introduction) => Some(Step::Introduction),
            State::Talking(_, _, Talk::Listing(..)) => Some(Step::Listing),
            State::Talking(_, _, Talk::Readings(..)) => Some(Step::Readings),
            State::Talking(_, _, Talk::Known(_) | Talk::Log(_)) => Some(Step::Log),
            State::Ended(_) => None,
        }
    }

    /// The connection has ended, for the operating system's reason.
    pub fn closed(&mut self, reason: impl Into<String>) {
        let Some(step) = self.step() else { return };
        if self.received == 0 {
            self.state = State::Ended(Outcome::Full);
        } else {
            self.fail(ApiError::Closed { step, reason: reason.into() });
        }
    }

    /// Ends it because time is up. A device that was being talked to is told goodbye.
    pub fn time_out(&mut self) {
        let Some(step) = self.step() else { return };
        if let State::Talking(channel, ..) = &mut self.state {
            // When that can't be encrypted, the connection just ends.
            let _ = channel.send(kind::DISCONNECT_REQUEST, &[], &mut self.wire);
        }
        self.end(ApiError::Timeout { step });
    }

    /// Has the log of a device followed that has answered. It says its configuration first, as for `esphome logs`: one that
    /// is content says little else. Without effect on any other.
    pub fn follow_log(&mut self) {
        if let Err(error) = self.subscribe() {
            self.fail(error);
        }
    }

    /// Asks a device whose log is followed for a sign of life: one that has lost its power takes no leave.
    pub fn ping(&mut self) {
        let State::Talking(channel, _, Talk::Log(_)) = &mut self.state else { return };
        if let Err(error) = channel.send(kind::PING, &[], &mut self.wire) {
            self.fail(error);
        }
    }

    /// Says goodbye to a device whose log was to be followed. Without effect on any other.
    pub fn leave(&mut self) {
        let State::Talking(channel, _, Talk::Known(_) | Talk::Log(_)) = &mut self.state else {
            return;
        };
        // When that can't be encrypted, the connection just ends.
        let _ = channel.send(kind::DISCONNECT_REQUEST, &[], &mut self.wire);
        self.state = match self.take_state() {
            State::Talking(_, _, Talk::Known(answer) | Talk::Log(answer)) => {
                State::Ended(Outcome::Followed(answer, LogEnd::Left))
            }
            same @ (State::Greeting(..)
            | State::KeyExchange(..)
            | State::Talking(..)
            | State::Ended(_)) => same,
        };
    }

    fn on_byte(&mut self, byte: u8, step: Step) -> Result<(), ApiError> {
        if self.received == 1 && self.is_other_dialect(byte) {
            return Ok(());
        }
        let violated = |error: FrameError| ApiError::violation(error.into(), step);
        match &mut self.state {
            State::Greeting(frames, _) => match frames.take(byte).map_err(violated)? {
                Some(payload) => self.on_greeting(&payload),
                None => Ok(()),
            },
            State::KeyExchange(frames, ..) => {
                if let Some(payload) = frames.take(byte).map_err(violated)? {
                    self.on_key_exchange(&payload);
                }
                Ok(())
            }
            State::Talking(channel, ..) => match channel.take(byte, step)? {
                Some(message) => self.on_message(&message, step),
                None => Ok(()),
            },
            State::Ended(_) => Ok(()),
        }
    }

    /// Whether the first byte shows that the device speaks in the clear where encryption was
    /// tried, or the other way round. That ends the session.
    fn is_other_dialect(&mut self, first: u8) -> bool {
        let outcome = match &self.state {
            State::Greeting(..) if first == wire::INDICATOR => Outcome::SpeaksPlaintext,
            State::Talking(Channel::Plain(_), ..) if first == INDICATOR => Outcome::WantsEncryption,
            State::Greeting(..) | State::KeyExchange(..) | State::Talking(..) | State::Ended(_) => {
                return false;
            }
        };
        self.silence();
        self.state = State::Ended(outcome);
        true
    }

    fn on_greeting(&mut self, payload: &[u8]) -> Result<(), ApiError> {
        let violated = |violation| ApiError::violation(violation, Step::Greeting);
        let greeting = match payload.split_first() {
            Some((&NOISE, rest)) => Greeting::from_wire(rest).map_err(violated)?,
            Some((other, _)) => return Err(violated(Violation::UnknownEncryption(*other))),
            None => return Err(violated(Violation::EmptyFrame)),
        };
        self.events.extend(greeting.clone().map(Event::Greeted));
        self.state = match self.take_state() {
            State::Greeting(frames, Some(begun)) => State::KeyExchange(frames, begun, greeting),
            State::Greeting(_, None) => State::Ended(Outcome::Greeted(greeting, Silence::Unasked)),
            state @ (State::KeyExchange(..) | State::Talking(..) | State::Ended(_)) => state,
        };
        Ok(())
    }

    fn on_key_exchange(&mut self, payload: &[u8]) {
        self.state = match self.take_state() {
            State::KeyExchange(frames, begun, greeting) => match begun.0.finish(payload) {
                Ok(transport) => {
                    let channel = Channel::Noise(frames, Box::new(transport));
                    talking(channel, greeting, &mut self.wire)
                }
                Err(error) => State::Ended(without_keys(greeting, error)),
            },
            state @ (State::Greeting(..) | State::Talking(..) | State::Ended(_)) => state,
        };
    }

    /// Ends it: nothing more is said.
    fn fail(&mut self, error: ApiError) {
        self.silence();
        self.end(error);
    }

    fn silence(&mut self) {
        self.wire.clear();
        self.wire_taken = 0;
    }

    /// Ends it with what is known by now.
    fn end(&mut self, error: ApiError) {
        self.state = State::Ended(match self.take_state() {
            State::Greeting(..) | State::Talking(Channel::Plain(_), _, Talk::Introduction) => {
                Outcome::Failed(error)
            }
            State::KeyExchange(_, _, greeting)
            | State::Talking(Channel::Noise(..), greeting, Talk::Introduction) => {
                Outcome::Greeted(greeting, Silence::Failed(error))
            }
            State::Talking(
                _,
                _,
                Talk::Listing(answer, sensors) | Talk::Readings(answer, sensors),
            ) => Outcome::Answered(answer, sensors.readings()),
            State::Talking(_, _, Talk::Known(answer) | Talk::Log(answer)) => {
                Outcome::Followed(answer, LogEnd::Failed(error))
            }
            State::Ended(outcome) => outcome,
        });
    }

    /// The state, to make the next one of; whoever takes it puts one back.
    fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Ended(Outcome::Full))
    }
}

/// Begins to talk.
fn talking(mut channel: Channel, greeting: Option<Greeting>, wire: &mut Vec<u8>) -> State {
    match channel.introduce(wire) {
        Ok(()) => State::Talking(channel, greeting, Talk::Introduction),
        Err(error) => State::Ended(Outcome::Greeted(greeting, Silence::Failed(error))),
    }
}

/// What comes of a handshake that made no connection.
fn without_keys(greeting: Option<Greeting>, error: HandshakeError) -> Outcome {
    let silence = match error {
        HandshakeError::WrongKey => Silence::WrongKey,
        HandshakeError::Refused(reason) => Silence::Failed(ApiError::HandshakeRefused { reason }),
        HandshakeError::Unusable(reason) => Silence::Failed(ApiError::Encryption { reason }),
        HandshakeError::Empty => {
            Silence::Failed(ApiError::violation(Violation::EmptyFrame, Step::Encryption))
        }
    };
    Outcome::Greeted(greeting, silence)
}
