//! Cancel, at every stage of an update.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use wakeflash_core::view::DeviceView;
use wakeflash_tests::peer::{Fault, Script, Stage as PeerStage};
use wakeflash_tests::scripted::ScriptedDevice;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Scene, Stage, new_yaml};
use wakeflash_tests::yaml::DeviceYaml;

const SECOND: &str = "second.yaml";

/// The state of a row's update with all that it says.
fn state(row: &DeviceView) -> Value {
    serde_json::to_value(&row.update).unwrap_or_default()["state"].clone()
}

#[tokio::test]
async fn a_queued_and_a_running_build_are_cancelled_with_all_their_processes() -> Result<()> {
    let second = DeviceYaml::new("second").with_friendly_name("Second");
    let wanted = BTreeMap::from([(DEVICE.to_owned(), new_yaml()), (SECOND.to_owned(), second)]);
    let scene = Scene { really_builds: true, wanted, ..Scene::default() };
    let Some(stage) = Stage::play(scene).await? else { return Ok(()) };

    stage.command("install").await?;
    stage.until_state("building", SOON).await?;
    stage.app.device_command("install", SECOND).await?;
    let queued =
        stage.until_row(SECOND, "it is queued", SOON, |row| state(row)["kind"] == "queued").await?;
    ensure!(state(&queued)["ahead"] == 1, "one build comes before: {:?}", queued.update);
    stage.app.device_command("cancel", SECOND).await?;
    stage
        .until_row(SECOND, "it is cancelled", SOON, |row| state(row)["kind"] == "cancelled")
        .await?;

    stage.until_compiling().await?;
    let before = stage.build_processes()?.len();
    ensure!(before > 1, "ESPHome has children");
    stage.command("cancel").await?;
    stage.until_no_build_runs(Duration::from_secs(20)).await?;
    let row = stage.until_state("cancelled", SOON).await?;
    ensure!(state(&row)["mayHaveArrived"] == false, "nothing was sent: {:?}", row.update);
    let counts = stage.snapshot().await?.status.counts;
    ensure!((counts.working, counts.waiting) == (0, 0), "{counts:?}");

    // The cancelled second one was never begun, and a cancelled update has nothing to cancel.
    let log = stage.state.join("logs");
    ensure!(std::fs::read_dir(log)?.count() == 1, "only one build has a log");
    let refused = stage.app.process().refusal(json!({"cmd": "cancel", "device": DEVICE})).await?;
    ensure!(refused["code"] == "update.none", "{refused}");
    ensure!(stage.build_processes()?.is_empty(), "nothing was started");
    Ok(())
}

#[tokio::test]
async fn a_cancelled_update_is_not_flashed_and_a_cancelled_transfer_leaves_the_old_firmware()
-> Result<()> {
    // Large enough that its end is not in sight when its beginning has arrived.
    let wanted = BTreeMap::from([(DEVICE.to_owned(), new_yaml().with_ballast(512))]);
    let scene = Scene { wanted, ..Scene::default() };
    let Some(stage) = Stage::play(scene).await? else { return Ok(()) };
    stage.let_it_be_seen().await?;

    // Waiting.
    stage.until_built().await?;
    stage.command("cancel").await?;
    let row = stage.until_state("cancelled", SOON).await?;
    ensure!(state(&row)["mayHaveArrived"] == false, "{:?}", row.update);
    stage.device.wake_fully().await?;
    stage
        .until("seen awake", SOON, |row| row.presence == wakeflash_core::device::Presence::Online)
        .await?;
    // Longer than the period at which a waiting device is tried.
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(stage.device.state().await?.ota_sessions == 0, "nobody connected to it");

    // During the transfer.
    stage.slow_down(300_000).await?;
    stage.command("install").await?;
    stage.device.wait("data phase", BUILD, |state| state.ota_started == 1).await?;
    stage
        .until("bytes have arrived", SOON, |row| {
            let progress = row.update.as_ref().and_then(|update| update.progress.as_ref());
            progress.is_some_and(|progress| progress.percent.is_some_and(|percent| percent > 0))
        })
        .await?;
    stage.command("cancel").await?;
    let row = stage.until_state("cancelled", SOON).await?;
    ensure!(state(&row)["mayHaveArrived"] == false, "{:?}", row.update);
    stage.slow_down(0).await?;
    stage.device.wait("end of the data phase", BUILD, |state| state.ota_failed == 1).await?;
    let device = stage.device.state().await?;
    ensure!(device.running_hash == Some(stage.old.config_hash), "the old firmware: {device:?}");
    ensure!(device.ota_done == 0, "{device:?}");

    // It takes the next update.
    stage.command("retry").await?;
    let row = stage.until_state("installed", BUILD).await?;
    let wanted = row.update.and_then(|update| update.wanted_hash).map(|hash| hash.0);
    ensure!(stage.device.running_hash().await? == wanted && wanted.is_some());
    Ok(())
}

#[tokio::test]
async fn a_cancel_after_the_last_byte_says_that_the_device_may_run_it() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    let host = stage.lan.host("peer").await?;
    let device = ScriptedDevice::start(&host, "sleepy", new_yaml().ota_port, &stage.old).await?;

    // The whole image is out, the acknowledgement isn't there.
    device.play(Script::default().fault(PeerStage::Received, Fault::Stall)).await?;
    stage.until_built().await?;
    device.announce(Some(stage.old.config_hash)).await?;
    device.until("the image arrived", SOON, |all| all.iter().any(|one| one.faulted)).await?;
    stage.until_state("flashing", SOON).await?;
    stage.command("cancel").await?;
    let row = stage.until_state("cancelled", SOON).await?;
    ensure!(state(&row)["mayHaveArrived"] == true, "{:?}", row.update);

    // Acknowledged, and it has not come back.
    device.play(Script::default()).await?;
    stage.command("install").await?;
    stage.until_state("confirming", BUILD).await?;
    stage.command("cancel").await?;
    let row = stage.until_state("cancelled", SOON).await?;
    ensure!(state(&row)["mayHaveArrived"] == true, "{:?}", row.update);
    let sent = device.sessions().await?.iter().filter(|one| one.image_md5.is_some()).count();
    ensure!(sent == 1, "one image arrived as a whole");
    Ok(())
}
