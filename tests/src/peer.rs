//! A scripted OTA device: it speaks ESPHome's OTA protocol as a device does, and misbehaves on
//! request.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use wakeflash_tests::peer::{Fault, Peer, Script, Stage};
//!
//! // A device with password "hunter2" that closes the connection when asked to make room.
//! let script = Script::default().fault(Stage::Prepare, Fault::Close);
//! let peer = Peer::start(script).await?;
//! let address = peer.address();
//! // ... let a client flash `address` ...
//! let report = peer.finish().await?;
//! assert!(report.image.is_none());
//! # Ok(()) }
//! ```
//!
//! The peer really inflates what it gets and checks the MD5, so [`Report::image`] is what a
//! device would run. It reads its input in order and never more than it needs, like a device, and
//! acknowledges every 8,192 bytes that came over the wire.

mod noise;
mod serve;
mod web;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use web::{WebFault, WebPeer, WebScript, play_web};

/// How the device checks the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auth {
    /// Not at all.
    None,
    /// With MD5, as old firmware does.
    Md5,
    /// With SHA-256.
    Sha256,
}

/// How the device answers the client's features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Features {
    /// With one byte, as old firmware does.
    Legacy {
        /// Whether it takes gzip files.
        gzip: bool,
    },
    /// With a marker and flags, if the client knows the extended protocol.
    Extended {
        /// The server flags: `01` gzip, `02` partition access, `04` Noise, `08` deflate.
        flags: u8,
    },
}

impl Features {
    /// The extended protocol with deflate: an ESP32, or the host platform.
    pub const DEFLATE: Self = Self::Extended { flags: 0x08 };
    /// The extended protocol with gzip: an ESP8266.
    pub const GZIP: Self = Self::Extended { flags: 0x01 };
    /// The extended protocol without compression.
    pub const RAW: Self = Self::Extended { flags: 0x00 };
}

/// The points at which the device answers; a [`Fault`] takes the place of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Right after the connection was taken, before anything is read.
    Connect,
    /// After the magic: OK and the version.
    Greeting,
    /// After the features.
    Features,
    /// The device's half of the Noise handshake. Skipped without a key.
    Encryption,
    /// The request for a password, with its nonce. Skipped without a password.
    AuthRequest,
    /// The verdict on the password.
    AuthResult,
    /// After the sizes.
    Prepare,
    /// After the MD5.
    Checksum,
    /// The acknowledgement of the block with this number, counted from 0.
    Block(usize),
    /// After the last byte of the image.
    Received,
    /// After the image was checked.
    UpdateEnd,
}

/// What the device does instead of its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// Sends this error byte and closes the connection.
    Error(u8),
    /// Closes the connection.
    Close,
    /// Resets the connection, as a device does that loses its power and comes back.
    Reset,
    /// Says nothing more and takes nothing more, until the client goes away.
    Stall,
    /// Sends these bytes and goes on as if they were its answer; each in a frame of its own, when the
    /// connection is encrypted.
    Say(Vec<u8>),
    /// Sends these bytes as they are, encrypted connection or not, and goes on.
    Raw(Vec<u8>),
    /// Sends this byte for ever.
    Endless(u8),
    /// Goes on without an answer.
    Skip,
    /// Answers after this time.
    Late(Duration),
}

/// A device's properties and what it does wrong. The default is a current ESP32 with the password
/// `hunter2` that does everything right.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Script {
    /// The version of the protocol: 1 or 2, or something that no client knows.
    pub version: u8,
    /// How the password is checked.
    pub auth: Auth,
    pub password: String,
    /// What the device can do.
    pub features: Features,
    /// The key, in base64, with which it offers Noise. It asks for no password then, like a device.
    #[serde(default)]
    pub key: Option<String>,
    /// Whether it refuses clients without Noise.
    #[serde(default)]
    pub requires_key: bool,
    /// The length of the nonce; `None` is what the hash wants.
    pub nonce_length: Option<usize>,
    /// Block acknowledgements sent in excess, after the first one.
    pub extra_blocks: usize,
    /// What goes wrong, and where.
    pub faults: Vec<(Stage, Fault)>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            version: 2,
            auth: Auth::Sha256,
            password: "hunter2".to_owned(),
            features: Features::DEFLATE,
            key: None,
            requires_key: false,
            nonce_length: None,
            extra_blocks: 0,
            faults: Vec::new(),
        }
    }
}

impl Script {
    /// Lets something go wrong at a stage.
    #[must_use]
    pub fn fault(mut self, stage: Stage, fault: Fault) -> Self {
        self.faults.push((stage, fault));
        self
    }
}

/// What the device has seen.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// The client's feature bits.
    pub client_features: Option<u8>,
    /// Whether the client has answered the password challenge.
    pub answered: bool,
    /// The type of the update, with the extended protocol.
    pub update_type: Option<u8>,
    /// The announced number of bytes on the wire.
    pub wire_size: Option<u32>,
    /// The announced size of the image, with deflate.
    pub image_size: Option<u32>,
    /// The announced MD5.
    pub md5: Option<String>,
    /// Image bytes that came over the wire.
    pub wire: Vec<u8>,
    /// Block acknowledgements sent, those in excess included.
    pub blocks: usize,
    /// The complete, unpacked image, if its MD5 was right.
    pub image: Option<Vec<u8>>,
    /// Whether the client has confirmed the end.
    pub goodbye: bool,
    /// Whether the fault of the script was reached.
    pub faulted: bool,
    /// Why the connection ended, if it ended before the update did.
    pub ended: Option<String>,
}

/// A report that can be read while the device runs.
#[derive(Debug, Clone, Default)]
pub struct LiveReport(Arc<Mutex<Report>>);

impl LiveReport {
    /// What the device has seen until now.
    #[must_use]
    pub fn now(&self) -> Report {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A scripted device that listens on a TCP port of this machine and serves one client.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    report: LiveReport,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Peer {
    /// Begins to listen on a free port of the loopback interface.
    ///
    /// # Errors
    /// When the port can't be opened.
    pub async fn start(script: Script) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the peer")?;
        let address = listener.local_addr()?;
        let report = LiveReport::default();
        let shared = report.clone();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // Others are refused, not queued.
            drop(listener);
            if serve::serve(&mut stream, &script, &shared).await == serve::End::Reset {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            }
            Ok(())
        });
        Ok(Self { address, report, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen until now.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report.now()
    }

    /// Waits, at most 10 s, until its client is gone.
    ///
    /// # Errors
    /// When no client came or went in time.
    pub async fn finish(self) -> anyhow::Result<Report> {
        tokio::time::timeout(Duration::from_secs(10), self.task)
            .await
            .context("the peer still has its client")???;
        Ok(self.report.now())
    }
}

/// Plays a scripted device on any stream, for tests with a clock of their own. [`Fault::Reset`] is
/// the same as [`Fault::Close`] here. The stream is closed at the end.
pub async fn play<S>(mut stream: S, script: Script, report: LiveReport)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    serve::serve(&mut stream, &script, &report).await;
}
