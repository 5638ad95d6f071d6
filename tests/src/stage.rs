//! A whole scene: a LAN, a real device on it that sleeps, a config directory with its YAML, and the
//! application without a window.

pub mod others;
mod wakes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use wakeflash_core::view::{DeviceView, Snapshot, UpdateDetails};

use crate::clock::LabClock;
use crate::device::DeviceState;
use crate::disk::Disk;
use crate::esphome::{Esphome, Firmware, firmware};
use crate::headless::{Headless, HeadlessOptions};
use crate::kept::{self, Sibling};
use crate::lan::{Host, Lan};
use crate::supervisor::{DeviceOptions, LabDevice};
use crate::yaml::DeviceYaml;

/// The device of the scene, by its file.
pub const DEVICE: &str = "sleepy.yaml";

/// Long enough for a build on a machine that is so busy that everything takes five times as long.
pub const BUILD: Duration = Duration::from_secs(300);

/// Long enough there for everything but a build.
pub const SOON: Duration = Duration::from_secs(90);

/// The scene. It vanishes when it is dropped.
pub struct Stage {
    pub app: Headless,
    pub device: LabDevice,
    /// What the device ran at the beginning.
    pub old: Firmware,
    /// Where the device is.
    pub sensor: Host,
    /// Further devices.
    pub others: Vec<others::Other>,
    /// Where the application is.
    pub home: Host,
    /// The config directory.
    pub config: PathBuf,
    /// The application's state directory.
    pub state: PathBuf,
    /// Everything on the disk.
    pub dir: TempDir,
    /// The small disk, if the scene has one.
    pub disk: Option<Disk>,
    /// The application's clock, if the scene has one of its own.
    pub clock: Option<LabClock>,
    pub lan: Lan,
}

/// What a scene is made of.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What the device runs.
    pub runs: DeviceYaml,
    /// What lies in the config directory, by file name.
    pub wanted: BTreeMap<String, DeviceYaml>,
    /// The ESPHome: the real one, or one that remembers what the real one did ([`kept`]).
    pub really_builds: bool,
    /// A small disk for a directory below the state directory (empty: for all of it), with its KiB.
    pub disk: Option<(String, u32)>,
    /// Whether the application has a clock of its own, which can be set.
    pub clock: bool,
    /// How much longer the disk takes to keep something; see [`disk::slow`](crate::disk::slow).
    pub slow_disk: Option<Duration>,
    /// How many further devices there are, each with its YAML; see [`others`].
    pub others: u16,
    /// Whether those have an API.
    pub others_have_api: bool,
    /// Whether to wait until the application is ready.
    pub ready: bool,
    /// Whether its log goes into a file.
    pub logs: bool,
    /// Where in an update's life it is killed; see `wakeflash_engine::kill`.
    pub kill_at: Option<String>,
    /// Where its loop has a defect.
    pub break_at: Option<String>,
    /// Whether the device is in another network, behind a router.
    pub behind_router: bool,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            runs: old_yaml(),
            wanted: BTreeMap::from([(DEVICE.to_owned(), new_yaml())]),
            really_builds: false,
            disk: None,
            clock: false,
            slow_disk: None,
            others: 0,
            others_have_api: true,
            ready: true,
            logs: false,
            kill_at: None,
            break_at: None,
            behind_router: false,
        }
    }
}

/// The YAML that the device runs at the beginning.
#[must_use]
pub fn old_yaml() -> DeviceYaml {
    DeviceYaml::new("sleepy").with_friendly_name("Sleepy Sensor").with_deep_sleep(15, 30)
}

/// The YAML in the config directory at the beginning.
#[must_use]
pub fn new_yaml() -> DeviceYaml {
    old_yaml().with_friendly_name("Sleepy Sensor 2")
}

