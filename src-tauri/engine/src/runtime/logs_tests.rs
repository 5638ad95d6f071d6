use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wakeflash_core::configuration::ConfigFile;
use wakeflash_core::settings::SettingsChange;

use super::super::assembly::Queues;
use super::super::tests::{runtime_over, stored, update, waiting as waiting_for};
use super::*;
use crate::store::Store;

const SOON: Duration = Duration::from_secs(20);

fn id() -> DeviceId {
    DeviceId::of_file("a.yaml")
}

/// The loop with one device, whose API is where the listener is.
struct World {
    runtime: Runtime,
    queues: Queues,
    device: TcpListener,
    dir: tempfile::TempDir,
    config: tempfile::TempDir,
}

impl World {
    async fn new(updates: Vec<wakeflash_core::update::Update>) -> Self {
        let (dir, config) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let device = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = device.local_addr().unwrap().port();
        write_compiled(config.path(), port);
        // The directory is followed.
        std::fs::write(config.path().join("a.yaml"), "esphome:\n  name: a\nhost:\n").unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (mut runtime, queues, _) = runtime_over(store, dir.path(), updates).await;
        let mut settings = runtime.conductor.state().settings().clone();
        settings.config_dir = Some(config.path().to_string_lossy().into_owned());
        for input in [
            Input::Settings(settings),
            Input::Configs(vec![file()]),
            Input::SetAddress { device: id(), address: Some("127.0.0.1".to_owned()) },
        ] {
            runtime.happened(input);
            stored(&mut runtime).await;
        }
        Self { runtime, queues, device, dir, config }
    }

    /// Goes on until this holds.
    async fn until(&mut self, what: &str, holds: impl Fn(&mut Runtime) -> bool) {
        let going = async {
            while !holds(&mut self.runtime) {
                tokio::select! {
                    outcome = self.runtime.store.stored() => self.runtime.committed(outcome),
                    Some(report) = self.queues.reports.recv() => self.runtime.take_report(report),
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
            }
        };
        timeout(SOON, going).await.unwrap_or_else(|_| panic!("{what}: it never does"));
    }

    async fn record(&mut self, on: bool) {
        self.runtime.happened(Input::RecordLog { device: id(), on });
        stored(&mut self.runtime).await;
    }

    async fn pause(&mut self, paused: bool) {
        let change = SettingsChange::default().pausing(paused);
        self.runtime.happened(Input::ChangeSettings(change));
        stored(&mut self.runtime).await;
    }

    fn is_wanted(&self) -> bool {
        self.runtime.conductor.state().has_log_wish("a")
    }

    /// The device accepts a client, says who it is, and is asked for its log.
    async fn accept(&mut self) -> Client {
        let going = async {
            loop {
                tokio::select! {
                    accepted = self.device.accept() => break accepted.unwrap().0,
                    outcome = self.runtime.store.stored() => self.runtime.committed(outcome),
                    Some(report) = self.queues.reports.recv() => self.runtime.take_report(report),
                }
            }
        };
        let mut client = Client(timeout(SOON, going).await.unwrap());
        client.hear(9).await;
        let mac = b"\x1a\x1102:00:00:00:00:AB";
        client.say(10, &[b"\x12\x01a", &mac[..], b"\x22\x022x", b"\x2a\x03now"].concat()).await;
        client
    }

    fn kept(&self) -> Vec<LogRecording> {
        recordings::list(self.dir.path(), "a").unwrap()
    }

    fn lines(&self, recording: &LogRecording) -> Vec<String> {
        recordings::read(self.dir.path(), "a", recording.at).unwrap().unwrap()
    }
}

/// A client of the device: the engine.
struct Client(TcpStream);

impl Client {
    async fn say(&mut self, kind: u8, body: &[u8]) {
        let length = u8::try_from(body.len()).unwrap();
        assert!(length < 128);
        self.0.write_all(&[&[0, length, kind], body].concat()).await.unwrap();
    }

    async fn log(&mut self, line: &str) {
        let length = u8::try_from(line.len()).unwrap();
        self.say(29, &[&[0x1A, length], line.as_bytes()].concat()).await;
    }

    /// Reads until a message of this type.
    async fn hear(&mut self, wanted: u8) {
        timeout(SOON, async {
            loop {
                let mut header = [0; 3];
                self.0.read_exact(&mut header).await.unwrap();
                let mut body = vec![0; usize::from(header[1])];
                self.0.read_exact(&mut body).await.unwrap();
                if header[2] == wanted {
                    return;
                }
            }
        })
        .await
        .unwrap();
    }

