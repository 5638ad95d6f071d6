//! What the list says about who is there, while somebody looks at it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use wakeflash_core::device::Presence;
use wakeflash_tests::stage::{SOON, Stage};

#[tokio::test]
async fn a_device_that_lost_its_power_is_not_shown_online_for_long() -> Result<()> {
    let Some(stage) = Stage::set_with_kept_builds().await? else { return Ok(()) };
    stage.app.request(json!({"cmd": "set_watching", "on": true})).await?;
    stage.device.wake_fully().await?;
    stage.until("online", SOON, |row| row.presence == Presence::Online).await?;

    // A device that is silent because it has nothing to say answers when it is asked.
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(40) {
        let row = stage.row().await?;
        ensure!(row.presence == Presence::Online, "{row:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    stage.device.power_cut().await?;
    let cut = Instant::now();
    stage.until("no longer online", SOON, |row| row.presence == Presence::Asleep).await?;
    ensure!(cut.elapsed() > Duration::from_secs(5), "silence alone proves nothing");

    stage.device.wake_fully().await?;
    stage.until("back", SOON, |row| row.presence == Presence::Online).await?;
    stage.device.sleep(true).await?;
    stage.until("asleep", SOON, |row| row.presence == Presence::Asleep).await?;
    Ok(())
}
