//! A device whose new firmware crashes: it is found in safe mode, and gets the build from before.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wakeflash_core::device::Presence;
use wakeflash_core::view::Group;
use wakeflash_tests::esphome::firmware;
use wakeflash_tests::stage::{BUILD, SOON, Stage, new_yaml, old_yaml};
use wakeflash_tests::supervisor::{Mdns, Wake};

/// Its update is built, the device wakes, and runs it.
async fn install(stage: &mut Stage) -> Result<Option<u32>> {
    stage.command("install").await?;
    stage.until_state("waiting", BUILD).await?;
    stage.wake().await?;
    stage.until_state("installed", SOON).await?;
    let runs = stage.device.running_hash().await?;
    stage.let_it_sleep().await?;
    Ok(runs)
}

#[tokio::test]
async fn a_device_in_safe_mode_is_told_and_gets_its_last_good_build() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    let good = install(&mut stage).await?;
    stage.write(&new_yaml().with_friendly_name("Sleepy Sensor 3")).await?;
    let bad = install(&mut stage).await?;
    // What was asked of it before it slept gets no answer: that it is still a neighbour is no sign of life.
    let slept = Instant::now();
    while slept.elapsed() < Duration::from_secs(3) {
        let row = stage.row().await?;
        ensure!(row.presence == Presence::Asleep, "{row:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(good.is_some() && good != bad, "{good:?} {bad:?}");
    ensure!(stage.row().await?.crash_loop.is_none());

    // As safe mode is from outside: its OTA port, its host name, and no API.
    let safe_mode = firmware(&old_yaml().with_api(false)).await?;
    let program = stage.dir.path().join("device/program");
    std::fs::remove_file(&program)?;
    std::fs::copy(&safe_mode.program, &program)?;
    stage.device.wake(Wake { mdns: Mdns::NameOnly, ..Wake::default() }).await?;
    let row = stage.until("it is in safe mode", SOON, |row| row.crash_loop.is_some()).await?;
    ensure!(row.group() == Some(Group::Attention), "{row:?}");
    let problem = row.crash_loop.context("it was said")?;
    ensure!(problem.code == "device.safe_mode", "{problem:?}");
    ensure!(row.previous_build.is_some(), "there is a good build to go back to");

    stage.command("install_previous").await?;
    let row = stage.until_state("installed", SOON).await?;
    ensure!(row.crash_loop.is_none(), "it runs what it ran before: {row:?}");
    ensure!(stage.device.running_hash().await? == good);
    Ok(())
}
