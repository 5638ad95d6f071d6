//! The real application on a desktop.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::driver::Driver;
use super::page::Page;
use super::{Desktop, until};
use crate::paths::{self, on_path};

/// The application's title, as its window has it.
pub const TITLE: &str = "Wakeflash";

const SOON: Duration = Duration::from_secs(90);

/// How to start the application.
#[derive(Clone, Debug, Default)]
pub struct AppOptions {
    pub arguments: Vec<OsString>,
    /// What is in its environment beside the test's own, as `NAME=value`.
    pub environment: Vec<OsString>,
}

impl AppOptions {
    /// The same with another argument.
    #[must_use]
    pub fn with(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The same with another PATH.
    #[must_use]
    pub fn with_path(self, path: impl AsRef<OsStr>) -> Self {
        self.with_variable("PATH", path)
    }

    /// The same with a variable in its environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let mut variable = OsString::from(name);
        variable.push("=");
        variable.push(value);
        self.environment.push(variable);
        self
    }
}

/// The application, running. It ends when dropped.
pub struct App {
    page: Page,
    pid: Pid,
    _child: Child,
}

impl Desktop {
    /// Starts the application and waits for its window.
    ///
    /// # Errors
    /// When it has not been built or doesn't start; the error has what it said.
    pub async fn open(&self, options: &AppOptions) -> Result<App> {
        let opened = self.try_open(options).await;
        opened.with_context(|| format!("the application said:\n{}", self.app_output()))
    }

    async fn try_open(&self, options: &AppOptions) -> Result<App> {
        let output = File::options().create(true).append(true).open(self.app_output_file())?;
        let driver = Driver::start(self, output.try_clone()?).await?;
        let mut command = self.application(options)?;
        command.envs(driver.environment()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().context("cannot start the application")?;
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let page = Page::attach(driver).await?;
        Ok(App { page, pid: pid.context("it has ended at once")?, _child: child })
    }

    fn application(&self, options: &AppOptions) -> Result<Command> {
        // Its PATH isn't for what starts it.
        let mut command = self.command(on_path("env")?);
        command.args(&options.environment);
        command.arg(paths::binary("wakeflash")?).args(&options.arguments).stdin(Stdio::null());
        Ok(command)
    }

    /// Starts the application once more, next to one that runs, and waits for the good end of this start.
    ///
    /// # Errors
    /// When it doesn't end, or with a failure; the error has what it said.
    pub async fn open_again(&self, options: &AppOptions) -> Result<()> {
        let second = self.application(options)?.stderr(Stdio::piped()).spawn();
        let second = second.context("cannot start the application")?;
        let ended = tokio::time::timeout(SOON, second.wait_with_output()).await;
        let ended = ended.context("the second start doesn't end")??;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "the second start: {}; it said:\n{said}", ended.status);
        Ok(())
    }

    /// Starts the application without a driver: it opens no window by itself with `--hidden`.
    ///
    /// # Errors
    /// When it has not been built.
    pub fn start_alone(&self, options: &AppOptions) -> Result<Child> {
        self.application(options)?.spawn().context("cannot start the application")
    }

    /// What the application and its driver have printed.
    #[must_use]
    pub fn app_output(&self) -> String {
        std::fs::read_to_string(self.app_output_file()).unwrap_or_default()
    }

    fn app_output_file(&self) -> PathBuf {
        self.dir().join("output.txt")
    }

    /// Waits until the application's window is, or isn't, on the screen.
    ///
    /// # Errors
    /// When it isn't as wanted after a while.
    pub async fn until_window(&self, there: bool) -> Result<()> {
        until(if there { "a window" } else { "no window" }, SOON, async || {
            let windows = self.display().windows()?;
            let found = windows.iter().any(|window| window.title == TITLE);
            ensure!(found == there, "windows: {windows:?}");
            Ok(())
        })
        .await
    }

    /// Closes the application's window as its frame's button does.
    ///
    /// # Errors
    /// When there is none.
    pub fn close_window(&self) -> Result<()> {
        self.display().close(TITLE)
    }
}

impl App {
    /// Its window's content.
    #[must_use]
    pub fn page(&self) -> &Page {
        &self.page
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether its process runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        process(self.pid()).is_some_and(|process| process.state != 'Z')
    }

    /// Ends it with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// When it has ended before.
    pub async fn kill(self) -> Result<()> {
        ensure!(self.is_alive(), "the application has ended by itself");
        self.signal(Signal::KILL)?;
        self.until_ended(SOON).await
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid, signal).context("cannot signal the application")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `timeout`.
    pub async fn until_ended(&self, timeout: Duration) -> Result<()> {
        until("the application ends", timeout, async || {
            ensure!(!self.is_alive(), "it still runs");
            Ok(())
        })
        .await
    }
}

/// The memory of a process and all that descend from it, by name: the proportional set size in KiB, which
/// counts shared pages in part.
///
/// # Errors
/// When `/proc` can't be read.
pub fn memory(of: u32) -> Result<Vec<(String, u64)>> {
    let mut all = vec![(of, "wakeflash".to_owned())];
    all.extend(family(of)?);
    // A process may end while it is looked at.
    let measured = all.into_iter().filter_map(|(pid, name)| {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        Some((name, pss.split_ascii_whitespace().next()?.parse().ok()?))
    });
    Ok(measured.collect())
}

/// All processes that descend from one, with their names.
///
/// # Errors
/// When `/proc` can't be read.
pub fn family(of: u32) -> Result<Vec<(u32, String)>> {
    let mut parents = vec![of];
    let mut found = Vec::new();
    while let Some(parent) = parents.pop() {
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            let Some(pid) = pid else { continue };
            if process(pid).is_some_and(|child| child.parent == parent && child.state != 'Z') {
                let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                found.push((pid, name.trim().to_owned()));
                parents.push(pid);
            }
        }
    }
    Ok(found)
}

/// A process, as `/proc` tells.
struct Process {
    state: char,
    parent: u32,
}

fn process(pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some(Process { state: fields.next()?.chars().next()?, parent: fields.next()?.parse().ok()? })
}
