//! The task that follows the log of one device: it tries to connect until it is there, and again when it has gone.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use wakeflash_core::device_log::LogSource;
use wakeflash_core::knock::TargetAddress;
use wakeflash_core::update::Api;
use wakeflash_esphome::log_config::{LogConfig, log_config};
use wakeflash_ota::EncryptionKey;

use super::now;
use super::report::Report;
use crate::api::log::{End, Heard, follow};
use crate::watch::neighbours::link_address;

/// How long a connection may take to open. One to a device that sleeps is begun anew rather than repeated by TCP.
const CONNECT: Duration = Duration::from_secs(1);
/// A device has one address or two; the next is tried so much later.
const NEXT_ADDRESS: Duration = Duration::from_millis(300);
const MOST_ADDRESSES: usize = 4;
/// How long a name may take to be found.
const LOOKUP: Duration = Duration::from_secs(2);
/// How long ESPHome's file may take to be read, and how many are read at once: a share that doesn't answer holds a
/// thread.
const READ: Duration = Duration::from_secs(5);
static READS: Semaphore = Semaphore::const_new(4);
/// How often a device is tried that isn't there.
const PERIOD: Duration = Duration::from_secs(2);
/// After evidence of life it is tried again so soon.
const AT_EVIDENCE: Duration = Duration::from_millis(250);
/// One that has just taken its leave goes to sleep.
const GOING: Duration = Duration::from_secs(3);
/// One that refuses us isn't asked all the time.
const REFUSED: Duration = Duration::from_secs(10);

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// Nobody knows where it is.
    NoAddress,
    /// Nobody answers.
    Unreachable,
    /// It is there, and nobody listens at this port.
    Refused {
        port: u16,
        /// Its configuration has no `api:`.
        no_api: bool,
    },
    /// There was a connection.
    Of(End),
}

impl Tried {
    /// How long until the next, and whether evidence of life shortens that.
    fn pause(&self) -> (Duration, bool) {
        match self {
            Self::NoAddress | Self::Unreachable | Self::Refused { .. } => (PERIOD, true),
            Self::Of(End::Left | End::Lost(_)) => (PERIOD, false),
            Self::Of(End::Slept) => (GOING, false),
            Self::Of(End::Stranger | End::NeedsKey | End::OtherKey | End::Full) => (REFUSED, false),
        }
    }

    /// Whether another configuration may have been compiled since.
    fn may_be_of_another_build(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Of(End::NeedsKey | End::OtherKey) => true,
            Self::NoAddress
            | Self::Unreachable
            | Self::Of(End::Left | End::Slept | End::Stranger | End::Full | End::Lost(_)) => false,
        }
    }
}

/// What the task has to say.
#[derive(Debug)]
pub(super) enum News {
    /// The level that the configuration gives its log.
    Level(Option<String>),
    Heard(Heard),
    Ended(Tried),
    /// It ended by a defect.
    Died,
}

/// The task.
pub(super) struct Follower {
    pub(super) name: String,
    /// Tells what it says from what one before it has said.
    pub(super) number: u32,
    pub(super) source: watch::Receiver<LogSource>,
    /// What ESPHome has compiled last of its configuration.
    pub(super) compiled: Option<PathBuf>,
    /// Evidence of life.
    pub(super) evidence: Arc<Notify>,
    pub(super) cancel: CancellationToken,
    pub(super) reports: mpsc::Sender<Report>,
}

