//! The neighbour table, followed: a device that shows itself by ARP alone is evidence of life, and so is a known
//! link-layer address at another IP address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::MacAddress;
use wakeflash_core::knock::Target;

use super::Entry;
use crate::watch::evidence::{Interest, Nudger};

/// After a failure the table is read again.
const RETRY: Duration = Duration::from_secs(5);

/// How long an address isn't held that somebody else was heard at.
const LET_GO: Duration = Duration::from_secs(600);

const MAX_LET_GO: usize = 1024;

/// `MSG_CONFIRM | MSG_PROBE` of send(2): the neighbour counts as reachable, and no packet is sent.
#[cfg(target_os = "linux")]
const CONFIRM: i32 = 0x800 | 0x10;

/// The port doesn't matter, nothing is sent there: discard (RFC 863).
const NO_PORT: u16 = 9;

/// What is known of the table.
#[derive(Clone, Debug)]
pub(in crate::watch) struct Neighbours {
    state: Arc<Mutex<State>>,
    /// An interface or an address of this computer has changed.
    pub(in crate::watch) interfaces: Arc<Notify>,
    sockets: Arc<[Option<Socket>; 2]>,
}

#[derive(Debug, Default)]
struct State {
    links: BTreeMap<IpAddr, MacAddress>,
    let_go: BTreeMap<IpAddr, Instant>,
}

impl Neighbours {
    pub(in crate::watch) fn new() -> Self {
        let open = |domain| {
            let socket = Socket::new(domain, Type::DGRAM, None);
            socket.inspect_err(|error| tracing::debug!(%error, "no socket to hold neighbours")).ok()
        };
        Self {
            state: Arc::default(),
            interfaces: Arc::default(),
            sockets: Arc::new([open(Domain::IPV4), open(Domain::IPV6)]),
        }
    }

    /// Keeps the system from forgetting the link-layer address of a sleeping device.
    ///
    /// Without that, the kernel loses it within 8 s of the first packet into silence, whoever sends it, and
    /// then asks for it by ARP or neighbour discovery once a second, whatever the pace of the knocks: a device
    /// would be reached up to a second after its link came up. With it each SYN goes straight to the device.
    ///
    /// It is done only for an entry that has the device's own link-layer address, and not where somebody else
    /// has been heard: an address that belongs to another host by now must find that.
    pub(in crate::watch) fn hold(&self, address: IpAddr, own: &[MacAddress]) {
        {
            let mut state = self.lock();
            if !state.links.get(&address).is_some_and(|link| own.contains(link)) {
                return;
            }
            if let Some(since) = state.let_go.get(&address) {
                if since.elapsed() < LET_GO {
                    return;
                }
                state.let_go.remove(&address);
            }
        }
        #[cfg(target_os = "linux")]
        {
            let [v4, v6] = &*self.sockets;
            let socket = if address.is_ipv4() { v4 } else { v6 };
            let to = SocketAddr::new(address, NO_PORT).into();
            if let Some(socket) = socket
                && let Err(error) = socket.send_to_with_flags(&[], &to, CONFIRM)
            {
                tracing::trace!(%address, %error, "the neighbour isn't held");
            }
        }
    }

    /// Somebody else has been heard at this address.
    pub(in crate::watch) fn let_go(&self, address: IpAddr) {
        let mut state = self.lock();
        if state.let_go.len() >= MAX_LET_GO {
            state.let_go.retain(|_, since| since.elapsed() < LET_GO);
        }
        if state.let_go.len() < MAX_LET_GO {
            state.let_go.insert(address, Instant::now());
        }
    }

    /// Takes over a line of the table. Returns whether it is news that this address has this link-layer address.
    fn take(&self, entry: Entry) -> bool {
        let links = &mut self.lock().links;
        match entry.link {
            Some(link) => links.insert(entry.address, link) != Some(link),
            None => {
                links.remove(&entry.address);
                false
            }
        }
    }

    /// The link-layer address that was last seen for an address.
    pub(in crate::watch) fn link_of(&self, address: IpAddr) -> Option<MacAddress> {
        self.lock().links.get(&address).copied()
    }

