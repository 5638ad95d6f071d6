//! Wakeflash's OTA client against ESPHome's own uploader: the same image, the same real device, the same
//! link, and a stopwatch that belongs to neither of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::device::{Device, DeviceEvent};
use crate::esphome::{self, Esphome};
use crate::flash::Flashed;
use crate::link::{Link, LinkOptions, Trace};
use crate::paths;
use crate::yaml::DeviceYaml;

const PASSWORD: &str = "hunter2";

/// What a client sends before the image: magic, features, a nonce and a response of 64 characters each, the
/// type, two sizes, an MD5.
const BEFORE_IMAGE: usize = 5 + 1 + 64 + 64 + 1 + 4 + 4 + 32;

/// How a device confirms an update.
const UPDATE_END: u8 = 0x45;

/// How long one update may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A link to measure over.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// What it is called in the table.
    pub name: &'static str,
    /// How the link behaves.
    pub link: LinkOptions,
}

/// What an ESP32 offers: `TCP_WND` of its network stack, four segments.
pub const SMALL_WINDOW: usize = 5744;

/// The links of the table in docs/PERFORMANCE.md.
#[must_use]
pub fn conditions() -> Vec<Condition> {
    let link = |name, round_trip, rate, window| Condition {
        name,
        link: LinkOptions { round_trip: Duration::from_millis(round_trip), rate, window },
    };
    vec![
        link("0 ms", 0, None, None),
        link("20 ms", 20, None, None),
        link("100 ms", 100, None, None),
        link("20 ms, 300 kbit/s", 20, Some(300_000), None),
        link("0 ms, window 5,744", 0, None, Some(SMALL_WINDOW)),
        link("20 ms, window 5,744", 20, None, Some(SMALL_WINDOW)),
        link("100 ms, window 5,744", 100, None, Some(SMALL_WINDOW)),
    ]
}

/// One update, seen from its client.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// From the start of the process to the device's confirmation.
    pub whole: Duration,
    /// From the first byte of the image to the device's confirmation.
    pub transfer: Duration,
    /// Round trips before the first byte of the image, with the one that opens the connection.
    pub round_trips: usize,
    /// Bytes of the image as it travelled.
    pub image_bytes: usize,
    /// What the client says about itself: Wakeflash's time of the call, before it connects, to the
    /// confirmation; ESPHome's time of "Upload took", which ends before the confirmation.
    pub own_word: Duration,
}

/// Both clients, one right after the other.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Wakeflash.
    pub ours: Sample,
    /// `esphome upload`.
    pub theirs: Sample,
}

impl Pair {
    /// Our whole time as a part of theirs.
    #[must_use]
    pub fn whole_ratio(&self) -> f64 {
        self.ours.whole.as_secs_f64() / self.theirs.whole.as_secs_f64()
    }

    /// Our time from the call on, with the image prepared as it is for a device that is waited for, as a part
    /// of their whole time.
    #[must_use]
    pub fn call_ratio(&self) -> f64 {
        self.ours.own_word.as_secs_f64() / self.theirs.whole.as_secs_f64()
    }

    /// Our transfer time as a part of theirs.
    #[must_use]
    pub fn transfer_ratio(&self) -> f64 {
        self.ours.transfer.as_secs_f64() / self.theirs.transfer.as_secs_f64()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Wakeflash,
    Esphome,
}

/// A real device that is there for as long as this value, and what both clients need for it.
pub struct Bench {
    device: Device,
    /// Keeps what the device says from being thrown away.
    _events: tokio::sync::mpsc::UnboundedReceiver<DeviceEvent>,
    directory: TempDir,
    image: std::path::PathBuf,
    device_port: u16,
    link_port: u16,
    esphome: Esphome,
}

impl Bench {
    /// Builds the firmware, unless that was done before, and powers the device on. The device listens on
    /// `port` and the link to it on the port after that.
    ///
    /// # Errors
    /// When there is no ESPHome, or the device doesn't start.
    pub async fn start(port: u16) -> Result<Self> {
        let mut yaml = DeviceYaml::new("measured").with_password(Some(PASSWORD));
        (yaml.ota_port, yaml.api_port) = (port, None);
        let firmware = esphome::firmware(&yaml).await?;
        let directory = tempfile::tempdir()?;
        // The device is replaced by what is installed on it; the image is a file that stays.
        let image = directory.path().join("image");
        std::fs::copy(&firmware.program, &image).context("cannot copy the firmware")?;
        // ESPHome takes the port from the configuration: this one's is the link's.
        yaml.ota_port = port + 1;
        yaml.write_to(directory.path(), "measured.yaml")?;
        let (mut device, events) =
            Device::new(&directory.path().join("device"), &image, "02:77:00:00:00:2A")?;
        device.start().await?;
        let bench = Self {
            device,
            _events: events,
            directory,
            image,
            device_port: port,
            link_port: port + 1,
            esphome: Esphome::locate()?,
        };
        bench.booted(1).await?;
        Ok(bench)
    }

