//! Work that takes time: it runs in tasks of the runtime's own, can be stopped, and reports back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wakeflash_core::build_failure::BuildFailure;
use wakeflash_core::device::{DeviceId, Sighting};
use wakeflash_core::dispatch::{FlashOutcome, Input};
use wakeflash_core::error::Problem;
use wakeflash_core::identity::Proof;
use wakeflash_core::settings::Settings;
use wakeflash_core::update::{Sha256, SourceChange, StateKind, UpdateId};
use wakeflash_core::view::{ActivityPage, EsphomeStatus, Progress, UpdateRecord};
use wakeflash_ota::PreparedImage;

use super::Runtime;
use super::api::{AT_THE_GATE, ApiQuestion};
use super::asking::Opens;
use super::challenge::OnClaim;
use super::commit::{Decided, Reply};
pub(super) use super::sources::compare_sources;
use crate::artifacts::LoadError;
use crate::builder::{self, BuildEnd, BuildOutcome, BuildRequest, BuilderEvent};
use crate::configs::ConfigsEvent;
use crate::esphome;
use crate::gate::Told;
use crate::handle::ReplyTo;
use crate::store::{Ended, History};

/// What a task has to say.
pub(super) enum Report {
    /// Of the config directory that was followed at that time.
    Configs(u32, ConfigsEvent),
    /// What one search for ESPHome found.
    Located(u32, EsphomeStatus),
    /// The devices that another tool is about to update.
    OtherTools(BTreeSet<DeviceId>),
    DiskFreed,
    InstallWent(Progress),
    InstallEnded(EsphomeStatus),
    SourcesChecked {
        update: UpdateId,
        image: Sha256,
        dir: PathBuf,
        changes: Option<Vec<SourceChange>>,
    },
    BuildWent {
        update: UpdateId,
        event: BuilderEvent,
    },
    BuildEnded {
        update: UpdateId,
        result: Result<BuildOutcome, BuildFailure>,
    },
    ImagePrepared {
        update: UpdateId,
        name: Sha256,
        result: Result<Arc<PreparedImage>, LoadError>,
    },
    PrepareAgain(UpdateId),
    FlashWent {
        update: UpdateId,
        progress: Progress,
    },
    /// The device is held; `grant` tells when its image may be sent.
    Captured {
        update: UpdateId,
        grant: Grant,
    },
    AboutToComplete {
        update: UpdateId,
        encrypted: bool,
        reply: oneshot::Sender<Result<(), Problem>>,
    },
    FlashEnded {
        update: UpdateId,
        outcome: FlashOutcome,
    },
    Answered(Sighting),
    /// The gate wants to know what a device says over its native API.
    AskApi {
        asked: ApiQuestion,
        told: mpsc::Sender<Told>,
    },
    /// What came of a question to an address.
    Asked {
        name: String,
        address: IpAddr,
        opens: Opens,
        answer: Option<Sighting>,
    },
    /// The OTA port of a device is open, and it was seen whether its API is as well.
    LookedAtApi {
        name: String,
        peer: IpAddr,
        refused: bool,
    },
    /// The gate has opened.
    Proven {
        update: UpdateId,
        proof: Proof,
    },
    History {
        device: DeviceId,
        history: anyhow::Result<History>,
        reply: ReplyTo<Vec<UpdateRecord>>,
    },
    Activity {
        ended: anyhow::Result<Ended>,
        reply: ReplyTo<ActivityPage>,
    },
    Returned {
        update: UpdateId,
        peer: IpAddr,
    },
    ServesAgain {
        update: UpdateId,
        peer: IpAddr,
    },
    /// Whether a config directory that was chosen is there.
    DirectoryLookedAt {
        input: Input,
        looked_at: Result<(), Problem>,
        reply: Reply,
    },
    /// What nobody needs was deleted.
    Collected,
    /// Whether a backup of the store was made.
    BackedUp(anyhow::Result<bool>),
}

/// An image in memory, and its name in the artifact store: an update that is built again gets another one.
#[derive(Clone, Debug)]
pub(super) struct ReadyImage {
    pub(super) name: Sha256,
    pub(super) image: Arc<PreparedImage>,
}

/// Lets an image be sent, and brings it along if it is in memory.
type Grant = oneshot::Sender<Option<ReadyImage>>;

