//! How many first windows are caught, and in how many the update is done though the loss goes on.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};
use wakeflash_tests::device::DeviceState;
use wakeflash_tests::kept::Sibling;
use wakeflash_tests::stage::others::{Other, wanted_yaml};
use wakeflash_tests::stage::{BUILD, SOON, Scene, Stage, state_of};
use wakeflash_tests::supervisor::Wake;

use super::latency::join_all;
use super::say;

const SECONDS: [u32; 6] = [1, 2, 3, 5, 10, 15];
const LOSSES: [u8; 3] = [0, 20, 50];
const DEVICES: u16 = 10;

/// How long a transfer may take while packets get lost.
const TRANSFER: Duration = Duration::from_secs(240);

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

/// Measures whole updates in windows of 15 s.
pub(super) async fn updates(wakes: usize) -> Result<()> {
    let scene = Scene { others: DEVICES, ..Scene::default() };
    let stage = Stage::play(scene).await?.context("no LAN")?;
    stage.let_others_be_seen().await?;
    write_window(&stage, 15).await?;
    say("\n## Updates in first windows of 15 s, the loss going on\n")?;
    say("| loss | held | done in this wake | seconds from wake to done: median | max |")?;
    say("|---|---|---|---|---|")?;
    let rounds = wakes.div_ceil(usize::from(DEVICES));
    for loss in LOSSES {
        let (mut held, mut times) = (0, Vec::new());
        for _ in 0..rounds {
            let each = stage.others.iter().enumerate();
            let each = each.map(|(number, other)| one_update(&stage, other, number, loss));
            for one in join_all(each.collect()).await {
                let Update { caught, done } = one?;
                held += usize::from(caught);
                times.extend(done.map(|time| time.as_secs_f64()));
            }
        }
        times.sort_by(f64::total_cmp);
        let all = rounds * usize::from(DEVICES);
        let at =
            |index: usize| times.get(index).map_or("-".to_owned(), |time| format!("{time:.1}"));
        say(&format!(
            "| {loss} % | {held} of {all} | {} of {all} | {} | {} |",
            times.len(),
            at(times.len() / 2),
            at(times.len().saturating_sub(1)),
        ))?;
    }
    Ok(())
}

/// What became of an update in a device's first window.
struct Update {
    /// The device was held.
    caught: bool,
    /// It was done in this wake, so long after its beginning.
    done: Option<Duration>,
}

async fn one_update(stage: &Stage, other: &Other, number: usize, loss: u8) -> Result<Update> {
    let before = armed(stage, other, number, loss).await?;
    let begun = Instant::now();
    other.device.wake(Wake { for_ms: Some(15_000), ..Wake::default() }).await?;
    let ended = other
        .device
        .wait("end", TRANSFER, |state| {
            state.ota_done > before.ota_done || (state.slept && !state.running)
        })
        .await;
    let done = matches!(&ended, Ok(state) if state.ota_done > before.ota_done);
    let done = done.then(|| begun.elapsed());
    let caught = other.device.state().await?.ota_started > before.ota_started;
    disarmed(stage, other).await?;
    Ok(Update { caught, done })
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
    let before = armed(stage, other, number, loss).await?;
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
    disarmed(stage, other).await?;
    Ok(caught)
}

/// An update waits for a device that sleeps, and whose packets get lost.
async fn armed(stage: &Stage, other: &Other, number: usize, loss: u8) -> Result<DeviceState> {
    stage.app.device_command("install", &other.file).await?;
    stage.until_row(&other.file, "built", BUILD, |row| state_of(row) == "waiting").await?;
    // Not all at once: what is measured is the network, not this machine.
    sleep(Duration::from_millis(700) * u32::try_from(number)?).await;
    stage.lan.lose(&other.host, loss).await?;
    other.device.state().await
}

/// Nothing gets lost any more, nothing waits, and the device sleeps.
async fn disarmed(stage: &Stage, other: &Other) -> Result<()> {
    stage.lan.lose(&other.host, 0).await?;
    other.device.wait("sleep", BUILD, |state| !state.running).await?;
    sleep(Duration::from_millis(200)).await;
    other.device.wake(Wake::default()).await?;
    stage.until_row(&other.file, "installed", BUILD, |row| state_of(row) == "installed").await?;
    other.device.sleep(true).await
}
