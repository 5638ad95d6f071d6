//! A network that lies: hosts that announce what isn't so, in the name of a device.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wakeflash_core::device::{ConfigHash, Presence};
use wakeflash_core::view::{Snapshot, Trust};
use wakeflash_tests::lan::Host;
use wakeflash_tests::lan::forger::{ForgeOptions, Forger, forge};
use wakeflash_tests::stage::{SOON, Stage, old_yaml, state_of};
use wakeflash_tests::supervisor::{DeviceOptions, LabDevice, Mdns, Wake};

/// Longer than some knocks and the gate's patience.
const LONG_ENOUGH: Duration = Duration::from_secs(8);

/// A host that runs the device's own old firmware, takes updates with its password, and says that it is the device.
async fn impostor(stage: &mut Stage, announced_mac: Option<String>) -> Result<(Host, LabDevice)> {
    let host = stage.lan.host("impostor").await?;
    let dir = stage.dir.path().join("impostor");
    let mut options = DeviceOptions::new("sleepy", &stage.old.program, &dir);
    options.announced_mac = announced_mac;
    let device = host.device(&options).await?;
    Ok((host, device))
}

async fn ensure_untouched(impostor: &LabDevice) -> Result<()> {
    let state = impostor.state().await?;
    ensure!(state.ota_started == 0 && state.running, "it got the image: {state:?}");
    Ok(())
}

/// Before Install somebody says that it is the sleeping device, with this MAC address.
async fn is_flashed_in_spite_of(clones_the_mac: bool) -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    let real = stage.sensor.mac().to_owned();
    let (host, impostor) = impostor(&mut stage, clones_the_mac.then(|| real.clone())).await?;
    impostor.wake_fully().await?;
    if clones_the_mac {
        // By its words alone it can't be told from the device at another address, so no conflict is shown.
        stage.until("the claim is heard", SOON, |row| row.addresses.len() > 1).await?;
    } else {
        let row = stage.until("both are shown", SOON, |row| row.rival.is_some()).await?;
        let rival = row.rival.context("there is one")?;
        ensure!(rival.address.as_deref() == Some(&host.address().to_string()), "{rival:?}");
    }
    let row = stage.row().await?;
    ensure!(
        row.mac.is_some_and(|mac| mac.to_string().eq_ignore_ascii_case(&real)),
        "{:?}",
        row.mac
    );

    only_the_device_gets_it(&stage, &impostor).await
}

/// While the impostor is awake, the update waits for the device.
async fn only_the_device_gets_it(stage: &Stage, impostor: &LabDevice) -> Result<()> {
    stage.until_built().await?;
    tokio::time::sleep(LONG_ENOUGH).await;
    ensure_untouched(impostor).await?;
    stage.wake().await?;
    stage.ensure_flashed_once().await?;
    ensure_untouched(impostor).await
}

#[tokio::test]
async fn another_board_before_install_doesnt_get_the_image_and_the_device_does() -> Result<()> {
    is_flashed_in_spite_of(false).await
}

#[tokio::test]
async fn a_host_with_the_devices_mac_address_in_its_words_gets_nothing() -> Result<()> {
    is_flashed_in_spite_of(true).await
}

#[tokio::test]
async fn a_clone_of_a_device_that_was_only_heard_gets_nothing() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    let mac = stage.sensor.mac().to_owned();
    // Its last words before it sleeps: whoever asks it then gets no answer that would prove it.
    let words = ForgeOptions::new(&stage.sensor, "sleepy", &mac, stage.old.config_hash);
    // One packet, which is lost when the link isn't really up yet.
    for words_left in (0..5).rev() {
        stage.sensor.link(true).await?;
        forge(&stage.sensor, &words).await?;
        stage.sensor.link(false).await?;
        let limit = if words_left == 0 { SOON } else { Duration::from_secs(5) };
        match stage.until("its words are heard", limit, |row| row.mac.is_some()).await {
            Err(error) if words_left == 0 => return Err(error),
            Err(_) => {}
            Ok(_) => break,
        }
    }
    let (_host, impostor) = impostor(&mut stage, Some(mac)).await?;
    impostor.wake_fully().await?;
    let row = stage.until("the claim is heard", SOON, |row| row.addresses.len() > 1).await?;
    ensure!(row.trust == Trust::Claimed, "{row:?}");
    only_the_device_gets_it(&stage, &impostor).await
}

