//! The client of the native API against real ESPHome firmware in the clear, and against PyPI's `aioesphomeapi` and
//! `noiseprotocol`: encrypted, in both roles.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};
use wakeflash_api::{
    Answer, ApiError, EncryptionKey, Event, Greeting, Outcome, PowerKind, Reading, Silence, Step,
    Wish, Worth,
};
use wakeflash_core::device::Sighting;
use wakeflash_engine::api::log::{End, Heard, follow};
use wakeflash_engine::api::{Question, Reply, ask};
use wakeflash_tests::device::Device;
use wakeflash_tests::esphome::{self, Esphome, Firmware};
use wakeflash_tests::yaml::DeviceYaml;

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const OTHER_KEY: &str = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q=";
const MAC: &str = "02:77:00:00:00:2A";
const SOON: Duration = Duration::from_secs(90);

/// The port of the devices here, which is part of their firmware; the listener beside it says that it is taken.
static PORT: LazyLock<(u16, TcpListener)> = LazyLock::new(|| {
    let free = |port| {
        let claim = TcpListener::bind(("127.0.0.1", port + 1_000)).ok()?;
        let nobody = TcpListener::bind(("127.0.0.1", port)).is_ok();
        nobody.then_some((port, claim))
    };
    (13_773..13_793).find_map(free).unwrap()
});

fn device_address() -> SocketAddr {
    ([127, 0, 0, 1], PORT.0).into()
}

/// Real firmware with a battery; the voltage says nothing before it is asked to.
async fn firmware() -> Firmware {
    let mut yaml = DeviceYaml::new("asked").with_friendly_name("Asked Sensor");
    yaml.api_port = Some(PORT.0);
    yaml.ota_port = PORT.0 + 2_000;
    yaml.extra = r#"sensor:
  - platform: template
    name: Battery
    device_class: battery
    unit_of_measurement: "%"
    update_interval: 100ms
    lambda: return 71.0;
  - platform: template
    name: Cell
    device_class: voltage
    unit_of_measurement: V
    update_interval: 100ms
    lambda: |-
      if (::access("voltage", F_OK) != 0) return {};
      return 3.75;
  - platform: template
    name: Temperature
    device_class: temperature
    lambda: return 21.5;
"#
    .to_owned();
    esphome::firmware(&yaml).await.unwrap()
}

/// A running device; there is only one at a time, since the port is part of its firmware.
struct Running {
    device: Device,
    dir: TempDir,
    firmware: Firmware,
    _turn: MutexGuard<'static, ()>,
}

impl Running {
    async fn start() -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let firmware = firmware().await;
        let dir = tempfile::tempdir().unwrap();
        let (mut device, _) = Device::new(dir.path(), &firmware.program, MAC).unwrap();
        device.start().await.unwrap();
        let deadline = Instant::now() + SOON;
        let question = question(device_address(), None, Wish::Identity);
        while !matches!(ask(&question, deadline, |_| {}).await, Reply::Heard(_)) {
            assert!(Instant::now() < deadline, "no device");
            sleep(Duration::from_millis(20)).await;
        }
        Self { device, dir, firmware, _turn: turn }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the device has logged of its API at these levels.
    async fn said(&self, levels: &[&str]) -> Vec<String> {
        let log = tokio::fs::read_to_string(self.path("device.log")).await.unwrap();
        let of_api =
            |line: &&str| levels.iter().any(|level| line.contains(&format!("[{level}][api")));
        log.lines().filter(of_api).map(str::to_owned).collect()
    }

    async fn stop(mut self) {
        self.device.power_off().await.unwrap();
    }
}

fn question(address: SocketAddr, key: Option<&str>, wish: Wish) -> Question {
    Question { address, key: key.map(|key| EncryptionKey::from_base64(key).unwrap()), wish }
}

async fn asked(question: &Question) -> Outcome {
    let reply = ask(question, Instant::now() + SOON, |_| {}).await;
    let Reply::Heard(outcome) = reply else { panic!("{reply:?}") };
    outcome
}

fn answer(outcome: Outcome) -> (Answer, Vec<Reading>) {
    let Outcome::Answered(answer, readings) = outcome else { panic!("{outcome:?}") };
    (answer, readings)
}

