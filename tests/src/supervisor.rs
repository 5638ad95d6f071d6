//! Makes a device sleep and wake: `wakeflash-lab device`, and the client that controls it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::announcer::{Announcer, Identity, Ipv6, Voice};
use crate::device::{Device, DeviceEvent, DeviceState};
use crate::jsonl::JsonProcess;
use crate::lan::{self, Host};
use crate::paths;

/// How long the firmware may take to say at boot that it sleeps on request.
const GRACE: Duration = Duration::from_millis(100);

/// A device as `wakeflash-lab device` takes it.
#[derive(Clone, Debug, clap::Args)]
pub struct DeviceOptions {
    /// The firmware that the device has when it is new.
    #[arg(long)]
    pub program: PathBuf,
    /// The device's directory: its flash, its preferences, its log.
    #[arg(long)]
    pub dir: PathBuf,
    /// The device's name, should the firmware not say it.
    #[arg(long)]
    pub name: String,
    /// The friendly name that it announces, should the firmware not say it.
    #[arg(long)]
    pub friendly_name: Option<String>,
    /// Its hardware address; the interface's own when not given, else the interface gets it.
    #[arg(long)]
    pub mac: Option<String>,
    /// The API port that it announces; without one it is announced as a web server.
    #[arg(long)]
    pub api_port: Option<u16>,
    /// The interface that is its radio.
    #[arg(long, default_value = lan::INTERFACE)]
    pub interface: String,
    /// The MAC address that it announces, when it isn't its own.
    #[arg(long)]
    pub announced_mac: Option<String>,
    /// Announce no config hash, like older firmware.
    #[arg(long)]
    pub no_config_hash: bool,
}

impl DeviceOptions {
    /// A device with an API on the usual port.
    #[must_use]
    pub fn new(name: &str, program: &Path, dir: &Path) -> Self {
        Self {
            program: program.to_path_buf(),
            dir: dir.to_path_buf(),
            name: name.to_owned(),
            friendly_name: None,
            mac: None,
            api_port: Some(6053),
            interface: lan::INTERFACE.to_owned(),
            announced_mac: None,
            no_config_hash: false,
        }
    }

    pub(crate) fn arguments(&self) -> Vec<std::ffi::OsString> {
        let mut arguments: Vec<std::ffi::OsString> = vec![
            "--program".into(),
            self.program.clone().into(),
            "--dir".into(),
            self.dir.clone().into(),
            "--name".into(),
            self.name.clone().into(),
            "--interface".into(),
            self.interface.clone().into(),
        ];
        let api_port = self.api_port.map(|port| port.to_string());
        let optional = [
            ("--friendly-name", &self.friendly_name),
            ("--mac", &self.mac),
            ("--api-port", &api_port),
            ("--announced-mac", &self.announced_mac),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                arguments.extend([name.into(), value.into()]);
            }
        }
        if self.no_config_hash {
            arguments.push("--no-config-hash".into());
        }
        arguments
    }
}

/// How a wake goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wake {
    /// How long the device is awake, counted from each boot; none: until told otherwise.
    pub for_ms: Option<u64>,
    /// Whether mDNS works: announced in full, announcements lost, or none at all.
    pub mdns: Mdns,
    /// Whether the sleep at the end of `for_ms` is without a goodbye.
    pub no_goodbye: bool,
    /// Whether the device announces its address by ARP (RFC 5227, section 2.3) when its link comes up, as lwIP does
    /// on ESP32 and ESP8266 (`netif_issue_reports` in its netif.c). Without it the device is harder to reach.
    pub gratuitous_arp: bool,
}

/// [`Voice`] as the protocol names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mdns {
    /// See [`Voice::Full`].
    #[default]
    Full,
    /// See [`Voice::AnswersOnly`].
    AnswersOnly,
    /// Nothing but its host name, as in safe mode.
    NameOnly,
    /// See [`Voice::Silent`].
    Silent,
}

