//! Flashes that are cut, and devices that were flashed by others.

use std::ffi::OsStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use wakeflash_tests::device::DeviceState;
use wakeflash_tests::esphome::{Esphome, firmware};
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Scene, Stage, new_yaml};
use wakeflash_tests::supervisor::Wake;

fn window(seconds: u64) -> Wake {
    Wake { for_ms: Some(seconds * 1000), ..Wake::default() }
}

/// A scene with firmware whose transfer has a middle, waited for.
async fn armed_with_much_to_send() -> Result<Option<Stage>> {
    let wanted = [(DEVICE.to_owned(), new_yaml().with_ballast(512))].into();
    let Some(stage) = Stage::play(Scene { wanted, ..Scene::default() }).await? else {
        return Ok(None);
    };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    // About eight seconds for the whole image.
    stage.slow_down(800_000).await?;
    Ok(Some(stage))
}

/// Told, not asked: the other half may be on its way soon.
async fn until_half_is_sent(stage: &Stage) -> Result<()> {
    let half = |line: &serde_json::Value| {
        let device = &line["event"]["device"];
        device["id"] == DEVICE
            && device["update"]["progress"]["percent"].as_u64().is_some_and(|percent| percent >= 50)
    };
    stage.app.wait_for("half of the image", SOON, half).await.map(|_| ())
}

#[tokio::test]
async fn a_power_cut_at_half_of_the_image_is_made_good_at_the_next_wake() -> Result<()> {
    let Some(stage) = armed_with_much_to_send().await? else { return Ok(()) };
    stage.wake().await?;
    until_half_is_sent(&stage).await?;
    stage.device.power_cut().await?;
    stage.slow_down(0).await?;
    // By now the pauses between TCP's repetitions are longer than the next window.
    tokio::time::sleep(Duration::from_millis(7500)).await;
    stage.let_it_be_caught(window(3)).await?;
    stage.until_state("installed", SOON).await?;
    let state = stage.device.state().await?;
    ensure!((state.ota_started, state.ota_done) == (2, 1), "{state:?}");
    Ok(())
}

/// At 300 kbit/s all that the device lacks at half lies in this computer's socket. It can't have had it.
#[tokio::test]
async fn what_lay_in_the_socket_when_the_power_was_cut_is_not_taken_for_sent() -> Result<()> {
    let wanted = [(DEVICE.to_owned(), new_yaml())].into();
    let Some(stage) = Stage::play(Scene { wanted, ..Scene::default() }).await? else {
        return Ok(());
    };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    stage.slow_down(300_000).await?;
    stage.wake().await?;
    until_half_is_sent(&stage).await?;
    stage.device.power_cut().await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    stage.slow_down(0).await?;
    stage.device.wake(window(15)).await?;
    // In this very wake.
    let over = |state: &DeviceState| state.ota_done == 1 || !state.running;
    let state = stage.device.wait("the end of the wake", SOON, over).await?;
    ensure!(state.ota_done == 1, "not in this wake: {state:?}");
    stage.until_state("installed", SOON).await?;
    let states = stage.states_to("installed").await?;
    ensure!(states.iter().filter(|state| *state == "confirming").count() == 1, "{states:?}");
    let state = stage.device.state().await?;
    ensure!((state.ota_started, state.ota_done) == (2, 1), "{state:?}");
    Ok(())
}

#[tokio::test]
async fn a_window_that_ends_in_the_transfer_is_no_end_of_it() -> Result<()> {
    let Some(mut stage) = armed_with_much_to_send().await? else { return Ok(()) };
    // Killed at half, the application finds the device asleep, and gets it at its next wake.
    stage.until_window_has(window(3), "a data phase", |state| state.ota_started == 1).await?;
    until_half_is_sent(&stage).await?;
    stage.app.kill().await?;
    stage.slow_down(0).await?;
    stage.device.wait("sleep", SOON, |state| !state.running).await?;
    stage.app.start_again()?;
    stage.until_ready().await?;
    stage.let_it_be_caught(window(3)).await?;
    stage.until_state("installed", SOON).await?;
    let state = stage.device.state().await?;
    ensure!((state.ota_started, state.ota_done, state.ota_failed) == (2, 1, 1), "{state:?}");
    Ok(())
}

#[tokio::test]
async fn an_image_that_was_committed_though_nobody_heard_so_is_not_sent_twice() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    stage.lan.lose_final_word(&stage.sensor, new_yaml().ota_port).await?;
    stage.wake().await?;
    until_committed(&stage).await?;
    stage.device.power_cut().await?;
    stage.lan.lose(&stage.sensor, 0).await?;
    let state = stage.device.state().await?;
    ensure!((state.ota_started, state.ota_done) == (1, 0), "nobody knows: {state:?}");

    // Its first words are heard, though the session still waits for the end, which it does for 110 s.
    stage.wake().await?;
    stage.until_state("installed", Duration::from_secs(60)).await?;
    stage.device.sleep(true).await?;
    stage.device.wake_fully().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let state = stage.device.state().await?;
    ensure!((state.ota_started, state.ota_done) == (1, 0), "it was sent twice: {state:?}");
    ensure!(state.running_hash.is_some_and(|hash| hash != stage.old.config_hash), "{state:?}");
    Ok(())
}

