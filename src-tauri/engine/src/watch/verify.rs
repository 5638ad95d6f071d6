//! Whether the devices that are shown as Online are: a device that lost its power says no goodbye.
//!
//! While somebody looks at the list, a device that was silent for a while is asked by mDNS; when it is silent
//! twice, a connection to its API port decides: one that is refused shows a living host as well as one that
//! opens, and it doesn't occupy the OTA listener's only place. Nobody looks: only what is doubted is asked.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::Sighting;

use super::hearing::Hearing;
use super::interfaces::Network;
use super::{WatchEvent, question};

/// After this much silence a device is asked.
const SILENCE: Duration = Duration::from_secs(25);
/// How long it has to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Between two questions to a silent device.
const PAUSE: Duration = Duration::from_secs(3);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// ESPHome's API. Any port would do.
const API_PORT: u16 = 6053;
/// How often it is looked who has to be asked, and how many are asked then.
const TICK: Duration = Duration::from_secs(1);
const PER_TICK: usize = 32;
/// Questions under way.
const LIMIT: usize = 128;
const MAX_ADDRESSES: usize = 2;
const MAX_DOUBTS: usize = 256;

/// A device that is shown as Online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineDevice {
    pub name: String,
    /// Where it was seen, best first.
    pub addresses: Vec<IpAddr>,
}

/// Tells the verification that a device may be gone.
#[derive(Clone, Debug)]
pub(super) struct Doubts(mpsc::Sender<String>);

impl Doubts {
    pub(super) fn new() -> (Self, mpsc::Receiver<String>) {
        let (doubts, receiver) = mpsc::channel(MAX_DOUBTS);
        (Self(doubts), receiver)
    }

    /// Never waits; when too many are doubted at once, the rest is verified when somebody looks.
    pub(super) fn doubt(&self, name: &str) {
        if self.0.try_send(name.to_owned()).is_err() {
            tracing::debug!(name, "too many doubts at once");
        }
    }
}

/// What the verification is connected with.
pub(super) struct Wiring {
    pub(super) events: mpsc::Sender<WatchEvent>,
    pub(super) hearing: Hearing,
    pub(super) online: watch::Receiver<Vec<OnlineDevice>>,
    pub(super) watching: watch::Receiver<bool>,
    pub(super) network: watch::Receiver<Network>,
    pub(super) doubts: mpsc::Receiver<String>,
}

enum Found {
    Answered(Box<Sighting>),
    Lives,
    Silent,
}

/// How far the verification of one device is.
#[derive(Clone, Copy, Debug)]
struct Check {
    /// When it was certainly there; what was heard since counts as well.
    proven: Instant,
    doubted: bool,
    silent: u8,
    /// Not before.
    next: Instant,
    /// When it was asked last: who has waited longest comes first.
    asked: Option<Instant>,
    under_way: bool,
}

impl Check {
    const fn new(now: Instant) -> Self {
        Self { proven: now, doubted: false, silent: 0, next: now, asked: None, under_way: false }
    }
}

struct Verifier {
    events: mpsc::Sender<WatchEvent>,
    hearing: Hearing,
    devices: BTreeMap<String, (Vec<IpAddr>, Check)>,
    asking: JoinSet<(String, Found)>,
}

pub(super) async fn run(wiring: Wiring, cancel: CancellationToken) {
    let Wiring { events, hearing, mut online, mut watching, mut network, mut doubts } = wiring;
    let mut verifier =
        Verifier { events, hearing, devices: BTreeMap::new(), asking: JoinSet::new() };
    verifier.set_online(&online.borrow_and_update());
    let mut sleeps = network.borrow_and_update().sleeps;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let looks = *watching.borrow_and_update();
        let busy = looks || verifier.devices.values().any(|(_, check)| check.doubted);
        tokio::select! {
            () = cancel.cancelled() => break,
            _ = tick.tick(), if busy => verifier.ask_due(looks),
            Some((name, found)) = next(&mut verifier.asking) => verifier.found(name, found).await,
            Some(name) = doubts.recv() => verifier.doubt(&name),
            Ok(()) = online.changed() => verifier.set_online(&online.borrow_and_update()),
            Ok(()) = watching.changed() => {}
            Ok(()) = network.changed() => {
                let now = network.borrow_and_update().sleeps;
                if now != sleeps {
                    // Whoever was there may have gone long ago.
                    sleeps = now;
                    verifier.doubt_all();
                }
            }
        }
    }
    verifier.asking.shutdown().await;
}

async fn next(asking: &mut JoinSet<(String, Found)>) -> Option<(String, Found)> {
    match asking.join_next().await? {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::error!(%error, "a verification ended badly");
            None
        }
    }
}

