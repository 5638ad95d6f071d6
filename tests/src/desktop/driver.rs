//! WebKit's driver inside a host's network namespace, and the client that speaks to it from here.

use std::ffi::OsString;
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context as Wakeup, Poll};
use std::time::Duration;

use anyhow::{Context, Result};
use fantoccini::{Client, ClientBuilder};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixStream;
use tokio::process::Child;

use super::{Desktop, until};
use crate::paths::{self, on_path};

/// The first port that a driver gets; a namespace is the driver's alone.
const PORT: u16 = 4444;
const START: Duration = Duration::from_secs(60);

/// A driver with one session, which is one run of the application. Both end when dropped.
pub(super) struct Driver {
    pub(super) client: Client,
    driver: Child,
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
    /// Starts a driver, and through it a program with arguments.
    pub(super) async fn start(
        desktop: &Desktop,
        program: &Path,
        arguments: &[OsString],
        output: &Path,
    ) -> Result<Self> {
        let number = desktop.next_start();
        let port = PORT + number;
        let output = File::options().create(true).append(true).open(output)?;
        let mut command = desktop.command(on_path("WebKitWebDriver")?);
        command.arg(format!("--port={port}")).env("TAURI_WEBVIEW_AUTOMATION", "true");
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let driver = command.spawn().context("cannot start WebKitWebDriver")?;

        let socket = desktop.dir().join("run").join(format!("driver{number}"));
        let mut command = desktop.command(paths::binary("wakeflash-lab")?);
        command.args(["relay", "--port", &port.to_string(), "--socket"]).arg(&socket);
        let relay = command.stdin(Stdio::null()).spawn().context("cannot start the relay")?;
        until("the relay listens", START, async || Ok(UnixStream::connect(&socket).await?)).await?;

        let client = tokio::time::timeout(START, session(&socket, program, arguments)).await;
        let client = client.context("the driver doesn't start the application")??;
        Ok(Self { client, driver, _relay: relay })
    }

    /// The driver's process, whose child the application is.
    pub(super) fn pid(&self) -> Option<u32> {
        self.driver.id()
    }
}

async fn session(socket: &Path, program: &Path, arguments: &[OsString]) -> Result<Client> {
    let arguments: Option<Vec<&str>> = arguments.iter().map(|text| text.to_str()).collect();
    let arguments = arguments.context("an argument isn't UTF-8")?;
    let options = json!({ "binary": program, "args": arguments });
    let mut capabilities = serde_json::Map::new();
    capabilities.insert("webkitgtk:browserOptions".to_owned(), options);
    let mut builder = ClientBuilder::new(Connector(socket.to_path_buf()));
    builder.capabilities(capabilities);
    Ok(builder.connect("http://driver.invalid/").await?)
}
