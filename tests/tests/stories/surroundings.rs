//! What the application depends on comes and goes: ESPHome, the config directory, an image of the store.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use wakeflash_core::view::Snapshot;
use wakeflash_tests::headless::{Headless, HeadlessOptions};
use wakeflash_tests::kept;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Stage, new_yaml};

fn status(snapshot: &Snapshot) -> Value {
    serde_json::to_value(&snapshot.status).unwrap_or_default()
}

/// Waits for a status; the last one counts.
async fn until_esphome(app: &Headless, kind: &str) -> Result<Value> {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let snapshot = app.request(json!({"cmd": "snapshot"})).await?;
        let esphome = &snapshot["status"]["esphome"];
        let read = snapshot["status"]["configDir"]["kind"] == "ready";
        if esphome["kind"] == kind && read {
            return Ok(esphome.clone());
        }
        ensure!(tokio::time::Instant::now() < deadline, "not {kind}: {snapshot}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_missing_esphome_is_told_and_found_when_it_comes() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("config");
    new_yaml().write_to(&config, DEVICE)?;
    let tools = dir.path().join("tools");
    std::fs::create_dir(&tools)?;

    // Nowhere.
    let mut options = HeadlessOptions::new(&config, &dir.path().join("state"));
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&inherited).filter(|dir| !dir.join("esphome").exists());
    options.search_path = Some(std::env::join_paths(std::iter::once(tools.clone()).chain(others))?);
    let app = Headless::start(options, None)?;
    let missing = until_esphome(&app, "missing").await?;
    ensure!(missing["problem"]["code"] == "esphome.missing", "{missing}");
    let refused = app.process().refusal(json!({"cmd": "install", "device": DEVICE})).await?;
    ensure!(refused["code"] == "esphome.missing", "{refused}");
    for problem in [&missing["problem"], &refused] {
        ensure!(problem["help"].as_str().is_some_and(|help| !help.is_empty()), "{problem}");
    }

    // It comes, and is looked for again.
    kept::program(&tools)?;
    app.request(json!({"cmd": "find_esphome"})).await?;
    let ready = until_esphome(&app, "ready").await?;
    ensure!(ready["path"] == tools.join("esphome").to_string_lossy().as_ref(), "{ready}");
    app.device_command("install", DEVICE).await?;
    app.wait_for("the built update", BUILD, |line| {
        line["event"]["device"]["update"]["state"]["kind"] == "waiting"
    })
    .await?;

    // ESPHome's own Device Builder is about to flash it as well, and then isn't any more.
    let queue = config.join(".esphome/.device-builder-devices.json");
    std::fs::write(&queue, json!({DEVICE: {"queued_update": true}}).to_string())?;
    let told = app
        .wait_for("the other queue", SOON, |line| {
            line["event"]["status"]["otherTools"].as_array().is_some_and(|told| !told.is_empty())
        })
        .await?;
    let problem = &told["event"]["status"]["otherTools"][0];
    ensure!(problem["code"] == "other_tools.device_builder", "{problem}");
    std::fs::remove_file(&queue)?;
    app.wait_for("no other queue", SOON, |line| {
        line["event"]["status"]["otherTools"].as_array().is_some_and(|told| told.is_empty())
    })
    .await?;
    app.request(json!({"cmd": "shutdown"})).await?;
    app.process().wait(SOON).await?;

    // A path that leads nowhere, to a directory, to something else.
    let impostor = dir.path().join("impostor");
    wakeflash_tests::paths::write_program(&impostor, "#!/bin/sh\necho hello\n")?;
    for (number, path) in [dir.path().join("nothing"), tools, impostor].into_iter().enumerate() {
        let mut options = HeadlessOptions::new(&config, &dir.path().join(format!("wrong{number}")));
        options.esphome = Some(path.clone());
        let app = Headless::start(options, None)?;
        let missing = until_esphome(&app, "missing").await?;
        ensure!(missing["problem"]["code"] == "esphome.broken", "{missing}");
        let message = missing["problem"]["message"].as_str().unwrap_or_default();
        ensure!(message.contains(path.to_string_lossy().as_ref()), "{message}");
        let refused = app.process().refusal(json!({"cmd": "install", "device": DEVICE})).await?;
        ensure!(refused["code"] == "esphome.missing", "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn a_config_directory_that_vanishes_stops_nothing() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    let row = stage.until_built().await?;
    let wanted = row.update.and_then(|update| update.wanted_hash).map(|hash| hash.0);
    let aside = stage.dir.path().join("aside");
    let told = |kind: &'static str| {
        move |snapshot: &Snapshot| status(snapshot)["configDir"]["kind"] == kind
    };

    std::fs::rename(&stage.config, &aside)?;
    let snapshot = stage.until_snapshot("it is missed", SOON, told("unreadable")).await?;
    let problem = &status(&snapshot)["configDir"]["problem"];
    ensure!(problem["code"] == "config_dir.missing", "{problem}");
    ensure!(problem["help"].as_str().is_some_and(|help| !help.is_empty()), "{problem}");
    stage.until_state("waiting", SOON).await?;
    // Back, gone again: nothing is held for it.
    std::fs::rename(&aside, &stage.config)?;
    stage.until_snapshot("it is back", SOON, told("ready")).await?;
    stage.until_state("waiting", SOON).await?;
    std::fs::rename(&stage.config, &aside)?;
    stage.until_snapshot("it is missed again", SOON, told("unreadable")).await?;

    // Not even a restart without it loses what waits; the image is a copy.
    let mut stage = stage;
    stage.app.restart().await?;
    stage.until_snapshot("it is missed at the start", SOON, told("unreadable")).await?;
    stage.until_state("waiting", SOON).await?;
    stage.wake().await?;
    // Without its configuration the device has no row of its own any more, once nothing is under way.
    stage
        .app
        .wait_for("its confirmation", SOON, |line| {
            line["notification"]["kind"] == "installed" && line["notification"]["device"] == DEVICE
        })
        .await?;
    ensure!(stage.device.running_hash().await? == wanted && wanted.is_some());
    ensure!(stage.states().iter().all(|state| state != "held"), "{:?}", stage.states());

    // Back with the directory, it says how it went.
    std::fs::rename(&aside, &stage.config)?;
    stage.until_state("installed", SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_damaged_image_is_never_sent_and_told_at_once() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    stage.app.kill().await?;
    let images: Vec<_> =
        std::fs::read_dir(stage.state.join("artifacts"))?.collect::<Result<_, _>>()?;
    // Beside it lies what is kept of its sources.
    let images: Vec<_> = images.iter().filter(|entry| entry.path().extension().is_none()).collect();
    ensure!(images.len() == 1, "{images:?}");
    let path = images[0].path();
    let mut bytes = std::fs::read(&path)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes)?;

    stage.app.start_again()?;
    stage.until_ready().await?;
    // While the device sleeps, so that there is time to do something about it.
    let row = serde_json::to_value(stage.until_state("failed", SOON).await?)?;
    let problem = &row["update"]["state"]["problem"];
    ensure!(problem["code"] == "artifact.damaged", "{problem}");
    stage.notified("failed", 1).await?;
    stage.command("retry").await?;
    stage.until_state("waiting", BUILD).await?;
    stage.wake().await?;
    stage.until_state("installed", SOON).await?;
    ensure!(stage.device.state().await?.ota_started == 1);
    Ok(())
}
