//! Asks a device over its native API: who it is, what it runs, what its battery says.
//!
//! One short connection, or two when the device speaks another dialect than was tried. Nothing here outlives the
//! call, and nothing waits past its deadline.

pub mod log;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use wakeflash_api::{EncryptionKey, Ephemeral, Event, Mac, Opening, Outcome, Session, Wish};
use wakeflash_core::device::{MacAddress, Sighting, SightingKind, Source};
use wakeflash_core::update::BuildStamp;

use crate::watch::neighbours::link_address;

/// How long the answer to a goodbye is waited for: what was asked for is known by then.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is asked, and whom.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its address, with the port of `api:`.
    pub address: SocketAddr,
    /// The key that it should have; `None`: nobody knows one.
    pub key: Option<EncryptionKey>,
    /// What is wanted of it.
    pub wish: Wish,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Somebody took the connection.
    Heard(Outcome),
    /// The address is alive and nobody listens there: no device with an API, or one in safe mode.
    Refused,
    /// No connection came about, for this reason.
    Unreachable(String),
}

/// Asks a device. With a key it is asked for a proof first, without one in the clear; one that speaks the other
/// dialect is asked a second time for what it says without a proof. `told` hears at once what the device says; the
/// call ends only when the connection has.
pub async fn ask(question: &Question, deadline: Instant, mut told: impl FnMut(Event)) -> Reply {
    let first = match &question.key {
        None => Opening::Plaintext,
        Some(key) => match ephemeral() {
            Ok(ephemeral) => Opening::Encrypted(key.clone(), ephemeral),
            Err(reason) => return Reply::Unreachable(reason),
        },
    };
    let reply = ask_once(question, first, deadline, &mut told).await;
    let second = match &reply {
        Reply::Heard(Outcome::SpeaksPlaintext) => Opening::Plaintext,
        Reply::Heard(Outcome::WantsEncryption) => Opening::Greeting,
        Reply::Heard(
            Outcome::Answered(..)
            | Outcome::Greeted(..)
            | Outcome::Full
            | Outcome::Followed(..)
            | Outcome::Dismissed(_)
            | Outcome::Failed(_),
        )
        | Reply::Refused
        | Reply::Unreachable(_) => return reply,
    };
    ask_once(question, second, deadline, &mut told).await
}

/// Whether a device refuses its API while its OTA port is open; `None`: it couldn't be told.
pub async fn is_refused(peer: IpAddr, (api, ota): (u16, u16), limit: Duration) -> Option<bool> {
    let deadline = Instant::now() + limit;
    let address = SocketAddr::new(peer, api);
    let question = Question { address, key: None, wish: Wish::Identity };
    match ask(&question, deadline, |_| ()).await {
        Reply::Heard(_) => Some(false),
        Reply::Unreachable(_) => None,
        Reply::Refused => {
            let opened = timeout_at(deadline, TcpStream::connect((peer, ota))).await;
            matches!(opened, Ok(Ok(_))).then_some(true)
        }
    }
}

/// The same with the link-layer address that the neighbour table has for whoever said it.
fn at_its_hardware(says: Sighting) -> Sighting {
    let link_address = says.source.sender().and_then(link_address);
    Sighting { link_address, ..says }
}

/// What a device at this address says of itself, as one piece of evidence; `None`: its log is none. Without a compilation time nothing is told
/// of what runs: a version alone would look like a TXT record that has no hash.
#[must_use]
pub fn sighting(peer: IpAddr, event: &Event) -> Option<Sighting> {
    let blank = |name: &str, mac: Option<Mac>| Sighting {
        name: name.to_owned(),
        source: Source::Answer(peer),
        kind: SightingKind::Alive,
        addresses: vec![peer],
        mac: mac.map(|mac| MacAddress(mac.0)),
        link_address: None,
        version: None,
        config_hash: None,
        stamp: None,
        friendly_name: None,
        platform: None,
    };
    match event {
        Event::Logged(_) => None,
        Event::Greeted(greeting) => Some(blank(greeting.name.as_str(), greeting.mac)),
        Event::Answered(answer) => {
            let firmware = answer.firmware();
            let (version, time) = (&firmware.esphome_version, &firmware.compilation_time);
            let told = !version.is_empty() && !time.is_empty();
            Some(Sighting {
                version: told.then(|| version.clone()),
                stamp: told.then(|| BuildStamp(time.clone())),
                friendly_name: answer.friendly_name().map(str::to_owned),
                ..blank(answer.name().as_str(), Some(answer.mac()))
            })
        }
    }
}