/// The device puts the new program in the old one's place when it has the whole of it and its sum is right.
async fn until_committed(stage: &Stage) -> Result<()> {
    let program = stage.dir.path().join("device/program");
    let old = std::fs::read(&stage.old.program)?;
    let give_up = tokio::time::Instant::now() + SOON;
    while std::fs::read(&program)? == old {
        ensure!(tokio::time::Instant::now() < give_up, "nothing was committed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Another tool flashes the device: with what lies in the build folder, or as the arguments say.
async fn upload(stage: &Stage, arguments: &[&OsStr]) -> Result<()> {
    let esphome = Esphome::locate()?;
    let upload = stage
        .home
        .command(esphome.program())
        .args(["upload", DEVICE, "--device", &stage.sensor.address().to_string()])
        .args(arguments)
        .current_dir(&stage.config)
        .env("PATH", esphome.search_path()?)
        .output()
        .await?;
    ensure!(upload.status.success(), "{}", String::from_utf8_lossy(&upload.stderr));
    Ok(())
}

#[tokio::test]
async fn a_device_that_was_flashed_by_others_in_its_sleep_is_sent_nothing() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    let row = stage.until_built().await?;
    let wanted = row.update.and_then(|update| update.wanted_hash).context("no hash")?.0;
    stage.app.kill().await?;
    stage.device.wake_fully().await?;
    upload(&stage, &[]).await?;
    stage.device.wait("the build", SOON, |state| state.running_hash == Some(wanted)).await?;
    stage.device.sleep(true).await?;
    let before = stage.device.state().await?;

    stage.app.start_again()?;
    stage.until_ready().await?;
    stage.wake().await?;
    let row = serde_json::to_value(stage.until_state("installed", SOON).await?)?;
    ensure!(row["update"]["state"]["how"] == "alreadyRunning", "{row}");
    let device = stage.device.state().await?;
    ensure!(device.ota_started == before.ota_started, "it was flashed again: {device:?}");
    Ok(())
}

/// Who is back within three seconds after its goodbye hasn't slept.
async fn let_it_sleep_for_long(stage: &Stage) -> Result<()> {
    stage.let_it_sleep().await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    Ok(())
}

#[tokio::test]
async fn firmware_that_does_not_stay_is_told_and_not_sent_again() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    // One wake only: a second one with the new firmware would show that it stays.
    stage.wake().await?;
    stage.ensure_flashed_once().await?;
    let_it_sleep_for_long(&stage).await?;

    // What a bootloader does with firmware that was never marked as good.
    let program = stage.dir.path().join("device/program");
    std::fs::remove_file(&program)?;
    std::fs::copy(&stage.old.program, &program)?;
    let hash = stage.device.wake_fully().await?;
    ensure!(hash == stage.old.config_hash, "it has not rolled back");
    let row = serde_json::to_value(stage.until_state("failed", SOON).await?)?;
    ensure!(row["update"]["state"]["rolledBack"] == true, "{row}");
    ensure!(row["update"]["state"]["problem"]["help"].is_string(), "{row}");
    let told = stage.notified("rolledBack", 1).await?;
    ensure!(told[0]["device"] == DEVICE, "{told:?}");

    for _ in 0..2 {
        let_it_sleep_for_long(&stage).await?;
        stage.device.wake_fully().await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let state = stage.device.state().await?;
    ensure!((state.ota_started, state.ota_done) == (1, 1), "it was sent again: {state:?}");
    stage.until_state("failed", SOON).await?;
    stage.notified("rolledBack", 1).await?;

    // But when the user wants it.
    stage.command("retry").await?;
    stage.until_state("installed", BUILD).await?;
    let state = stage.device.state().await?;
    ensure!((state.ota_started, state.ota_done) == (2, 2), "{state:?}");
    Ok(())
}

#[tokio::test]
async fn an_update_that_the_device_builder_has_queued_too_is_told_and_not_fought() -> Result<()> {
    let theirs = firmware(&new_yaml().with_friendly_name("Sleepy Sensor 3")).await?;
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    let queue = stage.config.join(".esphome/.device-builder-devices.json");
    std::fs::write(&queue, json!({ DEVICE: { "queued_update": true } }).to_string())?;
    stage
        .until_snapshot("it is told", SOON, |snapshot| {
            let told = &snapshot.status.other_tools;
            told.iter().any(|problem| problem.code == "other_tools.device_builder")
        })
        .await?;
    stage.device.wake_fully().await?;
    stage.ensure_flashed_once().await?;

    // Its own update comes in the same wake. It is the user's, as ours was.
    upload(&stage, &["--file".as_ref(), theirs.program.as_ref()]).await?;
    std::fs::remove_file(&queue)?;
    stage
        .until("it runs theirs", SOON, |row| {
            row.deployed_hash.is_some_and(|hash| hash.0 == theirs.config_hash)
        })
        .await?;
    let_it_sleep_for_long(&stage).await?;
    stage.device.wake_fully().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let state = stage.device.state().await?;
    ensure!(state.running_hash == Some(theirs.config_hash), "{state:?}");
    ensure!((state.ota_started, state.ota_done) == (2, 2), "once by each of them: {state:?}");
    stage.until_state("installed", SOON).await?;
    ensure!(
        stage.notifications("rolledBack").is_empty() && stage.notifications("failed").is_empty()
    );
    Ok(())
}
