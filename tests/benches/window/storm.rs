//! Input, frames and the way of an event to the screen while devices come and go.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use wakeflash_tests::desktop::until;
use wakeflash_tests::lan::storm::{Storm, StormOptions, name};

use super::{TIMES_HEAD, Times, say, scene};

const PER_SECOND: u32 = 100;
const SOON: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(4);
/// Between two keys.
const TYPING: Duration = Duration::from_millis(150);

/// Looks from inside the page. An event of the engine says when the device was last seen, which for one that
/// comes is the moment when the engine got its packet; its row shows it, and is painted, later.
const WATCH: &str = r#"
    const found = window.bench = { frames: [], keys: [], arrived: [], painted: [], events: 0 };
    const afterPaint = (then) => requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = then;
        port2.postMessage(null);
    });
    let last = performance.now();
    const frame = (now) => { found.frames.push(now - last); last = now; requestAnimationFrame(frame); };
    requestAnimationFrame((now) => { last = now; requestAnimationFrame(frame); });
    addEventListener('keydown', (event) => {
        const at = event.timeStamp;
        afterPaint(() => found.keys.push(performance.now() - at));
    }, true);
    const came = new Map();
    const internals = window.__TAURI_INTERNALS__;
    const handler = internals.transformCallback(({ payload: { event } }) => {
        found.events += 1;
        if (event.kind !== 'device' || event.device.presence !== 'online') return;
        found.arrived.push(Date.now() - event.device.lastSeen);
        came.set(event.device.id, event.device.lastSeen);
    });
    internals.invoke('plugin:event|listen',
        { event: 'engine-event', target: { kind: 'Any' }, handler });
    new MutationObserver((changes) => {
        for (const { target } of changes) {
            const since = came.get(target.dataset.device);
            if (since === undefined || target.dataset.presence !== 'online') continue;
            came.delete(target.dataset.device);
            afterPaint(() => found.painted.push(Date.now() - since));
        }
    }).observe(document.body, { subtree: true, attributes: true, attributeFilter: ['data-presence'] });
"#;

#[derive(Deserialize)]
struct Found {
    frames: Vec<f64>,
    keys: Vec<f64>,
    arrived: Vec<f64>,
    painted: Vec<f64>,
    events: u64,
}

pub(super) async fn run(devices: &[u16], seconds: u64) -> Result<()> {
    say(&format!("\n## {PER_SECOND} devices come or go in a second\n"))?;
    say(TIMES_HEAD)?;
    let mut notes = Vec::new();
    for &count in devices {
        notes.push(one(count, seconds).await?);
    }
    say("")?;
    notes.iter().try_for_each(|note| say(note))
}

async fn one(devices: u16, seconds: u64) -> Result<String> {
    let (mut scene, options) = scene(devices).await?;
    let app = scene.desktop.open(&options).await?;
    let page = app.page();
    page.until_there(&format!("{}.yaml", name(0))).await?;
    page.client().execute(WATCH, Vec::new()).await?;
    // What the display does by itself, to compare with.
    sleep(IDLE).await;
    let idle = page.client().execute("return window.bench.frames", Vec::new()).await?;
    say(&Times(serde_json::from_value(idle)?)
        .row(devices, "between two frames, nothing happens")?)?;
    let host = scene.lan.host("storm").await?;
    let count = u8::try_from(devices).unwrap_or(200).min(200);
    let _storm = Storm::start(&host, &StormOptions { count, per_second: PER_SECOND })?;
    page.until_presence(&format!("{}.yaml", name(0)), "online").await?;
    // The first round makes devices known, which happens once.
    sleep(Duration::from_secs(5)).await;
    let forget = "for (const list of Object.values(window.bench)) if (list.length) list.length = 0;
        window.bench.events = 0";
    page.client().execute(forget, Vec::new()).await?;
    let before: u64 = cpu(app.pid())?;
    let began = Instant::now();
    page.press("/").await?;
    // Words that leave all of them in the list, and are deleted again.
    let word = "device\u{e003}\u{e003}\u{e003}\u{e003}\u{e003}\u{e003}";
    'typing: loop {
        for key in word.chars() {
            if began.elapsed() > Duration::from_secs(seconds) {
                break 'typing;
            }
            page.press(&key.to_string()).await?;
            sleep(TYPING).await;
        }
    }
    let passed = began.elapsed().as_secs_f64();
    let used = cpu(app.pid())? - before;
    let found = page.client().execute("return window.bench", Vec::new()).await?;
    let found: Found = serde_json::from_value(found)?;
    until("the window still works", SOON, async || {
        ensure!(page.exists("device-row").await?, "it has no rows");
        Ok(())
    })
    .await?;
    for (name, times) in [
        ("a key to the next painted frame", found.keys),
        ("engine's packet to the event in the page", found.arrived),
        ("engine's packet to the painted row", found.painted),
        ("between two frames", found.frames.clone()),
    ] {
        say(&Times(times).row(devices, name)?)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
    let (events, cpu) = (found.events as f64 / passed, used as f64 / passed);
    // A task of 50 ms and the frame that it delays.
    let long = found.frames.iter().filter(|gap| **gap > 50.0 + 1000.0 / 60.0).count();
    Ok(format!(
        "{devices} devices: {events:.0} events in a second; {long} gaps between frames of more than 67 ms; the \
         application's own process used {cpu:.0} % of a core."
    ))
}

/// User and system time of a process, in hundredths of a second: proc_pid_stat(5).
fn cpu(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc is unexpected")?;
    let times = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(times.collect::<Result<Vec<_>, _>>()?.into_iter().sum())
}
