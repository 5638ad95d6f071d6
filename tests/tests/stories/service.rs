//! The engine as a service beside a real device that sleeps: asked from the command line, while nobody looks; then looked
//! at by a client that comes through `attach`.

use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::process::{Child, Command};
use wakeflash_core::view::{DeviceView, Snapshot};
use wakeflash_tests::jsonl::JsonProcess;
use wakeflash_tests::paths::binary;
use wakeflash_tests::stage::{BUILD, DEVICE, SOON, Stage, state_of};

fn program(stage: &Stage) -> Result<Command> {
    let mut command = stage.home.command(binary("wakeflash-headless")?);
    command.arg("--state").arg(&stage.state).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// The application of the scene ends, and a service takes its place.
async fn serve(stage: &Stage) -> Result<Child> {
    stage.app.process().close_stdin().await;
    stage.app.process().wait(SOON).await?;
    let mut command = program(stage)?;
    command.arg("serve").arg("--config").arg(&stage.config);
    command.arg("--esphome").arg(stage.dir.path().join("esphome/esphome"));
    let service = command.spawn().context("starting the service")?;
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        if let Ok(snapshot) = snapshot(stage).await {
            let status = serde_json::to_value(&snapshot.status)?;
            if status["configDir"]["kind"] == "ready" && status["esphome"]["kind"] == "ready" {
                return Ok(service);
            }
        }
        ensure!(tokio::time::Instant::now() < deadline, "it doesn't serve within {SOON:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn run(stage: &Stage, arguments: &[&str]) -> Result<Output> {
    Ok(program(stage)?.args(arguments).output().await?)
}

/// What a command prints that succeeds.
async fn said(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let output = run(stage, arguments).await?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {:?} {words}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

async fn snapshot(stage: &Stage) -> Result<Snapshot> {
    Ok(serde_json::from_str(&said(stage, &["status", "--json"]).await?)?)
}

async fn until_state(stage: &Stage, state: &str) -> Result<DeviceView> {
    let deadline = tokio::time::Instant::now() + BUILD;
    loop {
        let devices = snapshot(stage).await?.devices;
        let row = devices.into_iter().find(|row| row.id.as_str() == DEVICE).context("no row")?;
        if state_of(&row) == state {
            return Ok(row);
        }
        ensure!(tokio::time::Instant::now() < deadline, "not {state} within {BUILD:?}: {row:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_device_is_flashed_while_nobody_is_connected_and_told_to_who_comes() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.let_it_be_seen().await?;
    let mut service = serve(&stage).await?;
    ensure!(said(&stage, &["install", "sleepy"]).await?.starts_with("sleepy.yaml: update "));
    until_state(&stage, "waiting").await?;
    let screen = said(&stage, &["status"]).await?;
    ensure!(screen.contains("\nWaiting\n  Sleepy Sensor 2 (sleepy.yaml)  "), "{screen}");
    // By what people call it; and back.
    ensure!(said(&stage, &["cancel", "Sleepy Sensor 2"]).await? == "sleepy.yaml: cancelled\n");
    let refused = run(&stage, &["cancel", "sleepy"]).await?;
    ensure!(refused.status.code() == Some(1), "{refused:?}");
    said(&stage, &["retry", "sleepy.yaml"]).await?;
    until_state(&stage, "waiting").await?;

    stage.wake().await?;
    let row = until_state(&stage, "installed").await?;
    ensure!(stage.device.state().await?.ota_done == 1);
    let wanted = row.update.and_then(|update| update.wanted_hash).context("no hash")?;
    ensure!(stage.device.running_hash().await? == Some(wanted.0));

    let mut command = program(&stage)?;
    command.arg("attach");
    let client = JsonProcess::spawn("wakeflash-headless attach", command)?;
    let list = client.request(json!({ "cmd": "list" })).await?;
    ensure!(list[0]["update"]["state"]["kind"] == "installed", "{list}");
    client.request(json!({ "cmd": "shutdown" })).await?;
    ensure!(tokio::time::timeout(SOON, service.wait()).await??.success());
    Ok(())
}