/// The tasks that can be stopped, and what they share.
#[derive(Debug, Default)]
pub(super) struct Work {
    builds: BTreeMap<UpdateId, CancellationToken>,
    pub(super) flashes: BTreeMap<UpdateId, CancellationToken>,
    /// Flashes whose devices are held, until they may send.
    held: BTreeMap<UpdateId, Grant>,
    /// Two builds never run in the same device's build folder, not even while the first one is ending.
    building: BTreeMap<DeviceId, Arc<Mutex<()>>>,
    /// What ends each question whether a configuration is valid.
    pub(super) validations: BTreeMap<DeviceId, CancellationToken>,
    /// Images ready to be sent.
    pub(super) images: BTreeMap<UpdateId, ReadyImage>,
    /// Updates whose images are to be made ready, and the one whose image is.
    pub(super) to_prepare: VecDeque<UpdateId>,
    pub(super) preparing: Option<UpdateId>,
    /// Updates whose sources are to be compared, and the one whose sources are.
    pub(super) to_check: BTreeSet<UpdateId>,
    pub(super) checking: Option<UpdateId>,
    /// Who is being asked which device it is.
    pub(super) asking: BTreeSet<(String, IpAddr)>,
    /// Whose challenges were answered on a claim.
    pub(super) on_claim: OnClaim,
    /// Ends the watch for room on the disks.
    pub(super) disks: Option<CancellationToken>,
    /// Something has ended, so that its image may be of no use any more.
    pub(super) garbage: bool,
    /// What nobody needs is being deleted.
    pub(super) collecting: bool,
    /// Builds that begin when that is over.
    pub(super) builds_after: Vec<(UpdateId, DeviceId)>,
}

impl Work {
    /// Held by whoever lets ESPHome write into a device's build folder.
    pub(super) fn build_folder(&mut self, device: DeviceId) -> Arc<Mutex<()>> {
        Arc::clone(self.building.entry(device).or_default())
    }

    pub(super) fn stop_build(&mut self, update: UpdateId) {
        if let Some(token) = self.builds.remove(&update) {
            token.cancel();
        }
    }

    /// Lets a flash whose device is held send its image.
    pub(super) fn grant(&mut self, update: UpdateId) {
        if let Some(grant) = self.held.remove(&update) {
            // A flash that has ended says so in a report of its own, which frees its place.
            let _ = grant.send(self.images.get(&update).cloned());
        }
    }

    pub(super) fn stop_flash(&mut self, update: UpdateId) {
        self.held.remove(&update);
        if let Some(token) = self.flashes.remove(&update) {
            token.cancel();
        }
    }
}

/// Ends builds that a killed application left running: they would write into the same build folders.
pub(super) async fn end_leftover_builds(state_dir: &Path) {
    let marker = build_marker(state_dir);
    match tokio::task::spawn_blocking(move || builder::end_leftovers(&marker)).await {
        Ok(0) => {}
        Ok(count) => tracing::warn!("ended {count} processes of a build that was left running"),
        Err(error) => tracing::error!("looking for left-over builds: {error}"),
    }
}

/// Deletes what installations of ESPHome have left that a killed application couldn't end. Nothing may be installed
/// before this returns; the deleting itself goes on.
pub(super) async fn delete_leftover_installations(state_dir: &Path) {
    let state_dir = state_dir.to_owned();
    match tokio::task::spawn_blocking(move || esphome::leftovers(&state_dir)).await {
        Ok(left) if left.is_empty() => {}
        Ok(left) => drop(tokio::task::spawn_blocking(move || esphome::delete(&left))),
        Err(error) => tracing::error!("looking for left-over installations: {error}"),
    }
}

pub(super) fn build_marker(state_dir: &Path) -> String {
    state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned()).to_string_lossy().into_owned()
}

impl Runtime {
    /// Runs a task whose last word is a report.
    pub(super) fn spawn(&mut self, work: impl Future<Output = Option<Report>> + Send + 'static) {
        let reports = self.reports.clone();
        self.tasks.spawn(async move {
            if let Some(report) = work.await {
                // The loop outlives its tasks, unless they are cut off at the end.
                let _ = reports.send(report).await;
            }
        });
    }

    /// Runs a task that something waits for: when it panics, `fault` is its last word.
    pub(super) fn spawn_guarded(
        &mut self,
        fault: Report,
        work: impl Future<Output = Option<Report>> + Send + 'static,
    ) {
        self.spawn(guarded(fault, work));
    }

