//! Wakes that don't come, and wakes that nobody could hear: the network was gone, the computer slept, its clock
//! was set.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};
use wakeflash_core::device::Presence;
use wakeflash_core::view::{DeviceView, WakeView};
use wakeflash_tests::stage::{DEVICE, SOON, Scene, Stage, new_yaml, state_of};
use wakeflash_tests::supervisor::Wake;

const HOUR: Duration = Duration::from_secs(3_600);

/// Long enough for it to be late.
const LATE: Duration = Duration::from_secs(100);

fn window(seconds: u64) -> Wake {
    Wake { for_ms: Some(seconds * 1000), ..Wake::default() }
}

/// In seconds: a device that is said to sleep for so long is late within half a minute.
const SHORT: u32 = 2;

/// In seconds: one that is said to sleep for so long isn't late within [`BEYOND_A_LOOK`], unless wakes count that were
/// before.
const LONG: u32 = 120;

/// The application looks every 30 s who is late.
const BEYOND_A_LOOK: Duration = Duration::from_secs(33);

/// A device that is said to sleep for so long is waited for, and has just been seen. What takes long on a busy machine
/// comes before, so that it isn't late by then.
async fn waiting(sleep: u32, scene: Scene) -> Result<Option<Stage>> {
    let wanted = [(DEVICE.to_owned(), new_yaml().with_deep_sleep(1, sleep))].into();
    let Some(stage) = Stage::play(Scene { wanted, ..scene }).await? else { return Ok(None) };
    stage.until_built().await?;
    stage.app.request(json!({"cmd": "set_watching", "on": true})).await?;
    stage.wake_others(Wake::default()).await?;
    stage.until_others("awake", SOON, |row| row.presence == Presence::Online).await?;
    // Paused, nothing is sent to it.
    stage.app.request(json!({"cmd": "set_paused", "paused": true})).await?;
    stage.let_it_be_seen().await?;
    stage.app.request(json!({"cmd": "set_paused", "paused": false})).await?;
    Ok(Some(stage))
}

fn wakes(row: &DeviceView) -> Result<WakeView> {
    row.wake.with_context(|| format!("it has a schedule: {row:?}"))
}

/// Nobody says in this time that the device is late, or thinks that it is awake.
async fn ensure_unsuspected(stage: &Stage, time: Duration) -> Result<()> {
    let since = Instant::now();
    while since.elapsed() < time {
        let row = stage.row().await?;
        ensure!(!wakes(&row)?.overdue, "after {:?}: {row:?}", since.elapsed());
        ensure!(row.presence == Presence::Asleep, "after {:?}: {row:?}", since.elapsed());
        ensure!(state_of(&row) == "waiting", "{row:?}");
        sleep(Duration::from_millis(200)).await;
    }
    ensure!(stage.notifications("overdue").is_empty());
    Ok(())
}

async fn ensure_flashed_at_its_next_wake(stage: &Stage) -> Result<()> {
    stage.wake().await?;
    stage.ensure_flashed_once().await
}

#[tokio::test]
async fn a_device_that_misses_its_wakes_is_told_once_and_flashed_when_it_comes() -> Result<()> {
    let Some(stage) = waiting(SHORT, Scene::default()).await? else { return Ok(()) };
    let wake = wakes(&stage.row().await?)?;
    ensure!(wake.period_seconds == Some(3), "{wake:?}");
    let late = |row: &DeviceView| row.wake.is_some_and(|wake| wake.overdue);
    stage.until("it is late", LATE, late).await?;
    let told = stage
        .app
        .wait_for("the user is told", LATE, |line| line["notification"]["kind"] == "overdue")
        .await?;
    ensure!(told["notification"]["device"] == DEVICE, "{told}");
    // Looked at once more: it has missed ten more wakes.
    sleep(Duration::from_secs(32)).await;
    let row = stage.row().await?;
    ensure!(late(&row) && state_of(&row) == "waiting", "{row:?}");
    stage.notified("overdue", 1).await?;

    ensure_flashed_at_its_next_wake(&stage).await?;
    stage.until("it isn't late any more", LATE, |row| !late(row)).await?;
    Ok(())
}

#[tokio::test]
async fn a_network_that_was_gone_says_nothing_about_devices() -> Result<()> {
    let scene = Scene { others: 1, ..Scene::default() };
    let Some(mut stage) = waiting(SHORT, scene).await? else { return Ok(()) };
    let online = |row: &DeviceView| row.presence == Presence::Online;
    // The cable is pulled; after a while the address goes, too.
    stage.home.link(false).await?;
    stage.until_snapshot("no network", SOON, |snapshot| snapshot.status.network.is_some()).await?;
    ensure_unsuspected(&stage, Duration::from_secs(20)).await?;
    stage.until_others("still there", Duration::ZERO, online).await?;
    stage.home.remove_ipv4().await?;
    ensure_unsuspected(&stage, Duration::from_secs(25)).await?;
    stage.until_others("nobody knows better", Duration::ZERO, online).await?;

    stage.home.set_address([10, 77, 0, 200].into()).await?;
    stage.home.link(true).await?;
    stage.until_snapshot("a network", SOON, |snapshot| snapshot.status.network.is_none()).await?;
    ensure_unsuspected(&stage, Duration::from_secs(5)).await?;
    ensure_flashed_at_its_next_wake(&stage).await?;
    stage.until_others("it was there all the time", Duration::ZERO, online).await?;
    ensure!(stage.notifications("overdue").is_empty());
    Ok(())
}

#[tokio::test]
async fn a_computer_that_slept_has_missed_no_wake() -> Result<()> {
    let scene = Scene { clock: true, ..Scene::default() };
    let Some(stage) = waiting(LONG, scene).await? else { return Ok(()) };
    let clock = stage.clock.as_ref().context("the scene has a clock")?;

    // As far as a process can tell: it stands still, nothing is received, and it is eight hours later.
    stage.home.link(false).await?;
    stage.app.process().signal(Signal::STOP).await?;
    for _ in 0..2 {
        stage.device.wake(window(1)).await?;
        stage.device.wait("sleep", SOON, |state| !state.running).await?;
    }
    clock.set_forward(HOUR * 8)?;
    stage.home.link(true).await?;
    stage.app.process().signal(Signal::CONT).await?;

    ensure_unsuspected(&stage, BEYOND_A_LOOK).await?;
    ensure_flashed_at_its_next_wake(&stage).await?;
    ensure!(stage.notifications("overdue").is_empty());
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_set_says_nothing_about_devices() -> Result<()> {
    let scene = Scene { clock: true, ..Scene::default() };
    let Some(stage) = waiting(LONG, scene).await? else { return Ok(()) };
    let clock = stage.clock.as_ref().context("the scene has a clock")?;
    clock.set_forward(HOUR * 2)?;
    ensure_unsuspected(&stage, BEYOND_A_LOOK).await?;
    clock.set_back(HOUR * 30)?;
    ensure_unsuspected(&stage, BEYOND_A_LOOK).await?;
    ensure_flashed_at_its_next_wake(&stage).await?;
    ensure!(stage.notifications("overdue").is_empty());
    Ok(())
}
