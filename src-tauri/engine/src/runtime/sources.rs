//! Comparing sources with what was built from them. The files may lie on a share that doesn't answer: what
//! reads them may hang, and neither the loop nor a device that is awake may wait for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use wakeflash_core::device::DeviceId;
use wakeflash_core::dispatch::Input;
use wakeflash_core::error::Problem;
use wakeflash_core::update::{Sha256, SourceChange, SourceFile, UpdateId};
use wakeflash_core::view::SourceDiff;

use super::Runtime;
use super::report::Report;
use crate::configs::{self, FollowedSources, KeptSources};
use crate::handle::ReplyTo;

/// How long a device that is awake may be kept waiting for the comparison.
const COMPARE_DEADLINE: Duration = Duration::from_secs(2);

/// How long it may take to show what has changed.
const SHOW_DEADLINE: Duration = Duration::from_secs(20);

/// How many comparisons may hang at once: a thread that waits for a share can't be ended.
static COMPARISONS: Semaphore = Semaphore::const_new(8);

impl Runtime {
    /// Has the sources followed of what waits for a device, and of what runs on it.
    pub(super) fn follow_sources(&self, device: &DeviceId) {
        let [delivered, installed] = self.conductor.state().followed_sources(device);
        let same = |followed: &Option<Arc<Vec<SourceFile>>>, now: Option<&[SourceFile]>| {
            followed.as_deref().map(Vec::as_slice) == now
        };
        self.surroundings.followed.send_if_modified(|all| {
            let before = all.get(device).cloned().unwrap_or_default();
            if same(&before.delivered, delivered) && same(&before.installed, installed) {
                return false;
            }
            let kept = |before: Option<Arc<Vec<SourceFile>>>, now: Option<&[SourceFile]>| {
                before
                    .filter(|then| Some(then.as_slice()) == now)
                    .or_else(|| now.map(|now| Arc::new(now.to_vec())))
            };
            let delivered = kept(before.delivered, delivered);
            let installed = kept(before.installed, installed);
            all.insert(device.clone(), FollowedSources { delivered, installed });
            true
        });
    }

    /// Has an update's sources compared with what it was built from, after those that asked before.
    pub(super) fn check_sources(&mut self, update: UpdateId) {
        self.work.to_check.insert(update);
        self.check_next_sources();
    }

    /// Starts the next comparison, unless one is under way. It may take as long as the share takes: nobody
    /// waits for it, and a second one would only hang beside it.
    fn check_next_sources(&mut self) {
        while self.work.checking.is_none() {
            let Some(update) = self.work.to_check.pop_first() else { return };
            let state = self.conductor.state();
            let Some((device, sources, dir)) = state.update(update).and_then(|update| {
                let dir = PathBuf::from(state.directory_of(update)?);
                let sources = update.state.delivery()?.build.sources.clone();
                Some((update.device.clone(), sources, dir))
            }) else {
                continue;
            };
            let Some(image) = self.image_of(update).cloned() else { continue };
            self.work.checking = Some(update);
            let (cancel, asked) = (self.cancel.child_token(), dir.clone());
            self.spawn(async move {
                let shown = device.clone();
                let work =
                    spawn_blocking(move || configs::changed_sources(&dir, &device, &sources));
                let result = tokio::select! {
                    result = work => result.unwrap_or_else(|error| Err(incomparable(&error))),
                    () = cancel.cancelled() => return None,
                };
                let changes = result.inspect_err(|problem| {
                    // The directory is gone as a whole. That says nothing about the sources; the status of
                    // the directory says it to the user, and the image is an immutable copy.
                    tracing::warn!("the sources of {shown} can't be compared: {problem}");
                });
                Some(Report::SourcesChecked { update, image, dir: asked, changes: changes.ok() })
            });
        }
    }

    /// Takes in a comparison, when the update still delivers what was compared, and its sources still lie there.
    pub(super) fn sources_checked(
        &mut self,
        update: UpdateId,
        image: &Sha256,
        dir: &Path,
        changes: Option<Vec<SourceChange>>,
    ) {
        self.work.checking = None;
        let state = self.conductor.state();
        let its_own = state.update(update).and_then(|update| state.directory_of(update));
        if let Some(changes) = changes
            && self.image_of(update) == Some(image)
            && its_own.map(Path::new) == Some(dir)
        {
            self.happened(Input::SourcesChecked { update, changes });
        }
        self.check_next_sources();
    }

    /// Shows what has changed in the sources of what waits for a device, or runs on it.
    pub(super) fn source_changes(&mut self, device: &DeviceId, reply: ReplyTo<SourceDiff>) {
        let Some((build, Some(dir))) = self.conductor.state().last_build(device) else {
            let problem = Problem::new("update.none", format!("{device} never had an update."));
            // Whoever asked may have gone.
            return drop(reply.send(Err(problem)));
        };
        let (image, sources, dir) =
            (build.image.clone(), build.sources.clone(), PathBuf::from(dir));
        let (artifacts, device) = (self.artifacts.clone(), device.clone());
        self.spawn(async move {
            let work = move || {
                let kept = artifacts.sources(&image).ok().flatten();
                let kept = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
                kept.unwrap_or_else(KeptSources::default).diff(&dir, &device, &sources)
            };
            drop(reply.send(compared(SHOW_DEADLINE, work).await));
            None
        });
    }
}

/// Compares the sources of a build with what they are now, for a device that is awake.
pub(super) async fn compare_sources(
    dir: PathBuf,
    device: DeviceId,
    sources: Vec<SourceFile>,
) -> Result<Vec<SourceChange>, Problem> {
    let work = move || configs::changed_sources(&dir, &device, &sources);
    compared(COMPARE_DEADLINE, work).await
}

/// Does work on files that may never end.
async fn compared<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let compared = async {
        let permit = COMPARISONS.acquire().await.map_err(|error| incomparable(&error))?;
        let work = spawn_blocking(move || {
            let _held_while_it_hangs = permit;
            work()
        });
        work.await.map_err(|error| incomparable(&error))?
    };
    match tokio::time::timeout(deadline, compared).await {
        Ok(compared) => compared,
        Err(_) => Err(Problem::new(
            "sources.silent",
            "The sources can't be compared: the config directory doesn't answer.",
        )
        .with_help("Check the drive or the network share that it lies on.")),
    }
}

fn incomparable(error: &dyn std::error::Error) -> Problem {
    Problem::new("engine.defect", format!("The sources can't be compared: {error}."))
}
