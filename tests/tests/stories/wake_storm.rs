//! Many devices wake at once: the power came back.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::Instant;
use wakeflash_tests::stage::others::Other;
use wakeflash_tests::stage::{Scene, Stage, new_yaml, state_of};
use wakeflash_tests::supervisor::Wake;

/// How long each is awake, unless it is held.
const WINDOW: Duration = Duration::from_secs(20);

/// At this rate, and four at a time, the transfers alone take longer than a window.
const BITS_PER_SECOND: u32 = 750_000;

/// An image has more than 180 kB, compressed.
const LEAST_TRANSFER: Duration = Duration::from_millis(160 * 8 * 1000 / 750);

/// Long enough for all of them.
const ALL: Duration = Duration::from_secs(300);

#[tokio::test]
async fn fifty_devices_that_wake_within_a_second_are_all_held_and_flashed() -> Result<()> {
    let scene = Scene { others: 50, ..Scene::default() };
    let Some(stage) = Stage::play(scene).await? else { return Ok(()) };
    stage.let_others_be_seen().await?;
    stage.until_others_built().await?;
    let hosts: Vec<_> = stage.others.iter().map(|other| &other.host).collect();
    for host in &hosts {
        stage.lan.slow_down(host, BITS_PER_SECOND).await?;
    }
    stage.lan.count(&hosts, new_yaml().ota_port).await?;

    let for_ms = u64::try_from(WINDOW.as_millis())?;
    stage.wake_others(Wake { for_ms: Some(for_ms), ..Wake::default() }).await?;
    let (transfers, flashed) = tokio::join!(transfers(&stage), stage.until_others_flashed(ALL));
    flashed?;
    let transfers = transfers?;

    let (mut wakes, mut times, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    for other in &stage.others {
        let said = |event| times_of(other, event);
        let woke = said("woke").pop().context("it woke")?;
        let done = said("ota_done").pop().context("it was flashed")?;
        // The end of its window, which only a device in its data phase lets pass, did not come before.
        let slept = said("slept").into_iter().any(|at| (woke..done).contains(&at));
        ensure!(!slept, "{} was not held: {:?}", other.name, other.device.process().lines());
        wakes.push(woke);
        times.push(Duration::from_micros(done - woke));
        spans.push(*transfers.get(other.host.port()).context("no transfer")?);
    }
    let apart = wakes.iter().max().zip(wakes.iter().min()).map(|(last, first)| last - first);
    println!("woke within {apart:?} us, flashed after {times:?}");
    ensure!(times.iter().any(|time| *time > WINDOW), "nobody had to be held: {times:?}");
    let most = most_at_once(&spans);
    ensure!(most <= 4, "{most} transfers at a time: {spans:?}");

    // Some had no time to say what they run now: their windows were long over.
    stage.wake_others_fully().await?;
    stage.until_others("installed", ALL, |row| state_of(row) == "installed").await?;
    for other in &stage.others {
        other.ensure_flashed_once(&stage).await?;
    }
    Ok(())
}

/// When a device said this, in microseconds since 1970.
fn times_of(other: &Other, event: &str) -> Vec<u64> {
    let lines = other.device.process().lines();
    let said = lines.iter().filter(|line| line["event"] == event);
    said.filter_map(|line| line["at_us"].as_u64()).collect()
}

/// Waits until every device gets its image, and says from when until when each was certainly being sent, by the
/// ports of their hosts: from when the first bytes of it had been seen, for as long as the rest takes at least.
async fn transfers(stage: &Stage) -> Result<BTreeMap<String, (Instant, Instant)>> {
    // More than what comes before the image.
    const HANDSHAKE: u64 = 20_000;
    let give_up = Instant::now() + ALL;
    let mut begun = BTreeMap::new();
    let mut before = Instant::now();
    while begun.len() < stage.others.len() {
        ensure!(Instant::now() < give_up, "only {} got an image", begun.len());
        let asked = Instant::now();
        let sent = stage.lan.sent().await?;
        for (port, _) in sent.into_iter().filter(|(_, bytes)| *bytes > HANDSHAKE) {
            begun.entry(port).or_insert((before, Instant::now()));
        }
        before = asked;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let spans =
        begun.into_iter().map(|(port, (not_yet, seen))| (port, (seen, not_yet + LEAST_TRANSFER)));
    Ok(spans.collect())
}

/// How many of these spans of time there are at the busiest moment.
fn most_at_once(spans: &[(Instant, Instant)]) -> usize {
    let at = |moment| spans.iter().filter(|(from, to)| *from <= moment && moment < *to).count();
    spans.iter().map(|(from, _)| at(*from)).max().unwrap_or(0)
}