impl Stage {
    /// Sets the scene: the device sleeps, the application has read the config directory and found ESPHome.
    /// `None`: network namespaces are not available here; the reason was printed.
    ///
    /// # Errors
    /// When something can't be set up.
    pub async fn set() -> Result<Option<Self>> {
        Self::play(Scene { really_builds: true, ..Scene::default() }).await
    }

    /// [`Stage::set`], where a build that was made before takes no time.
    ///
    /// # Errors
    /// As there.
    pub async fn set_with_kept_builds() -> Result<Option<Self>> {
        Self::play(Scene::default()).await
    }

    /// Sets any scene; see [`Stage::set`].
    ///
    /// # Errors
    /// As there.
    pub async fn play(scene: Scene) -> Result<Option<Self>> {
        let Some(mut lan) = Lan::or_skip().await? else { return Ok(None) };
        let old = firmware(&scene.runs).await?;
        let dir = tempfile::tempdir()?;
        let home = lan.host("home").await?;
        let sensor = match scene.behind_router {
            true => lan.host_elsewhere("sensor").await?,
            false => lan.host("sensor").await?,
        };
        let mut options = DeviceOptions::new("sleepy", &old.program, &dir.path().join("device"));
        options.api_port = scene.runs.api_port;
        let device = sensor.device(&options).await?;
        let (config, state) = (dir.path().join("config"), dir.path().join("state"));
        std::fs::create_dir_all(&config)?;
        for (file, yaml) in &scene.wanted {
            yaml.write_to(&config, file)?;
        }
        let others =
            others::start(&mut lan, dir.path(), scene.others, scene.others_have_api).await?;
        for sibling in (0..scene.others).map(Sibling) {
            let yaml = others::wanted_yaml(sibling).with_api(scene.others_have_api);
            yaml.write_to(&config, &sibling.file())?;
        }
        let mut options = HeadlessOptions::new(&config, &state);
        options.esphome = Some(if scene.really_builds {
            Esphome::locate()?.program().to_path_buf()
        } else {
            kept::program(&dir.path().join("esphome"))?
        });
        let disk = match &scene.disk {
            Some((at, kib)) => Some(Disk::new(&lan, &state.join(at), *kib).await?),
            None => None,
        };
        let clock = if scene.clock { Some(LabClock::new(dir.path()).await?) } else { None };
        options.prefix = disk.as_ref().map(Disk::prefix).unwrap_or_default();
        options.prefix.extend(clock.as_ref().map(LabClock::prefix).unwrap_or_default());
        if let Some(by) = scene.slow_disk {
            options.prefix.extend(crate::disk::slow(dir.path(), by).await?);
        }
        options.log = scene.logs.then(|| dir.path().join("app.log"));
        options.kill_at = scene.kill_at;
        options.break_at = scene.break_at;
        let app = Headless::start(options, Some(&home))?;
        let stage =
            Self { app, device, old, sensor, others, home, config, state, dir, disk, clock, lan };
        if scene.ready {
            stage.until_ready().await?;
        }
        Ok(Some(stage))
    }

    /// Waits until the application knows its directory and its ESPHome.
    ///
    /// # Errors
    /// When it doesn't in time.
    pub async fn until_ready(&self) -> Result<()> {
        self.until_snapshot("the application is ready", SOON, |snapshot| {
            let status = serde_json::to_value(&snapshot.status).unwrap_or_default();
            status["configDir"]["kind"] == "ready" && status["esphome"]["kind"] == "ready"
        })
        .await
        .map(|_| ())
    }

    /// A command about the device.
    ///
    /// # Errors
    /// What the application refuses it with.
    pub async fn command(&self, command: &str) -> Result<Value> {
        self.app.device_command(command, DEVICE).await
    }

