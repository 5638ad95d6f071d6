//! Follows the config directory: file system events where there are some, a cheap look at the files' times
//! every few seconds where there are none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wakeflash_core::configuration::ConfigFile;
use wakeflash_core::error::Problem;

use super::followed::Followed;
use super::look::{Found, Known, Looked, Looking};
use super::recorded::{Contents, NAMES};
use super::sources::Stamp;
use super::words::{self, Answered, Esphome, KeptWord, Words};
use super::{silent, watched_dirs};

/// With more open questions than this, answers are told together.
const MANY: usize = 20;

/// What the config directory is like now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigsEvent {
    /// All its configurations. Also sent when none of them looks different, but a file that one of them
    /// includes has changed.
    Scanned(Vec<ConfigFile>),
    /// It can't be read. What was known stays true as far as anybody knows.
    Unreadable(Problem),
    /// ESPHome's word about these is to be kept over restarts.
    Answered(Vec<KeptWord>),
}

/// What a watch is told from outside.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The sources of builds that are followed as well.
    pub followed: watch::Receiver<Followed>,
    /// The ESPHome that is asked what the configurations are.
    pub esphome: watch::Receiver<Option<Esphome>>,
    /// What it, or another one, has said before.
    pub kept: Vec<KeptWord>,
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
    /// How long answers are gathered before they are told, when there are many.
    pub gather: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(200),
            poll: Duration::from_secs(4),
            patience: Duration::from_secs(30),
            gather: Duration::from_secs(1),
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

/// Starts to follow a config directory, whether it is there or not, and the sources of builds.
#[must_use]
pub fn watch(config_dir: PathBuf, feed: Feed, timing: Timing) -> Watch {
    let (sender, events) = mpsc::channel(1);
    let (hints, hinted) = mpsc::channel(1);
    let follower = Follower {
        words: Words::new(&config_dir, &feed.kept),
        config_dir,
        timing,
        sender,
        hints,
        hinted,
        followed: feed.followed,
        esphome: feed.esphome,
        answered: Vec::new(),
        tell_at: None,
        otherwise: false,
        known: None,
        contents: Contents::default(),
        observed: Observed::default(),
    };
    Watch { events, task: tokio::spawn(follower.run()) }
}

struct Follower {
    config_dir: PathBuf,
    timing: Timing,
    sender: mpsc::Sender<ConfigsEvent>,
    hints: mpsc::Sender<()>,
    hinted: mpsc::Receiver<()>,
    followed: watch::Receiver<Followed>,
    esphome: watch::Receiver<Option<Esphome>>,
    words: Words,
    /// Answers that are not told yet, and when they are.
    answered: Vec<KeptWord>,
    tell_at: Option<Instant>,
    /// Something else than a file has changed.
    otherwise: bool,
    known: Option<Result<Known, Problem>>,
    contents: Contents,
    observed: Observed,
}

/// The directories that the system reports changes of.
#[derive(Default)]
struct Observed {
    /// With the stamps' inodes: a directory that was replaced has to be observed anew.
    dirs: BTreeMap<PathBuf, Option<u64>>,
    /// The files in them that matter.
    files: Arc<RwLock<BTreeSet<PathBuf>>>,
    _watcher: Option<RecommendedWatcher>,
}

impl Follower {
    async fn run(mut self) {
        // Ends when the receiver is gone.
        while self.look().await.is_some() {
            if self.until_next_look().await.is_none() {
                return;
            }
        }
    }

    /// Waits for a reason to look, and takes ESPHome's answers meanwhile. `None`: nobody listens any more.
    async fn until_next_look(&mut self) -> Option<()> {
        let poll = Instant::now() + self.timing.poll;
        loop {
            let tell_at = self.tell_at;
            tokio::select! {
                () = sleep_until(poll) => return Some(()),
                hint = self.hinted.recv() => {
                    hint?;
                    sleep(self.timing.debounce).await;
                    while self.hinted.try_recv().is_ok() {}
                    return Some(());
                }
                Ok(()) = self.followed.changed() => {
                    self.otherwise = true;
                    sleep(self.timing.debounce).await;
                    return Some(());
                }
                Ok(()) = self.esphome.changed() => {
                    self.otherwise = true;
                    return Some(());
                }
                answered = self.words.next() => self.take_answer(answered),
                () = sleep_until(tell_at.unwrap_or(poll)), if tell_at.is_some() => {
                    self.tell_answers().await?;
                }
            }
        }
    }

    /// Puts an answer in the place of what the file seems to say.
    fn take_answer(&mut self, answered: Answered) {
        let Answered { file, kept, stamps, current } = answered;
        if !current {
            // It was changed while it was asked about. Full: somebody looks anyway.
            self.otherwise = true;
            let _ = self.hints.try_send(());
        }
        let Some(Ok(known)) = &mut self.known else { return };
        let configs = Arc::make_mut(&mut known.configs);
        let Some(at) = known.placeholders.iter().position(|config| config.id.as_str() == file)
        else {
            return;
        };
        let mut said = known.placeholders.get(at).cloned();
        if let (Some(said), Some(config)) = (&mut said, configs.get_mut(at)) {
            words::say(said, &kept, current);
            config.content = said.content.clone();
        }
        Arc::make_mut(&mut known.followed).extend(stamps);
        self.answered.extend(Words::to_store(&file, &kept));
        let many = self.words.due.len() > MANY;
        let gather = if many { self.timing.gather } else { self.timing.debounce / 2 };
        self.tell_at.get_or_insert_with(|| Instant::now() + gather);
    }

