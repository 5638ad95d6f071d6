//! `wakeflash-lab flash`: the OTA client as a program of its own, without the queue.

use std::future::ready;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wakeflash_engine::flasher::{FlashHooks, FlashRequest, GateVerdict, flash, no_progress};
use wakeflash_ota::{Password, PasswordCheck, PreparedImage};

/// What `wakeflash-lab flash` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct FlashOptions {
    /// Address and port of the device.
    #[arg(long)]
    pub device: SocketAddr,
    /// The firmware image.
    #[arg(long)]
    pub image: PathBuf,
    /// The OTA password of the firmware that runs on the device.
    #[arg(long)]
    pub password: Option<String>,
}

/// What it prints, as one line of JSON.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Flashed {
    /// Microseconds from the call, with the image prepared and not yet connected, to the device's
    /// confirmation.
    pub call_us: u64,
    /// Round trips before the update began, as the client counts them, without the connection's.
    pub handshake_round_trips: u32,
}

/// Installs an image, and says how long that took.
///
/// # Errors
/// When it isn't installed.
pub async fn run(options: FlashOptions) -> Result<()> {
    let image = std::fs::read(&options.image)
        .with_context(|| format!("cannot read {}", options.image.display()))?;
    let image = Arc::new(PreparedImage::new(image)?);
    let request = FlashRequest::new(options.password.map(Password::new));
    let hooks = FlashHooks {
        challenge: ready(PasswordCheck::AlsoMd5),
        gate: ready(GateVerdict::Open(image)),
        before_completion: || ready(Ok::<_, String>(())),
        progress: watch::channel(no_progress()).0,
    };
    let called = Instant::now();
    let stream = TcpStream::connect(options.device).await.context("no device there")?;
    stream.set_nodelay(true)?;
    let report = match flash(stream, request, hooks, CancellationToken::new()).await {
        Ok(report) => report,
        Err(error) => bail!("{}", error.problem()),
    };
    let call_us = u64::try_from(called.elapsed().as_micros())?;
    let said = Flashed { call_us, handshake_round_trips: report.handshake_round_trips };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&said)?).context("nobody listens")
}

impl Flashed {
    /// The time of the call.
    #[must_use]
    pub fn call(&self) -> Duration {
        Duration::from_micros(self.call_us)
    }
}
