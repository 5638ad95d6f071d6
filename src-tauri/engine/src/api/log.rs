//! Follows the log of a device over its native API: one connection, as long as somebody wants it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use wakeflash_api::{
    Dismissal, EncryptionKey, Event, LogEnd, Opening, Outcome, Session, Silence, Step, Wish,
};
use wakeflash_core::device::Sighting;

use super::{ephemeral, exchange, say_goodbye, sighting};

/// How long a device has to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// A device that says nothing for so long is asked for a sign of life.
const QUIET: Duration = Duration::from_secs(15);
/// Then it has so long for that.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// After what was said, the next is read so much later: together with [`PIECE`] that is as fast as anybody may talk.
const PACE: Duration = Duration::from_millis(50);
/// How much is read at once.
const PIECE: usize = 8 << 10;

/// What is heard while a log is followed.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// The device has said who it is: is it the one that is meant? The log is asked for only then.
    Says(Sighting),
    /// The log is followed from now on.
    Live,
    /// Lines of it, safe to show.
    Lines(Vec<String>),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Nobody wants it any more.
    Left,
    /// The device took its leave: it goes to sleep, or restarts.
    Slept,
    /// Another device answers there.
    Stranger,
    /// It talks to those only who have its key.
    NeedsKey,
    /// It has another key.
    OtherKey,
    /// Its places for clients are taken.
    Full,
    /// The connection failed, for this reason.
    Lost(String),
}

/// Follows the log over an open connection. `is_it` judges who answers; what is said after that is worth as much. A
/// device that speaks in the clear though a key is known is listened to in the clear, by the same rules: nothing secret
/// is said to it. `connect` opens another connection for that.
pub async fn follow(
    stream: TcpStream,
    key: Option<&EncryptionKey>,
    is_it: impl Fn(&Sighting) -> bool,
    heard: &mpsc::Sender<Heard>,
    cancel: &CancellationToken,
) -> End {
    let peer = match stream.peer_addr() {
        Ok(peer) => peer,
        Err(error) => return End::Lost(error.to_string()),
    };
    let opening = match key {
        None => Opening::Plaintext,
        Some(key) => match ephemeral() {
            Ok(ephemeral) => Opening::Encrypted(key.clone(), ephemeral),
            Err(reason) => return End::Lost(reason),
        },
    };
    let judge = Judge { peer, is_it };
    let outcome = converse(stream, opening, &judge, heard, cancel).await;
    if outcome != Ended::Of(Outcome::SpeaksPlaintext) {
        return outcome.into();
    }
    let deadline = Instant::now() + INTRODUCTION;
    match timeout_at(deadline, TcpStream::connect(peer)).await {
        Ok(Ok(stream)) => converse(stream, Opening::Plaintext, &judge, heard, cancel).await.into(),
        Ok(Err(error)) => End::Lost(error.to_string()),
        Err(_) => End::Lost("no answer in time".to_owned()),
    }
}

struct Judge<F> {
    peer: SocketAddr,
    is_it: F,
}

#[derive(Debug, PartialEq)]
enum Ended {
    Of(Outcome),
    Stranger,
    Left,
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        let goes = |why: Dismissal| match why {
            Dismissal::GoesDown => Self::Slept,
            Dismissal::ProvisioningClosed => Self::Lost("it talks to nobody now".to_owned()),
        };
        match ended {
            Ended::Left | Ended::Of(Outcome::Followed(_, LogEnd::Left)) => Self::Left,
            Ended::Stranger => Self::Stranger,
            Ended::Of(outcome) => match outcome {
                Outcome::Followed(_, LogEnd::Left) => Self::Left,
                Outcome::Followed(_, LogEnd::Dismissed(why)) | Outcome::Dismissed(why) => goes(why),
                Outcome::Followed(_, LogEnd::Failed(error)) | Outcome::Failed(error) => {
                    Self::Lost(error.to_string())
                }
                Outcome::WantsEncryption | Outcome::Greeted(_, Silence::Unasked) => Self::NeedsKey,
                Outcome::Greeted(_, Silence::WrongKey) => Self::OtherKey,
                Outcome::Greeted(_, Silence::Dismissed(why)) => goes(why),
                Outcome::Greeted(_, Silence::Failed(error)) => Self::Lost(error.to_string()),
                Outcome::Full => Self::Full,
                Outcome::SpeaksPlaintext | Outcome::Answered(..) => {
                    Self::Lost("it speaks another protocol".to_owned())
                }
            },
        }
    }
}

