//! The flasher's Noise, against an independent one and against a scripted device: what is encrypted, what never
//! travels in the clear, and every failure.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::flashing::{
    Kind, class_of_nonsense, failure, firmware, flash_at, in_memory, open_gate, over_tcp, request,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::sync::CancellationToken;
use wakeflash_engine::flasher::FlashRequest;
use wakeflash_ota::{
    Compression, DeviceError, Encryption, EncryptionKey, FailureClass, OtaError, Step, Violation,
};
use wakeflash_tests::esphome::Esphome;
use wakeflash_tests::peer::{Auth, Fault, Features, Script, Stage};

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const OTHER_KEY: &str = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q=";

fn key(text: &str) -> EncryptionKey {
    EncryptionKey::from_base64(text).unwrap()
}

fn encrypted(encryption: Encryption) -> FlashRequest {
    FlashRequest { encryption, ..request() }
}

fn required() -> FlashRequest {
    encrypted(Encryption::Required(key(KEY)))
}

fn device() -> Script {
    Script { key: Some(KEY.to_owned()), requires_key: true, ..Script::default() }
}

const WITH_NOISE: Kind = Kind {
    device,
    request: required,
    between: [(Stage::Encryption, Step::Encryption), (Stage::AuthResult, Step::Auth)],
};

#[tokio::test]
async fn every_form_of_the_image_travels_encrypted() {
    let forms = [
        (Features::RAW, Compression::Raw),
        (Features::GZIP, Compression::Gzip),
        (Features::DEFLATE, Compression::Deflate),
    ];
    for version in [1, 2] {
        for (features, compression) in forms {
            let script = Script { version, features, ..device() };
            let (outcome, seen) = over_tcp(script, required()).await;
            let report = outcome.unwrap();
            assert!(seen.encrypted && seen.goodbye && report.encrypted);
            assert_eq!(seen.image.as_deref(), Some(&firmware()[..]));
            assert_eq!((report.compression, report.bytes), (compression, seen.wire.len() as u64));
            // The greeting with the features, and the handshake.
            assert_eq!(report.handshake_round_trips, 2);
        }
    }
}