/// The answer as `api_client.py` says it.
fn shown(answer: &Answer) -> Value {
    let firmware = answer.firmware();
    let project = firmware.project.as_ref();
    json!({
        "name": answer.name().as_str(),
        "mac": answer.mac().to_string(),
        "friendly_name": answer.friendly_name().unwrap_or_default(),
        "version": firmware.esphome_version,
        "compilation_time": firmware.compilation_time,
        "has_deep_sleep": firmware.has_deep_sleep,
        "project": project.map_or(["", ""], |p| [p.name.as_str(), p.version.as_str()]),
    })
}

/// What `aioesphomeapi` hears from the same device.
async fn heard_by_another(port: u16, key: Option<&str>) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/api_client.py");
    let output = Command::new(Esphome::locate().unwrap().python().unwrap())
        .arg(script)
        .arg(port.to_string())
        .args(key)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_real_device_says_who_it_is_and_which_build_it_runs() {
    let running = Running::start().await;
    let (answer, _) = answer(asked(&question(device_address(), None, Wish::Identity)).await);
    assert_eq!((answer.name().as_str(), answer.worth()), ("asked", Worth::Claim));
    assert_eq!(answer.friendly_name(), Some("Asked Sensor"));
    assert_eq!(answer.mac().to_string(), MAC);
    assert_eq!(answer.firmware().esphome_version, running.firmware.esphome_version);
    let build = running.firmware.config_dir.join(".esphome/build/asked/build_info.json");
    let build: Value = serde_json::from_slice(&std::fs::read(build).unwrap()).unwrap();
    assert_eq!(answer.firmware().compilation_time, build["build_time_str"].as_str().unwrap());

    let other = heard_by_another(PORT.0, None).await;
    let mut shown = shown(&answer);
    shown["power"] = json!([["battery", "Battery", "%"], ["voltage", "Cell", "V"]]);
    assert_eq!(shown, other);
    running.stop().await;
}

#[tokio::test]
async fn a_real_device_finds_nothing_wrong_with_us() {
    let running = Running::start().await;
    for _ in 0..3 {
        asked(&question(device_address(), None, Wish::Identity)).await;
    }
    // With the one that found that it is there.
    let deadline = Instant::now() + SOON;
    while running.said(&["D"]).await.iter().filter(|line| line.contains("disconnected")).count() < 4
    {
        assert!(Instant::now() < deadline, "a goodbye is missing");
        sleep(Duration::from_millis(50)).await;
    }
    let warnings = running.said(&["W", "E"]).await;
    assert!(warnings.is_empty(), "{warnings:#?}");
    running.stop().await;
}

