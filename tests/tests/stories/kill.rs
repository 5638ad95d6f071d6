//! The application is killed at each named boundary of an update, started again, and judged by the table in
//! docs/TESTING.md. The points exist in builds with debug assertions only.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use wakeflash_core::view::DeviceView;
use wakeflash_engine::kill::Point;
use wakeflash_tests::stage::{BUILD, SOON, Scene, Stage, state_of};
use wakeflash_tests::supervisor::Wake;

/// Stories mostly wait.
const AT_ONCE: usize = 6;

/// A line of the table.
#[derive(Clone, Debug)]
struct Line {
    point: String,
    /// The state of the update at the next start; empty: there is none.
    found: String,
    /// How many transfers begin in all.
    transfers: Vec<u32>,
}

/// The table: what a point is called, and what follows on it.
fn table() -> Result<BTreeMap<String, Line>> {
    let text = include_str!("../../../docs/TESTING.md");
    let (_, section) = text.split_once("### Killed at every boundary").context("no table")?;
    let rows = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [point, _, found, transfers] = *cells else { bail!("a line of the table: {row}") };
        let point = point.trim_matches('`').to_owned();
        let found = if found == "none" { String::new() } else { found.to_lowercase() };
        let transfers = transfers.split(" or ").map(|count| Ok(count.parse()?));
        let transfers = transfers.collect::<Result<_>>().with_context(|| row.to_owned())?;
        Ok((point.clone(), Line { point, found, transfers }))
    })
    .collect()
}

#[test]
fn the_table_has_every_point_and_no_other() -> Result<()> {
    let listed: Vec<String> = table()?.into_keys().collect();
    let mut points: Vec<String> = Point::all().map(Point::name).collect();
    points.sort();
    ensure!(listed == points, "in the table: {listed:?}; in the code: {points:?}");
    Ok(())
}

#[tokio::test]
async fn an_update_outlives_a_kill_at_every_boundary() -> Result<()> {
    let table = table()?;
    stream::iter(Point::all().map(Point::name))
        .map(|point| {
            let line = table.get(&point).cloned();
            async move {
                let line = line.with_context(|| format!("{point} isn't in the table"))?;
                let what = format!("killed at {point}");
                Box::pin(story(line)).await.context(what)
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn story(line: Line) -> Result<()> {
    let scene = Scene { kill_at: Some(line.point.clone()), ..Scene::default() };
    let Some(mut stage) = Stage::play(scene).await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    let ended = until_killed(&stage).await?;
    ensure!(ended.signal() == Some(9), "it ended by itself: {ended}");
    let_it_sleep(&stage).await?;

    stage.app.start_again()?;
    stage.until_ready().await?;
    let row = stage.row().await?;
    if stage.snapshot().await?.settings.paused {
        ensure!(line.found.is_empty() || state_of(&row) == "queued", "{row:?}");
        pause(&stage, false).await?;
    }
    if line.found.is_empty() {
        let row = stage.row().await?;
        ensure!(row.update.is_none(), "nobody was told that it is queued: {row:?}");
        stage.command("install").await?;
    } else {
        stage.until("what was stored is there", SOON, |row| goes_on(row, &line.found)).await?;
    }
    if line.found != "installed" {
        let built = |row: &DeviceView| ["waiting", "confirming"].contains(&&*state_of(row));
        stage.until("it is built", BUILD, built).await?;
    }
    stage.device.wake_fully().await?;
    let row = stage.until_state("installed", BUILD).await?;
    ensure!(row.update.as_ref().is_some_and(|update| update.id.0 == 1), "another one: {row:?}");
    // Longer than the period at which a waiting device is tried.
    tokio::time::sleep(Duration::from_secs(3)).await;
    judge(&stage, &row, &line).await
}

/// Asks for the update and lets the device wake once it is built, until the application is gone.
async fn until_killed(stage: &Stage) -> Result<ExitStatus> {
    // Nothing is built meanwhile, so that the wish and the build are two commits.
    pause(stage, true).await?;
    // It may not live to answer.
    let asked = (stage.command("install").await, pause(stage, false).await);
    let wake = async {
        while stage.states().last().is_none_or(|state| state != "waiting") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        stage.device.wake(Wake::default()).await?;
        std::future::pending::<Result<Infallible>>().await
    };
    tokio::select! {
        ended = stage.app.process().wait(BUILD) => {
            ended.with_context(|| format!("{:?}, {asked:?}", stage.states()))
        }
        failed = wake => match failed? {},
    }
}

#[tokio::test]
async fn a_defect_of_the_loop_ends_the_process_and_loses_nothing() -> Result<()> {
    let scene = Scene { break_at: Some("stored.building".to_owned()), ..Scene::default() };
    let Some(mut stage) = Stage::play(scene).await? else { return Ok(()) };
    // It may not live to answer.
    let asked = stage.command("install").await;
    let ended = stage.app.process().wait(BUILD).await?;
    ensure!(ended.code().is_some_and(|code| code != 0), "{ended}, {asked:?}");
    stage.app.start_again()?;
    stage.until_ready().await?;
    stage.until_state("waiting", BUILD).await.map(drop)
}

async fn pause(stage: &Stage, paused: bool) -> Result<()> {
    stage.app.request(json!({"cmd": "set_paused", "paused": paused})).await.map(drop)
}

/// The device does what it has begun, and goes to sleep.
async fn let_it_sleep(stage: &Stage) -> Result<()> {
    if !stage.device.state().await?.running {
        return Ok(());
    }
    let rests = |state: &wakeflash_tests::device::DeviceState| {
        state.ota_started == state.ota_done + state.ota_failed && state.running_hash.is_some()
    };
    stage.device.wait("the end of the data phase", BUILD, rests).await?;
    stage.device.sleep(true).await
}

/// Whether the update is there and in the state, or has gone on from it as nothing keeps it there.
fn goes_on(row: &DeviceView, found: &str) -> bool {
    let state = state_of(row);
    let goes_on: &[&str] =
        if found == "queued" { &["queued", "building", "waiting"] } else { &[found] };
    row.update.as_ref().is_some_and(|update| update.id.0 == 1) && goes_on.contains(&&*state)
}

async fn judge(stage: &Stage, row: &DeviceView, line: &Line) -> Result<()> {
    let wanted = row.update.as_ref().and_then(|update| update.wanted_hash).map(|hash| hash.0);
    let device = stage.device.state().await?;
    ensure!(
        wanted.is_some() && device.running_hash == wanted,
        "it runs something else: {device:?}"
    );
    ensure!(device.ota_done == 1, "it took the image more than once: {device:?}");
    ensure!(device.ota_started == 1 + device.ota_failed, "it was sent once more: {device:?}");
    ensure!(line.transfers.contains(&device.ota_started), "transfers: {device:?}");
    ensure!(state_of(&stage.row().await?) == "installed");
    Ok(())
}
