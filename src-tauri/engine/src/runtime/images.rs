//! Images of waiting updates, read, checked and compressed before their devices wake.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wakeflash_core::device::DeviceId;
use wakeflash_core::dispatch::Input;
use wakeflash_core::error::Problem;
use wakeflash_core::update::{Sha256, StateKind, UpdateId};
use wakeflash_core::view::BuiltImage;
use wakeflash_ota::{Compression, PreparedImage};

use super::report::Report;
use super::work::ReadyImage;
use super::{Runtime, reading};
use crate::artifacts::{Artifacts, LoadError};
use crate::handle::ReplyTo;

/// How many images are kept ready in memory; the others are read when their device is there.
const IMAGES_READY: usize = 16;

/// When an image is read again that could not be read.
const READ_AGAIN: Duration = Duration::from_secs(30);

impl Runtime {
    /// Reads, checks and compresses the image of a waiting update, so that nothing of it has to be done when
    /// the device is awake.
    pub(super) fn prepare_image(&mut self, update: UpdateId) {
        let name = self.image_of(update);
        if self.work.images.get(&update).map(|ready| &ready.name) != name {
            // It is of an earlier build.
            self.work.images.remove(&update);
        }
        if !self.work.to_prepare.contains(&update) {
            self.work.to_prepare.push_back(update);
        }
        self.prepare_next_image();
    }

    /// Starts with the next image, unless one is under way: each takes a core and several times its size.
    pub(super) fn prepare_next_image(&mut self) {
        while self.work.preparing.is_none() && self.work.images.len() < IMAGES_READY {
            let Some(id) = self.work.to_prepare.pop_front() else { return };
            let waits = self
                .conductor
                .state()
                .update(id)
                .is_some_and(|update| update.state.kind() == StateKind::Waiting);
            let Some(name) = self.image_of(id).filter(|_| waits).cloned() else { continue };
            if self.work.images.contains_key(&id) {
                continue;
            }
            self.work.preparing = Some(id);
            let artifacts = self.artifacts.clone();
            self.spawn(async move {
                let result = load_image(artifacts, name.clone()).await;
                Some(Report::ImagePrepared { update: id, name, result })
            });
        }
    }

    /// An update that isn't about to be flashed needs no image in memory; another one gets the room.
    pub(super) fn let_go_of_image(&mut self, update: UpdateId) {
        if self.work.images.remove(&update).is_some() {
            self.prepare_next_image();
        }
    }

    /// Keeps an image that is ready, when it is still the one to deliver.
    pub(super) fn image_prepared(
        &mut self,
        update: UpdateId,
        name: Sha256,
        result: Result<Arc<PreparedImage>, LoadError>,
    ) {
        self.work.preparing = None;
        if self.image_of(update) == Some(&name) {
            match result {
                Ok(image) => {
                    let wire_size = image.wire_size(Compression::Deflate);
                    self.work.images.insert(update, ReadyImage { name, image });
                    let wire_size = u32::try_from(wire_size).unwrap_or(u32::MAX);
                    self.happened(Input::ImageReady { update, wire_size });
                }
                Err(LoadError::Lost(problem)) => {
                    self.happened(Input::ImageLost { update, problem });
                }
                Err(LoadError::Unreadable(problem)) => {
                    tracing::warn!("the image of update {update} is read again later: {problem}");
                    self.prepare_later(update);
                }
            }
        }
        self.prepare_next_image();
    }

    fn prepare_later(&mut self, update: UpdateId) {
        let cancel = self.cancel.child_token();
        self.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(READ_AGAIN) => Some(Report::PrepareAgain(update)),
                () = cancel.cancelled() => None,
            }
        });
    }

    /// Says where the image is of what is under way for a device, or is installed on it.
    pub(super) fn built_image(&mut self, device: &DeviceId, reply: ReplyTo<BuiltImage>) {
        let Some((build, _)) = self.conductor.state().last_build(device) else {
            let problem = Problem::new("update.none", format!("{device} never had an update."));
            // Whoever asked may have gone.
            return drop(reply.send(Err(problem)));
        };
        let (image, name) = (build.image.clone(), format!("{}.ota.bin", build.name));
        let artifacts = self.artifacts.clone();
        self.spawn(async move {
            let found = reading::read(move || artifacts.checked_file(&image)).await;
            let found = found.and_then(|checked| checked.map_err(LoadError::into_problem));
            let shown = |path: PathBuf| path.to_string_lossy().into_owned();
            drop(reply.send(found.map(|path| BuiltImage { path: shown(path), name })));
            None
        });
    }

    /// The image that an active update delivers now.
    pub(super) fn image_of(&self, update: UpdateId) -> Option<&Sha256> {
        let update = self.conductor.state().update(update)?;
        let delivery = update.state.delivery().filter(|_| !update.state.kind().is_final())?;
        Some(&delivery.build.image)
    }
}

/// Reads an image, checks that it is what was built, and compresses it.
pub(super) async fn load_image(
    artifacts: Artifacts,
    image: Sha256,
) -> Result<Arc<PreparedImage>, LoadError> {
    let unusable = |error: String| {
        LoadError::Lost(
            Problem::new(
                "artifact.unusable",
                format!("The built firmware can't be used: {error}."),
            )
            .with_help("Install again to build it anew."),
        )
    };
    tokio::task::spawn_blocking(move || {
        let bytes = artifacts.load(&image)?;
        PreparedImage::new(bytes.to_vec())
            .map(Arc::new)
            .map_err(|error| unusable(error.to_string()))
    })
    .await
    .map_err(|error| unusable(error.to_string()))?
}