/// Carries the conversation out until it ends, or nobody wants it any more.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    opening: Opening,
    judge: &Judge<impl Fn(&Sighting) -> bool>,
    heard: &mpsc::Sender<Heard>,
    cancel: &CancellationToken,
) -> Ended {
    let mut session = Session::new(opening, Wish::Log);
    let mut buffer = vec![0; PIECE];
    let introduced_by = Instant::now() + INTRODUCTION;
    let mut silence = Silent::since_now();
    let mut stranger = false;
    loop {
        if let Some(outcome) = session.outcome().cloned() {
            say_goodbye(&mut stream, &session, Instant::now() + INTRODUCTION).await;
            return if stranger { Ended::Stranger } else { Ended::Of(outcome) };
        }
        let follows = session.step() == Some(Step::Log);
        let deadline = if follows { silence.ends() } else { introduced_by };
        tokio::select! {
            biased;
            () = cancel.cancelled() => {
                if !follows {
                    return Ended::Left;
                }
                session.leave();
            }
            done = timeout_at(deadline, exchange(&mut stream, &mut session, &mut buffer)) => {
                match done {
                    Ok(Ok(())) => silence = Silent::since_now(),
                    Ok(Err(error)) => session.closed(error.to_string()),
                    Err(_) if follows && silence.may_ask() => session.ping(),
                    Err(_) => session.time_out(),
                }
            }
        }
        if !take_events(&mut session, judge, heard).await {
            stranger = true;
            session.leave();
        }
    }
}

/// How long a device has said nothing.
struct Silent {
    since: Instant,
    asked: bool,
}

impl Silent {
    fn since_now() -> Self {
        Self { since: Instant::now(), asked: false }
    }

    fn ends(&self) -> Instant {
        self.since + if self.asked { QUIET + SIGN_OF_LIFE } else { QUIET }
    }

    /// Whether it wasn't asked for a sign of life yet.
    fn may_ask(&mut self) -> bool {
        !std::mem::replace(&mut self.asked, true)
    }
}

/// Passes on what was said; `false`: it isn't the device that is meant.
async fn take_events(
    session: &mut Session,
    judge: &Judge<impl Fn(&Sighting) -> bool>,
    heard: &mpsc::Sender<Heard>,
) -> bool {
    let mut lines = Vec::new();
    let mut said = Vec::new();
    let mut is_it = true;
    while let Some(event) = session.poll_event() {
        match event {
            Event::Logged(line) => lines.push(line),
            // A claim, from before the key was shown; the answer tells.
            Event::Greeted(_) => {}
            Event::Answered(_) => {
                let Some(sighting) = sighting(judge.peer.ip(), &event) else { continue };
                let sighting = super::at_its_hardware(sighting);
                is_it = (judge.is_it)(&sighting);
                said.push(Heard::Says(sighting));
                if is_it {
                    session.follow_log();
                    said.push(Heard::Live);
                }
            }
        }
    }
    let talks = !lines.is_empty();
    if talks {
        said.push(Heard::Lines(lines));
    }
    for word in said {
        if heard.send(word).await.is_err() {
            // Whoever has followed it is gone.
            session.leave();
            return true;
        }
    }
    if talks && session.outcome().is_none() {
        sleep(PACE).await;
    }
    is_it
}