impl From<Mdns> for Voice {
    fn from(mdns: Mdns) -> Self {
        match mdns {
            Mdns::Full | Mdns::NameOnly => Self::Full,
            Mdns::AnswersOnly => Self::AnswersOnly,
            Mdns::Silent => Self::Silent,
        }
    }
}

/// A device with a radio, on this side of the protocol: what the supervisor can do.
pub struct Supervisor {
    options: DeviceOptions,
    device: Device,
    mac: String,
    wake: Wake,
    announcer: Option<Announcer>,
    awake: bool,
}

impl Supervisor {
    /// Takes over a device and its radio; the device sleeps.
    ///
    /// # Errors
    /// When the device can't be made, or the radio can't be switched off.
    pub async fn new(
        options: DeviceOptions,
    ) -> Result<(Self, tokio::sync::mpsc::UnboundedReceiver<DeviceEvent>)> {
        radio(&lan::link_script(&options.interface, false)).await?;
        if let Some(mac) = &options.mac {
            radio(&format!("ip link set {} address {mac}", options.interface)).await?;
        }
        let mac = interface_mac(&options.interface).await?;
        let (device, events) = Device::new(&options.dir, &options.program, &mac)?;
        let supervisor =
            Self { options, device, mac, wake: Wake::default(), announcer: None, awake: false };
        Ok((supervisor, events))
    }

    /// Whether the device is awake.
    #[must_use]
    pub fn awake(&self) -> bool {
        self.awake
    }

    /// The options of the current or last wake.
    #[must_use]
    pub fn wake_options(&self) -> Wake {
        self.wake
    }

    /// Wakes the device: the link comes up, the firmware starts. Returns when its link was told to come up.
    ///
    /// # Errors
    /// When it is awake already, or can't be started.
    pub async fn wake(&mut self, wake: Wake) -> Result<SystemTime> {
        if self.awake {
            bail!("the device is awake already");
        }
        self.wake = wake;
        self.awake = true;
        // Just before, so that nothing can be faster than it is.
        let link_up = SystemTime::now();
        radio(&lan::link_script(&self.options.interface, true)).await?;
        if wake.gratuitous_arp {
            radio(&lan::gratuitous_arp_script(&self.options.interface, &self.mac)).await?;
        }
        self.device.start().await?;
        Ok(link_up)
    }

    /// The firmware says what it is: announce that, from the first probe on.
    ///
    /// # Errors
    /// When the interface has no address, or mDNS doesn't work on it.
    pub async fn booted(&mut self) -> Result<()> {
        let state = self.device.state();
        let Some(version) = state.version else { return Ok(()) };
        let (address, ipv6) = interface_addresses(&self.options.interface).await?;
        let identity = Identity {
            name: state.name.unwrap_or_else(|| self.options.name.clone()),
            friendly_name: state.friendly_name.or_else(|| self.options.friendly_name.clone()),
            mac: self.options.announced_mac.as_ref().unwrap_or(&self.mac).replace(':', ""),
            version,
            config_hash: state.running_hash.filter(|_| !self.options.no_config_hash),
            api_port: self.options.api_port,
            only_name: self.wake.mdns == Mdns::NameOnly,
            address,
            ipv6,
        };
        match &self.announcer {
            Some(announcer) => announcer.become_identity(identity).await,
            None => self.announcer = Some(Announcer::start(identity, self.wake.mdns.into())?),
        }
        Ok(())
    }

    /// Asks the firmware to sleep; it does when its main loop gets to it, which is not before the
    /// end of a data phase. Returns whether it can be switched off now.
    ///
    /// # Errors
    /// When the request can't be made.
    pub async fn request_sleep(&mut self) -> Result<bool> {
        if !self.device.state().obeys {
            // It may not have said so yet.
            tokio::time::sleep(GRACE).await;
        }
        let state = self.device.state();
        if state.obeys {
            self.device.request_sleep().await?;
            return Ok(false);
        }
        // Firmware that isn't from the lab: its log is all that tells.
        Ok(!state.in_data_phase)
    }

