//! Encrypted updates through the queue: a configuration with a key, a scripted device with Noise or without. What
//! ESPHome writes down about keys is put into the compile's results (see `kept`), since no firmware with Noise can
//! be built here.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use wakeflash_tests::esphome::recorded_hash;
use wakeflash_tests::kept;
use wakeflash_tests::peer::Script;
use wakeflash_tests::scripted::ScriptedDevice;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Scene, Stage, new_yaml};

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const OTHER: &str = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q=";

/// A scene in which the configuration says this about keys, and the device has that one.
async fn scene(says: Value, has: Option<&str>) -> Result<Option<(Stage, ScriptedDevice)>> {
    let wanted = BTreeMap::from([(DEVICE.to_owned(), new_yaml())]);
    let Some(mut stage) = Stage::play(Scene { wanted, ..Scene::default() }).await? else {
        return Ok(None);
    };
    std::fs::write(stage.config.join(kept::PATCH), says.to_string())?;
    let host = stage.lan.host("peer").await?;
    let device = ScriptedDevice::start(&host, "sleepy", new_yaml().ota_port, &stage.old).await?;
    let key = has.map(str::to_owned);
    device.play(Script { key, ..Script::default() }).await?;
    device.announce(Some(stage.old.config_hash)).await?;
    stage
        .until("it is seen", SOON, |row| {
            row.deployed_hash.is_some_and(|hash| hash.0 == stage.old.config_hash)
        })
        .await?;
    stage.command("install").await?;
    Ok(Some((stage, device)))
}

/// As ESPHome demands: a key takes the place of the password.
fn required() -> Value {
    json!({"ota": {"encryption": {"key": KEY}}, "without": ["password"]})
}

fn offered() -> Value {
    json!({"api": {"encryption": {"key": KEY}}})
}

async fn installed(stage: &Stage, device: &ScriptedDevice) -> Result<(Value, Vec<String>)> {
    stage.until_state("confirming", BUILD).await?;
    device.announce(Some(recorded_hash(&stage.config, "sleepy")?)).await?;
    let row = stage.until_state("installed", SOON).await?;
    let said = stage.details().await?.timeline.into_iter().map(|entry| entry.text).collect();
    Ok((serde_json::to_value(&row.update)?, said))
}

#[tokio::test]
async fn with_a_key_the_image_travels_encrypted_and_the_user_is_told() -> Result<()> {
    for says in [required(), offered()] {
        let Some((stage, device)) = scene(says, Some(KEY)).await? else { return Ok(()) };
        let (update, said) = installed(&stage, &device).await?;
        ensure!(update["encrypted"] == true && update["attempts"] == 1, "{update}");
        ensure!(said.iter().any(|text| text == "The firmware travels encrypted."), "{said:?}");
        let sessions = device.sessions().await?;
        let taken: Vec<_> = sessions.iter().filter(|session| session.prepared).collect();
        ensure!(taken.len() == 1 && taken[0].encrypted, "{sessions:?}");
        ensure!(taken[0].image_md5.is_some(), "{sessions:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_of_the_api_alone_is_no_demand_and_the_user_is_told_what_happened() -> Result<()> {
    let Some((stage, device)) = scene(offered(), None).await? else { return Ok(()) };
    let (update, said) = installed(&stage, &device).await?;
    ensure!(update["encrypted"] == false, "{update}");
    let told = "The firmware travels in the clear: the device offers no encryption.";
    ensure!(said.iter().any(|text| text.starts_with(told)), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn without_the_encryption_that_is_demanded_nothing_is_sent_and_the_update_fails_in_words()
-> Result<()> {
    for (says, has, code) in [
        (required(), None, "ota.encryption_not_offered"),
        (required(), Some(OTHER), "ota.wrong_key"),
        // Another key is no reason to fall back, even where the clear would be allowed.
        (offered(), Some(OTHER), "ota.wrong_key"),
    ] {
        let Some((stage, device)) = scene(says, has).await? else { return Ok(()) };
        let row = stage.until_state("failed", BUILD).await?;
        let update = serde_json::to_value(&row.update)?;
        let problem = &update["state"]["problem"];
        ensure!(problem["code"] == code, "{update}");
        let words = problem["help"].as_str().unwrap_or_default();
        ensure!(words.to_lowercase().contains("nothing was sent"), "{problem}");
        stage.notified("failed", 1).await?;
        let sessions = device.sessions().await?;
        ensure!(!sessions.is_empty(), "it was never tried");
        ensure!(sessions.iter().all(|s| !s.prepared && s.wire_bytes == 0), "{sessions:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_demand_without_a_readable_key_fails_before_any_wake() -> Result<()> {
    let says = json!({"ota": {"encryption": {}}, "without": ["password"]});
    let Some((stage, device)) = scene(says, None).await? else { return Ok(()) };
    let row = stage.until_state("failed", BUILD).await?;
    let update = serde_json::to_value(&row.update)?;
    ensure!(update["state"]["problem"]["code"] == "ota.key", "{update}");
    ensure!(device.sessions().await?.is_empty());
    Ok(())
}
