//! A client for ESPHome's native API that does no I/O: it asks a device who it is and what it runs,
//! what its battery says, and what it says in its log.
//!
//! # How to use it
//!
//! Make a [`Session`] when a connection opens. Write what [`Session::transmit`] shows, report how
//! much was taken with [`Session::transmitted`], feed what arrives to [`Session::receive`]. When the
//! connection ends or time is up, say so with [`Session::closed`] or [`Session::time_out`].
//! [`Session::outcome`] is there when it has ended; a goodbye may be left to write then. Before that
//! [`Session::poll_event`] tells what is known already.
//!
//! ```
//! use wakeflash_api::{Opening, Outcome, Session, Wish, Worth};
//!
//! let mut session = Session::new(Opening::Plaintext, Wish::Identity);
//! let asked = session.transmit().len();
//! session.transmitted(asked);
//! // A device answers: hello, and who it is.
//! session.receive(b"\x00\x02\x02\x08\x01");
//! session.receive(b"\x00\x1f\x0a\x12\x06sleepy\x1a\x1102:00:00:00:00:AB\x22\x022x");
//! let Some(Outcome::Answered(answer, _)) = session.outcome() else { panic!("{session:?}") };
//! assert_eq!(answer.name().as_str(), "sleepy");
//! assert_eq!(answer.worth(), Worth::Claim);
//! ```
//!
//! # What an answer is worth
//!
//! Anybody can say anything in the clear, and in the greeting of an encrypted connection: a
//! [`Worth::Claim`]. What is said inside the encryption is a [`Worth::Proof`] that whoever says it
//! has the key.
//!
//! # A log
//!
//! With [`Wish::Log`] the conversation waits after [`Event::Answered`]: the caller knows by then who it is, and
//! either has the log followed ([`Session::follow_log`]) or leaves ([`Session::leave`]). Each line comes as an
//! [`Event::Logged`]; take the events after each [`Session::receive`].
//!
//! # Round trips
//!
//! The opening of the connection is one more.
//!
//! | until the answer         | in the clear | encrypted |
//! |--------------------------|--------------|-----------|
//! | greeting and Noise       |              | 1         |
//! | hello and who it is      | 1            | 1         |

#![warn(missing_docs)]

mod answer;
mod channel;
mod error;
mod log;
mod message;
mod outcome;
mod power;
mod session;
mod wire;

pub use answer::{Answer, DeviceName, Firmware, Greeting, Mac, Project, Worth};
pub use error::{ApiError, Step, Violation};
pub use log::{LONGEST_LINE, MOST_LINES};
pub use outcome::{Dismissal, Event, LogEnd, Outcome, Silence};
pub use power::{PowerKind, Reading};
pub use session::{MAX_RECEIVED, Opening, Session, Wish};
pub use wakeflash_noise::{EncryptionKey, Ephemeral};
