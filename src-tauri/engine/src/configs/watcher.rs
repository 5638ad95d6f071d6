//! Follows the config directory: file system events where there are some, a cheap look at the files' times
//! every few seconds where there are none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};
use wakeflash_core::device::ConfigFile;
use wakeflash_core::error::Problem;

use super::sources::Stamp;
use super::{Scan, scan_with_files, silent, watched_dirs};

/// What the config directory is like now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigsEvent {
    /// All its configurations. Also sent when none of them looks different, but a file that one of them
    /// includes has changed.
    Scanned(Vec<ConfigFile>),
    /// It can't be read. What was known stays true as far as anybody knows.
    Unreadable(Problem),
}

/// How closely to follow.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long to wait for an editor to finish.
    pub debounce: Duration,
    /// How often to look without being told.
    pub poll: Duration,
    /// When a file system that doesn't answer counts as unreadable.
    pub patience: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(200),
            poll: Duration::from_secs(4),
            patience: Duration::from_secs(30),
        }
    }
}

/// A watch that ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    /// What happens; the first event comes at once.
    pub events: mpsc::Receiver<ConfigsEvent>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts to follow a config directory, whether it is there or not.
#[must_use]
pub fn watch(config_dir: PathBuf, timing: Timing) -> Watch {
    let (sender, events) = mpsc::channel(1);
    let (hints, hinted) = mpsc::channel(1);
    let follower = Follower {
        config_dir,
        timing,
        sender,
        hints,
        hinted,
        known: None,
        observed: Observed::default(),
    };
    Watch { events, task: tokio::spawn(follower.run()) }
}

type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

struct Follower {
    config_dir: PathBuf,
    timing: Timing,
    sender: mpsc::Sender<ConfigsEvent>,
    hints: mpsc::Sender<()>,
    hinted: mpsc::Receiver<()>,
    /// What was reported last.
    known: Option<Result<Stamps, Problem>>,
    observed: Observed,
}

/// The directories that the system reports changes of.
#[derive(Default)]
struct Observed {
    /// With the stamps' inodes: a directory that was replaced has to be observed anew.
    dirs: BTreeMap<PathBuf, Option<u64>>,
    _watcher: Option<RecommendedWatcher>,
}

impl Follower {
    async fn run(mut self) {
        // Ends when the receiver is gone.
        while self.look().await.is_some() {
            tokio::select! {
                () = sleep(self.timing.poll) => {}
                hint = self.hinted.recv() => {
                    if hint.is_none() {
                        return;
                    }
                    sleep(self.timing.debounce).await;
                    while self.hinted.try_recv().is_ok() {}
                }
            }
        }
    }

    /// Looks whether something is different, and reports it. `None`: nobody listens any more.
    async fn look(&mut self) -> Option<()> {
        let stamps = match &self.known {
            Some(Ok(stamps)) => Some(stamps.clone()),
            Some(Err(_)) | None => None,
        };
        let dir = self.config_dir.clone();
        let work = spawn_blocking(move || {
            if stamps.is_some_and(|stamps| unchanged(&stamps)) {
                return None;
            }
            Some(scan_with_files(&dir))
        });
        let scanned = self.patiently(work).await?;
        let Some(scanned) = scanned else { return Some(()) };
        match scanned {
            Ok(Scan { configs, stamps }) => {
                self.observe(&stamps).await;
                self.known = Some(Ok(stamps));
                self.sender.send(ConfigsEvent::Scanned(configs)).await.ok()
            }
            Err(problem) => self.unreadable(problem).await,
        }
    }

