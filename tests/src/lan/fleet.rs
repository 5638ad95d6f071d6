//! `wakeflash-lab fleet`: many sleepers in one host, each with an address of its own that is there while it is awake. They
//! announce themselves, answer questions and take images as [`crate::peer`] does, and say from then on that they run the
//! new firmware.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::process::{ChildStdin, Command};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Host, INTERFACE, PREFIX};
use crate::announcer::{Identity, announcement};
use crate::jsonl::JsonProcess;
use crate::kept::Sibling;
use crate::paths;
use crate::peer::{self, Fault, LiveReport, Script, Stage};

/// The last byte of the first address in a network, and how many there are in one.
const FIRST_ADDRESS: u16 = 40;
const IN_A_NETWORK: u16 = 200;
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);

/// From the end of an update to the first words of the new firmware.
const REBOOT: Duration = Duration::from_secs(1);

/// What `wakeflash-lab fleet` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct FleetOptions {
    /// How many.
    #[arg(long)]
    pub count: u16,
    /// The ESPHome version that they announce.
    #[arg(long)]
    pub version: String,
    /// The config hash that they announce at first.
    #[arg(long)]
    pub old_hash: u32,
    /// The config hash that they announce once they have taken an image.
    #[arg(long)]
    pub new_hash: u32,
    /// Their OTA port.
    #[arg(long)]
    pub port: u16,
    /// Wake every so many milliseconds, one after the other.
    #[arg(long)]
    pub every_ms: u64,
    /// How many milliseconds they are awake; longer than the time between two wakes: for ever.
    #[arg(long)]
    pub awake_ms: u64,
    /// Take no image: say nothing more when one is announced.
    #[arg(long)]
    pub stall: bool,
}

/// The address of one of them.
#[must_use]
pub fn address(number: u16) -> Ipv4Addr {
    let parts = [number / IN_A_NETWORK, FIRST_ADDRESS + number % IN_A_NETWORK];
    let [third, fourth] = parts.map(|part| u8::try_from(part).unwrap_or_default());
    Ipv4Addr::new(10, 77, third, fourth)
}

/// What has happened to all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Wakes.
    pub wakes: u64,
    /// Images that were taken.
    pub images: u64,
    /// Devices that have somebody on their OTA port.
    pub held: u64,
}

#[derive(Default)]
struct Counters {
    wakes: AtomicU64,
    images: AtomicU64,
    held: AtomicU64,
}

/// Runs them until stdin ends; says once in a second what has happened.
///
/// # Errors
/// When they can't have their addresses.
pub async fn run(options: FleetOptions) -> Result<()> {
    let mut batch = Command::new("ip");
    batch.args(["-force", "-batch", "-"]).stdin(Stdio::piped()).kill_on_drop(true);
    let mut batch = batch.spawn().context("cannot run ip")?;
    let radio = Arc::new(Mutex::new(batch.stdin.take().context("no stdin")?));
    let options = Arc::new(options);
    let counters = Arc::new(Counters::default());
    let mut devices = JoinSet::new();
    for number in 0..options.count {
        let device = Sleeper::new(number, &options, &radio, &counters)?;
        devices.spawn(device.live());
    }
    let tell = async {
        loop {
            let [wakes, images, held] = [&counters.wakes, &counters.images, &counters.held]
                .map(|count| count.load(Ordering::Relaxed));
            writeln!(std::io::stdout(), "{}", json!({"tally": Tally { wakes, images, held }}))?;
            sleep(Duration::from_secs(1)).await;
        }
    };
    let mut input = tokio::io::stdin();
    let mut nothing = Vec::new();
    tokio::select! {
        failed = tell => failed,
        Some(ended) = devices.join_next() => ended?,
        ended = input.read_to_end(&mut nothing) => Ok(ended.map(drop)?),
    }
}

struct Sleeper {
    number: u16,
    options: Arc<FleetOptions>,
    radio: Arc<Mutex<ChildStdin>>,
    counters: Arc<Counters>,
    /// The hash of what it runs.
    runs: watch::Sender<u32>,
    /// Whether somebody is at its OTA port.
    held: watch::Sender<bool>,
    /// Whether it is awake; who is at its OTA port when it isn't is forgotten.
    awake: watch::Sender<bool>,
    voice: UdpSocket,
    door: TcpListener,
}

impl Sleeper {
    fn new(
        number: u16,
        options: &Arc<FleetOptions>,
        radio: &Arc<Mutex<ChildStdin>>,
        counters: &Arc<Counters>,
    ) -> Result<Self> {
        let socket = |kind, protocol, port| -> Result<Socket> {
            let socket = Socket::new(Domain::IPV4, kind, Some(protocol))?;
            socket.set_reuse_address(true)?;
            // The address comes and goes.
            socket.set_freebind_v4(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&SocketAddrV4::new(address(number), port).into())?;
            Ok(socket)
        };
        let voice = socket(Type::DGRAM, Protocol::UDP, GROUP.port())?;
        voice.set_multicast_ttl_v4(255)?;
        let door = socket(Type::STREAM, Protocol::TCP, options.port)?;
        door.listen(4)?;
        Ok(Self {
            number,
            options: Arc::clone(options),
            radio: Arc::clone(radio),
            counters: Arc::clone(counters),
            runs: watch::Sender::new(options.old_hash),
            held: watch::Sender::new(false),
            awake: watch::Sender::new(false),
            voice: UdpSocket::from_std(voice.into())?,
            door: TcpListener::from_std(door.into())?,
        })
    }

    async fn live(self) -> Result<()> {
        tokio::select! {
            ended = self.sleep_and_wake() => ended,
            ended = self.answer() => ended,
            ended = self.take_images() => ended,
        }
    }

