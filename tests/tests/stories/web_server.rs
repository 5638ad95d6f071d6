//! Devices that take updates by a web server only: built by the real ESPHome, uploaded by it, and taken by a
//! scripted device.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use md5::{Digest, Md5};
use serde_json::Value;
use wakeflash_core::view::DeviceView;
use wakeflash_tests::esphome::recorded_hash;
use wakeflash_tests::peer::{WebFault, WebScript};
use wakeflash_tests::scripted::{ScriptedDevice, SessionReport};
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Scene, Stage, new_yaml};

const PORT: u16 = 8080;

fn shown(row: &DeviceView) -> Value {
    serde_json::to_value(&row.update).unwrap_or_default()
}

/// A scene whose device is a scripted one that sleeps.
async fn scripted() -> Result<Option<(Stage, ScriptedDevice)>> {
    let wanted = BTreeMap::from([(DEVICE.to_owned(), new_yaml().with_web_server(PORT))]);
    let scene = Scene { wanted, ..Scene::default() };
    let Some(mut stage) = Stage::play(scene).await? else { return Ok(None) };
    let host = stage.lan.host("peer").await?;
    let device = ScriptedDevice::start_web(&host, "sleepy", PORT, &stage.old).await?;
    Ok(Some((stage, device)))
}

/// The connections that weren't only knocks.
fn uploads(sessions: &[SessionReport]) -> Vec<&SessionReport> {
    sessions.iter().filter(|session| session.prepared).collect()
}

fn fault(fault: WebFault) -> WebScript {
    WebScript { authorization: None, fault }
}

/// Installs on a device that is awake and has said what it runs: its hash tells afterwards.
async fn install_on_known(stage: &Stage, device: &ScriptedDevice) -> Result<()> {
    device.announce(Some(stage.old.config_hash)).await?;
    stage
        .until("it is seen", SOON, |row| {
            row.deployed_hash.is_some_and(|hash| hash.0 == stage.old.config_hash)
        })
        .await?;
    stage.command("install").await.map(drop)
}

#[tokio::test]
async fn what_was_built_is_uploaded_once_and_confirmed() -> Result<()> {
    let Some((stage, device)) = scripted().await? else { return Ok(()) };
    stage.command("install").await?;
    stage.until_state("waiting", BUILD).await?;
    let built = stage.config.join(".esphome/build/sleepy/.pioenvs/sleepy/program");
    let image = hex::encode(Md5::digest(std::fs::read(&built).context("nothing was built")?));
    // Somebody builds something else before the device wakes.
    std::fs::write(&built, b"something else")?;
    device.announce(Some(stage.old.config_hash)).await?;
    stage.until_state("confirming", SOON).await?;
    device.announce(Some(recorded_hash(&stage.config, "sleepy")?)).await?;
    let update = shown(&stage.until_state("installed", SOON).await?);
    ensure!(update["attempts"] == 1, "{update}");
    let sessions = device.sessions().await?;
    let uploads = uploads(&sessions);
    ensure!(uploads.len() == 1 && uploads[0].image_md5 == Some(image), "{sessions:?}");
    Ok(())
}

#[tokio::test]
async fn a_cut_after_the_last_byte_is_confirmed_by_the_device_and_never_sent_again() -> Result<()> {
    let Some((stage, device)) = scripted().await? else { return Ok(()) };
    device.serve_uploads(fault(WebFault::CloseAtEnd)).await?;
    install_on_known(&stage, &device).await?;
    stage.until_state("confirming", BUILD).await?;
    device.serve_uploads(WebScript::default()).await?;
    device.announce(Some(recorded_hash(&stage.config, "sleepy")?)).await?;
    stage.until_state("installed", SOON).await?;
    let sessions = device.sessions().await?;
    ensure!(uploads(&sessions).len() == 1, "{sessions:?}");
    Ok(())
}

#[tokio::test]
async fn a_refused_login_fails_at_once_and_in_words() -> Result<()> {
    let Some((stage, device)) = scripted().await? else { return Ok(()) };
    let authorization = Some("Basic bm9ib2R5Om5vdGhpbmc=".to_owned());
    device.serve_uploads(WebScript { authorization, fault: WebFault::None }).await?;
    install_on_known(&stage, &device).await?;
    let problem = shown(&stage.until_state("failed", BUILD).await?)["state"]["problem"].clone();
    ensure!(problem["code"] == "web_server.auth", "{problem}");
    let sessions = device.sessions().await?;
    ensure!(uploads(&sessions).len() == 1, "{sessions:?}");
    Ok(())
}

#[tokio::test]
async fn a_cancel_in_the_middle_ends_the_upload_and_says_what_may_have_happened() -> Result<()> {
    let Some((stage, device)) = scripted().await? else { return Ok(()) };
    device.serve_uploads(fault(WebFault::StallAfter(10_000))).await?;
    install_on_known(&stage, &device).await?;
    device
        .until("it takes an image", BUILD, |sessions| {
            uploads(sessions).iter().any(|upload| upload.faulted)
        })
        .await?;
    ensure!(!stage.build_processes()?.is_empty(), "ESPHome runs");
    stage.command("cancel").await?;
    let update = shown(&stage.until_state("cancelled", SOON).await?);
    ensure!(update["state"]["mayHaveArrived"] == true, "nobody can tell: {update}");
    stage.until_no_build_runs(Duration::from_secs(20)).await?;
    Ok(())
}

#[tokio::test]
async fn an_upload_whose_application_was_killed_is_ended_and_the_device_is_asked() -> Result<()> {
    let Some((mut stage, device)) = scripted().await? else { return Ok(()) };
    device.serve_uploads(fault(WebFault::StallAfter(10_000))).await?;
    install_on_known(&stage, &device).await?;
    let stalled =
        |sessions: &[SessionReport]| uploads(sessions).iter().any(|upload| upload.faulted);
    device.until("it takes an image", BUILD, stalled).await?;
    stage.app.kill().await?;
    device.serve_uploads(WebScript::default()).await?;
    stage.app.start_again()?;
    stage.until_ready().await?;
    stage.until_no_build_runs(SOON).await?;
    stage.until_state("confirming", SOON).await?;
    // The device says that it still runs what it ran, so it is flashed again.
    device
        .until("it takes another image", SOON, |sessions| {
            uploads(sessions).iter().any(|upload| upload.image_md5.is_some())
        })
        .await?;
    stage.until_state("confirming", SOON).await?;
    device.announce(Some(recorded_hash(&stage.config, "sleepy")?)).await?;
    stage.until_state("installed", SOON).await?;
    Ok(())
}
