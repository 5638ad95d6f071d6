//! Opens a connection to a device that may have several addresses, as Happy Eyeballs does (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::ota_socket;

/// How long an attempt is waited for before the next address is tried beside it.
pub const STAGGER: Duration = Duration::from_millis(250);

/// Why no connection was opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no address.
    #[error("no address to connect to")]
    NoAddress,
    /// No address has answered in time.
    #[error("no address has answered in time")]
    Timeout,
    /// Every address has refused; this is what the last one said.
    #[error("no address takes a connection: {0}")]
    Refused(#[source] io::Error),
}

/// Connects to the first of these addresses that answers, within `limit`.
///
/// IPv6 and IPv4 addresses take turns, in the given order within each family and beginning with the family
/// of the first one. Each has [`STAGGER`] before the next is tried beside it; one that refuses gives way at
/// once. The others are dropped when one has answered. `TCP_NODELAY` is set, as [`flash`](super::flash) wants
/// it. The scope of a link-local IPv6 address is that of its [`SocketAddr`].
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, ConnectError> {
    let deadline = Instant::now() + limit;
    match timeout_at(deadline, race(alternating(addresses), STAGGER)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::Timeout),
    }
}

/// The order in which addresses are tried.
fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(first.next());
        order.extend(second.next());
    }
    order.dedup();
    order
}

async fn race(addresses: Vec<SocketAddr>, stagger: Duration) -> Result<TcpStream, ConnectError> {
    let mut attempts = JoinSet::new();
    let mut last = ConnectError::NoAddress;
    for address in addresses {
        attempts.spawn(ota_socket::connect(address));
        let next = Instant::now() + stagger;
        tokio::select! {
            Some(ended) = attempts.join_next() => match opened(ended) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = ConnectError::Refused(error),
            },
            () = sleep_until(next) => {}
        }
    }
    while let Some(ended) = attempts.join_next().await {
        match opened(ended) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = ConnectError::Refused(error),
        }
    }
    Err(last)
}

fn opened(ended: Result<io::Result<TcpStream>, tokio::task::JoinError>) -> io::Result<TcpStream> {
    ended.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddrV6};

    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    fn all(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// An address at which nothing ever answers (RFC 5737), and one at which nobody listens.
    async fn silent_and_closed() -> (SocketAddr, SocketAddr) {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        ("192.0.2.1:3232".parse().unwrap(), closed)
    }

    #[test]
    fn families_take_turns() {
        let (a, b, x, y) = ("192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:1");
        assert_eq!(alternating(&all(&[x, y, a, b])), all(&[x, a, y, b]));
        assert_eq!(alternating(&all(&[a, b, x])), all(&[a, x, b]));
        assert_eq!(alternating(&all(&[a, a])), all(&[a]));
        assert_eq!(alternating(&[]), []);
    }

    #[tokio::test]
    async fn the_address_that_answers_wins_and_a_refusal_gives_way_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (silent, closed) = silent_and_closed().await;
        let never = Duration::from_secs(3600);
        let by_refusal = race(vec![closed, address], never);
        let stream = timeout(Duration::from_secs(20), by_refusal).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(stream.nodelay().unwrap());
        let stream = connect(&[silent, address], Duration::from_secs(10)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address, "silence is not waited out");
    }

    #[tokio::test]
    async fn nobody_who_listens_is_an_error_with_its_cause() {
        let (_, closed) = silent_and_closed().await;
        let error = connect(&[closed], Duration::from_secs(10)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused(_)), "{error}");
        let error = connect(&[], Duration::from_secs(10)).await.unwrap_err();
        assert!(matches!(error, ConnectError::NoAddress), "{error}");
    }

    #[tokio::test]
    async fn a_scope_reaches_the_socket() {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scoped = |scope| SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, scope));
        connect(&[scoped(0)], Duration::from_secs(5)).await.unwrap();
        let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
        // Without a scope a link-local address names no interface: the system says so at once. With one it
        // is tried there, whatever comes of it.
        let kind = async |scope| {
            let address = SocketAddr::V6(SocketAddrV6::new(link_local, port, 0, scope));
            match connect(&[address], Duration::from_millis(200)).await {
                Err(ConnectError::Refused(error)) => Some(error.kind()),
                Err(ConnectError::Timeout | ConnectError::NoAddress) | Ok(_) => None,
            }
        };
        assert_eq!(kind(0).await, Some(io::ErrorKind::InvalidInput));
        assert_ne!(kind(1).await, Some(io::ErrorKind::InvalidInput));
    }
}
