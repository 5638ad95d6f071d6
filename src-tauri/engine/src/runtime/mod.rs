//! The only loop. It hands what happens to [`Conductor`], which owns the state, and carries out what that says. Everything
//! that takes time, commits included, runs in tasks that the loop owns and that report back: it waits for nothing.

mod api;
mod asking;
mod assembly;
mod backups;
mod builds;
mod challenge;
mod clean;
mod commit;
mod disks;
mod flash;
mod flash_web;
mod follower;
mod images;
mod keys;
mod log_words;
mod logs;
mod other_tools;
mod overrides;
mod publish;
mod reading;
mod report;
mod requests;
mod restart;
mod sources;
#[cfg(test)]
mod store_tests;
mod surroundings;
#[cfg(test)]
mod tests;
mod validate;
mod work;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use wakeflash_core::conductor::{Conductor, Event, Ticket};
use wakeflash_core::device::{DeviceId, SightingKind};
use wakeflash_core::dispatch::{Effect, Input};
use wakeflash_core::error::Problem;
use wakeflash_core::settings::Settings;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{UpdateId, UpdateState};
use wakeflash_core::view::{StoreChoice, StoreDamage};

use crate::artifacts::Artifacts;
use crate::handle::{Handle, Shell};
use crate::store::{OpenError, Store};
use crate::watch::{OnlineDevice, Target, Unreachable, Watch, WatchEvent};
use asking::Opens;
#[cfg(test)]
pub(crate) use clean::folder_busy;
#[cfg(test)]
pub(crate) use log_words::asleep;
use overrides::Overrides;
use publish::Publisher;
use report::Report;

/// How long the tasks have to end when the engine is ended.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// How long the store has to end, after that.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// How long all of it may take.
const END_LIMIT: Duration = Duration::from_secs(7);

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
    /// The damage of the database, when that is why: the user has a choice then ([`mend_store`]).
    #[must_use]
    pub fn damage(&self) -> Option<StoreDamage> {
        match self {
            Self::Store(OpenError::Damaged(damage)) => Some(damage.view()),
            Self::Store(OpenError::InUse(_) | OpenError::Newer { .. } | OpenError::Other(_))
            | Self::Other(_) => None,
        }
    }

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
    /// `None`: its end was seen already.
    task: Option<JoinHandle<()>>,
}

impl Engine {
    /// Waits until the loop has ended though nobody wanted that: a defect, after which nothing is done any more.
    pub async fn broken(&mut self) {
        let Some(task) = &mut self.task else { return };
        let ended = task.await;
        self.task = None;
        tracing::error!("the engine's loop ended by itself: {ended:?}");
    }

    /// Ends the engine: builds and transfers are stopped, the state is on the disk. It goes on from there
    /// at the next start. A disk that doesn't answer doesn't hold it up: what was being stored then may be lost.
    pub async fn shutdown(mut self) {
        self.cancel.cancel();
        let Some(task) = &mut self.task else { return };
        match tokio::time::timeout(END_LIMIT, &mut *task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("the engine's loop ended badly: {error}"),
            Err(_) => {
                tracing::error!("the engine's loop didn't end within {END_LIMIT:?} and is cut off");
                task.abort();
            }
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
        let loaded = store.load()?;
        Ok((store, loaded))
    })
    .await
    .context("opening the store")??;
    let log_dir = options.state_dir.join("logs");
    crate::store::private_dir(&log_dir)?;
    builds::end_leftover_builds(&options.state_dir).await;
    work::delete_leftover_installations(&options.state_dir).await;
    let (runtime, queues, handle) = assembly::assemble(options, shell, store, loaded);
    let cancel = runtime.cancel.clone();
    let task = tokio::spawn(runtime.run(queues));
    Ok(Engine { handle, log_dir, cancel, task: Some(task) })
}

/// Does what the user has chosen about a damaged database, before a start. A sound one is left as it is.
///
/// # Errors
/// There is no backup, or it can't be written; the damaged database is still there then.
pub async fn mend_store(state_dir: PathBuf, choice: StoreChoice) -> Result<(), StartError> {
    let mend = move || crate::store::mend(&state_dir, choice);
    Ok(tokio::task::spawn_blocking(mend).await.context("mending the store")??)
}

/// The wall-clock time.
fn now() -> Timestamp {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(passed.as_millis().try_into().unwrap_or(i64::MAX))
}

/// After so many requests the network and what is due have a turn: clients that ask without end must not hide a device
/// that wakes.
const REQUESTS_IN_A_ROW: u32 = 16;