#[tokio::test]
async fn the_user_accepts_a_board_that_took_the_place_of_another() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    let (host, board) = impostor(&mut stage, None).await?;
    board.wake_fully().await?;
    stage.until("both are shown", SOON, |row| row.rival.is_some()).await?;
    let other = stage.row().await?.rival.context("it is shown")?;
    let accept = serde_json::json!({
        "cmd": "accept_board", "device": "sleepy.yaml", "mac": other.mac, "link_address": other.link_address,
    });
    stage.app.request(accept).await?;
    let row = stage.until_state("installed", SOON).await?;
    ensure!(row.mac.is_some_and(|mac| mac.to_string().eq_ignore_ascii_case(host.mac())));
    let state = board.state().await?;
    ensure!((state.ota_started, state.ota_done) == (1, 1), "{state:?}");
    Ok(())
}

#[tokio::test]
async fn forged_packets_after_install_overwrite_nothing_and_hide_no_address() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    let before = stage.row().await?;
    let forger = stage.lan.host("forger").await?;
    let nowhere = (0..8).map(|n| Ipv4Addr::new(10, 77, 0, 200 + n));
    let own = ForgeOptions::new(&forger, "sleepy", stage.sensor.mac(), 0x0bad_cafe);
    for options in [
        // Other addresses, other MAC addresses, other versions and hashes; of its own and of the device's address.
        ForgeOptions { address: nowhere.collect(), count: 24, ..own.clone() },
        ForgeOptions { mac: None, hash: None, version: "1.0".into(), count: 24, ..own.clone() },
        ForgeOptions { mac: None, address: vec![stage.sensor.address()], count: 6, ..own.clone() },
        ForgeOptions { address: vec![stage.sensor.address()], count: 6, ..own },
    ] {
        forge(&forger, &options).await?;
    }
    let row = stage.row().await?;
    let facts = |row: &wakeflash_core::view::DeviceView| {
        (row.mac, row.deployed_hash, row.deployed_version.clone(), row.addresses.first().cloned())
    };
    ensure!(facts(&row) == facts(&before), "{row:?}\n{before:?}");
    ensure!(state_of(&row) == "waiting", "{row:?}");
    // It says nothing, so only what is known of it leads to it.
    let window = Wake { for_ms: Some(5_000), mdns: Mdns::Silent, ..Wake::default() };
    stage.let_it_be_caught(window).await?;
    stage.ensure_flashed_once().await
}

#[tokio::test]
async fn a_gateway_that_repeats_the_old_record_rolls_nothing_back() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    let gateway = stage.lan.host("gateway").await?;
    let old = stage.old.config_hash;
    let record = ForgeOptions {
        address: vec![stage.sensor.address()],
        count: 0,
        per_minute: 300,
        version: stage.old.esphome_version.clone(),
        ..ForgeOptions::new(&gateway, "sleepy", stage.sensor.mac(), old)
    };
    // While the device is flashed, while its word is awaited, and while the new firmware has to show that it stays.
    let _repeats = Forger::start(&gateway, &record)?;
    stage.wake().await?;
    stage.ensure_flashed_once().await?;
    stage.device.sleep(true).await?;
    tokio::time::sleep(LONG_ENOUGH).await;
    ensure!(state_of(&stage.row().await?) == "installed");
    stage.device.wake_fully().await?;
    tokio::time::sleep(LONG_ENOUGH).await;
    let row = stage.row().await?;
    ensure!(state_of(&row) == "installed", "{row:?}");
    ensure!(row.deployed_hash != Some(ConfigHash(old)), "{row:?}");
    ensure!(stage.notifications("rolledBack").is_empty());
    stage.ensure_flashed_once().await
}

