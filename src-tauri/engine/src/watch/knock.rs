//! Knocking: TCP connects to the OTA ports of waiting devices, as [`wakeflash_core::knock::Plan`] says.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mdns_sd::{HostnameResolutionEvent, ServiceDaemon};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wakeflash_core::knock::{
    Attempt, LOOKUP_TIMEOUT, Limits, Outcome, Plan, Purpose, Spot, Target, TargetAddress,
};
use wakeflash_core::update::UpdateId;

use super::interfaces::Network;
use super::neighbours::{Neighbours, link_address};
use super::{Nudger, Unreachable, WatchEvent};
use crate::ota_socket;

/// For the whole fleet.
const PER_SECOND: u32 = 150;
/// Each attempt is an open file. After evidence there may be twice as many, and the rest of the engine needs some.
const UNDER_WAY: usize = 400;
const OTHER_FILES: usize = 256;
/// A failure that goes on is told again after this time.
const REMIND: Duration = Duration::from_secs(60);
const MAX_ADDRESSES_OF_NAME: usize = 4;
const MAX_ADDRESSES_SHOWN: usize = 4;

/// Where a device is said to be and other network hardware was found, it isn't tried for so long.
const STRANGER: Duration = Duration::from_secs(60);

/// Connections that open within this time open at once.
const AT_ONCE: Duration = Duration::from_millis(2);

enum Ended {
    Connected(TcpStream, SocketAddr),
    Found(Vec<IpAddr>),
    Failed(Unreachable),
}

struct Knocker {
    origin: Instant,
    plan: Plan,
    /// Sorted by update.
    targets: Vec<Target>,
    /// Where names led to when they last led anywhere. A sleeping device's name leads nowhere.
    found: BTreeMap<String, Vec<IpAddr>>,
    /// Where evidence showed a device, by its update, the latest first.
    shown: BTreeMap<UpdateId, Vec<IpAddr>>,
    /// Where other network hardware than the device's own was found, by the update, and when.
    strangers: BTreeMap<(UpdateId, IpAddr), Instant>,
    ways: Ways,
    attempts: JoinSet<(Attempt, Ended)>,
    under_way: BTreeMap<u64, (UpdateId, AbortHandle)>,
    told: BTreeMap<Spot, (Unreachable, Instant)>,
    events: mpsc::Sender<WatchEvent>,
}

/// What shows the way to a device.
pub(super) struct Ways {
    pub(super) neighbours: Neighbours,
    pub(super) daemon: watch::Receiver<Option<ServiceDaemon>>,
    pub(super) network: watch::Receiver<Network>,
}

pub(super) async fn run(
    mut targets: watch::Receiver<Vec<Target>>,
    events: mpsc::Sender<WatchEvent>,
    nudger: Nudger,
    ways: Ways,
    cancel: CancellationToken,
) {
    let mut knocker = Knocker::new(events, ways);
    let list = targets.borrow_and_update().clone();
    knocker.set_targets(list);
    loop {
        knocker.start_due();
        let deadline = knocker.next_deadline();
        let step = async {
            tokio::select! {
                changed = targets.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                    let list = targets.borrow_and_update().clone();
                    knocker.set_targets(list);
                }
                names = nudger.take() => knocker.evidence(&names),
                Some(ended) = knocker.attempts.join_next() => knocker.some_ended(ended).await,
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {}
            }
            true
        };
        tokio::select! {
            () = cancel.cancelled() => break,
            go_on = step => if !go_on { break },
        }
    }
    knocker.attempts.shutdown().await;
}

