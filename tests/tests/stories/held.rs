//! Sources that change while an update waits: it is held at once, and the user's answer is what happens.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use wakeflash_core::view::DeviceView;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Scene, Stage, new_yaml, state_of};

/// What the update is held for.
fn changes(row: &DeviceView) -> Value {
    serde_json::to_value(&row.update).unwrap_or_default()["state"]["changes"].clone()
}

fn newer_friendly_name() -> wakeflash_tests::yaml::DeviceYaml {
    new_yaml().with_friendly_name("Sleepy Sensor 3")
}

fn wanted_hash(row: &DeviceView) -> Option<u32> {
    row.update.as_ref().and_then(|update| update.wanted_hash).map(|hash| hash.0)
}

/// A device that sleeps, and an update for it that waits.
async fn waiting() -> Result<Option<(Stage, Option<u32>)>> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(None) };
    stage.let_it_be_seen().await?;
    let row = stage.until_built().await?;
    Ok(Some((stage, wanted_hash(&row))))
}

/// The device wakes and nobody sends it anything.
async fn wakes_in_vain(stage: &Stage) -> Result<()> {
    let before = stage.device.state().await?;
    stage.device.wake_fully().await?;
    stage
        .until("seen awake", SOON, |row| row.presence == wakeflash_core::device::Presence::Online)
        .await?;
    // Longer than the period at which a waiting device is tried.
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(stage.device.state().await?.ota_started == before.ota_started, "it was flashed");
    stage.until_state("held", SOON).await?;
    stage.device.sleep(true).await
}

/// What changed is shown by its lines, and nothing is kept that is secret.
async fn shows_the_new_name(stage: &Stage) -> Result<()> {
    let diff = stage.command("source_changes").await?;
    let files = diff["files"].as_array().cloned().unwrap_or_default();
    ensure!(files.len() == 1 && files[0]["path"] == DEVICE, "{diff}");
    let lines = files[0]["hunks"][0]["lines"].as_array().cloned().unwrap_or_default();
    let changed = |kind: &str| {
        let of_kind = lines.iter().filter(|line| line["kind"] == kind);
        of_kind.map(|line| line["text"].to_string()).collect::<Vec<_>>()
    };
    let (old, new) = (changed("old"), changed("new"));
    ensure!(old.len() == 1 && old[0].contains("Sleepy Sensor 2"), "{diff}");
    ensure!(new.len() == 1 && new[0].contains("Sleepy Sensor 3"), "{diff}");
    let password = new_yaml().password.context("it has a password")?;
    let mut kept = 0;
    for entry in std::fs::read_dir(stage.state.join("artifacts"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sources") {
            let text = std::fs::read_to_string(path)?;
            ensure!(text.contains("Sleepy Sensor 2") && !text.contains(&password), "{text}");
            kept += 1;
        }
    }
    ensure!(kept == 1, "{kept}");
    Ok(())
}

#[tokio::test]
async fn an_edited_yaml_holds_at_once_and_rebuild_flashes_the_new_image() -> Result<()> {
    let Some((stage, first)) = waiting().await? else { return Ok(()) };
    stage.write(&newer_friendly_name()).await?;
    let row = stage.until_state("held", SOON).await?;
    ensure!(changes(&row) == json!([{"path": DEVICE, "kind": "edited"}]), "{}", changes(&row));
    let told = stage.notified("held", 1).await?;
    ensure!(told[0]["body"].as_str().is_some_and(|body| body.contains(DEVICE)));
    ensure!(stage.snapshot().await?.status.counts.attention == 1);
    ensure!(serde_json::to_value(&row)?["primary"] == "rebuild");
    shows_the_new_name(&stage).await?;
    wakes_in_vain(&stage).await?;

    stage.command("rebuild").await?;
    let row = stage.until_state("waiting", BUILD).await?;
    let second = wanted_hash(&row);
    ensure!(second.is_some() && second != first, "another build: {first:?} {second:?}");
    stage.wake().await?;
    stage.until_state("installed", SOON).await?;
    ensure!(stage.device.running_hash().await? == second);
    ensure!(stage.device.state().await?.ota_done == 1);
    Ok(())
}

#[tokio::test]
async fn flash_anyway_sends_the_old_image_and_cancel_sends_nothing() -> Result<()> {
    let Some((stage, first)) = waiting().await? else { return Ok(()) };
    stage.write(&newer_friendly_name()).await?;
    stage.until_state("held", SOON).await?;

    // A restart changes nothing about it.
    let mut stage = stage;
    stage.app.restart().await?;
    stage.until_ready().await?;
    stage.until_state("held", SOON).await?;
    wakes_in_vain(&stage).await?;
    // When the file is again what was built, there is nothing to ask any more.
    stage.write(&new_yaml()).await?;
    stage.until_state("waiting", SOON).await?;

    stage.command("cancel").await?;
    stage.until_state("cancelled", SOON).await?;
    let row = stage.until_built().await?;
    ensure!(wanted_hash(&row) == first);
    stage.write(&newer_friendly_name()).await?;
    stage.until_state("held", SOON).await?;
    stage.command("flash_anyway").await?;
    stage.until_state("waiting", SOON).await?;
    stage.wake().await?;
    stage.until_state("installed", SOON).await?;
    ensure!(stage.device.running_hash().await? == first, "what was built is what it runs");
    Ok(())
}