    async fn tell_answers(&mut self) -> Option<()> {
        self.tell_at = None;
        let Some(Ok(known)) = &self.known else { return Some(()) };
        let known = known.clone();
        self.observe(known.paths()).await;
        let answered = std::mem::take(&mut self.answered);
        if !answered.is_empty() {
            self.sender.send(ConfigsEvent::Answered(answered)).await.ok()?;
        }
        self.sender.send(ConfigsEvent::Scanned(Vec::clone(&known.configs))).await.ok()
    }

    /// Looks whether something is different, and reports it. `None`: nobody listens any more.
    async fn look(&mut self) -> Option<()> {
        // Those who send have ended: nothing changes any more.
        self.otherwise |= self.followed.has_changed().unwrap_or(false);
        self.otherwise |= self.esphome.has_changed().unwrap_or(false);
        self.words.choose(self.esphome.borrow_and_update().clone());
        let looking = Looking {
            dir: self.config_dir.clone(),
            known: match &self.known {
                Some(Ok(known)) => Some(known.clone()),
                Some(Err(_)) | None => None,
            },
            followed: self.followed.borrow_and_update().clone(),
            kept: self.words.kept.clone(),
            esphome: self.words.key(),
            otherwise: std::mem::take(&mut self.otherwise) || self.words.is_late(),
        };
        let mut contents = std::mem::take(&mut self.contents);
        let work = spawn_blocking(move || (looking.look(&mut contents), contents));
        let (looked, contents) = self.patiently(work).await?;
        self.contents = contents;
        match looked {
            Ok(None) => Some(()),
            Ok(Some(Found { known, due, tell })) => {
                self.words.ask_about(due);
                self.observe(known.paths()).await;
                let configs = Vec::clone(&known.configs);
                self.known = Some(Ok(known));
                match tell {
                    true => self.sender.send(ConfigsEvent::Scanned(configs)).await.ok(),
                    false => Some(()),
                }
            }
            Err(problem) => self.unreadable(problem).await,
        }
    }

    /// Waits for work on files. A network drive can hang for minutes: that is told, and no second attempt
    /// is started before the first one has ended.
    async fn patiently(
        &mut self,
        mut work: JoinHandle<(Looked, Contents)>,
    ) -> Option<(Looked, Contents)> {
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
            let problem = Problem::new(
                "config_dir.scan",
                "Reading the config directory failed because of a fault in Wakeflash.",
            );
            let help = "Please report it, with the log of the application.";
            (Err(problem.with_help(help)), Contents::default())
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
    async fn observe(&mut self, files: BTreeSet<PathBuf>) {
        let themselves = watched_dirs(&self.config_dir);
        // Not the parent of the config directory: that may be a busy home.
        let mut paths: BTreeSet<PathBuf> = files
            .iter()
            .filter(|path| !themselves.contains(path))
            .filter_map(|path| path.parent().map(Path::to_owned))
            .collect();
        paths.extend(themselves);
        let known = std::mem::take(&mut self.observed);
        let (hints, config_dir) = (self.hints.clone(), self.config_dir.clone());
        let observed = spawn_blocking(move || {
            let dirs = paths.into_iter().map(|dir| {
                let inode = Stamp::of(&dir).map(|stamp| stamp.inode());
                (dir, inode)
            });
            let dirs: BTreeMap<_, _> = dirs.filter(|(_, inode)| inode.is_some()).collect();
            *known.files.write().unwrap_or_else(PoisonError::into_inner) = files;
            if dirs == known.dirs {
                return known;
            }
            let files = known.files;
            let watcher = observe_dirs(dirs.keys(), hints.clone(), config_dir, Arc::clone(&files));
            // What changed since the scan raised no event: look once more. Full: that will happen anyway.
            let _ = hints.try_send(());
            Observed { dirs, files, _watcher: watcher }
        });
        match observed.await {
            Ok(observed) => self.observed = observed,
            Err(error) => tracing::error!(%error, "the config directory is looked at by time only"),
        }
    }
}

/// Whether one of these can be a source, so that a busy log beside the configurations wakes nobody. An
/// included file with an unusual name is found by the look every few seconds, until it is known.
fn may_matter(paths: &[PathBuf], config_dir: &Path, files: &BTreeSet<PathBuf>) -> bool {
    let usual = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        path.starts_with(config_dir) && matches!(extension, None | Some("yaml" | "yml" | "json"))
    };
    let known = |path: &PathBuf| {
        files.contains(path) || path.parent().is_some_and(|dir| files.contains(&dir.join(NAMES)))
    };
    paths.is_empty() || paths.iter().any(|path| usual(path) || known(path))
}

/// Without events there is still the look every few seconds, so failures are only logged.
fn observe_dirs<'a>(
    dirs: impl Iterator<Item = &'a PathBuf>,
    hints: mpsc::Sender<()>,
    config_dir: PathBuf,
    files: Arc<RwLock<BTreeSet<PathBuf>>>,
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
                | EventKind::Other => {
                    let files = files.read().unwrap_or_else(PoisonError::into_inner);
                    may_matter(&event.paths, &config_dir, &files)
                }
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
