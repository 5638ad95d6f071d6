//! Configurations whose kind has failed, up to the device: what its name, its port and its address are by then.

use anyhow::{Result, ensure};
use wakeflash_tests::stage::{BUILD, DEVICE, Scene, Stage, new_yaml, old_yaml, state_of};
use wakeflash_tests::supervisor::{Mdns, Wake};
use wakeflash_tests::yaml::DeviceYaml;

const SILENT: Wake =
    Wake { for_ms: None, mdns: Mdns::Silent, no_goodbye: false, gratuitous_arp: false };

fn suffixed(mut yaml: DeviceYaml) -> DeviceYaml {
    let more = "packages:\n  suffix:\n    esphome:\n      name_add_mac_suffix: true\n";
    yaml.extra.push_str(more);
    yaml
}

fn scene(runs: DeviceYaml, wanted: DeviceYaml) -> Scene {
    Scene { runs, wanted: [(DEVICE.to_owned(), wanted)].into(), ..Scene::default() }
}

/// Its name is the base name and the end of its MAC address, and it has one row.
async fn ensure_suffixed(stage: &Stage) -> Result<()> {
    let digits: String = stage.sensor.mac().replace(':', "").to_lowercase().split_off(6);
    let rows = stage.snapshot().await?.devices;
    ensure!(rows.len() == 1 && rows[0].name == format!("sleepy-{digits}"), "{rows:#?}");
    Ok(())
}

#[tokio::test]
async fn a_device_with_a_part_of_its_mac_address_in_its_name_is_found_flashed_and_confirmed()
-> Result<()> {
    let scene = scene(suffixed(old_yaml()), suffixed(new_yaml()));
    let Some(stage) = Stage::play(scene).await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    ensure_suffixed(&stage).await?;
    stage.until_built().await?;
    stage.wake().await?;
    stage.ensure_flashed_once().await?;
    ensure_suffixed(&stage).await
}

#[tokio::test]
async fn such_a_device_is_found_in_its_first_wake_and_at_its_address_alone() -> Result<()> {
    for silent in [false, true] {
        let (mut runs, mut wanted) = (suffixed(old_yaml()), suffixed(new_yaml()));
        if silent {
            runs = runs.with_address([10, 77, 0, 2].into());
            wanted = wanted.with_address([10, 77, 0, 2].into());
        }
        let Some(stage) = Stage::play(scene(runs, wanted)).await? else { return Ok(()) };
        stage.until_built().await?;
        if silent {
            stage.device.wake(SILENT).await?;
        } else {
            stage.wake().await?;
        }
        // What says nothing is waited for.
        stage.until_state("installed", BUILD).await?;
        stage.ensure_flashed_once().await?;
        if !silent {
            ensure_suffixed(&stage).await?;
        }
    }
    Ok(())
}

/// Installs once, and once more with another YAML: what runs by then takes it where its own YAML said.
async fn installed_over_another(first: DeviceYaml, second: DeviceYaml, wake: Wake) -> Result<()> {
    let Some(stage) = Stage::play(scene(old_yaml(), first)).await? else { return Ok(()) };
    stage.until_built().await?;
    stage.device.wake(wake).await?;
    stage.until_state("installed", BUILD).await?;
    stage.ensure_flashed_once().await?;
    stage.device.sleep(false).await?;
    stage.write(&second).await?;
    stage.until_built().await?;
    stage.device.wake(wake).await?;
    let row = stage.until("it is installed", BUILD, |row| state_of(row) == "installed").await?;
    let wanted = row.update.and_then(|update| update.wanted_hash).map(|hash| hash.0);
    ensure!(stage.device.running_hash().await? == wanted && wanted.is_some());
    ensure!(stage.device.state().await?.ota_done == 2);
    Ok(())
}

#[tokio::test]
async fn the_port_of_what_runs_is_tried_when_the_yaml_says_another_one() -> Result<()> {
    let mut second = new_yaml().with_friendly_name("Sleepy Sensor 3");
    second.ota_port += 100;
    installed_over_another(new_yaml(), second, Wake::default()).await
}

#[tokio::test]
async fn the_address_of_what_runs_is_tried_when_the_yaml_says_another_one() -> Result<()> {
    let first = new_yaml().with_address([10, 77, 0, 2].into());
    let second =
        new_yaml().with_friendly_name("Sleepy Sensor 3").with_address([10, 77, 0, 77].into());
    installed_over_another(first, second, SILENT).await
}
