//! The builder with a real ESPHome.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wakeflash_core::build_failure::BuildFailure;
use wakeflash_core::device::DeviceId;
use wakeflash_core::update::{Cleaning, Encryption, SourceChangeKind, UpdateId};
use wakeflash_core::view::EsphomeStatus;
use wakeflash_engine::artifacts::Artifacts;
use wakeflash_engine::builder::{self, BuildEnd, BuildRequest, BuilderEvent};
use wakeflash_engine::{configs, esphome};
use wakeflash_tests::esphome::Esphome;
use wakeflash_tests::paths::write_program;
use wakeflash_tests::stage::marked_processes;

fn real_esphome() -> PathBuf {
    Esphome::locate().unwrap().program().to_path_buf()
}

const YAML: &str = "esphome:
  name: sleepy
  friendly_name: Sleepy Sensor
host:
api:
ota:
  - platform: esphome
    port: 13232
    password: !secret ota
logger:
mdns:
packages:
  more: !include common/more.yaml
";

struct Lab {
    dir: tempfile::TempDir,
    esphome: PathBuf,
}

impl Lab {
    fn new(esphome: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lab = Self { dir, esphome };
        std::fs::create_dir_all(lab.config_dir().join("common")).unwrap();
        lab.write("sleepy schläft.yaml", YAML);
        lab.write("secrets.yaml", "ota: hunter2\n");
        lab.write("common/more.yaml", "text_sensor:\n  - platform: version\n    name: Firmware\n");
        lab
    }

    fn config_dir(&self) -> PathBuf {
        self.dir.path().join("config dir")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.config_dir().join(name), text).unwrap();
    }

    fn request(&self, file: &str) -> BuildRequest {
        BuildRequest {
            esphome: self.esphome.clone(),
            config_dir: self.config_dir(),
            device: DeviceId::of_file(file),
            update: UpdateId(1),
            state_dir: self.dir.path().join("state"),
            marker: self.dir.path().display().to_string(),
            compiler_cache: None,
            cleaning: Cleaning::No,
            limits: builder::LIMITS,
        }
    }

    async fn build(
        &self,
        file: &str,
    ) -> (Result<builder::BuildOutcome, BuildEnd>, Vec<BuilderEvent>) {
        let (output, mut events) = mpsc::channel(16);
        let start = Instant::now();
        let building = builder::build(self.request(file), output, CancellationToken::new());
        let collect = async {
            let mut all = Vec::new();
            while let Some(event) = events.recv().await {
                all.push(event);
            }
            all
        };
        let result = tokio::join!(building, collect);
        println!("{file}: {:?}", start.elapsed());
        result
    }
}

fn percents(events: &[BuilderEvent]) -> Vec<u8> {
    let percent = |event: &BuilderEvent| match event {
        BuilderEvent::Progress(progress) => progress.percent,
        BuilderEvent::Lines { .. } => None,
    };
    events.iter().filter_map(percent).collect()
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[tokio::test]
async fn a_real_esphome_builds_and_is_believed_only_when_right() {
    let esphome = real_esphome();
    let choice = esphome::Choice { own: false, path: Some(esphome.clone()) };
    let status = esphome::locate(&choice, Path::new("/nonexistent")).await;
    assert!(matches!(status, EsphomeStatus::Ready { .. }), "{status:?}");
    let lab = Lab::new(esphome);
    let file = "sleepy schläft.yaml";
    let device = DeviceId::of_file(file);

    let (outcome, events) = lab.build(file).await;
    let first = outcome.unwrap();
    assert_eq!(first.changes, []);
    let build = &first.build;
    assert_eq!((build.name.as_str(), build.ota.port), ("sleepy", 13232));
    assert_eq!(build.ota.password.as_ref().map(|p| p.0.as_str()), Some("hunter2"));
    assert_eq!(build.ota.encryption, Encryption::None);
    assert!(build.mdns && !build.deep_sleep);
    let program = lab.config_dir().join(".esphome/build/sleepy/.pioenvs/sleepy/program");
    let image = Artifacts::new(&lab.request(file).state_dir).load(&build.image).unwrap();
    assert_eq!(*image, *read(&program));
    let percents = percents(&events);
    assert!(percents.is_sorted() && percents.last() == Some(&99), "{percents:?}");
    let coloured = events.iter().any(|event| {
        matches!(event, BuilderEvent::Lines { lines, .. } if lines.iter().any(|l| l.contains("\x1b[32m")))
    });
    assert!(coloured, "ESPHome colours its output");
    let names: Vec<_> = build.sources.iter().map(|source| source.path.as_str()).collect();
    assert_eq!(names, ["common/more.yaml", "secrets.yaml", file]);

    // Nothing has changed, and yet the device can say which of the two builds it runs.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let again = lab.build(file).await.0.unwrap().build;
    assert_eq!(again.config_hash, build.config_hash);
    assert_ne!(again.stamp, build.stamp);
    let stamp = again.stamp.unwrap().0;
    let image = Artifacts::new(&lab.request(file).state_dir).load(&again.image).unwrap();
    assert!(image.windows(stamp.len()).any(|part| part == stamp.as_bytes()), "{stamp}");

    lab.write("secrets.yaml", "ota: hunter3\n");
    let changes = configs::changed_sources(&lab.config_dir(), &device, &build.sources).unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].kind, SourceChangeKind::Edited);
    let other = lab.build(file).await.0.unwrap().build;
    assert_eq!(other.ota.password.map(|p| p.0).as_deref(), Some("hunter3"));
    assert_ne!(other.config_hash, build.config_hash);
    assert_ne!(other.image, build.image);
}

