//! Collects what [`wakeflash_core::gate`] judges by, while the handshake runs.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use wakeflash_core::device::{MacAddress, Sighting};
use wakeflash_core::gate::{
    Evidence, Expectation, Judgement, Session, Standing, hash_wait, is_certain, is_doubtful, judge,
    may_still_be_running, standing,
};

/// Words of the peer that are kept. No device says so much while it is looked at; what does is flooding.
const MAX_HEARD: usize = 32;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a proof of identity. Without one nothing is sent, so this may be long.
    pub identity: Duration,
    /// For the hash, once the identity is known: see [`hash_wait`].
    pub hash: Duration,
    /// For the API's word about a [doubtful](is_doubtful) peer.
    pub doubt: Duration,
}

impl Limits {
    /// The limits for a device that is known to stay awake for `window`.
    #[must_use]
    pub fn for_window(window: Option<Duration>) -> Self {
        let hash = hash_wait(window);
        let doubt = Duration::from_millis(2_500);
        let doubt = window.map_or(doubt, |window| doubt.min(window / 4)).max(hash);
        Self { identity: Duration::from_secs(5), hash, doubt }
    }
}

/// What there is to decide.
#[derive(Debug)]
pub struct Case<'a> {
    /// Who the peer has to be.
    pub expected: &'a Expectation,
    /// How long to wait for what.
    pub limits: Limits,
    /// Told whenever it changes how sure it is that the peer is the device; not before the peer had time to say over its
    /// API what it runs.
    pub standing: watch::Sender<Standing>,
}

/// What the gate decided, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// [`Judgement::Undecided`] means that the time for a proof is over: nothing may be sent.
    pub judgement: Judgement,
    /// All that was known. After a pass it is worth remembering: the device was surely there.
    pub evidence: Evidence,
    /// How long it took.
    pub took: Duration,
}

/// What is learnt from the native API of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It says this of itself.
    Says(Sighting),
    /// It has said so with a key that no other configuration has.
    OwnKey,
}

/// Decides whether the peer may get the firmware.
///
/// - `case`: who is expected, and how long it may take to tell.
/// - `evidence`: what is known already: [`Evidence::about`], with the packets of this wake added.
/// - `heard`: packets from now on, of any device.
/// - `neighbour`: looks the peer up in the neighbour table
///   ([`link_address`](crate::watch::neighbours::link_address)).
/// - `ask`: the direct question ([`ask`](crate::watch::question::ask)); it is dropped when it isn't needed any
///   more, and its failure leaves only the other proofs.
/// - `api`: what the peer says over its native API, until its end; with no word when it has none.
/// - `session`: what the session with the peer has proved, once its handshake is over; it is dropped like `ask`.
///
/// A contradiction ends it at once, and so does the news that the wanted build runs already. What the API says may
/// contradict what mDNS says: where the peer isn't [certain](is_certain), it is waited for as long as [`Limits::hash`], and as
/// [`Limits::doubt`] where [there is doubt](is_doubtful). When the identity is known, the hash is waited for as long
/// as [`Limits::hash`], counted from when the identity was known. Dropping the future is safe.
pub async fn decide(
    case: &Case<'_>,
    mut evidence: Evidence,
    heard: broadcast::Receiver<Sighting>,
    neighbour: impl Fn(IpAddr) -> Option<MacAddress>,
    ask: impl Future<Output = io::Result<Option<Sighting>>>,
    api: mpsc::Receiver<Told>,
    session: impl Future<Output = Session>,
) -> Decision {
    let Case { expected, limits, standing: told } = case;
    let start = Instant::now();
    let mut identified = None;
    let (mut heard, mut api) = (Some(heard), Some(api));
    tokio::pin!(ask, session);
    // Its MAC address is the last that the API says; the connection lasts until both have taken leave.
    let (mut asking, mut in_handshake, mut api_may_tell) = (true, true, true);
    let judgement = loop {
        if evidence.neighbour.is_none() {
            evidence.neighbour = neighbour(evidence.peer);
        }
        let judgement = judge(expected, &evidence);
        let may_run = may_still_be_running(expected, &evidence, api.is_some());
        let doubtful = is_doubtful(expected, &evidence);
        // Its mDNS responder and its API may say different things of it. Once it has the password's answer, it serves
        // nobody else until the session is over.
        let held_until = start + if doubtful { limits.doubt } else { limits.hash };
        let matters = may_run || !is_certain(expected, &evidence);
        let held = api_may_tell && matters && Instant::now() < held_until;
        if !held {
            let now = standing(expected, &evidence);
            told.send_if_modified(|last| std::mem::replace(last, now) != now);
        }
        let deadline = match judgement {
            Judgement::Contradicted(_) => break judgement,
            Judgement::AlreadyRunning if held && doubtful => held_until,
            Judgement::AlreadyRunning => break judgement,
            Judgement::Pass => {
                let since = *identified.get_or_insert_with(Instant::now);
                let hash_by = if may_run { since + limits.hash } else { since };
                if held { hash_by.max(held_until) } else { hash_by }
            }
            Judgement::Undecided => start + limits.identity,
        };
        if Instant::now() >= deadline {
            break judgement;
        }
        let look_again = if held { deadline.min(held_until) } else { deadline };
        tokio::select! {
            biased;
            answer = &mut ask, if asking => {
                asking = false;
                note_answer(&mut evidence, answer);
            }
            proved = &mut session, if in_handshake => {
                in_handshake = false;
                note_proof(&mut evidence, proved);
            }
            told = next_word(&mut api) => match told {
                Some(Told::Says(sighting)) => {
                    api_may_tell &= sighting.mac.is_none();
                    evidence.heard.push(sighting);
                }
                Some(Told::OwnKey) => note_proof(&mut evidence, Session::OwnKey),
                None => (api, api_may_tell) = (None, false),
            },
            packet = news(&mut heard, &evidence) => evidence.heard.push(packet),
            () = sleep_until(look_again) => {}
        }
    };
    Decision { judgement, evidence, took: start.elapsed() }
}

