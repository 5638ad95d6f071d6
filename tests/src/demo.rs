//! `make demo`: the application next to a real device that sleeps and wakes, in a network of its
//! own.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::esphome::{self, Esphome};
use crate::jsonl::JsonProcess;
use crate::lan::{Host, Lan};
use crate::paths;
use crate::supervisor::DeviceOptions;
use crate::yaml::DeviceYaml;

const NAME: &str = "sleepy";

/// What `wakeflash-lab demo` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoOptions {
    /// The application.
    #[arg(long)]
    pub app: PathBuf,
    /// How many seconds the device sleeps.
    #[arg(long, default_value_t = 30)]
    pub sleep: u32,
    /// How many seconds the device is awake.
    #[arg(long, default_value_t = 15)]
    pub wake: u32,
    /// Where the demo keeps its files; a temporary directory when not given.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Arguments of the application: {config}, {state} and {esphome} are replaced by the demo's
    /// configuration directory, a directory for the application's state, and the ESPHome to use.
    #[arg(last = true)]
    pub arguments: Vec<OsString>,
}

/// Runs the demo until the application ends.
///
/// # Errors
/// When the network, the device or the application can't be made to run.
pub async fn run(options: DemoOptions) -> Result<()> {
    let temporary = tempfile::tempdir().context("no temporary directory")?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    let (config, state) = (dir.join("config"), dir.join("state"));
    std::fs::create_dir_all(&state)?;
    let esphome = Esphome::locate()?;
    let yaml = DeviceYaml::new(NAME).with_deep_sleep(options.wake, options.sleep);
    say("Compiling the firmware that the device is born with (10 s the first time) ...")?;
    let born = yaml.clone().with_friendly_name("Sleepy Sensor (as delivered)");
    let firmware = esphome::firmware(&born).await?;
    yaml.with_friendly_name("Sleepy Sensor").write_to(&config, &format!("{NAME}.yaml"))?;
    say(&format!("The configuration is in {}.", config.display()))?;

    let mut lan = Lan::new().await?;
    let (here, there) = (lan.host("application").await?, lan.host(NAME).await?);
    let device = DeviceOptions::new(NAME, &firmware.program, &dir.join("device"));
    let device = start_device(&there, &device, &options)?;
    say(&format!("{NAME} is asleep and wakes in {} s. Install it now.", options.sleep))?;

    let mut app = here.command(&options.app);
    app.args(options.arguments.iter().map(|argument| {
        fill_in(
            argument,
            &[("{config}", &config), ("{state}", &state), ("{esphome}", esphome.program())],
        )
    }));
    app.env("PATH", esphome.search_path()?);
    let mut app = app.spawn().context("cannot start the application")?;
    tokio::select! {
        status = app.wait() => say(&format!("The application has ended ({}).", status?)),
        told = narrate(&device) => told,
        _ = tokio::signal::ctrl_c() => say("Interrupted."),
    }
}

fn start_device(host: &Host, device: &DeviceOptions, options: &DemoOptions) -> Result<JsonProcess> {
    let mut command = host.admin(paths::binary("wakeflash-lab")?);
    command.arg("device").args(device.arguments());
    command.args(["--sleep", &options.sleep.to_string(), "--wake", &options.wake.to_string()]);
    command.stderr(Stdio::inherit());
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
