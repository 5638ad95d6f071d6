//! Going back to the build that was installed before: on a real device, through the queue and over a restart.

use anyhow::{Result, ensure};
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Stage, new_yaml};

/// Its update is built, the device wakes, and runs it.
async fn install(stage: &mut Stage) -> Result<Option<u32>> {
    stage.command("install").await?;
    stage.until_state("waiting", BUILD).await?;
    let runs = flashed(stage).await?;
    stage.device.sleep(true).await?;
    Ok(runs)
}

async fn flashed(stage: &mut Stage) -> Result<Option<u32>> {
    stage.wake().await?;
    stage.until_state("installed", SOON).await?;
    stage.device.running_hash().await
}

#[tokio::test]
async fn the_previous_build_is_sent_as_it_was_built_though_its_yaml_is_broken() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    let first = install(&mut stage).await?;
    ensure!(stage.row().await?.previous_build.is_none(), "nothing older was installed from here");
    stage.write(&new_yaml().with_friendly_name("Sleepy Sensor 3")).await?;
    let second = install(&mut stage).await?;
    ensure!(first.is_some() && first != second, "{first:?} {second:?}");

    stage.app.restart().await?;
    stage.until_ready().await?;
    std::fs::write(stage.config.join(DEVICE), "esphome: [")?;
    stage.until("it is broken", SOON, |row| row.problem.is_some()).await?;
    ensure!(stage.row().await?.previous_build.is_some());
    stage.command("install_previous").await?;
    stage.until_state("waiting", SOON).await?;
    ensure!(flashed(&mut stage).await? == first, "it runs the first again");
    ensure!(stage.device.state().await?.ota_done == 3);
    Ok(())
}
