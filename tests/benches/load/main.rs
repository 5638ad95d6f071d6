//! `make bench-load`: the engine under load and at rest. docs/PERFORMANCE.md says what it measures and has its tables.

mod busy;
mod held;
mod idle;

use std::io::Write as _;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use wakeflash_tests::lan::Lan;

#[derive(Parser)]
struct Cli {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How many requests of each kind are measured.
    #[arg(long, default_value_t = 40)]
    requests: usize,
    /// For how many seconds it is watched at rest.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// How many devices it knows then.
    #[arg(long, default_value_t = 1_000)]
    devices: u16,
    /// How many sleepers are held at once.
    #[arg(long, default_value_t = 300)]
    held: u16,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Requests on a slow disk while devices come and go.
    Busy,
    /// Nothing happens.
    Idle,
    /// Many devices wait for their turn.
    Held,
}

// One thread: a parent-death signal comes when the thread that started the child ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    Lan::new().await.context("this needs network namespaces")?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    say(&format!("Load of the machine at the beginning: {}", load.trim()))?;
    let wanted = |part| cli.only.is_empty() || cli.only.contains(&part);
    if wanted(Part::Busy) {
        busy::run(cli.requests).await?;
    }
    if wanted(Part::Idle) {
        idle::run(cli.devices, cli.seconds).await?;
    }
    if wanted(Part::Held) {
        held::run(cli.held).await?;
    }
    Ok(())
}

/// Says it at once, also into a pipe.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush().context("nobody listens")
}