    pub(super) fn take_report(&mut self, report: Report) {
        match report {
            Report::Configs(generation, event) => self.take_configs_event(generation, event),
            Report::Located(search, status) => self.esphome_located(search, status),
            Report::OtherTools(queued) => self.other_tools_found(queued),
            Report::DiskFreed => self.disk_freed(),
            Report::InstallWent(went) => self.esphome_install_went(went),
            Report::InstallEnded(status) => self.esphome_installed(status),
            Report::SourcesChecked { update, image, dir, changes } => {
                self.sources_checked(update, &image, &dir, changes);
            }
            Report::BuildWent { update, event } => self.build_went(update, event),
            Report::BuildEnded { update, result } => {
                self.work.builds.remove(&update);
                let result = result.map(|outcome| (outcome.build, outcome.changes));
                self.happened(Input::BuildEnded { update, result });
            }
            Report::ImagePrepared { update, name, result } => {
                self.image_prepared(update, name, result);
            }
            Report::PrepareAgain(update) => self.prepare_image(update),
            Report::FlashWent { update, progress } => {
                if let Some(device) =
                    self.conductor.state().update(update).map(|update| update.device.clone())
                {
                    self.publisher.progress(device, update, progress);
                }
            }
            Report::Captured { update, grant } => {
                // One that was stopped meanwhile says nothing more, and would leave its grant here.
                if self.work.flashes.contains_key(&update) {
                    self.work.held.insert(update, grant);
                }
                self.happened(Input::Captured { update });
            }
            Report::AboutToComplete { update, encrypted, reply } => {
                // A flasher that no longer waits was stopped; the state says so already.
                let told = |answer: Decided, _: &Settings| drop(reply.send(answer.map(drop)));
                self.announce(Input::AboutToComplete { update, encrypted }, Box::new(told));
            }
            Report::FlashEnded { update, outcome } => {
                self.work.flashes.remove(&update);
                self.work.held.remove(&update);
                self.happened(Input::FlashEnded { update, outcome });
            }
            Report::Answered(sighting) => {
                self.heard(Input::Sighted(sighting));
            }
            Report::AskApi { asked, told } => self.ask_api(asked, AT_THE_GATE, told),
            Report::History { device, history, reply } => {
                self.history_read(&device, history, reply);
            }
            Report::Activity { ended, reply } => self.activity_read(ended, reply),
            Report::DirectoryLookedAt { input, looked_at, reply } => {
                self.directory_looked_at(input, looked_at, reply);
            }
            Report::Collected => self.collected(),
            Report::Asked { name, address, opens, answer } => {
                self.asked(name, address, opens, answer);
            }
            Report::LookedAtApi { name, peer, refused } => {
                self.heard(Input::LookedAtApi { name, peer, refused });
            }
            Report::Proven { update, proof } => self.happened(Input::Proven { update, proof }),
            Report::BackedUp(result) => self.backed_up(result),
            Report::Returned { update, peer } => {
                self.heard(Input::Returned { update, peer });
            }
            Report::ServesAgain { update, peer } => {
                self.heard(Input::ServesAgain { update, peer });
            }
        }
    }

    /// What tasks say while everything ends: the outcome of a flash must not be lost; a build that was
    /// stopped only because everything ends is no failure and starts again next time.
    pub(super) fn take_last_report(&mut self, report: Report) {
        match report {
            Report::FlashEnded { outcome: FlashOutcome::Failed { .. }, .. }
            | Report::BuildEnded { .. } => {}
            Report::FlashEnded { .. } | Report::AboutToComplete { .. } => self.take_report(report),
            Report::InstallEnded(status) => self.choose_installed(&status),
            Report::Configs(..)
            | Report::Located(..)
            | Report::OtherTools(_)
            | Report::DiskFreed
            | Report::InstallWent(_)
            | Report::SourcesChecked { .. }
            | Report::BuildWent { .. }
            | Report::ImagePrepared { .. }
            | Report::PrepareAgain(_)
            | Report::FlashWent { .. }
            | Report::Captured { .. }
            | Report::Answered(_)
            | Report::AskApi { .. }
            | Report::Asked { .. }
            | Report::LookedAtApi { .. }
            | Report::Proven { .. }
            | Report::History { .. }
            | Report::Activity { .. }
            | Report::DirectoryLookedAt { .. }
            | Report::Collected
            | Report::BackedUp(_)
            | Report::Returned { .. }
            | Report::ServesAgain { .. } => {}
        }
    }

    /// Starts ESPHome for an update.
    pub(super) fn start_build(&mut self, update: UpdateId, device: DeviceId) {
        if self.work.collecting {
            self.work.builds_after.push((update, device));
            return;
        }
        let state = self.conductor.state();
        let its_own = state.update(update).and_then(|update| state.directory_of(update));
        let compiler_cache = state.settings().compiler_cache.clone();
        let cleaning = state.update(update).map(|update| update.cleaning).unwrap_or_default();
        let (Some(esphome), Some(dir)) =
            (self.surroundings.esphome.clone(), its_own.map(PathBuf::from))
        else {
            let problem = Problem::new(
                "build.nowhere",
                "There is no ESPHome or no config directory to build with.",
            );
            let result = Err(problem.into());
            self.spawn(async move { Some(Report::BuildEnded { update, result }) });
            return;
        };
        let token = self.cancel.child_token();
        self.work.builds.insert(update, token.clone());
        let folder = self.work.build_folder(device.clone());
        let request = BuildRequest {
            esphome,
            config_dir: dir,
            device,
            update,
            state_dir: self.options.state_dir.clone(),
            marker: build_marker(&self.options.state_dir),
            compiler_cache,
            cleaning,
            limits: builder::LIMITS,
        };
        let reports = self.reports.clone();
        let problem =
            Problem::new("build.fault", "The build failed because of a fault in Wakeflash.")
                .with_help("Please report it, with the log of the application.");
        let fault = Report::BuildEnded { update, result: Err(problem.into()) };
        self.spawn_guarded(fault, async move {
            let result = run_build(request, folder, token, reports).await;
            match result {
                Ok(outcome) => Some(Report::BuildEnded { update, result: Ok(outcome) }),
                Err(BuildEnd::Failed(failure)) => {
                    Some(Report::BuildEnded { update, result: Err(failure) })
                }
                // Whoever cancelled it has settled its state, or the application is ending.
                Err(BuildEnd::Cancelled) => None,
            }
        });
    }

