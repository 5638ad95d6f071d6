//! How many first windows are caught.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;
use wakeflash_tests::kept::Sibling;
use wakeflash_tests::stage::others::{Other, wanted_yaml};
use wakeflash_tests::stage::{BUILD, SOON, Scene, Stage, state_of};
use wakeflash_tests::supervisor::Wake;

use super::latency::join_all;
use super::say;

const SECONDS: [u32; 6] = [1, 2, 3, 5, 10, 15];
const LOSSES: [u8; 3] = [0, 20, 50];
const DEVICES: u16 = 10;

/// Measures each window at each loss.
pub(super) async fn run(wakes: usize) -> Result<()> {
    let scene = Scene { others: DEVICES, ..Scene::default() };
    let stage = Stage::play(scene).await?.context("no LAN")?;
    stage.let_others_be_seen().await?;
    say("\n## First windows that are caught\n")?;
    say("| window | no loss | 20 % of all packets lost | 50 % lost |")?;
    say("|---|---|---|---|")?;
    let rounds = wakes.div_ceil(usize::from(DEVICES));
    for seconds in SECONDS {
        write_window(&stage, seconds).await?;
        let mut cells = Vec::new();
        for loss in LOSSES {
            let mut caught = 0;
            for _ in 0..rounds {
                let each: Vec<_> = stage
                    .others
                    .iter()
                    .enumerate()
                    .map(|(number, other)| one_window(&stage, other, number, seconds, loss))
                    .collect();
                for one in join_all(each).await {
                    caught += usize::from(one?);
                }
            }
            cells.push(format!("{caught} of {}", rounds * usize::from(DEVICES)));
        }
        say(&format!("| {seconds} s | {} |", cells.join(" | ")))?;
    }
    Ok(())
}

/// Says in all configurations how long a wake is, as a user's would.
async fn write_window(stage: &Stage, seconds: u32) -> Result<()> {
    for number in 0..DEVICES {
        let sibling = Sibling(number);
        let name = format!("Awake for {seconds} s");
        let yaml = wanted_yaml(sibling).with_deep_sleep(seconds, 60).with_friendly_name(&name);
        yaml.write_to(&stage.config, &sibling.file())?;
    }
    let read = format!("Awake for {seconds} s");
    stage.until_others("read", SOON, |row| row.friendly_name.as_ref() == Some(&read)).await
}

/// One first window: whether its data phase began in it. Afterwards the device sleeps, and nothing waits.
async fn one_window(
    stage: &Stage,
    other: &Other,
    number: usize,
    seconds: u32,
    loss: u8,
) -> Result<bool> {
    stage.app.device_command("install", &other.file).await?;
    stage.until_row(&other.file, "built", BUILD, |row| state_of(row) == "waiting").await?;
    // Not all at once: what is measured is the network, not this machine.
    sleep(Duration::from_millis(700) * u32::try_from(number)?).await;
    stage.lan.lose(&other.host, loss).await?;
    let before = other.device.state().await?;
    other.device.wake(Wake { for_ms: Some(u64::from(seconds) * 1000), ..Wake::default() }).await?;
    let window = Duration::from_secs(u64::from(seconds));
    let ended = other
        .device
        .wait("end", window + SOON, |state| {
            state.ota_started > before.ota_started || (state.slept && !state.running)
        })
        .await?;
    let caught = ended.ota_started > before.ota_started;
    // The transfer is no matter of the window.
    stage.lan.lose(&other.host, 0).await?;
    other.device.wait("sleep", BUILD, |state| !state.running).await?;
    sleep(Duration::from_millis(200)).await;
    other.device.wake(Wake::default()).await?;
    stage.until_row(&other.file, "installed", BUILD, |row| state_of(row) == "installed").await?;
    other.device.sleep(true).await?;
    Ok(caught)
}
