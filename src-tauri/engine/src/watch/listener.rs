//! The passive listener: every packet of the mDNS group, beside `mdns-sd` and whoever else listens.
//!
//! `mdns-sd` tells changes of its cache. A device that wakes within the life of its records changes nothing there,
//! so what counts for a wake is heard here: announcements, identical ones too, probes, answers to anybody's
//! question, and packets that merely come from where a device is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::{Sighting, SightingKind, Source};
use wakeflash_core::knock::Target;
use wakeflash_core::mdns;

use super::WatchEvent;
use super::budget::{Budget, LeftOut};
use super::evidence::{Interest, Nudger};
use super::hearing::Hearing;
use super::interfaces::{Link, Network};
use super::neighbours::Neighbours;
use super::verify::Doubts;

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// An interface that can't be listened on is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);

/// The same words about a device that nobody waits for are told again after this time: half of the shortest sleep
/// that counts as one.
const AGAIN: Duration = Duration::from_secs(10);

/// The same about one that is waited for: its three announcements come a second apart.
const AGAIN_WAITED: Duration = Duration::from_millis(250);

/// Other words about the same name are told no sooner: a device has little to say, whoever speaks for it has no end.
const AT_LEAST: Duration = Duration::from_millis(20);

/// How much is told about names that nobody knows, and about devices that nobody waits for.
const STRANGERS_PER_SECOND: u32 = 20;
const STRANGERS_AT_ONCE: u32 = 2_000;
const OTHERS_PER_SECOND: u32 = 300;
const OTHERS_AT_ONCE: u32 = 3_000;

/// Packets that wait to be read. Beyond that the network is being flooded, and the kernel drops them.
const MAX_PACKETS: usize = 256;

/// Sightings that wait for a slow receiver; the oldest are dropped.
const MAX_PENDING: usize = 1024;

/// Words that are compared with what was said last.
const MAX_TOLD: usize = 4096;

/// One packet.
struct Packet {
    bytes: Vec<u8>,
    sender: IpAddr,
}

/// What the listener is connected with.
pub(super) struct Wiring {
    pub(super) events: mpsc::Sender<WatchEvent>,
    pub(super) nudger: Nudger,
    pub(super) hearing: Hearing,
    pub(super) neighbours: Neighbours,
    pub(super) doubts: Doubts,
}

/// Whose words are worth what.
pub(super) struct Lists {
    pub(super) targets: watch::Receiver<Vec<Target>>,
    pub(super) known: watch::Receiver<Vec<String>>,
}

pub(super) async fn run(
    wiring: Wiring,
    lists: Lists,
    mut network: watch::Receiver<Network>,
    cancel: CancellationToken,
) {
    let Lists { mut targets, mut known } = lists;
    let (packets_in, mut packets) = mpsc::channel(MAX_PACKETS);
    let mut sockets = Sockets::new(packets_in);
    let interest = Interest::of(&targets.borrow_and_update());
    let mut listener = Listener::new(wiring, interest);
    listener.know(&known.borrow_and_update());
    sockets.follow(&network.borrow_and_update().clone());
    loop {
        let events = listener.wiring.events.clone();
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(packet) = packets.recv() => listener.hear(&packet),
            permit = events.reserve(), if !listener.pending.is_empty() => match permit {
                Ok(permit) => {
                    if let Some(sighting) = listener.pending.pop_front() {
                        permit.send(WatchEvent::Seen(sighting));
                    }
                }
                Err(_closed) => break,
            },
            Ok(()) = targets.changed() => {
                listener.interest = Interest::of(&targets.borrow_and_update());
            }
            Ok(()) = known.changed() => listener.know(&known.borrow_and_update()),
            Ok(()) = network.changed() => sockets.follow(&network.borrow_and_update().clone()),
            Some(ended) = sockets.readers.join_next() => match ended {
                Ok(link) => sockets.lost(link),
                Err(error) if error.is_cancelled() => {}
                Err(error) => tracing::error!(%error, "an mDNS listener ended badly"),
            },
        }
    }
    sockets.readers.shutdown().await;
}

