//! Disks that are full, and stores that can't be opened.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use wakeflash_core::view::DeviceView;
use wakeflash_tests::headless::{Headless, HeadlessOptions};
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Scene, Stage};

#[tokio::test]
async fn a_full_disk_for_images_is_told_and_it_is_built_again_with_room() -> Result<()> {
    let scene = Scene { disk: Some(("artifacts".to_owned(), 4096)), ..Scene::default() };
    let Some(stage) = Stage::play(scene).await? else { return Ok(()) };
    let disk = stage.disk.as_ref().context("a small disk")?;
    stage.let_it_be_seen().await?;
    disk.fill()?;
    stage.command("install").await?;
    let row = stage.until("it is to be built again", BUILD, waits_for_room).await?;
    let row = serde_json::to_value(row)?;
    let problem = &row["update"]["state"]["again"]["problem"];
    ensure!(problem["help"].as_str().is_some_and(|help| !help.is_empty()), "{problem}");
    ensure!(stage.notifications("failed").is_empty());
    let left: Vec<_> = std::fs::read_dir(disk.path(""))?.collect::<Result<_, _>>()?;
    ensure!(left.len() == 1, "nothing but what fills the disk: {left:?}");

    // By itself, as soon as there is room.
    disk.free()?;
    let row = stage.until_state("waiting", BUILD).await?;
    let wanted = row.update.and_then(|update| update.wanted_hash).map(|hash| hash.0);
    stage.wake().await?;
    stage.until_state("installed", SOON).await?;
    ensure!(stage.device.running_hash().await? == wanted && wanted.is_some());
    Ok(())
}

#[tokio::test]
async fn a_full_disk_for_the_queue_refuses_commands_loses_nothing_and_recovers() -> Result<()> {
    let scene = Scene { disk: Some((String::new(), 8192)), ..Scene::default() };
    let Some(mut stage) = Stage::play(scene).await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    let row = stage.until_built().await?;
    let wanted = row.update.and_then(|update| update.wanted_hash).map(|hash| hash.0);
    let disk = stage.disk.as_ref().context("a small disk")?;

    disk.fill()?;
    for command in ["cancel", "install"] {
        let error = stage.app.process().refusal(json!({"cmd": command, "device": DEVICE})).await?;
        ensure!(error["code"] == "store.unwritable", "{error}");
        ensure!(error["help"].as_str().is_some_and(|help| !help.is_empty()), "{error}");
    }
    let snapshot = stage.snapshot().await?;
    let store = serde_json::to_value(&snapshot.status.store)?;
    ensure!(store["code"] == "store.unwritable", "the status says it: {store}");
    stage.until_state("waiting", SOON).await?;
    // What can't be stored isn't done: a device that wakes now is not flashed.
    stage.device.wake_fully().await?;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    ensure!(stage.device.state().await?.ota_started == 0, "flashed without a record");

    // Killed in that state, it still knows everything that it had stored.
    disk.free()?;
    stage.app.restart().await?;
    stage.until_ready().await?;
    let row = stage.until_state("installed", SOON).await?;
    ensure!(row.update.and_then(|update| update.wanted_hash).map(|hash| hash.0) == wanted);
    ensure!(stage.device.running_hash().await? == wanted && wanted.is_some());

    // Without a restart, too.
    let disk = stage.disk.as_ref().context("a small disk")?;
    disk.fill()?;
    let error = stage.app.process().refusal(json!({"cmd": "install", "device": DEVICE})).await?;
    ensure!(error["code"] == "store.unwritable", "{error}");
    disk.free()?;
    stage.device.sleep(true).await?;
    stage.device.wake_fully().await?;
    stage
        .until_snapshot("the store is well again", SOON, |snapshot| snapshot.status.store.is_none())
        .await?;
    stage.command("install").await?;
    stage.until_state("installed", BUILD).await?;
    Ok(())
}

#[tokio::test]
async fn a_queue_that_fills_up_while_it_works_tells_what_it_could_not_store() -> Result<()> {
    let scene =
        Scene { disk: Some((String::new(), 8192)), really_builds: true, ..Scene::default() };
    let Some(stage) = Stage::play(scene).await? else { return Ok(()) };
    let disk = stage.disk.as_ref().context("a small disk")?;
    stage.command("install").await?;
    stage.until_compiling().await?;
    disk.fill()?;
    // The end of the build can't be refused: it is kept until it can be stored.
    stage
        .until_snapshot("the store has a problem", BUILD, |snapshot| {
            snapshot.status.store.is_some()
        })
        .await?;
    stage.until_no_build_runs(SOON).await?;
    stage.until_state("building", SOON).await?;
    disk.free()?;
    // It is built again, as there is room.
    stage.until_state("waiting", BUILD).await?;
    ensure!(stage.notifications("failed").is_empty());
    ensure!(stage.snapshot().await?.status.store.is_none());
    Ok(())
}

#[tokio::test]
async fn an_edit_that_cannot_be_stored_is_told_once_there_is_room() -> Result<()> {
    let scene = Scene { disk: Some((String::new(), 8192)), ..Scene::default() };
    let Some(stage) = Stage::play(scene).await? else { return Ok(()) };
    stage.until_built().await?;
    let disk = stage.disk.as_ref().context("a small disk")?;
    disk.fill()?;
    // Nothing that the list shows of it is different.
    let file = stage.config.join(DEVICE);
    let yaml = std::fs::read_to_string(&file)?;
    let edited = stage.config.with_file_name("edited");
    std::fs::write(&edited, format!("{yaml}\n# A note.\n"))?;
    std::fs::rename(edited, file)?;
    stage
        .until_snapshot("the store has a problem", SOON, |snapshot| snapshot.status.store.is_some())
        .await?;
    // Whatever else the edit sets off is over.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    disk.free()?;
    stage.until_state("held", SOON).await?;
    Ok(())
}