    async fn is_closed(&mut self) {
        let mut rest = Vec::new();
        timeout(SOON, self.0.read_to_end(&mut rest)).await.unwrap().unwrap();
    }
}

fn waiting() -> wakeflash_core::update::UpdateState {
    waiting_for("a")
}

fn write_compiled(config: &Path, port: u16) {
    let path = storage_path(config, "a.yaml", "validated.json");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let compiled =
        serde_json::json!({"config": {"api": {"port": port}, "logger": {"level": "INFO"}}});
    std::fs::write(path, compiled.to_string()).unwrap();
}

fn file() -> ConfigFile {
    let content = Err(crate::esphome::missing());
    ConfigFile { id: id(), content, sources: Default::default() }
}

fn look(runtime: &mut Runtime, from: u32) -> DeviceLog {
    runtime.look_at_log(&id(), from).unwrap()
}

fn problem_of(log: &DeviceLog) -> Option<&str> {
    match &log.state {
        DeviceLogState::Waiting { problem } => Some(problem.code.as_str()),
        DeviceLogState::Connecting | DeviceLogState::Live { .. } => None,
    }
}

#[tokio::test]
async fn who_looks_sees_the_log_and_who_no_longer_looks_holds_no_place() {
    let mut world = World::new(Vec::new()).await;
    assert_eq!(look(&mut world.runtime, 0).state, DeviceLogState::Connecting);
    let mut client = world.accept().await;
    client.hear(28).await;
    client.log("one").await;
    client.log("two\x08").await;
    world.until("two lines", |runtime| look(runtime, 0).lines.len() == 2).await;
    let log = look(&mut world.runtime, 1);
    assert_eq!(
        (log.first_line, log.lines, log.level.as_deref()),
        (1, vec!["two".into()], Some("INFO"))
    );
    assert!(matches!(log.state, DeviceLogState::Live { .. }));
    assert_eq!(look(&mut world.runtime, 2).lines, [""; 0]);
    let again = look(&mut world.runtime, 77);
    assert_eq!((again.first_line, again.lines.len()), (0, 2), "a number of an earlier look");

    let followed = world.runtime.logs.followed.get_mut("a").unwrap();
    followed.shown.as_mut().unwrap().asked_at -= LOOK * 2;
    world.runtime.look_after_logs();
    assert!(world.runtime.logs.followed.is_empty());
    client.hear(5).await;
    drop(client);
    assert!(world.kept().is_empty(), "nobody wanted it recorded");
}

#[tokio::test]
async fn the_next_wake_is_recorded_once_and_kept() {
    let mut world = World::new(Vec::new()).await;
    world.record(true).await;
    let mut client = world.accept().await;
    client.hear(28).await;
    client.log("awake").await;
    client.log("\x1b[0;36mgoing to sleep\x1b[0m").await;
    client.say(5, b"").await;
    client.hear(6).await;
    world.until("it is kept", |runtime| !runtime.conductor.state().has_log_wish("a")).await;
    let kept = world.kept();
    let [recording] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!((recording.lines, recording.end), (2, RecordingEnd::Slept));
    assert_eq!(world.lines(recording), ["awake", "\x1b[0;36mgoing to sleep\x1b[0m"]);
    assert!(world.runtime.logs.followed.is_empty(), "nobody follows it any more");
}

#[tokio::test]
async fn a_wake_in_which_nothing_was_said_is_not_the_one() {
    let mut world = World::new(Vec::new()).await;
    world.record(true).await;
    let mut first = world.accept().await;
    first.hear(28).await;
    drop(first);
    let mut second = world.accept().await;
    second.hear(28).await;
    second.log("here").await;
    world
        .until("it is heard", |runtime| {
            let recording = runtime.logs.followed.get("a").and_then(|it| it.recording.as_ref());
            recording.is_some_and(|it| it.lines == ["here"])
        })
        .await;
    assert!(world.is_wanted());
    drop(second);
    world.until("it is kept", |runtime| !runtime.conductor.state().has_log_wish("a")).await;
    assert_eq!(world.kept()[0].end, RecordingEnd::Lost);
}

#[tokio::test]
async fn what_is_taken_back_is_not_recorded() {
    let mut world = World::new(Vec::new()).await;
    world.record(true).await;
    let mut client = world.accept().await;
    client.hear(28).await;
    client.log("one").await;
    world.until("it is live", |runtime| runtime.logs.followed["a"].recording.is_some()).await;
    world.record(false).await;
    client.is_closed_after_goodbye().await;
    assert!(world.runtime.logs.followed.is_empty() && world.kept().is_empty());
}

impl Client {
    async fn is_closed_after_goodbye(&mut self) {
        self.hear(5).await;
        self.say(6, b"").await;
        // A device closes then; the engine goes by itself after a second.
        self.is_closed().await;
    }
}

#[tokio::test]
async fn an_update_ends_it_and_what_was_said_is_kept() {
    let mut world = World::new(vec![update(1, "a", waiting())]).await;
    world.pause(true).await;
    world.record(true).await;
    let mut client = world.accept().await;
    client.hear(28).await;
    client.log("one").await;
    world
        .until("a line", |runtime| {
            let recording = runtime.logs.followed.get("a").and_then(|it| it.recording.as_ref());
            recording.is_some_and(|it| !it.lines.is_empty())
        })
        .await;
    look(&mut world.runtime, 0);
    world.pause(false).await;
    assert_eq!(problem_of(&look(&mut world.runtime, 0)), Some("log.flash_first"));
    client.is_closed_after_goodbye().await;
    world.until("it is kept", |runtime| !runtime.conductor.state().has_log_wish("a")).await;
    assert_eq!(world.kept()[0].end, RecordingEnd::Update);
}

#[tokio::test]
async fn nobody_is_connected_to_while_an_update_wants_the_device() {
    let mut world = World::new(vec![update(1, "a", waiting())]).await;
    world.record(true).await;
    assert_eq!(problem_of(&look(&mut world.runtime, 0)), Some("log.flash_first"));
    assert!(world.runtime.logs.followed["a"].task.is_none());
    world.runtime.happened(Input::Cancel(id()));
    stored(&mut world.runtime).await;
    let mut client = world.accept().await;
    client.hear(28).await;
}

#[tokio::test]
async fn why_there_is_none_is_said() {
    let mut world = World::new(Vec::new()).await;
    let nothing = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nothing.local_addr().unwrap().port();
    drop(nothing);
    write_compiled(world.config.path(), closed);
    look(&mut world.runtime, 0);
    let told = |code: &'static str| {
        move |runtime: &mut Runtime| problem_of(&look(runtime, 0)) == Some(code)
    };
    world.until("refused", told("log.refused")).await;
    write_compiled(world.config.path(), world.device.local_addr().unwrap().port());
    // It wants a key.
    let accepted = timeout(SOON, world.device.accept()).await.unwrap();
    let mut client = Client(accepted.unwrap().0);
    client.hear(9).await;
    client.0.write_all(b"\x01\x00\x14\x01Bad indicator byte.").await.unwrap();
    world.until("encrypted", told("log.key_unknown")).await;
    let unknown = world.runtime.look_at_log(&DeviceId::of_file("b.yaml"), 0).unwrap_err();
    assert_eq!(unknown.code, "device.unknown");
}