/// One socket per interface and family, each with a task that reads it.
struct Sockets {
    packets: mpsc::Sender<Packet>,
    readers: JoinSet<Link>,
    open: BTreeMap<Link, AbortHandle>,
    sleeps: u32,
}

impl Sockets {
    fn new(packets: mpsc::Sender<Packet>) -> Self {
        Self { packets, readers: JoinSet::new(), open: BTreeMap::new(), sleeps: 0 }
    }

    fn follow(&mut self, network: &Network) {
        let rejoin = self.sleeps != network.sleeps;
        self.sleeps = network.sleeps;
        self.open.retain(|link, reader| {
            let stays = network.links.contains(link) && !rejoin;
            if !stays {
                reader.abort();
            }
            stays
        });
        for link in &network.links {
            if !self.open.contains_key(link) {
                self.listen(*link, Duration::ZERO);
            }
        }
    }

    fn lost(&mut self, link: Link) {
        // Whatever was taken away or opened anew meanwhile is none of this reader's business.
        if self.open.get(&link).is_some_and(AbortHandle::is_finished) {
            self.listen(link, RETRY);
        }
    }

    fn listen(&mut self, link: Link, pause: Duration) {
        let packets = self.packets.clone();
        let reader = self.readers.spawn(async move {
            sleep(pause).await;
            if let Err(error) = read(link, packets).await {
                tracing::debug!(?link, %error, "mDNS can't be listened to here");
            }
            link
        });
        self.open.insert(link, reader);
    }
}

async fn read(link: Link, packets: mpsc::Sender<Packet>) -> io::Result<()> {
    let socket = open(link)?;
    tracing::debug!(?link, "listening to mDNS");
    let mut buffer = vec![0; mdns::MAX_PACKET + 1];
    loop {
        let (length, sender) = socket.recv_from(&mut buffer).await?;
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        if packets.send(Packet { bytes, sender: sender.ip() }).await.is_err() {
            return Ok(());
        }
    }
}

/// Bound to the group itself, so that no answer to another program's question ends up here.
fn open(link: Link) -> io::Result<UdpSocket> {
    let domain = if link.v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    if link.v6 {
        socket.set_only_v6(true)?;
        // Not what others on this computer have joined on other interfaces.
        #[cfg(target_os = "linux")]
        socket.set_multicast_all_v6(false)?;
        socket.bind(&SocketAddrV6::new(GROUP_V6, mdns::PORT, 0, link.index).into())?;
        socket.join_multicast_v6(&GROUP_V6, link.index)?;
    } else {
        #[cfg(target_os = "linux")]
        socket.set_multicast_all_v4(false)?;
        socket.bind(&SocketAddr::from((GROUP_V4, mdns::PORT)).into())?;
        socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(link.index))?;
    }
    UdpSocket::from_std(socket.into())
}

struct Listener {
    wiring: Wiring,
    interest: Interest,
    /// What each host said last of each name, and when that was told.
    told: BTreeMap<(String, Option<IpAddr>), (Sighting, Instant)>,
    /// Devices with a native API service: they are there as long as that is, whatever becomes of a web server
    /// under their name.
    native: BTreeSet<String>,
    known: BTreeSet<String>,
    strangers: Budget,
    others: Budget,
    left_out: LeftOut,
    pending: VecDeque<Sighting>,
}

impl Listener {
    fn new(wiring: Wiring, interest: Interest) -> Self {
        Self {
            wiring,
            interest,
            told: BTreeMap::new(),
            native: BTreeSet::new(),
            known: BTreeSet::new(),
            strangers: Budget::new(STRANGERS_PER_SECOND, STRANGERS_AT_ONCE),
            others: Budget::new(OTHERS_PER_SECOND, OTHERS_AT_ONCE),
            left_out: LeftOut::default(),
            pending: VecDeque::new(),
        }
    }

    fn know(&mut self, names: &[String]) {
        self.known = names.iter().cloned().collect();
        self.native.retain(|name| self.known.contains(name));
    }

