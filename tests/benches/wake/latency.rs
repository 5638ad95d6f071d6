//! How long it takes from a wake to the connection.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep, sleep_until};
use wakeflash_core::device::Presence;
use wakeflash_tests::jsonl::JsonProcess;
use wakeflash_tests::lan::sniffer::Sniffer;
use wakeflash_tests::stage::others::Other;
use wakeflash_tests::stage::{BUILD, SOON, Scene, Stage, new_yaml, state_of};
use wakeflash_tests::supervisor::{Mdns, Wake};

use super::{TIMES_HEAD, Times, judge, say};

/// A device that wakes at an address that nobody knows: whatever comes there comes because of its words.
pub(super) async fn evidence(wakes: usize) -> Result<()> {
    let stage = Stage::set_with_kept_builds().await?.context("no LAN")?;
    let sniffer = Sniffer::start(&stage.sensor, new_yaml().ota_port).await?;
    stage.let_it_be_seen().await?;
    let (mut words, mut announced) = (Times::default(), Times::default());
    let (mut link, mut data) = (Times::default(), Times::default());
    for number in 0..wakes {
        arm(&stage, wakeflash_tests::stage::DEVICE).await?;
        let last = 50 + u8::try_from(number % 200)?;
        stage.device.set_address(Ipv4Addr::new(10, 77, 0, last)).await?;
        stage.wake().await?;
        let flashed = u32::try_from(number + 1)?;
        stage.device.wait("flash", SOON, |state| state.ota_done == flashed).await?;
        let woke = last_event(stage.device.process(), "woke", "link_up_us")?;
        let began = last_event(stage.device.process(), "ota_started", "at_us")?;
        let syn = sniffer.first(&["syn"], woke).context("no SYN")?;
        let spoke = sniffer.first(&["question", "answer"], woke).context("no word")?;
        words.add(spoke, syn);
        link.add(woke, syn);
        data.add(woke, began);
        if let Some(answer) = sniffer.first(&["answer"], woke).filter(|answer| *answer <= syn) {
            announced.add(answer, syn);
        }
        stage.until_state("installed", SOON).await?;
        stage.device.sleep(true).await?;
        stage.until("asleep", SOON, |row| row.presence == Presence::Asleep).await?;
    }
    say("\n## A wake at an address that nobody knows\n")?;
    say(TIMES_HEAD)?;
    say(&words.row("first mDNS packet to first SYN"))?;
    if !announced.0.is_empty() {
        say(&announced.row("first announcement to first SYN, where no SYN came before"))?;
    }
    say(&link.row("link up to first SYN"))?;
    say(&data.row("link up to data phase"))?;
    say("")?;
    judge("evidence to SYN, median", words.quantile(0.5), 10.0, "ms")
}

/// Waits until the device's update is built.
async fn arm(stage: &Stage, file: &str) -> Result<()> {
    stage.app.device_command("install", file).await?;
    stage.until_row(file, "built", BUILD, |row| state_of(row) == "waiting").await.map(drop)
}

fn last_event(process: &JsonProcess, event: &str, field: &str) -> Result<u64> {
    let lines = process.lines();
    let line = lines.iter().rev().find(|line| line["event"] == event);
    line.and_then(|line| line[field].as_u64()).with_context(|| format!("no {event}"))
}

