//! One flash by a web server: everything that the other way does beside the handshake and in the transfer comes
//! before the child process here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use wakeflash_core::dispatch::FlashOutcome;
use wakeflash_core::error::Problem;
use wakeflash_core::gate::Session;
use wakeflash_ota::FailureClass;

use super::flash::{Job, Pass, TOO_MANY, lost_image, nobody_waits};
use crate::flasher::{UPLOAD_LIMITS, UploadEnd, UploadRequest, upload};

/// How long to wait for the turn of an image. Nothing holds the device meanwhile, and what the gate knows
/// grows old.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// What an upload needs beside the rest.
pub(super) struct Uploader {
    pub(super) esphome: Option<PathBuf>,
    pub(super) marker: String,
    /// ESPHome writes into the device's build folder during an upload too.
    pub(super) folder: Arc<Mutex<()>>,
}

impl Job {
    /// Flashes by the web server; `None` when it was cancelled, since whoever did that has settled the state.
    pub(super) async fn run_upload(&self, cancel: CancellationToken) -> Option<FlashOutcome> {
        let prepared = tokio::select! {
            biased;
            () = cancel.cancelled() => return None,
            prepared = self.prepare_upload() => prepared,
        };
        let (request, _alone_in_the_folder) = match prepared {
            Ok(prepared) => prepared,
            Err(outcome) => return Some(outcome),
        };
        let (progress, shown) = watch::channel(None);
        let upload = upload(&request, &progress, cancel);
        let ended = self.while_showing(upload, shown, Clone::clone).await;
        tracing::info!("update {} of {}: {ended:?}", self.update, self.device);
        match ended {
            Ok(()) => Some(FlashOutcome::Acknowledged),
            Err(UploadEnd::Cancelled) => None,
            Err(UploadEnd::Failed(failure)) => {
                let (class, problem) = (failure.class, failure.problem);
                Some(FlashOutcome::Failed { class, problem })
            }
        }
    }

    /// Checks the image and the device, and records last that the image may soon be complete there.
    async fn prepare_upload(
        &self,
    ) -> Result<(UploadRequest, tokio::sync::OwnedMutexGuard<()>), FlashOutcome> {
        let failed = |class, problem| FlashOutcome::Failed { class, problem };
        let nowhere = || {
            let problem = Problem::new(
                "web_server.nowhere",
                "There is no ESPHome or no config directory to upload with.",
            );
            failed(FailureClass::NextWake, problem.with_help("Choose them in the settings."))
        };
        let esphome = self.uploader.esphome.clone().ok_or_else(nowhere)?;
        let config_dir = self.config_dir.clone().ok_or_else(nowhere)?;
        let (artifacts, name) = (self.artifacts.clone(), self.delivery.build.image.clone());
        let image = tokio::task::spawn_blocking(move || artifacts.checked_file(&name))
            .await
            .map_err(|error| {
                let problem = Problem::new("engine.defect", format!("A defect: {error}."));
                failed(FailureClass::RetryNow, problem)
            })?
            .map_err(lost_image)?;
        // A build that is being stopped may still have the folder; what the gate finds out must not grow old.
        let folder = Arc::clone(&self.uploader.folder).lock_owned().await;
        match self.gate(std::future::ready(Session::ProvesNothing), nobody_waits()).await? {
            Pass::Open => {}
            Pass::AlreadyRunning => return Err(FlashOutcome::AlreadyRunning),
        }
        if self.turn_within(TURN_PATIENCE).await.is_none() {
            let problem = Problem::new("gate.refused", format!("Nothing was sent: {TOO_MANY}."));
            return Err(failed(FailureClass::RetryNow, problem));
        }
        self.record_completion(false).await.map_err(|problem| {
            let message = format!("Nothing was sent: {}", problem.message);
            failed(FailureClass::RetryNow, Problem::new("flash.not_recorded", message))
        })?;
        let request = UploadRequest {
            esphome,
            config_dir,
            device: self.device.clone(),
            peer: self.peer,
            image,
            marker: self.uploader.marker.clone(),
            limits: UPLOAD_LIMITS,
        };
        Ok((request, folder))
    }
}
