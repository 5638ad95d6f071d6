//! `make bench-window`: from the start to the painted list, memory, and how the window keeps up with changes.
//! docs/PERFORMANCE.md says what it measures and has its tables.

mod memory;
mod painted;
mod storm;

use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use wakeflash_tests::desktop::Furniture;
use wakeflash_tests::desktop::app::AppOptions;
use wakeflash_tests::desktop::scene::Scene;
use wakeflash_tests::lan::storm::name;

#[derive(Parser)]
struct Cli {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// With so many devices.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1000])]
    devices: Vec<u16>,
    /// How many starts are measured.
    #[arg(long, default_value_t = 7)]
    starts: usize,
    /// For how many seconds devices come and go.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// From the start of the process, and from the wish for a window, to the painted list.
    Painted,
    /// The memory of all processes.
    Memory,
    /// Input, frames and the way of an event to the screen while devices come and go.
    Storm,
}

// One thread: a parent-death signal comes when the thread that started the child ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let load = std::fs::read_to_string("/proc/loadavg")?;
    say(&format!("Load of the machine at the beginning: {}", load.trim()))?;
    let wanted = |part| cli.only.is_empty() || cli.only.contains(&part);
    if wanted(Part::Painted) {
        painted::run(&cli.devices, cli.starts).await?;
    }
    if wanted(Part::Memory) {
        memory::run(&cli.devices).await?;
    }
    if wanted(Part::Storm) {
        storm::run(&cli.devices, cli.seconds).await?;
    }
    Ok(())
}

/// Says it at once, also into a pipe.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush().context("nobody listens")
}

/// A desktop with the application's options for this many configurations.
async fn scene(devices: u16) -> Result<(Scene, AppOptions)> {
    let scene = Scene::set(Furniture::ALL).await?.context("this needs network namespaces")?;
    let config = scene.config();
    std::fs::create_dir_all(&config)?;
    for number in 0..devices {
        std::fs::write(config.join(format!("{}.yaml", name(number))), yaml(number))?;
    }
    let options = AppOptions::default().with("--config").with(config);
    let options = options.with("--esphome").with(scene.failing_esphome()?);
    Ok((scene, options))
}

/// Like somebody's: every second one sleeps.
fn yaml(number: u16) -> String {
    let sleep = if number.is_multiple_of(2) {
        "\ndeep_sleep:\n  run_duration: 15s\n  sleep_duration: 10min\n"
    } else {
        ""
    };
    format!(
        "substitutions:\n  name: {}\nesphome:\n  name: ${{name}}\n  friendly_name: Device {number}\n\n\
         esp32:\n  board: esp32dev\n\nlogger:\napi:\n  encryption:\n    key: !secret api_key\n\
         ota:\n  - platform: esphome\n    password: !secret ota_password\n\
         wifi:\n  ssid: !secret wifi_ssid\n  password: !secret wifi_password\n{sleep}",
        name(number)
    )
}

/// Times in milliseconds.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
    }

    fn row(&self, devices: u16, name: &str) -> Result<String> {
        ensure!(!self.0.is_empty(), "nothing was measured of {name:?}");
        let [min, median, p95, max] = [0.0, 0.5, 0.95, 1.0].map(|part| self.quantile(part));
        let count = self.0.len();
        Ok(format!(
            "| {devices} | {name} | {count} | {min:.0} | {median:.0} | {p95:.0} | {max:.0} |"
        ))
    }
}

const TIMES_HEAD: &str = "\
| devices | time in ms | times | min | median | p95 | max |
|---|---|---|---|---|---|---|";
