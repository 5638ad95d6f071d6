//! How long a request takes on a slow disk while the network talks.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use wakeflash_tests::lan::storm::{Storm, StormOptions};
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Scene, Stage};

use super::say;

const SYNC: Duration = Duration::from_millis(20);
const DEVICES: u8 = 100;
const PER_SECOND: u32 = 100;

/// Measures `list`, Install and Cancel, so many times each.
pub(super) async fn run(requests: usize) -> Result<()> {
    say(&format!("\n## {SYNC:?} for each fsync, {PER_SECOND} changing announcements a second\n"))?;
    let mut stage = Stage::play(Scene { slow_disk: Some(SYNC), ..Scene::default() })
        .await?
        .context("no LAN")?;
    let host = stage.lan.host("storm").await?;
    // The build of what is installed is remembered from here on.
    stage.until_built().await?;
    cancel(&stage).await?;
    for (when, storms) in [("nobody comes or goes", false), ("while they come and go", true)] {
        let options = StormOptions { count: DEVICES, per_second: PER_SECOND };
        let storm = storms.then(|| Storm::start(&host, &options)).transpose()?;
        sleep(Duration::from_secs(if storms { 10 } else { 1 })).await;
        say(&format!(
            "| {when}, ms | times | min | median | p95 | max |\n|---|---|---|---|---|---|"
        ))?;
        let (mut list, mut install, mut stop) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..requests {
            stage.app.process().forget().await;
            list.push(timed(&stage, json!({"cmd": "list"})).await?);
            install.push(timed(&stage, json!({"cmd": "install", "device": DEVICE})).await?);
            stage.until_state("waiting", BUILD).await?;
            stop.push(timed(&stage, json!({"cmd": "cancel", "device": DEVICE})).await?);
            stage.until_state("cancelled", SOON).await?;
        }
        for (what, times) in [("list", list), ("Install", install), ("Cancel", stop)] {
            say(&row(what, times))?;
        }
        say("")?;
        drop(storm);
    }
    Ok(())
}

async fn cancel(stage: &Stage) -> Result<()> {
    stage.command("cancel").await?;
    stage.until_state("cancelled", SOON).await.map(drop)
}

async fn timed(stage: &Stage, command: Value) -> Result<Duration> {
    let began = Instant::now();
    stage.app.request(command).await?;
    Ok(began.elapsed())
}

fn row(what: &str, mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let rank = (part * times.len() as f64).ceil() as usize;
        times.get(rank.max(1) - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    };
    let [min, median, p95, max] = [0.0, 0.5, 0.95, 1.0].map(at);
    format!("| {what} | {} | {min:.0} | {median:.0} | {p95:.0} | {max:.0} |", times.len())
}