#[tokio::test]
async fn includes_and_secrets_hold_and_a_rebuild_or_flash_policy_asks_nobody() -> Result<()> {
    let mut yaml = new_yaml();
    yaml.extra = "packages:\n  more: !include common/more.yaml\n".to_owned();
    yaml.password = None;
    let wanted = [(DEVICE.to_owned(), yaml)].into_iter().collect();
    let Some(stage) = Stage::play(Scene { wanted, ready: false, ..Scene::default() }).await? else {
        return Ok(());
    };
    let include = stage.config.join("common/more.yaml");
    let secrets = stage.config.join("secrets.yaml");
    std::fs::create_dir_all(stage.config.join("common"))?;
    let more = "substitutions:\n  unused: !secret word\n";
    std::fs::write(&include, more)?;
    std::fs::write(&secrets, "word: one\n")?;
    stage.until_ready().await?;
    stage.until_built().await?;

    let held_for = async |path: &str| -> Result<()> {
        let wanted = json!([{"path": path, "kind": "edited"}]);
        let held = |row: &DeviceView| state_of(row) == "held" && changes(row) == wanted;
        stage.until(&format!("held for {path}"), SOON, held).await.map(|_| ())
    };
    std::fs::write(&secrets, "word: two\n")?;
    held_for("secrets.yaml").await?;
    stage.command("rebuild").await?;
    stage.until_state("waiting", BUILD).await?;
    std::fs::write(&include, format!("# edited\n{more}"))?;
    held_for("common/more.yaml").await?;
    // A file that is gone is told as that.
    let aside: PathBuf = stage.dir.path().join("aside");
    std::fs::rename(&include, &aside)?;
    stage
        .until("the include is missed", SOON, |row| {
            changes(row) == json!([{"path": "common/more.yaml", "kind": "removed"}])
                || changes(row)[0]["kind"] == "removed"
        })
        .await?;
    std::fs::rename(&aside, &include)?;
    // What follows is no answer to that.
    held_for("common/more.yaml").await?;
    // One each time that it was held.
    stage.notified("held", 2).await?;

    // Policies.
    let policy = async |policy: &str| {
        let mut settings = serde_json::to_value(stage.snapshot().await?.settings)?;
        settings["changedSources"] = json!(policy);
        stage.app.request(json!({"cmd": "set_settings", "settings": settings})).await
    };
    policy("rebuild").await?;
    stage.command("rebuild").await?;
    stage.until_state("waiting", BUILD).await?;
    let builds = std::fs::read_dir(stage.state.join("logs"))?.count();
    stage.app.process().skip_to_now().await;
    std::fs::write(&secrets, "word: three\n")?;
    let building = |line: &Value| line["event"]["device"]["update"]["state"]["kind"] == "building";
    stage.app.wait_for("a build of its own", SOON, building).await?;
    stage.until_state("waiting", BUILD).await?;
    ensure!(std::fs::read_dir(stage.state.join("logs"))?.count() == builds, "the same update");
    policy("flash").await?;
    std::fs::write(&secrets, "word: four\n")?;
    stage
        .until("it says what it does", SOON, |row| {
            row.update.is_some() && state_of(row) == "waiting"
        })
        .await?;
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let timeline = stage.details().await?.timeline;
        let text = serde_json::to_string(&timeline)?;
        if text.contains("secrets.yaml changed since the build; flashed as it was built") {
            break;
        }
        ensure!(tokio::time::Instant::now() < deadline, "the timeline doesn't say it: {text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stage.until_state("waiting", SOON).await?;
    ensure!(stage.notifications("held").len() == 2, "nobody was asked");
    Ok(())
}

#[tokio::test]
async fn an_edit_during_the_build_holds_its_result() -> Result<()> {
    let Some(stage) = Stage::set().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.command("install").await?;
    stage.until_compiling().await?;
    stage.write(&newer_friendly_name()).await?;
    let row = stage.until_state("held", BUILD).await?;
    ensure!(changes(&row)[0]["path"] == DEVICE, "{}", changes(&row));
    wakes_in_vain(&stage).await?;
    stage.command("cancel").await?;
    stage.until_state("cancelled", SOON).await?;
    Ok(())
}
