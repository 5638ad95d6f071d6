//! The interfaces of this computer, as they come and go, and the computer's own sleep.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use if_addrs::{IfAddr, Interface};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wakeflash_core::error::Problem;
use wakeflash_core::network::Prefix;

use super::neighbours::Neighbours;

/// How often the interfaces are looked at when nothing says that they have changed.
const CHECK: Duration = Duration::from_secs(2);

/// After a change others follow: addresses come after their interface.
const SETTLE: Duration = Duration::from_millis(20);

/// A difference between the two clocks beyond this is a sleep of the computer.
const SLEPT: Duration = Duration::from_secs(2);

/// An interface, as far as multicast is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) v6: bool,
}

/// The network that this computer is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Network {
    /// Every interface with an address and a network behind it, besides loopback.
    pub(super) links: BTreeSet<Link>,
    /// What can be reached without a router.
    pub(super) prefixes: BTreeSet<Prefix>,
    /// How often the computer has slept since the start. What was known before such a sleep is old.
    pub(super) sleeps: u32,
}

impl Network {
    /// The network as it is now.
    pub(super) fn now() -> Self {
        let mut network = Self::default();
        network.take(interfaces().unwrap_or_default());
        network
    }

    fn take(&mut self, interfaces: Vec<Interface>) {
        let link = |interface: &Interface| {
            Some(Link { index: interface.index?, v6: interface.ip().is_ipv6() })
        };
        self.links = interfaces.iter().filter_map(link).collect();
        self.prefixes = interfaces.iter().map(prefix).collect();
    }

    /// Whether an address can be reached without a router.
    pub(super) fn is_on_link(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(address))
    }

    /// What the user reads when there is no network at all.
    pub(super) fn problem(&self) -> Option<Problem> {
        self.links.is_empty().then(no_network)
    }
}

/// No packet can come or go.
pub(crate) fn no_network() -> Problem {
    Problem::new("network.none", "This computer isn't connected to a network.")
        .with_help("Waiting updates keep waiting, and go on when the network is back.")
}

/// The interfaces that there are now, when the system tells. One whose cable is pulled keeps its addresses for a while;
/// nobody is there.
fn interfaces() -> Option<Vec<Interface>> {
    let mut found = if_addrs::get_if_addrs()
        .inspect_err(|error| tracing::debug!(%error, "the network interfaces can't be listed"))
        .ok()?;
    found.retain(|interface| !interface.is_loopback() && interface.is_oper_up());
    Some(found)
}

fn prefix(interface: &Interface) -> Prefix {
    let length = match &interface.addr {
        IfAddr::V4(v4) => v4.prefixlen,
        IfAddr::V6(v6) => v6.prefixlen,
    };
    Prefix::new(interface.ip(), length)
}

pub(super) async fn run(
    network: watch::Sender<Network>,
    neighbours: Neighbours,
    cancel: CancellationToken,
) {
    let mut clock = Clock::start();
    let mut check = interval(CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = check.tick() => {}
            () = neighbours.interfaces.notified() => tokio::time::sleep(SETTLE).await,
        }
        let slept = clock.slept();
        if let Some(time) = slept {
            tracing::info!(?time, "the computer has slept");
        }
        let now = interfaces();
        network.send_if_modified(|network| {
            let before = network.clone();
            // What can't be told anew is as it was.
            if let Some(now) = now {
                network.take(now);
            }
            network.sleeps = network.sleeps.wrapping_add(u32::from(slept.is_some()));
            *network != before
        });
    }
}

/// Notices that this computer has slept or is in another network, for who has no engine here.
#[derive(Debug)]
pub struct Stirred {
    clock: Clock,
    network: Network,
}

impl Stirred {
    /// As it is now.
    #[must_use]
    pub fn now() -> Self {
        Self { clock: Clock::start(), network: Network::now() }
    }

    /// Whether something is different since the last call.
    pub fn again(&mut self) -> bool {
        let before = std::mem::replace(&mut self.network, Network::now());
        self.clock.slept().is_some() || before != self.network
    }
}

/// Two clocks: one stands still while the computer sleeps, the other goes on.
#[derive(Debug)]
struct Clock {
    awake: Instant,
    always: Option<Duration>,
}

impl Clock {
    fn start() -> Self {
        Self { awake: Instant::now(), always: since_boot() }
    }

    /// How long the computer has slept since the last call.
    fn slept(&mut self) -> Option<Duration> {
        let now = Self::start();
        let before = std::mem::replace(self, now);
        let passed = self.always?.saturating_sub(before.always?);
        difference(self.awake.duration_since(before.awake), passed)
    }
}

fn difference(awake: Duration, passed: Duration) -> Option<Duration> {
    Some(passed.saturating_sub(awake)).filter(|slept| *slept > SLEPT)
}

/// The time since the computer was started, its sleep included.
#[cfg(target_os = "linux")]
fn since_boot() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).ok()
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_what_only_one_clock_has_seen() {
        let seconds = Duration::from_secs;
        assert_eq!(difference(seconds(2), seconds(2)), None);
        assert_eq!(difference(seconds(40), seconds(41)), None, "a busy machine has not slept");
        assert_eq!(difference(seconds(2), seconds(3602)), Some(seconds(3600)));
        assert!(since_boot().is_some() && Clock::start().slept().is_none());
    }
}
