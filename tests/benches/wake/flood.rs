//! What a flood of forged announcements costs, and what is missed among them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::{Instant, sleep};
use wakeflash_tests::esphome::firmware;
use wakeflash_tests::lan::forger::{ForgeOptions, Forger};
use wakeflash_tests::stage::{SOON, Scene, Stage, old_yaml};
use wakeflash_tests::supervisor::{DeviceOptions, Wake};

use super::waiting::{cpu_seconds, memory_mib};
use super::{judge, say};

const PER_MINUTE: u32 = 100_000;
const MINUTE: Duration = Duration::from_secs(60);

/// Floods the network for so many minutes, each announcement in another name; in the second of them a device wakes.
pub(super) async fn run(minutes: u64) -> Result<()> {
    say(&format!("\n## {PER_MINUTE} forged announcements a minute\n"))?;
    say("| minute | CPU, % of one core | memory (PSS), MiB | rows | lines logged |")?;
    say("|---|---|---|---|---|")?;
    let mut stage =
        Stage::play(Scene { logs: true, ..Scene::default() }).await?.context("no LAN")?;
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    let pid = stage.app.process().pid().await.context("it has ended")?;
    say(&format!("| before | | {:.0} | {} | |", memory_mib(pid)?, rows(&stage).await?))?;
    let host = stage.lan.host("flood").await?;
    let flood = ForgeOptions {
        name: None,
        mac: None,
        hash: None,
        count: 0,
        per_minute: PER_MINUTE,
        ..ForgeOptions::new(&host, "any", "02:77:00:00:00:98", 0)
    };
    let flooding = Forger::start(&host, &flood)?;
    let mut memory = Vec::new();
    let mut busiest = 0.0_f64;
    for minute in 1..=minutes {
        let (began, cpu, logged) = (Instant::now(), cpu_seconds(pid)?, stage.app.log_lines()?);
        if minute == 2 {
            stage.device.wake(Wake { for_ms: Some(15_000), ..Wake::default() }).await?;
            stage.ensure_flashed_once().await?;
        }
        sleep(MINUTE.saturating_sub(began.elapsed())).await;
        let share = (cpu_seconds(pid)? - cpu) / began.elapsed().as_secs_f64() * 100.0;
        busiest = busiest.max(share);
        memory.push(memory_mib(pid)?);
        let now = memory.last().copied().unwrap_or_default();
        let (rows, logged) = (rows(&stage).await?, stage.app.log_lines()? - logged);
        say(&format!("| {minute} | {share:.1} | {now:.0} | {rows} | {logged} |"))?;
    }
    drop(flooding);
    say("")?;
    judge("CPU in the busiest minute", busiest, 50.0, "%")?;
    let (first, last) = (memory.first().copied(), memory.last().copied());
    let growth = last.zip(first).map_or(0.0, |(last, first)| last - first);
    judge("memory after the first minute", growth, 5.0, "MiB more")?;
    say("the wake among them: flashed in its window of 15 s")?;
    discover(&mut stage).await?;
    stage.app.request(json!({"cmd": "shutdown"})).await.map(drop)
}

async fn rows(stage: &Stage) -> Result<usize> {
    Ok(stage.snapshot().await?.devices.len())
}

/// A device that is new is discovered.
async fn discover(stage: &mut Stage) -> Result<()> {
    let host = stage.lan.host("new").await?;
    let firmware = firmware(&old_yaml().with_name("newcomer")).await?;
    let dir = stage.dir.path().join("new");
    let device = host.device(&DeviceOptions::new("newcomer", &firmware.program, &dir)).await?;
    let began = Instant::now();
    device.wake_fully().await?;
    let listed = stage.until_snapshot("it is listed", SOON, |snapshot| {
        snapshot.devices.iter().any(|row| row.name == "newcomer")
    });
    ensure!(listed.await.is_ok(), "the new device isn't discovered");
    say(&format!(
        "a new device afterwards: listed {:.1} s after it woke",
        began.elapsed().as_secs_f64()
    ))
}