impl Follower {
    /// Goes on until it is cancelled, and takes its leave of the device then.
    pub(super) async fn run(mut self) {
        let mut config = None;
        let mut stale = true;
        loop {
            if stale {
                config = self.read().await;
                self.tell(News::Level(config.as_ref().map(|it| it.level.clone()))).await;
            }
            let tried = self.attempt(config.as_ref()).await;
            if self.cancel.is_cancelled() {
                return;
            }
            stale = tried.may_be_of_another_build();
            let (pause, may_be_shorter) = tried.pause();
            self.tell(News::Ended(tried)).await;
            let evidence = async {
                if may_be_shorter {
                    self.evidence.notified().await;
                    sleep(AT_EVIDENCE).await;
                } else {
                    std::future::pending().await
                }
            };
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = sleep(pause) => {}
                () = evidence => {}
            }
        }
    }

    async fn tell(&self, news: News) {
        let (name, number) = (self.name.clone(), self.number);
        // The loop outlives its tasks, unless they are cut off at the end.
        let _ = self.reports.send(Report::DeviceLog { name, number, news }).await;
    }

    /// What ESPHome has compiled last says; `None`: nothing, or it can't be read now.
    async fn read(&self) -> Option<LogConfig> {
        let path = self.compiled.clone()?;
        let reading = async {
            let place = READS.acquire().await.ok()?;
            let read = move || {
                let _place = place;
                std::fs::read(path)
            };
            tokio::task::spawn_blocking(read).await.ok()
        };
        match timeout(READ, reading).await {
            Ok(Some(Ok(bytes))) => match log_config(&bytes) {
                Ok(config) => Some(config),
                Err(problem) => {
                    tracing::debug!(device = %self.name, %problem, "what was compiled of it last");
                    None
                }
            },
            Ok(Some(Err(error))) => {
                tracing::debug!(device = %self.name, %error, "what was compiled of it last");
                None
            }
            Ok(None) | Err(_) => {
                tracing::warn!(device = %self.name, "what was compiled of it last isn't read in time");
                None
            }
        }
    }

    async fn attempt(&mut self, config: Option<&LogConfig>) -> Tried {
        let source = self.source.borrow_and_update().clone();
        let api = source.installed.as_ref().or_else(|| config?.api.as_ref());
        let port = api.map_or(Api::PORT, |api| api.port);
        let key = api.and_then(|api| EncryptionKey::from_base64(&api.key.as_ref()?.0));
        let no_api = api.is_none() && config.is_some();
        let opened = tokio::select! {
            () = self.cancel.cancelled() => return Tried::Of(End::Left),
            opened = connect(&source, port) => opened,
        };
        match opened {
            Opened::Stream(stream) => Tried::Of(self.follow(stream, key, &source).await),
            Opened::NoAddress => Tried::NoAddress,
            Opened::Refused => Tried::Refused { port, no_api },
            Opened::Nothing => Tried::Unreachable,
        }
    }

    async fn follow(
        &self,
        stream: TcpStream,
        key: Option<EncryptionKey>,
        source: &LogSource,
    ) -> End {
        let (heard, mut hears) = mpsc::channel(4);
        let following = async move {
            let is_it = |says: &_| source.who.is(says, now());
            follow(stream, key.as_ref(), is_it, &heard, &self.cancel).await
        };
        let telling = async {
            while let Some(heard) = hears.recv().await {
                self.tell(News::Heard(heard)).await;
            }
        };
        tokio::join!(following, telling).0
    }
}

enum Opened {
    Stream(TcpStream),
    Refused,
    Nothing,
    NoAddress,
}

/// Opens a connection to where the device is, or may be: the first that opens.
async fn connect(source: &LogSource, port: u16) -> Opened {
    let addresses = addresses(source).await;
    if addresses.is_empty() {
        return Opened::NoAddress;
    }
    let mut connecting = JoinSet::new();
    for (at, address) in (0..).zip(addresses) {
        connecting.spawn(async move {
            sleep(NEXT_ADDRESS * at).await;
            timeout(CONNECT, TcpStream::connect(SocketAddr::new(address, port))).await
        });
    }
    let mut opened = Opened::Nothing;
    while let Some(ended) = connecting.join_next().await {
        match ended {
            Ok(Ok(Ok(stream))) => {
                // What is written is written at once; without the option it may only be slower.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY");
                }
                return Opened::Stream(stream);
            }
            Ok(Ok(Err(error))) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                opened = Opened::Refused;
            }
            // Nobody is there.
            Ok(Ok(Err(_)) | Err(_)) => {}
            Err(error) => tracing::error!(%error, "a connection ended badly"),
        }
    }
    opened
}

/// Where the device is by the user's word or its configuration, and where it may be by its hardware.
async fn addresses(source: &LogSource) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for given in &source.given {
        match given {
            TargetAddress::Ip(address) => addresses.push(*address),
            // Where such a name leads, mDNS has told already.
            TargetAddress::Name(name) if name.trim_end_matches('.').ends_with(".local") => {}
            TargetAddress::Name(name) => {
                if let Ok(Ok(found)) = timeout(LOOKUP, lookup_host((name.as_str(), 0))).await {
                    addresses.extend(found.map(|found| found.ip()));
                }
            }
        }
    }
    let found = source.found.iter().copied();
    addresses.extend(found.filter(|at| source.who.may_be_at(*at, link_address(*at))));
    let mut one_of_each = Vec::new();
    for address in addresses {
        if !one_of_each.contains(&address) && one_of_each.len() < MOST_ADDRESSES {
            one_of_each.push(address);
        }
    }
    one_of_each
}
