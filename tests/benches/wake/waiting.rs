//! What it costs to wait for devices that don't come.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::time::{Instant, sleep};
use wakeflash_core::device::Presence;
use wakeflash_tests::kept::Sibling;
use wakeflash_tests::lan::crowd::{Crowd, CrowdOptions};
use wakeflash_tests::stage::others::wanted_yaml;
use wakeflash_tests::stage::{Scene, Stage, state_of};

use super::{judge, say};

const COUNTS: [u8; 3] = [1, 50, 200];
const PATIENCE: Duration = Duration::from_secs(180);

/// Measures it for one, some and many devices.
pub(super) async fn run(seconds: u64) -> Result<()> {
    say("\n## The cost of waiting\n")?;
    say("| waiting devices | CPU, % of one core | packets sent per minute | memory (PSS), MiB |")?;
    say("|---|---|---|---|")?;
    let mut last = 0.0;
    for count in COUNTS {
        last = one(count, Duration::from_secs(seconds)).await?;
    }
    say("")?;
    judge("CPU for 200 waiting devices", last, 2.0, "%")
}

async fn one(count: u8, time: Duration) -> Result<f64> {
    let mut stage = Stage::play(Scene::default()).await?.context("no LAN")?;
    let host = stage.lan.host("crowd").await?;
    let siblings: Vec<_> = (0..u16::from(count)).map(Sibling).collect();
    for sibling in &siblings {
        wanted_yaml(*sibling).write_to(&stage.config, &sibling.file())?;
    }
    let options = CrowdOptions { count, version: stage.old.esphome_version.clone() };
    let crowd = Crowd::start(&host, &options).await?;
    until_all(&stage, count, |row| !row.addresses.is_empty()).await?;
    crowd.leave().await?;
    until_all(&stage, count, |row| row.presence == Presence::Asleep).await?;
    host.link(false).await?;
    for sibling in &siblings {
        stage.app.device_command("install", &sibling.file()).await?;
    }
    until_all(&stage, count, |row| state_of(row) == "waiting").await?;
    // What follows on the builds is no waiting.
    sleep(Duration::from_secs(10)).await;
    let pid = stage.app.process().pid().await.context("it has ended")?;
    let (began, cpu, packets) = (Instant::now(), cpu_seconds(pid)?, sent_packets(pid)?);
    sleep(time).await;
    let passed = began.elapsed().as_secs_f64();
    let share = (cpu_seconds(pid)? - cpu) / passed * 100.0;
    let per_minute = (sent_packets(pid)? - packets) / passed * 60.0;
    let memory = memory_mib(pid)?;
    say(&format!("| {count} | {share:.2} | {per_minute:.0} | {memory:.0} |"))?;
    stage.app.request(json!({"cmd": "shutdown"})).await?;
    Ok(share)
}

async fn until_all(
    stage: &Stage,
    count: u8,
    wanted: impl Fn(&wakeflash_core::view::DeviceView) -> bool,
) -> Result<()> {
    let ids: Vec<String> = (0..u16::from(count)).map(|number| Sibling(number).file()).collect();
    stage
        .until_snapshot("all are so", PATIENCE, |snapshot| {
            let rows = snapshot.devices.iter();
            let so = rows.filter(|row| ids.iter().any(|id| id == row.id.as_str()) && wanted(row));
            so.count() == ids.len()
        })
        .await
        .map(drop)
}

/// User and system time of a process, proc_pid_stat(5); the kernel's unit for users is 10 ms.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc is unexpected")?;
    let mut ticks = 0.0;
    for field in fields.split_ascii_whitespace().skip(11).take(2) {
        ticks += field.parse::<f64>()?;
    }
    Ok(ticks / 100.0)
}

/// Packets that the network card of the process's host has sent: those of this process, and of the kernel
/// on its behalf (ARP).
fn sent_packets(pid: u32) -> Result<f64> {
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/dev"))?;
    let card = table.lines().find_map(|line| line.trim().strip_prefix("eth0:"));
    let sent = card.and_then(|card| card.split_ascii_whitespace().nth(9));
    Ok(sent.context("no eth0")?.parse()?)
}

pub(super) fn memory_mib(pid: u32) -> Result<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = pss.and_then(|pss| pss.split_ascii_whitespace().next());
    Ok(kib.context("no PSS")?.parse::<f64>()? / 1024.0)
}
