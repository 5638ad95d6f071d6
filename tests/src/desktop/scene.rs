//! A scene for the real application: a LAN of its own, a desktop on it, a config directory.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::app::{App, AppOptions};
use super::{Desktop, Furniture};
use crate::esphome::{Esphome, Firmware, firmware};
use crate::lan::{Host, Lan};
use crate::paths;
use crate::stage::{DEVICE, new_yaml, old_yaml};
use crate::supervisor::{DeviceOptions, LabDevice, Wake};

/// The scene. It vanishes when it is dropped.
pub struct Scene {
    /// Where the application runs.
    pub desktop: Desktop,
    /// The desktop's machine.
    pub home: Host,
    /// Everything on the disk.
    pub dir: TempDir,
    pub lan: Lan,
}

/// A sleeping device on the LAN.
pub struct Sleeper {
    pub device: LabDevice,
    /// What it ran at the beginning.
    pub old: Firmware,
}

impl Scene {
    /// Sets the scene. `None`: network namespaces are not available here; the reason was printed.
    ///
    /// # Errors
    /// When something can't be set up.
    pub async fn set(furniture: Furniture) -> Result<Option<Self>> {
        let Some(mut lan) = Lan::or_skip().await? else { return Ok(None) };
        let home = lan.host("home").await?;
        let dir = tempfile::tempdir()?;
        let desktop = Desktop::start(&home, dir.path(), furniture).await?;
        Ok(Some(Self { desktop, home, dir, lan }))
    }

    /// The config directory.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    /// The application with this scene's config directory and the lab's ESPHome.
    ///
    /// # Errors
    /// When there is no ESPHome.
    pub fn options(&self) -> Result<AppOptions> {
        let esphome = Esphome::locate()?;
        let options = AppOptions::default().with("--config").with(self.config());
        Ok(options.with("--esphome").with(esphome.program()).with_path(esphome.search_path()?))
    }

    /// Where the application keeps its things when it is not told where.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.desktop.home().join(".local/share/io.github.wakeflash.Wakeflash")
    }

    /// The application's log, of all its starts.
    ///
    /// # Errors
    /// When there is none.
    pub fn log(&self) -> Result<String> {
        let mut log = String::new();
        for entry in std::fs::read_dir(self.state().join("logs"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                log.push_str(&std::fs::read_to_string(path)?);
            }
        }
        Ok(log)
    }

    /// Puts a sleeping device on the LAN, and a configuration for it with a change.
    ///
    /// # Errors
    /// When the device can't be made.
    pub async fn add_sleeper(&mut self) -> Result<Sleeper> {
        let old = firmware(&old_yaml()).await?;
        new_yaml().write_to(&self.config(), DEVICE)?;
        let sensor = self.lan.host("sensor").await?;
        let options = DeviceOptions::new("sleepy", &old.program, &self.dir.path().join("device"));
        Ok(Sleeper { device: sensor.device(&options).await?, old })
    }

    /// An `esphome` whose every build fails at once, in colours.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn failing_esphome(&self) -> Result<PathBuf> {
        let file = self.dir.path().join("esphome");
        // What a file says is what it is.
        let script = "#!/bin/sh\ncase \" $* \" in\n  \" version \") echo 'Version: 2026.10.0' ;;\n  \
                      *\" compile \"*) printf '\\033[31mERROR\\033[0m it is not to be\\n'; exit 1 ;;\n  \
                      *\" config \"*) for file; do :; done; cat \"$file\" ;;\n  \
                      *) exit 2 ;;\nesac\n";
        paths::write_program(&file, script)?;
        Ok(file)
    }

    /// Adds to a failure what can be seen: the application's output, and a picture of the screen under
    /// `target/lab/pictures`.
    ///
    /// # Errors
    /// The failure itself.
    pub async fn judge(&self, name: &str, outcome: Result<()>) -> Result<()> {
        let Err(error) = outcome else { return Ok(()) };
        let pictures = paths::cache_dir().join("pictures");
        let picture = pictures.join(format!("{name}.png"));
        let taken = match std::fs::create_dir_all(&pictures) {
            Ok(()) => self.desktop.display().picture(None, &picture).await,
            Err(error) => Err(error.into()),
        };
        let seen = match taken {
            Ok(()) => format!("the screen is in {}", picture.display()),
            Err(error) => format!("no picture of the screen: {error:#}"),
        };
        let output = self.desktop.app_output();
        let lines: Vec<&str> = output.lines().collect();
        let last = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n");
        Err(error).with_context(|| format!("{seen}; the application's last words:\n{last}\n"))
    }
}

impl Sleeper {
    /// Lets the device wake once, so that the application sees it, and sleep again.
    ///
    /// # Errors
    /// When the window doesn't show it.
    pub async fn let_it_be_seen(&self, app: &App) -> Result<()> {
        app.page().until_there(DEVICE).await?;
        self.device.wake_fully().await?;
        app.page().until_presence(DEVICE, "online").await?;
        self.device.sleep(true).await?;
        app.page().until_presence(DEVICE, "asleep").await
    }

    /// A wake until further notice.
    ///
    /// # Errors
    /// When the device can't be woken.
    pub async fn wake(&self) -> Result<()> {
        self.device.wake(Wake::default()).await
    }
}

/// A test: its story on a desktop, which has everything unless it is said what, and what can be seen when it fails.
#[macro_export]
macro_rules! desktop_story {
    ($name:ident, $story:ident) => {
        $crate::desktop_story!($name, $crate::desktop::Furniture::ALL, $story);
    };
    ($name:ident, $furniture:expr, $story:ident) => {
        #[tokio::test]
        async fn $name() -> anyhow::Result<()> {
            let scene = $crate::desktop::scene::Scene::set($furniture).await?;
            let Some(mut scene) = scene else { return Ok(()) };
            let outcome = $story(&mut scene).await;
            scene.judge(stringify!($name), outcome).await
        }
    };
}
