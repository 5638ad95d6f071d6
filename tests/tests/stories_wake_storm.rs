//! Many devices wake at once.

use std::time::Duration;

use anyhow::Result;
use wakeflash_tests::stage::{Scene, Stage, state_of};
use wakeflash_tests::supervisor::Wake;

#[tokio::test]
async fn twelve_devices_that_wake_at_once_are_all_flashed() -> Result<()> {
    let scene = Scene { others: 12, ..Scene::default() };
    let Some(stage) = Stage::play(scene).await? else { return Ok(()) };
    stage.let_others_be_seen().await?;
    stage.until_others_built().await?;
    stage.wake_others(Wake { for_ms: Some(10_000), ..Wake::default() }).await?;
    stage
        .until_others("installed", Duration::from_secs(40), |row| state_of(row) == "installed")
        .await?;
    for other in &stage.others {
        other.ensure_flashed_once(&stage).await?;
    }
    Ok(())
}
