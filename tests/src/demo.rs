//! `make demo`: the application next to a real device that sleeps and wakes, in a network of its
//! own.

mod door;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind};

use crate::esphome::{self, Esphome};
use crate::jsonl::JsonProcess;
use crate::lan::{Host, Lan};
use crate::paths;
use crate::supervisor::DeviceOptions;
use crate::yaml::DeviceYaml;
use door::{Door, Entered};

const NAME: &str = "sleepy";
/// How long the application may take to end, or to hand over to the one that runs.
const END: Duration = Duration::from_secs(15);

/// What `wakeflash-lab demo` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoOptions {
    #[arg(long)]
    pub app: PathBuf,
    /// How many seconds the device sleeps.
    #[arg(long, default_value_t = 30)]
    pub sleep: u32,
    /// How many seconds the device is awake.
    #[arg(long, default_value_t = 15)]
    pub wake: u32,
    /// Where the demo keeps its files; a temporary directory, removed at the end, when not given.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Arguments of the application: {config}, {state} and {esphome} are replaced by the demo's
    /// configuration directory, a directory for the application's state, and the ESPHome to use.
    #[arg(last = true)]
    pub arguments: Vec<OsString>,
}

/// Runs the demo until the application ends, or shows the window of the one that runs.
///
/// # Errors
/// When the network, the device or the application can't be made to run, or not be ended.
pub async fn run(options: DemoOptions) -> Result<()> {
    let mut ending = Ending::listen()?;
    let place = door::place();
    let entered = tokio::select! {
        biased;
        () = ending.asked() => return say("Interrupted."),
        entered = door::enter(&place) => entered?,
    };
    let mut door = match entered {
        Entered::First(door) => door,
        Entered::Another { shown: true } => {
            return say(
                "A demo is running already: this is its window. Quit it there to begin anew.",
            );
        }
        Entered::Another { shown: false } => {
            bail!("a demo is running already, and its window can't be shown")
        }
    };
    let outcome = play_somewhere(&options, &mut door, &mut ending).await;
    and(outcome, door.leave())
}

async fn play_somewhere(options: &DemoOptions, door: &mut Door, ending: &mut Ending) -> Result<()> {
    if let Some(dir) = &options.dir {
        return play(options, dir, door, ending).await;
    }
    let temporary = tempfile::tempdir().context("no temporary directory")?;
    let outcome = play(options, temporary.path(), door, ending).await;
    and(outcome, remove(temporary).await)
}

async fn remove(temporary: TempDir) -> Result<()> {
    let path = temporary.path().to_owned();
    if temporary.close().is_ok() {
        return Ok(());
    }
    // Processes that were killed may be writing yet.
    tokio::time::sleep(Duration::from_millis(500)).await;
    std::fs::remove_dir_all(&path).with_context(|| format!("{} can't be removed", path.display()))
}

/// What came of something, and of what was done after it all the same: neither error hides the other one.
fn and(outcome: Result<()>, after: Result<()>) -> Result<()> {
    match (outcome, after) {
        (Err(first), Err(second)) => Err(anyhow!("{first:#}; and after that: {second:#}")),
        (outcome, Ok(())) => outcome,
        (Ok(()), after) => after,
    }
}

async fn play(
    options: &DemoOptions,
    dir: &Path,
    door: &mut Door,
    ending: &mut Ending,
) -> Result<()> {
    let (config, state) = (dir.join("config"), dir.join("state"));
    std::fs::create_dir_all(&state)?;
    let esphome = Esphome::locate()?;
    let yaml = DeviceYaml::new(NAME).with_deep_sleep(options.wake, options.sleep);
    say("Compiling the firmware that the device is born with (10 s the first time) ...")?;
    let born = yaml.clone().with_friendly_name("Sleepy Sensor (as delivered)");
    let firmware = tokio::select! {
        biased;
        () = ending.asked() => return say("Interrupted."),
        firmware = esphome::firmware(&born) => firmware?,
    };
    yaml.with_friendly_name("Sleepy Sensor").write_to(&config, &format!("{NAME}.yaml"))?;
    say(&format!("The configuration is in {}.", config.display()))?;

    let mut lan = Lan::new().await?;
    let (here, there) = (lan.host("application").await?, lan.host(NAME).await?);
    let device = DeviceOptions::new(NAME, &firmware.program, &dir.join("device"));
    let device = start_device(&there, &device, options)?;
    say(&format!("{NAME} is asleep and wakes in {} s. Install it now.", options.sleep))?;
    say(
        "A window that was closed is opened again by the tray's menu, or by `make demo` once more.",
    )?;
    say("Quitting Wakeflash, or Ctrl-C here, ends the demo.")?;

    let places: [(&str, &Path); 3] =
        [("{config}", &config), ("{state}", &state), ("{esphome}", esphome.program())];
    let path = esphome.search_path()?;
    let start = || {
        let mut app = here.command(&options.app);
        app.args(options.arguments.iter().map(|argument| fill_in(argument, &places)));
        // Ctrl-C is for the demo, which ends what it has started.
        app.env("PATH", &path).process_group(0).spawn()
    };
    let mut app = start().context("cannot start the application")?;
    let show = async || show_again(start()).await;
    let outcome = tokio::select! {
        biased;
        () = ending.asked() => say("Interrupted."),
        status = app.wait() => match status {
            Ok(status) => say(&format!("The application has ended ({status}).")),
            Err(error) => Err(error).context("the application's end isn't known"),
        },
        told = narrate(&device) => told,
        heard = door.answer(show) => heard,
    };
    door.close();
    let outcome = and(outcome, end(&mut app).await);
    and(outcome, device.kill().await)
}

