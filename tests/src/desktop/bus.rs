//! A session bus of our own. Nothing is started on it by itself: what is there, a test has put there.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::paths::{contained, on_path};

const START: Duration = Duration::from_secs(60);

/// A session bus. It ends when dropped.
pub struct Bus {
    address: String,
    _daemon: Child,
}

impl Bus {
    /// Starts a bus with its socket, on the disk and so for all network namespaces, in a directory.
    ///
    /// # Errors
    /// When dbus-daemon is missing or doesn't start.
    pub async fn start(directory: &Path) -> Result<Self> {
        let file = directory.join("bus.conf");
        tokio::fs::write(&file, configuration(&directory.join("bus"))?).await?;
        let mut command = contained(on_path("dbus-daemon")?);
        command.arg("--config-file").arg(&file).args(["--nofork", "--nopidfile"]);
        command.arg("--print-address=1").stdin(Stdio::null()).stdout(Stdio::piped());
        // It complains of limits that it may not raise, and goes on.
        command.stderr(Stdio::null());
        let mut daemon = command.spawn().context("cannot start dbus-daemon")?;
        let mut lines = BufReader::new(daemon.stdout.take().context("no stdout")?).lines();
        let address = tokio::time::timeout(START, lines.next_line()).await;
        let address = address.context("the bus doesn't start")??.context("the bus ended")?;
        Ok(Self { address: address.trim().to_owned(), _daemon: daemon })
    }

    /// What `DBUS_SESSION_BUS_ADDRESS` is for its clients.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A connection of its own.
    ///
    /// # Errors
    /// When the bus is gone.
    pub async fn connect(&self) -> Result<zbus::Connection> {
        let builder = zbus::connection::Builder::address(self.address.as_str())?;
        builder.build().await.context("cannot connect to the session bus")
    }
}

fn configuration(socket: &Path) -> Result<String> {
    let socket = socket.to_str().context("the directory's name isn't UTF-8")?;
    if socket.contains(|sign: char| !(sign.is_ascii_alphanumeric() || "/-_.".contains(sign))) {
        bail!("{socket} can't be part of a bus address");
    }
    Ok(format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#
    ))
}