    async fn sleep_and_wake(&self) -> Result<()> {
        let every = Duration::from_millis(self.options.every_ms);
        let awake = Duration::from_millis(self.options.awake_ms);
        let place = every * u32::from(self.number) / u32::from(self.options.count);
        let mut next = Instant::now() + place;
        loop {
            sleep_until(next).await;
            next += every;
            self.awake.send_replace(true);
            self.order("add").await?;
            self.counters.wakes.fetch_add(1, Ordering::Relaxed);
            if awake >= every {
                self.stay(Instant::now() + Duration::from_secs(1 << 30)).await?;
            }
            self.stay(Instant::now() + awake).await?;
            // What is said to the radio is done in turn: the leave is out before.
            self.say(true).await?;
            sleep(Duration::from_millis(20)).await;
            self.order("del").await?;
            self.awake.send_replace(false);
        }
    }

    /// Awake until then, and for as long as somebody is at its OTA port; another firmware begins anew.
    async fn stay(&self, mut until: Instant) -> Result<()> {
        let (mut runs, mut held) = (self.runs.subscribe(), self.held.subscribe());
        let mut words = tokio::time::interval(Duration::from_secs(1));
        let mut left = 3;
        loop {
            tokio::select! {
                _ = words.tick(), if left > 0 => {
                    left -= 1;
                    self.say(false).await?;
                }
                _ = runs.changed() => {
                    sleep(REBOOT).await;
                    left = 3;
                    until = until.max(Instant::now() + Duration::from_secs(2));
                }
                () = sleep_until(until) => {
                    if held.wait_for(|held| !held).await.is_ok() && !runs.has_changed()? {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn order(&self, what: &str) -> Result<()> {
        let line = format!("addr {what} {}/{PREFIX} dev {INTERFACE}\n", address(self.number));
        self.radio.lock().await.write_all(line.as_bytes()).await.context("ip has ended")
    }

    fn words(&self, goodbye: bool) -> Result<Vec<u8>> {
        let number = self.number;
        let identity = Identity {
            only_name: false,
            name: Sibling(number).name(),
            friendly_name: None,
            mac: format!("02770003{number:04x}"),
            version: self.options.version.clone(),
            config_hash: Some(*self.runs.borrow()),
            api_port: Some(6053),
            address: Some(address(number)),
            ipv6: None,
        };
        announcement(&identity, goodbye)
    }

    async fn say(&self, goodbye: bool) -> Result<()> {
        let words = self.words(goodbye)?;
        // Its address may just be coming.
        for _ in 0..20 {
            socket2::SockRef::from(&self.voice).set_multicast_if_v4(&address(self.number)).ok();
            if self.voice.send_to(&words, GROUP).await.is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn answer(&self) -> Result<()> {
        let mut question = [0; 1_500];
        loop {
            let Ok((length, from)) = self.voice.recv_from(&mut question).await else { continue };
            let mut words = self.words(false)?;
            if let (Some(id), Some(place)) = (question.get(..length.min(2)), words.get_mut(..2))
                && id.len() == 2
            {
                place.copy_from_slice(id);
                // Who has asked may be gone.
                let _ = self.voice.send_to(&words, from).await;
            }
        }
    }

    async fn take_images(&self) -> Result<()> {
        let mut script = Script::default();
        if self.options.stall {
            script = script.fault(Stage::Prepare, Fault::Stall);
        }
        loop {
            let (stream, _) = self.door.accept().await?;
            stream.set_nodelay(true)?;
            self.held.send_replace(true);
            self.counters.held.fetch_add(1, Ordering::Relaxed);
            let report = LiveReport::default();
            let mut awake = self.awake.subscribe();
            tokio::select! {
                () = peer::play(stream, script.clone(), report.clone()) => {}
                _ = awake.wait_for(|awake| !awake) => {}
            }
            self.counters.held.fetch_sub(1, Ordering::Relaxed);
            if report.now().image.is_some() {
                self.counters.images.fetch_add(1, Ordering::Relaxed);
                self.runs.send_replace(self.options.new_hash);
            }
            self.held.send_replace(false);
        }
    }
}

/// A fleet in a host.
pub struct Fleet(JsonProcess);

impl Fleet {
    /// Starts `wakeflash-lab fleet` in a host.
    ///
    /// # Errors
    /// When it has not been built or doesn't start.
    pub async fn start(host: &Host, options: &FleetOptions) -> Result<Self> {
        let mut command = host.admin(paths::binary("wakeflash-lab")?);
        let number = |number: u64| number.to_string();
        command.args(["fleet", "--count", &number(options.count.into())]);
        command.args(["--version", &options.version, "--port", &number(options.port.into())]);
        command.args(["--old-hash", &number(options.old_hash.into())]);
        command.args(["--new-hash", &number(options.new_hash.into())]);
        command.args(["--every-ms", &number(options.every_ms)]);
        command.args(["--awake-ms", &number(options.awake_ms)]);
        if options.stall {
            command.arg("--stall");
        }
        command.stderr(Stdio::inherit());
        let process = JsonProcess::spawn("fleet", command)?;
        let soon = Duration::from_secs(90);
        process.wait_for("readiness", soon, |line| line["tally"].is_object()).await?;
        Ok(Self(process))
    }

    /// Forgets what it has said.
    pub async fn forget(&self) {
        self.0.forget().await;
    }

    /// What has happened.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn tally(&self) -> Result<Tally> {
        let last = self.0.lines().pop().context("the fleet says nothing")?;
        serde_json::from_value(last["tally"].clone()).with_context(|| format!("{last}"))
    }
}
