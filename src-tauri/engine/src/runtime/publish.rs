//! What the window and the headless host get to see: the last published state, and events for what changed.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::broadcast;
use wakeflash_core::device::DeviceId;
use wakeflash_core::dispatch::Dispatch;
use wakeflash_core::error::Problem;
use wakeflash_core::settings::Settings;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::UpdateId;
use wakeflash_core::view::{
    ConfigDirStatus, Counts, DeviceView, Envelope, EsphomeStatus, Event, Progress, Snapshot, Status,
};

use crate::store;

/// The published state.
#[derive(Debug)]
pub(super) struct Publisher {
    events: broadcast::Sender<Envelope>,
    revision: u32,
    rows: BTreeMap<DeviceId, DeviceView>,
    settings: Settings,
    status: Status,
    progress: BTreeMap<UpdateId, Progress>,
}

impl Publisher {
    pub(super) fn new(events: broadcast::Sender<Envelope>, settings: Settings) -> Self {
        let status = Status {
            config_dir: ConfigDirStatus::Unset,
            esphome: EsphomeStatus::Searching,
            store: None,
            store_warnings: Vec::new(),
            network: None,
            other_tools: Vec::new(),
            paused: settings.paused,
            counts: Counts::default(),
            place: None,
        };
        Self {
            events,
            revision: 0,
            rows: BTreeMap::new(),
            settings,
            status,
            progress: BTreeMap::new(),
        }
    }

    fn publish(&mut self, event: Event) {
        // It wraps after four thousand million events; a client sees that as a gap and asks again.
        self.revision = self.revision.wrapping_add(1);
        // Nobody listening is no error: a window that opens later asks for a snapshot.
        let _ = self.events.send(Envelope { revision: self.revision, event });
    }

    /// Changes the status and tells it, if it is different.
    pub(super) fn change_status(&mut self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status.clone();
        change(&mut status);
        if status != self.status {
            self.status = status.clone();
            self.publish(Event::Status { status: Box::new(status) });
        }
    }

    /// Tells what is to be known about what is kept, in the place of what was told of the same kind.
    pub(super) fn warn_of_store(&mut self, problem: Problem) {
        self.change_status(|status| {
            status.store_warnings.retain(|told| told.code != problem.code);
            status.store_warnings.push(problem);
        });
    }

    /// Tells what is different now in these rows, in the counts and in the settings.
    pub(super) fn refresh(
        &mut self,
        dispatch: &Dispatch,
        touched: &BTreeSet<DeviceId>,
        now: Timestamp,
    ) {
        for id in touched {
            match dispatch.row(id, now) {
                Some(mut row) => {
                    if let Some(update) = &mut row.update {
                        update.progress = self.progress.get(&update.id).cloned();
                    }
                    if self.rows.get(id) != Some(&row) {
                        self.rows.insert(id.clone(), row.clone());
                        self.publish(Event::Device { device: Box::new(row) });
                    }
                }
                None if self.rows.remove(id).is_some() => {
                    self.publish(Event::DeviceRemoved { id: id.clone() });
                }
                None => {}
            }
        }
        if self.settings != *dispatch.settings() {
            self.settings = dispatch.settings().clone();
            let settings = self.settings.clone();
            let paused = settings.paused;
            self.publish(Event::Settings { settings });
            self.change_status(|status| {
                status.paused = paused;
                // Whoever resumes has seen it.
                status
                    .store_warnings
                    .retain(|told| paused || !store::SET_BACK.contains(&told.code.as_str()));
            });
        }
        if !touched.is_empty() {
            let counts = Counts::of(self.rows.values());
            self.change_status(|status| status.counts = counts);
        }
    }

    pub(super) fn progress_of(&self, update: UpdateId) -> Option<&Progress> {
        self.progress.get(&update)
    }

    /// Tells how far a build or a transfer is.
    pub(super) fn progress(&mut self, device: DeviceId, update: UpdateId, progress: Progress) {
        if self.progress.get(&update) == Some(&progress) {
            return;
        }
        self.progress.insert(update, progress.clone());
        if let Some(shown) = self.rows.get_mut(&device).and_then(|row| row.update.as_mut())
            && shown.id == update
        {
            shown.progress = Some(progress.clone());
        }
        self.publish(Event::Progress { device, update, progress });
    }

    /// Forgets how far something was that has ended.
    pub(super) fn end_progress(&mut self, update: UpdateId) {
        self.progress.remove(&update);
    }

    pub(super) fn build_output(
        &mut self,
        device: DeviceId,
        update: UpdateId,
        first_line: u32,
        lines: Vec<String>,
    ) {
        self.publish(Event::BuildOutput { device, update, first_line, lines });
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            revision: self.revision,
            devices: self.rows.values().cloned().collect(),
            status: self.status.clone(),
            settings: self.settings.clone(),
        }
    }
}
