//! The only loop. It owns the state, asks [`Dispatch`] what follows from what happened, commits that, and
//! only then lets it be done. Everything that takes time runs in tasks that the loop owns and that report
//! back over one bounded channel.

mod assembly;
mod commit;
mod flash;
mod flash_web;
mod images;
mod keys;
mod other_tools;
mod overrides;
mod publish;
mod requests;
mod restart;
mod sources;
mod surroundings;
#[cfg(test)]
mod tests;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::DeviceId;
use wakeflash_core::dispatch::{Dispatch, Effect, Input};
use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{UpdateId, UpdateState};

use crate::artifacts::Artifacts;
use crate::handle::{Handle, Shell};
use crate::store::{OpenError, Store};
use crate::watch::{OnlineDevice, Target, Unreachable, Watch, WatchEvent};
use overrides::Overrides;
use publish::Publisher;
use work::Report;

/// How long the tasks have to end when the engine is ended.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// How much of what the network says is stored at once. Flashes under way have their turn in between.
const AT_ONCE: usize = 64;

/// The code of the problem that there is no network at all; others leave it usable.
const NO_NETWORK: &str = "network.none";

/// Where things are.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The directory of the store, the images, the logs and an ESPHome of the application's own.
    pub state_dir: PathBuf,
    /// The config directory, instead of the one in the settings.
    pub config_dir: Option<PathBuf>,
    /// The `esphome` program, instead of the one in the settings.
    pub esphome: Option<PathBuf>,
}

/// Why the engine can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store can't be opened.
    #[error("opening the store")]
    Store(#[from] OpenError),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl StartError {
    /// What the user reads.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Store(error) => error.problem(),
            Self::Other(error) => Problem::new(
                "engine.start",
                format!("Wakeflash can't start: {}.", error.root_cause()),
            )
            .with_help("The log has the details."),
        }
    }
}