    fn all(&self) -> Vec<(IpAddr, MacAddress)> {
        self.lock().links.iter().map(|(address, link)| (*address, *link)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A map can't be left half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a line of the table tells about the devices that are waited for.
fn tell(nudger: &Nudger, interest: &Interest, address: IpAddr, link: MacAddress) {
    if is_local_only(address) {
        return;
    }
    for name in interest.with_link(link) {
        tracing::debug!(name, %address, %link, "the neighbour table shows a device");
        nudger.nudge_at(name, &[address]);
    }
}

/// Link-local addresses can't be reached without their interface.
fn is_local_only(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4 == Ipv4Addr::UNSPECIFIED || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            v6 == Ipv6Addr::UNSPECIFIED || v6.is_multicast() || v6.is_unicast_link_local()
        }
    }
}

/// Follows the table until `cancel` is cancelled.
pub(in crate::watch) async fn run(
    neighbours: Neighbours,
    mut targets: watch::Receiver<Vec<Target>>,
    nudger: Nudger,
    cancel: CancellationToken,
) {
    let follow = async {
        loop {
            if let Err(error) = follow(&neighbours, &mut targets, &nudger).await {
                tracing::debug!(%error, "the neighbour table can't be followed");
            }
            sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = follow => {}
    }
}

#[cfg(target_os = "linux")]
async fn follow(
    neighbours: &Neighbours,
    targets: &mut watch::Receiver<Vec<Target>>,
    nudger: &Nudger,
) -> std::io::Result<()> {
    use super::netlink::{Changes, Message};
    let mut changes = Changes::open()?;
    neighbours.lock().links.clear();
    changes.request_dump()?;
    let mut interest = Interest::of(&targets.borrow_and_update());
    loop {
        tokio::select! {
            changed = targets.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let before = std::mem::replace(&mut interest, Interest::of(&targets.borrow_and_update()));
                if before != interest {
                    for (address, link) in neighbours.all() {
                        // What is known of a device already is no evidence of life.
                        if interest.with_link(link).any(|name| !before.with_link(link).any(|old| old == name)) {
                            tell(nudger, &interest, address, link);
                        }
                    }
                }
            }
            messages = changes.next() => {
                for message in messages? {
                    match message {
                        Message::Neighbour(entry) => {
                            if neighbours.take(entry) && let Some(link) = entry.link {
                                tell(nudger, &interest, entry.address, link);
                            }
                        }
                        Message::Interface => neighbours.interfaces.notify_one(),
                        Message::Done => {}
                    }
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
async fn follow(
    _: &Neighbours,
    _: &mut watch::Receiver<Vec<Target>>,
    _: &Nudger,
) -> std::io::Result<()> {
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;
    use wakeflash_core::knock::{Purpose, TargetAddress};
    use wakeflash_core::update::UpdateId;

    const LINK: MacAddress = MacAddress([2, 0, 0, 0, 0, 7]);

    fn entry(last: u8, link: Option<MacAddress>) -> Entry {
        Entry { address: IpAddr::from([10, 0, 0, last]), link }
    }

    #[test]
    fn only_a_new_link_address_is_news() {
        let neighbours = Neighbours::new();
        assert!(neighbours.take(entry(1, Some(LINK))));
        assert!(!neighbours.take(entry(1, Some(LINK))), "its state has changed, no more");
        assert!(neighbours.take(entry(1, Some(MacAddress([4; 6])))));
        assert!(!neighbours.take(entry(1, None)));
        assert!(neighbours.take(entry(1, Some(LINK))), "it answers again");
        assert_eq!(neighbours.all(), [(IpAddr::from([10, 0, 0, 1]), LINK)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_link_address_is_evidence_wherever_it_is() {
        let target = Target {
            claimed: Vec::new(),
            recognised: false,
            update: UpdateId(1),
            name: "Sleepy".into(),
            other_name: None,
            link_addresses: vec![LINK],
            addresses: vec![TargetAddress::Name("sleepy.local".into())],
            avoid: Vec::new(),
            ports: vec![3232],
            purpose: Purpose::Capture,
            period: Duration::from_secs(2),
        };
        let (nudger, interest) = (Nudger::default(), Interest::of(&[target]));
        let at = IpAddr::from([10, 0, 0, 9]);
        tell(&nudger, &interest, "fe80::7".parse().unwrap(), LINK);
        tell(&nudger, &interest, at, MacAddress([4; 6]));
        assert!(timeout(Duration::from_secs(1), nudger.take()).await.is_err());
        tell(&nudger, &interest, at, LINK);
        assert_eq!(nudger.take().await["sleepy"], [at].into());
    }
}
