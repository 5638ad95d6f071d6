//! Builds as tasks: started, stopped, and alone in their folders and with the images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::update::{StateKind, Update, UpdateId};

use super::Runtime;
use super::report::Report;
use crate::builder::{self, BuildEnd, BuildOutcome, BuildRequest, BuilderEvent};

/// Ends builds that a killed application left running: they would write into the same build folders.
pub(super) async fn end_leftover_builds(state_dir: &Path) {
    let marker = build_marker(state_dir);
    match tokio::task::spawn_blocking(move || builder::end_leftovers(&marker)).await {
        Ok(0) => {}
        Ok(count) => tracing::warn!("ended {count} processes of a build that was left running"),
        Err(error) => tracing::error!("looking for left-over builds: {error}"),
    }
}

pub(super) fn build_marker(state_dir: &Path) -> String {
    state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned()).to_string_lossy().into_owned()
}

impl Runtime {
    /// Starts ESPHome for an update.
    pub(super) fn start_build(&mut self, update: UpdateId, device: DeviceId) {
        if self.work.collecting {
            self.work.builds_after.insert(update, device);
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
            marker: self.marker.clone(),
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

    /// The device of an update that is in this state.
    pub(super) fn device_of(&self, update: UpdateId, state: StateKind) -> Option<DeviceId> {
        let update = self.conductor.state().update(update)?;
        (update.state.kind() == state).then(|| update.device.clone())
    }

    pub(super) fn build_went(&mut self, update: UpdateId, event: BuilderEvent) {
        let Some(device) = self.device_of(update, StateKind::Building) else { return };
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

    pub(super) fn collected(&mut self) {
        self.work.collecting = false;
        for (update, device) in std::mem::take(&mut self.work.builds_after) {
            let building = |update: &Update| update.state.kind() == StateKind::Building;
            if self.conductor.state().update(update).is_some_and(building) {
                self.start_build(update, device);
            }
        }
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
