//! What comes of a session.

use crate::answer::{Answer, Greeting};
use crate::error::ApiError;
use crate::power::Reading;

/// What a session has to say before it ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The device has greeted on an encrypted connection: a claim, enough to turn a stranger away
    /// before its handshake is over.
    Greeted(Greeting),
    /// It has said who it is and what it runs.
    Answered(Answer),
    /// A line of its log, safe to show: text, and colours as ESPHome writes them.
    Logged(String),
}

/// What came of a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The device has said who it is and what it runs; and what its battery says, if that was
    /// wanted and came in time.
    Answered(Answer, Vec<Reading>),
    /// Its log was to be followed, and no longer is.
    Followed(Answer, LogEnd),
    /// It demands encryption and said no more than its greeting: a claim. Old firmware says nothing
    /// in it.
    Greeted(Option<Greeting>, Silence),
    /// It speaks in the clear only: ask it so.
    SpeaksPlaintext,
    /// It demands encryption: ask for its greeting, or with its key.
    WantsEncryption,
    /// It closed the connection before it said anything: its few places are taken, by Home Assistant
    /// or by others. No error: it is there.
    Full,
    /// It ended the conversation before it had answered.
    Dismissed(Dismissal),
    /// There was no answer.
    Failed(ApiError),
}

/// Why a log is no longer followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEnd {
    /// Nobody wants it any more.
    Left,
    /// The device ended the conversation.
    Dismissed(Dismissal),
    /// The connection failed.
    Failed(ApiError),
}

/// Why a device that has greeted said no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// No more was asked for.
    Unasked,
    /// It has another key than the one that was tried.
    WrongKey,
    /// It ended the conversation.
    Dismissed(Dismissal),
    /// The rest failed.
    Failed(ApiError),
}

/// Why a device ends a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dismissal {
    /// It goes to sleep, restarts, or has another reason that it doesn't give.
    GoesDown,
    /// It was to be given an encryption key in its first minutes, and wasn't: it talks to nobody
    /// until it restarts.
    ProvisioningClosed,
}

impl Dismissal {
    pub(crate) fn of(reason: u32) -> Self {
        if reason == 1 { Self::ProvisioningClosed } else { Self::GoesDown }
    }
}
