//! The main job, without a window: Install on a sleeping real device, a build by the real ESPHome, a crash
//! while it waits, a wake, a flash, the device's own word.

use anyhow::{Result, ensure};
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Stage};

#[tokio::test]
async fn a_sleeping_device_is_updated_when_it_wakes_though_the_application_was_killed() -> Result<()>
{
    let Some(mut stage) = Stage::set().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;

    stage.command("install").await?;
    stage.until_state("building", SOON).await?;
    stage.until_state("waiting", BUILD).await?;
    // When the build has taken longer than the device sleeps, it is overdue by now, and needs attention.
    let counts = stage.snapshot().await?.status.counts;
    ensure!((counts.waiting + counts.attention, counts.working) == (1, 0), "{counts:?}");

    stage.app.restart().await?;
    stage.until_ready().await?;
    stage.until_state("waiting", SOON).await?;
    ensure!(stage.device.state().await?.ota_started == 0, "nothing was sent to a sleeping device");

    stage.wake().await?;
    let row = stage.until_state("installed", SOON).await?;
    // A device that is asked who it is may answer so late that it is tried once more.
    let states = stage.states_to("installed").await?;
    let (end, tried) = (["flashing", "confirming", "installed"].map(str::to_owned), states.len());
    ensure!(states.ends_with(&end), "unexpected states: {states:?}");
    let before = &states[..tried - end.len()];
    let is_waited_for = |state: &String| ["waiting", "flashing"].contains(&&**state);
    ensure!(before.iter().all(is_waited_for), "unexpected states: {states:?}");
    let wanted = row.update.and_then(|update| update.wanted_hash).map(|hash| hash.0);
    ensure!(wanted.is_some() && wanted != Some(stage.old.config_hash));
    let state = stage.device.state().await?;
    ensure!(stage.device.running_hash().await? == wanted, "the device runs what was built");
    ensure!((state.ota_started, state.ota_done) == (1, 1), "flashed exactly once: {state:?}");
    let told = stage.notified("installed", 1).await?;
    ensure!(told[0]["device"] == DEVICE, "notifications: {told:?}");
    ensure!(told[0]["title"].as_str().is_some_and(|title| title.contains("Sleepy Sensor 2")));

    // Promise 2: no further wake, no restart causes another flash.
    stage.device.sleep(true).await?;
    stage.app.restart().await?;
    stage.until_ready().await?;
    stage.device.wake_fully().await?;
    stage.until("seen again", SOON, |row| row.deployed_hash.map(|hash| hash.0) == wanted).await?;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    ensure!(stage.device.state().await?.ota_started == state.ota_started, "it was flashed again");
    Ok(())
}