    /// An update by each of them that doesn't count: ESPHome keeps the validated configuration for the next
    /// time, and both programs are in memory then.
    ///
    /// # Errors
    /// As [`Self::pair`].
    pub async fn warm_up(&mut self) -> Result<()> {
        self.pair(LinkOptions::default(), false).await.map(drop)
    }

    /// One update by each client.
    ///
    /// # Errors
    /// When one doesn't succeed, or does something else than the other.
    pub async fn pair(&mut self, link: LinkOptions, theirs_first: bool) -> Result<Pair> {
        if theirs_first {
            let theirs = self.measure(Client::Esphome, link).await?;
            let ours = self.measure(Client::Wakeflash, link).await?;
            return Ok(Pair { ours, theirs });
        }
        let ours = self.measure(Client::Wakeflash, link).await?;
        let theirs = self.measure(Client::Esphome, link).await?;
        Ok(Pair { ours, theirs })
    }

    async fn measure(&mut self, client: Client, options: LinkOptions) -> Result<Sample> {
        let before = self.device.state();
        let device = SocketAddr::from((Ipv4Addr::LOCALHOST, self.device_port));
        let link = Link::start(options, self.link_port, device)?;
        let mut command = self.command(client, link.address())?;
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {client:?}"))?;
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
            .await
            .with_context(|| format!("{client:?} does not end"))??;
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{client:?} failed:\n{text}");
        let after = self.booted(before.boots + 1).await?;
        ensure!(
            after.ota_done == before.ota_done + 1,
            "{client:?} did not install once: {after:?}"
        );
        let own_word = match client {
            Client::Wakeflash => serde_json::from_slice::<Flashed>(&output.stdout)?.call(),
            Client::Esphome => upload_took(&text)?,
        };
        let trace = tokio::task::spawn_blocking(move || link.trace(Duration::from_secs(10)));
        sample(&trace.await??, started, own_word).with_context(|| format!("{client:?}:\n{text}"))
    }

    /// Both are started in the same way.
    fn command(&self, client: Client, link: SocketAddr) -> Result<Command> {
        let program = match client {
            Client::Wakeflash => paths::binary("wakeflash-lab")?,
            Client::Esphome => self.esphome.program().to_path_buf(),
        };
        let mut command = paths::contained(program);
        match client {
            Client::Wakeflash => {
                command.args(["flash", "--password", PASSWORD, "--device", &link.to_string()]);
                command.arg("--image");
            }
            Client::Esphome => {
                command.args(["upload", "measured.yaml", "--device", &link.ip().to_string()]);
                command.arg("--file");
            }
        }
        command.arg(&self.image).current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// Size in bytes of the image as a file.
    ///
    /// # Errors
    /// When it is gone.
    pub fn image_size(&self) -> Result<u64> {
        Ok(Path::metadata(&self.image)?.len())
    }

    /// Waits until the device has started that often, and is ready.
    async fn booted(&self, boots: u32) -> Result<crate::device::DeviceState> {
        let ready =
            |state: &crate::device::DeviceState| state.boots == boots && state.version.is_some();
        self.device.wait("ready", Duration::from_secs(20), ready).await
    }
}

fn sample(trace: &Trace, started: Instant, own_word: Duration) -> Result<Sample> {
    let image = trace.sent_more_than(BEFORE_IMAGE).context("no image was sent")?;
    let (end, word) = trace.last_word().context("the device has said nothing")?;
    ensure!(word == UPDATE_END, "the device's last word was {word:02x}");
    // The goodbye, one byte, is the client's last.
    let image_bytes = trace.sent().checked_sub(BEFORE_IMAGE + 1).context("too little was sent")?;
    Ok(Sample {
        whole: end.duration_since(started),
        transfer: end.duration_since(image),
        round_trips: trace.round_trips_until(image),
        image_bytes,
        own_word,
    })
}

/// The seconds of "Upload took 2.65 seconds, waiting for result...".
fn upload_took(text: &str) -> Result<Duration> {
    let Some((seconds, _)) =
        text.split_once("Upload took ").and_then(|(_, rest)| rest.split_once(" seconds"))
    else {
        bail!("esphome doesn't say how long the upload took:\n{text}");
    };
    Ok(Duration::try_from_secs_f64(seconds.parse()?)?)
}
