//! From the start to the painted list, by the pixels on the screen.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::sleep;
use wakeflash_tests::desktop::Desktop;
use wakeflash_tests::desktop::app::{AppOptions, TITLE};

use super::{TIMES_HEAD, Times, say, scene};

/// The list is there for certain.
const SETTLED: Duration = Duration::from_secs(6);
/// Between two looks at the screen.
const STEP: Duration = Duration::from_millis(10);

pub(super) async fn run(devices: &[u16], starts: usize) -> Result<()> {
    say("\n## Start to the painted list\n")?;
    say(TIMES_HEAD)?;
    for &count in devices {
        let (scene, options) = scene(count).await?;
        let (mut first, mut again) = (Times::default(), Times::default());
        // One start that doesn't count: the store is made, and the files are read from the disk.
        for start in 0..=starts {
            let mut app = scene.desktop.start_alone(&options)?;
            let time = until_painted(&scene.desktop).await?;
            scene.desktop.close_window()?;
            scene.desktop.until_window(false).await?;
            let reopened = reopen(&scene.desktop, &options).await?;
            if start > 0 {
                first.0.push(time);
                again.0.push(reopened);
            }
            end(&mut app).await?;
        }
        say(&first.row(count, "start of the process to the list")?)?;
        say(&again.row(count, "second start to the list, without a window before")?)?;
    }
    Ok(())
}

async fn reopen(desktop: &Desktop, options: &AppOptions) -> Result<f64> {
    let mut second = desktop.start_alone(options)?;
    let time = until_painted(desktop).await?;
    ensure!(second.wait().await?.success(), "the second start failed");
    Ok(time)
}

/// Ends the application in good order.
pub(super) async fn end(app: &mut Child) -> Result<()> {
    let pid = app.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).context("it has ended")?;
    kill_process(pid, Signal::TERM)?;
    ensure!(app.wait().await?.success(), "it ended badly");
    Ok(())
}

/// The time from now until the middle of the window looked for the first time as it looks in the end.
async fn until_painted(desktop: &Desktop) -> Result<f64> {
    let began = Instant::now();
    let mut seen: Vec<(Duration, Vec<u8>)> = Vec::new();
    while began.elapsed() < SETTLED {
        if let Some(pixels) = desktop.display().pixels(TITLE)? {
            let time = began.elapsed();
            if seen.last().is_none_or(|(_, last)| *last != pixels) {
                seen.push((time, pixels));
            }
        }
        sleep(STEP).await;
    }
    let (_, end) = seen.last().context("there was no window")?;
    let colours: std::collections::BTreeSet<&[u8]> = end.chunks_exact(4).collect();
    ensure!(colours.len() > 8, "there is no text in the window");
    let found = seen.iter().find(|(_, pixels)| alike(pixels, end)).context("it is among them")?;
    Ok(found.0.as_secs_f64() * 1000.0)
}

/// All but one in a hundred pixels are the same: a relative time may have changed.
fn alike(one: &[u8], other: &[u8]) -> bool {
    let differ = one.chunks_exact(4).zip(other.chunks_exact(4)).filter(|(a, b)| a != b).count();
    one.len() == other.len() && differ * 400 < one.len()
}
