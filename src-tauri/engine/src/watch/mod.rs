//! Watching the network for devices that wake: evidence comes in, opened connections and sightings go out.

pub mod neighbours;
pub mod question;

mod browse;
mod knock;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::Sighting;
use wakeflash_core::error::Problem;
use wakeflash_core::update::UpdateId;

pub use wakeflash_core::knock::{Purpose, Target, TargetAddress};

/// What the watch has found.
#[derive(Debug)]
pub enum WatchEvent {
    /// Evidence about a device. A waiting device of that name is being knocked at already.
    Seen {
        /// What is known now.
        sighting: Sighting,
        /// Who sent the packet; `None`: it comes out of the resolver, which doesn't say.
        sender: Option<IpAddr>,
    },
    /// The network can't be watched, or can again. Knocking goes on in either case.
    Network(Option<Problem>),
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
    /// A device that has to confirm accepts connections again. The connection is closed.
    Returned {
        /// For which update.
        update: UpdateId,
        /// The device's name.
        name: String,
        /// Where.
        peer: SocketAddr,
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

/// Tells the watch that there is evidence of life of a device, so that it is knocked at now.
#[derive(Clone, Debug, Default)]
pub struct Nudger {
    names: Arc<Mutex<BTreeSet<String>>>,
    notify: Arc<Notify>,
}

impl Nudger {
    /// There is evidence of life of the device of this name. Never waits; names that nobody waits for are
    /// ignored, and many nudges before the watch gets to them count as one.
    pub fn nudge(&self, name: &str) {
        self.lock().insert(name.to_owned());
        self.notify.notify_one();
    }

    /// Waits for nudges and takes them. Nothing is lost when the future is dropped.
    async fn take(&self) -> BTreeSet<String> {
        loop {
            let names = std::mem::take(&mut *self.lock());
            if !names.is_empty() {
                return names;
            }
            self.notify.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        // A set of names can't be left half-changed.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watch and its tasks. They end when the token is cancelled; [`Watch::join`] waits for that.
#[derive(Debug)]
pub struct Watch {
    nudger: Nudger,
    tasks: JoinSet<()>,
}

impl Watch {
    /// Starts to browse, and to knock at `targets`, for as long as `cancel` isn't cancelled.
    #[must_use]
    pub fn start(
        targets: watch::Receiver<Vec<Target>>,
        events: mpsc::Sender<WatchEvent>,
        cancel: CancellationToken,
    ) -> Self {
        let nudger = Nudger::default();
        let (daemon_tx, daemon) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(browse::run(events.clone(), nudger.clone(), daemon_tx, cancel.clone()));
        tasks.spawn(knock::run(targets, events, nudger.clone(), daemon, cancel));
        Self { nudger, tasks }
    }

    /// A handle for [`Nudger::nudge`].
    #[must_use]
    pub fn nudger(&self) -> Nudger {
        self.nudger.clone()
    }

    /// See [`Nudger::nudge`].
    pub fn nudge(&self, name: &str) {
        self.nudger.nudge(name);
    }

    /// Waits for the tasks to end, after the token was cancelled.
    pub async fn join(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the network watch ended badly");
            }
        }
    }
}
