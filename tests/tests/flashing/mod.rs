//! What the tests of the flasher share: an image, a gate that is open, and ways to flash a scripted device.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wakeflash_core::ota::{FailureClass, OtaError, Password, PreparedImage, Step};
use wakeflash_engine::flasher::{
    FlashError, FlashHooks, FlashReport, FlashRequest, GateVerdict, flash, no_progress,
};
use wakeflash_tests::peer::{LiveReport, Peer, Report, Script, play};

/// 300 KB of which about half is noise, so that every form has many blocks.
pub(crate) fn firmware() -> Vec<u8> {
    let mut seed = 1u32;
    let noise = (0..300_000u32).map(|i| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if i % 64 < 32 { (seed >> 24) as u8 } else { (i % 64) as u8 }
    });
    noise.collect()
}

pub(crate) fn request() -> FlashRequest {
    // Compressed once for all tests, as the application does it once for all wakes.
    static IMAGE: LazyLock<Arc<PreparedImage>> =
        LazyLock::new(|| Arc::new(PreparedImage::new(firmware()).unwrap()));
    FlashRequest::new(Arc::clone(&IMAGE), Some(Password::new("hunter2")))
}

pub(crate) type Outcome = Result<FlashReport, FlashError>;

pub(crate) fn open_gate() -> FlashHooks<
    impl Future<Output = GateVerdict>,
    impl FnOnce() -> std::future::Ready<Result<(), String>>,
> {
    FlashHooks {
        gate: ready(GateVerdict::Open),
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
pub(crate) async fn in_memory<G, B, F>(
    script: Script,
    request: FlashRequest,
    hooks: FlashHooks<G, B>,
    cancel: CancellationToken,
) -> (Outcome, Report)
where
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

pub(crate) fn class_of_a_loss(step: Step) -> FailureClass {
    match step {
        Step::Greeting => FailureClass::Busy,
        Step::Commit => FailureClass::OutcomeUnknown,
        Step::Version
        | Step::Features
        | Step::Encryption
        | Step::Auth
        | Step::AuthResult
        | Step::Gate
        | Step::Prepare
        | Step::Checksum
        | Step::Transfer => FailureClass::RetryNow,
    }
}
