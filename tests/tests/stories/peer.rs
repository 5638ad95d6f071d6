//! Devices that answer with an error, or vanish when it matters: a scripted device, since no real one can be
//! made to do so. What it is sent was built by the real ESPHome.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wakeflash_core::view::DeviceView;
use wakeflash_tests::peer::{Fault, Script, Stage as At};
use wakeflash_tests::scripted::ScriptedDevice;
use wakeflash_tests::stage::{BUILD, SOON, Stage, new_yaml};

/// Longer than the pause after an error of the device's own.
const AFTER_PAUSE: Duration = Duration::from_secs(120);

fn shown(row: &DeviceView) -> Value {
    serde_json::to_value(&row.update).unwrap_or_default()
}

/// A scene whose device is a scripted one that is awake.
async fn scripted() -> Result<Option<(Stage, ScriptedDevice)>> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(None) };
    let host = stage.lan.host("peer").await?;
    let device = ScriptedDevice::start(&host, "sleepy", new_yaml().ota_port, &stage.old).await?;
    Ok(Some((stage, device)))
}

/// Waits for the end of what a build and a session lead to, and returns the update.
async fn outcome(stage: &Stage, state: &str) -> Result<Value> {
    Ok(shown(&stage.until_state(state, BUILD).await?))
}

#[tokio::test]
async fn a_permanent_error_fails_at_once_and_in_words() -> Result<()> {
    let errors = [
        (0x84, At::UpdateEnd, "ota.update_end"),
        (0x86, At::Prepare, "ota.wrong_current_flash_config"),
        (0x87, At::Prepare, "ota.wrong_new_flash_config"),
        (0x88, At::Prepare, "ota.esp8266_not_enough_space"),
        (0x89, At::Prepare, "ota.esp32_not_enough_space"),
        (0x8A, At::Prepare, "ota.no_update_partition"),
        (0x8C, At::Prepare, "ota.rp2040_not_enough_space"),
        (0x8D, At::UpdateEnd, "ota.signature_invalid"),
        (0x8E, At::Features, "ota.unsupported_type"),
        (0x8F, At::UpdateEnd, "ota.partition_table_verify"),
        (0x90, At::UpdateEnd, "ota.partition_table_update"),
        (0x91, At::UpdateEnd, "ota.bootloader_verify"),
        (0x92, At::UpdateEnd, "ota.bootloader_update"),
        (0x93, At::UpdateEnd, "ota.version_downgrade"),
        (0x94, At::Greeting, "ota.encryption_required"),
        // The image is not what the device expects; it stays what it is.
        (0x80, At::Block(0), "ota.magic"),
    ];
    // Fewer than the transfers that are begun within an hour.
    for errors in errors.chunks(8) {
        let Some((stage, device)) = scripted().await? else { return Ok(()) };
        device.announce(Some(stage.old.config_hash)).await?;
        let mut command = "install";
        for (number, (byte, at, code)) in errors.iter().copied().enumerate() {
            let before = device.sessions().await?.len();
            device.play(Script::default().fault(at, Fault::Error(byte))).await?;
            stage.command(command).await.with_context(|| code.to_owned())?;
            command = "retry";
            let update = outcome(&stage, "failed").await.with_context(|| code.to_owned())?;
            let problem = &update["state"]["problem"];
            ensure!(problem["code"] == code, "{byte:02X}: {problem}");
            let said = |what: &str| problem[what].as_str().unwrap_or_default();
            let (sentence, help) = (said("message"), said("help"));
            ensure!(
                sentence.len() + help.len() > 40
                    && [sentence, help].iter().all(|said| said.ends_with('.')),
                "{code} says too little: {problem}"
            );
            ensure!(device.sessions().await?.len() == before + 1, "{code}: one attempt is enough");
            let told = stage.notified("failed", number + 1).await.context(code)?;
            ensure!(told[number]["body"] == problem["message"], "{code}: {}", told[number]);
        }
        ensure!(
            device.sessions().await?.iter().all(|session| session.image_md5.is_none()),
            "nothing was installed"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_fails_once_and_says_so() -> Result<()> {
    let Some((stage, device)) = scripted().await? else { return Ok(()) };
    device.announce(Some(stage.old.config_hash)).await?;
    device.play(Script { password: "another".to_owned(), ..Script::default() }).await?;
    stage.command("install").await?;
    let problem = outcome(&stage, "failed").await?["state"]["problem"].clone();
    ensure!(problem["code"] == "ota.auth_invalid", "{problem}");
    ensure!(problem["message"].as_str().is_some_and(|text| text.contains("password")));
    let sessions = device.sessions().await?;
    ensure!(sessions.len() == 1, "{sessions:?}");
    ensure!(sessions.iter().all(|session| session.wire_bytes == 0), "not a byte of the image");
    Ok(())
}

#[tokio::test]
async fn an_error_that_may_pass_is_tried_again_three_times() -> Result<()> {
    let Some((stage, device)) = scripted().await? else { return Ok(()) };

    // Damaged on its way, or in want of a reset: after a pause, since each try may wear out the flash.
    device.announce(Some(stage.old.config_hash)).await?;
    for (byte, at, code) in [
        (0x8B, At::UpdateEnd, "ota.md5_mismatch"),
        (0x85, At::Prepare, "ota.invalid_bootstrapping"),
    ] {
        device.play(Script::default().fault(at, Fault::Error(byte))).await?;
        stage.command("install").await?;
        stage
            .until("it waits for another try", BUILD, |row| {
                let update = shown(row);
                update["lastAttempt"]["problem"]["code"] == code
                    && update["state"]["kind"] == "waiting"
            })
            .await?;
        stage.command("cancel").await?;
    }

    // The device's own trouble: a pause, another try, three in all.
    device.play(Script::default().fault(At::Prepare, Fault::Error(0x83))).await?;
    let before = device.sessions().await?.len();
    stage.command("install").await?;
    device.until("a first try", BUILD, |sessions| sessions.len() > before).await?;
    let row = stage
        .until("it waits for another try", SOON, |row| {
            shown(row)["lastAttempt"]["problem"]["code"] == "ota.writing_flash"
        })
        .await?;
    ensure!(shown(&row)["state"]["kind"] == "waiting", "{}", shown(&row));
    // A wake ends the pause.
    device.goodbye().await?;
    stage
        .until("it sleeps", SOON, |row| row.presence == wakeflash_core::device::Presence::Asleep)
        .await?;
    device.announce(Some(stage.old.config_hash)).await?;
    device.until("a second try", SOON, |sessions| sessions.len() > before + 1).await?;
    // So does time.
    device.until("a third try", AFTER_PAUSE, |sessions| sessions.len() > before + 2).await?;
    let problem = outcome(&stage, "failed").await?["state"]["problem"].clone();
    ensure!(problem["code"] == "ota.writing_flash", "{problem}");
    ensure!(device.sessions().await?.len() == before + 3, "and no more");
    // Not one for each try.
    stage.notified("failed", 1).await?;
    Ok(())
}

/// Lets a session die there. Afterwards the device greets nobody, as one does that isn't done with its session.
async fn dies_at(stage: &Stage, device: &ScriptedDevice, at: At) -> Result<()> {
    let late = Fault::Late(Duration::from_secs(8));
    device.play(Script::default().fault(At::Prepare, late).fault(at, Fault::Close)).await?;
    stage.command("install").await?;
    device.until("a session", BUILD, |sessions| !sessions.is_empty()).await?;
    device.play(Script::default().fault(At::Connect, Fault::Stall)).await
}

#[tokio::test]
async fn a_connection_that_dies_after_the_last_byte_is_decided_by_the_device() -> Result<()> {
    let Some((mut stage, device)) = scripted().await? else { return Ok(()) };
    let complete = |sessions: &[wakeflash_tests::scripted::SessionReport]| {
        sessions.iter().filter(|one| one.wire_bytes > 0).count()
    };

    // It has not arrived: the old firmware comes back, and is flashed again, once.
    device.announce(Some(stage.old.config_hash)).await?;
    dies_at(&stage, &device, At::Received).await?;
    let row = stage.until_state("confirming", BUILD).await?;
    ensure!(shown(&row)["state"]["acknowledged"] == false, "{}", shown(&row));
    // The application is killed meanwhile; that makes no difference.
    device.goodbye().await?;
    stage.app.restart().await?;
    stage.until_ready().await?;
    stage.until_state("confirming", SOON).await?;
    ensure!(
        complete(&device.sessions().await?) == 1,
        "nothing is sent before the device has spoken"
    );
    device.play(Script::default()).await?;
    // It says again and again what it runs, as its wakes come; the first words may come too early.
    let deadline = tokio::time::Instant::now() + AFTER_PAUSE;
    while complete(&device.sessions().await?) < 2 {
        ensure!(tokio::time::Instant::now() < deadline, "it is not flashed again");
        device.announce(Some(stage.old.config_hash)).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        device.goodbye().await?;
    }
    let row = stage.until_state("confirming", SOON).await?;
    let wanted = row.update.as_ref().and_then(|update| update.wanted_hash).map(|hash| hash.0);
    device.announce(wanted).await?;
    let update = outcome(&stage, "installed").await?;
    ensure!(update["state"]["how"] == "confirmed", "{update}");
    ensure!(complete(&device.sessions().await?) == 2);
    Ok(())
}

#[tokio::test]
async fn an_image_that_arrived_though_the_connection_died_is_not_sent_twice() -> Result<()> {
    let Some((mut stage, device)) = scripted().await? else { return Ok(()) };
    device.announce(Some(stage.old.config_hash)).await?;
    dies_at(&stage, &device, At::UpdateEnd).await?;
    let row = stage.until_state("confirming", BUILD).await?;
    let wanted = row.update.as_ref().and_then(|update| update.wanted_hash).map(|hash| hash.0);
    device.goodbye().await?;
    device.play(Script::default()).await?;
    stage.app.restart().await?;
    stage.until_ready().await?;
    device.announce(wanted).await?;
    let update = outcome(&stage, "installed").await?;
    ensure!(update["state"]["how"] == "confirmed", "{update}");
    // Longer than the period at which a waiting device is tried.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let sent = device.sessions().await?.iter().filter(|one| one.wire_bytes > 0).count();
    ensure!(sent == 1, "the image was sent once: {sent}");
    stage.notified("installed", 1).await?;
    Ok(())
}