struct Runtime {
    conductor: Conductor,
    /// Where the answers go that are still to be given.
    replies: BTreeMap<Ticket, commit::Reply>,
    next_ticket: Ticket,
    /// The settings that the rest goes by.
    followed: Settings,
    publisher: Publisher,
    store: Store,
    artifacts: Artifacts,
    /// What the processes that it starts are known by.
    marker: String,
    options: EngineOptions,
    overrides: Overrides,
    shell: Arc<dyn Shell>,
    watch: Watch,
    targets: watch::Sender<Vec<Target>>,
    online: watch::Sender<Vec<OnlineDevice>>,
    /// Whether somebody looks at the list.
    watching: watch::Sender<bool>,
    /// The devices whose names are known.
    known: watch::Sender<Vec<String>>,
    tasks: JoinSet<()>,
    reports: mpsc::Sender<Report>,
    cancel: CancellationToken,
    work: work::Work,
    /// Open connections that wait for the decision what they are used for.
    connections: BTreeMap<UpdateId, TcpStream>,
    surroundings: surroundings::Surroundings,
    other_tools: other_tools::OtherTools,
    backups: backups::Clock,
    logs: logs::Logs,
}

impl Runtime {
    async fn run(mut self, queues: assembly::Queues) {
        let assembly::Queues { mut requests, mut watched, mut reports } = queues;
        self.recover();
        self.follow_config_dir();
        self.find_esphome();
        let mut look = tokio::time::interval(other_tools::LOOK_PERIOD);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut requests_taken = 0_u32;
        loop {
            let deadline = self.next_deadline();
            tokio::select! {
                // Each of these takes no time, so what comes first here is what is answered first when much is there.
                // What our own tasks report is little, and flashes under way wait for it.
                biased;
                () = self.cancel.cancelled() => break,
                outcome = self.store.stored() => self.committed(outcome),
                Some(report) = reports.recv() => self.take_report(report),
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!("a task ended badly: {error}");
                    }
                }
                _ = look.tick() => {
                    self.look_for_other_tools();
                    self.back_up();
                    self.look_after_logs();
                }
                Some(request) = requests.recv() => {
                    self.take_request(request);
                    requests_taken = requests_taken.wrapping_add(1);
                    if requests_taken.is_multiple_of(REQUESTS_IN_A_ROW) {
                        self.give_others_a_turn(&mut watched);
                    }
                }
                () = tokio::time::sleep(deadline) => self.conduct(Event::Due),
                Some(event) = watched.recv() => self.take_watch_event(event),
            }
            if self.work.garbage {
                self.collect_garbage();
            }
        }
        self.end(reports).await;
    }

    /// What is due, and one event of the network.
    fn give_others_a_turn(&mut self, watched: &mut mpsc::Receiver<WatchEvent>) {
        if self.next_deadline().is_zero() {
            self.conduct(Event::Due);
        }
        if let Ok(event) = watched.try_recv() {
            self.take_watch_event(event);
        }
    }

    fn recover(&mut self) {
        self.happened(Input::Recover);
        // What waits is shown and can be cancelled, though the config directory may not be there.
        let rows: BTreeSet<DeviceId> = self.conductor.state().rows().into_iter().collect();
        self.publisher.refresh(self.conductor.state(), &rows, now());
        rows.iter().for_each(|device| self.follow_sources(device));
        let updates = self.conductor.state().updates().map(|update| update.id);
        for update in updates.collect::<Vec<_>>() {
            self.prepare_image(update);
        }
        self.work.garbage = true;
    }

    /// How long the loop may sleep when nothing happens.
    fn next_deadline(&self) -> Duration {
        let now = now();
        pause(self.conductor.due(now).map(|at| at.since(now)))
    }

    /// Brings everything that is derived from the state up to date with it.
    fn settle(
        &mut self,
        changed: impl Iterator<Item = UpdateId>,
        touched: &BTreeSet<DeviceId>,
        now: Timestamp,
    ) {
        for id in changed {
            let Some(update) = self.conductor.state().update(id) else { continue };
            match &update.state {
                UpdateState::Building { .. } | UpdateState::Flashing { .. } => {}
                UpdateState::Waiting { .. } => {
                    self.publisher.end_progress(id);
                    self.prepare_image(id);
                }
                UpdateState::Queued | UpdateState::Held { .. } | UpdateState::Confirming { .. } => {
                    self.publisher.end_progress(id);
                    self.let_go_of_image(id);
                }
                UpdateState::Installed { .. }
                | UpdateState::Failed { .. }
                | UpdateState::Cancelled { .. }
                | UpdateState::Superseded { .. } => {
                    self.publisher.end_progress(id);
                    self.let_go_of_image(id);
                    self.work.garbage = true;
                }
            }
        }
        self.publisher.refresh(self.conductor.state(), touched, now);
        touched.iter().for_each(|device| self.follow_sources(device));
        self.show_other_tools();
        tell(&self.targets, self.conductor.state().targets(now));
        self.follow_logs();
        if !touched.is_empty() {
            self.tell_online();
            tell(&self.known, self.conductor.state().names());
        }
    }

    /// Tells the watch who is there.
    fn tell_online(&self) {
        let online = self.conductor.state().online().into_iter();
        let online =
            online.map(|(name, addresses)| OnlineDevice { name: name.to_owned(), addresses });
        tell(&self.online, online.collect());
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::StartBuild { update, device } => self.start_build(update, device),
            Effect::FindEsphome => self.search_esphome(),
            Effect::StopBuild(update) => self.work.stop_build(update),
            Effect::StartFlash { update, password } => self.start_flash(update, password),
            Effect::GrantTransfer(update) => self.work.grant(update),
            Effect::DropConnection(update) => drop(self.connections.remove(&update)),
            Effect::StopFlash(update) => self.work.stop_flash(update),
            Effect::CheckSources(update) => self.check_sources(update),
            Effect::Nudge(name) => self.watch.nudge(&name),
            Effect::Ask { name, addresses } => self.ask_who(name, addresses, Opens::Unknown),
            Effect::LookAtApi { name, peer, api, ota } => self.look_at_api(name, peer, (api, ota)),
            Effect::Notify(notification) => self.shell.notify(notification),
        }
    }

    fn take_watch_event(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Seen(sighting) => {
                if sighting.kind == SightingKind::Alive {
                    self.log_evidence(&sighting.name);
                }
                self.heard(Input::Sighted(sighting));
            }
            WatchEvent::Silent { name } => self.heard(Input::Silent { name }),
            // It is told once.
            WatchEvent::Links(links) => self.happened(Input::Links(links)),
            WatchEvent::Stranger { name, address } => self.ask_who(name, vec![address], Opens::Yes),
            WatchEvent::Connected { update, peer, stream, .. } => {
                if self.conductor.is_unwell() {
                    // What isn't stored may change what the connection is for. The device will be there again.
                    tracing::warn!("the connection to {peer} is not used: nothing can be stored");
                } else if let Entry::Vacant(place) = self.connections.entry(update) {
                    // A device serves one.
                    place.insert(stream);
                    self.heard(Input::Connected { update, peer: peer.ip() });
                }
            }
            WatchEvent::Returned { update, name, peer, stream } => {
                self.ask_for_word(update, name, peer.ip(), stream);
            }
            WatchEvent::Unreachable { update, reason, .. } => match reason {
                Unreachable::NoAnswer => self.heard(Input::Unreachable { update }),
                // Somebody is there, or nothing is said about the device.
                Unreachable::Refused | Unreachable::NameUnknown | Unreachable::Local => {}
            },
            WatchEvent::Network(problem) => {
                let connected = problem.as_ref().is_none_or(|problem| problem.code != NO_NETWORK);
                self.publisher.change_status(|status| status.network = problem);
                self.happened(Input::Network { connected });
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
                    outcome = self.store.stored() => self.committed(outcome),
                    Some(report) = reports.recv() => self.take_last_report(report),
                    ended = self.tasks.join_next() => if ended.is_none() { break },
                }
            }
            while let Ok(report) = reports.try_recv() {
                self.take_last_report(report);
            }
            while self.store.is_storing() {
                let outcome = self.store.stored().await;
                self.committed(outcome);
            }
            self.watch.join().await;
        };
        if tokio::time::timeout(SHUTDOWN_LIMIT, finish).await.is_err() {
            tracing::warn!("some tasks did not end within {SHUTDOWN_LIMIT:?} and were cut off");
        }
        if !self.store.shutdown(CLOSE_LIMIT).await {
            tracing::error!("the disk doesn't answer: the last change may not be stored");
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

/// How long to sleep until time decides something.
fn pause(timed: Option<Duration>) -> Duration {
    const AT_MOST: Duration = Duration::from_secs(60);
    timed.unwrap_or(AT_MOST).min(AT_MOST)
}