impl Knocker {
    fn new(events: mpsc::Sender<WatchEvent>, ways: Ways) -> Self {
        Self {
            origin: Instant::now(),
            plan: Plan::new(Limits { under_way: attempts_allowed(), per_second: PER_SECOND }),
            targets: Vec::new(),
            found: BTreeMap::new(),
            shown: BTreeMap::new(),
            strangers: BTreeMap::new(),
            ways,
            attempts: JoinSet::new(),
            under_way: BTreeMap::new(),
            told: BTreeMap::new(),
            events,
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.plan.next_deadline().map(|due| self.origin + due)
    }

    fn set_targets(&mut self, mut targets: Vec<Target>) {
        targets.sort_by_key(|target| target.update);
        self.targets = targets;
        let wanted: BTreeSet<UpdateId> = self.targets.iter().map(|target| target.update).collect();
        let names: BTreeSet<&str> = self
            .targets
            .iter()
            .flat_map(|target| &target.addresses)
            .filter_map(|address| match address {
                TargetAddress::Ip(_) => None,
                TargetAddress::Name(name) => Some(name.as_str()),
            })
            .collect();
        self.told.retain(|spot, _| wanted.contains(&spot.update));
        self.shown.retain(|update, _| wanted.contains(update));
        self.strangers
            .retain(|(update, _), since| wanted.contains(update) && since.elapsed() < STRANGER);
        self.found.retain(|name, _| names.contains(name.as_str()));
        self.apply_targets();
    }

    /// Gives the plan the targets, with the addresses that their names lead to, and where they are said to be.
    fn apply_targets(&mut self) {
        let mut expanded = self.targets.clone();
        for target in &mut expanded {
            let given = self.given(target);
            let claimed = self.claimed(target).filter(|ip| !self.is_stranger(target.update, *ip));
            let more: Vec<IpAddr> = given.chain(claimed).collect();
            for ip in more {
                let address = TargetAddress::Ip(ip);
                if !target.addresses.contains(&address) && !target.avoid.contains(&ip) {
                    target.addresses.push(address);
                }
            }
        }
        for id in self.plan.set_targets(self.now(), &expanded) {
            self.abort(id);
        }
    }

    /// Where the names lead that the user, the configuration or ESPHome have given, by the DNS.
    fn given(&self, target: &Target) -> impl Iterator<Item = IpAddr> {
        self.led(target, false)
    }

    /// Where anybody may have said that the device is: a packet that names a host elsewhere must not make this computer
    /// connect to it.
    fn claimed(&self, target: &Target) -> impl Iterator<Item = IpAddr> {
        let shown = self.shown.get(&target.update).into_iter().flatten();
        let network = self.ways.network.borrow();
        let said = target.claimed.iter().chain(shown).copied().chain(self.led(target, true));
        said.filter(|ip| network.is_on_link(*ip)).collect::<Vec<_>>().into_iter()
    }

    fn led(&self, target: &Target, by_multicast: bool) -> impl Iterator<Item = IpAddr> {
        let names = target.addresses.iter().filter_map(move |address| match address {
            TargetAddress::Name(name) if is_multicast(name) == by_multicast => Some(name),
            TargetAddress::Name(_) | TargetAddress::Ip(_) => None,
        });
        names
            .filter_map(|name| self.found.get(name))
            .flatten()
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn is_stranger(&self, update: UpdateId, ip: IpAddr) -> bool {
        self.strangers.get(&(update, ip)).is_some_and(|since| since.elapsed() < STRANGER)
    }

    /// Whether a connection that opened there is the device's session. Where a device that was proven is merely said to
    /// be, its own network hardware has to be there.
    fn is_session(&self, target: &Target, ip: IpAddr) -> bool {
        target.addresses.contains(&TargetAddress::Ip(ip))
            || !target.recognised
            || self.given(target).any(|given| given == ip)
            || link_address(ip).is_some_and(|link| target.link_addresses.contains(&link))
    }

    fn evidence(&mut self, names: &BTreeMap<String, BTreeSet<IpAddr>>) {
        let mut moved = false;
        for target in &self.targets {
            for ips in target.names().filter_map(|name| names.get(&name)) {
                let shown = self.shown.entry(target.update).or_default();
                for ip in ips {
                    let link = self.ways.neighbours.link_of(*ip);
                    if link.is_some_and(|link| target.link_addresses.contains(&link)) {
                        moved |= self.strangers.remove(&(target.update, *ip)).is_some();
                    }
                    let known = target.addresses.contains(&TargetAddress::Ip(*ip));
                    if !known && shown.first() != Some(ip) {
                        shown.retain(|other| other != ip);
                        shown.insert(0, *ip);
                        shown.truncate(MAX_ADDRESSES_SHOWN);
                        moved = true;
                    }
                }
            }
        }
        let now = self.now();
        for name in names.keys() {
            self.plan.evidence(now, name);
        }
        if moved {
            self.apply_targets();
        }
    }

    fn abort(&mut self, id: u64) {
        if let Some((_, attempt)) = self.under_way.remove(&id) {
            attempt.abort();
        }
    }

    fn start_due(&mut self) {
        for attempt in self.plan.start_due(self.now()) {
            if let Some(replaced) = attempt.replaces {
                self.abort(replaced);
            }
            self.hold_neighbour(&attempt.spot);
            let daemon = self.ways.daemon.borrow().clone();
            let (id, update) = (attempt.id, attempt.spot.update);
            let handle = self.attempts.spawn(async move {
                let ended = match &attempt.spot.address {
                    TargetAddress::Ip(ip) => {
                        connect(SocketAddr::new(*ip, attempt.spot.port), attempt.timeout).await
                    }
                    TargetAddress::Name(name) => look_up(name, daemon).await,
                };
                (attempt, ended)
            });
            self.under_way.insert(id, (update, handle));
        }
    }

    fn hold_neighbour(&self, spot: &Spot) {
        if let TargetAddress::Ip(ip) = spot.address
            && let Ok(at) = self.targets.binary_search_by_key(&spot.update, |target| target.update)
            && let Some(target) = self.targets.get(at)
        {
            self.ways.neighbours.hold(ip, &target.link_addresses);
        }
    }

    /// When a link comes up, the SYNs that waited for it open several connections at once. The device serves
    /// them in the order in which they were begun, and has little room for those that wait: the oldest is used.
    async fn some_ended(&mut self, first: Result<(Attempt, Ended), JoinError>) {
        if let Ok((attempt, Ended::Connected(..))) = &first {
            let mut others = self.under_way.iter().filter(|(id, _)| **id != attempt.id);
            if others.any(|(_, (update, _))| *update == attempt.spot.update) {
                tokio::time::sleep(AT_ONCE).await;
            }
        }
        let mut all = vec![first];
        all.extend(std::iter::from_fn(|| self.attempts.try_join_next()));
        let mut good = Vec::new();
        for ended in all {
            match ended {
                Ok(ended) => good.push(ended),
                Err(error) if error.is_cancelled() => {}
                Err(error) => tracing::error!(%error, "a knock ended badly"),
            }
        }
        good.sort_by_key(|(attempt, _)| attempt.id);
        for (attempt, ended) in good {
            self.ended(attempt, ended).await;
        }
    }

    async fn ended(&mut self, attempt: Attempt, ended: Ended) {
        let Attempt { id, spot, .. } = attempt;
        self.under_way.remove(&id);
        let now = self.now();
        if let Ended::Connected(_, peer) = &ended
            && self.plan.is_resting(now, spot.update)
        {
            tracing::debug!(%peer, "a second connection opened at the same moment; it is closed");
            self.plan.ended(now, id, Outcome::Failure);
            return;
        }
        let stranger = match &ended {
            Ended::Connected(_, peer) => self
                .targets
                .iter()
                .find(|target| target.update == spot.update)
                .filter(|target| !self.is_session(target, peer.ip()))
                .map(|target| (target.name.clone(), peer.ip())),
            Ended::Found(_) | Ended::Failed(_) => None,
        };
        if let Some((name, address)) = stranger {
            self.plan.ended(now, id, Outcome::Failure);
            self.strangers.insert((spot.update, address), Instant::now());
            self.apply_targets();
            self.send(WatchEvent::Stranger { name, address }).await;
            return;
        }
        let outcome = match ended {
            Ended::Connected(..) | Ended::Found(_) => Outcome::Success,
            Ended::Failed(Unreachable::Refused) => Outcome::Refused,
            Ended::Failed(
                Unreachable::NoAnswer | Unreachable::NameUnknown | Unreachable::Local,
            ) => Outcome::Failure,
        };
        for useless in self.plan.ended(now, id, outcome) {
            self.abort(useless);
        }
        // An update that has left the list meanwhile has no use for what was found.
        let Some(target) = self.targets.iter().find(|target| target.update == spot.update) else {
            return;
        };
        let (update, name, purpose) = (target.update, target.name.clone(), target.purpose);
        match ended {
            Ended::Connected(stream, peer) => {
                self.told.retain(|told, _| told.update != update);
                let event = match purpose {
                    Purpose::Capture => WatchEvent::Connected { update, name, peer, stream },
                    Purpose::Confirm => WatchEvent::Returned { update, name, peer, stream },
                };
                self.send(event).await;
            }
            Ended::Found(ips) => {
                self.told.remove(&spot);
                if let TargetAddress::Name(name) = spot.address {
                    self.found.insert(name, ips);
                    self.apply_targets();
                }
            }
            Ended::Failed(reason) => self.tell_unreachable(spot, name, reason).await,
        }
    }

    async fn tell_unreachable(&mut self, spot: Spot, name: String, reason: Unreachable) {
        let now = Instant::now();
        let known = self.told.get(&spot).is_some_and(|(told, since)| {
            *told == reason && now.saturating_duration_since(*since) < REMIND
        });
        if known {
            return;
        }
        self.told.insert(spot.clone(), (reason, now));
        let Spot { update, address, .. } = spot;
        self.send(WatchEvent::Unreachable { update, name, address, reason }).await;
    }

    async fn send(&self, event: WatchEvent) {
        if self.events.send(event).await.is_err() {
            tracing::debug!("nobody listens to the network watch any more");
        }
    }
}

/// How many attempts may be under way by the number of files that this process may open, which is raised as far
/// as it is needed and the system lets it: often it is 1,024.
#[cfg(unix)]
fn attempts_allowed() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let wanted = u64::try_from(2 * UNDER_WAY + OTHER_FILES).unwrap_or(u64::MAX);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let mut raised = limit;
        raised.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit = raised,
            Err(error) => tracing::debug!(%error, "no more files may be opened at once"),
        }
    }
    let files = limit.current.and_then(|current| usize::try_from(current).ok());
    files.map_or(UNDER_WAY, |files| (files.saturating_sub(OTHER_FILES) / 2).clamp(16, UNDER_WAY))
}