#[tokio::test]
async fn what_is_encrypted_follows_from_both_sides() {
    use Encryption::{None, Required, WhenOffered};
    let plain = Script::default;
    let offers = || Script { requires_key: false, ..device() };
    let cases = [
        (None, plain(), Ok(false)),
        (None, offers(), Ok(false)),
        (None, device(), Err("ota.encryption_required")),
        (WhenOffered(key(KEY)), plain(), Ok(false)),
        (WhenOffered(key(KEY)), offers(), Ok(true)),
        (WhenOffered(key(KEY)), device(), Ok(true)),
        (WhenOffered(key(OTHER_KEY)), offers(), Err("ota.wrong_key")),
        (Required(key(KEY)), plain(), Err("ota.encryption_not_offered")),
        (Required(key(KEY)), offers(), Ok(true)),
        (Required(key(OTHER_KEY)), device(), Err("ota.wrong_key")),
    ];
    for (encryption, script, expected) in cases {
        let what = format!("{encryption:?} {:?} {}", script.key, script.requires_key);
        let (outcome, seen) = over_tcp(script, encrypted(encryption)).await;
        match (outcome, expected) {
            (Ok(report), Ok(wanted)) => {
                assert_eq!((report.encrypted, seen.encrypted), (wanted, wanted), "{what}");
                assert!(seen.image.is_some());
            }
            (Err(error), Err(code)) => {
                assert_eq!(error.problem().code, code, "{what}");
                assert!(seen.wire_size.is_none(), "nothing was sent");
            }
            (outcome, _) => panic!("{what}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn a_device_without_the_extended_protocol_gets_nothing_that_must_be_encrypted() {
    for gzip in [false, true] {
        let script = Script { features: Features::Legacy { gzip }, ..Script::default() };
        let (outcome, seen) = over_tcp(script, required()).await;
        assert_eq!(failure(outcome), OtaError::EncryptionNotOffered);
        assert!(seen.wire_size.is_none());
    }
}

#[tokio::test]
async fn no_password_is_asked_inside_an_encrypted_connection() {
    let mut request = required();
    request.password = None;
    let (outcome, _) = over_tcp(Script { auth: Auth::Sha256, ..device() }, request).await;
    outcome.unwrap();
}

#[tokio::test]
async fn the_credentials_that_a_device_refuses_are_told_from_what_it_can_not_do() {
    let class = async |script: Script, request: FlashRequest| {
        failure(over_tcp(script, request).await.0).class()
    };
    let wrong = encrypted(Encryption::WhenOffered(key(OTHER_KEY)));
    assert_eq!(class(device(), wrong).await, FailureClass::WrongPassword);
    assert_eq!(class(device(), request()).await, FailureClass::WrongPassword);
    assert_eq!(class(Script::default(), required()).await, FailureClass::Permanent);
    let reason = [&[1, 0, 16, 1], &b"Handshake error"[..]].concat();
    let refusing = device().fault(Stage::Encryption, Fault::Raw(reason));
    let error = failure(over_tcp(refusing, required()).await.0);
    assert_eq!(error, OtaError::HandshakeRefused { reason: "Handshake error".to_owned() });
    assert_eq!(error.class(), FailureClass::NextWake);
}

#[tokio::test]
async fn an_encrypted_connection_that_ends_is_judged_by_its_step() {
    // That encryption is only tried makes no difference: the network is no reason to go without.
    let request = || encrypted(Encryption::WhenOffered(key(KEY)));
    Kind { request, ..WITH_NOISE }.ends_at_every_stage().await;
}

#[tokio::test(start_paused = true)]
async fn an_encrypted_device_that_falls_silent_is_given_up_in_time() {
    WITH_NOISE.falls_silent_at_every_stage().await;
}

#[tokio::test]
async fn an_error_in_a_frame_is_told_apart_at_its_step() {
    let cases = [
        (0x89, Stage::Prepare, Step::Prepare),
        (0x83, Stage::Block(2), Step::Transfer),
        (0x8B, Stage::UpdateEnd, Step::Commit),
    ];
    for (code, stage, step) in cases {
        let script = device().fault(stage, Fault::Error(code));
        let error = failure(over_tcp(script, required()).await.0);
        let expected = OtaError::Device { error: DeviceError::from_byte(code).unwrap(), step };
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn nonsense_on_an_encrypted_connection_is_a_violation() {
    use Violation::{EmptyFrame, FrameTooLong, NotAFrame, NotAuthentic, UnexpectedByte};
    let forged = [&[1, 0, 17][..], &[0x42; 17]].concat();
    let cases = [
        (Stage::Encryption, Fault::Raw(vec![0x41; 4096]), Step::Encryption, NotAFrame(0x41)),
        (Stage::Encryption, Fault::Raw(vec![1, 0, 0]), Step::Encryption, EmptyFrame),
        (Stage::Encryption, Fault::Raw(vec![1, 255, 255]), Step::Encryption, FrameTooLong(65_535)),
        // An error byte in the clear is no word of the device.
        (Stage::Prepare, Fault::Raw(vec![0x89]), Step::Prepare, NotAFrame(0x89)),
        (Stage::Prepare, Fault::Raw(forged.clone()), Step::Prepare, NotAuthentic),
        (Stage::Prepare, Fault::Say(vec![0x43]), Step::Prepare, UnexpectedByte(0x43)),
        (Stage::AuthResult, Fault::Endless(0x41), Step::Prepare, UnexpectedByte(0x41)),
        (Stage::Block(0), Fault::Endless(0x47), Step::Transfer, Violation::TooManyBlocks),
        (Stage::Block(0), Fault::Raw(vec![0; 1 << 20]), Step::Transfer, NotAFrame(0)),
        (Stage::Received, Fault::Raw(forged), Step::Commit, NotAuthentic),
        (Stage::UpdateEnd, Fault::Say(vec![0x47]), Step::Commit, Violation::TooManyBlocks),
    ];
    for (stage, fault, step, violation) in cases {
        let script = device().fault(stage, fault.clone());
        let mut request = required();
        request.deadlines.answer = Duration::from_secs(5);
        let error = failure(over_tcp(script, request).await.0);
        assert_eq!(error, OtaError::Protocol { violation, step }, "{stage:?} {fault:?}");
        assert_eq!(error.class(), class_of_nonsense(step));
    }
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_are_counted_in_frames_too() {
    let script = Script { extra_blocks: 40, ..device() };
    let (outcome, _) = in_memory(script, required(), open_gate(), CancellationToken::new()).await;
    let error = failure(outcome);
    assert!(matches!(error, OtaError::Protocol { step: Step::Transfer, .. }), "{error}");
    let script = device().fault(Stage::Block(2), Fault::Skip);
    let (outcome, _) = in_memory(script, required(), open_gate(), CancellationToken::new()).await;
    assert!(failure(outcome).outcome_unknown());
}

#[tokio::test]
async fn a_key_never_shows_in_debug_output() {
    let shown = format!("{:?}", required());
    assert!(!shown.contains(KEY) && !shown.contains("48, 49, 50"), "{shown}");
}

/// A device written with PyPI's `noiseprotocol`, which ESPHome depends on and brings along.
struct PythonDevice {
    _child: Child,
    said: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl PythonDevice {
    async fn start(refusal: Option<&str>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/noise_device.py");
        let mut child = Command::new(Esphome::locate().unwrap().python().unwrap())
            .arg(script)
            .arg(KEY)
            .args(refusal)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = said.next_line().await.unwrap().unwrap().parse().unwrap();
        Self { _child: child, said, port }
    }

    async fn seen(mut self) -> Value {
        serde_json::from_str(&self.said.next_line().await.unwrap().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_whole_update_goes_through_an_independent_noise() {
    let device = PythonDevice::start(None).await;
    let report = flash_at(([127, 0, 0, 1], device.port).into(), required()).await.unwrap();
    assert!(report.encrypted);
    let seen = device.seen().await;
    assert_eq!(seen["image"], hex::encode(Sha256::digest(firmware())), "{seen}");
    assert!(seen["encrypted"] == true && seen["goodbye"] == true, "{seen}");
    let frames: Vec<u64> =
        seen["frames"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert_eq!(frames[..4], [1, 4, 4, 32]);
    assert!(frames[4..frames.len() - 2].iter().all(|length| *length == 1024));
}

#[tokio::test]
async fn an_independent_noise_refuses_a_wrong_key() {
    let device = PythonDevice::start(None).await;
    let error = flash_at(
        ([127, 0, 0, 1], device.port).into(),
        encrypted(Encryption::Required(key(OTHER_KEY))),
    )
    .await;
    assert_eq!(failure(error), OtaError::WrongKey);
    let seen = device.seen().await;
    assert!(seen["encrypted"] == false && seen["frames"] == serde_json::json!([]), "{seen}");
}

#[tokio::test]
async fn the_reason_of_another_refusal_arrives() {
    let device = PythonDevice::start(Some("Handshake error")).await;
    let error = failure(flash_at(([127, 0, 0, 1], device.port).into(), required()).await);
    assert_eq!(error, OtaError::HandshakeRefused { reason: "Handshake error".to_owned() });
    assert_eq!(device.seen().await["encrypted"], false);
}
