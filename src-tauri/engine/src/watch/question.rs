//! Asking one address by unicast mDNS who it is and what it runs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use wakeflash_core::device::{Sighting, SightingKind, Source};
use wakeflash_core::mdns;

use super::neighbours::link_address;

/// A question is repeated this often until it is answered: a device in power save sleeps through some.
const REPEAT: Duration = Duration::from_millis(250);

/// Asks the device at `peer` for itself, until it answers or `limit` has passed (`None`).
///
/// An answer that names `name` is preferred; one that names another device is returned as well, after the
/// packet that brought it: it shows that the address belongs to somebody else. Only packets from `peer`
/// itself count (RFC 6762, section 6.7: the answer goes back to the port that asked).
///
/// # Errors
/// When no socket can be opened or the name can't be asked for. A network that is down for the moment is no
/// error: the question is repeated.
pub async fn ask(name: &str, peer: IpAddr, limit: Duration) -> io::Result<Option<Sighting>> {
    ask_port(name, SocketAddr::new(peer, mdns::PORT), limit).await
}

async fn ask_port(name: &str, peer: SocketAddr, limit: Duration) -> io::Result<Option<Sighting>> {
    let deadline = Instant::now() + limit;
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Only tells our own questions apart; the port is random, and the sender is checked.
    let id = socket.local_addr()?.port() | 1;
    let question = mdns::question(name, id)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut repeat = interval(REPEAT);
    repeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = vec![0; mdns::MAX_PACKET];
    let answer = timeout_at(deadline, async {
        loop {
            tokio::select! {
                _ = repeat.tick() => {
                    if let Err(error) = socket.send_to(&question, peer).await {
                        tracing::debug!(%peer, %error, "the question can't be sent now");
                    }
                }
                received = socket.recv_from(&mut buffer) => match received {
                    Ok((length, sender)) => {
                        let packet = buffer.get(..length).unwrap_or_default();
                        if let Some(answer) = read_answer(packet, id, name, sender.ip(), peer.ip()) {
                            return answer;
                        }
                    }
                    // Such as ICMP's word that nobody listens yet; the next question comes with the next tick.
                    Err(error) => {
                        tracing::debug!(%peer, %error, "no answer yet");
                        repeat.tick().await;
                    }
                },
            }
        }
    });
    Ok(answer.await.ok())
}

fn read_answer(
    packet: &[u8],
    id: u16,
    name: &str,
    sender: IpAddr,
    peer: IpAddr,
) -> Option<Sighting> {
    // Some responders put 0, as in a multicast response.
    let ours = mdns::response_id(packet).is_some_and(|got| got == id || got == 0);
    if sender != peer || !ours {
        return None;
    }
    let found = match mdns::sightings(packet, Source::Answer(sender)) {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(%peer, %error, "an answer that can't be read");
            return None;
        }
    };
    let mut living: Vec<Sighting> =
        found.into_iter().filter(|sighting| sighting.kind == SightingKind::Alive).collect();
    let named = living.iter().position(|sighting| sighting.name.eq_ignore_ascii_case(name));
    // A stranger counts only when it shows itself: an answer may carry addresses of other hosts.
    let stranger = living.iter().position(mdns::announces_esphome);
    let mut answer = living.swap_remove(named.or(stranger)?);
    answer.link_address = link_address(peer);
    Some(answer)
}

#[cfg(test)]
#[path = "question_tests.rs"]
mod tests;