/// The gate with the real network: asks the peer itself by mDNS, and looks into the system's neighbour table.
pub async fn decide_on_network(
    case: &Case<'_>,
    evidence: Evidence,
    heard: broadcast::Receiver<Sighting>,
    api: mpsc::Receiver<Told>,
    session: impl Future<Output = Session>,
) -> Decision {
    use crate::watch::{neighbours::link_address, question};
    let limit = case.limits.identity.max(case.limits.hash);
    let ask = question::ask(&case.expected.name, evidence.peer, limit);
    decide(case, evidence, heard, link_address, ask, api, session).await
}

/// What one handshake doesn't prove, another may have proved.
fn note_proof(evidence: &mut Evidence, proved: Session) {
    match proved {
        Session::OwnKey => evidence.session = Session::OwnKey,
        Session::ProvesNothing => {}
    }
}

/// The next word over the native API; never, when there was the last one.
async fn next_word(api: &mut Option<mpsc::Receiver<Told>>) -> Option<Told> {
    match api {
        Some(words) => words.recv().await,
        None => std::future::pending().await,
    }
}

fn note_answer(evidence: &mut Evidence, answer: io::Result<Option<Sighting>>) {
    match answer {
        Ok(Some(sighting)) => evidence.heard.push(sighting),
        Ok(None) => tracing::debug!(peer = %evidence.peer, "the device doesn't answer by mDNS"),
        Err(error) => tracing::warn!(peer = %evidence.peer, %error, "the device can't be asked"),
    }
}

/// The next packet of the peer that says something else than its last one; never, when no more can come.
async fn news(heard: &mut Option<broadcast::Receiver<Sighting>>, evidence: &Evidence) -> Sighting {
    while let Some(receiver) = heard.as_mut().filter(|_| evidence.heard.len() < MAX_HEARD) {
        match receiver.recv().await {
            // Each one that counts is looked at together with the neighbour table, which costs time.
            Ok(packet) if packet.source.sender() != Some(evidence.peer) => {}
            Ok(packet) if evidence.heard.last() == Some(&packet) => {}
            Ok(packet) => return packet,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::debug!(missed, "packets came faster than the gate read them");
            }
            Err(broadcast::error::RecvError::Closed) => *heard = None,
        }
    }
    std::future::pending().await
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
