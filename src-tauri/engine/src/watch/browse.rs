//! Browsing with `mdns-sd`: presence, names and TXT records, as its cache sees them.
//!
//! Its events are changes of a cache. An address that expires is one, and a service that expires because the
//! packet that would have refreshed it was lost; an identical re-announcement is none. So they are neither
//! evidence of life nor of death: what is in the cache is told as such, and what leaves it is doubted, that is,
//! verified. What counts for a wake is heard by the [listener](super::listener).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mdns_sd::{DaemonEvent, Receiver, ResolvedService, ServiceDaemon, ServiceEvent};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::Sighting;
use wakeflash_core::error::Problem;
use wakeflash_core::mdns;

use super::WatchEvent;
use super::budget::{Budget, LeftOut};
use super::interfaces::Network;
use super::verify::Doubts;

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);
/// How often it is looked how much the daemon holds, and how long that may take.
const LOOK: Duration = Duration::from_secs(2);
const METRICS_LIMIT: Duration = Duration::from_secs(2);
/// Records in the daemon's cache: five for each of 4,000 services. Beyond that the network is being flooded.
const MAX_CACHED: i64 = 20_000;
/// A daemon that went so long without a flood was a good one.
const GOOD_RUN: Duration = Duration::from_secs(120);
/// How many devices that nobody knows are told.
const STRANGERS_PER_SECOND: u32 = 20;
const STRANGERS_AT_ONCE: u32 = 2_000;
/// Devices whose latest sighting waits for a slow receiver. Beyond that the network is being flooded.
const MAX_PENDING: usize = 4096;

/// What browsing is connected with.
pub(super) struct Wiring {
    pub(super) events: mpsc::Sender<WatchEvent>,
    pub(super) doubts: Doubts,
    pub(super) computer: watch::Receiver<Network>,
    /// The names of the devices that are known.
    pub(super) known: watch::Receiver<Vec<String>>,
    pub(super) daemon: watch::Sender<Option<ServiceDaemon>>,
}

struct Browser {
    wiring: Wiring,
    strangers: Budget,
    left_out: LeftOut,
    /// The latest news per device that hasn't been taken: `mdns-sd` ends a subscription that isn't drained.
    pending: BTreeMap<String, Sighting>,
    network: Told,
}

/// What was last said about the network.
#[derive(Default)]
struct Told {
    said: Option<Option<Problem>>,
    news: Option<Option<Problem>>,
}

impl Told {
    fn say(&mut self, state: Option<Problem>) {
        if self.said.as_ref() != Some(&state) {
            match &state {
                Some(problem) => tracing::warn!(code = problem.code, "{problem}"),
                None => tracing::info!("the network is being watched"),
            }
            self.said = Some(state.clone());
            self.news = Some(state);
        }
    }
}

struct Subscriptions {
    esphome: Receiver<ServiceEvent>,
    http: Receiver<ServiceEvent>,
    monitor: Receiver<DaemonEvent>,
}

pub(super) async fn run(wiring: Wiring, cancel: CancellationToken) {
    let mut browser = Browser::new(wiring);
    let mut retry = FIRST_RETRY;
    while !cancel.is_cancelled() {
        match start() {
            Ok((daemon, subscriptions)) => {
                let started = Instant::now();
                browser.wiring.daemon.send_replace(Some(daemon.clone()));
                browser.follow(&daemon, subscriptions, &cancel).await;
                browser.wiring.daemon.send_replace(None);
                shut_down(&daemon).await;
                if started.elapsed() >= GOOD_RUN {
                    retry = FIRST_RETRY;
                }
            }
            Err(problem) => browser.say_unwatched(problem),
        }
        let pause = sleep(retry);
        retry = (retry * 2).min(LAST_RETRY);
        let mut computer = browser.wiring.computer.clone();
        let told = async {
            browser.deliver().await;
            tokio::select! {
                Ok(()) = computer.changed() => {}
                () = pause => {}
            }
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = told => {}
        }
    }
}

/// Nobody else gets the packets of devices.
pub(crate) fn port_taken() -> Problem {
    Problem::new("network.port", "Devices can't be discovered: the mDNS port 5353 is taken.")
        .with_help(
            "Another program keeps it for itself. Devices with a known address are still found.",
        )
}