    /// The end of a wake: goodbye or none, then the radio, then the processor.
    ///
    /// # Errors
    /// When the radio or the process can't be ended.
    pub async fn switch_off(&mut self, goodbye: bool) -> Result<()> {
        if let Some(announcer) = self.announcer.take()
            && goodbye
        {
            announcer.goodbye().await;
        }
        radio(&lan::link_script(&self.options.interface, false)).await?;
        self.device.power_off().await?;
        // The kernel would go on repeating the last words of a device that is gone.
        radio("ss --kill --tcp --all >/dev/null").await?;
        self.awake = false;
        Ok(())
    }

    /// Says goodbye while the device stays awake.
    pub async fn goodbye(&mut self) {
        if let Some(announcer) = self.announcer.take() {
            announcer.goodbye().await;
        }
    }

    /// Takes the request to sleep back: the device restarts, which begins a new wake.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn withdraw_sleep(&self) -> Result<()> {
        self.device.withdraw_sleep().await
    }

    /// Gives the device another address.
    ///
    /// # Errors
    /// When `ip` fails.
    pub async fn set_address(&mut self, address: Ipv4Addr) -> Result<()> {
        radio(&lan::address_script(&self.options.interface, address)).await?;
        self.announcer = None;
        if self.awake { self.booted().await } else { Ok(()) }
    }

    /// Takes the link up or down; the device goes on running.
    ///
    /// # Errors
    /// When `ip` fails.
    pub async fn link(&mut self, up: bool) -> Result<()> {
        radio(&lan::link_script(&self.options.interface, up)).await?;
        if up { self.booted().await } else { Ok(()) }
    }

    /// What is known about the device.
    #[must_use]
    pub fn status(&self) -> Value {
        let state = self.device.state();
        let hash = state.running_hash.map(|hash| format!("{hash:08x}"));
        json!({ "awake": self.awake, "config_hash": hash, "mac": self.mac, "device": state })
    }
}

async fn radio(script: &str) -> Result<()> {
    lan::run(Command::new("sh").args(["-c", script]).kill_on_drop(true)).await
}

async fn interface_mac(interface: &str) -> Result<String> {
    let link = ip_json(&["link", "show", interface]).await?;
    let mac = link.pointer("/0/address").and_then(Value::as_str);
    mac.map(ToOwned::to_owned).with_context(|| format!("{interface} has no hardware address"))
}

/// The addresses that a device on this interface announces.
async fn interface_addresses(interface: &str) -> Result<(Option<Ipv4Addr>, Option<Ipv6>)> {
    let found = ip_json(&["addr", "show", interface, "scope", "global"]).await?;
    let found = found.pointer("/0").with_context(|| format!("{interface} has no address"))?;
    let listed = found["addr_info"].as_array().into_iter().flatten();
    let addresses: Vec<IpAddr> = listed
        .filter_map(|entry| entry["local"].as_str())
        .map(str::parse)
        .collect::<Result<_, _>>()
        .context("an address is unexpected")?;
    let index = found["ifindex"].as_u64().and_then(|index| u32::try_from(index).ok());
    let ipv4 = addresses.iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    let ipv6 = addresses.iter().find_map(|address| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(Ipv6 { address: *address, interface: index? }),
    });
    Ok((ipv4, ipv6))
}

async fn ip_json(arguments: &[&str]) -> Result<Value> {
    let output = Command::new("ip").arg("-j").args(arguments).output().await?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("ip {arguments:?} failed"))
}

/// A device in a host of the LAN, controlled from here. It ends when dropped.
pub struct LabDevice {
    process: JsonProcess,
}

impl LabDevice {
    /// Starts `wakeflash-lab device --control` in a host; the device sleeps.
    ///
    /// # Errors
    /// When it has not been built or doesn't start.
    pub async fn start(host: &Host, options: &DeviceOptions) -> Result<Self> {
        let mut command = host.admin(paths::binary("wakeflash-lab")?);
        command.arg("device").args(options.arguments()).arg("--control");
        command.stderr(Stdio::inherit());
        let process = JsonProcess::spawn(&options.name, command)?;
        process.request(json!({"cmd": "status"})).await?;
        Ok(Self { process })
    }

