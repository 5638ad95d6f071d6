//! What the tests of the flasher share: an image, a gate that is open, and ways to flash a scripted device.

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wakeflash_engine::flasher::{
    FlashError, FlashHooks, FlashReport, FlashRequest, GateVerdict, flash, no_progress,
};
use wakeflash_ota::{FailureClass, OtaError, Password, PasswordCheck, PreparedImage, Step};
use wakeflash_tests::peer::{Fault, LiveReport, Peer, Report, Script, Stage, play};

/// 300 KB of which about half is noise, so that every form has many blocks.
pub(crate) fn firmware() -> Vec<u8> {
    let mut seed = 1u32;
    let noise = (0..300_000u32).map(|i| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if i % 64 < 32 { (seed >> 24) as u8 } else { (i % 64) as u8 }
    });
    noise.collect()
}

/// Opens the gate.
pub(crate) fn open() -> GateVerdict {
    // Compressed once for all tests, as the application does it once for all wakes.
    static IMAGE: LazyLock<Arc<PreparedImage>> =
        LazyLock::new(|| Arc::new(PreparedImage::new(firmware()).unwrap()));
    GateVerdict::Open(Arc::clone(&IMAGE))
}

pub(crate) fn request() -> FlashRequest {
    FlashRequest::new(Some(Password::new("hunter2")))
}

pub(crate) type Outcome = Result<FlashReport, FlashError>;

pub(crate) fn open_gate() -> FlashHooks<
    Ready<PasswordCheck>,
    impl Future<Output = GateVerdict>,
    impl FnOnce() -> Ready<Result<(), String>>,
> {
    FlashHooks {
        challenge: ready(PasswordCheck::AlsoMd5),
        gate: ready(open()),
        before_completion: || ready(Ok(())),
        progress: watch::channel(no_progress()).0,
    }
}

/// Flashes what listens there, on a task of its own as the application does it.
pub(crate) async fn flash_at(address: SocketAddr, request: FlashRequest) -> Outcome {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let flashing = flash(stream, request, open_gate(), CancellationToken::new());
    tokio::spawn(flashing).await.unwrap()
}

/// Flashes a scripted device over TCP.
pub(crate) async fn over_tcp(script: Script, request: FlashRequest) -> (Outcome, Report) {
    let peer = Peer::start(script).await.unwrap();
    let outcome = flash_at(peer.address(), request).await;
    (outcome, peer.finish().await.unwrap())
}

/// Flashes a scripted device in memory; with a paused clock no wait takes any time.
pub(crate) async fn in_memory<C, G, B, F>(
    script: Script,
    request: FlashRequest,
    hooks: FlashHooks<C, G, B>,
    cancel: CancellationToken,
) -> (Outcome, Report)
where
    C: Future<Output = PasswordCheck>,
    G: Future<Output = GateVerdict>,
    B: FnOnce() -> F,
    F: Future<Output = Result<(), String>>,
{
    let (near, far) = tokio::io::duplex(8192);
    let report = LiveReport::default();
    let device = tokio::spawn(play(far, script, report.clone()));
    let outcome = flash(near, request, hooks, cancel).await;
    device.await.unwrap();
    (outcome, report.now())
}

pub(crate) fn failure(outcome: Outcome) -> OtaError {
    match outcome {
        Err(FlashError::Ota(error)) => error,
        other => panic!("expected a failed session, got {other:?}"),
    }
}

/// A kind of device, what it is asked to install, and where they are between the features and the gate.
pub(crate) struct Kind {
    pub(crate) device: fn() -> Script,
    pub(crate) request: fn() -> FlashRequest,
    pub(crate) between: [(Stage, Step); 2],
}

impl Kind {
    /// Every stage at which the device answers, and the step of the client then.
    pub(crate) fn stages(&self) -> Vec<(Stage, Step)> {
        let before = [
            (Stage::Connect, Step::Greeting),
            (Stage::Greeting, Step::Greeting),
            (Stage::Features, Step::Features),
        ];
        let after = [
            (Stage::Prepare, Step::Prepare),
            (Stage::Checksum, Step::Checksum),
            (Stage::Block(0), Step::Transfer),
            (Stage::Block(3), Step::Transfer),
            (Stage::Received, Step::Commit),
            (Stage::UpdateEnd, Step::Commit),
        ];
        before.into_iter().chain(self.between).chain(after).collect()
    }

    /// A connection that ends is judged by the step at which it does.
    pub(crate) async fn ends_at_every_stage(&self) {
        for fault in [Fault::Close, Fault::Reset] {
            for (stage, step) in self.stages() {
                let script = (self.device)().fault(stage, fault.clone());
                let (outcome, seen) = over_tcp(script, (self.request)()).await;
                assert!(seen.faulted && seen.image.is_none());
                let error = failure(outcome);
                assert!(matches!(error, OtaError::Closed { .. }), "{stage:?}: {error}");
                assert_eq!(error.step(), step, "{fault:?} at {stage:?}");
                assert_eq!(error.class(), class_of_a_loss(step));
            }
        }
    }

    /// A device that falls silent is given up in time. The clock has to be paused.
    pub(crate) async fn falls_silent_at_every_stage(&self) {
        for (stage, step) in self.stages() {
            let start = Instant::now();
            let script = (self.device)().fault(stage, Fault::Stall);
            let (outcome, seen) =
                in_memory(script, (self.request)(), open_gate(), CancellationToken::new()).await;
            assert!(seen.faulted);
            let error = failure(outcome);
            assert_eq!(error, OtaError::Timeout { step }, "{stage:?}");
            assert_eq!(error.class(), class_of_a_loss(step));
            let limit = if step < Step::Gate { 20 } else { 110 };
            assert!(start.elapsed() <= Duration::from_secs(limit + 1), "{:?}", start.elapsed());
        }
    }
}

/// How a session that makes no sense is judged.
pub(crate) fn class_of_nonsense(step: Step) -> FailureClass {
    if step == Step::Commit { FailureClass::OutcomeUnknown } else { FailureClass::NextWake }
}

fn class_of_a_loss(step: Step) -> FailureClass {
    match step {
        Step::Greeting => FailureClass::Busy,
        Step::Commit => FailureClass::OutcomeUnknown,
        Step::Version
        | Step::Features
        | Step::Encryption
        | Step::Auth
        | Step::Identity
        | Step::AuthResult
        | Step::Gate
        | Step::Prepare
        | Step::Checksum
        | Step::Transfer => FailureClass::RetryNow,
    }
}
