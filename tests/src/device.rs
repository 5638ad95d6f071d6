//! A real device: ESPHome firmware for the host platform, run as a process of its own.
//!
//! What the device does and is, is taken from its own log, never assumed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::fs::OpenOptions;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::yaml::{
    ASLEEP_MARK, FRIENDLY_NAME_MARK, MAC_VARIABLE, NAME_MARK, SLEEP_REQUEST, SLEEPER_MARK,
};

/// Something that the device said in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum DeviceEvent {
    /// It has started: after a wake, or by itself after an update.
    Boot {
        /// The config hash of the firmware that runs now, eight hex digits.
        config_hash: Option<String>,
        /// The ESPHome version of the firmware that runs now.
        version: String,
    },
    /// A client has connected to the OTA port.
    OtaHandshake,
    /// The data phase has begun.
    OtaStarted,
    /// The update is complete; the device restarts into it.
    OtaDone,
    /// The data phase has ended without an update.
    OtaFailed,
    /// The main loop has gone to sleep.
    Slept,
    /// The process is gone.
    Ended,
}

/// What the log has said so far, over all boots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceState {
    /// Whether the process runs.
    pub running: bool,
    /// The config hash that the running firmware has logged.
    pub running_hash: Option<u32>,
    /// The ESPHome version that the running firmware has logged.
    pub version: Option<String>,
    /// The name that the running firmware has logged.
    pub name: Option<String>,
    /// The friendly name that the running firmware has logged.
    pub friendly_name: Option<String>,
    /// Boots, including those after updates.
    pub boots: u32,
    /// Connections to the OTA port that the device has accepted.
    pub ota_sessions: u32,
    /// Data phases begun.
    pub ota_started: u32,
    /// Updates completed.
    pub ota_done: u32,
    /// Data phases that failed.
    pub ota_failed: u32,
    /// Whether a data phase runs: the device can't sleep now.
    pub in_data_phase: bool,
    /// Whether the firmware sleeps by itself on request.
    pub obeys: bool,
    /// Whether the main loop has gone to sleep.
    pub slept: bool,
}

impl DeviceState {
    /// What was known about the firmware that ran is over.
    fn forget_firmware(&mut self) {
        self.in_data_phase = false;
        self.obeys = false;
        self.running_hash = None;
        self.version = None;
        self.name = None;
        self.friendly_name = None;
    }
}

/// A device, powered or not.
pub struct Device {
    dir: PathBuf,
    mac: String,
    child: Option<Child>,
    reader: Option<JoinHandle<()>>,
    state: watch::Sender<DeviceState>,
    events: mpsc::UnboundedSender<DeviceEvent>,
}

impl Device {
    /// A device with this MAC address whose flash holds a copy of `program`, without power. A directory that has been a
    /// device before keeps the firmware that it has.
    ///
    /// # Errors
    /// When the program can't be copied.
    pub fn new(
        dir: &Path,
        program: &Path,
        mac: &str,
    ) -> Result<(Self, mpsc::UnboundedReceiver<DeviceEvent>)> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        if !dir.join("program").exists() {
            std::fs::copy(program, dir.join("program"))
                .with_context(|| format!("cannot copy {}", program.display()))?;
        }
        let (events, receiver) = mpsc::unbounded_channel();
        let state = watch::Sender::new(DeviceState::default());
        let mac = mac.to_owned();
        Ok((Self { dir, mac, child: None, reader: None, state, events }, receiver))
    }

    /// Powers the device on.
    ///
    /// # Errors
    /// When it has power already, or its program can't be started.
    pub async fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("the device has power already");
        }
        self.withdraw_sleep().await?;
        // Its own home: preferences live there, and two devices must not share them.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(self.dir.join("program"))
            .current_dir(&self.dir)
            .env("HOME", &self.dir)
            .env(MAC_VARIABLE, &self.mac)
            .env_remove("ESPHOME_PREFDIR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run setpriv (util-linux)")?;
        let stdout = child.stdout.take().context("the device has no log")?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("device.log"))
            .await
            .context("cannot keep the device's log")?;
        self.state.send_modify(|state| {
            state.running = true;
            state.slept = false;
        });
        let (state, events) = (self.state.clone(), self.events.clone());
        self.reader = Some(tokio::spawn(read_log(stdout, log, state, events)));
        self.child = Some(child);
        Ok(())
    }

    /// Asks the main loop to sleep as soon as it gets to it; see [`DeviceEvent::Slept`].
    ///
    /// # Errors
    /// When the request can't be written.
    pub async fn request_sleep(&self) -> Result<()> {
        tokio::fs::write(self.dir.join(SLEEP_REQUEST), []).await.context("cannot request sleep")
    }

    /// Takes that request back.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn withdraw_sleep(&self) -> Result<()> {
        match tokio::fs::remove_file(self.dir.join(SLEEP_REQUEST)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("cannot withdraw the request to sleep")
            }
            _ => Ok(()),
        }
    }

    /// Takes the power away, at once and in whatever it is doing.
    ///
    /// # Errors
    /// When the process can't be ended.
    pub async fn power_off(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.context("cannot end the device's process")?;
        }
        if let Some(reader) = self.reader.take() {
            // It ends with the log, which ends with the process.
            let _ = reader.await;
        }
        Ok(())
    }

    /// What the log has said so far.
    #[must_use]
    pub fn state(&self) -> DeviceState {
        self.state.borrow().clone()
    }

    /// The config hash that the running firmware has logged.
    #[must_use]
    pub fn running_hash(&self) -> Option<u32> {
        self.state.borrow().running_hash
    }

    /// Waits for the log to say something.
    ///
    /// # Errors
    /// When it doesn't within `timeout`.
    pub async fn wait(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl FnMut(&DeviceState) -> bool,
    ) -> Result<DeviceState> {
        let mut changes = self.state.subscribe();
        let found = tokio::time::timeout(timeout, changes.wait_for(wanted)).await;
        match found {
            Ok(state) => Ok(state.context("the device is gone")?.clone()),
            Err(_elapsed) => {
                bail!("the device did not become {what} in {timeout:?}: {:?}", self.state())
            }
        }
    }
}

