//! The state as it is shown.

use std::collections::BTreeSet;

use crate::device::{DeviceId, DeviceMemory};
use crate::dispatch::update::queued::is_due;
use crate::time::Timestamp;
use crate::update::{Acknowledgement, Cleaning, RollbackWatch, StateKind, Update, UpdateState};
use crate::view::{
    Action, ActivityRecord, DeviceView, PreviousBuild, RivalView, UpdateRecord, UpdateStateView,
    UpdateView, is_older,
};

use super::device::Liveness;
use super::{Builder, Dispatch};

impl Dispatch {
    /// The identifiers of all rows.
    #[must_use]
    pub fn rows(&self) -> Vec<DeviceId> {
        let configured = self.configs.keys().cloned();
        let orphans = self
            .updates
            .values()
            .filter(|update| {
                !update.state.kind().is_final() && !self.configs.contains_key(&update.device)
            })
            .map(|update| update.device.clone());
        let known: BTreeSet<&str> = self.configured_names().collect();
        let discovered = self
            .devices
            .iter()
            .filter(|(name, heard)| {
                heard.liveness != Liveness::Unheard && !known.contains(name.as_str())
            })
            .map(|(name, _)| DeviceId::discovered(name));
        let remembered = self.remembered().map(|(id, _)| id.clone());
        let mut rows: Vec<DeviceId> =
            configured.chain(orphans).chain(remembered).chain(discovered).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// The names of all devices that have a row of their own by a configuration or an update.
    fn configured_names(&self) -> impl Iterator<Item = &str> {
        let configured = self.configs.values().map(|file| self.name_of(file));
        let orphans = self.updates.values().filter(|update| {
            !update.state.kind().is_final() && !self.configs.contains_key(&update.device)
        });
        let remembered = self.remembered().map(|(_, name)| name);
        configured.chain(orphans.map(|update| update.name.as_str())).chain(remembered)
    }

    /// A row as it looks now; `None` when there is none any more.
    #[must_use]
    pub fn row(&self, id: &DeviceId, now: Timestamp) -> Option<DeviceView> {
        let mut row = self.bare_row(id, now)?;
        row.update_available = row.modified || self.is_outdated(&row);
        Some(row)
    }

    /// Whether the ESPHome that is here builds something newer than what runs on a configured device.
    fn is_outdated(&self, row: &DeviceView) -> bool {
        match (&self.builder, &row.deployed_version, &row.file) {
            (Some(Builder::Ready { version }), Some(deployed), Some(_)) => {
                is_older(deployed, version)
            }
            (Some(Builder::Ready { .. } | Builder::Missing | Builder::Coming) | None, _, _) => {
                false
            }
        }
    }

    fn bare_row(&self, id: &DeviceId, now: Timestamp) -> Option<DeviceView> {
        if let Some(file) = self.configs.get(id) {
            return Some(match &file.content {
                Ok(summary) => {
                    let mut row = self.row_of(id, self.name_of(file), now);
                    row.modified =
                        self.memory(&row.name).is_some_and(|memory| self.is_modified(file, memory));
                    row.friendly_name = summary.friendly_name.clone().or(row.friendly_name);
                    row.area.clone_from(&summary.area);
                    row.platform = summary.platform.clone().or(row.platform);
                    if row.addresses.is_empty() {
                        row.addresses.extend(summary.address.clone());
                    }
                    row.problem = self
                        .same_name(file)
                        .or_else(|| self.same_address(file))
                        .or_else(|| summary.doubt.clone());
                    row
                }
                Err(problem) => {
                    let mut row = self.row_of(id, self.name_of(file), now);
                    row.problem = Some(problem.clone());
                    if row.primary == Action::Install || row.primary == Action::Retry {
                        row.primary = Action::None;
                        row.secondary.retain(|action| !CLEAN.contains(action));
                    }
                    row
                }
            });
        }
        if let Some(update) = self.active(id) {
            let mut row = self.row_of(id, &update.name, now);
            if row.primary == Action::Rebuild {
                // There is nothing left to build it from.
                (row.primary, row.secondary) = (Action::Cancel, vec![Action::FlashAnyway]);
            }
            return Some(row);
        }
        if let Some(name) = self.remembered_name(id) {
            let mut row = self.row_of(id, name, now);
            row.problem = self.directory_problem();
            // There is nothing to build it from.
            row.primary = Action::None;
            return Some(row);
        }
        let name = id.discovered_name()?;
        let heard = self.devices.get(name)?;
        if heard.liveness == Liveness::Unheard || self.configured_names().any(|known| known == name)
        {
            return None;
        }
        let mut row = self.row_of(id, name, now);
        row.file = None;
        row.primary = Action::None;
        Some(row)
    }

    fn row_of(&self, id: &DeviceId, name: &str, now: Timestamp) -> DeviceView {
        let memory = self.memory(name).cloned().unwrap_or_default();
        let (mac, config_hash) = (memory.mac(), memory.config_hash());
        let version = memory.version().map(str::to_owned);
        let addresses = memory.addresses().map(|address| address.to_string()).collect();
        let trust = self.trust(name);
        let rival = memory.rival.as_ref().map(RivalView::of);
        let previous_build = memory.previous_build().map(PreviousBuild::of);
        let records_log = memory.record_log.is_some();
        let DeviceMemory { last_seen, friendly_name, platform, user_address, labels, .. } = memory;
        let update = self.shown_update(id);
        let presence = self.presence(id, name, now);
        let (mut primary, mut secondary) = actions(update.map(|update| update.state.kind()));
        if primary == Action::Rebuild && update.is_some_and(|update| !self.is_here(update)) {
            (primary, secondary) = (Action::Cancel, vec![Action::FlashAnyway]);
        }
        let again = update.filter(|update| update.state.kind() == StateKind::Queued);
        if again.is_some_and(|update| self.is_here(update) && !is_due(update, self.last_input_at)) {
            (primary, secondary) = (Action::Retry, vec![Action::Cancel]);
        }
        if let Some(clean) = update.and_then(clean_action) {
            secondary.insert(0, clean);
        }
        DeviceView {
            id: id.clone(),
            name: name.to_owned(),
            friendly_name,
            area: None,
            labels: labels.into_iter().collect(),
            file: Some(id.as_str().to_owned()),
            problem: None,
            platform,
            presence,
            crash_loop: self.crash_loop(name, presence),
            last_seen,
            addresses,
            mac,
            trust,
            rival,
            has_key: self.has_key(id, name),
            deployed_version: version,
            deployed_hash: config_hash,
            deep_sleep: self.sleeps(id, name),
            wake: self.wake_view(id, name, now),
            modified: false,
            update_available: false,
            user_address,
            previous_build,
            records_log,
            update: update.map(|update| self.update_view(update)),
            primary,
            secondary,
        }
    }

    /// The last update of a device of this directory.
    pub(super) fn last(&self, id: &DeviceId) -> Option<&Update> {
        self.updates.values().rev().find(|update| update.device == *id && self.is_here(update))
    }

    /// The active update of a device, or else its last one, unless the user has put that aside.
    #[must_use]
    pub fn shown_update(&self, id: &DeviceId) -> Option<&Update> {
        self.active(id).or_else(|| self.last(id).filter(|update| !update.state.is_dismissed()))
    }

    /// An update as it is shown; how far it is, is known to whoever does the work.
    #[must_use]
    pub fn update_view(&self, update: &Update) -> UpdateView {
        let delivery = update.state.delivery();
        let is_final = update.state.kind().is_final();
        UpdateView {
            id: update.id,
            requested_at: update.requested_at,
            state: self.state_view(update),
            progress: None,
            attempts: delivery.map_or(0, |delivery| delivery.attempts),
            last_attempt: delivery.and_then(|delivery| delivery.last_attempt.clone()),
            rests_until: self.rest_shown(update),
            warning: self
                .of_another_directory(update)
                .or_else(|| self.breaks_off(update))
                .or_else(|| self.not_returned(update))
                .or_else(|| delivery.filter(|_| !is_final)?.warning.clone())
                .or_else(|| self.goes_back(update).filter(|_| !is_final))
                .or_else(|| self.waits_for_directory(update))
                .or_else(|| self.never_seen(update))
                .or_else(|| self.said_elsewhere(update)),
            encrypted: delivery.and_then(|delivery| delivery.encrypted),
            wanted_hash: delivery.and_then(|delivery| delivery.build.config_hash),
            wanted_version: delivery.and_then(|delivery| delivery.build.esphome_version.clone()),
        }
    }

    fn state_view(&self, update: &Update) -> UpdateStateView {
        match &update.state {
            UpdateState::Queued => {
                let again = self.build_again_view(update);
                UpdateStateView::Queued { ahead: self.builds_ahead_of(update.id), again }
            }
            UpdateState::Building { started_at } => {
                UpdateStateView::Building { since: *started_at }
            }
            UpdateState::Waiting { delivery, .. } => UpdateStateView::Waiting {
                since: delivery.build.built_at,
                may_have_arrived: update.may_have_arrived(),
            },
            UpdateState::Held { changes, .. } => UpdateStateView::Held {
                changes: changes.clone(),
                may_have_arrived: update.may_have_arrived(),
            },
            UpdateState::Flashing { started_at, peer, .. } => {
                UpdateStateView::Flashing { since: *started_at, address: peer.to_string() }
            }
            UpdateState::Confirming { since, acknowledgement, .. } => UpdateStateView::Confirming {
                since: *since,
                acknowledged: *acknowledgement == Acknowledgement::Final,
            },
            UpdateState::Installed { at, how, watch, .. } => UpdateStateView::Installed {
                at: *at,
                how: *how,
                watched: *watch == RollbackWatch::Watched,
            },
            UpdateState::Failed { at, problem, rolled_back, may_have_arrived, .. } => {
                UpdateStateView::Failed {
                    at: *at,
                    problem: problem.clone(),
                    rolled_back: *rolled_back,
                    may_have_arrived: *may_have_arrived,
                }
            }
            UpdateState::Cancelled { at, may_have_arrived } => {
                UpdateStateView::Cancelled { at: *at, may_have_arrived: *may_have_arrived }
            }
            UpdateState::Superseded { at, .. } => UpdateStateView::Superseded { at: *at },
        }
    }

    /// An update as its device's history shows it.
    #[must_use]
    pub fn record(&self, update: &Update) -> UpdateRecord {
        UpdateRecord::of(update, self.state_view(update))
    }

    /// An update that has ended, as it is shown among those of all devices.
    #[must_use]
    pub fn activity_record(&self, update: &Update) -> ActivityRecord {
        ActivityRecord::of(update, self.state_view(update))
    }
}

/// Both ways of building from nothing.
const CLEAN: [Action; 2] = [Action::CleanAndRetry, Action::ResetAndRetry];

/// Problems of a build that files of an earlier build can be the cause of.
const OLD_FILES_MAY_BE_WHY: [&str; 10] = [
    "build.compiler_error",
    "build.failed",
    "build.incomplete",
    "build.killed",
    "build.linker_error",
    "build.not_cleaned",
    "build.timeout",
    "image.empty",
    "image.magic",
    "image.unreadable",
];

/// What may help where the build failed.
fn clean_action(update: &Update) -> Option<Action> {
    let UpdateState::Failed { problem, rolled_back: false, .. } = &update.state else {
        return None;
    };
    if !OLD_FILES_MAY_BE_WHY.contains(&problem.code.as_str()) {
        return None;
    }
    Some(match update.cleaning {
        Cleaning::No => Action::CleanAndRetry,
        Cleaning::Clean | Cleaning::Reset => Action::ResetAndRetry,
    })
}

fn actions(update: Option<StateKind>) -> (Action, Vec<Action>) {
    match update {
        None | Some(StateKind::Installed | StateKind::Superseded | StateKind::Cancelled) => {
            (Action::Install, Vec::new())
        }
        Some(StateKind::Failed) => (Action::Retry, vec![Action::Dismiss]),
        Some(StateKind::Held) => (Action::Rebuild, vec![Action::FlashAnyway, Action::Cancel]),
        Some(
            StateKind::Queued
            | StateKind::Building
            | StateKind::Waiting
            | StateKind::Flashing
            | StateKind::Confirming,
        ) => (Action::Cancel, Vec::new()),
    }
}
