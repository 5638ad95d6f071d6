//! SIGKILL in every state, ends in order, and one intent that leads to one flash.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::json;
use wakeflash_core::view::DeviceView;
use wakeflash_tests::esphome::Esphome;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Scene, Stage, new_yaml, old_yaml, state_of};
use wakeflash_tests::yaml::DeviceYaml;

const SECOND: &str = "second.yaml";

fn is(state: &'static str) -> impl Fn(&DeviceView) -> bool {
    move |row| state_of(row) == state
}

fn wanted_hash(row: &DeviceView) -> Option<u32> {
    row.update.as_ref().and_then(|update| update.wanted_hash).map(|hash| hash.0)
}

#[tokio::test]
async fn builds_that_were_killed_leave_nothing_behind_and_start_again() -> Result<()> {
    let second = DeviceYaml::new("second").with_friendly_name("Second");
    let wanted = [(DEVICE.to_owned(), new_yaml()), (SECOND.to_owned(), second)].into();
    let scene = Scene { really_builds: true, wanted, ..Scene::default() };
    let Some(mut stage) = Stage::play(scene).await? else { return Ok(()) };
    stage.app.device_command("install", SECOND).await?;
    stage.until_row(SECOND, "it is built", SOON, is("building")).await?;
    stage.app.device_command("install", DEVICE).await?;
    stage.until_compiling().await?;
    let orphans = stage.build_processes()?;

    stage.app.restart().await?;
    // Its first answer comes after the left-over processes were ended.
    let list = stage.snapshot().await?.devices;
    // What was killed takes a moment to be gone.
    let deadline = tokio::time::Instant::now() + SOON;
    while let Some(pid) = stage.build_processes()?.into_iter().find(|pid| orphans.contains(pid)) {
        ensure!(tokio::time::Instant::now() < deadline, "{pid} of {orphans:?} still runs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.until_ready().await?;
    // Both are still wanted; now the device that sleeps comes first.
    stage
        .until_row(DEVICE, "it is built", SOON, is("building"))
        .await
        .context(format!("{list:?}"))?;
    stage.until_row(SECOND, "it waits for that", SOON, is("queued")).await?;
    stage.app.device_command("cancel", SECOND).await?;
    stage.until_state("waiting", BUILD).await?;
    let log = stage.details().await?;
    ensure!(!log.log.lines.is_empty(), "a log of the build that succeeded");

    // An end in order leaves nothing either, and what it did is done again at the next start.
    stage.app.device_command("install", SECOND).await?;
    stage.until_row(SECOND, "it is built", SOON, is("building")).await?;
    stage.until_compiling().await?;
    stage.app.process().signal(Signal::TERM).await?;
    let status = stage.app.process().wait(SOON).await?;
    ensure!(status.code() == Some(0), "SIGTERM is an end in order: {status}");
    stage.until_no_build_runs(SOON).await.context("the build didn't end with it")?;
    stage.app.start_again()?;
    stage.until_ready().await?;
    stage.until_row(SECOND, "it is built again", SOON, is("building")).await?;
    stage.app.request(json!({"cmd": "shutdown"})).await?;
    ensure!(stage.app.process().wait(SOON).await?.code() == Some(0));
    stage.until_no_build_runs(SOON).await
}

#[tokio::test]
async fn a_transfer_that_was_killed_is_made_again_and_ends_well() -> Result<()> {
    let wanted = [(DEVICE.to_owned(), new_yaml().with_ballast(512))].into();
    let Some(mut stage) = Stage::play(Scene { wanted, ..Scene::default() }).await? else {
        return Ok(());
    };
    stage.let_it_be_seen().await?;
    let wanted = wanted_hash(&stage.until_built().await?);
    stage.slow_down(400_000).await?;
    stage.device.wake_fully().await?;
    stage.device.wait("data phase", SOON, |state| state.ota_started == 1).await?;
    stage
        .until("bytes have arrived", SOON, |row| {
            let progress = row.update.as_ref().and_then(|update| update.progress.as_ref());
            progress.is_some_and(|progress| progress.percent.is_some_and(|percent| percent > 0))
        })
        .await?;
    stage.app.kill().await?;
    stage.slow_down(0).await?;
    stage.device.wait("end of the data phase", BUILD, |state| state.ota_failed == 1).await?;
    let device = stage.device.state().await?;
    ensure!(device.running_hash == Some(stage.old.config_hash), "{device:?}");
    stage.app.start_again()?;
    stage.until_ready().await?;
    stage.until_state("installed", BUILD).await?;
    ensure!(stage.device.running_hash().await? == wanted && wanted.is_some());
    ensure!(stage.device.state().await?.ota_done == 1);
    Ok(())
}

#[tokio::test]
async fn superseded_flashed_by_others_and_installed_again() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;

    // A newer update takes the place of the one that waits.
    stage.until_built().await?;
    let error = stage.app.process().refusal(json!({"cmd": "retry", "device": DEVICE})).await?;
    ensure!(error["code"] == "update.active", "{error}");
    stage.command("install").await?;
    let row = stage
        .until("the newer one waits", BUILD, |row| {
            state_of(row) == "waiting" && row.update.as_ref().is_some_and(|update| update.id.0 == 2)
        })
        .await?;
    let counts = stage.snapshot().await?.status.counts;
    let idle = counts.waiting + counts.attention;
    ensure!((idle, counts.working) == (1, 0), "one intent for one device: {counts:?}");

    // Somebody flashes the very build by other means while it waits: nothing is sent.
    let wanted = wanted_hash(&row).context("a build has a hash")?;
    stage.app.kill().await?;
    stage.device.wake_fully().await?;
    let upload = stage
        .home
        .command(Esphome::locate()?.program())
        .args(["upload", DEVICE, "--device", &stage.sensor.address().to_string()])
        .current_dir(&stage.config)
        .env("PATH", Esphome::locate()?.search_path()?)
        .output()
        .await?;
    ensure!(upload.status.success(), "{}", String::from_utf8_lossy(&upload.stderr));
    stage.device.wait("the new firmware", SOON, |state| state.running_hash == Some(wanted)).await?;
    let before = stage.device.state().await?;
    let mut stage = stage;
    stage.app.start_again()?;
    stage.until_ready().await?;
    let row = serde_json::to_value(stage.until_state("installed", SOON).await?)?;
    ensure!(row["update"]["state"]["how"] == "alreadyRunning", "{row}");
    let device = stage.device.state().await?;
    ensure!(device.ota_started == before.ota_started, "it was flashed all the same");

    // The same build once more, because the user says so: flashed, exactly once.
    stage.command("install").await?;
    stage
        .until("installed again", BUILD, |row| {
            state_of(row) == "installed" && row.update.as_ref().is_some_and(|one| one.id.0 == 3)
        })
        .await?;
    // Longer than the period at which a waiting device is tried.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let device = stage.device.state().await?;
    ensure!(device.ota_started == before.ota_started + 1, "{device:?}");
    ensure!(device.running_hash == Some(wanted));
    let error = stage.app.process().refusal(json!({"cmd": "retry", "device": DEVICE})).await?;
    ensure!(error["code"] == "update.none", "{error}");
    Ok(())
}

#[tokio::test]
async fn the_end_of_the_input_ends_it_unless_it_is_detached() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("config");
    old_yaml().write_to(&config, DEVICE)?;
    let start = |name: &str, detached: bool| {
        let mut options =
            wakeflash_tests::headless::HeadlessOptions::new(&config, &dir.path().join(name));
        if detached {
            options.arguments.push("--detached".into());
        }
        wakeflash_tests::headless::Headless::start(options, None)
    };
    let attached = start("attached", false)?;
    attached.request(json!({"cmd": "list"})).await?;
    attached.process().close_stdin().await;
    ensure!(attached.process().wait(SOON).await?.code() == Some(0));

    let detached = start("detached", true)?;
    detached.request(json!({"cmd": "list"})).await?;
    detached.process().close_stdin().await;
    // Events still come: it goes on.
    let another = old_yaml().with_friendly_name("Another");
    another.write_to(&config, "another.yaml")?;
    detached
        .wait_for("the new configuration", SOON, |line| {
            line["event"]["device"]["id"] == "another.yaml"
        })
        .await?;
    detached.process().signal(Signal::TERM).await?;
    ensure!(detached.process().wait(SOON).await?.code() == Some(0));
    Ok(())
}
