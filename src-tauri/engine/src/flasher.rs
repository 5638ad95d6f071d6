//! Flashes one device over one connection.
//!
//! [`flash`] drives a [`wakeflash_ota::Session`] over any stream, with a deadline on every
//! wait. It knows nothing of the queue: what has to be decided or recorded meanwhile comes in as
//! [`FlashHooks`].
//!
//! The stream should be unbuffered. On a TCP socket the caller sets `TCP_NODELAY`: the handshake
//! consists of small messages, each of which would otherwise wait for an acknowledgement.
//! [`connect`] opens such a socket to the first of a device's addresses that answers.
//!
//! A session that fails leaves one of three things behind: the device has its old firmware, the
//! device has said so itself, or [`FlashError::outcome_unknown`]: the last byte had left, and the
//! device may run either. Then nothing may be sent again before the device has said what it runs.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use tokio::sync::watch;
//! use tokio_util::sync::CancellationToken;
//! use wakeflash_ota::{Encryption, EncryptionKey, Password, PasswordCheck, PreparedImage};
//! use wakeflash_engine::flasher::{
//!     FlashHooks, FlashRequest, GateVerdict, connect, flash, no_progress,
//! };
//!
//! # async fn install(firmware: Vec<u8>, key: &str) -> anyhow::Result<()> {
//! // Long before the device is there: compressed and hashed.
//! let image = Arc::new(PreparedImage::new(firmware)?);
//! let mut request = FlashRequest::new(Some(Password::new("hunter2")));
//! if let Some(key) = EncryptionKey::from_base64(key) {
//!     request.encryption = Encryption::Required(key);
//! }
//!
//! let addresses = ["[2001:db8::7]:3232".parse()?, "192.0.2.7:3232".parse()?];
//! let stream = connect(&addresses, Duration::from_secs(10)).await?;
//! let hooks = FlashHooks {
//!     challenge: async { PasswordCheck::Sha256 },
//!     // Whoever knows another way to tell devices apart looks here before anything is sent.
//!     gate: async { GateVerdict::Open(image) },
//!     before_completion: || async { Ok::<(), std::io::Error>(()) },
//!     progress: watch::channel(no_progress()).0,
//! };
//! match flash(stream, request, hooks, CancellationToken::new()).await {
//!     Ok(report) => println!("installed in {:?}", report.duration),
//!     Err(error) if error.outcome_unknown() => println!("ask the device: {error}"),
//!     Err(error) => println!("{}", error.problem()),
//! }
//! # Ok(()) }
//! ```

mod connect;
mod deadlines;
mod driver;
mod greeting;
mod outcome;
mod web_server;

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wakeflash_ota::{
    Encryption, Password, PasswordCheck, PreparedImage, Progress, Randomness, Session,
    SessionRequest, Step,
};

pub use connect::{ConnectError, STAGGER, connect};
pub use deadlines::Deadlines;
pub(crate) use greeting::serves;
pub use outcome::{FlashError, FlashReport};
pub use web_server::{UPLOAD_LIMITS, UploadEnd, UploadRequest, upload};

/// How to talk to the device. The image comes with the gate's verdict: a session that waits needs none.
#[derive(Debug, Clone)]
pub struct FlashRequest {
    /// The OTA password of the firmware that runs on the device, if one is known.
    pub password: Option<Password>,
    /// Which key to use, and whether the image may travel in the clear.
    pub encryption: Encryption,
    /// How long to wait for what.
    pub deadlines: Deadlines,
}

impl FlashRequest {
    /// A request with the usual deadlines, for a device whose configuration has no encryption
    /// key.
    #[must_use]
    pub fn new(password: Option<Password>) -> Self {
        Self { password, encryption: Encryption::None, deadlines: Deadlines::default() }
    }
}

/// Whether this device gets the image.
#[derive(Debug, Clone)]
pub enum GateVerdict {
    /// It is the right device, and it needs this image.
    Open(Arc<PreparedImage>),
    /// It is the right device and runs the image's firmware already.
    AlreadyRunning,
    /// It is not surely the right device; the reason is a sentence for the user.
    Refuse(String),
}

/// What has to happen beside the protocol.
#[derive(Debug)]
pub struct FlashHooks<C, G, B> {
    /// When the device's password challenge may be answered: a future of the [`PasswordCheck`],
    /// polled from the start. One that never ends leaves it to the gate to refuse the peer.
    pub challenge: C,
    /// Decides about the device: a future of a [`GateVerdict`], polled from the start, so that
    /// the decision costs no time beside the handshake.
    pub gate: G,
    /// Called once when the end of the image is near, at most
    /// [`wakeflash_ota::COMPLETION_NOTICE`] bytes ahead. Records that the image may be
    /// complete on the device; the transfer goes on meanwhile, but its end is held until the
    /// future has returned `Ok`.
    pub before_completion: B,
    /// Told how far the session is.
    pub progress: watch::Sender<Progress>,
}

/// The progress of a session that hasn't begun, for the channel in [`FlashHooks`].
#[must_use]
pub fn no_progress() -> Progress {
    Progress { step: Step::Greeting, encrypted: false, sent: 0, acknowledged: 0, total: 0 }
}

/// Installs an image over a connection that was just opened.
///
/// The stream is closed when this returns, and when the future is dropped. `cancel` ends it at once, with
/// [`FlashError::cancelled`]; after the last byte that is an unknown outcome as well, so that is asked first. Whoever
/// drops the future instead has to assume an unknown outcome once `before_completion` has been called.
///
/// # Errors
/// See [`FlashError`]; [`FlashError::outcome_unknown`] says whether the device may have taken
/// the update nevertheless.
pub async fn flash<S, C, G, B, F, E>(
    stream: S,
    request: FlashRequest,
    hooks: FlashHooks<C, G, B>,
    cancel: CancellationToken,
) -> Result<FlashReport, FlashError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: Future<Output = PasswordCheck>,
    G: Future<Output = GateVerdict>,
    B: FnOnce() -> F,
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    let mut random = [0; Randomness::LENGTH];
    getrandom::fill(&mut random).map_err(|error| FlashError::Random(error.to_string()))?;
    let FlashRequest { password, encryption, deadlines } = request;
    let session = Session::new(SessionRequest { password, encryption }, Randomness::new(random));
    driver::Driver::new(stream, session, deadlines).run(hooks, cancel).await
}
