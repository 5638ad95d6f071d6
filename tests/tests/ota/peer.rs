//! The flasher against a scripted device: every variant of the protocol, every failure.

use std::future::{pending, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::flashing::{
    Kind, class_of_nonsense, failure, firmware, flash_at, in_memory, open, open_gate, over_tcp,
    request,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use wakeflash_core::retry::{NextStep, next_step};
use wakeflash_engine::flasher::{
    FlashError, FlashHooks, FlashRequest, GateVerdict, flash, no_progress,
};
use wakeflash_ota::{
    Compression, DeviceError, FailureClass, HELD_TAIL, OtaError, Password, PasswordCheck,
    PreparedImage, Progress, Step,
};
use wakeflash_tests::peer::{Auth, Fault, Features, LiveReport, Peer, Report, Script, Stage, play};

const WITH_PASSWORD: Kind = Kind {
    device: Script::default,
    request,
    between: [(Stage::AuthRequest, Step::Auth), (Stage::AuthResult, Step::AuthResult)],
};

#[tokio::test]
async fn every_variant_of_the_protocol_installs_the_image() {
    let features = [
        (Features::Legacy { gzip: false }, Compression::Raw),
        (Features::Legacy { gzip: true }, Compression::Gzip),
        (Features::RAW, Compression::Raw),
        (Features::GZIP, Compression::Gzip),
        (Features::DEFLATE, Compression::Deflate),
        // Partition access and Noise are offered too, and not taken up.
        (Features::Extended { flags: 0x0F }, Compression::Deflate),
    ];
    for version in [1, 2] {
        for auth in [Auth::None, Auth::Md5, Auth::Sha256] {
            for (features, compression) in features {
                let script = Script { version, auth, features, ..Script::default() };
                let (outcome, seen) = over_tcp(script, request()).await;
                let report = outcome.unwrap();
                assert_eq!(seen.image.as_deref(), Some(&firmware()[..]), "{features:?}");
                assert!(seen.goodbye);
                assert_eq!(report.compression, compression);
                assert_eq!(report.bytes, seen.wire.len() as u64);
                let blocks = if version == 1 { 0 } else { seen.wire.len().div_ceil(8192) };
                assert_eq!(seen.blocks, blocks);
                let round_trips = if auth == Auth::None { 1 } else { 2 };
                assert_eq!(report.handshake_round_trips, round_trips);
            }
        }
    }
}

#[tokio::test]
async fn an_image_of_any_size_around_a_block_is_installed() {
    for size in [1, 8191, 8192, 8193, 16 * 8192, 17 * 8192 + 1] {
        let image = PreparedImage::new(firmware()[..size].to_vec()).unwrap();
        let script = Script { auth: Auth::None, features: Features::RAW, ..Script::default() };
        let hooks = FlashHooks {
            challenge: ready(PasswordCheck::AlsoMd5),
            gate: ready(GateVerdict::Open(Arc::new(image))),
            before_completion: || ready(Ok(())),
            progress: watch::channel(no_progress()).0,
        };
        let (request, cancel) = (FlashRequest::new(None), CancellationToken::new());
        let (outcome, seen) = in_memory(script, request, hooks, cancel).await;
        outcome.unwrap();
        assert_eq!(seen.image.map(|image| image.len()), Some(size));
    }
}

#[tokio::test]
async fn every_error_byte_is_told_apart_at_its_step() {
    use FailureClass::{NextWake, Permanent, WrongPassword};
    let cases = [
        (0x80, Stage::Greeting, Step::Greeting, NextWake),
        (0x80, Stage::Block(0), Step::Transfer, Permanent),
        (0x81, Stage::Prepare, Step::Prepare, NextWake),
        (0x82, Stage::AuthRequest, Step::Auth, WrongPassword),
        (0x82, Stage::AuthResult, Step::AuthResult, WrongPassword),
        (0x83, Stage::Block(2), Step::Transfer, NextWake),
        (0x84, Stage::UpdateEnd, Step::Commit, Permanent),
        (0x85, Stage::Prepare, Step::Prepare, NextWake),
        (0x86, Stage::Prepare, Step::Prepare, Permanent),
        (0x87, Stage::Prepare, Step::Prepare, Permanent),
        (0x88, Stage::Prepare, Step::Prepare, Permanent),
        (0x89, Stage::Prepare, Step::Prepare, Permanent),
        (0x8A, Stage::Prepare, Step::Prepare, Permanent),
        (0x8B, Stage::UpdateEnd, Step::Commit, NextWake),
        (0x8C, Stage::Prepare, Step::Prepare, Permanent),
        (0x8D, Stage::UpdateEnd, Step::Commit, Permanent),
        (0x8E, Stage::Prepare, Step::Prepare, Permanent),
        (0x8F, Stage::UpdateEnd, Step::Commit, Permanent),
        (0x90, Stage::UpdateEnd, Step::Commit, Permanent),
        (0x91, Stage::UpdateEnd, Step::Commit, Permanent),
        (0x92, Stage::UpdateEnd, Step::Commit, Permanent),
        (0x93, Stage::UpdateEnd, Step::Commit, Permanent),
        (0x94, Stage::Features, Step::Features, WrongPassword),
        (0xA0, Stage::Prepare, Step::Prepare, NextWake),
        (0xFF, Stage::Checksum, Step::Checksum, NextWake),
        (0xFF, Stage::Received, Step::Commit, NextWake),
    ];
    for (code, stage, step, class) in cases {
        let script = Script::default().fault(stage, Fault::Error(code));
        let (outcome, seen) = over_tcp(script, request()).await;
        assert!(seen.faulted, "{stage:?} was not reached");
        let error = failure(outcome);
        let expected = OtaError::Device { error: DeviceError::from_byte(code).unwrap(), step };
        assert_eq!(error, expected);
        assert_eq!(error.class(), class, "{code:02X} at {stage:?}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_is_judged_by_its_step() {
    WITH_PASSWORD.ends_at_every_stage().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_falls_silent_is_given_up_in_time() {
    WITH_PASSWORD.falls_silent_at_every_stage().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_trickles_its_handshake_is_given_up() {
    let late = Fault::Late(Duration::from_secs(15));
    let script = Script::default()
        .fault(Stage::Greeting, late.clone())
        .fault(Stage::Features, late)
        .fault(Stage::AuthRequest, Fault::Stall);
    let start = Instant::now();
    let (outcome, _) = in_memory(script, request(), open_gate(), CancellationToken::new()).await;
    assert_eq!(failure(outcome), OtaError::Timeout { step: Step::Auth });
    assert_eq!(start.elapsed().as_secs(), 40);
}

#[tokio::test]
async fn nonsense_is_a_protocol_violation() {
    let cases = [
        (Stage::Connect, Fault::Say(b"SSH-2.0-OpenSSH\r\n".to_vec()), Step::Greeting),
        (Stage::Connect, Fault::Endless(0x30), Step::Greeting),
        (Stage::Features, Fault::Say(vec![0x19]), Step::Features),
        (Stage::Features, Fault::Endless(0x00), Step::Features),
        (Stage::AuthRequest, Fault::Endless(0x41), Step::Gate),
        (Stage::AuthResult, Fault::Say(vec![0x41, 0x42]), Step::Gate),
        (Stage::Prepare, Fault::Say(vec![0x43]), Step::Prepare),
        (Stage::Checksum, Fault::Say(vec![0x43, 0x44]), Step::Transfer),
        (Stage::Block(0), Fault::Endless(0x47), Step::Transfer),
        (Stage::Received, Fault::Say(vec![0x45]), Step::Commit),
        (Stage::UpdateEnd, Fault::Say(vec![0x47]), Step::Commit),
    ];
    for (stage, fault, step) in cases {
        let mut request = request();
        request.deadlines.answer = Duration::from_secs(5);
        let script = Script::default().fault(stage, fault.clone());
        let peer = Peer::start(script).await.unwrap();
        let stream = TcpStream::connect(peer.address()).await.unwrap();
        let FlashHooks { challenge, gate, before_completion, progress } = open_gate();
        // A gate that stays shut shows that early answers are noticed without it.
        let shut = step == Step::Gate;
        let gate = async move { if shut { pending().await } else { gate.await } };
        let hooks = FlashHooks { challenge, gate, before_completion, progress };
        let error = failure(flash(stream, request, hooks, CancellationToken::new()).await);
        assert!(matches!(error, OtaError::Protocol { .. }), "{stage:?} {fault:?}: {error}");
        assert_eq!(error.step(), step, "{stage:?} {fault:?}");
        assert_eq!(error.class(), class_of_nonsense(step));
        peer.finish().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_are_counted() {
    let script = Script { extra_blocks: 40, ..Script::default() };
    let (outcome, _) = in_memory(script, request(), open_gate(), CancellationToken::new()).await;
    let error = failure(outcome);
    assert!(matches!(error, OtaError::Protocol { step: Step::Transfer, .. }), "{error}");

    // One missing, and everything else in order: the device may well have taken the update.
    let script = Script::default().fault(Stage::Block(2), Fault::Skip);
    let (outcome, _) = in_memory(script, request(), open_gate(), CancellationToken::new()).await;
    let error = failure(outcome);
    assert!(matches!(error, OtaError::Protocol { step: Step::Commit, .. }), "{error}");
    assert!(error.outcome_unknown());
}

#[tokio::test(start_paused = true)]
async fn a_nonce_of_the_wrong_length_ends_the_session() {
    let short = Script { nonce_length: Some(63), ..Script::default() };
    let (outcome, _) = in_memory(short, request(), open_gate(), CancellationToken::new()).await;
    assert_eq!(failure(outcome), OtaError::Timeout { step: Step::Auth });
    for length in [65, 128, 4000] {
        let long = Script { nonce_length: Some(length), ..Script::default() };
        let (outcome, seen) =
            in_memory(long, request(), open_gate(), CancellationToken::new()).await;
        let error = failure(outcome);
        assert!(matches!(error, OtaError::Protocol { step: Step::AuthResult, .. }), "{error}");
        assert!(seen.wire_size.is_none());
    }
}

#[tokio::test]
async fn passwords_and_versions_that_do_not_fit_are_named() {
    let mut wrong = request();
    wrong.password = Some(Password::new("hunter3"));
    let (outcome, _) = over_tcp(Script::default(), wrong).await;
    assert_eq!(failure(outcome).class(), FailureClass::WrongPassword);

    let mut none = request();
    none.password = None;
    let (outcome, _) = over_tcp(Script::default(), none).await;
    assert_eq!(failure(outcome), OtaError::PasswordNeeded);

    let script = Script { version: 3, ..Script::default() };
    let (outcome, _) = over_tcp(script, request()).await;
    assert_eq!(failure(outcome), OtaError::UnsupportedVersion { version: 3 });
}

#[tokio::test(start_paused = true)]
async fn nothing_of_the_update_passes_a_shut_gate() {
    let cases = [
        (GateVerdict::AlreadyRunning, FlashError::AlreadyRunning),
        (
            GateVerdict::Refuse("Another device.".to_owned()),
            FlashError::Refused { reason: "Another device.".to_owned() },
        ),
    ];
    for (verdict, expected) in cases {
        let hooks = FlashHooks {
            challenge: ready(PasswordCheck::AlsoMd5),
            gate: async {
                sleep(Duration::from_secs(5)).await;
                verdict
            },
            before_completion: || ready(Err("too early".to_owned())),
            progress: watch::channel(no_progress()).0,
        };
        let (outcome, seen) =
            in_memory(Script::default(), request(), hooks, CancellationToken::new()).await;
        assert_eq!(outcome.unwrap_err(), expected);
        assert!(seen.client_features.is_some() && seen.update_type.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_without_a_verdict_is_a_refusal_in_the_end() {
    let hooks = FlashHooks {
        challenge: ready(PasswordCheck::AlsoMd5),
        gate: pending(),
        before_completion: || ready(Ok(())),
        progress: watch::channel(no_progress()).0,
    };
    let start = Instant::now();
    let (outcome, seen) =
        in_memory(Script::default(), request(), hooks, CancellationToken::new()).await;
    assert!(matches!(outcome, Err(FlashError::Refused { .. })), "{outcome:?}");
    // Five seconds before the device gives up.
    assert_eq!(start.elapsed().as_secs(), 100);
    assert!(seen.update_type.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_waits_at_its_gate_needs_no_image() {
    let (progress, mut shown) = watch::channel(no_progress());
    let hooks = FlashHooks {
        challenge: ready(PasswordCheck::AlsoMd5),
        gate: async move {
            shown.wait_for(|now| now.step == Step::Gate).await.unwrap();
            sleep(Duration::from_secs(60)).await;
            // Not there before.
            GateVerdict::Open(Arc::new(PreparedImage::new(firmware()).unwrap()))
        },
        before_completion: || ready(Ok(())),
        progress,
    };
    let (outcome, seen) =
        in_memory(Script::default(), request(), hooks, CancellationToken::new()).await;
    outcome.unwrap();
    assert_eq!(seen.image.as_deref(), Some(&firmware()[..]));
}

#[tokio::test(start_paused = true)]
async fn the_end_is_held_until_its_coming_is_recorded() {
    let (near, far) = tokio::io::duplex(8192);
    let live = LiveReport::default();
    let device = tokio::spawn(play(far, Script::default(), live.clone()));
    let seen = live.clone();
    let (progress, watched) = watch::channel(no_progress());
    let hooks = FlashHooks {
        challenge: ready(PasswordCheck::AlsoMd5),
        gate: ready(open()),
        before_completion: || async move {
            sleep(Duration::from_secs(30)).await;
            let now = seen.now();
            assert_eq!(now.wire.len(), now.wire_size.unwrap() as usize - HELD_TAIL);
            assert_eq!(watched.borrow().step, Step::Transfer);
            Ok::<_, String>(())
        },
        progress,
    };
    flash(near, request(), hooks, CancellationToken::new()).await.unwrap();
    device.await.unwrap();
    assert!(live.now().image.is_some());
}

#[tokio::test(start_paused = true)]
async fn without_a_record_the_image_is_not_completed() {
    let hooks = FlashHooks {
        challenge: ready(PasswordCheck::AlsoMd5),
        gate: ready(open()),
        before_completion: || ready(Err("disk full".to_owned())),
        progress: watch::channel(no_progress()).0,
    };
    let (outcome, seen) =
        in_memory(Script::default(), request(), hooks, CancellationToken::new()).await;
    let error = outcome.unwrap_err();
    assert_eq!(error, FlashError::NotRecorded { reason: "disk full".to_owned() });
    assert!(!error.outcome_unknown());
    assert!(seen.wire.len() < seen.wire_size.unwrap() as usize);
}

#[tokio::test(start_paused = true)]
async fn cancelling_closes_the_connection_at_once() {
    for (stage, step) in WITH_PASSWORD.stages() {
        let cancel = CancellationToken::new();
        let trigger = cancel.clone();
        let start = Instant::now();
        tokio::spawn(async move {
            sleep(Duration::from_secs(3)).await;
            trigger.cancel();
        });
        let script = Script::default().fault(stage, Fault::Stall);
        let (outcome, _) = in_memory(script, request(), open_gate(), cancel).await;
        let error = outcome.unwrap_err();
        assert_eq!(error, FlashError::Ota(OtaError::Cancelled { step }));
        assert!(error.cancelled());
        assert_eq!(error.outcome_unknown(), step == Step::Commit);
        assert_eq!(start.elapsed().as_secs(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn progress_only_grows_and_ends_complete() {
    let (progress, mut watched) = watch::channel(no_progress());
    let watcher = tokio::spawn(async move {
        let mut last = no_progress();
        let mut seen = 0;
        while watched.changed().await.is_ok() {
            let now: Progress = *watched.borrow_and_update();
            assert!(now.step >= last.step && now.sent >= last.sent, "{last:?} {now:?}");
            assert!(now.acknowledged >= last.acknowledged && now.acknowledged <= now.sent);
            (last, seen) = (now, seen + 1);
        }
        (last, seen)
    });
    let hooks = FlashHooks {
        challenge: ready(PasswordCheck::AlsoMd5),
        gate: ready(open()),
        before_completion: || ready(Ok(())),
        progress,
    };
    let (outcome, _) =
        in_memory(Script::default(), request(), hooks, CancellationToken::new()).await;
    let report = outcome.unwrap();
    let (last, seen) = watcher.await.unwrap();
    assert_eq!((last.sent, last.acknowledged), (last.total, last.total));
    assert_eq!(u64::from(last.total), report.bytes);
    assert!(seen > 10, "{seen}");
}

#[tokio::test]
async fn a_password_never_shows_in_debug_output() {
    assert!(!format!("{:?}", request()).contains("hunter2"));
}

/// A device whose client has vanished in the middle of a transfer. It notices that after `busy`, serves nobody
/// until then, and everybody afterwards. The system takes connections for it all the while, as a device's does.
async fn half_open_device(busy: Duration) -> (SocketAddr, JoinHandle<Report>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (first, _) = listener.accept().await.unwrap();
        let cut = Script::default().fault(Stage::Block(3), Fault::Close);
        play(first, cut, LiveReport::default()).await;
        sleep(busy).await;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let report = LiveReport::default();
            play(stream, Script::default(), report.clone()).await;
            if report.now().image.is_some() {
                return report.now();
            }
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_session_left_half_open_is_waited_out_without_being_counted() {
    let (address, device) = half_open_device(Duration::from_secs(8)).await;
    let mut request = request();
    request.deadlines.step = Duration::from_secs(2);
    let (mut classes, mut device_errors) = (Vec::new(), 0);
    loop {
        let class = match flash_at(address, request.clone()).await {
            Ok(_) => break,
            Err(error) => error.class().unwrap(),
        };
        classes.push(class);
        device_errors += u32::from(class == FailureClass::NextWake);
        let cuts = classes.iter().filter(|class| **class == FailureClass::RetryNow).count();
        let next = next_step(class, u32::try_from(cuts).unwrap(), device_errors, false);
        // The pauses are shortened; that there is one is what counts.
        assert!(matches!(next, NextStep::RetryIn(_)), "{classes:?}");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(device_errors, 0);
    let (cut, busy) = classes.split_first().unwrap();
    assert_eq!(*cut, FailureClass::RetryNow);
    assert!(!busy.is_empty() && busy.iter().all(|class| *class == FailureClass::Busy), "{busy:?}");
    assert!(device.await.unwrap().image.is_some());
}
