//! Collects what [`wakeflash_core::gate`] judges by, while the handshake runs.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use wakeflash_core::device::{MacAddress, Sighting};
use wakeflash_core::gate::{
    Api, Evidence, Expectation, Judgement, Limits, Next, Patience, Session, Standing,
};

/// Words of the peer that are kept. No device says so much while it is looked at; what does is flooding.
const MAX_HEARD: usize = 32;

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
/// How long it waits for what: [`Patience`]. Dropping the future is safe.
pub async fn decide(
    case: &Case<'_>,
    mut evidence: Evidence,
    heard: broadcast::Receiver<Sighting>,
    neighbour: impl Fn(IpAddr) -> Option<MacAddress>,
    ask: impl Future<Output = io::Result<Option<Sighting>>>,
    api: mpsc::Receiver<Told>,
    session: impl Future<Output = Session>,
) -> Decision {
    let Case { expected, limits, standing } = case;
    let start = Instant::now();
    let mut patience = Patience::new(*limits);
    let (mut heard, mut api) = (Some(heard), Some(api));
    tokio::pin!(ask, session);
    let (mut asking, mut in_handshake, mut of_api) = (true, true, Api::MayTell);
    let judgement = loop {
        if evidence.neighbour.is_none() {
            evidence.neighbour = neighbour(evidence.peer);
        }
        let look = patience.look(expected, &evidence, of_api, start.elapsed());
        if let Some(now) = look.standing {
            standing.send_if_modified(|last| std::mem::replace(last, now) != now);
        }
        let look_again = match look.next {
            Next::Decided(judgement) => break judgement,
            Next::Again(after) => start + after,
        };
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
                    if sighting.mac.is_some() {
                        of_api = Api::Told;
                    }
                    evidence.heard.push(sighting);
                }
                Some(Told::OwnKey) => note_proof(&mut evidence, Session::OwnKey),
                None => (api, of_api) = (None, Api::Over),
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
