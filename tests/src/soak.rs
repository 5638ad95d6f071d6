//! `wakeflash-lab soak`: the application without a window, a fleet of sleepers that wake all the time, and updates without
//! end; whether its memory, files, threads, database and logs stay what they are. docs/PERFORMANCE.md says what flat means.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep, sleep_until};
use wakeflash_core::view::DeviceView;

use crate::kept::Sibling;
use crate::lan::fleet::{Fleet, FleetOptions, Tally};
use crate::stage::others::wanted_yaml;
use crate::stage::{BUILD, Scene, Stage, state_of};

/// Until everything that was begun is over.
const PATIENCE: Duration = Duration::from_secs(180);

/// What `wakeflash-lab soak` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct SoakOptions {
    /// For how many seconds.
    #[arg(long, default_value_t = 3_600)]
    pub seconds: u64,
    /// How many devices.
    #[arg(long, default_value_t = 200)]
    pub devices: u16,
    /// Each wakes every so many milliseconds.
    #[arg(long, default_value_t = 12_000)]
    pub every_ms: u64,
    /// For how many milliseconds it is awake.
    #[arg(long, default_value_t = 3_000)]
    pub awake_ms: u64,
    /// An update is asked for every so many milliseconds.
    #[arg(long, default_value_t = 1_000)]
    pub update_ms: u64,
    /// How many samples are taken.
    #[arg(long, default_value_t = 120)]
    pub samples: u32,
}

/// What the application has and needs at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Since the beginning.
    pub after: Duration,
    /// What has happened by then.
    pub tally: Tally,
    /// Updates that were asked for.
    pub asked: u64,
    /// Memory (PSS).
    pub memory: u64,
    /// Open files.
    pub files: u64,
    /// Threads.
    pub threads: u64,
    /// Bytes of the database.
    pub database: u64,
    /// Rows that it keeps: wakes, updates, devices.
    pub rows: u64,
    /// Bytes that were logged.
    pub logged: u64,
    /// Bytes of all other files of the state directory.
    pub other: u64,
}

/// Soaks it, and tells of each sample; `None`: there are no network namespaces here.
///
/// # Errors
/// When an update isn't installed, or installed twice, or the application can't be run.
pub async fn run(
    options: &SoakOptions,
    mut tell: impl FnMut(&Sample) -> Result<()>,
) -> Result<Option<Vec<Sample>>> {
    let scene = Scene { logs: true, ..Scene::default() };
    let Some(mut stage) = Stage::play(scene).await? else { return Ok(None) };
    let siblings: Vec<_> = (0..options.devices).map(Sibling).collect();
    for sibling in &siblings {
        wanted_yaml(*sibling).write_to(&stage.config, &sibling.file())?;
    }
    let first = siblings.first().context("no devices")?.file();
    stage.until_row(&first, "it is listed", BUILD, |_| true).await?;
    stage.app.device_command("install", &first).await?;
    let is_built = |row: &DeviceView| state_of(row) == "waiting";
    let row = stage.until_row(&first, "it is built", BUILD, is_built).await?;
    let new_hash = row.update.and_then(|update| update.wanted_hash).context("no hash")?.0;
    let host = stage.lan.host("fleet").await?;
    let fleet = FleetOptions {
        count: options.devices,
        version: stage.old.esphome_version.clone(),
        old_hash: 0x1111_1111,
        new_hash,
        port: 13232,
        every_ms: options.every_ms,
        awake_ms: options.awake_ms,
        stall: false,
    };
    let soak = Soak { fleet: Fleet::start(&host, &fleet).await?, stage, began: Instant::now() };
    soak.run(options, &siblings, &mut tell).await.map(Some)
}

struct Soak {
    stage: Stage,
    fleet: Fleet,
    began: Instant,
}

impl Soak {
    async fn run(
        &self,
        options: &SoakOptions,
        siblings: &[Sibling],
        tell: &mut impl FnMut(&Sample) -> Result<()>,
    ) -> Result<Vec<Sample>> {
        let length = Duration::from_secs(options.seconds);
        let sampled_every = length / options.samples.max(1);
        let mut next_sample = self.began + sampled_every;
        let (mut samples, mut asked) = (Vec::new(), 1);
        let mut turns: VecDeque<_> = siblings.iter().skip(1).chain(siblings.first()).collect();
        while self.began.elapsed() < length {
            let next = Instant::now() + Duration::from_millis(options.update_ms);
            if let Some(sibling) = turns.pop_front() {
                turns.push_back(sibling);
                // Who isn't done with the last one has its turn later.
                if self.is_over(&sibling.file()).await? {
                    self.stage.app.device_command("install", &sibling.file()).await?;
                    asked += 1;
                }
            }
            if Instant::now() >= next_sample {
                next_sample += sampled_every;
                let sample = self.sample(asked).await?;
                tell(&sample)?;
                samples.push(sample);
                self.stage.app.process().forget().await;
                self.fleet.forget().await;
            }
            sleep_until(next).await;
        }
        self.until_over(asked).await?;
        Ok(samples)
    }

    async fn is_over(&self, device: &str) -> Result<bool> {
        let rows = self.stage.snapshot().await?.devices;
        Ok(rows.iter().any(|row| row.id.as_str() == device && is_over(row)))
    }

