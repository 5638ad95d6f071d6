//! Browsing with `mdns-sd`: presence, names and TXT records, as its cache sees them.
//!
//! Its events are changes of a cache: it says nothing about an identical re-announcement. So they tell who is
//! there, and a device that wakes is caught by other means as well.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mdns_sd::{DaemonEvent, Receiver, ResolvedService, ServiceDaemon, ServiceEvent};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::{Sighting, SightingKind};
use wakeflash_core::error::Problem;
use wakeflash_core::mdns;

use super::{Nudger, WatchEvent};

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// How often the interfaces are looked at; `mdns-sd` itself looks every 5 s.
const INTERFACE_CHECK: Duration = Duration::from_secs(5);
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);
/// Devices whose latest sighting waits for a slow receiver. Beyond that the network is being flooded.
const MAX_PENDING: usize = 4096;

struct Browser {
    events: mpsc::Sender<WatchEvent>,
    nudger: Nudger,
    daemon: watch::Sender<Option<ServiceDaemon>>,
    /// The latest news per device that hasn't been taken: `mdns-sd` ends a subscription that isn't drained.
    pending: BTreeMap<String, Sighting>,
    /// The devices with a native API service: they are there as long as that is, whatever becomes of another
    /// service under their name.
    native: BTreeSet<String>,
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

pub(super) async fn run(
    events: mpsc::Sender<WatchEvent>,
    nudger: Nudger,
    daemon: watch::Sender<Option<ServiceDaemon>>,
    cancel: CancellationToken,
) {
    let pending = BTreeMap::new();
    let (native, network) = (BTreeSet::new(), Told::default());
    let mut browser = Browser { events, nudger, daemon, pending, native, network };
    let mut retry = FIRST_RETRY;
    while !cancel.is_cancelled() {
        match start() {
            Ok((daemon, subscriptions)) => {
                retry = FIRST_RETRY;
                browser.daemon.send_replace(Some(daemon.clone()));
                browser.follow(&daemon, subscriptions, &cancel).await;
                browser.daemon.send_replace(None);
                shut_down(&daemon).await;
            }
            Err(problem) => browser.network.say(Some(problem)),
        }
        let pause = sleep(retry);
        retry = (retry * 2).min(LAST_RETRY);
        tokio::select! {
            () = cancel.cancelled() => {}
            () = async { browser.deliver().await; pause.await } => {}
        }
    }
}

/// Starts the daemon. It would keep a failure of its sockets to itself, so the port is tried first.
fn start() -> Result<(ServiceDaemon, Subscriptions), Problem> {
    try_port(mdns::PORT).map_err(|error| {
        tracing::debug!(%error, "the mDNS port can't be opened");
        Problem::new("network.port", "Devices can't be discovered: the mDNS port 5353 is taken.")
            .with_help("Another program keeps it for itself. Devices with a known address are still found.")
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

/// Whether there is any interface besides loopback. Without one there is nothing to watch.
fn interfaces() -> Option<Problem> {
    let problem = || {
        Problem::new("network.none", "This computer isn't connected to a network.")
            .with_help("Waiting updates keep waiting, and go on when the network is back.")
    };
    match if_addrs::get_if_addrs() {
        Ok(found) if found.iter().any(|interface| !interface.is_loopback()) => None,
        Ok(_) => Some(problem()),
        Err(error) => {
            tracing::debug!(%error, "the network interfaces can't be listed");
            Some(problem())
        }
    }
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
    /// Follows the daemon until it ends or has to be started again.
    async fn follow(
        &mut self,
        daemon: &ServiceDaemon,
        mut from: Subscriptions,
        cancel: &CancellationToken,
    ) {
        let mut check = interval(INTERFACE_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let news = self.network.news.is_some() || !self.pending.is_empty();
            let events = self.events.clone();
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
                _ = check.tick() => {
                    self.network.say(interfaces());
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
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }

    fn next_event(&mut self) -> Option<WatchEvent> {
        if let Some(state) = self.network.news.take() {
            return Some(WatchEvent::Network(state));
        }
        let (_, sighting) = self.pending.pop_first()?;
        Some(WatchEvent::Seen { sighting, sender: None })
    }

    /// Returns whether the subscription is lost.
    fn service(&mut self, event: Option<ServiceEvent>) -> bool {
        let (sighting, is_native) = match event {
            None | Some(ServiceEvent::SearchStopped(_)) => return true,
            Some(ServiceEvent::ServiceResolved(service)) => {
                (sighting_of(&service), is_native(&service.fullname))
            }
            Some(ServiceEvent::ServiceRemoved(_, fullname)) => {
                (mdns::removed(&fullname), is_native(&fullname))
            }
            Some(_) => (None, false),
        };
        let Some(sighting) = sighting else { return false };
        match (sighting.kind, is_native) {
            (SightingKind::Alive, true) => drop(self.native.insert(sighting.name.clone())),
            (SightingKind::Gone, true) => drop(self.native.remove(&sighting.name)),
            (SightingKind::Gone, false) if self.native.contains(&sighting.name) => return false,
            (SightingKind::Alive | SightingKind::Gone, false) => {}
        }
        if sighting.kind == SightingKind::Alive {
            self.nudger.nudge(&sighting.name);
        }
        if self.pending.len() < MAX_PENDING || self.pending.contains_key(&sighting.name) {
            self.pending.insert(sighting.name.clone(), sighting);
        } else {
            tracing::warn!(name = sighting.name, "too many devices at once: a sighting is dropped");
        }
        false
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
            Some(DaemonEvent::IpAdd(_) | DaemonEvent::IpDel(_)) => self.network.say(interfaces()),
            Some(_) => {}
        }
        false
    }
}

fn is_native(fullname: &str) -> bool {
    fullname
        .to_ascii_lowercase()
        .trim_end_matches('.')
        .ends_with(mdns::ESPHOME_SERVICE.trim_end_matches('.'))
}

fn sighting_of(service: &ResolvedService) -> Option<Sighting> {
    let addresses = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr);
    mdns::resolved(&service.fullname, addresses, |key| {
        service.txt_properties.get_property_val_str(key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browser() -> Browser {
        let (events, _) = mpsc::channel(1);
        let (daemon, _) = watch::channel(None);
        Browser {
            events,
            nudger: Nudger::default(),
            daemon,
            pending: BTreeMap::new(),
            native: BTreeSet::new(),
            network: Told::default(),
        }
    }

    fn removed(service: &str) -> Option<ServiceEvent> {
        Some(ServiceEvent::ServiceRemoved(service.to_owned(), format!("plug.{service}")))
    }

    #[test]
    fn a_web_server_that_goes_takes_no_device_with_it_that_has_its_api() {
        let mut browser = browser();
        browser.native.insert("plug".to_owned());
        browser.service(removed(mdns::HTTP_SERVICE));
        assert!(browser.pending.is_empty());
        browser.service(removed(mdns::ESPHOME_SERVICE));
        assert_eq!(browser.pending["plug"].kind, SightingKind::Gone);
        browser.pending.clear();
        browser.service(removed(mdns::HTTP_SERVICE));
        assert_eq!(browser.pending["plug"].kind, SightingKind::Gone, "it has nothing else");
    }
}
