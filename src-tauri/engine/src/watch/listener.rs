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

/// Packets that wait to be read. Beyond that the network is being flooded, and the kernel drops them.
const MAX_PACKETS: usize = 256;

/// Sightings that wait for a slow receiver; the oldest are dropped.
const MAX_PENDING: usize = 1024;

/// Names whose words are compared with what they said last.
const MAX_NAMES: usize = 4096;

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

pub(super) async fn run(
    wiring: Wiring,
    mut targets: watch::Receiver<Vec<Target>>,
    mut network: watch::Receiver<Network>,
    cancel: CancellationToken,
) {
    let (packets_in, mut packets) = mpsc::channel(MAX_PACKETS);
    let mut sockets = Sockets::new(packets_in);
    let interest = Interest::of(&targets.borrow_and_update());
    let mut listener = Listener::new(wiring, interest);
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
    /// What each name said last, and when that was told.
    told: BTreeMap<String, (Sighting, Instant)>,
    /// Devices with a native API service: they are there as long as that is, whatever becomes of a web server
    /// under their name.
    native: BTreeSet<String>,
    pending: VecDeque<Sighting>,
}

impl Listener {
    fn new(wiring: Wiring, interest: Interest) -> Self {
        let (told, native) = (BTreeMap::new(), BTreeSet::new());
        Self { wiring, interest, told, native, pending: VecDeque::new() }
    }

    fn hear(&mut self, packet: &Packet) {
        let Packet { bytes, sender } = packet;
        let words = if mdns::only_asks(bytes) {
            Vec::new()
        } else {
            mdns::words(bytes, Source::Packet(*sender)).unwrap_or_else(|error| {
                tracing::trace!(%sender, %error, "a packet that can't be read");
                Vec::new()
            })
        };
        self.note_sender(*sender, &words);
        for word in words {
            self.take(word);
        }
    }

    /// Who sends is there, whatever it says; unless it says that it goes, or that it is somebody else.
    fn note_sender(&self, sender: IpAddr, words: &[mdns::Word]) {
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

    fn take(&mut self, word: mdns::Word) {
        let mdns::Word { sighting, native } = word;
        let waited = self.interest.waits_for(&sighting.name);
        match sighting.kind {
            SightingKind::Alive => {
                if waited {
                    self.wiring.nudger.nudge_at(&sighting.name, &sighting.addresses);
                }
                if native && self.native.len() < MAX_NAMES {
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
        if self.is_news(&sighting, waited) {
            if self.pending.len() >= MAX_PENDING {
                tracing::warn!("too many devices at once: a sighting is dropped");
                self.pending.pop_front();
            }
            self.pending.push_back(sighting);
        }
    }

    fn is_news(&mut self, sighting: &Sighting, waited: bool) -> bool {
        let now = Instant::now();
        let again = if waited { AGAIN_WAITED } else { AGAIN };
        if let Some((last, at)) = self.told.get(&sighting.name)
            && last == sighting
            && now.duration_since(*at) < again
        {
            return false;
        }
        if self.told.len() >= MAX_NAMES && !self.told.contains_key(&sighting.name) {
            self.told.retain(|_, (_, at)| now.duration_since(*at) < AGAIN);
            if self.told.len() >= MAX_NAMES && !waited {
                return false;
            }
        }
        self.told.insert(sighting.name.clone(), (sighting.clone(), now));
        true
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
