//! Further devices of a scene: siblings, which one compile is enough for.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use wakeflash_core::device::Presence;
use wakeflash_core::view::DeviceView;

use super::{SOON, Stage, ensure_flashed_once, new_yaml, old_yaml, state_of};
use crate::esphome::{Firmware, firmware};
use crate::kept::Sibling;
use crate::lan::{Host, Lan};
use crate::supervisor::{DeviceOptions, LabDevice, Wake};
use crate::yaml::DeviceYaml;

/// A further device; they all have the same password.
pub struct Other {
    pub name: String,
    /// Its YAML file.
    pub file: String,
    pub device: LabDevice,
    /// Where it is.
    pub host: Host,
}

/// The YAML in the config directory for a further device.
#[must_use]
pub fn wanted_yaml(sibling: Sibling) -> DeviceYaml {
    new_yaml().with_name(&sibling.name())
}

/// Starts this many, sleeping.
pub(super) async fn start(
    lan: &mut Lan,
    dir: &std::path::Path,
    count: u16,
    api: bool,
) -> Result<Vec<Other>> {
    let mut others = Vec::new();
    if count == 0 {
        return Ok(others);
    }
    let yaml = old_yaml().with_name(&Sibling(0).name()).with_api(api);
    let first: Firmware = firmware(&yaml).await?;
    for sibling in (0..count).map(Sibling) {
        let (name, file) = (sibling.name(), sibling.file());
        let host = lan.host(&name).await?;
        let program = dir.join(format!("{name}.born"));
        sibling.write_program(&first.program, &program)?;
        let mut options = DeviceOptions::new(&name, &program, &dir.join(&name));
        options.api_port = yaml.api_port;
        let device = host.device(&options).await?;
        others.push(Other { name, file, device, host });
    }
    Ok(others)
}

impl Stage {
    /// Wakes all further devices at once.
    ///
    /// # Errors
    /// When one can't be woken.
    pub async fn wake_others(&self, wake: Wake) -> Result<()> {
        try_join_all(self.others.iter().map(|other| other.device.wake(wake))).await.map(drop)
    }

    /// Sends all further devices to sleep, with a goodbye or without.
    ///
    /// # Errors
    /// When one doesn't sleep.
    pub async fn let_others_sleep(&self, goodbye: bool) -> Result<()> {
        try_join_all(self.others.iter().map(|other| other.device.sleep(goodbye))).await.map(drop)
    }

    /// Lets all further devices wake once, so that the application sees them, and sleep again.
    ///
    /// # Errors
    /// When they don't.
    pub async fn let_others_be_seen(&self) -> Result<()> {
        self.wake_others(Wake::default()).await?;
        self.until_others("seen", SOON, |row| row.deployed_hash.is_some()).await?;
        self.let_others_sleep(true).await?;
        self.until_others("asleep", SOON, |row| row.presence == Presence::Asleep).await
    }

    /// Waits until all further devices have been flashed, and sleep again.
    ///
    /// # Errors
    /// When one doesn't within `timeout`.
    pub async fn until_others_flashed(&self, timeout: Duration) -> Result<()> {
        let asleep = self.others.iter().map(|other| other.device.until_asleep_after(1, timeout));
        try_join_all(asleep).await.map(drop)
    }

    /// Wakes all further devices until told otherwise, and waits for what they say that they run.
    ///
    /// # Errors
    /// When one doesn't say it.
    pub async fn wake_others_fully(&self) -> Result<()> {
        try_join_all(self.others.iter().map(|other| other.device.wake_fully())).await.map(drop)
    }

    /// Installs on all further devices and waits until everything is built.
    ///
    /// # Errors
    /// When something isn't.
    pub async fn until_others_built(&self) -> Result<()> {
        for other in &self.others {
            self.app.device_command("install", &other.file).await?;
        }
        self.until_others("built", super::BUILD, |row| state_of(row) == "waiting").await
    }

    /// Waits until the rows of all further devices satisfy a condition.
    ///
    /// # Errors
    /// When one doesn't within `timeout`.
    pub async fn until_others(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&DeviceView) -> bool,
    ) -> Result<()> {
        self.until_snapshot(what, timeout, |snapshot| {
            let row = |other: &Other| {
                snapshot.devices.iter().find(|row| row.id.as_str() == other.file.as_str())
            };
            self.others.iter().all(|other| row(other).is_some_and(&wanted))
        })
        .await
        .map(|_| ())
    }
}

impl Other {
    /// Makes sure that this device was flashed exactly once, with its own firmware.
    ///
    /// # Errors
    /// When it wasn't.
    pub async fn ensure_flashed_once(&self, stage: &Stage) -> Result<()> {
        let row = stage.until_row(&self.file, "listed", SOON, |_| true).await?;
        let state = self.device.state().await?;
        ensure_flashed_once(&row, &state).with_context(|| self.name.clone())?;
        ensure!(state.name.as_ref() == Some(&self.name), "it became another device: {state:?}");
        Ok(())
    }

    /// Makes sure that this device was sent nothing.
    ///
    /// # Errors
    /// When it was.
    pub async fn ensure_untouched(&self) -> Result<()> {
        let state = self.device.state().await?;
        ensure!((state.ota_started, state.ota_done) == (0, 0), "{}: {state:?}", self.name);
        Ok(())
    }
}
