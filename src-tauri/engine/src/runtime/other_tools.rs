//! Other tools that are about to update the same devices: ESPHome Device Builder has a queue of its own.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;
use wakeflash_core::device::DeviceId;
use wakeflash_core::dispatch::queued_in_device_builder;

use super::Runtime;
use super::report::Report;
use crate::configs;

/// How often to look while an update is under way.
pub(super) const LOOK_PERIOD: Duration = Duration::from_secs(10);

/// Where Device Builder keeps its queue, in ESPHome's data directory.
const DEVICE_BUILDER: &str = ".device-builder-devices.json";

/// What is known about them.
#[derive(Debug, Default)]
pub(super) struct OtherTools {
    queued: BTreeSet<DeviceId>,
    /// A look is under way; on a share that doesn't answer it may never end.
    looking: bool,
}

impl Runtime {
    /// Looks whether another tool is about to update a device that has an update here.
    pub(super) fn look_for_other_tools(&mut self) {
        let active = self.conductor.state().updates().any(|update| !update.state.kind().is_final());
        let dir = self.conductor.state().settings().config_dir.clone().map(PathBuf::from);
        let Some(dir) = dir.filter(|_| active) else {
            self.other_tools.queued.clear();
            self.show_other_tools();
            return;
        };
        if std::mem::replace(&mut self.other_tools.looking, true) {
            return;
        }
        let cancel = self.cancel.child_token();
        let path = configs::data_dir(&dir).join(DEVICE_BUILDER);
        self.spawn(async move {
            let read = spawn_blocking(move || match std::fs::read(&path) {
                Ok(bytes) => queued_in_device_builder(&bytes),
                Err(error) => {
                    if error.kind() != ErrorKind::NotFound {
                        tracing::debug!("{} can't be read: {error}", path.display());
                    }
                    BTreeSet::new()
                }
            });
            tokio::select! {
                queued = read => Some(Report::OtherTools(queued.unwrap_or_default())),
                () = cancel.cancelled() => None,
            }
        });
    }

    pub(super) fn other_tools_found(&mut self, queued: BTreeSet<DeviceId>) {
        self.other_tools.looking = false;
        self.other_tools.queued = queued;
        self.show_other_tools();
    }

    /// Says what is known of them in the status.
    pub(super) fn show_other_tools(&mut self) {
        let problems = self.conductor.state().other_tools(&self.other_tools.queued);
        self.publisher.change_status(|status| status.other_tools = problems);
    }
}