async fn read_log(
    stdout: ChildStdout,
    mut copy: tokio::fs::File,
    state: watch::Sender<DeviceState>,
    events: mpsc::UnboundedSender<DeviceEvent>,
) {
    let mut log = BufReader::new(stdout);
    let mut line = Vec::new();
    while let Ok(1..) = log.read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line);
        let mut event = None;
        state.send_modify(|state| event = note(state, &text));
        if let Some(event) = event {
            let _ = events.send(event);
        }
        let _ = copy.write_all(&line).await;
        line.clear();
    }
    let _ = copy.flush().await;
    state.send_modify(|state| {
        state.running = false;
        state.forget_firmware();
    });
    let _ = events.send(DeviceEvent::Ended);
}

/// Takes from one line of the log what it says about the device.
fn note(state: &mut DeviceState, line: &str) -> Option<DeviceEvent> {
    if line.contains("Running through setup()") {
        state.boots += 1;
        state.forget_firmware();
    } else if let Some(hash) = hash_in(line) {
        state.running_hash = Some(hash);
    } else if let Some(name) = text_after(line, NAME_MARK) {
        state.name = Some(name);
    } else if let Some(name) = text_after(line, FRIENDLY_NAME_MARK) {
        state.friendly_name = Some(name);
    } else if line.contains(SLEEPER_MARK) {
        state.obeys = true;
    } else if let Some(version) = version_in(line) {
        state.version = Some(version.to_owned());
        let config_hash = state.running_hash.map(|hash| format!("{hash:08x}"));
        return Some(DeviceEvent::Boot { config_hash, version: version.to_owned() });
    } else if line.contains("Starting handshake from") {
        state.ota_sessions += 1;
        return Some(DeviceEvent::OtaHandshake);
    } else if line.contains("Starting update from") {
        state.ota_started += 1;
        state.in_data_phase = true;
        return Some(DeviceEvent::OtaStarted);
    } else if line.contains("Update complete") {
        state.ota_done += 1;
        state.in_data_phase = false;
        return Some(DeviceEvent::OtaDone);
    } else if line.contains("esphome.ota set Error flag") {
        state.ota_failed += 1;
        state.in_data_phase = false;
        return Some(DeviceEvent::OtaFailed);
    } else if line.contains(ASLEEP_MARK) {
        state.slept = true;
        return Some(DeviceEvent::Slept);
    }
    None
}

fn hash_in(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("config_hash=")?;
    u32::from_str_radix(rest.get(..8)?, 16).ok()
}

/// The rest of a line, without the colour's end.
fn text_after(line: &str, mark: &str) -> Option<String> {
    let (_, rest) = line.split_once(mark)?;
    let rest = rest.trim_end();
    Some(rest.strip_suffix("\x1b[0m").unwrap_or(rest).to_owned())
}

fn version_in(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("ESPHome version ")?;
    rest.split_once(" compiled on").map(|(version, _)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_boots_and_updates() {
        let mut state = DeviceState::default();
        let log = [
            "[11:10:50]\x1b[0;32m[I][app:073]: Running through setup()\x1b[0m",
            "[11:10:50]\x1b[0;32m[I][main:163]: config_hash=ae88cd56\x1b[0m",
            "[11:10:50]\x1b[0;32m[I][main:163]: lab: friendly_name=Küche 1\x1b[0m\n",
            "[11:10:50]\x1b[0;32m[I][app:164]: ESPHome version 2026.10.0 compiled on 2026-11-23\x1b[0m",
            "[11:10:52]\x1b[0;36m[D][esphome.ota:732]: Starting handshake from 10.0.0.1\x1b[0m",
            "[11:10:52]\x1b[0;36m[D][esphome.ota:732]: Starting update from 10.0.0.1\x1b[0m",
        ];
        let events: Vec<_> = log.iter().filter_map(|line| note(&mut state, line)).collect();
        assert_eq!(events.len(), 3);
        assert_eq!(state.running_hash, Some(0xae88_cd56));
        assert_eq!(state.version.as_deref(), Some("2026.10.0"));
        assert_eq!(state.friendly_name.as_deref(), Some("Küche 1"));
        assert!(state.in_data_phase);
        note(&mut state, "[I][esphome.ota:609]: Update complete");
        note(&mut state, "[I][app:073]: Running through setup()");
        assert_eq!((state.boots, state.ota_done, state.running_hash), (2, 1, None));
    }
}
