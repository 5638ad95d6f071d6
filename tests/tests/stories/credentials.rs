//! Passwords: the device has that of the firmware that runs on it, whatever the new build says.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wakeflash_core::device::Presence;
use wakeflash_core::view::DeviceView;
use wakeflash_tests::peer::{Fault, Script, Stage as At};
use wakeflash_tests::scripted::ScriptedDevice;
use wakeflash_tests::stage::{BUILD, SOON, Stage, new_yaml};
use wakeflash_tests::yaml::DeviceYaml;

fn with_another_password() -> DeviceYaml {
    new_yaml().with_friendly_name("Sleepy Sensor 3").with_password(Some("changed"))
}

fn warning(row: &DeviceView) -> Option<&str> {
    row.update.as_ref()?.warning.as_ref().map(|warning| warning.code.as_str())
}

async fn timeline(stage: &Stage) -> Result<Vec<String>> {
    Ok(stage.details().await?.timeline.into_iter().map(|entry| entry.text).collect())
}

#[tokio::test]
async fn a_changed_password_is_tried_and_then_the_one_that_the_device_still_has() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    stage.wake().await?;
    let row = stage.until_state("installed", SOON).await?;
    ensure!(row.update.context("no update")?.encrypted == Some(false));

    stage.device.sleep(true).await?;
    stage.write(&with_another_password()).await?;
    let row = stage.until_built().await?;
    // Wakeflash has installed the firmware that runs there, and knows its password.
    ensure!(warning(&row).is_none(), "{:?}", warning(&row));
    stage.wake().await?;
    let row = stage.until_state("installed", SOON).await?;
    ensure!(row.update.as_ref().is_some_and(|update| update.attempts == 2), "{row:?}");
    let said = timeline(&stage).await?;
    let at = |part: &str| said.iter().position(|text| text.contains(part));
    let second = at("trying those of its last installed build").context("no second try")?;
    let sent = at("travels in the clear: no key is configured").context("how it travelled")?;
    ensure!(second < sent, "{said:?}");
    ensure!(stage.notifications("failed").is_empty());
    Ok(())
}

#[tokio::test]
async fn a_changed_password_of_firmware_that_nobody_knows_is_warned_of_before_the_wake()
-> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    let row = stage.until_built().await?;
    ensure!(warning(&row).is_none(), "{:?}", warning(&row));
    stage.command("cancel").await?;

    stage.write(&with_another_password()).await?;
    let row = stage.until_built().await?;
    ensure!(warning(&row) == Some("ota.credentials_changed"), "{row:?}");
    let said = timeline(&stage).await?;
    ensure!(
        said.iter().any(|text| text.contains("another one than at the last build")),
        "{said:?}"
    );
    stage.wake().await?;
    let row = stage.until_state("failed", SOON).await?;
    let update = serde_json::to_value(&row.update)?;
    ensure!(update["state"]["problem"]["code"] == "ota.auth_invalid", "{update}");
    Ok(())
}

#[tokio::test]
async fn what_a_stranger_answers_at_the_devices_address_is_no_failure_of_the_update() -> Result<()>
{
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    let (mut host, mut other) = (stage.lan.host("peer").await?, stage.lan.host("stranger").await?);
    let port = new_yaml().ota_port;
    let device = ScriptedDevice::start(&host, "sleepy", port, &stage.old).await?;
    device.announce(Some(stage.old.config_hash)).await?;
    stage.until("it is seen", SOON, |row| row.presence == Presence::Online).await?;
    device.goodbye().await?;
    stage.until("it sleeps", SOON, |row| row.presence == Presence::Asleep).await?;
    device.end().await?;

    // Its address has gone to another device, which takes no update.
    let address = host.address();
    host.set_address(Ipv4Addr::new(10, 77, 0, 200)).await?;
    other.set_address(address).await?;
    let stranger = ScriptedDevice::start(&other, "kitchen", port, &stage.old).await?;
    stranger.play(Script::default().fault(At::Greeting, Fault::Error(0x84))).await?;
    stranger.announce(None).await?;
    stage.command("install").await?;
    // On a busy machine its word may be late at the first look.
    stage
        .until("it was found to be another one", BUILD, |row| {
            let update = serde_json::to_value(&row.update).unwrap_or_default();
            update["lastAttempt"]["problem"]["code"] == "gate.other_device"
                && update["state"]["kind"] == "waiting"
        })
        .await?;
    // Longer than the period at which a waiting device is tried.
    tokio::time::sleep(Duration::from_secs(3)).await;
    stage.until_state("waiting", SOON).await?;
    ensure!(stage.notifications("failed").is_empty());
    ensure!(stranger.sessions().await?.iter().all(|session| !session.prepared));
    Ok(())
}
