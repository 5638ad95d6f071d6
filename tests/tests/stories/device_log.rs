//! What a device says in its log: live while somebody looks, and of a wake that nobody watches.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::{Instant, sleep};
use wakeflash_core::view::{DeviceLog, DeviceLogState, LogRecording, RecordingEnd};
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Stage};

async fn log(stage: &Stage) -> Result<DeviceLog> {
    let answer = stage.app.request(json!({"cmd": "device_log", "device": DEVICE, "from": 0}));
    Ok(serde_json::from_value(answer.await?)?)
}

async fn until(stage: &Stage, what: &str, holds: impl Fn(&DeviceLog) -> bool) -> Result<DeviceLog> {
    let deadline = Instant::now() + SOON;
    loop {
        let log = log(stage).await?;
        if holds(&log) {
            return Ok(log);
        }
        ensure!(Instant::now() < deadline, "{what}: {log:?}");
        sleep(std::time::Duration::from_millis(200)).await;
    }
}

async fn record(stage: &Stage, on: bool) -> Result<()> {
    let request = json!({"cmd": "record_log", "device": DEVICE, "on": on});
    stage.app.request(request).await.map(drop)
}

async fn recordings(stage: &Stage) -> Result<Vec<LogRecording>> {
    let answer = stage.command("log_recordings").await?;
    Ok(serde_json::from_value(answer)?)
}

fn code(log: &DeviceLog) -> Option<&str> {
    match &log.state {
        DeviceLogState::Waiting { problem } => Some(&problem.code),
        DeviceLogState::Connecting | DeviceLogState::Live { .. } => None,
    }
}

fn says(log: &DeviceLog) -> bool {
    matches!(log.state, DeviceLogState::Live { .. })
        && log.lines.iter().any(|line| line.contains("[C]["))
}

#[tokio::test]
async fn the_log_of_a_device_is_live_while_it_is_awake_and_its_next_wake_is_recorded() -> Result<()>
{
    let Some(mut stage) = Stage::set().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    until(&stage, "it sleeps", |log| code(log) == Some("log.asleep")).await?;
    stage.wake().await?;
    let log = until(&stage, "it is live", says).await?;
    ensure!(log.lines.iter().all(|line| !line.contains('\r')), "{log:?}");
    stage.let_it_sleep().await?;
    until(&stage, "it sleeps again", |log| !matches!(log.state, DeviceLogState::Live { .. }))
        .await?;

    // Nobody looks at the next wake; the application is even started anew before it.
    record(&stage, true).await?;
    ensure!(stage.row().await?.records_log);
    stage.app.restart().await?;
    stage.until_ready().await?;
    ensure!(stage.row().await?.records_log, "it is to be recorded all the same");
    ensure!(recordings(&stage).await?.is_empty());
    stage.wake().await?;
    sleep(std::time::Duration::from_secs(6)).await;
    stage.let_it_sleep().await?;
    stage.until("it is recorded", SOON, |row| !row.records_log).await?;
    let kept = recordings(&stage).await?;
    let [recording] = &kept[..] else { anyhow::bail!("{kept:?}") };
    ensure!(recording.lines > 0 && recording.wake_at.is_some(), "{recording:?}");
    let request = json!({"cmd": "log_recording", "device": DEVICE, "at": recording.at});
    let lines: Vec<String> = serde_json::from_value(stage.app.request(request).await?)?;
    ensure!(lines.len() == usize::try_from(recording.lines)?, "{lines:?}");
    Ok(())
}

#[tokio::test]
async fn the_flash_of_a_waiting_update_comes_before_its_log() -> Result<()> {
    let Some(stage) = Stage::set().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    record(&stage, true).await?;
    stage.command("install").await?;
    stage.until_state("waiting", BUILD).await?;
    ensure!(code(&log(&stage).await?) == Some("log.flash_first"));
    stage.wake().await?;
    stage.until_state("installed", SOON).await?;
    stage.ensure_flashed_once().await?;
    // What is left of the wake is that of the new firmware.
    sleep(std::time::Duration::from_secs(6)).await;
    stage.let_it_sleep().await?;
    stage.until("it is recorded", SOON, |row| !row.records_log).await?;
    let kept = recordings(&stage).await?;
    let recording = kept.first().context("it is recorded")?;
    ensure!(matches!(recording.end, RecordingEnd::Slept | RecordingEnd::Lost), "{recording:?}");
    let installed = stage.details().await?.update;
    ensure!(recording.at >= installed.requested_at, "{recording:?}");
    Ok(())
}