/// The running engine.
#[derive(Debug)]
pub struct Engine {
    /// How to speak to it.
    pub handle: Handle,
    /// Where its logs are.
    pub log_dir: PathBuf,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Engine {
    /// Ends the engine: builds and transfers are stopped, the state is on the disk. It goes on from there
    /// at the next start.
    pub async fn shutdown(self) {
        self.cancel.cancel();
        if let Err(error) = self.task.await {
            tracing::error!("the engine's loop ended badly: {error}");
        }
    }
}

/// Opens the store and starts the loop.
///
/// # Errors
/// See [`StartError`].
pub async fn start(options: EngineOptions, shell: Arc<dyn Shell>) -> Result<Engine, StartError> {
    let state_dir = options.state_dir.clone();
    let (store, loaded) = tokio::task::spawn_blocking(move || -> Result<_, StartError> {
        let store = Store::open(&state_dir)?;
        let loaded = store.load().map_err(OpenError::Other)?;
        Ok((store, loaded))
    })
    .await
    .context("opening the store")??;
    let log_dir = options.state_dir.join("logs");
    crate::store::private_dir(&log_dir)?;
    work::end_leftover_builds(&options.state_dir).await;
    work::delete_leftover_installations(&options.state_dir).await;
    let (runtime, queues, handle) = assembly::assemble(options, shell, store, loaded);
    let cancel = runtime.cancel.clone();
    let task = tokio::spawn(runtime.run(queues));
    Ok(Engine { handle, log_dir, cancel, task })
}

/// The wall-clock time.
fn now() -> Timestamp {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(passed.as_millis().try_into().unwrap_or(i64::MAX))
}

struct Runtime {
    dispatch: Dispatch,
    publisher: Publisher,
    store: Store,
    artifacts: Artifacts,
    options: EngineOptions,
    overrides: Overrides,
    shell: Arc<dyn Shell>,
    watch: Watch,
    targets: watch::Sender<Vec<Target>>,
    online: watch::Sender<Vec<OnlineDevice>>,
    /// Whether somebody looks at the list.
    watching: watch::Sender<bool>,
    tasks: JoinSet<()>,
    reports: mpsc::Sender<Report>,
    cancel: CancellationToken,
    work: work::Work,
    /// Open connections that wait for the decision what they are used for.
    connections: BTreeMap<UpdateId, TcpStream>,
    /// What happened and could not be stored yet.
    pending: VecDeque<Input>,
    /// When a commit is tried again after one failed. A point in time, not a pause that every other event
    /// would begin anew.
    commit_due: Option<Instant>,
    surroundings: surroundings::Surroundings,
    other_tools: other_tools::OtherTools,
}

impl Runtime {
    async fn run(mut self, queues: assembly::Queues) {
        let assembly::Queues { mut requests, mut watched, mut reports } = queues;
        self.recover().await;
        self.follow_config_dir();
        self.find_esphome();
        let mut look = tokio::time::interval(other_tools::LOOK_PERIOD);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let deadline = self.next_deadline();
            tokio::select! {
                // What our own tasks report is little, and flashes under way wait for it. Then comes evidence of
                // devices that are awake.
                biased;
                () = self.cancel.cancelled() => break,
                Some(report) = reports.recv() => self.take_report(report).await,
                Some(event) = watched.recv() => self.take_watch_events(event, &mut watched).await,
                Some(request) = requests.recv() => self.take_request(request).await,
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!("a task ended badly: {error}");
                    }
                }
                () = tokio::time::sleep(deadline) => self.tick().await,
                _ = look.tick() => self.look_for_other_tools(),
            }
            if self.work.garbage {
                self.collect_garbage().await;
            }
        }
        self.end(reports).await;
    }

    async fn recover(&mut self) {
        self.happened(Input::Recover).await;
        // What waits is shown and can be cancelled, though the config directory may not be there.
        let rows = self.dispatch.rows().into_iter().collect();
        self.publisher.refresh(&self.dispatch, &rows, now());
        for update in self.dispatch.updates().map(|update| update.id).collect::<Vec<_>>() {
            self.prepare_image(update);
        }
        self.collect_garbage().await;
    }

    /// How long the loop may sleep when nothing happens.
    fn next_deadline(&self) -> Duration {
        let now = now();
        let timed = self.dispatch.next_deadline(now).map(|at| at.since(now));
        let commit = self.commit_due.map(|due| due.saturating_duration_since(Instant::now()));
        pause(timed, commit)
    }

    async fn tick(&mut self) {
        // When it doesn't work, the status says so, and the next tick tries again.
        let _ = self.take_pending().await;
        self.store_choice().await;
        self.happened(Input::Tick).await;
        self.try_store().await;
    }

    /// Brings everything that is derived from the state up to date with it.
    fn settle(
        &mut self,
        changed: impl Iterator<Item = UpdateId>,
        touched: &BTreeSet<DeviceId>,
        now: Timestamp,
    ) {
        for id in changed {
            let Some(update) = self.dispatch.update(id) else { continue };
            match &update.state {
                UpdateState::Building { .. } | UpdateState::Flashing { .. } => {}
                UpdateState::Waiting { .. } => {
                    self.publisher.end_progress(id);
                    self.prepare_image(id);
                }
                UpdateState::Queued | UpdateState::Held { .. } | UpdateState::Confirming { .. } => {
                    self.publisher.end_progress(id);
                }
                UpdateState::Installed { .. }
                | UpdateState::Failed { .. }
                | UpdateState::Cancelled { .. }
                | UpdateState::Superseded { .. } => {
                    self.publisher.end_progress(id);
                    self.work.images.remove(&id);
                    self.prepare_next_image();
                    self.work.garbage = true;
                }
            }
        }
        self.publisher.refresh(&self.dispatch, touched, now);
        self.show_other_tools();
        tell(&self.targets, self.dispatch.targets(now));
        if !touched.is_empty() {
            self.tell_online();
        }
    }

    /// Tells the watch who is there.
    fn tell_online(&self) {
        let online = self.dispatch.online().into_iter().map(|(name, addresses)| OnlineDevice {
            name: name.to_owned(),
            addresses: addresses.to_vec(),
        });
        tell(&self.online, online.collect());
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::StartBuild { update, device } => self.start_build(update, device),
            Effect::StopBuild(update) => self.work.stop_build(update),
            Effect::StartFlash { update, password } => self.start_flash(update, password),
            Effect::GrantTransfer(update) => self.work.grant(update),
            Effect::DropConnection(update) => drop(self.connections.remove(&update)),
            Effect::StopFlash(update) => self.work.stop_flash(update),
            Effect::CheckSources(update) => self.check_sources(update),
            Effect::Nudge(name) => self.watch.nudge(&name),
            Effect::Notify(notification) => self.shell.notify(notification),
        }
    }

    /// Takes in what the network says, as much as is there.
    async fn take_watch_events(
        &mut self,
        first: WatchEvent,
        more: &mut mpsc::Receiver<WatchEvent>,
    ) {
        let mut inputs = Vec::new();
        let mut next = Some(first);
        while let Some(event) = next {
            inputs.extend(self.input_of(event).await);
            next = if inputs.len() < AT_ONCE { more.try_recv().ok() } else { None };
        }
        self.happened_together(inputs).await;
        // Connections that were neither used nor dropped by now have no place in the state.
        self.connections.clear();
    }

    /// What there is to decide about an event of the network.
    async fn input_of(&mut self, event: WatchEvent) -> Option<Input> {
        match event {
            WatchEvent::Seen(sighting) => Some(Input::Sighted(sighting)),
            WatchEvent::Silent { name } => Some(Input::Silent { name }),
            WatchEvent::Connected { update, peer, stream, .. } => {
                if self.take_pending().await.is_err() {
                    // What is pending may change what the connection is for. The device will be there again.
                    tracing::warn!(
                        "the connection to {peer} is not used: the state can't be stored"
                    );
                    return None;
                }
                if self.connections.contains_key(&update) {
                    // A device serves one.
                    return None;
                }
                self.connections.insert(update, stream);
                Some(Input::Connected { update, peer: peer.ip() })
            }
            WatchEvent::Returned { update, name, peer } => {
                self.ask_for_word(update, name, peer.ip());
                None
            }
            WatchEvent::Unreachable { update, reason, .. } => match reason {
                Unreachable::NoAnswer => Some(Input::Unreachable { update }),
                // Somebody is there, or nothing is said about the device.
                Unreachable::Refused | Unreachable::NameUnknown | Unreachable::Local => None,
            },
            WatchEvent::Network(problem) => {
                let connected = problem.as_ref().is_none_or(|problem| problem.code != NO_NETWORK);
                self.publisher.change_status(|status| status.network = problem);
                Some(Input::Network { connected })
            }
        }
    }

    /// Ends everything in order: no new input, then the tasks, then what they still had to say.
    async fn end(mut self, mut reports: mpsc::Receiver<Report>) {
        self.cancel.cancel();
        self.connections.clear();
        let finish = async {
            loop {
                tokio::select! {
                    ended = self.tasks.join_next() => if ended.is_none() { break },
                    Some(report) = reports.recv() => self.take_last_report(report).await,
                }
            }
            while let Ok(report) = reports.try_recv() {
                self.take_last_report(report).await;
            }
            self.watch.join().await;
        };
        if tokio::time::timeout(SHUTDOWN_LIMIT, finish).await.is_err() {
            tracing::warn!("some tasks did not end within {SHUTDOWN_LIMIT:?} and were cut off");
        }
    }
}

/// Tells whoever watches it a list that has changed.
fn tell<T: PartialEq>(to: &watch::Sender<Vec<T>>, new: Vec<T>) {
    to.send_if_modified(|list| {
        let different = *list != new;
        if different {
            *list = new;
        }
        different
    });
}

/// How long to sleep until time decides something, or a commit is tried again. While nothing can be stored,
/// nothing is decided either: what is due would else be tried a hundred times in a second.
fn pause(timed: Option<Duration>, commit: Option<Duration>) -> Duration {
    const AT_LEAST: Duration = Duration::from_millis(10);
    const AT_MOST: Duration = Duration::from_secs(60);
    commit.or(timed).unwrap_or(AT_MOST).clamp(AT_LEAST, AT_MOST)
}
