//! What it costs to be there when nothing happens.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;
use wakeflash_tests::kept::Sibling;
use wakeflash_tests::soak::memory;
use wakeflash_tests::stage::others::wanted_yaml;
use wakeflash_tests::stage::{BUILD, Scene, Stage};

use super::say;

/// Until what follows on the start is over.
const SETTLE: Duration = Duration::from_secs(60);

/// Measures it for one device and for many.
pub(super) async fn run(devices: u16, seconds: u64) -> Result<()> {
    say("\n## At rest\n")?;
    say(
        "| devices | CPU in an hour, s | written in an hour, KiB | memory (PSS), MiB | open files | threads |",
    )?;
    say("|---|---|---|---|---|---|")?;
    for count in [1, devices] {
        one(count, seconds).await?;
    }
    Ok(())
}

async fn one(devices: u16, seconds: u64) -> Result<()> {
    let stage = Stage::play(Scene { ready: false, ..Scene::default() }).await?.context("no LAN")?;
    for sibling in (1..devices).map(Sibling) {
        wanted_yaml(sibling).write_to(&stage.config, &sibling.file())?;
    }
    stage.until_ready().await?;
    let all =
        |snapshot: &wakeflash_core::view::Snapshot| snapshot.devices.len() >= usize::from(devices);
    stage.until_snapshot("all are listed", BUILD, all).await?;
    sleep(SETTLE).await;
    let pid = stage.app.process().pid().await.context("it has ended")?;
    let (cpu, written) = (cpu_ticks(pid)?, written(pid)?);
    sleep(Duration::from_secs(seconds)).await;
    let hours = 3_600.0 / seconds as f64;
    let cpu = (cpu_ticks(pid)? - cpu) as f64 / 100.0 * hours;
    let written = (self::written(pid)? - written) as f64 / 1024.0 * hours;
    let memory = memory(pid)? as f64 / f64::from(1 << 20);
    let count = |what: &str| Ok::<_, anyhow::Error>(std::fs::read_dir(what)?.count());
    let files = count(&format!("/proc/{pid}/fd"))?;
    let threads = count(&format!("/proc/{pid}/task"))?;
    say(&format!("| {devices} | {cpu:.1} | {written:.0} | {memory:.1} | {files} | {threads} |"))
}

/// User and system time of a process, proc_pid_stat(5); the kernel's unit for users is 10 ms.
fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc is unexpected")?;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(ticks.sum::<Result<u64, _>>()?)
}

/// Bytes that it has written into files.
fn written(pid: u32) -> Result<u64> {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.context("/proc is unexpected")?.parse()?)
}