fn waits_for_room(row: &DeviceView) -> bool {
    let row = serde_json::to_value(row).unwrap_or_default();
    let state = &row["update"]["state"];
    state["kind"] == "queued" && state["again"]["problem"]["code"] == "artifact.no_space"
}

/// Starts the application on a state directory; it must refuse, in one line after its greeting.
async fn refuses(state: &Path, config: &Path, code: &str) -> Result<()> {
    let app = Headless::start(HeadlessOptions::new(config, state), None)?;
    let status = app.process().wait(SOON).await.context(code.to_owned())?;
    ensure!(status.code() == Some(1), "{code}: {status}");
    // What it printed is read to its end by then, or soon after.
    let line = app.wait_for("its reason", SOON, |line| line.get("error").is_some()).await?;
    ensure!(app.process().lines().len() == 2, "{:?}", app.process().lines());
    ensure!(line["error"]["code"] == code && line["id"].is_null(), "{code}: {line}");
    for words in ["message", "help"] {
        ensure!(line["error"][words].as_str().is_some_and(|text| !text.is_empty()), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_ends_the_start_with_one_line() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("config");
    std::fs::create_dir(&config)?;
    let state = |name: &str| dir.path().join(name);

    // In use by another copy.
    let first = Headless::start(HeadlessOptions::new(&config, &state("state")), None)?;
    first.request(json!({"cmd": "snapshot"})).await?;
    refuses(&state("state"), &config, "store.in_use").await?;
    first.request(json!({"cmd": "shutdown"})).await?;
    ensure!(first.process().wait(SOON).await?.success());

    // Written by a newer version.
    let database = state("state").join("wakeflash.db");
    let newer = rusqlite::Connection::open(&database)?;
    newer.pragma_update(None, "user_version", 999)?;
    newer.execute("UPDATE about SET written_by = '9.9.9', schema = 999", [])?;
    drop(newer);
    let before = std::fs::read(&database)?;
    refuses(&state("state"), &config, "store.newer").await?;
    ensure!(std::fs::read(&database)? == before, "it was changed");

    // Garbage, a directory in its place, a file in the state directory's place, an impossible path.
    std::fs::create_dir(state("garbage"))?;
    std::fs::write(state("garbage").join("wakeflash.db"), vec![b'x'; 10_000])?;
    refuses(&state("garbage"), &config, "store.damaged").await?;
    ensure!(std::fs::read(state("garbage").join("wakeflash.db"))? == vec![b'x'; 10_000]);
    std::fs::create_dir_all(state("dir").join("wakeflash.db"))?;
    refuses(&state("dir"), &config, "store.unusable").await?;
    std::fs::write(state("file"), "")?;
    refuses(&state("file"), &config, "store.unusable").await?;
    refuses(&state("file").join("below"), &config, "store.unusable").await?;

    Ok(())
}

#[tokio::test]
async fn a_row_that_nobody_can_read_is_told_with_its_device_and_stops_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (config, state) = (dir.path().join("config"), dir.path().join("state"));
    std::fs::create_dir(&config)?;
    std::fs::write(config.join("sleepy.yaml"), "esphome:\n  name: sleepy\n")?;
    let database = state.join("wakeflash.db");
    let app = Headless::start(HeadlessOptions::new(&config, &state), None)?;
    app.request(json!({"cmd": "shutdown"})).await?;
    ensure!(app.process().wait(SOON).await?.success());
    rusqlite::Connection::open(&database)?.execute(
        "INSERT INTO updates (id, device, active, body) VALUES (1, 'sleepy.yaml', 1, '{')",
        [],
    )?;
    let app = Headless::start(HeadlessOptions::new(&config, &state), None)?;
    let listed = async {
        loop {
            let snapshot = app.request(json!({"cmd": "snapshot"})).await?;
            // Before the folder is read nothing can be built.
            if snapshot["devices"][0]["primary"] == "retry" {
                break Ok::<_, anyhow::Error>(snapshot);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let snapshot = tokio::time::timeout(SOON, listed).await??;
    let warning = &snapshot["status"]["storeWarnings"][0];
    ensure!(warning["code"] == "store.set_aside", "{snapshot}");
    ensure!(
        warning["message"].as_str().is_some_and(|text| text.contains("sleepy.yaml")),
        "{warning}"
    );
    let row = &snapshot["devices"][0];
    ensure!(row["id"] == "sleepy.yaml" && row["primary"] == "retry", "{row}");
    ensure!(row["update"]["state"]["problem"]["code"] == "store.update_set_aside", "{row}");
    app.request(json!({"cmd": "dismiss", "device": "sleepy.yaml"})).await?;
    app.request(json!({"cmd": "shutdown"})).await?;
    ensure!(app.process().wait(SOON).await?.success());
    let kept: String = rusqlite::Connection::open(&database)?.query_row(
        "SELECT body FROM unreadable",
        [],
        |row| row.get(0),
    )?;
    ensure!(kept == "{");
    Ok(())
}
