//! The flasher against a real ESPHome device: firmware for ESPHome's host platform, with OTA on
//! a port of its own and the password `hunter2`.

use std::future::{Ready, ready};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use wakeflash_engine::flasher::{
    FlashError, FlashHooks, FlashReport, FlashRequest, GateVerdict, flash, no_progress,
};
use wakeflash_ota::{
    Compression, DeviceError, Encryption, EncryptionKey, FailureClass, HELD_TAIL, OtaError,
    Password, PasswordCheck, PreparedImage, Step,
};
use wakeflash_tests::esphome;
use wakeflash_tests::yaml::DeviceYaml;

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// The port of the devices here. It is part of their firmware, which takes a while to build, so there are a few
/// that are used again and again; what runs at the same time, such as the same tests of another clone, has
/// another one. The listener beside it, kept as long as this process runs, says that it is taken.
static PORT: LazyLock<(u16, TcpListener)> = LazyLock::new(|| {
    let free = |port| {
        let claim = TcpListener::bind(("127.0.0.1", port + 1_000)).ok()?;
        let nobody = TcpListener::bind(("127.0.0.1", port)).is_ok();
        nobody.then_some((port, claim))
    };
    (13_733..13_753).find_map(free).unwrap()
});

fn address() -> (&'static str, u16) {
    ("127.0.0.1", PORT.0)
}

/// What of the handshake the firmware can be built with.
#[derive(Clone, Copy)]
struct Variant {
    version: Option<u8>,
    password: Option<&'static str>,
}

const USUAL: Variant = Variant { version: None, password: Some("hunter2") };

/// Real firmware, compiled once; its port is its own among the tests.
async fn real_device_program(variant: Variant) -> PathBuf {
    let mut yaml = DeviceYaml::new("flashed").with_password(variant.password);
    yaml.ota_version = variant.version;
    yaml.ota_port = PORT.0;
    yaml.api_port = None;
    esphome::firmware(&yaml).await.unwrap().program
}

/// A running device; ends with this value. The port is part of the firmware, so there is only one
/// at a time.
struct Device {
    directory: TempDir,
    _child: Child,
    _turn: MutexGuard<'static, ()>,
}

impl Device {
    async fn start() -> Self {
        Self::start_as(USUAL).await
    }

    async fn start_as(variant: Variant) -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        // The device before this one was killed, and may take a moment to be gone.
        while TcpStream::connect(address()).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
        let directory = tempfile::tempdir().unwrap();
        std::fs::copy(real_device_program(variant).await, directory.path().join("device")).unwrap();
        let child = Command::new(directory.path().join("device"))
            .env("HOME", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { directory, _child: child, _turn: turn }
    }

    fn executable(&self) -> PathBuf {
        self.directory.path().join("device")
    }
}