#[tokio::test]
async fn a_recording_that_cannot_be_stored_is_told_and_still_wanted() {
    let mut world = World::new(Vec::new()).await;
    std::fs::write(world.dir.path().join("device-logs"), "in the way").unwrap();
    world.record(true).await;
    let mut client = world.accept().await;
    client.hear(28).await;
    client.log("one").await;
    client.say(5, b"").await;
    let told = |runtime: &mut Runtime| {
        let warnings = runtime.publisher.snapshot().status.store_warnings;
        warnings.iter().any(|problem| problem.code == "log.not_kept")
    };
    world.until("it is told", told).await;
    assert!(world.is_wanted());
}

#[test]
fn what_is_shown_has_an_end() {
    let mut shown = Shown::new();
    for n in 0..5_000 {
        shown.push(format!("line {n}"));
    }
    assert_eq!((shown.lines.len(), shown.first_line), (LINES_SHOWN, 3_000));
    assert_eq!(shown.from(0).0, 3_000);
    let (first, lines) = shown.from(4_900);
    assert_eq!((first, lines.len(), lines[0].as_str()), (4_900, 100, "line 4900"));
    assert_eq!(shown.from(3_000).1.len(), LINES_AT_ONCE);
    for _ in 0..2_000 {
        shown.push("x".repeat(2_048));
    }
    assert!(shown.bytes <= BYTES_SHOWN);
    assert_eq!(shown.bytes, shown.lines.iter().map(String::len).sum::<usize>());
    assert_eq!(shown.from(0).1.len(), BYTES_AT_ONCE / 2_048);
}

#[test]
fn so_has_a_recording() {
    let new = || UnderWay { at: Timestamp::from_millis(0), lines: Vec::new(), bytes: 0 };
    let fill = |recording: &mut UnderWay, line: &str| {
        (0..10_000).take_while(|_| recording.push(line)).count()
    };
    assert_eq!(fill(&mut new(), "a"), LINES_RECORDED);
    assert_eq!(fill(&mut new(), &"x".repeat(2_048)), BYTES_RECORDED / 2_048);
    let after = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
    assert!(!new().is_over(after(300)) && new().is_over(after(301)));
}
