//! Watching the network for devices that wake: evidence comes in, opened connections and sightings go out.

pub mod neighbours;
pub mod question;

mod browse;
mod budget;
mod evidence;
mod hearing;
mod interfaces;
mod knock;
mod listener;
mod verify;

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::Sighting;
use wakeflash_core::error::Problem;
use wakeflash_core::network::Prefix;
use wakeflash_core::update::UpdateId;

use interfaces::Network;

use neighbours::Neighbours;
use verify::Doubts;
#[cfg(test)]
pub(crate) use {browse::port_taken, interfaces::no_network};

pub use evidence::Nudger;
pub use hearing::Hearing;
pub use interfaces::Stirred;
pub use verify::OnlineDevice;
pub use wakeflash_core::knock::{Purpose, Target, TargetAddress};

/// What the watch has found.
#[derive(Debug)]
pub enum WatchEvent {
    /// Word of a device. When it is evidence of life of a waiting device, that is being knocked at already.
    Seen(Sighting),
    /// A device that was shown as Online answers nothing any more.
    Silent { name: String },
    /// The network can't be watched, or can again. Knocking goes on in either case.
    Network(Option<Problem>),
    /// The networks that this computer is in.
    Links(Vec<Prefix>),
    /// Something accepts connections where a device is said to be, and has other network hardware. Its connection is
    /// closed.
    Stranger {
        /// The device's name.
        name: String,
        /// Where.
        address: IpAddr,
    },
    /// A connection to the OTA port has opened: it is the OTA session. The target isn't knocked at for
    /// [`wakeflash_core::knock::REST`]; take it off the list while the connection is in use.
    Connected {
        /// For which update.
        update: UpdateId,
        /// The device's name.
        name: String,
        /// Where.
        peer: SocketAddr,
        /// The connection, with `TCP_NODELAY`.
        stream: TcpStream,
    },
    /// A device that has to confirm accepts connections again.
    Returned {
        /// For which update.
        update: UpdateId,
        /// The device's name.
        name: String,
        /// Where.
        peer: SocketAddr,
        stream: TcpStream,
    },
    /// Nobody opened. Sent once when it is news: the first failure, another reason, or after a minute.
    Unreachable {
        /// For which update.
        update: UpdateId,
        /// The device's name.
        name: String,
        /// Where.
        address: TargetAddress,
        /// Why.
        reason: Unreachable,
    },
}

/// Why a knock failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// Somebody is there, and nobody listens at the port.
    Refused,
    /// Nobody answers, or there is no way to the address.
    NoAnswer,
    /// The name leads nowhere.
    NameUnknown,
    /// This computer can't open connections now.
    Local,
}

/// What the watch follows, for as long as it runs.
#[derive(Debug)]
pub struct Feeds {
    /// The devices that are waited for.
    pub targets: watch::Receiver<Vec<Target>>,
    /// The devices that are shown as Online.
    pub online: watch::Receiver<Vec<OnlineDevice>>,
    /// Whether somebody looks at them: only then it is verified that they are.
    pub watching: watch::Receiver<bool>,
    /// The names of all devices that are known; others are strangers.
    pub known: watch::Receiver<Vec<String>>,
}

/// Tells which networks this computer is in, as they change.
async fn tell_links(
    mut network: watch::Receiver<Network>,
    events: mpsc::Sender<WatchEvent>,
    cancel: CancellationToken,
) {
    let tell = async {
        let mut told = None;
        loop {
            let now = network.borrow_and_update().prefixes.clone();
            if told.as_ref() != Some(&now) {
                let links = now.iter().copied().collect();
                if events.send(WatchEvent::Links(links)).await.is_err() {
                    return;
                }
                told = Some(now);
            }
            if network.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tell => {}
    }
}

/// The watch and its tasks. They end when the token is cancelled; [`Watch::join`] waits for that.
#[derive(Debug)]
pub struct Watch {
    nudger: Nudger,
    hearing: Hearing,
    tasks: JoinSet<()>,
}

impl Watch {
    /// Starts to listen, to browse, to knock and to verify, for as long as `cancel` isn't cancelled.
    #[must_use]
    pub fn start(
        feeds: Feeds,
        events: mpsc::Sender<WatchEvent>,
        cancel: &CancellationToken,
    ) -> Self {
        let Feeds { targets, online, watching, known } = feeds;
        let (nudger, hearing, neighbours) =
            (Nudger::default(), Hearing::default(), Neighbours::new());
        let (daemon_tx, daemon) = watch::channel(None);
        let (network_tx, network) = watch::channel(Network::now());
        let (doubts, doubted) = Doubts::new();
        let mut tasks = JoinSet::new();
        let token = || cancel.clone();
        tasks.spawn(interfaces::run(network_tx, neighbours.clone(), token()));
        tasks.spawn(neighbours::run(neighbours.clone(), targets.clone(), nudger.clone(), token()));
        let wiring = listener::Wiring {
            events: events.clone(),
            nudger: nudger.clone(),
            hearing: hearing.clone(),
            neighbours: neighbours.clone(),
            doubts: doubts.clone(),
        };
        let lists = listener::Lists { targets: targets.clone(), known: known.clone() };
        tasks.spawn(listener::run(wiring, lists, network.clone(), token()));
        let wiring = browse::Wiring {
            events: events.clone(),
            doubts,
            computer: network.clone(),
            known,
            daemon: daemon_tx,
        };
        tasks.spawn(browse::run(wiring, token()));
        let wiring = verify::Wiring {
            events: events.clone(),
            hearing: hearing.clone(),
            online,
            watching,
            network: network.clone(),
            doubts: doubted,
        };
        tasks.spawn(verify::run(wiring, token()));
        let ways = knock::Ways { neighbours, daemon, network: network.clone() };
        tasks.spawn(knock::run(targets, events.clone(), nudger.clone(), ways, token()));
        tasks.spawn(tell_links(network, events, token()));
        Self { nudger, hearing, tasks }
    }

    /// See [`Nudger::nudge`].
    pub fn nudge(&self, name: &str) {
        self.nudger.nudge(name);
    }

    /// What was heard in the last seconds, for the gate.
    #[must_use]
    pub fn hearing(&self) -> &Hearing {
        &self.hearing
    }

    /// Waits for the tasks to end, after the token was cancelled.
    pub async fn join(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the network watch ended badly");
            }
        }
    }
}