#[tokio::test]
async fn the_battery_of_a_real_device_is_read_when_it_has_a_value() {
    let running = Running::start().await;
    let voltage = running.path("voltage");
    let mut told = Vec::new();
    let reply =
        ask(&question(device_address(), None, Wish::Power), Instant::now() + SOON, |event| {
            std::fs::write(&voltage, []).unwrap();
            told.push(event);
        })
        .await;
    let Reply::Heard(outcome) = reply else { panic!("{reply:?}") };
    let (_, readings) = answer(outcome);
    let mut values: Vec<_> =
        readings.iter().map(|r| (r.kind, r.name.as_deref(), r.value)).collect();
    values.sort_by_key(|value| value.0);
    let battery = (PowerKind::Battery, Some("Battery"), 71.0);
    assert_eq!(values, [battery, (PowerKind::Voltage, Some("Cell"), 3.75)]);
    assert!(matches!(told.as_slice(), [Event::Answered(_)]), "{told:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_real_device_that_goes_to_sleep_is_not_held_up() {
    let running = Running::start().await;
    let question = question(device_address(), None, Wish::Power);
    let deadline = Instant::now() + SOON;
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let asking = ask(&question, deadline, |event| told.send(event).unwrap());
    let sleeping = async {
        hears.recv().await.unwrap();
        running.device.request_sleep().await.unwrap();
    };
    // The voltage says nothing, so it is waited for until the device leaves.
    let (reply, ()) = tokio::join!(asking, sleeping);
    let Reply::Heard(outcome) = reply else { panic!("{reply:?}") };
    answer(outcome);
    assert!(Instant::now() < deadline, "its goodbye was not heard");
    running.stop().await;
}

#[tokio::test]
async fn a_real_device_in_the_clear_is_understood_whatever_was_expected() {
    let running = Running::start().await;
    let (answer, _) = answer(asked(&question(device_address(), Some(KEY), Wish::Identity)).await);
    assert_eq!((answer.name().as_str(), answer.worth()), ("asked", Worth::Claim));
    running.stop().await;
}

#[tokio::test]
async fn a_real_device_whose_places_are_taken_is_no_failure() {
    let running = Running::start().await;
    let mut taken = Vec::new();
    let full = loop {
        assert!(taken.len() < 64, "it takes everybody");
        match asked(&question(device_address(), None, Wish::Identity)).await {
            Outcome::Full => break taken.len(),
            Outcome::Answered(..) => {}
            other @ (Outcome::Greeted(..)
            | Outcome::SpeaksPlaintext
            | Outcome::WantsEncryption
            | Outcome::Followed(..)
            | Outcome::Dismissed(_)
            | Outcome::Failed(_)) => panic!("{other:?}"),
        }
        // As Home Assistant: says hello and stays.
        let mut client = TcpStream::connect(device_address()).await.unwrap();
        client.write_all(b"\0\0\x01").await.unwrap();
        let mut hello = [0; 8];
        client.read_exact(&mut hello).await.unwrap();
        taken.push(client);
    };
    assert!(full > 0);
    taken.clear();
    let deadline = Instant::now() + SOON;
    while !matches!(
        asked(&question(device_address(), None, Wish::Identity)).await,
        Outcome::Answered(..)
    ) {
        assert!(Instant::now() < deadline, "it stays full");
        sleep(Duration::from_millis(50)).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn the_log_of_a_real_device_is_followed_until_it_sleeps() {
    let running = Running::start().await;
    let stream = TcpStream::connect(device_address()).await.unwrap();
    let (heard, mut hears) = tokio::sync::mpsc::channel(64);
    let cancel = tokio_util::sync::CancellationToken::new();
    let is_it = |says: &Sighting| says.name == "asked";
    let following = follow(stream, None, is_it, &heard, &cancel);
    let listening = async {
        let mut lines: Vec<String> = Vec::new();
        let says_config = |lines: &[String]| lines.iter().any(|line| line.contains("[C]["));
        // What it says of its configuration.
        while !says_config(&lines) {
            if let Heard::Lines(more) = hears.recv().await.unwrap() {
                lines.extend(more);
            }
        }
        running.device.request_sleep().await.unwrap();
        lines
    };
    let (end, lines) =
        tokio::time::timeout(SOON, async { tokio::join!(following, listening) }).await.unwrap();
    assert_eq!(end, End::Slept, "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("\x1b[0;3")), "in its colours");
    running.stop().await;
}

#[tokio::test]
async fn a_real_device_finds_nothing_wrong_with_whoever_follows_its_log() {
    let running = Running::start().await;
    for is_the_one in [true, false] {
        let stream = TcpStream::connect(device_address()).await.unwrap();
        let (heard, mut hears) = tokio::sync::mpsc::channel(64);
        let cancel = tokio_util::sync::CancellationToken::new();
        let following = follow(stream, None, |_| is_the_one, &heard, &cancel);
        let leaving = async {
            while is_the_one && !matches!(hears.recv().await.unwrap(), Heard::Lines(_)) {}
            if is_the_one {
                cancel.cancel();
            }
        };
        let both = async { tokio::join!(following, leaving) };
        let (end, ()) = tokio::time::timeout(SOON, both).await.unwrap();
        assert_eq!(end, if is_the_one { End::Left } else { End::Stranger });
    }
    let warnings = running.said(&["W", "E"]).await;
    assert!(warnings.is_empty(), "{warnings:#?}");
    running.stop().await;
}

#[tokio::test]
async fn nobody_who_listens_is_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let reply = ask(&question(closed, None, Wish::Identity), Instant::now() + SOON, |_| {}).await;
    assert_eq!(reply, Reply::Refused);
}

/// A device written in Python, see `api_device.py`.
struct PythonDevice {
    _child: Child,
    said: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl PythonDevice {
    async fn start(manner: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/api_device.py");
        let mut child = Command::new(Esphome::locate().unwrap().python().unwrap())
            .arg(script)
            .args([KEY, manner])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = said.next_line().await.unwrap().unwrap().parse().unwrap();
        Self { _child: child, said, port }
    }

    fn question(&self, key: Option<&str>, wish: Wish) -> Question {
        question(([127, 0, 0, 1], self.port).into(), key, wish)
    }

    /// What it has seen of its next client.
    async fn seen(&mut self) -> Value {
        serde_json::from_str(&self.said.next_line().await.unwrap().unwrap()).unwrap()
    }
}

fn greeting(outcome: Outcome) -> (Greeting, Silence) {
    let Outcome::Greeted(Some(greeting), silence) = outcome else { panic!("{outcome:?}") };
    (greeting, silence)
}

#[tokio::test]
async fn an_independent_noise_brings_a_proof() {
    let mut device = PythonDevice::start("answer").await;
    let mut told = Vec::new();
    let question = device.question(Some(KEY), Wish::Power);
    let reply = ask(&question, Instant::now() + SOON, |event| told.push(event)).await;
    let Reply::Heard(outcome) = reply else { panic!("{reply:?}") };
    let (answer, readings) = answer(outcome);
    assert_eq!(answer.worth(), Worth::Proof);
    assert!(matches!(told.as_slice(), [Event::Greeted(_), Event::Answered(_)]), "{told:?}");
    let values: Vec<_> =
        readings.iter().map(|r| (r.kind, r.name.as_deref().unwrap(), r.value)).collect();
    let battery = (PowerKind::Battery, "Battery", 71.0);
    assert_eq!(values, [battery, (PowerKind::Voltage, "Zelle", 3.75)]);
    let seen = device.seen().await;
    let messages = [
        "HelloRequest",
        "DeviceInfoRequest",
        "PingResponse",
        "AuthenticationRequest",
        "ListEntitiesRequest",
        "SubscribeStatesRequest",
        "DisconnectRequest",
    ];
    assert_eq!(seen["messages"], json!(messages), "{seen}");
    assert_eq!((&seen["client"], &seen["dial_back"]), (&json!("Wakeflash"), &json!(false)));

    // The client that Home Assistant has hears the same: the device here is one.
    let other = heard_by_another(device.port, Some(KEY)).await;
    let mut shown = shown(&answer);
    shown["power"] = json!([["battery", "Battery", "%"], ["voltage", "Zelle", "V"]]);
    assert_eq!(shown, other);
}

#[tokio::test]
async fn a_device_with_a_key_gives_a_claim_to_whoever_has_none() {
    let mut device = PythonDevice::start("answer").await;
    let (greeted, silence) = greeting(asked(&device.question(None, Wish::Identity)).await);
    assert_eq!((greeted.name.as_str(), silence), ("noisy", Silence::Unasked));
    assert_eq!(greeted.mac.unwrap().to_string(), "98:35:69:AB:F6:79");
    assert!(device.seen().await["error"].as_str().unwrap().starts_with("no frame"));
    assert_eq!(device.seen().await["encrypted"], false);

    let (greeted, silence) =
        greeting(asked(&device.question(Some(OTHER_KEY), Wish::Identity)).await);
    assert_eq!((greeted.name.as_str(), silence), ("noisy", Silence::WrongKey));
}

#[tokio::test]
async fn other_manners_of_a_device_are_told_apart() {
    let old = PythonDevice::start("old").await;
    let question = old.question(None, Wish::Identity);
    assert_eq!(greeting(asked(&question).await).0.mac, None);
    let (answer, _) = answer(asked(&old.question(Some(KEY), Wish::Identity)).await);
    assert_eq!(answer.worth(), Worth::Proof);

    let mut leaving = PythonDevice::start("leaving").await;
    let (_, silence) = greeting(asked(&leaving.question(Some(KEY), Wish::Identity)).await);
    assert!(matches!(silence, Silence::Dismissed(_)), "{silence:?}");
    let seen = leaving.seen().await;
    assert_eq!(seen["messages"].as_array().unwrap().last(), Some(&json!("DisconnectResponse")));

    let full = PythonDevice::start("full").await;
    assert_eq!(asked(&full.question(Some(KEY), Wish::Identity)).await, Outcome::Full);

    let cut = PythonDevice::start("cut").await;
    let (greeted, silence) = greeting(asked(&cut.question(Some(KEY), Wish::Identity)).await);
    assert_eq!(greeted.name.as_str(), "noisy");
    let Silence::Failed(ApiError::Closed { step, .. }) = silence else { panic!("{silence:?}") };
    assert_eq!(step, Step::Encryption);
}