async fn connect() -> TcpStream {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match TcpStream::connect(address()).await {
            Ok(stream) => {
                stream.set_nodelay(true).unwrap();
                return stream;
            }
            Err(error) => assert!(Instant::now() < deadline, "no device: {error}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// The firmware with other content: bytes after the end of a program change nothing about it.
async fn other_firmware(mark: &[u8]) -> Vec<u8> {
    let mut firmware = std::fs::read(real_device_program(USUAL).await).unwrap();
    firmware.extend_from_slice(mark);
    firmware
}

fn request() -> FlashRequest {
    FlashRequest::new(Some(Password::new("hunter2")))
}

fn open(firmware: Vec<u8>) -> GateVerdict {
    GateVerdict::Open(Arc::new(PreparedImage::new(firmware).unwrap()))
}

type Answered<Before> = FlashHooks<Ready<PasswordCheck>, Ready<GateVerdict>, Before>;

fn hooks(verdict: GateVerdict) -> Answered<impl FnOnce() -> Ready<Result<(), String>>> {
    FlashHooks {
        challenge: ready(PasswordCheck::AlsoMd5),
        gate: ready(verdict),
        before_completion: || ready(Ok(())),
        progress: watch::channel(no_progress()).0,
    }
}

async fn install(firmware: Vec<u8>, request: FlashRequest) -> Result<FlashReport, FlashError> {
    flash(connect().await, request, hooks(open(firmware)), CancellationToken::new()).await
}

/// Waits until the device takes part in a handshake again.
async fn answers() {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let shut = FlashHooks {
            challenge: ready(PasswordCheck::AlsoMd5),
            gate: async {
                sleep(Duration::from_millis(200)).await;
                GateVerdict::AlreadyRunning
            },
            before_completion: || ready(Ok::<_, String>(())),
            progress: watch::channel(no_progress()).0,
        };
        match flash(connect().await, request(), shut, CancellationToken::new()).await {
            Err(FlashError::AlreadyRunning) => return,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    }
}

#[tokio::test]
async fn installs_on_a_real_device_and_it_comes_back() {
    let device = Device::start().await;
    for mark in [&b"first"[..], b"second"] {
        let firmware = other_firmware(mark).await;
        let report = install(firmware.clone(), request()).await.unwrap();
        assert_eq!(report.compression, Compression::Deflate);
        assert_eq!(report.handshake_round_trips, 2);
        println!(
            "{} bytes in {:?}, handshake {:?}",
            report.bytes, report.duration, report.handshake
        );
        assert_eq!(std::fs::read(device.executable()).unwrap(), firmware);
        answers().await;
    }
}

#[tokio::test]
async fn every_handshake_that_real_firmware_can_be_built_for_installs() {
    for (version, password) in [(2, None), (1, None), (1, Some("hunter2"))] {
        let variant = Variant { version: Some(version), password };
        let device = Device::start_as(variant).await;
        let mut firmware = std::fs::read(real_device_program(variant).await).unwrap();
        firmware.extend_from_slice(b"another");
        let mut request = request();
        request.password = password.map(Password::new);
        // A key that is tried only when the device offers encryption, which this firmware can't.
        let key = EncryptionKey::from_base64(KEY).unwrap();
        request.encryption = Encryption::WhenOffered(key.clone());
        let mut required = request.clone();
        required.encryption = Encryption::Required(key);
        let error = install(firmware.clone(), required).await.unwrap_err();
        assert_eq!(error, FlashError::Ota(OtaError::EncryptionNotOffered));

        let report = install(firmware.clone(), request).await.unwrap();
        assert!(!report.encrypted);
        assert_eq!(report.handshake_round_trips, if password.is_some() { 2 } else { 1 });
        assert_eq!(std::fs::read(device.executable()).unwrap(), firmware, "{version} {password:?}");
        answers().await;
    }
}

#[tokio::test]
async fn a_real_device_refuses_a_wrong_password_and_stays_available() {
    let device = Device::start().await;
    let firmware = other_firmware(b"new").await;
    let mut wrong = request();
    wrong.password = Some(Password::new("hunter3"));
    let error = install(firmware.clone(), wrong).await.unwrap_err();
    assert_eq!(error.class(), Some(FailureClass::WrongPassword));
    install(firmware.clone(), request()).await.unwrap();
    assert_eq!(std::fs::read(device.executable()).unwrap(), firmware);
}

#[tokio::test]
async fn a_real_device_refuses_what_is_no_firmware_for_it() {
    let device = Device::start().await;
    let error = install(b"no program at all ".repeat(3000), request()).await.unwrap_err();
    let expected = OtaError::Device { error: DeviceError::UpdateEnd, step: Step::Commit };
    assert_eq!(error, FlashError::Ota(expected));
    assert_eq!(std::fs::read(device.executable()).unwrap(), other_firmware(b"").await);
}

#[tokio::test]
async fn a_real_device_holds_still_at_the_gate_and_before_the_end() {
    let device = Device::start().await;
    let firmware = other_firmware(b"held").await;
    let image = Arc::new(PreparedImage::new(firmware.clone()).unwrap());
    let total = image.wire_size(Compression::Deflate);
    let (progress, mut watched) = watch::channel(no_progress());
    let hooks = FlashHooks {
        challenge: ready(PasswordCheck::AlsoMd5),
        gate: async {
            sleep(Duration::from_secs(1)).await;
            GateVerdict::Open(image)
        },
        before_completion: || async move {
            let acknowledged = (total - HELD_TAIL) / 8192 * 8192;
            watched.wait_for(|now| now.acknowledged as usize == acknowledged).await.unwrap();
            sleep(Duration::from_secs(1)).await;
            let now = *watched.borrow();
            assert_eq!(now.sent as usize, total - HELD_TAIL);
            assert_eq!(now.acknowledged as usize, acknowledged);
            Ok::<_, String>(())
        },
        progress,
    };
    flash(connect().await, request(), hooks, CancellationToken::new()).await.unwrap();
    assert_eq!(std::fs::read(device.executable()).unwrap(), firmware);
}

#[tokio::test]
async fn a_cancelled_transfer_leaves_a_real_device_as_it_was_and_free() {
    let device = Device::start().await;
    let cancel = CancellationToken::new();
    let trigger = cancel.clone();
    let hooks = FlashHooks {
        challenge: ready(PasswordCheck::AlsoMd5),
        gate: ready(open(other_firmware(b"cut").await)),
        before_completion: || async move {
            trigger.cancel();
            std::future::pending::<Result<(), String>>().await
        },
        progress: watch::channel(no_progress()).0,
    };
    let error = flash(connect().await, request(), hooks, cancel).await;
    let error = error.unwrap_err();
    assert!(error.cancelled() && !error.outcome_unknown(), "{error}");
    assert_eq!(std::fs::read(device.executable()).unwrap(), other_firmware(b"").await);
    install(other_firmware(b"again").await, request()).await.unwrap();
}

#[tokio::test]
async fn a_real_device_with_another_client_is_busy() {
    let _device = Device::start().await;
    let other = connect().await;
    // The device takes its next client only when this one is gone.
    sleep(Duration::from_millis(300)).await;
    let (firmware, mut request) = (other_firmware(b"busy").await, request());
    request.deadlines.step = Duration::from_millis(500);
    let error = install(firmware.clone(), request.clone()).await.unwrap_err();
    assert_eq!(error.class(), Some(FailureClass::Busy));
    drop(other);
    request.deadlines.step = Duration::from_secs(20);
    install(firmware, request).await.unwrap();
}
