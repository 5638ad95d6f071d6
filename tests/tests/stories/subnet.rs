//! Devices in another network, behind a router: no multicast comes from there, no ARP, and they answer no question by
//! mDNS. Over their native API they are identified and confirmed like all others.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use wakeflash_core::device::Presence;
use wakeflash_tests::stage::{DEVICE, SOON, Scene, Stage, new_yaml, old_yaml};
use wakeflash_tests::supervisor::{DeviceOptions, Wake};

/// Where the device of a scene with a router is.
const THERE: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);

/// A scene whose device is behind a router; its YAML says where, or doesn't.
async fn set(says_where: bool) -> Result<Option<Stage>> {
    let at = |yaml: wakeflash_tests::yaml::DeviceYaml| {
        if says_where { yaml.with_address(THERE) } else { yaml }
    };
    let scene = Scene {
        runs: at(old_yaml()),
        wanted: [(DEVICE.to_owned(), at(new_yaml()))].into(),
        behind_router: true,
        ..Scene::default()
    };
    let stage = Stage::play(scene).await?;
    if let Some(stage) = &stage {
        ensure!(stage.sensor.address() == THERE, "it is at {}", stage.sensor.address());
    }
    Ok(stage)
}

async fn enter_address(stage: &Stage, address: Ipv4Addr) -> Result<()> {
    let entered = json!({"cmd": "set_address", "device": DEVICE, "address": address});
    stage.app.request(entered).await.map(|_| ())
}

/// It wakes, is flashed in this window, and says itself what it runs.
async fn ensure_flashed_and_confirmed(stage: &Stage) -> Result<()> {
    stage.wake().await?;
    stage.ensure_flashed_once().await?;
    let row = stage.row().await?;
    ensure!(row.presence == Presence::Online, "{row:?}");
    ensure!(row.mac.is_some_and(|it| it.to_string().eq_ignore_ascii_case(stage.sensor.mac())));
    ensure!(row.deployed_hash.is_some(), "{row:?}");
    let timeline = stage.details().await?.timeline;
    let confirmed = "Installed: the device announced the new firmware.";
    ensure!(timeline.iter().any(|entry| entry.text == confirmed), "{timeline:#?}");
    Ok(())
}

#[tokio::test]
async fn a_device_behind_a_router_is_flashed_at_the_address_in_its_yaml() -> Result<()> {
    let Some(stage) = set(true).await? else { return Ok(()) };
    stage.until_built().await?;
    ensure_flashed_and_confirmed(&stage).await
}

#[tokio::test]
async fn a_device_behind_a_router_is_flashed_at_the_address_that_the_user_entered() -> Result<()> {
    let Some(stage) = set(false).await? else { return Ok(()) };
    stage.until_built().await?;
    enter_address(&stage, THERE).await?;
    ensure_flashed_and_confirmed(&stage).await
}

#[tokio::test]
async fn another_device_at_the_address_that_the_user_entered_gets_nothing() -> Result<()> {
    let Some(mut stage) = set(false).await? else { return Ok(()) };
    let host = stage.lan.host_elsewhere("kitchen").await?;
    let firmware = wakeflash_tests::esphome::firmware(&old_yaml().with_name("kitchen")).await?;
    let dir = stage.dir.path().join("kitchen");
    let kitchen = host.device(&DeviceOptions::new("kitchen", &firmware.program, &dir)).await?;
    stage.until_built().await?;
    enter_address(&stage, host.address()).await?;
    kitchen.wake(Wake::default()).await?;
    stage
        .until("it is found to be another one", SOON, |row| {
            let update = serde_json::to_value(&row.update).unwrap_or_default();
            update["lastAttempt"]["problem"]["code"] == "gate.other_device"
        })
        .await?;
    let state = kitchen.state().await?;
    ensure!((state.ota_started, state.running) == (0, true), "{state:?}");
    enter_address(&stage, THERE).await?;
    ensure_flashed_and_confirmed(&stage).await
}

#[tokio::test]
async fn a_device_that_was_flashed_by_other_means_is_not_flashed_again() -> Result<()> {
    let Some(stage) = set(true).await? else { return Ok(()) };
    stage.until_built().await?;
    // Somebody else has put this very build on it meanwhile.
    let built = stage.config.join(".esphome/build/sleepy/.pioenvs/sleepy/program");
    let runs = stage.dir.path().join("device/program");
    std::fs::copy(&built, &runs).with_context(|| runs.display().to_string())?;
    stage.wake().await?;
    let row = stage.until_state("installed", SOON).await?;
    ensure!(row.deployed_hash.is_some(), "{row:?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let state = stage.device.state().await?;
    ensure!(state.ota_started == 0, "{state:?}");
    Ok(())
}