impl Verifier {
    fn set_online(&mut self, online: &[OnlineDevice]) {
        let names: BTreeSet<&str> = online.iter().map(|device| device.name.as_str()).collect();
        self.devices.retain(|name, _| names.contains(name.as_str()));
        let now = Instant::now();
        for OnlineDevice { name, addresses } in online {
            let new = || (Vec::new(), Check::new(now));
            let device = self.devices.entry(name.clone()).or_insert_with(new);
            device.0.clone_from(addresses);
        }
    }

    fn doubt(&mut self, name: &str) {
        if let Some((_, check)) = self.devices.get_mut(name) {
            check.doubted = true;
        }
    }

    fn doubt_all(&mut self) {
        for (_, check) in self.devices.values_mut() {
            check.doubted = true;
        }
    }

    /// Asks those who have been silent for long, or are doubted, as many as may be asked at once.
    fn ask_due(&mut self, looks: bool) {
        let now = Instant::now();
        let mut due = self.due(looks, now);
        due.sort_unstable();
        let free = LIMIT.saturating_sub(self.asking.len()).min(PER_TICK);
        for (_, _, name) in due.into_iter().take(free) {
            let Some((addresses, check)) = self.devices.get_mut(&name) else { continue };
            check.under_way = true;
            check.asked = Some(now);
            let last = check.silent > 0;
            let addresses: Vec<IpAddr> = addresses.iter().copied().take(MAX_ADDRESSES).collect();
            self.asking.spawn(async move {
                let found = ask(&name, &addresses, last).await;
                (name, found)
            });
        }
    }

    /// Those who have to be asked; the least comes first: who is doubted, then who was asked longest ago.
    fn due(&mut self, looks: bool, now: Instant) -> Vec<(Reverse<bool>, Option<Instant>, String)> {
        let mut all = Vec::new();
        for (name, (_, check)) in &mut self.devices {
            if let Some(heard) = self.hearing.last_heard(name)
                && heard > check.proven
            {
                check.proven = heard;
                check.silent = 0;
            }
            let silent = now.duration_since(check.proven) >= SILENCE;
            let due = check.doubted || (looks && silent);
            if due && !check.under_way && check.next <= now {
                all.push((Reverse(check.doubted), check.asked, name.clone()));
            }
        }
        all
    }

    async fn found(&mut self, name: String, found: Found) {
        let Some((_, check)) = self.devices.get_mut(&name) else { return };
        let now = Instant::now();
        check.under_way = false;
        let spoke = self.hearing.last_heard(&name).is_some_and(|heard| heard > check.proven);
        // It said something by itself while it was asked.
        let found = if spoke && matches!(found, Found::Silent) { Found::Lives } else { found };
        match found {
            Found::Answered(_) | Found::Lives => {
                *check = Check { asked: check.asked, ..Check::new(now) };
                self.hearing.is_there(&name);
                if let Found::Answered(sighting) = found {
                    self.send(WatchEvent::Seen(*sighting)).await;
                }
            }
            Found::Silent if check.silent == 0 => {
                check.silent = 1;
                check.next = now + PAUSE;
            }
            Found::Silent => {
                // It leaves the list of those that are shown as Online, unless nobody could be heard just now.
                check.silent = 0;
                check.next = now + SILENCE;
                self.send(WatchEvent::Silent { name }).await;
            }
        }
    }

    async fn send(&self, event: WatchEvent) {
        if self.events.send(event).await.is_err() {
            tracing::debug!("nobody listens to the network watch any more");
        }
    }
}

/// Asks at all addresses at once; the last time, connections decide.
async fn ask(name: &str, addresses: &[IpAddr], last: bool) -> Found {
    let mut asking = JoinSet::new();
    for address in addresses.iter().copied() {
        let name = name.to_owned();
        asking.spawn(async move { question::ask(&name, address, ANSWER).await });
    }
    while let Some(answer) = asking.join_next().await {
        match answer {
            Ok(Ok(Some(sighting))) if sighting.name.eq_ignore_ascii_case(name) => {
                return Found::Answered(Box::new(sighting));
            }
            // Somebody else is there, or nobody.
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(name, %error, "the device can't be asked"),
            Err(error) => tracing::error!(%error, "a question ended badly"),
        }
    }
    if !last {
        return Found::Silent;
    }
    let mut connecting = JoinSet::new();
    for address in addresses.iter().copied() {
        connecting.spawn(is_alive(SocketAddr::new(address, API_PORT)));
    }
    while let Some(alive) = connecting.join_next().await {
        if matches!(alive, Ok(true)) {
            return Found::Lives;
        }
    }
    Found::Silent
}

async fn is_alive(at: SocketAddr) -> bool {
    match timeout(CONNECT, TcpStream::connect(at)).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
        Err(_silence) => false,
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
