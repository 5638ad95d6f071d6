//! Work that takes time: it runs in tasks of the runtime's own, can be stopped, and reports back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::DeviceId;
use wakeflash_core::update::{Sha256, UpdateId};
use wakeflash_ota::PreparedImage;

use super::Runtime;
use super::challenge::OnClaim;
use super::report::Report;
use crate::esphome;

/// An image in memory, and its name in the artifact store: an update that is built again gets another one.
#[derive(Clone, Debug)]
pub(super) struct ReadyImage {
    pub(super) name: Sha256,
    pub(super) image: Arc<PreparedImage>,
}

/// Lets an image be sent, and brings it along if it is in memory.
pub(super) type Grant = oneshot::Sender<Option<ReadyImage>>;

/// The tasks that can be stopped, and what they share.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) builds: BTreeMap<UpdateId, CancellationToken>,
    pub(super) flashes: BTreeMap<UpdateId, CancellationToken>,
    /// Flashes whose devices are held, until they may send.
    pub(super) held: BTreeMap<UpdateId, Grant>,
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
    pub(super) builds_after: BTreeMap<UpdateId, DeviceId>,
}

impl Work {
    /// Held by whoever lets ESPHome write into a device's build folder.
    pub(super) fn build_folder(&mut self, device: DeviceId) -> Arc<Mutex<()>> {
        Arc::clone(self.building.entry(device).or_default())
    }

    pub(super) fn stop_build(&mut self, update: UpdateId) {
        self.builds_after.remove(&update);
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

#[cfg(test)]
mod tests {
    use wakeflash_core::dispatch::FlashOutcome;
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
