//! The memory of all processes: started hidden, with the window, and after it was closed.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep, sleep_until};
use wakeflash_tests::desktop::app::memory;

use super::painted::end;
use super::{say, scene};

const SETTLED: Duration = Duration::from_secs(20);

pub(super) async fn run(devices: &[u16]) -> Result<()> {
    say("\n## Memory (PSS)\n")?;
    say("| devices | when | MB of all processes | of which |")?;
    say("|---|---|---|---|")?;
    for &count in devices {
        one(count).await?;
    }
    Ok(())
}

async fn one(devices: u16) -> Result<()> {
    let (scene, options) = scene(devices).await?;
    // A first start that doesn't count makes the store.
    let mut app = scene.desktop.start_alone(&options.clone().with("--hidden"))?;
    scene.desktop.tray()?.until_there(SETTLED).await?;
    end(&mut app).await?;

    let mut app = scene.desktop.start_alone(&options.clone().with("--hidden"))?;
    let pid = app.id().context("it has ended")?;
    sleep(SETTLED).await;
    tell(devices, "started hidden, after 20 s", pid)?;
    scene.desktop.open_again(&options).await?;
    scene.desktop.until_window(true).await?;
    sleep(SETTLED).await;
    tell(devices, "window open for 20 s", pid)?;
    scene.desktop.close_window()?;
    let closed = Instant::now();
    for seconds in [5, 30, 60] {
        sleep_until(closed + Duration::from_secs(seconds)).await;
        tell(devices, &format!("{seconds} s after it was closed"), pid)?;
    }
    end(&mut app).await
}

fn tell(devices: u16, when: &str, pid: u32) -> Result<()> {
    let parts = memory(pid)?;
    let mb = |kib: u64| kib * 1024 / 1_000_000;
    let named: Vec<String> =
        parts.iter().map(|(name, kib)| format!("{name} {}", mb(*kib))).collect();
    let all = mb(parts.iter().map(|(_, kib)| kib).sum());
    say(&format!("| {devices} | {when} | {all} | {} |", named.join(", ")))
}
