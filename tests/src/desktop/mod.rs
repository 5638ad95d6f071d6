//! A desktop on this machine, without a screen: display, session bus, tray, notifications, a home of
//! its own; and the real application on it, driven through its window.

pub mod app;
pub mod appearance;
pub mod bus;
pub mod display;
mod driver;
pub mod keyboard;
pub mod notifications;
pub mod page;
pub mod scene;
pub mod tray;

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;
use tokio::time::Instant;

use crate::lan::Host;
use bus::Bus;
use display::Display;
use notifications::Notifications;
use tray::Tray;

/// What belongs to the desktop that the tests run on, and must not be seen by what runs on ours.
const FOREIGN: [&str; 9] = [
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_CURRENT_DESKTOP",
    "XDG_SESSION_TYPE",
    "XDG_SESSION_ID",
    "DESKTOP_SESSION",
    "SESSION_MANAGER",
    "GTK_MODULES",
    "AT_SPI_BUS_ADDRESS",
];

/// What a desktop has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Furniture {
    /// Something that shows tray icons.
    pub tray: bool,
    /// Something that shows notifications.
    pub notifications: bool,
}

impl Furniture {
    /// All of it.
    pub const ALL: Self = Self { tray: true, notifications: true };
    /// None of it.
    pub const NONE: Self = Self { tray: false, notifications: false };
}

/// A desktop, on a host of the LAN. It vanishes when dropped.
pub struct Desktop {
    tray: Option<Tray>,
    notifications: Option<Notifications>,
    bus: Bus,
    display: Display,
    host: Host,
    dir: PathBuf,
    /// Each driver gets a port and a socket of its own, so that none waits for an old one's end.
    starts: AtomicU16,
}

impl Desktop {
    /// Sets up a desktop whose files lie in a directory.
    ///
    /// # Errors
    /// When a part of it can't be started.
    pub async fn start(host: &Host, dir: &Path, furniture: Furniture) -> Result<Self> {
        for part in ["home", "run"] {
            let path = dir.join(part);
            std::fs::create_dir_all(&path)
                .with_context(|| format!("cannot create {}", path.display()))?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
        }
        let display = Display::start().await?;
        let bus = Bus::start(&dir.join("run")).await?;
        let notifications = match furniture.notifications {
            true => Some(Notifications::start(&bus).await?),
            false => None,
        };
        let tray = if furniture.tray { Some(Tray::start(&bus).await?) } else { None };
        Ok(Self {
            tray,
            notifications,
            bus,
            display,
            host: host.clone(),
            dir: dir.to_path_buf(),
            starts: AtomicU16::new(0),
        })
    }

    #[must_use]
    pub fn display(&self) -> &Display {
        &self.display
    }

    /// The session bus.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The tray.
    ///
    /// # Errors
    /// When the desktop has none.
    pub fn tray(&self) -> Result<&Tray> {
        self.tray.as_ref().context("this desktop has no tray")
    }

    /// The notification daemon.
    ///
    /// # Errors
    /// When the desktop has none.
    pub fn notifications(&self) -> Result<&Notifications> {
        self.notifications.as_ref().context("this desktop has no notifications")
    }

    /// The user's home.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// Where its files are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command on this desktop. It ends with us; see [`Host::command`].
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.host.command(program);
        for foreign in FOREIGN {
            command.env_remove(foreign);
        }
        command.envs(self.environment()).kill_on_drop(true);
        command
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let home = self.home();
        vec![
            ("DISPLAY", self.display.name().into()),
            ("DBUS_SESSION_BUS_ADDRESS", self.bus.address().into()),
            ("XDG_RUNTIME_DIR", self.dir.join("run").into()),
            ("XDG_CONFIG_HOME", home.join(".config").into()),
            ("XDG_CACHE_HOME", home.join(".cache").into()),
            ("XDG_DATA_HOME", home.join(".local/share").into()),
            ("XDG_STATE_HOME", home.join(".local/state").into()),
            ("HOME", home.into()),
            ("LC_ALL", "C.UTF-8".into()),
            ("GDK_BACKEND", "x11".into()),
            // Neither settings nor accessibility services: they would be started by the bus.
            ("GSETTINGS_BACKEND", "memory".into()),
            ("GIO_USE_VFS", "local".into()),
            ("NO_AT_BRIDGE", "1".into()),
            ("WEBKIT_DISABLE_DMABUF_RENDERER", "1".into()),
        ]
    }

    fn next_start(&self) -> u16 {
        self.starts.fetch_add(1, Ordering::Relaxed)
    }
}

/// Looks again and again until `look` succeeds.
///
/// # Errors
/// The last failure of `look`, after `timeout`.
pub async fn until<T>(
    what: &str,
    timeout: Duration,
    look: impl AsyncFn() -> Result<T>,
) -> Result<T> {
    let give_up = Instant::now() + timeout;
    loop {
        match look().await {
            Ok(seen) => return Ok(seen),
            Err(error) if Instant::now() > give_up => {
                return Err(error.context(format!("not within {timeout:?}: {what}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}
