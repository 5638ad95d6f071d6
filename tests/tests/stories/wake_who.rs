//! Whom the firmware is for: strangers at known addresses, impostors, swapped addresses, new names.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wakeflash_tests::stage::{DEVICE, SOON, Scene, Stage, new_yaml, old_yaml, state_of};
use wakeflash_tests::supervisor::{DeviceOptions, Mdns, Wake};
use wakeflash_tests::yaml::DeviceYaml;

/// Longer than two knocks and the gate's patience.
const LONG_ENOUGH: Duration = Duration::from_secs(8);

/// A device says by ARP that it has its address, as lwIP does when a link comes up. Without that the system finds out only
/// when it asks again, up to a minute later: whoever else has the address gets nothing until then, like the device.
fn announced() -> Wake {
    Wake { gratuitous_arp: true, ..Wake::default() }
}

#[tokio::test]
async fn two_devices_that_swap_their_addresses_get_their_own_firmware_or_none() -> Result<()> {
    let scene = Scene { others: 2, ..Scene::default() };
    let Some(stage) = Stage::play(scene).await? else { return Ok(()) };
    let [first, second] = stage.others.as_slice() else { anyhow::bail!("there are two") };
    stage.let_others_be_seen().await?;
    stage.until_others_built().await?;
    first.device.set_address(second.host.address()).await?;
    second.device.set_address(first.host.address()).await?;

    // Silent, they have the right password at each other's address. What still may tell them apart is the
    // hardware address; nothing else may lead to a flash.
    stage.wake_others(Wake { mdns: Mdns::Silent, ..announced() }).await?;
    tokio::time::sleep(LONG_ENOUGH).await;
    for other in &stage.others {
        let state = other.device.state().await?;
        ensure!(state.name.as_ref() == Some(&other.name), "it became another device: {state:?}");
        ensure!(state.ota_started <= 1, "{state:?}");
    }
    stage.let_others_sleep(false).await?;

    stage.wake_others(announced()).await?;
    stage.until_others("installed", SOON, |row| state_of(row) == "installed").await?;
    for other in &stage.others {
        other.ensure_flashed_once(&stage).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stranger_at_the_remembered_address_gets_nothing() -> Result<()> {
    // With an API it would say who it is.
    let scene = Scene { others: 1, others_have_api: false, ..Scene::default() };
    let Some(stage) = Stage::play(scene).await? else { return Ok(()) };
    let [stranger] = stage.others.as_slice() else { anyhow::bail!("there is one") };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    stage.device.set_address([10, 77, 0, 77].into()).await?;
    stranger.device.set_address(stage.sensor.address()).await?;
    for mdns in [Mdns::Silent, Mdns::Full] {
        stranger.device.wake(Wake { mdns, ..announced() }).await?;
        stage
            .until("it is asked at the address, and found to be another", SOON, |row| {
                let update = serde_json::to_value(&row.update).unwrap_or_default();
                let code = update["lastAttempt"]["problem"]["code"].as_str();
                match mdns {
                    Mdns::Silent => code == Some("gate.unidentified"),
                    Mdns::Full | Mdns::AnswersOnly | Mdns::NameOnly => code.is_some(),
                }
            })
            .await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        stranger.ensure_untouched().await?;
        stranger.device.sleep(false).await?;
    }
    stranger.device.wake(Wake::default()).await?;
    stage.wake().await?;
    stage.ensure_flashed_once().await?;
    stranger.ensure_untouched().await
}

#[tokio::test]
async fn another_board_under_the_right_name_gets_nothing() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    let host = stage.lan.host("impostor").await?;
    let dir = stage.dir.path().join("impostor");
    let impostor = host.device(&DeviceOptions::new("sleepy", &stage.old.program, &dir)).await?;
    impostor.wake_fully().await?;
    let row = stage.until("both are shown", SOON, |row| row.rival.is_some()).await?;
    let rival = row.rival.context("there is one")?;
    ensure!(rival.mac.is_some_and(|mac| mac.to_string().eq_ignore_ascii_case(host.mac())));
    ensure!(row.mac.is_some_and(|mac| mac.to_string().eq_ignore_ascii_case(stage.sensor.mac())));
    tokio::time::sleep(LONG_ENOUGH).await;
    let state = impostor.state().await?;
    ensure!((state.ota_started, state.running) == (0, true), "{state:?}");

    // The right one comes while the other is still there.
    stage.wake().await?;
    stage.ensure_flashed_once().await?;
    let state = impostor.state().await?;
    ensure!(state.ota_started == 0, "{state:?}");
    Ok(())
}

#[tokio::test]
async fn a_device_that_is_renamed_is_found_under_its_old_name() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.write(&new_yaml().with_name("renamed").with_friendly_name("Renamed")).await?;
    stage.until_built().await?;
    stage.let_it_be_caught(Wake { for_ms: Some(5_000), ..Wake::default() }).await?;
    stage.ensure_flashed_once().await?;
    let state = stage.device.state().await?;
    ensure!(state.name.as_deref() == Some("renamed"), "it goes by its old name: {state:?}");
    let row = stage.row().await?;
    ensure!(row.name == "renamed" && row.deployed_hash.is_some(), "{row:?}");
    let rows = stage.snapshot().await?.devices;
    ensure!(rows.len() == 1, "its old name has a row of its own: {rows:#?}");
    Ok(())
}

/// A configuration that names this address, literally or by a secret.
fn at_the_same_address(address: Ipv4Addr, literal: bool) -> DeviceYaml {
    let yaml = new_yaml().with_name("east").with_friendly_name("East").with_address(address);
    if literal {
        return yaml;
    }
    let mut by_secret = yaml;
    by_secret.address = None;
    by_secret.extra.push_str("ethernet:\n  use_address: !secret east_ip\n");
    by_secret
}

#[tokio::test]
async fn firmware_goes_to_no_address_that_two_configurations_name() -> Result<()> {
    let address: Ipv4Addr = [10, 77, 0, 2].into();
    for literal in [true, false] {
        // The sensor runs `sleepy`; the firmware is that of `east`.
        let wanted = [
            (DEVICE.to_owned(), at_the_same_address(address, true)),
            ("sleepy-itself.yaml".to_owned(), {
                let own = at_the_same_address(address, literal);
                own.with_name("sleepy").with_friendly_name("Sleepy")
            }),
        ];
        // With an API it would say which one it is.
        let runs = old_yaml().with_api(false);
        let scene = Scene { runs, wanted: wanted.into(), ready: false, ..Scene::default() };
        let Some(stage) = Stage::play(scene).await? else { return Ok(()) };
        std::fs::write(stage.config.join("secrets.yaml"), format!("east_ip: {address}\n"))?;
        stage.until_ready().await?;
        stage.until_built().await?;
        stage.device.wake(Wake { mdns: Mdns::Silent, ..Wake::default() }).await?;
        let row = stage
            .until("it isn't known whose address it is", SOON, |row| {
                let told = row.update.as_ref().and_then(|update| update.last_attempt.as_ref());
                told.is_some_and(|attempt| attempt.problem.code == "gate.unidentified")
            })
            .await?;
        let update = serde_json::to_value(&row.update)?;
        let problem = &update["lastAttempt"]["problem"];
        let says = problem["message"].as_str().unwrap_or_default();
        ensure!(says.contains("sleepy-itself.yaml"), "it doesn't say why: {says}");
        tokio::time::sleep(LONG_ENOUGH).await;
        let state = stage.device.state().await?;
        ensure!(state.ota_started == 0 && state.name.as_deref() == Some("sleepy"), "{state:?}");
        stage.until_state("waiting", SOON).await?;
    }
    Ok(())
}
