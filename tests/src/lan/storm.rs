//! `wakeflash-lab storm`: devices that come and go, so many times a second, by what they multicast.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval};

use super::{Host, INTERFACE};
use crate::announcer::{Identity, announcement};
use crate::paths;

/// The last byte of the first one's address; the others follow.
const FIRST_ADDRESS: u8 = 40;
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);

/// What `wakeflash-lab storm` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct StormOptions {
    /// How many devices.
    #[arg(long)]
    pub count: u8,
    /// How many of them come or go in a second.
    #[arg(long)]
    pub per_second: u32,
}

/// The name of one of them.
#[must_use]
pub fn name(number: u16) -> String {
    format!("device-{number:04}")
}

struct Device {
    socket: Socket,
    comes: Vec<u8>,
    goes: Vec<u8>,
    there: bool,
}

impl Device {
    async fn new(number: u8) -> Result<Self> {
        let last = FIRST_ADDRESS.checked_add(number).context("the network is full")?;
        let address = Ipv4Addr::new(10, 77, 0, last);
        let script = super::host::add_address_script(INTERFACE, address);
        super::run(Command::new("sh").args(["-c", &script])).await?;
        // It only speaks: it is in no multicast group.
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddrV4::new(address, GROUP.port()).into())?;
        socket.set_multicast_if_v4(&address)?;
        socket.set_multicast_ttl_v4(255)?;
        let identity = Identity {
            only_name: false,
            name: name(u16::from(number)),
            friendly_name: None,
            mac: format!("0277000002{number:02x}"),
            version: "2026.9.0".to_owned(),
            config_hash: Some(0x1234_5678),
            api_port: Some(6053),
            address: Some(address),
            ipv6: None,
        };
        let (comes, goes) = (announcement(&identity, false)?, announcement(&identity, true)?);
        Ok(Self { socket, comes, goes, there: false })
    }

    fn change(&mut self) -> Result<()> {
        self.there = !self.there;
        let packet = if self.there { &self.comes } else { &self.goes };
        self.socket.send_to(packet, &GROUP.into())?;
        Ok(())
    }
}

/// One after the other comes or goes, until stdin ends.
///
/// # Errors
/// When they can't have their addresses.
pub async fn run(options: &StormOptions) -> Result<()> {
    let mut devices = Vec::new();
    for number in 0..options.count {
        devices.push(Device::new(number).await?);
    }
    let mut ticks = interval(Duration::from_secs(1) / options.per_second.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let changes = async {
        loop {
            for device in &mut devices {
                ticks.tick().await;
                device.change()?;
            }
        }
    };
    let mut input = tokio::io::stdin();
    let mut nothing = Vec::new();
    tokio::select! {
        failed = changes => failed,
        ended = input.read_to_end(&mut nothing) => Ok(ended.map(drop)?),
    }
}

/// A storm in a host. It ends when dropped.
pub struct Storm(#[expect(dead_code, reason = "kept alive")] Child);

impl Storm {
    /// Starts `wakeflash-lab storm` in a host.
    ///
    /// # Errors
    /// When it has not been built or doesn't start.
    pub fn start(host: &Host, options: &StormOptions) -> Result<Self> {
        let mut command = host.admin(paths::binary("wakeflash-lab")?);
        command.args(["storm", "--count", &options.count.to_string()]);
        command.args(["--per-second", &options.per_second.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
        Ok(Self(command.spawn().context("cannot start the storm")?))
    }
}