/// Whether the daemon's cache holds more than networks have. It has no limit of its own, and what is in it stays for
/// more than an hour.
async fn is_flooded(daemon: &ServiceDaemon) -> bool {
    let asked = daemon.get_metrics();
    let Ok(Ok(metrics)) = (match asked {
        Ok(answer) => timeout(METRICS_LIMIT, answer.recv_async()).await,
        Err(error) => {
            // It has more to do than it can, or has ended: then its subscriptions say so.
            tracing::debug!(%error, "mDNS browsing doesn't say how much it holds");
            return matches!(error, mdns_sd::Error::Again);
        }
    }) else {
        return true;
    };
    let cached = metrics.iter().filter(|(name, _)| name.starts_with("cached-"));
    cached.map(|(_, count)| count).sum::<i64>() > MAX_CACHED
}

/// Starts the daemon. It would keep a failure of its sockets to itself, so the port is tried first.
fn start() -> Result<(ServiceDaemon, Subscriptions), Problem> {
    try_port(mdns::PORT).map_err(|error| {
        tracing::debug!(%error, "the mDNS port can't be opened");
        port_taken()
    })?;
    let failed = |error: mdns_sd::Error| {
        tracing::debug!(%error, "mDNS browsing can't be started");
        Problem::new("network.mdns", "Devices can't be discovered: mDNS can't be started.")
            .with_help("Devices with a known address are still found. It is tried again from time to time.")
    };
    let daemon = ServiceDaemon::new().map_err(failed)?;
    let subscriptions = subscribe(&daemon).map_err(failed)?;
    Ok((daemon, subscriptions))
}

fn subscribe(daemon: &ServiceDaemon) -> mdns_sd::Result<Subscriptions> {
    Ok(Subscriptions {
        esphome: daemon.browse(mdns::ESPHOME_SERVICE)?,
        http: daemon.browse(mdns::HTTP_SERVICE)?,
        monitor: daemon.monitor()?,
    })
}

/// Binds as `mdns-sd` will: shared with other programs that share it too.
fn try_port(port: u16) -> std::io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())
}

async fn shut_down(daemon: &ServiceDaemon) {
    match daemon.shutdown() {
        Ok(done) => {
            // Its thread ends with the process in any case.
            if timeout(SHUTDOWN_LIMIT, done.recv_async()).await.is_err() {
                tracing::warn!("mDNS browsing takes long to end");
            }
        }
        Err(error) => tracing::debug!(%error, "mDNS browsing had ended already"),
    }
}

impl Browser {
    fn new(wiring: Wiring) -> Self {
        Self {
            wiring,
            strangers: Budget::new(STRANGERS_PER_SECOND, STRANGERS_AT_ONCE),
            left_out: LeftOut::default(),
            pending: BTreeMap::new(),
            network: Told::default(),
        }
    }