    fn hear(&mut self, packet: &Packet) {
        let Packet { bytes, sender } = packet;
        let words = if mdns::only_asks(bytes) {
            Vec::new()
        } else {
            mdns::service_sightings(bytes, Source::Packet(*sender)).unwrap_or_else(|error| {
                tracing::trace!(%sender, %error, "a packet that can't be read");
                Vec::new()
            })
        };
        self.note_sender(*sender, &words);
        let link_address = self.wiring.neighbours.link_of(*sender);
        for mut word in words {
            word.sighting.link_address = link_address;
            self.take(word);
        }
    }

    /// Who sends is there, whatever it says; unless it says that it goes, or that it is somebody else.
    fn note_sender(&self, sender: IpAddr, words: &[mdns::ServiceSighting]) {
        for name in self.interest.at(sender) {
            let mut own = words.iter().filter(|word| word.sighting.name == name).peekable();
            let others = words.iter().any(|word| {
                word.sighting.name != name && word.sighting.addresses.contains(&sender)
            });
            if own.peek().is_none() && others {
                self.wiring.neighbours.let_go(sender);
            } else if own.all(|word| word.sighting.kind == SightingKind::Alive) {
                self.wiring.nudger.nudge(name);
            }
        }
    }

    fn take(&mut self, word: mdns::ServiceSighting) {
        let mdns::ServiceSighting { sighting, native } = word;
        let waited = self.interest.waits_for(&sighting.name);
        match sighting.kind {
            SightingKind::Alive => {
                if waited {
                    self.wiring.nudger.nudge_at(&sighting.name, &sighting.addresses);
                }
                if native && (waited || self.known.contains(&sighting.name)) {
                    self.native.insert(sighting.name.clone());
                }
            }
            SightingKind::Gone if native => drop(self.native.remove(&sighting.name)),
            SightingKind::Gone if self.native.contains(&sighting.name) => {
                self.wiring.doubts.doubt(&sighting.name);
                return;
            }
            SightingKind::Gone => {}
        }
        self.wiring.hearing.hear(sighting.clone());
        if !self.is_news(&sighting, waited) {
            return;
        }
        let full = self.pending.len() >= MAX_PENDING;
        if full {
            self.pending.pop_front();
        }
        let has_room = self.has_room(&sighting, waited);
        if (full || !has_room)
            && let Some(count) = self.left_out.one_more()
        {
            tracing::warn!(count, "too much is said at once: sightings were left out");
        }
        if has_room {
            self.told.insert(spoken(&sighting), (sighting.clone(), Instant::now()));
            self.pending.push_back(sighting);
        }
    }

    /// Whether what is said goes on to the loop: always what comes from where a device is that is waited for, and as
    /// much as can be of the rest, so that a flood takes no time away from what matters.
    fn has_room(&mut self, sighting: &Sighting, waited: bool) -> bool {
        let sender = sighting.source.sender();
        let is_there =
            sender.is_some_and(|sender| self.interest.at(sender).any(|name| name == sighting.name));
        if is_there {
            true
        } else if waited || self.known.contains(&sighting.name) {
            self.others.take()
        } else {
            self.strangers.take()
        }
    }

    fn is_news(&mut self, sighting: &Sighting, waited: bool) -> bool {
        // Anything can have an address or a web server: of such a name nobody needs to know.
        let known = waited || self.known.contains(&sighting.name);
        if !known && !mdns::announces_esphome(sighting) {
            return false;
        }
        let now = Instant::now();
        let again = if waited { AGAIN_WAITED } else { AGAIN };
        if let Some((last, at)) = self.told.get(&spoken(sighting)) {
            let pause = if last == sighting { again } else { AT_LEAST };
            if last.kind == sighting.kind && now.duration_since(*at) < pause {
                return false;
            }
        }
        if self.told.len() >= MAX_TOLD {
            self.told.retain(|_, (_, at)| now.duration_since(*at) < AGAIN);
        }
        self.told.len() < MAX_TOLD || waited
    }
}

/// Of whom somebody speaks, and who.
fn spoken(sighting: &Sighting) -> (String, Option<IpAddr>) {
    (sighting.name.clone(), sighting.source.sender())
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
