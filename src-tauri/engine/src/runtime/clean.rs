//! Cleaning the build files of a device of which nothing is being built.

use std::path::PathBuf;

use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;

use super::Runtime;
use crate::builder::{self, CleanRequest};
use crate::handle::ReplyTo;

impl Runtime {
    pub(super) fn clean_build(&mut self, device: DeviceId, reply: ReplyTo<()>) {
        // Whoever asked may have gone.
        let refuse = |reply: ReplyTo<()>, problem| drop(reply.send(Err(problem)));
        let state = self.conductor.state();
        if let Err(problem) = state.has_file(&device) {
            return refuse(reply, problem);
        }
        let Some(config_dir) = state.settings().config_dir.as_deref().map(PathBuf::from) else {
            return refuse(reply, folder_busy(&device));
        };
        let Ok(alone) = self.work.build_folder(device.clone()).try_lock_owned() else {
            return refuse(reply, folder_busy(&device));
        };
        let request = CleanRequest {
            esphome: self.surroundings.esphome.clone(),
            config_dir,
            device,
            marker: self.marker.clone(),
        };
        let cancel = self.cancel.child_token();
        self.spawn(async move {
            let cleaned = builder::clean(request, cancel).await;
            drop(alone);
            drop(reply.send(cleaned));
            None
        });
    }
}

pub(crate) fn folder_busy(device: &DeviceId) -> Problem {
    let message = format!("ESPHome is at work in the build folder of {device}.");
    Problem::new("build.folder_busy", message)
        .with_help("Wait until that has ended, or cancel its update, then clean again.")
}