#[cfg(not(unix))]
fn attempts_allowed() -> usize {
    UNDER_WAY
}

async fn connect(peer: SocketAddr, limit: Duration) -> Ended {
    match timeout(limit, ota_socket::connect(peer)).await {
        Ok(Ok(stream)) => Ended::Connected(stream, peer),
        Ok(Err(error)) => {
            tracing::trace!(%peer, %error, "nobody opens");
            Ended::Failed(reason_of(&error))
        }
        Err(_) => Ended::Failed(Unreachable::NoAnswer),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's open enum")]
fn reason_of(error: &io::Error) -> Unreachable {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused | Kind::ConnectionReset => Unreachable::Refused,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::TimedOut | Kind::NetworkDown => {
            Unreachable::NoAnswer
        }
        _ => Unreachable::Local,
    }
}

/// Whether a name is looked up by multicast, so that any host of the network may answer.
fn is_multicast(name: &str) -> bool {
    name.trim_end_matches('.').to_ascii_lowercase().ends_with(".local")
}

async fn look_up(name: &str, daemon: Option<ServiceDaemon>) -> Ended {
    let lookup = async {
        match daemon {
            Some(daemon) if is_multicast(name) => look_up_multicast(name, &daemon).await,
            Some(_) | None => Ok(lookup_host((name, 0)).await?.map(|found| found.ip()).collect()),
        }
    };
    let mut ips: Vec<IpAddr> = match timeout(LOOKUP_TIMEOUT, lookup).await {
        Ok(Ok(ips)) => ips,
        Ok(Err(error)) => {
            tracing::trace!(name, %error, "the name leads nowhere");
            Vec::new()
        }
        Err(_) => Vec::new(),
    };
    ips.retain(|ip| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    ips.sort_by_key(IpAddr::is_ipv6);
    ips.dedup();
    ips.truncate(MAX_ADDRESSES_OF_NAME);
    if ips.is_empty() { Ended::Failed(Unreachable::NameUnknown) } else { Ended::Found(ips) }
}

async fn look_up_multicast(name: &str, daemon: &ServiceDaemon) -> io::Result<Vec<IpAddr>> {
    let host = format!("{}.", name.trim_end_matches('.'));
    let limit = u64::try_from(LOOKUP_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
    let answers = daemon.resolve_hostname(&host, Some(limit)).map_err(io::Error::other)?;
    while let Ok(answer) = answers.recv_async().await {
        if let HostnameResolutionEvent::AddressesFound(_, found) = answer {
            daemon.stop_resolve_hostname(&host).map_err(io::Error::other)?;
            return Ok(found.iter().map(mdns_sd::ScopedIp::to_ip_addr).collect());
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
#[path = "knock_tests.rs"]
mod tests;