    /// Waits for work on files. A network drive can hang for minutes: that is told, and no second attempt
    /// is started before the first one has ended.
    async fn patiently(
        &mut self,
        mut work: JoinHandle<Option<Result<Scan, Problem>>>,
    ) -> Option<Option<Result<Scan, Problem>>> {
        let ended = match timeout(self.timing.patience, &mut work).await {
            Ok(ended) => ended,
            Err(_) => {
                self.unreadable(silent(&self.config_dir)).await?;
                tokio::select! {
                    ended = work => ended,
                    () = self.sender.closed() => return None,
                }
            }
        };
        Some(ended.unwrap_or_else(|error| {
            tracing::error!(%error, "the scan of the config directory died");
            Some(Err(Problem::new(
                "config_dir.scan",
                "Reading the config directory failed because of a fault in Wakeflash.",
            )
            .with_help("Please report it, with the log of the application.")))
        }))
    }

    async fn unreadable(&mut self, problem: Problem) -> Option<()> {
        if matches!(&self.known, Some(Err(known)) if *known == problem) {
            return Some(());
        }
        // Once, not at each look.
        tracing::warn!(dir = %self.config_dir.display(), %problem, "no configurations");
        self.observed = Observed::default();
        self.known = Some(Err(problem.clone()));
        self.sender.send(ConfigsEvent::Unreadable(problem)).await.ok()
    }

    /// Has the system report changes beside every file that matters.
    async fn observe(&mut self, stamps: &Stamps) {
        let themselves = watched_dirs(&self.config_dir);
        // Not the parent of the config directory: that may be a busy home.
        let mut paths: BTreeSet<PathBuf> = stamps
            .keys()
            .filter(|path| !themselves.contains(path))
            .filter_map(|path| path.parent().map(Path::to_owned))
            .collect();
        paths.extend(themselves);
        let known = std::mem::take(&mut self.observed);
        let hints = self.hints.clone();
        let observed = spawn_blocking(move || {
            let dirs = paths.into_iter().map(|dir| {
                let inode = Stamp::of(&dir).map(|stamp| stamp.inode());
                (dir, inode)
            });
            let dirs: BTreeMap<_, _> = dirs.filter(|(_, inode)| inode.is_some()).collect();
            if dirs == known.dirs {
                return known;
            }
            let watcher = observe_dirs(dirs.keys(), hints.clone());
            // What changed since the scan raised no event: look once more. Full: that will happen anyway.
            let _ = hints.try_send(());
            Observed { dirs, _watcher: watcher }
        });
        match observed.await {
            Ok(observed) => self.observed = observed,
            Err(error) => tracing::error!(%error, "the config directory is looked at by time only"),
        }
    }
}

fn unchanged(stamps: &Stamps) -> bool {
    stamps.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)
}

/// Whether one of these can be a source, so that a busy log beside the configurations wakes nobody. An
/// included file with an unusual name is found by the look every few seconds.
fn may_matter(paths: &[PathBuf]) -> bool {
    let usual = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, None | Some("yaml" | "yml" | "json"))
    };
    paths.is_empty() || paths.iter().any(usual)
}

/// Without events there is still the look every few seconds, so failures are only logged.
fn observe_dirs<'a>(
    dirs: impl Iterator<Item = &'a PathBuf>,
    hints: mpsc::Sender<()>,
) -> Option<RecommendedWatcher> {
    let on_event = move |event: notify::Result<notify::Event>| {
        let matters = match event {
            Ok(event) => match event.kind {
                // Our own reading is an access too.
                EventKind::Access(_) => false,
                EventKind::Any
                | EventKind::Create(_)
                | EventKind::Modify(_)
                | EventKind::Remove(_)
                | EventKind::Other => may_matter(&event.paths),
            },
            Err(error) => {
                tracing::warn!(%error, "the system's file events have a problem");
                true
            }
        };
        if matters {
            // Full: a hint is waiting already. Closed: nobody listens any more.
            let _ = hints.try_send(());
        }
    };
    let mut watcher = match notify::recommended_watcher(on_event) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "no file events; the config directory is looked at by time only");
            return None;
        }
    };
    for dir in dirs {
        if let Err(error) = watcher.watch(dir, RecursiveMode::NonRecursive) {
            tracing::warn!(dir = %dir.display(), %error, "no file events of this directory");
        }
    }
    Some(watcher)
}