    /// Wakes the device. Returns as soon as its firmware is being started.
    ///
    /// # Errors
    /// When it is awake already, or can't be started.
    pub async fn wake(&self, wake: Wake) -> Result<()> {
        let mut command = serde_json::to_value(wake)?;
        command["cmd"] = json!("wake");
        self.process.request(command).await.map(|_| ())
    }

    /// Wakes the device until told otherwise, and waits for what it says that it runs.
    ///
    /// # Errors
    /// As [`LabDevice::wake`].
    pub async fn wake_fully(&self) -> Result<u32> {
        self.wake(Wake::default()).await?;
        // A busy machine takes some seconds.
        self.wait("boot", Duration::from_secs(90), |state| state.running_hash.is_some()).await?;
        self.running_hash().await?.context("the firmware doesn't say its config hash")
    }

    /// Sends the device to sleep and waits until it does, which isn't before the end of a data
    /// phase.
    ///
    /// # Errors
    /// When it doesn't sleep in the time that a data phase may take.
    pub async fn sleep(&self, goodbye: bool) -> Result<()> {
        let command = json!({"cmd": "sleep", "goodbye": goodbye});
        self.process.request_within(command, Duration::from_secs(300)).await.map(|_| ())
    }

    /// Takes the power away, whatever the device is doing.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn power_cut(&self) -> Result<()> {
        self.process.request(json!({"cmd": "power_cut"})).await.map(|_| ())
    }

    /// Gives the device another address.
    ///
    /// # Errors
    /// When `ip` fails.
    pub async fn set_address(&self, address: Ipv4Addr) -> Result<()> {
        self.process.request(json!({"cmd": "address", "address": address})).await.map(|_| ())
    }

    /// Takes the device's link up or down while it goes on running; up, it announces itself again.
    ///
    /// # Errors
    /// When `ip` fails.
    pub async fn link(&self, up: bool) -> Result<()> {
        self.process.request(json!({"cmd": "link", "up": up})).await.map(|_| ())
    }

    /// What the device's log has said so far, over all wakes.
    ///
    /// # Errors
    /// When the supervisor doesn't answer.
    pub async fn state(&self) -> Result<DeviceState> {
        let mut status = self.process.request(json!({"cmd": "status"})).await?;
        Ok(serde_json::from_value(status["device"].take())?)
    }

    /// The config hash that the running firmware has logged.
    ///
    /// # Errors
    /// When the supervisor doesn't answer.
    pub async fn running_hash(&self) -> Result<Option<u32>> {
        Ok(self.state().await?.running_hash)
    }

    /// Waits until the device's state satisfies `wanted`.
    ///
    /// # Errors
    /// When it doesn't within `timeout`.
    pub async fn wait(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&DeviceState) -> bool,
    ) -> Result<DeviceState> {
        let give_up = tokio::time::Instant::now() + timeout;
        loop {
            let state = self.state().await?;
            if wanted(&state) {
                return Ok(state);
            }
            if tokio::time::Instant::now() >= give_up {
                bail!("no {what} within {timeout:?}: {state:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until this many updates have been completed and the device sleeps.
    ///
    /// # Errors
    /// When it doesn't within `timeout`.
    pub async fn until_asleep_after(&self, updates: u32, timeout: Duration) -> Result<DeviceState> {
        self.wait("sleep after an update", timeout, |state| {
            state.ota_done == updates && !state.running
        })
        .await
    }

    /// Waits for an event of this name; see [`JsonProcess::wait_for`].
    ///
    /// # Errors
    /// As there.
    pub async fn event(&self, name: &str, timeout: Duration) -> Result<Value> {
        self.process.wait_for(name, timeout, |line| line["event"] == name).await
    }

    /// The supervisor's process, for commands that have no method here.
    #[must_use]
    pub fn process(&self) -> &JsonProcess {
        &self.process
    }
}
