//! How a wake is noticed: with announcements, without, at another address.

use anyhow::{Result, ensure};
use wakeflash_core::device::Presence;
use wakeflash_tests::stage::{DEVICE, SOON, Scene, Stage, new_yaml, old_yaml};
use wakeflash_tests::supervisor::{Mdns, Wake};

fn window(seconds: u64, mdns: Mdns) -> Wake {
    Wake { for_ms: Some(seconds * 1000), mdns, ..Wake::default() }
}

#[tokio::test]
async fn a_device_that_is_believed_to_be_online_is_caught_at_its_next_wake() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.device.wake_fully().await?;
    stage
        .until("it is online", SOON, |device| {
            device.deployed_hash.is_some_and(|hash| hash.0 == stage.old.config_hash)
        })
        .await?;
    stage.device.sleep(false).await?;
    let row = stage.until_built().await?;
    ensure!(row.presence == Presence::Online, "nobody has said that it sleeps: {row:?}");
    // Well inside the life of its records, and word by word what it said before.
    stage.let_it_be_caught(Wake { no_goodbye: true, ..window(3, Mdns::Full) }).await?;
    stage.ensure_flashed_once().await
}

#[tokio::test]
async fn a_silent_device_is_caught_where_it_was_seen() -> Result<()> {
    let Some(mut stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    // The application was killed and started again meanwhile.
    stage.app.restart().await?;
    stage.until_ready().await?;
    stage.let_it_be_caught(window(5, Mdns::Silent)).await?;
    stage.ensure_flashed_once().await
}

#[tokio::test]
async fn a_silent_device_is_caught_where_its_configuration_says() -> Result<()> {
    // The sensor is the second host.
    let address = [10, 77, 0, 2].into();
    let wanted = [(DEVICE.to_owned(), new_yaml().with_address(address))].into();
    let Some(stage) = Stage::play(Scene { wanted, ..Scene::default() }).await? else {
        return Ok(());
    };
    ensure!(stage.sensor.address() == address);
    stage.until_built().await?;
    stage.let_it_be_caught(window(5, Mdns::Silent)).await?;
    stage.ensure_flashed_once().await
}

#[tokio::test]
async fn a_wake_whose_announcements_are_all_lost_is_caught() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    stage.let_it_be_caught(window(5, Mdns::AnswersOnly)).await?;
    stage.ensure_flashed_once().await
}

#[tokio::test]
async fn a_device_with_another_address_is_found_by_its_name() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    stage.until_built().await?;
    stage.device.set_address([10, 77, 0, 77].into()).await?;
    stage.let_it_be_caught(window(5, Mdns::Full)).await?;
    stage.ensure_flashed_once().await
}

#[tokio::test]
async fn a_device_that_has_ipv6_only_is_caught() -> Result<()> {
    let ipv6 = "network:\n  enable_ipv6: true\n";
    let (mut runs, mut new) = (old_yaml(), new_yaml());
    runs.extra.push_str(ipv6);
    new.extra.push_str(ipv6);
    let wanted = [(DEVICE.to_owned(), new)].into();
    let Some(stage) = Stage::play(Scene { runs, wanted, ..Scene::default() }).await? else {
        return Ok(());
    };
    stage.home.add_ipv6().await?;
    let address = stage.sensor.add_ipv6().await?;
    stage.sensor.remove_ipv4().await?;
    stage.let_it_be_seen().await?;
    let row = stage.until_built().await?;
    ensure!(row.addresses.contains(&address.to_string()), "{row:?}");
    stage.let_it_be_caught(window(5, Mdns::Full)).await?;
    stage.ensure_flashed_once().await
}
