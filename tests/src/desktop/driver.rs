//! WebKit's driver inside a host's network namespace, and the client that speaks to it from here. The driver doesn't
//! start the application: it attaches to whatever window the application opens, by the address in its environment.

use std::ffi::OsString;
use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context as Wakeup, Poll};
use std::time::Duration;

use anyhow::{Context, Result};
use fantoccini::{Client, ClientBuilder};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::process::Child;

use super::{Desktop, until};
use crate::paths::{self, on_path};

/// The first port that a driver gets, and that an application's window listens on; a namespace is theirs alone.
const DRIVER: u16 = 4444;
const WINDOW: u16 = 5555;
const START: Duration = Duration::from_secs(60);

/// A driver for the windows of one run of the application. It ends when dropped.
pub(super) struct Driver {
    socket: PathBuf,
    window: String,
    _driver: Child,
    _relay: Child,
}

/// Connects to a Unix socket, whatever the address in the URL is.
#[derive(Clone)]
struct Connector(PathBuf);

impl tower_service::Service<http::Uri> for Connector {
    type Response = TokioIo<UnixStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<TokioIo<UnixStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Wakeup<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let socket = self.0.clone();
        Box::pin(async move { UnixStream::connect(socket).await.map(TokioIo::new) })
    }
}

impl Driver {
    /// Starts a driver.
    pub(super) async fn start(desktop: &Desktop, output: File) -> Result<Self> {
        let number = desktop.next_start();
        let (port, window) = (DRIVER + number, format!("127.0.0.1:{}", WINDOW + number));
        let mut command = desktop.command(on_path("WebKitWebDriver")?);
        command.args([&format!("--port={port}"), &format!("--target={window}")]);
        command.arg("--replace-on-new-session");
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let driver = command.spawn().context("cannot start WebKitWebDriver")?;

        let socket = desktop.dir().join("run").join(format!("driver{number}"));
        let mut command = desktop.command(paths::binary("wakeflash-lab")?);
        command.args(["relay", "--port", &port.to_string(), "--socket"]).arg(&socket);
        let relay = command.stdin(Stdio::null()).spawn().context("cannot start the relay")?;
        until("the relay listens", START, async || Ok(UnixStream::connect(&socket).await?)).await?;
        Ok(Self { socket, window, _driver: driver, _relay: relay })
    }

    /// What an application needs in its environment, so that its windows can be driven.
    pub(super) fn environment(&self) -> [(&'static str, OsString); 2] {
        let address = OsString::from(&self.window);
        [("TAURI_WEBVIEW_AUTOMATION", "true".into()), ("WEBKIT_INSPECTOR_SERVER", address)]
    }

    /// A session with the window that is there, or soon is. The session before is over.
    pub(super) async fn attach(&self) -> Result<Client> {
        let builder = ClientBuilder::new(Connector(self.socket.clone()));
        let session = builder.connect("http://driver.invalid/");
        let session = tokio::time::timeout(START, session).await;
        Ok(session.context("the driver finds no window")??)
    }
}
