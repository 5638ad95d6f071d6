//! Flashes one device over one connection.
//!
//! [`flash`] drives a [`wakeflash_core::ota::Session`] over any stream, with a deadline on every
//! wait. It knows nothing of the queue: what has to be decided or recorded meanwhile comes in as
//! [`FlashHooks`].
//!
//! The stream should be unbuffered. On a TCP socket the caller sets `TCP_NODELAY`: the handshake
//! consists of small messages, each of which would otherwise wait for an acknowledgement.

mod deadlines;
mod driver;
mod outcome;
mod web_server;

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wakeflash_core::ota::{
    ClientNonce, Encryption, Password, PreparedImage, Progress, Session, SessionRequest, Step,
};

pub use deadlines::Deadlines;
pub use outcome::{FlashError, FlashReport};
pub use web_server::{UPLOAD_LIMITS, UploadEnd, UploadRequest, upload};

/// What to install, and with which credentials.
#[derive(Debug, Clone)]
pub struct FlashRequest {
    /// The image.
    pub image: Arc<PreparedImage>,
    /// The OTA password of the firmware that runs on the device, if one is known.
    pub password: Option<Password>,
    /// Whether the image may travel in the clear.
    pub encryption: Encryption,
    /// How long to wait for what.
    pub deadlines: Deadlines,
}

impl FlashRequest {
    /// A request with the usual deadlines, for a device whose configuration requires no
    /// encryption.
    #[must_use]
    pub fn new(image: Arc<PreparedImage>, password: Option<Password>) -> Self {
        let deadlines = Deadlines::default();
        Self { image, password, encryption: Encryption::NotRequired, deadlines }
    }
}

/// Whether this device gets the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateVerdict {
    /// It is the right device, and it needs the image.
    Open,
    /// It is the right device and runs the image's firmware already.
    AlreadyRunning,
    /// It is not surely the right device; the reason is a sentence for the user.
    Refuse(String),
}

/// What has to happen beside the protocol.
#[derive(Debug)]
pub struct FlashHooks<G, B> {
    /// Decides about the device: a future of a [`GateVerdict`], polled from the start, so that
    /// the decision costs no time beside the handshake.
    pub gate: G,
    /// Called once when the end of the image is near, at most
    /// [`wakeflash_core::ota::COMPLETION_NOTICE`] bytes ahead. Records that the image may be
    /// complete on the device; the transfer goes on meanwhile, but its end is held until the
    /// future has returned `Ok`.
    pub before_completion: B,
    /// Told how far the session is.
    pub progress: watch::Sender<Progress>,
}

/// The progress of a session that hasn't begun, for the channel in [`FlashHooks`].
#[must_use]
pub fn no_progress() -> Progress {
    Progress { step: Step::Greeting, sent: 0, acknowledged: 0, total: 0 }
}

/// Installs an image over a connection that was just opened.
///
/// The stream is closed when this returns, and when the future is dropped.
///
/// # Errors
/// See [`FlashError`]; [`FlashError::outcome_unknown`] says whether the device may have taken
/// the update nevertheless.
pub async fn flash<S, G, B, F, E>(
    stream: S,
    request: FlashRequest,
    hooks: FlashHooks<G, B>,
    cancel: CancellationToken,
) -> Result<FlashReport, FlashError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    G: Future<Output = GateVerdict>,
    B: FnOnce() -> F,
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|error| FlashError::Random(error.to_string()))?;
    let FlashRequest { image, password, encryption, deadlines } = request;
    let session = Session::new(SessionRequest { image, password, encryption }, ClientNonce(nonce));
    driver::Driver::new(stream, session, deadlines).run(hooks, cancel).await
}
