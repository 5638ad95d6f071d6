//! `wakeflash-lab forge`: a host that announces what isn't so, in any name.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval};

use super::Host;
use crate::announcer::{Identity, announcement};
use crate::paths;

const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);

/// What `wakeflash-lab forge` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ForgeOptions {
    /// Where it sends from.
    #[arg(long)]
    pub from: Ipv4Addr,
    /// The name that it uses; without one, another one in each packet.
    #[arg(long)]
    pub name: Option<String>,
    /// The MAC address that it gives, 12 hex digits; without one, another one in each packet.
    #[arg(long)]
    pub mac: Option<String>,
    /// The version that it gives.
    #[arg(long, default_value = "2026.10.0")]
    pub version: String,
    /// The config hash that it gives; without one, another one in each packet.
    #[arg(long)]
    pub hash: Option<u32>,
    /// The addresses that it gives, one after the other; its own where none is given.
    #[arg(long)]
    pub address: Vec<Ipv4Addr>,
    /// How many packets; 0: without end.
    #[arg(long, default_value_t = 1)]
    pub count: u64,
    /// How many in a minute.
    #[arg(long, default_value_t = 600)]
    pub per_minute: u32,
}

impl ForgeOptions {
    /// A packet in the name of a device, from this host and about it.
    #[must_use]
    pub fn new(host: &Host, name: &str, mac: &str, hash: u32) -> Self {
        Self {
            from: host.address(),
            name: Some(name.to_owned()),
            mac: Some(mac.replace(':', "")),
            version: "2026.10.0".to_owned(),
            hash: Some(hash),
            address: Vec::new(),
            count: 1,
            per_minute: 600,
        }
    }

    fn packet(&self, number: u64) -> Result<Vec<u8>> {
        let low = u32::try_from(number & 0xffff_ffff)?;
        let at = usize::try_from(number)?.checked_rem(self.address.len());
        let address = at.and_then(|at| self.address.get(at)).copied().unwrap_or(self.from);
        announcement(
            &Identity {
                only_name: false,
                name: self.name.clone().unwrap_or_else(|| format!("forged-{number}")),
                friendly_name: None,
                mac: self.mac.clone().unwrap_or_else(|| format!("06{:010x}", number + 1)),
                version: self.version.clone(),
                config_hash: Some(self.hash.unwrap_or(low)),
                api_port: Some(6053),
                address: Some(address),
                ipv6: None,
            },
            false,
        )
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--from".to_owned(), self.from.to_string()];
        let optional = [
            ("--name", self.name.clone()),
            ("--mac", self.mac.clone()),
            ("--hash", self.hash.map(|hash| hash.to_string())),
        ];
        for (name, value) in optional {
            arguments.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        }
        for address in &self.address {
            arguments.extend(["--address".to_owned(), address.to_string()]);
        }
        let numbers = [("--count", self.count), ("--per-minute", u64::from(self.per_minute))];
        for (name, value) in numbers {
            arguments.extend([name.to_owned(), value.to_string()]);
        }
        arguments.extend(["--version".to_owned(), self.version.clone()]);
        arguments
    }
}

/// Sends them, evenly.
///
/// # Errors
/// When they can't be sent.
pub async fn run(options: &ForgeOptions) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddrV4::new(options.from, GROUP.port()).into())?;
    socket.set_multicast_if_v4(&options.from)?;
    socket.set_multicast_ttl_v4(255)?;
    let mut ticks = interval(Duration::from_secs(60) / options.per_minute.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut number = 0;
    while options.count == 0 || number < options.count {
        ticks.tick().await;
        socket.send_to(&options.packet(number)?, &GROUP.into())?;
        number += 1;
    }
    Ok(())
}

/// A forger that goes on in a host. It ends when dropped.
pub struct Forger(#[expect(dead_code, reason = "kept alive")] Child);

impl Forger {
    /// Starts `wakeflash-lab forge` in a host.
    ///
    /// # Errors
    /// When it has not been built or doesn't start.
    pub fn start(host: &Host, options: &ForgeOptions) -> Result<Self> {
        let mut command = command(host, options)?;
        Ok(Self(command.spawn().context("cannot start the forger")?))
    }
}

/// Forges what the options say, to its end.
///
/// # Errors
/// When it can't.
pub async fn forge(host: &Host, options: &ForgeOptions) -> Result<()> {
    let status = command(host, options)?.status().await?;
    ensure!(status.success(), "the forger failed: {status}");
    Ok(())
}

fn command(host: &Host, options: &ForgeOptions) -> Result<Command> {
    let mut command = host.admin(paths::binary("wakeflash-lab")?);
    command.arg("forge").args(options.arguments());
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    Ok(command)
}
