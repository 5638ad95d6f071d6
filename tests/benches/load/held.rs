//! What it takes to hold many devices that wait for their turn.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep};
use wakeflash_tests::kept::Sibling;
use wakeflash_tests::lan::fleet::{Fleet, FleetOptions};
use wakeflash_tests::soak::memory;
use wakeflash_tests::stage::others::wanted_yaml;
use wakeflash_tests::stage::{Scene, Stage, state_of};

use super::say;

const PATIENCE: Duration = Duration::from_secs(900);

/// Until those that could be held are.
const HOLD: Duration = Duration::from_secs(60);

/// Measures it for so many.
pub(super) async fn run(count: u16) -> Result<()> {
    say(&format!("\n## {count} sleepers held at once\n"))?;
    let mut stage = Stage::play(Scene::default()).await?.context("no LAN")?;
    // Those that don't fit into the network are in the next one.
    let second = format!("ip addr add 10.77.1.2/24 dev {}", wakeflash_tests::lan::INTERFACE);
    let added = stage.home.admin("sh").args(["-c", &second]).status().await?;
    ensure!(added.success(), "{added}");
    let siblings: Vec<_> = (0..count).map(Sibling).collect();
    for sibling in &siblings {
        wanted_yaml(*sibling).write_to(&stage.config, &sibling.file())?;
    }
    let listed =
        |snapshot: &wakeflash_core::view::Snapshot| snapshot.devices.len() > usize::from(count);
    stage.until_snapshot("all are listed", PATIENCE, listed).await?;
    for sibling in &siblings {
        stage.app.device_command("install", &sibling.file()).await?;
    }
    let wait = |snapshot: &wakeflash_core::view::Snapshot| {
        let waiting = snapshot.devices.iter().filter(|row| state_of(row) == "waiting");
        waiting.count() == usize::from(count)
    };
    stage.until_snapshot("all are built", PATIENCE, wait).await?;
    let pid = stage.app.process().pid().await.context("it has ended")?;
    sleep(Duration::from_secs(10)).await;
    let before = memory(pid)?;
    let host = stage.lan.host("fleet").await?;
    let options = FleetOptions {
        count,
        version: stage.old.esphome_version.clone(),
        old_hash: 0x1111_1111,
        new_hash: 0x2222_2222,
        port: 13232,
        every_ms: 10_000,
        awake_ms: 10_000,
        stall: true,
    };
    let fleet = Fleet::start(&host, &options).await?;
    let (mut most_held, mut most) = (0, before);
    let began = Instant::now();
    while began.elapsed() < HOLD {
        sleep(Duration::from_millis(500)).await;
        most_held = most_held.max(fleet.tally()?.held);
        most = most.max(memory(pid)?);
    }
    let mib = |bytes: u64| bytes >> 20;
    say(
        "| waiting | held at most | memory (PSS) before, MiB | at most while they are held, MiB |",
    )?;
    say("|---|---|---|---|")?;
    say(&format!("| {count} | {most_held} | {} | {} |", mib(before), mib(most)))
}
