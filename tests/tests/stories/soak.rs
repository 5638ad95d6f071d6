//! A minute of `make soak`: a fleet that wakes all the time, updates without end, each sent once, and nothing that piles up.

use anyhow::{Result, ensure};
use wakeflash_tests::soak::{self, SoakOptions, Tolerance};

#[tokio::test]
async fn a_fleet_that_wakes_all_the_time_leaves_nothing_behind() -> Result<()> {
    let options = SoakOptions {
        seconds: 40,
        devices: 10,
        every_ms: 6_000,
        awake_ms: 3_000,
        update_ms: 3_000,
        samples: 16,
    };
    let Some(samples) = soak::run(&options, |_| Ok(())).await? else { return Ok(()) };
    let last = samples.last().copied().unwrap_or_default();
    ensure!(last.tally.wakes > u64::from(options.devices) && last.asked > 2, "{last:?}");
    // In so short a time only what is lost with each wake or update shows.
    soak::ensure_flat(&samples, Tolerance { memory: 24 << 20, count: 16, per_cent: 200 })
}