/// Another start of the application hands over to the first one, which shows its window.
async fn show_again(second: std::io::Result<Child>) -> bool {
    let ended = async { second?.wait().await };
    match tokio::time::timeout(END, ended).await {
        Ok(Ok(status)) => status.success(),
        Ok(Err(error)) => {
            tracing::error!("the application can't be started once more: {error}");
            false
        }
        Err(_) => false,
    }
}

/// Ends the application in good order: what it leaves running would write into a directory that is gone.
async fn end(app: &mut Child) -> Result<()> {
    let pid = app.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let Some(pid) = pid else { return Ok(()) };
    kill_process(pid, Signal::TERM).context("the application can't be ended")?;
    match tokio::time::timeout(END, app.wait()).await {
        Ok(status) => say(&format!("The application has ended ({}).", status?)),
        Err(_) => app.kill().await.context("the application doesn't end"),
    }
}

/// The signals that end the demo.
struct Ending([unix::Signal; 3]);

impl Ending {
    fn listen() -> Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
                .map(unix::signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn asked(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

fn start_device(host: &Host, device: &DeviceOptions, options: &DemoOptions) -> Result<JsonProcess> {
    let mut command = host.admin(paths::binary("wakeflash-lab")?);
    command.arg("device").args(device.arguments());
    command.args(["--sleep", &options.sleep.to_string(), "--wake", &options.wake.to_string()]);
    command.stderr(Stdio::inherit()).process_group(0);
    JsonProcess::spawn(NAME, command)
}

fn fill_in(argument: &OsStr, places: &[(&str, &Path)]) -> OsString {
    let Some(text) = argument.to_str() else { return argument.to_os_string() };
    let mut text = text.to_owned();
    for (place, path) in places {
        text = text.replace(place, &path.to_string_lossy());
    }
    text.into()
}

/// Says what the device does, in words.
async fn narrate(device: &JsonProcess) -> Result<()> {
    let a_year = Duration::from_secs(365 * 24 * 3600);
    loop {
        let line = device.wait_for("events", a_year, |line| line.get("event").is_some()).await?;
        let seconds = |key: &str| line[key].as_u64().unwrap_or_default() / 1000;
        match line["event"].as_str().unwrap_or_default() {
            "woke" => say(&format!("{NAME} woke up, awake for {} s.", seconds("for_ms")))?,
            "boot" => say(&format!("{NAME} runs config hash {}.", text(&line["config_hash"])))?,
            "ota_handshake" => say(&format!("{NAME}: somebody connected for an update."))?,
            "ota_started" => say(&format!("{NAME} is being flashed; it can't sleep meanwhile."))?,
            "ota_done" => say(&format!("{NAME} has its new firmware and restarts."))?,
            "ota_failed" => say(&format!("{NAME}: the update was cut off."))?,
            "asleep" => {
                say(&format!("{NAME} went to sleep, wakes in {} s.", seconds("next_wake_ms")))?;
            }
            _ => {}
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

fn say(what: &str) -> Result<()> {
    writeln!(std::io::stdout(), "[demo] {what}").context("nobody listens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_hides_another_one() {
        let said = |outcome, after| and(outcome, after).map_err(|error| format!("{error:#}"));
        let fails = |what: &'static str| Err(anyhow!(what).context("it failed"));
        assert_eq!(said(Ok(()), Ok(())), Ok(()));
        assert_eq!(said(fails("a"), Ok(())), Err("it failed: a".to_owned()));
        assert_eq!(said(Ok(()), fails("b")), Err("it failed: b".to_owned()));
        let both = "it failed: a; and after that: it failed: b";
        assert_eq!(said(fails("a"), fails("b")), Err(both.to_owned()));
    }
}
