//! `wakeflash-lab sniff`: what passes the network card of a host, with the time.

use std::io::{Read as _, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::process::Command;

use super::Host;
use crate::jsonl::JsonProcess;
use crate::paths;

/// All kinds of packets, see packet(7).
const ETH_P_ALL: u16 = 3;
const ETHERNET: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;
const MDNS: u16 = 5353;

/// What `wakeflash-lab sniff` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct SniffOptions {
    /// The port of which SYNs are wanted.
    #[arg(long)]
    pub port: u16,
    /// The card's hardware address.
    #[arg(long)]
    pub mac: String,
}

/// A packet that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Somebody wants to connect.
    Syn,
    /// This host asks by mDNS; a probe is a question.
    Question,
    /// This host answers or announces.
    Answer,
}

impl Seen {
    fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::Question => "question",
            Self::Answer => "answer",
        }
    }
}

/// Prints a line for each SYN that comes in and each mDNS packet that goes out, until stdin ends.
///
/// # Errors
/// When packets can't be read, which takes the rights of an administrator.
pub fn run(options: &SniffOptions) -> Result<()> {
    let mac = own_mac(&options.mac)?;
    let all = Protocol::from(i32::from(ETH_P_ALL.to_be()));
    let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(all))?;
    std::thread::spawn(|| {
        // Ends with whoever has started it.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", json!({"event": "ready"}))?;
    stdout.flush()?;
    let mut buffer = [0_u8; 256];
    loop {
        // A link that goes down is an error once; the next packet comes when it is up again.
        let Ok(length) = socket.read(&mut buffer) else { continue };
        let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        let frame = buffer.get(..length).unwrap_or(&buffer);
        if let Some(seen) = look_at(frame, mac, options.port) {
            let at_us = u64::try_from(at)?;
            writeln!(stdout, "{}", json!({"event": seen.name(), "at_us": at_us}))?;
            stdout.flush()?;
        }
    }
}

fn own_mac(text: &str) -> Result<[u8; 6]> {
    let bytes = hex::decode(text.replace(':', "")).context("no hardware address")?;
    bytes.try_into().ok().context("no hardware address")
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn look_at(frame: &[u8], own: [u8; 6], port: u16) -> Option<Seen> {
    let (to_us, from_us) = (frame.get(..6)? == own, frame.get(6..12)? == own);
    let packet = frame.get(ETHERNET..)?;
    let (protocol, segment) = match u16_at(frame, 12)? {
        0x0800 => (*packet.get(9)?, packet.get(usize::from(packet.first()? & 0xf) * 4..)?),
        0x86dd => (*packet.get(6)?, packet.get(40..)?),
        _ => return None,
    };
    match protocol {
        // SYN and no ACK.
        TCP if to_us && u16_at(segment, 2)? == port && segment.get(13)? & 0x12 == 2 => {
            Some(Seen::Syn)
        }
        UDP if from_us && u16_at(segment, 0)? == MDNS => {
            let is_answer = segment.get(10)? & 0x80 != 0;
            Some(if is_answer { Seen::Answer } else { Seen::Question })
        }
        _ => None,
    }
}

/// A sniffer in a host. It ends when dropped.
pub struct Sniffer(JsonProcess);

impl Sniffer {
    /// Starts `wakeflash-lab sniff` in a host.
    ///
    /// # Errors
    /// When it has not been built or doesn't start.
    pub async fn start(host: &Host, port: u16) -> Result<Self> {
        let mut command: Command = host.admin(paths::binary("wakeflash-lab")?);
        command.args(["sniff", "--port", &port.to_string(), "--mac", host.mac()]);
        let process = JsonProcess::spawn("sniffer", command)?;
        let soon = std::time::Duration::from_secs(10);
        process.wait_for("readiness", soon, |line| line["event"] == "ready").await?;
        Ok(Self(process))
    }

    /// When the first of these packets passed after a time; both in microseconds since 1970.
    #[must_use]
    pub fn first(&self, kinds: &[&str], after_us: u64) -> Option<u64> {
        self.0.lines().iter().find_map(|line| {
            let at = line["at_us"].as_u64().filter(|at| *at >= after_us)?;
            kinds.iter().any(|kind| line["event"] == *kind).then_some(at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn frame(to: [u8; 6], from: [u8; 6], protocol: u8, segment: &[u8]) -> Vec<u8> {
        let mut packet = [0_u8; 20];
        (packet[0], packet[9]) = (0x45, protocol);
        [&to[..], &from[..], &[8, 0], &packet, segment].concat()
    }

    #[test]
    fn syns_to_the_port_and_own_words_are_seen() {
        let mut segment = [0_u8; 20];
        segment[2..4].copy_from_slice(&3232_u16.to_be_bytes());
        segment[13] = 2;
        assert_eq!(look_at(&frame(OWN, OTHER, TCP, &segment), OWN, 3232), Some(Seen::Syn));
        assert_eq!(look_at(&frame(OTHER, OWN, TCP, &segment), OWN, 3232), None, "our own");
        assert_eq!(look_at(&frame(OWN, OTHER, TCP, &segment), OWN, 80), None);
        segment[13] = 0x12;
        assert_eq!(look_at(&frame(OWN, OTHER, TCP, &segment), OWN, 3232), None, "an answer");
        let mut datagram = [0_u8; 20];
        datagram[..2].copy_from_slice(&MDNS.to_be_bytes());
        assert_eq!(look_at(&frame(OTHER, OWN, UDP, &datagram), OWN, 1), Some(Seen::Question));
        assert_eq!(look_at(&frame(OWN, OTHER, UDP, &datagram), OWN, 1), None);
        datagram[10] = 0x84;
        assert_eq!(look_at(&frame(OTHER, OWN, UDP, &datagram), OWN, 1), Some(Seen::Answer));
        assert_eq!(look_at(&[0; 9], OWN, 1), None);
    }
}