    /// What the application shows.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        Ok(serde_json::from_value(self.app.request(json!({"cmd": "snapshot"})).await?)?)
    }

    /// The device's row.
    ///
    /// # Errors
    /// When there is none.
    pub async fn row(&self) -> Result<DeviceView> {
        let devices = self.snapshot().await?.devices;
        devices.into_iter().find(|row| row.id.as_str() == DEVICE).context("the device isn't listed")
    }

    /// Waits until the device's row satisfies a condition.
    ///
    /// # Errors
    /// When it doesn't within `timeout`; the error shows the last row.
    pub async fn until(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&DeviceView) -> bool,
    ) -> Result<DeviceView> {
        self.until_row(DEVICE, what, timeout, wanted).await
    }

    /// Waits until any device's row satisfies a condition.
    ///
    /// # Errors
    /// When it doesn't within `timeout`; the error shows the last snapshot.
    pub async fn until_row(
        &self,
        device: &str,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&DeviceView) -> bool,
    ) -> Result<DeviceView> {
        let row_of = |snapshot: &Snapshot| {
            snapshot.devices.iter().find(|row| row.id.as_str() == device).cloned()
        };
        let snapshot = self
            .until_snapshot(what, timeout, |snapshot| {
                row_of(snapshot).is_some_and(|row| wanted(&row))
            })
            .await?;
        row_of(&snapshot).context("the device isn't listed")
    }

    /// Waits until the device's update is in a state, named as in docs/API.md.
    ///
    /// # Errors
    /// When it isn't within `timeout`.
    pub async fn until_state(&self, state: &str, timeout: Duration) -> Result<DeviceView> {
        self.until(&format!("state {state}"), timeout, |row| state_of(row) == state).await
    }

    /// Writes another version of the device's YAML, and waits until the application has read it.
    ///
    /// # Errors
    /// When it doesn't read it.
    pub async fn write(&self, yaml: &DeviceYaml) -> Result<()> {
        yaml.write_to(&self.config, DEVICE)?;
        self.until("the new YAML was read", SOON, |row| {
            row.friendly_name.as_ref() == Some(&yaml.friendly_name) && row.problem.is_none()
        })
        .await
        .map(|_| ())
    }

    /// Installs on the device and waits until it is built.
    ///
    /// # Errors
    /// When it isn't.
    pub async fn until_built(&self) -> Result<DeviceView> {
        self.command("install").await?;
        self.until_state("waiting", BUILD).await
    }

    /// What the application says of the device's update: timeline and log.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub async fn details(&self) -> Result<UpdateDetails> {
        Ok(serde_json::from_value(self.command("details").await?)?)
    }

    /// Waits until the update is installed, and makes sure that the device was flashed exactly once, by one
    /// session with a data phase, and runs the firmware.
    ///
    /// # Errors
    /// When it wasn't, or doesn't.
    pub async fn ensure_flashed_once(&self) -> Result<()> {
        let row = self.until_state("installed", SOON).await?;
        let wanted = ensure_flashed_once(&row, &self.device.state().await?)?;
        ensure!(wanted != self.old.config_hash, "there was nothing to flash");
        Ok(())
    }

    /// The processes of builds of this application that run now.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn build_processes(&self) -> Result<Vec<u32>> {
        marked_processes(&self.state.canonicalize()?.to_string_lossy())
    }

    /// Waits until a compiler runs, so that a build is well under way.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn until_compiling(&self) -> Result<()> {
        let deadline = tokio::time::Instant::now() + BUILD;
        loop {
            let compiles = |pid: &u32| {
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
                name.is_ok_and(|name| name.starts_with("cc1plus"))
            };
            if self.build_processes()?.iter().any(compiles) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("no compiler was started within {BUILD:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until nothing of a build runs any more.
    ///
    /// # Errors
    /// When something still runs after `timeout`.
    pub async fn until_no_build_runs(&self, timeout: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let left = self.build_processes()?;
            if left.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("processes of a build still run after {timeout:?}: {left:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Slows the device's network down, to this many bits in a second; 0: as fast as it goes.
    ///
    /// # Errors
    /// When `tc` fails.
    pub async fn slow_down(&self, bits: u32) -> Result<()> {
        self.lan.slow_down(&self.sensor, bits).await
    }

    /// Waits until what is shown satisfies a condition.
    ///
    /// # Errors
    /// When it doesn't within `timeout`.
    pub async fn until_snapshot(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&Snapshot) -> bool,
    ) -> Result<Snapshot> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let snapshot = self.snapshot().await?;
            if wanted(&snapshot) {
                return Ok(snapshot);
            }
            if tokio::time::Instant::now() > deadline {
                bail!(
                    "not within {timeout:?}: {what}; {}",
                    serde_json::to_string_pretty(&snapshot)?
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The states that the device's update went through since the application's start, without repetitions.
    #[must_use]
    pub fn states(&self) -> Vec<String> {
        let mut states: Vec<String> = Vec::new();
        for line in self.app.process().lines() {
            let device = &line["event"]["device"];
            if device["id"] != DEVICE {
                continue;
            }
            if let Some(state) = device["update"]["state"]["kind"].as_str()
                && states.last().map(String::as_str) != Some(state)
            {
                states.push(state.to_owned());
            }
        }
        states
    }

    /// The same, once the last of them was told: a snapshot may be answered just before.
    ///
    /// # Errors
    /// When it isn't told.
    pub async fn states_to(&self, last: &str) -> Result<Vec<String>> {
        self.until_told(&format!("that it is {last}"), || {
            let states = self.states();
            (states.last().map(String::as_str) == Some(last)).then_some(states)
        })
        .await
    }

    /// The notifications of one kind since the application's start, once there are so many.
    ///
    /// # Errors
    /// When there are fewer for long, or more.
    pub async fn notified(&self, kind: &str, count: usize) -> Result<Vec<Value>> {
        let what = format!("{count} notifications: {kind}");
        let told = self.until_told(&what, || {
            Some(self.notifications(kind)).filter(|told| told.len() >= count)
        });
        let told = told.await?;
        ensure!(told.len() == count, "not {what}: {told:?}");
        Ok(told)
    }

    async fn until_told<T>(&self, what: &str, told: impl Fn() -> Option<T>) -> Result<T> {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            if let Some(told) = told() {
                return Ok(told);
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "not told within {SOON:?}: {what}; the states: {:?}",
                self.states()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The notifications of one kind since the application's start.
    #[must_use]
    pub fn notifications(&self, kind: &str) -> Vec<Value> {
        let lines = self.app.process().lines();
        let all = lines.into_iter().map(|line| line["notification"].clone());
        all.filter(|notification| notification["kind"] == kind).collect()
    }
}

/// Makes sure that a device runs what is wanted, and was flashed exactly once; returns the config hash.
fn ensure_flashed_once(row: &DeviceView, state: &DeviceState) -> Result<u32> {
    let wanted = row.update.as_ref().and_then(|update| update.wanted_hash).context("no hash")?;
    ensure!(state.running_hash == Some(wanted.0), "it runs something else: {state:?}");
    ensure!((state.ota_started, state.ota_done) == (1, 1), "not flashed once: {state:?}");
    Ok(wanted.0)
}

/// The processes of builds with this marker that run now.
///
/// # Errors
/// When they can't be listed.
pub fn marked_processes(marker: &str) -> Result<Vec<u32>> {
    let mark = format!("WAKEFLASH_BUILD={marker}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that has just ended is none.
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        // What asks ESPHome about the configurations has the mark as well.
        let asks = std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| line.ends_with(b"\0serve\0"));
        if !asks && environment.split(|byte| *byte == 0).any(|it| it == mark.as_bytes()) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The state of a row's update, as docs/API.md names it; empty without an update.
#[must_use]
pub fn state_of(row: &DeviceView) -> String {
    let update = serde_json::to_value(&row.update).unwrap_or_default();
    update["state"]["kind"].as_str().unwrap_or_default().to_owned()
}