    fn build_went(&mut self, update: UpdateId, event: BuilderEvent) {
        let Some(device) = self
            .conductor
            .state()
            .update(update)
            .filter(|update| update.state.kind() == StateKind::Building)
            .map(|update| update.device.clone())
        else {
            return;
        };
        match event {
            BuilderEvent::Lines { first_line, lines } => {
                self.publisher.build_output(device, update, first_line, lines);
            }
            BuilderEvent::Progress(progress) => self.publisher.progress(device, update, progress),
        }
    }

    /// Deletes images that nothing needs any more, and old build logs, while nothing is built: a build that has just stored
    /// its image would lose it before its update has it.
    pub(super) fn collect_garbage(&mut self) {
        if !self.work.builds.is_empty() || self.conductor.owes() || self.work.collecting {
            return;
        }
        self.work.garbage = false;
        self.work.collecting = true;
        self.delete_outdated_esphome();
        let needed = self.conductor.state().needed_images().cloned().collect();
        let artifacts = self.artifacts.clone();
        let state_dir = self.options.state_dir.clone();
        let clean = move || {
            builder::delete_old_logs(&state_dir);
            builder::delete_left_reads(&state_dir);
            artifacts.retain(&needed)
        };
        self.spawn_guarded(Report::Collected, async move {
            match tokio::task::spawn_blocking(clean).await {
                Ok(Ok(())) => {}
                Ok(Err(problem)) => tracing::warn!("{problem}"),
                Err(error) => tracing::error!("deleting old images: {error}"),
            }
            Some(Report::Collected)
        });
    }

    fn collected(&mut self) {
        self.work.collecting = false;
        for (update, device) in std::mem::take(&mut self.work.builds_after) {
            let building = |update: &wakeflash_core::update::Update| {
                update.state.kind() == StateKind::Building
            };
            if self.conductor.state().update(update).is_some_and(building) {
                self.start_build(update, device);
            }
        }
    }
}

/// Does the work; when it panics, `fault` is the answer.
async fn guarded(
    fault: Report,
    work: impl Future<Output = Option<Report>> + Send + 'static,
) -> Option<Report> {
    // Dropped before its end, it takes the work with it.
    let mut alone = JoinSet::new();
    alone.spawn(work);
    match alone.join_next().await {
        Some(Ok(report)) => report,
        Some(Err(error)) => {
            tracing::error!("a task ended badly: {error}");
            error.is_panic().then_some(fault)
        }
        None => None,
    }
}

/// Builds when the folder is free, and passes on what is said meanwhile.
async fn run_build(
    request: BuildRequest,
    folder: Arc<Mutex<()>>,
    token: CancellationToken,
    reports: mpsc::Sender<Report>,
) -> Result<BuildOutcome, BuildEnd> {
    let update = request.update;
    let _alone_in_the_folder = tokio::select! {
        biased;
        // ESPHome isn't even started for a build that nobody wants any more.
        () = token.cancelled() => return Err(BuildEnd::Cancelled),
        alone = folder.lock() => alone,
    };
    let (events, mut received) = mpsc::channel(64);
    let build = builder::build(request, events, token);
    let forward = async {
        while let Some(event) = received.recv().await {
            if reports.send(Report::BuildWent { update, event }).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(build, forward).0
}

#[cfg(test)]
mod tests {
    use wakeflash_ota::FailureClass;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_flash_is_reported_and_leaves_its_outcome_open() {
        let update = UpdateId(7);
        let fault = || Report::FlashEnded { update, outcome: super::super::flash::defect() };
        let report = guarded(fault(), async { panic!("a defect") }).await;
        let Some(Report::FlashEnded { update: UpdateId(7), outcome }) = report else {
            panic!("another report");
        };
        let FlashOutcome::Failed { class, problem } = outcome else { panic!("{outcome:?}") };
        assert_eq!(class, FailureClass::OutcomeUnknown);
        assert_eq!(problem.code, "engine.defect");
        assert!(guarded(fault(), async { None }).await.is_none());
    }
}