/// Devices that wake one after another at addresses that are known, each for its first update: whether it runs the
/// build already has to be found out. Half of them have an API.
pub(super) async fn api(wakes: usize) -> Result<()> {
    say("\n## From the link to the image, with `api:` and without\n")?;
    say(TIMES_HEAD)?;
    let mut medians = Vec::new();
    for others_have_api in [true, false] {
        let others = u16::try_from(wakes)?;
        let scene = Scene { others, others_have_api, ..Scene::default() };
        let stage = Stage::play(scene).await?.context("no LAN")?;
        stage.let_others_be_seen().await?;
        stage.until_others_built().await?;
        let (mut link, mut data) = (Times::default(), Times::default());
        for other in &stage.others {
            let sniffer = Sniffer::start(&other.host, new_yaml().ota_port).await?;
            other.device.wake(Wake { gratuitous_arp: true, ..Wake::default() }).await?;
            other.device.wait("flash", SOON, |state| state.ota_done == 1).await?;
            let process = other.device.process();
            let woke = last_event(process, "woke", "link_up_us")?;
            link.add(woke, sniffer.first(&["syn"], woke).context("no SYN")?);
            data.add(woke, last_event(process, "ota_started", "at_us")?);
            stage.until_row(&other.file, "done", SOON, |row| state_of(row) == "installed").await?;
            other.device.sleep(true).await?;
        }
        let with = if others_have_api { "with" } else { "without" };
        say(&link.row(&format!("{with} `api:`: link up to first SYN")))?;
        say(&data.row(&format!("{with} `api:`: link up to data phase")))?;
        medians.push((data.quantile(0.5), data.quantile(0.95)));
    }
    say("")?;
    let [(median, p95), without] = medians[..] else { return Ok(()) };
    judge("with `api:`, link up to data phase, median", median, 150.0, "ms")?;
    judge("with `api:`, link up to data phase, p95", p95, 350.0, "ms")?;
    judge("of the median without `api:`", median / without.0, 1.0, "")
}

/// How long each device sleeps and wakes again, from wake to wake.
const PERIOD: Duration = Duration::from_secs(20);
const DEVICES: u16 = 5;
/// Wakes with announcements before the first that is measured: so much is there to learn from.
const LESSONS: u64 = 5;

/// Devices that wake on a schedule; every other wake is without mDNS and measured.
pub(super) async fn expected(wakes: usize, gratuitous_arp: bool) -> Result<()> {
    let scene = Scene { others: DEVICES, ..Scene::default() };
    let stage = Stage::play(scene).await?.context("no LAN")?;
    let start = Instant::now() + Duration::from_secs(1);
    let rounds = u64::try_from(wakes.div_ceil(usize::from(DEVICES)))?;
    let each = stage.others.iter().enumerate().map(|(number, other)| {
        let offset = PERIOD * u32::try_from(number).unwrap_or_default() / u32::from(DEVICES);
        one_schedule(&stage, other, start + offset, rounds, gratuitous_arp)
    });
    let (mut link, mut data) = (Times::default(), Times::default());
    for one in join_all(each.collect()).await {
        let (syns, phases) = one?;
        link.0.extend(syns.0);
        data.0.extend(phases.0);
    }
    let arp = if gratuitous_arp { "that announces its address by ARP" } else { "without any ARP" };
    say(&format!("\n## An expected wake without any mDNS, of a device {arp}\n"))?;
    say(TIMES_HEAD)?;
    say(&link.row("link up to first SYN"))?;
    say(&data.row("link up to data phase"))?;
    say("")?;
    judge("link up to SYN, p95", link.quantile(0.95), 300.0, "ms")
}

async fn one_schedule(
    stage: &Stage,
    other: &Other,
    start: Instant,
    rounds: u64,
    gratuitous_arp: bool,
) -> Result<(Times, Times)> {
    let sniffer = Sniffer::start(&other.host, new_yaml().ota_port).await?;
    let (mut link, mut data) = (Times::default(), Times::default());
    let mut flashes = 0;
    for number in 0..LESSONS + 2 * rounds {
        let measured = number >= LESSONS && (number - LESSONS).is_multiple_of(2);
        if measured {
            arm(stage, &other.file).await?;
        }
        sleep_until(start + PERIOD * u32::try_from(number)?).await;
        let mdns = if measured { Mdns::Silent } else { Mdns::Full };
        other.device.wake(Wake { mdns, gratuitous_arp, ..Wake::default() }).await?;
        if measured {
            flashes += 1;
            other.device.wait("flash", PERIOD, |state| state.ota_done == flashes).await?;
            let process = other.device.process();
            let woke = last_event(process, "woke", "link_up_us")?;
            link.add(woke, sniffer.first(&["syn"], woke).context("no SYN")?);
            data.add(woke, last_event(process, "ota_started", "at_us")?);
            sleep(Duration::from_secs(1)).await;
        } else {
            sleep(Duration::from_secs(4)).await;
        }
        other.device.sleep(!measured).await?;
    }
    Ok((link, data))
}

/// Runs them all at once, on this thread.
pub(super) async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}
