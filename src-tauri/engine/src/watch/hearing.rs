//! What was heard a moment ago, and by whom it was said. The gate needs it: a device that has just announced
//! itself needn't be asked who it is.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant;
use wakeflash_core::device::{Sighting, SightingKind};

/// How long a packet counts for the wake that it was heard in. Short against any sleep after which an address
/// may belong to another device.
const REMEMBERED: Duration = Duration::from_secs(10);

const MAX_SENDERS: usize = 512;
const MAX_PACKETS: usize = 8;
const MAX_NAMES: usize = 4096;

/// The packets of the last seconds, for the gates; and when each device was heard last.
#[derive(Clone, Debug)]
pub struct Hearing {
    state: Arc<Mutex<State>>,
    live: broadcast::Sender<Sighting>,
}

#[derive(Debug, Default)]
struct State {
    by_sender: BTreeMap<IpAddr, VecDeque<(Instant, Sighting)>>,
    by_name: BTreeMap<String, Instant>,
}

impl Default for Hearing {
    fn default() -> Self {
        Self { state: Arc::default(), live: broadcast::channel(64).0 }
    }
}

impl Hearing {
    /// A packet was heard.
    pub fn hear(&self, heard: Sighting) {
        self.lock().note(Instant::now(), &heard);
        // No gate is waiting: nobody needs to hear it.
        let _ = self.live.send(heard);
    }

    /// The device has shown that it is there, by something else than a packet that was heard.
    pub fn is_there(&self, name: &str) {
        self.lock().note_name(name, Instant::now());
    }

    /// What this address has said in the last seconds, oldest first, and everything from now on.
    #[must_use]
    pub fn listen(&self, peer: IpAddr) -> (Vec<Sighting>, broadcast::Receiver<Sighting>) {
        // In this order nothing is missed; a packet that is in both does no harm.
        let live = self.live.subscribe();
        let now = Instant::now();
        let lately = self.lock().by_sender.get(&peer).map_or_else(Vec::new, |packets| {
            let fresh = packets.iter().filter(|(at, _)| now.duration_since(*at) < REMEMBERED);
            fresh.map(|(_, heard)| heard.clone()).collect()
        });
        (lately, live)
    }

    /// When the device of this name was heard last.
    #[must_use]
    pub fn last_heard(&self, name: &str) -> Option<Instant> {
        self.lock().by_name.get(name).copied()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is half-changed here costs one question at most.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, now: Instant, heard: &Sighting) {
        let Some(sender) = heard.source.sender() else { return };
        if heard.kind == SightingKind::Gone {
            // What it said before belongs to the wake that ends here.
            self.by_sender.remove(&sender);
            return;
        }
        self.note_name(&heard.name, now);
        if self.by_sender.len() >= MAX_SENDERS && !self.by_sender.contains_key(&sender) {
            self.by_sender.retain(|_, packets| {
                packets.back().is_some_and(|(at, _)| now.duration_since(*at) < REMEMBERED)
            });
            if self.by_sender.len() >= MAX_SENDERS {
                return;
            }
        }
        let packets = self.by_sender.entry(sender).or_default();
        if packets.len() >= MAX_PACKETS {
            packets.pop_front();
        }
        packets.push_back((now, heard.clone()));
    }

    fn note_name(&mut self, name: &str, now: Instant) {
        if self.by_name.len() >= MAX_NAMES && !self.by_name.contains_key(name) {
            // A flood of made-up names: devices are asked instead.
            self.by_name.clear();
        }
        self.by_name.insert(name.to_owned(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wakeflash_core::device::Source;

    fn heard(last: u8, name: &str, kind: SightingKind) -> Sighting {
        let sender = IpAddr::from([10, 0, 0, last]);
        Sighting {
            name: name.into(),
            source: Source::Packet(sender),
            kind,
            addresses: vec![sender],
            mac: None,
            link_address: None,
            version: None,
            config_hash: None,
            stamp: None,
            friendly_name: None,
            platform: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_seconds_are_kept_until_the_goodbye() {
        let hearing = Hearing::default();
        let said = heard(1, "sleepy", SightingKind::Alive);
        hearing.hear(said.clone());
        hearing.hear(heard(2, "kitchen", SightingKind::Alive));
        let (lately, mut live) = hearing.listen([10, 0, 0, 1].into());
        assert_eq!(lately, std::slice::from_ref(&said));
        hearing.hear(said.clone());
        assert_eq!(live.recv().await.unwrap(), said);
        assert!(hearing.last_heard("sleepy").is_some() && hearing.last_heard("nobody").is_none());
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(hearing.listen([10, 0, 0, 1].into()).0, [], "another wake");
        hearing.hear(said.clone());
        hearing.hear(heard(1, "sleepy", SightingKind::Gone));
        assert_eq!(hearing.listen([10, 0, 0, 1].into()).0, []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_takes_no_more_room() {
        let hearing = Hearing::default();
        for n in 0..20_000_u32 {
            let sender = IpAddr::from(n.to_be_bytes());
            let source = Source::Packet(sender);
            hearing.hear(Sighting { source, ..heard(1, &format!("n{n}"), SightingKind::Alive) });
            hearing.hear(heard(9, "loud", SightingKind::Alive));
        }
        let state = hearing.lock();
        assert!(state.by_sender.len() <= MAX_SENDERS && state.by_name.len() <= MAX_NAMES);
        assert!(state.by_sender.values().all(|packets| packets.len() <= MAX_PACKETS));
    }
}
