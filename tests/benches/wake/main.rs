//! `make bench-wake`: how fast a wake is noticed, how many windows are caught, what waiting costs.
//! docs/PERFORMANCE.md says what it measures and has its tables.

mod flood;
mod latency;
mod waiting;
mod windows;

use std::io::Write as _;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use wakeflash_tests::lan::Lan;

#[derive(Parser)]
struct Cli {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How many wakes are measured for each latency.
    #[arg(long, default_value_t = 20)]
    wakes: usize,
    /// How many wakes for each window and loss.
    #[arg(long, default_value_t = 20)]
    windows: usize,
    /// For how many seconds the cost of waiting is measured.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// For how many minutes forged announcements come.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// From the first words of a device whose address nobody knew.
    Evidence,
    /// From the link to the image, with `api:` and without.
    Api,
    /// From the link of a device that is expected and says nothing.
    Expected,
    /// First windows that are caught.
    Windows,
    /// Updates that are done though packets get lost.
    Updates,
    /// The cost of waiting.
    Waiting,
    /// Forged announcements; only when it is asked for.
    Flood,
}

// One thread: a parent-death signal comes when the thread that started the child ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    Lan::new().await.context("this needs network namespaces")?;
    let wanted = |part| cli.only.is_empty() || cli.only.contains(&part);
    if wanted(Part::Evidence) {
        latency::evidence(cli.wakes).await?;
    }
    if wanted(Part::Api) {
        latency::api(cli.wakes).await?;
    }
    if wanted(Part::Expected) {
        for gratuitous_arp in [true, false] {
            latency::expected(cli.wakes, gratuitous_arp).await?;
        }
    }
    if wanted(Part::Windows) {
        windows::run(cli.windows).await?;
    }
    if wanted(Part::Updates) {
        windows::updates(cli.windows).await?;
    }
    if wanted(Part::Waiting) {
        waiting::run(cli.seconds).await?;
    }
    if cli.only.contains(&Part::Flood) {
        flood::run(cli.minutes).await?;
    }
    Ok(())
}

/// Says it at once, also into a pipe.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush().context("nobody listens")
}

/// Says whether an aim was met.
fn judge(what: &str, value: f64, aim: f64, unit: &str) -> Result<()> {
    let verdict = if value < aim { "met" } else { "missed" };
    say(&format!("{what}: {value:.1} {unit}, aim {aim} {unit}: {verdict}"))
}

/// Times, in milliseconds.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    /// Adds the time between two moments in microseconds.
    fn add(&mut self, from_us: u64, to_us: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a few seconds at most")]
        self.0.push(to_us.saturating_sub(from_us) as f64 / 1000.0);
    }

    /// The time that this part of them doesn't exceed.
    fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
    }

    fn row(&self, name: &str) -> String {
        let [min, median, p95, max] = [0.0, 0.5, 0.95, 1.0].map(|part| self.quantile(part));
        format!("| {name} | {} | {min:.1} | {median:.1} | {p95:.1} | {max:.1} |", self.0.len())
    }
}

const TIMES_HEAD: &str = "\
| time in ms | wakes | min | median | p95 | max |
|---|---|---|---|---|---|";
