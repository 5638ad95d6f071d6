//! The link-layer addresses of devices that sleep: learned while they are awake, and kept until they wake again.

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::MacAddress;

use super::Neighbours;

/// Linux asks a neighbour whether it is still there 5 s after something was sent to it (`delay_first_probe_time`
/// of arp(7)), and forgets the one that doesn't answer; a stale one that nobody uses, after 60 s. Confirmed more
/// often than that, it is never asked.
const PERIOD: Duration = Duration::from_secs(3);

/// Of each device, the best ones: few have more than one address of each family.
const MAX_ADDRESSES: usize = 3;

/// A device that sleeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sleeper {
    /// Where it was seen, best first.
    pub addresses: Vec<IpAddr>,
    /// Its link-layer addresses, as far as they are known.
    pub link_addresses: Vec<MacAddress>,
    /// It is awake now.
    pub awake: bool,
}

impl Sleeper {
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied().take(MAX_ADDRESSES)
    }
}

/// Looks after the sleepers' entries until `cancel` is cancelled.
pub(in crate::watch) async fn keep(
    neighbours: Neighbours,
    mut sleepers: watch::Receiver<Vec<Sleeper>>,
    cancel: CancellationToken,
) {
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let any = !sleepers.borrow().is_empty();
        let time_to_hold = tokio::select! {
            () = cancel.cancelled() => return,
            changed = sleepers.changed() => match changed {
                Ok(()) => false,
                Err(_) => return,
            },
            _ = tick.tick(), if any => true,
        };
        for sleeper in sleepers.borrow_and_update().iter() {
            for address in sleeper.addresses() {
                if time_to_hold {
                    neighbours.hold(address, &sleeper.link_addresses);
                }
                if sleeper.awake {
                    neighbours.meet(address);
                }
            }
        }
    }
}