#[tokio::test]
async fn an_address_outside_of_our_networks_leads_nowhere_until_it_is_given() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    // There is a way to 10.99.0.0/24, and a device that would take the image.
    let far = Ipv4Addr::new(10, 99, 0, 9);
    let (router, victim) = impostor(&mut stage, None).await?;
    victim.wake(Wake { mdns: Mdns::Silent, ..Wake::default() }).await?;
    let there = format!("ip addr add {far}/32 dev eth0");
    ensure!(router.admin("sh").args(["-c", &there]).status().await?.success());
    let route = format!("ip route add 10.99.0.0/24 via {}", router.address());
    ensure!(stage.home.admin("sh").args(["-c", &route]).status().await?.success());
    let forger = stage.lan.host("forger").await?;
    let claim = ForgeOptions {
        address: vec![far],
        count: 0,
        per_minute: 300,
        ..ForgeOptions::new(&forger, "sleepy", "02:77:00:00:00:99", 0x0bad_cafe)
    };
    let _forges = Forger::start(&forger, &claim)?;
    stage.until("it is heard of", SOON, |row| row.presence == Presence::Online).await?;
    let row = stage.until_built().await?;
    let warning = row.update.and_then(|update| update.warning).context("it is told")?;
    ensure!(warning.code == "device.elsewhere", "{warning}");
    tokio::time::sleep(LONG_ENOUGH).await;
    let state = victim.state().await?;
    ensure!(state.ota_sessions == 0, "it was connected to: {state:?}");

    let address =
        serde_json::json!({"cmd": "set_address", "device": "sleepy.yaml", "address": far});
    stage.app.request(address).await?;
    let deadline = tokio::time::Instant::now() + SOON;
    while victim.state().await?.ota_sessions == 0 {
        ensure!(tokio::time::Instant::now() < deadline, "nobody goes where the user says");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_new_device_is_discovered_after_a_flood_of_names() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    let host = stage.lan.host("flood").await?;
    let flood = ForgeOptions {
        name: None,
        mac: None,
        hash: None,
        count: 6_000,
        per_minute: 60_000,
        ..ForgeOptions::new(&host, "any", "02:77:00:00:00:98", 0)
    };
    forge(&host, &flood).await?;
    let rows = stage.snapshot().await?.devices.len();
    ensure!(rows <= 2_000, "{rows}");
    let new = stage.lan.host("new").await?;
    let dir = stage.dir.path().join("new");
    let firmware = wakeflash_tests::esphome::firmware(&old_yaml().with_name("newcomer")).await?;
    let newcomer = new.device(&DeviceOptions::new("newcomer", &firmware.program, &dir)).await?;
    // On a busy machine its first words may come while what was forged is still being read: a device wakes
    // again.
    let is_listed = |snapshot: &Snapshot| snapshot.devices.iter().any(|row| row.name == "newcomer");
    for wakes_left in (0..3).rev() {
        newcomer.wake_fully().await?;
        let listed = stage.until_snapshot("the new device is listed", SOON, is_listed).await;
        newcomer.sleep(false).await?;
        match listed {
            Ok(_) => break,
            Err(_) if wakes_left > 0 => {}
            Err(error) => return Err(error),
        }
    }
    // What was forged is forgotten at the end.
    stage.app.restart().await?;
    stage.until_ready().await?;
    let store = rusqlite_rows(&stage)?;
    ensure!(store <= 2, "{store} devices are stored");
    Ok(())
}

/// How many devices the store has.
fn rusqlite_rows(stage: &Stage) -> Result<i64> {
    let path = stage.state.join("wakeflash.db");
    let store = rusqlite::Connection::open(path)?;
    Ok(store.query_row("SELECT count(*) FROM devices", [], |row| row.get(0))?)
}
