//! Short windows, lossy networks, links that come and go.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use wakeflash_tests::stage::{BUILD, SOON, Stage};
use wakeflash_tests::supervisor::Wake;

/// A scene whose device was seen, sleeps, and is waited for.
async fn armed() -> Result<Option<Stage>> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(None) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    Ok(Some(stage))
}

/// A window of this length is enough.
async fn window(seconds: u64) -> Result<()> {
    enough(Wake { for_ms: Some(seconds * 1000), ..Wake::default() }).await
}

/// One of some such windows at least: a busy machine may sleep through the others.
async fn enough(wake: Wake) -> Result<()> {
    let Some(stage) = armed().await? else { return Ok(()) };
    stage.let_it_be_caught(wake).await?;
    stage.ensure_flashed_once().await
}

/// The device announces its address by ARP, as ESP32 and ESP8266 do. Where that is missing, the kernel of this
/// computer may ask for the address only when the window is over: it does so once a second.
#[tokio::test]
async fn a_window_of_one_second() -> Result<()> {
    enough(Wake { for_ms: Some(1_000), gratuitous_arp: true, ..Wake::default() }).await
}

#[tokio::test]
async fn a_window_of_two_seconds() -> Result<()> {
    window(2).await
}

#[tokio::test]
async fn a_window_of_three_seconds() -> Result<()> {
    window(3).await
}

#[tokio::test]
async fn a_window_of_five_seconds() -> Result<()> {
    window(5).await
}

#[tokio::test]
async fn every_fifth_packet_is_lost() -> Result<()> {
    let Some(stage) = armed().await? else { return Ok(()) };
    stage.lan.lose(&stage.sensor, 20).await?;
    let window = Wake { for_ms: Some(15_000), ..Wake::default() };
    stage.until_window_has(window, "a data phase", |state| state.ota_started == 1).await?;
    // From here on the device stays awake; how long the rest takes is TCP's business.
    stage.lan.lose(&stage.sensor, 0).await?;
    stage.ensure_flashed_once().await
}

#[tokio::test]
async fn every_fifth_packet_is_lost_to_the_end() -> Result<()> {
    let Some(stage) = armed().await? else { return Ok(()) };
    stage.lan.lose(&stage.sensor, 20).await?;
    // Mostly the first window is enough.
    stage.let_it_be_caught(Wake { for_ms: Some(15_000), ..Wake::default() }).await?;
    let row = stage.until_state("installed", SOON).await?;
    let update = row.update.context("no update")?;
    let state = stage.device.state().await?;
    let wanted = update.wanted_hash.context("no hash")?.0;
    ensure!(state.running_hash == Some(wanted) && wanted != stage.old.config_hash, "{state:?}");
    ensure!(state.ota_done == 1, "flashed once: {state:?}");
    // Whatever had a data phase is an attempt; some end before, which not even the device may have seen.
    ensure!(update.attempts >= state.ota_started, "{update:?} {state:?}");
    println!("{} attempts, {state:?}", update.attempts);
    Ok(())
}

#[tokio::test]
async fn a_link_that_flaps_leads_to_one_flash() -> Result<()> {
    let Some(stage) = armed().await? else { return Ok(()) };
    stage.wake().await?;
    for pause in [150, 250, 400, 600] {
        stage.device.link(false).await?;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        stage.device.link(true).await?;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let row = stage.until_state("installed", SOON).await?;
    for _ in 0..3 {
        stage.device.link(false).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.device.link(true).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let state = stage.device.state().await?;
    let wanted = row.update.and_then(|update| update.wanted_hash).map(|hash| hash.0);
    ensure!(state.running_hash == wanted && wanted.is_some(), "{state:?}");
    // A data phase may have been cut; only one was completed.
    ensure!(state.ota_done == 1, "flashed once: {state:?}");
    Ok(())
}

#[tokio::test]
async fn a_slow_transfer_outlives_the_announcements_in_it() -> Result<()> {
    let Some(stage) = armed().await? else { return Ok(()) };
    // About a second for each acknowledgement.
    stage.slow_down(64_000).await?;
    stage.wake().await?;
    stage.device.wait("end of the transfer", BUILD, |state| state.ota_done == 1).await?;
    stage.ensure_flashed_once().await
}