#[tokio::test]
async fn what_a_real_esphome_refuses_is_told() {
    let esphome = real_esphome();
    let lab = Lab::new(esphome);
    lab.write("no_ota.yaml", "esphome:\n  name: a\nhost:\nlogger:\n  level: NOPE\n");
    lab.write("no_secret.yaml", "esphome:\n  name: b\nhost:\nlogger:\n  level: !secret nope\n");
    for (file, code) in
        [("no_ota.yaml", "build.config_invalid"), ("no_secret.yaml", "build.secret_missing")]
    {
        match lab.build(file).await.0 {
            Err(BuildEnd::Failed(BuildFailure { problem, .. })) => {
                println!("{problem:?}");
                assert_eq!(problem.code, code);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_cancel_ends_a_real_compile_and_all_its_compilers() {
    let esphome = real_esphome();
    let lab = Lab::new(esphome);
    let file = "sleepy schläft.yaml";
    let (output, mut events) = mpsc::channel(16);
    let cancel = CancellationToken::new();
    let building = tokio::spawn(builder::build(lab.request(file), output, cancel.clone()));
    while let Some(event) = events.recv().await {
        if matches!(&event, BuilderEvent::Progress(p) if p.step.starts_with("Compiling ")) {
            break;
        }
    }
    let start = Instant::now();
    cancel.cancel();
    assert_eq!(building.await.unwrap(), Err(BuildEnd::Cancelled));
    println!("cancelled in {:?}", start.elapsed());
    // What was killed takes a moment to be gone.
    while !marked_processes(&lab.request(file).marker).unwrap().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "something is left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A server that keeps what is put, as a shared compiler cache; each request that it had, and whether it had what was
/// asked for.
async fn cache_server() -> (SocketAddr, Arc<Mutex<Vec<(String, bool)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let kept = Arc::new(Mutex::new(BTreeMap::new()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (kept, log) = (Arc::clone(&kept), Arc::clone(&log));
            tokio::spawn(async move {
                let mut stream = BufStream::new(stream);
                while let Some((method, path, body)) = request(&mut stream).await {
                    let found = if method == "PUT" {
                        kept.lock().unwrap().insert(path, body);
                        Some(Vec::new())
                    } else {
                        kept.lock().unwrap().get(&path).cloned()
                    };
                    log.lock().unwrap().push((method, found.is_some()));
                    let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
                    let body = found.unwrap_or_default();
                    let head =
                        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
                    stream.write_all(head.as_bytes()).await.unwrap();
                    stream.write_all(&body).await.unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
    (address, asked)
}

/// Its method, its path and its body; `None`: there is no more.
async fn request(stream: &mut BufStream<TcpStream>) -> Option<(String, String, Vec<u8>)> {
    let mut first = String::new();
    stream.read_line(&mut first).await.ok().filter(|read| *read > 0)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((method, path, body))
}

/// As ESPHome does, it compiles with the ccache that it finds on PATH; each time with a cache of its own that is empty.
const WITH_CCACHE: &str = r#"#!/bin/sh
[ "$1" = bundle ] && exit 2
mkdir -p .esphome/storage .esphome/build/a
printf 'int main() { return 0; }' >a.c
CCACHE_DIR=$(mktemp -d -p "$PWD") ccache cc -c a.c -o a.o || exit 1
printf '\177ELFimage' >fw
echo '{"name":"a","core_platform":"host","firmware_bin_path":"'$PWD'/fw","build_path":"'$PWD'/.esphome/build/a"}' >.esphome/storage/a.yaml.json
echo '{"esphome":"2026.10.0","config":{"esphome":{"name":"a"},"mdns":{},"ota":[{"platform":"esphome","port":1234}]}}' >.esphome/storage/a.yaml.validated.json
echo '{"config_hash":291}' >.esphome/build/a/build_info.json
echo 'INFO Build Info: config_hash=0x00000123 x'
"#;

#[tokio::test]
async fn what_one_computer_has_compiled_another_one_gets_from_the_shared_cache() {
    let found = std::process::Command::new("ccache").arg("--version").output();
    if !found.is_ok_and(|said| said.status.success()) {
        println!("skipped: there is no ccache on PATH");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("esphome");
    write_program(&program, WITH_CCACHE).unwrap();
    let (address, asked) = cache_server().await;
    for had in [false, true] {
        asked.lock().unwrap().clear();
        let lab = Lab::new(program.clone());
        lab.write("a.yaml", "esphome:\n  name: a\n");
        let cache = format!("http://{address}/cache");
        wakeflash_core::compiler_cache::check(&cache).unwrap();
        let request = BuildRequest { compiler_cache: Some(cache), ..lab.request("a.yaml") };
        let (output, mut events) = mpsc::channel(16);
        let drain = async { while events.recv().await.is_some() {} };
        tokio::join!(builder::build(request, output, CancellationToken::new()), drain).0.unwrap();
        let asked = asked.lock().unwrap();
        let gets: Vec<bool> =
            asked.iter().filter(|(method, _)| method == "GET").map(|(_, found)| *found).collect();
        assert!(!gets.is_empty() && gets.iter().all(|found| *found == had), "{asked:?}");
        assert_eq!(asked.iter().any(|(method, _)| method == "PUT"), !had, "{asked:?}");
    }
}