    /// Everything that was asked for is installed, and each image was sent once.
    async fn until_over(&self, asked: u64) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let rows = self.stage.snapshot().await?.devices;
            let open: Vec<_> = rows.iter().filter(|row| !is_over(row)).collect();
            if open.is_empty() {
                break;
            }
            ensure!(Instant::now() < give_up, "not over: {}", serde_json::to_string(&open)?);
            sleep(Duration::from_secs(1)).await;
        }
        // The fleet tells once in a second.
        sleep(Duration::from_secs(2)).await;
        let images = self.fleet.tally()?.images;
        ensure!(images == asked, "{asked} updates, and {images} images were taken");
        Ok(())
    }

    async fn sample(&self, asked: u64) -> Result<Sample> {
        let pid = self.stage.app.process().pid().await.context("it has ended")?;
        let count = |what: &str| Ok::<_, anyhow::Error>(std::fs::read_dir(what)?.count() as u64);
        let state = &self.stage.state;
        let database = state.join("wakeflash.db");
        // What is written next to it is bounded.
        let beside = ["-wal", "-shm"].map(|end| size(&state.join(format!("wakeflash.db{end}"))));
        let database_size = size(&database);
        let log = self.stage.dir.path().join("app.log");
        Ok(Sample {
            after: self.began.elapsed(),
            tally: self.fleet.tally()?,
            asked,
            memory: memory(pid)?,
            files: count(&format!("/proc/{pid}/fd"))?,
            threads: count(&format!("/proc/{pid}/task"))?,
            database: database_size,
            rows: rows(&database)?,
            logged: size(&log),
            other: size_of_all(state)?.saturating_sub(database_size + beside.iter().sum::<u64>()),
        })
    }
}

fn is_over(row: &DeviceView) -> bool {
    ["", "installed"].contains(&&*state_of(row))
}

/// Bytes of a file; one that isn't there has none.
fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn size_of_all(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // What is deleted meanwhile is no part of it.
        let Ok(metadata) = entry.metadata() else { continue };
        sum += if metadata.is_dir() {
            size_of_all(&entry.path()).unwrap_or(0)
        } else {
            metadata.len()
        };
    }
    Ok(sum)
}

/// Memory (PSS) of a process, in bytes.
///
/// # Errors
/// When it has ended.
pub fn memory(pid: u32) -> Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = pss.and_then(|pss| pss.split_ascii_whitespace().next()).context("no PSS")?;
    Ok(kib.parse::<u64>()? * 1024)
}

fn rows(database: &Path) -> Result<u64> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    let all = "SELECT (SELECT count(*) FROM wakes) + (SELECT count(*) FROM updates)
               + (SELECT count(*) FROM devices)";
    Ok(connection.query_row(all, [], |row| row.get::<_, u32>(0))?.into())
}

/// How much more there may be in the last quarter than in the one before.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Bytes of memory.
    pub memory: u64,
    /// Open files, and threads.
    pub count: u64,
    /// Per cent more bytes of the database for a row, and of the log for a wake.
    pub per_cent: u64,
}

/// Makes sure that nothing has grown from the third quarter to the last but what is kept on purpose.
///
/// # Errors
/// When something has.
pub fn ensure_flat(samples: &[Sample], tolerance: Tolerance) -> Result<()> {
    let quarter = samples.len() / 4;
    ensure!(quarter > 0, "too few samples");
    let last = &samples[samples.len() - quarter..];
    let third = &samples[samples.len() - 2 * quarter..samples.len() - quarter];
    let mean = |samples: &[Sample], of: fn(&Sample) -> u64| {
        samples.iter().map(of).sum::<u64>() / samples.len() as u64
    };
    let compare = |what: &str, of: fn(&Sample) -> u64, more: fn(u64, Tolerance) -> u64| {
        let (before, after) = (mean(third, of), mean(last, of));
        ensure!(after <= before + more(before, tolerance), "{what}: from {before} to {after}");
        Ok(())
    };
    compare("memory", |it| it.memory, |_, tolerance| tolerance.memory)?;
    compare("open files", |it| it.files, |_, tolerance| tolerance.count)?;
    compare("threads", |it| it.threads, |_, tolerance| tolerance.count)?;
    let share = |before: u64, tolerance: Tolerance| before * tolerance.per_cent / 100;
    compare("bytes of the database per row", |it| it.database / it.rows.max(1), share)?;
    compare("logged bytes per wake", |it| it.logged / it.tally.wakes.max(1), share)
}

/// Soaks it, prints what was sampled, and judges.
///
/// # Errors
/// When something isn't as it should be.
pub async fn tell(options: &SoakOptions) -> Result<()> {
    say(&format!("{options:?}\n"))?;
    say(
        "| after, min | wakes | updates | memory (PSS), MiB | files | threads | database, KiB | its rows \
         | logged, KiB | other files, KiB |",
    )?;
    say("|---|---|---|---|---|---|---|---|---|---|")?;
    let samples = run(options, |it| say(&row(it))).await?;
    let samples = samples.context("this needs network namespaces")?;
    ensure_flat(&samples, Tolerance { memory: 4 << 20, count: 4, per_cent: 10 })?;
    say("\nflat")
}

fn row(it: &Sample) -> String {
    let [memory, database, logged, other] =
        [it.memory, it.database, it.logged, it.other].map(|bytes| bytes / 1024);
    format!(
        "| {:.1} | {} | {} | {:.1} | {} | {} | {database} | {} | {logged} | {other} |",
        it.after.as_secs_f64() / 60.0,
        it.tally.wakes,
        it.asked,
        memory as f64 / 1024.0,
        it.files,
        it.threads,
        it.rows,
    )
}

/// Says it at once, also into a pipe.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush().context("nobody listens")
}