    /// Follows the daemon until it ends or has to be started again.
    async fn follow(
        &mut self,
        daemon: &ServiceDaemon,
        mut from: Subscriptions,
        cancel: &CancellationToken,
    ) {
        let sleeps = self.wiring.computer.borrow_and_update().sleeps;
        self.say_network();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let news = self.network.news.is_some() || !self.pending.is_empty();
            let events = self.wiring.events.clone();
            let lost = tokio::select! {
                () = cancel.cancelled() => return,
                event = from.esphome.recv_async() => self.service(event.ok()),
                event = from.http.recv_async() => self.service(event.ok()),
                event = from.monitor.recv_async() => self.monitored(event.ok()),
                permit = events.reserve(), if news => match permit {
                    Ok(permit) => {
                        if let Some(event) = self.next_event() {
                            permit.send(event);
                        }
                        false
                    }
                    Err(_) => return,
                },
                _ = look.tick() => {
                    if is_flooded(daemon).await {
                        tracing::warn!("too many records on the network: mDNS browsing pauses, and begins anew");
                        return;
                    }
                    false
                }
                Ok(()) = self.wiring.computer.changed() => {
                    self.say_network();
                    if self.wiring.computer.borrow_and_update().sleeps != sleeps {
                        // The cache has not noticed how old it is.
                        tracing::info!("mDNS browsing is started again after a sleep");
                        return;
                    }
                    false
                }
            };
            if lost {
                // The daemon has ended the subscription. A new one repeats what the cache has.
                match subscribe(daemon) {
                    Ok(again) => from = again,
                    Err(error) => {
                        tracing::warn!(%error, "mDNS browsing has ended and is started again");
                        return;
                    }
                }
            }
        }
    }

    /// Delivers what is due while there is no daemon to drain.
    async fn deliver(&mut self) {
        while let Some(event) = self.next_event() {
            if self.wiring.events.send(event).await.is_err() {
                return;
            }
        }
    }

    fn next_event(&mut self) -> Option<WatchEvent> {
        if let Some(state) = self.network.news.take() {
            return Some(WatchEvent::Network(state));
        }
        let (_, sighting) = self.pending.pop_first()?;
        Some(WatchEvent::Seen(sighting))
    }

    /// Returns whether the subscription is lost.
    fn service(&mut self, event: Option<ServiceEvent>) -> bool {
        let sighting = match event {
            None | Some(ServiceEvent::SearchStopped(_)) => return true,
            Some(ServiceEvent::ServiceResolved(service)) => sighting_of(&service),
            Some(ServiceEvent::ServiceRemoved(_, fullname)) => {
                if let Some(name) = mdns::removed(&fullname) {
                    self.wiring.doubts.doubt(&name);
                }
                None
            }
            Some(_) => None,
        };
        let Some(sighting) = sighting else { return false };
        let waits = self.pending.contains_key(&sighting.name);
        if waits || (self.pending.len() < MAX_PENDING && self.has_room(&sighting.name)) {
            self.pending.insert(sighting.name.clone(), sighting);
        } else if let Some(count) = self.left_out.one_more() {
            tracing::warn!(count, "too many devices at once: sightings were left out");
        }
        false
    }

    fn has_room(&mut self, name: &String) -> bool {
        self.wiring.known.borrow().binary_search(name).is_ok() || self.strangers.take()
    }

    /// Why nothing can be watched; without any network, that comes first.
    fn say_unwatched(&mut self, problem: Problem) {
        let none = self.wiring.computer.borrow_and_update().problem();
        self.network.say(none.or(Some(problem)));
    }

    fn say_network(&mut self) {
        let problem = self.wiring.computer.borrow().problem();
        self.network.say(problem);
    }

    fn monitored(&mut self, event: Option<DaemonEvent>) -> bool {
        match event {
            None => return true,
            Some(DaemonEvent::Error(error)) => {
                tracing::warn!(%error, "mDNS browsing reports an error");
                self.network.say(Some(
                    Problem::new("network.mdns", "Discovering devices by mDNS has trouble.")
                        .with_help("Devices with a known address are still found."),
                ));
            }
            Some(_) => {}
        }
        false
    }
}

fn sighting_of(service: &ResolvedService) -> Option<Sighting> {
    let addresses = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr);
    mdns::resolved(&service.fullname, addresses, |key| {
        service.txt_properties.get_property_val_str(key)
    })
}

#[cfg(test)]
mod tests {
    use super::super::interfaces::Link;
    use super::*;

    fn browser(computer: watch::Receiver<Network>, doubts: Doubts) -> Browser {
        let (events, _) = mpsc::channel(1);
        let (daemon, _) = watch::channel(None);
        let (_, known) = watch::channel(Vec::new());
        Browser::new(Wiring { events, doubts, computer, known, daemon })
    }

    #[test]
    fn that_there_is_no_network_is_said_before_what_keeps_it_from_being_watched() {
        let (change, computer) = watch::channel(Network::default());
        let mut browser = browser(computer, Doubts::new().0);
        let mut said = || {
            browser.say_unwatched(Problem::new("network.port", "The port is taken."));
            browser.network.said.clone().flatten().map(|problem| problem.code)
        };
        assert_eq!(said().as_deref(), Some("network.none"));
        change.send_modify(|now| now.links.extend([Link { index: 1, v6: false }]));
        assert_eq!(said().as_deref(), Some("network.port"));
    }

    #[tokio::test]
    async fn what_leaves_the_cache_is_doubted_and_not_gone() {
        let (_, computer) = watch::channel(Network::default());
        let (doubts, mut doubted) = Doubts::new();
        let mut browser = browser(computer, doubts);
        let service = mdns::ESPHOME_SERVICE;
        let event = ServiceEvent::ServiceRemoved(service.into(), format!("plug.{service}"));
        assert!(!browser.service(Some(event)));
        assert_eq!(doubted.try_recv().unwrap(), "plug");
        assert!(browser.pending.is_empty());
    }
}
