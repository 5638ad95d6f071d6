//! `wakeflash-lab crowd`: many devices that say who they are, and are never heard of again.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::{Host, INTERFACE};
use crate::announcer::{Announcer, Identity, Voice};
use crate::jsonl::JsonProcess;
use crate::kept::Sibling;
use crate::paths;

/// The last byte of the first one's address; the others follow.
const FIRST_ADDRESS: u8 = 40;

/// What `wakeflash-lab crowd` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct CrowdOptions {
    /// How many.
    #[arg(long)]
    pub count: u8,
    /// The ESPHome version that they announce.
    #[arg(long)]
    pub version: String,
}

fn address(number: u8) -> Result<Ipv4Addr> {
    let last = FIRST_ADDRESS.checked_add(number).context("the network is full")?;
    Ok(Ipv4Addr::new(10, 77, 0, last))
}

/// Announces them all, and says goodbye for them when stdin ends.
///
/// # Errors
/// When they can't have their addresses.
pub async fn run(options: &CrowdOptions) -> Result<()> {
    let mut devices = Vec::new();
    for number in 0..options.count {
        let address = address(number)?;
        let script = super::host::add_address_script(INTERFACE, address);
        super::run(Command::new("sh").args(["-c", &script])).await?;
        let identity = Identity {
            only_name: false,
            name: Sibling(u16::from(number)).name(),
            friendly_name: None,
            mac: format!("0277000001{number:02x}"),
            version: options.version.clone(),
            config_hash: Some(0x1234_5678),
            api_port: Some(6053),
            address: Some(address),
            ipv6: None,
        };
        devices.push(Announcer::start(identity, Voice::Full)?);
    }
    writeln!(std::io::stdout(), "{}", json!({"event": "ready"}))?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    for device in devices {
        device.goodbye().await;
    }
    Ok(())
}

/// A crowd in a host.
pub struct Crowd(JsonProcess);

impl Crowd {
    /// Starts `wakeflash-lab crowd` in a host.
    ///
    /// # Errors
    /// When it has not been built or doesn't start.
    pub async fn start(host: &Host, options: &CrowdOptions) -> Result<Self> {
        let mut command = host.admin(paths::binary("wakeflash-lab")?);
        command.args(["crowd", "--count", &options.count.to_string()]);
        command.args(["--version", &options.version]).stderr(Stdio::inherit());
        let process = JsonProcess::spawn("crowd", command)?;
        let soon = Duration::from_secs(30);
        process.wait_for("readiness", soon, |line| line["event"] == "ready").await?;
        Ok(Self(process))
    }

    /// Lets them say goodbye.
    ///
    /// # Errors
    /// When they don't.
    pub async fn leave(self) -> Result<()> {
        self.0.close_stdin().await;
        self.0.wait(Duration::from_secs(30)).await.map(drop)
    }
}