fn ephemeral() -> Result<Ephemeral, String> {
    let mut drawn = [0; 32];
    match getrandom::fill(&mut drawn) {
        Ok(()) => Ok(Ephemeral::new(drawn)),
        Err(error) => Err(format!("no randomness: {error}")),
    }
}

async fn ask_once(
    question: &Question,
    opening: Opening,
    deadline: Instant,
    told: &mut impl FnMut(Event),
) -> Reply {
    let stream = match timeout_at(deadline, TcpStream::connect(question.address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Reply::Refused;
        }
        Ok(Err(error)) => return Reply::Unreachable(error.to_string()),
        Err(_) => return Reply::Unreachable("no answer in time".to_owned()),
    };
    // What is written is written at once; without the option it may only be slower.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let outcome = converse(stream, Session::new(opening, question.wish), deadline, told).await;
    tracing::debug!(address = %question.address, ?outcome, "asked over the native API");
    Reply::Heard(outcome)
}

/// Carries a session out over a stream, until it ends or the deadline is there.
pub async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut session: Session,
    deadline: Instant,
    told: &mut impl FnMut(Event),
) -> Outcome {
    let mut buffer = [0; 2_048];
    loop {
        if let Some(outcome) = session.outcome().cloned() {
            say_goodbye(&mut stream, &session, deadline).await;
            return outcome;
        }
        match timeout_at(deadline, exchange(&mut stream, &mut session, &mut buffer)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => session.closed(error.to_string()),
            Err(_) => session.time_out(),
        }
        while let Some(event) = session.poll_event() {
            told(event);
        }
    }
}

/// Writes what is to be said, then reads what comes. May be dropped at any point: what was written is counted.
async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    session: &mut Session,
    buffer: &mut [u8],
) -> io::Result<()> {
    while !session.transmit().is_empty() {
        match stream.write(session.transmit()).await {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => session.transmitted(written),
            // What the device said before it closed may still be there to be read.
            Err(_) => break,
        }
    }
    match stream.read(buffer).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the device closed the connection")),
        read => {
            session.receive(buffer.get(..read).unwrap_or_default());
            Ok(())
        }
    }
}

/// Says goodbye and waits for the device to close: one that loses a client in the middle of its goodbye writes a
/// warning into its log. Without time, or from one that doesn't answer, it just goes.
async fn say_goodbye(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    session: &Session,
    deadline: Instant,
) {
    if session.transmit().is_empty() {
        return;
    }
    let soon = deadline.min(Instant::now() + GOODBYE);
    let said = timeout_at(soon, async {
        stream.write_all(session.transmit()).await?;
        let mut rest = [0; 256];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    });
    match said.await {
        Ok(Ok(())) => {}
        // The device has closed already: it needs no goodbye.
        Ok(Err(error)) => tracing::trace!(%error, "goodbye"),
        Err(_) => tracing::trace!("the goodbye was not answered"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use wakeflash_api::{ApiError, Step};

    use super::*;

    async fn conversation(device: impl AsyncRead + AsyncWrite + Unpin) -> Outcome {
        let session = Session::new(Opening::Plaintext, Wish::Identity);
        converse(device, session, Instant::now() + Duration::from_secs(2), &mut |_| {}).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_says_nothing_is_left_in_time() {
        // One that takes the question, and one that doesn't even read.
        for room in [1_024, 1] {
            let start = Instant::now();
            let (ours, _theirs) = duplex(room);
            let error = ApiError::Timeout { step: Step::Introduction };
            assert_eq!(conversation(ours).await, Outcome::Failed(error));
            assert!(start.elapsed() < Duration::from_secs(3));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_device_said_before_it_closed_counts() {
        let (ours, mut theirs) = duplex(1_024);
        theirs.write_all(b"\0\x02\x02\x08\x01").await.unwrap();
        theirs.write_all(b"\0\x1b\x0a\x12\x06sleepy\x1a\x1102:00:00:00:00:AB").await.unwrap();
        drop(theirs);
        let outcome = conversation(ours).await;
        assert!(matches!(outcome, Outcome::Answered(..)), "{outcome:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_closes_at_once_is_full() {
        let (ours, theirs) = duplex(1_024);
        drop(theirs);
        assert_eq!(conversation(ours).await, Outcome::Full);
    }
}
