//! A client for `wakeflash-headless`. What its lines mean is known here and nowhere else in the lab.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wakeflash_engine::kill;

use crate::jsonl::JsonProcess;
use crate::lan::Host;
use crate::paths::{self, contained};

/// How to start the headless application.
#[derive(Clone, Debug)]
pub struct HeadlessOptions {
    /// `--config`: the directory of YAML files.
    pub config: PathBuf,
    /// `--state`: where it keeps its database, logs and images.
    pub state: PathBuf,
    /// `--esphome`: the executable that builds.
    pub esphome: Option<PathBuf>,
    /// The PATH it gets, when not the test's own.
    pub search_path: Option<OsString>,
    /// More arguments.
    pub arguments: Vec<OsString>,
    /// A program that starts it, with its arguments: to put it into a namespace. It gets the rights to do
    /// so, which needs a host.
    pub prefix: Vec<String>,
    /// The file that its log goes to; without one, the test's own standard error.
    pub log: Option<PathBuf>,
    /// Where in an update's life it is killed, until it is started again; see `wakeflash_engine::kill`.
    pub kill_at: Option<String>,
    /// The same for a defect of its loop.
    pub break_at: Option<String>,
}

impl HeadlessOptions {
    /// The defaults for two directories.
    #[must_use]
    pub fn new(config: &Path, state: &Path) -> Self {
        Self {
            config: config.to_path_buf(),
            state: state.to_path_buf(),
            esphome: None,
            search_path: None,
            arguments: Vec::new(),
            prefix: Vec::new(),
            log: None,
            kill_at: None,
            break_at: None,
        }
    }
}

/// The application without a window, running.
pub struct Headless {
    options: HeadlessOptions,
    host: Option<Host>,
    process: JsonProcess,
}

impl Headless {
    /// Starts it, in a host of a LAN or right here.
    ///
    /// # Errors
    /// When it has not been built or can't be started.
    pub fn start(options: HeadlessOptions, host: Option<&Host>) -> Result<Self> {
        let process = spawn(&options, host)?;
        Ok(Self { options, host: host.cloned(), process })
    }

    /// Ends it with SIGKILL and starts it again on the same directories.
    ///
    /// # Errors
    /// When it can't be ended or started.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill().await?;
        self.process = spawn(&self.options, self.host.as_ref())?;
        Ok(())
    }

    /// Starts it again on the same directories, after it has ended.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_again(&mut self) -> Result<()> {
        self.options.kill_at = None;
        self.options.break_at = None;
        self.process = spawn(&self.options, self.host.as_ref())?;
        Ok(())
    }

    /// Sends a command (`{"cmd":"list"}`); see [`JsonProcess::request`].
    ///
    /// # Errors
    /// As there.
    pub async fn request(&self, command: Value) -> Result<Value> {
        self.process.request(command).await
    }

    /// Sends a command about one device (a YAML file name).
    ///
    /// # Errors
    /// As [`Headless::request`].
    pub async fn device_command(&self, command: &str, device: &str) -> Result<Value> {
        self.request(json!({ "cmd": command, "device": device })).await
    }

    /// Waits for a line; see [`JsonProcess::wait_for`].
    ///
    /// # Errors
    /// As there.
    pub async fn wait_for(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.process.wait_for(what, timeout, wanted).await
    }

    /// How many lines it has logged into its file.
    ///
    /// # Errors
    /// When there is none.
    pub fn log_lines(&self) -> Result<usize> {
        let path = self.options.log.as_ref().context("its log is not in a file")?;
        Ok(std::fs::read(path)?.iter().filter(|byte| **byte == b'\n').count())
    }

    /// Ends it with SIGKILL.
    ///
    /// # Errors
    /// When it can't be ended.
    pub async fn kill(&self) -> Result<()> {
        self.process.kill().await
    }

    /// The process itself.
    #[must_use]
    pub fn process(&self) -> &JsonProcess {
        &self.process
    }
}

fn spawn(options: &HeadlessOptions, host: Option<&Host>) -> Result<JsonProcess> {
    let program = paths::binary("wakeflash-headless")?;
    let mut command = match (host, options.prefix.split_first()) {
        (Some(host), Some((first, rest))) => {
            let mut command = host.admin(first);
            command.args(rest).arg(&program);
            command
        }
        (Some(host), None) => host.command(&program),
        (None, _) => contained(&program),
    };
    command.arg("--config").arg(&options.config).arg("--state").arg(&options.state);
    if let Some(esphome) = &options.esphome {
        command.arg("--esphome").arg(esphome);
    }
    if let Some(path) = &options.search_path {
        command.env("PATH", path);
    }
    if let Some(point) = &options.kill_at {
        command.env(kill::VARIABLE, point);
    }
    if let Some(point) = &options.break_at {
        command.env(kill::BREAKS, point);
    }
    let log = match &options.log {
        Some(path) => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            file.with_context(|| format!("cannot write {}", path.display()))?.into()
        }
        None => Stdio::inherit(),
    };
    command.args(&options.arguments).stderr(log);
    JsonProcess::spawn("wakeflash-headless", command)
}
