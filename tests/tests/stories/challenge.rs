//! Who gets an answer to a password challenge: it lets whoever asked try passwords at leisure.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use wakeflash_tests::esphome::Firmware;
use wakeflash_tests::peer::{Auth, Script};
use wakeflash_tests::scripted::ScriptedDevice;
use wakeflash_tests::stage::{BUILD, SOON, Stage, new_yaml, state_of};

/// Long enough for several attempts, with the pauses between them.
const ATTEMPTS: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_stranger_at_the_address_of_the_device_gets_no_answer() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    // What the user says is tried, whoever is there.
    let given = stage.sensor.address();
    let given = json!({"cmd": "set_address", "device": "sleepy.yaml", "address": given});
    stage.app.request(given).await?;
    stage.until_built().await?;
    // While the device sleeps, its address becomes somebody else's, who never says who it is.
    let mut host = stage.lan.host("stranger").await?;
    host.set_address(stage.sensor.address()).await?;
    host.announce_address().await?;
    let stranger =
        ScriptedDevice::start(&host, "stranger", new_yaml().ota_port, &stage.old).await?;
    for auth in [Auth::Sha256, Auth::Md5, Auth::Sha256] {
        let before = stranger.sessions().await?.len();
        stranger.play(Script { auth, ..Script::default() }).await?;
        stranger.until("an attempt", ATTEMPTS, |sessions| sessions.len() > before).await?;
    }
    stage
        .until("the user is told", SOON, |row| {
            let told = row.update.as_ref().and_then(|update| update.last_attempt.as_ref());
            told.is_some_and(|attempt| attempt.problem.code.starts_with("gate."))
        })
        .await?;
    let sessions = stranger.sessions().await?;
    ensure!(sessions.len() >= 3, "{sessions:?}");
    ensure!(sessions.iter().all(|session| !session.answered), "{sessions:?}");
    Ok(())
}

#[tokio::test]
async fn md5_is_answered_to_old_firmware_only() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    let host = stage.lan.host("peer").await?;
    let port = new_yaml().ota_port;
    let script = Script { auth: Auth::Md5, ..Script::default() };
    let new = ScriptedDevice::start(&host, "sleepy", port, &stage.old).await?;
    new.play(script.clone()).await?;
    new.announce(Some(stage.old.config_hash)).await?;
    stage.command("install").await?;
    stage
        .until("it is refused", BUILD, |row| {
            let told = row.update.as_ref().and_then(|update| update.last_attempt.as_ref());
            told.is_some_and(|attempt| attempt.problem.code == "ota.outdated_password_check")
                && state_of(row) == "waiting"
        })
        .await?;
    let sessions = new.sessions().await?;
    ensure!(sessions.iter().all(|session| !session.answered), "{sessions:?}");
    new.goodbye().await?;
    new.end().await?;

    let firmware = Firmware { esphome_version: "2025.9.3".to_owned(), ..stage.old.clone() };
    let old = ScriptedDevice::start(&host, "sleepy", port, &firmware).await?;
    old.play(script).await?;
    old.announce(Some(stage.old.config_hash)).await?;
    let sessions = old
        .until("an image", ATTEMPTS, |all| all.iter().any(|session| session.image_md5.is_some()));
    ensure!(sessions.await?.iter().any(|session| session.answered));
    Ok(())
}
