//! Configurations, their sources, and the builds.

use core::cmp::Reverse;

use crate::build_failure::{BuildFailure, BuildFailureClass, Lack};
use crate::device::{ConfigFile, DeviceId};
use crate::error::Problem;
use crate::notification::installed_words;
use crate::settings::ChangedSources;
use crate::time::Timestamp;
use crate::update::{
    Build, Delivery, Note, SourceChange, SourceTracking, StateKind, Update, UpdateId, UpdateState,
};
use crate::view::{Installation, Notification, NotificationKind};
use crate::word::is_suffixed;
use crate::words::Lang;

use super::build_again::{Search, is_due};
use super::{Builder, Dispatch, Effect};

impl Dispatch {
    /// Takes over what is in the config directory.
    pub(super) fn replace_configs(&mut self, files: Vec<ConfigFile>) {
        let names = self.known_names();
        self.touch_configs();
        self.configs = files.into_iter().map(|file| (file.id.clone(), file)).collect();
        self.trace_names(&names);
        self.take_plans();
        self.touch_configs();
        // So does one under whose file name an update is for a device that had another name.
        let names = self.updates.values().map(|update| DeviceId::discovered(&update.name));
        self.decision.touched.extend(names);
    }

    /// A configuration that comes or goes makes a discovered device of the same name go or come.
    fn touch_configs(&mut self) {
        let ids = |file: &ConfigFile| [DeviceId::discovered(self.name_of(file)), file.id.clone()];
        let touched: Vec<DeviceId> = self.configs.values().flat_map(ids).collect();
        self.decision.touched.extend(touched);
    }

    pub(super) fn take_configs(&mut self, files: Vec<ConfigFile>) {
        self.directory_read(files);
        // Devices that sleep are built first, and which do may be known only now.
        self.touch_all_queued();
        for id in self.active_ids() {
            let here = self.updates.get(&id).is_some_and(|update| self.is_here(update));
            if here && self.is_tracked(id) {
                self.decision.effects.push(Effect::CheckSources(id));
            }
        }
    }

    pub(super) fn is_tracked(&self, id: UpdateId) -> bool {
        let delivery = match self.updates.get(&id).map(|update| &update.state) {
            Some(UpdateState::Waiting { delivery, .. } | UpdateState::Held { delivery, .. }) => {
                delivery
            }
            Some(
                UpdateState::Queued
                | UpdateState::Building { .. }
                | UpdateState::Flashing { .. }
                | UpdateState::Confirming { .. }
                | UpdateState::Installed { .. }
                | UpdateState::Failed { .. }
                | UpdateState::Cancelled { .. }
                | UpdateState::Superseded { .. },
            )
            | None => return false,
        };
        delivery.tracking == SourceTracking::Tracked
    }

    pub(super) fn sources_checked(
        &mut self,
        id: UpdateId,
        changes: Vec<SourceChange>,
        now: Timestamp,
    ) {
        if !self.is_tracked(id) {
            return;
        }
        let Some(update) = self.updates.get(&id) else { return };
        match &update.state {
            UpdateState::Waiting { .. } if changes.is_empty() => {}
            UpdateState::Waiting { delivery, .. } => {
                let delivery = delivery.clone();
                self.sources_changed(id, delivery, changes, now);
            }
            UpdateState::Held { delivery, .. } if changes.is_empty() => {
                let delivery = delivery.clone();
                let text = "The sources are again what was built. Waiting for the device.";
                self.wait(id, delivery, None, now, text);
            }
            UpdateState::Held { changes: known, .. } if *known == changes => {}
            UpdateState::Held { .. } => {
                if let Some(update) = self.change(id)
                    && let UpdateState::Held { changes: known, .. } = &mut update.state
                {
                    *known = changes;
                }
            }
            UpdateState::Queued
            | UpdateState::Building { .. }
            | UpdateState::Flashing { .. }
            | UpdateState::Confirming { .. }
            | UpdateState::Installed { .. }
            | UpdateState::Failed { .. }
            | UpdateState::Cancelled { .. }
            | UpdateState::Superseded { .. } => {}
        }
    }

    /// Does what the user's policy says to an update whose sources are no longer those of its build.
    pub(super) fn sources_changed(
        &mut self,
        id: UpdateId,
        delivery: Delivery,
        changes: Vec<SourceChange>,
        now: Timestamp,
    ) {
        if changes.is_empty() || delivery.tracking == SourceTracking::Waived {
            self.wait(id, delivery, None, now, "The changed sources don't matter to this update.");
            return;
        }
        let files =
            changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>().join(", ");
        match self.settings.changed_sources {
            ChangedSources::Hold => {
                let text = format!("Held: {files} changed since the build.");
                if self.go(id, UpdateState::Held { delivery, changes }, now, text) {
                    self.notify_about(id, NotificationKind::Held, files);
                }
            }
            ChangedSources::Rebuild => {
                // A running flash that finds out at the gate has no way to Queued but over Waiting.
                self.wait(id, delivery, None, now, format!("{files} changed since the build."));
                self.go(
                    id,
                    UpdateState::Queued,
                    now,
                    "To be built again from the changed sources.",
                );
            }
            ChangedSources::Flash => {
                let waived = Delivery { tracking: SourceTracking::Waived, ..delivery };
                let text = format!(
                    "{files} changed since the build; flashed as it was built, as the settings say."
                );
                self.wait(id, waived, None, now, text);
            }
        }
    }

    /// The build itself changes what it is built from: built again, it would do so again.
    fn hold_built_in_vain(
        &mut self,
        id: UpdateId,
        delivery: Delivery,
        changes: Vec<SourceChange>,
        again: &[String],
        now: Timestamp,
    ) {
        let problem = changes_its_sources(again);
        let delivery = Delivery { warning: Some(problem.clone()), ..delivery };
        if self.go(id, UpdateState::Held { delivery, changes }, now, &problem) {
            self.notify_about(id, NotificationKind::Held, &problem);
        }
    }

    /// Puts an update to waiting, or writes a line when it waits already. Nobody looked at its sources
    /// during the transfer, so somebody does now.
    pub(super) fn wait(
        &mut self,
        id: UpdateId,
        delivery: Delivery,
        retry_at: Option<Timestamp>,
        now: Timestamp,
        note: impl Into<Note>,
    ) {
        let tracked = delivery.tracking == SourceTracking::Tracked;
        let waiting = UpdateState::Waiting { delivery, retry_at };
        match self.updates.get(&id).map(|update| update.state.kind()) {
            Some(StateKind::Waiting) => {
                if let Some(update) = self.change(id) {
                    update.state = waiting;
                    update.note(now, note);
                }
            }
            Some(StateKind::Flashing | StateKind::Confirming) => {
                if self.go(id, waiting, now, note) && tracked {
                    self.decision.effects.push(Effect::CheckSources(id));
                }
            }
            Some(
                StateKind::Queued
                | StateKind::Building
                | StateKind::Held
                | StateKind::Installed
                | StateKind::Failed
                | StateKind::Cancelled
                | StateKind::Superseded,
            )
            | None => {
                self.go(id, waiting, now, note);
            }
        }
    }

    /// Its version decides for which devices there is an update.
    pub(super) fn take_builder(&mut self, builder: Builder, now: Timestamp) {
        match builder {
            Builder::Missing => self.search_later(now),
            Builder::Ready { .. } | Builder::Coming => self.search = Search::default(),
        }
        // The one that is there builds while another one is installed.
        let there = matches!(self.builder, Some(Builder::Ready { .. }));
        if self.builder.as_ref() != Some(&builder) && !(there && builder == Builder::Coming) {
            self.builder = Some(builder);
            self.decision.touched.extend(self.rows());
            if matches!(self.builder, Some(Builder::Ready { .. })) {
                self.is_back_for_builds(Lack::Esphome);
            }
        }
    }

    pub(super) fn fill_build_slots(&mut self, now: Timestamp) {
        if !self.can_build() {
            return;
        }
        while self.count(StateKind::Building) < usize::from(self.settings.max_builds) {
            let next = self.queued().filter(|update| is_due(update, now) && self.is_here(update));
            let next = next.min_by_key(|update| self.build_rank(update));
            let Some((id, device)) = next.map(|update| (update.id, update.device.clone())) else {
                return;
            };
            let building = UpdateState::Building { started_at: now };
            if !self.go(id, building, now, "ESPHome builds the firmware.") {
                return;
            }
            self.decision.effects.push(Effect::StartBuild { update: id, device });
        }
    }

    pub(super) fn queued(&self) -> impl Iterator<Item = &Update> {
        self.updates.values().filter(|update| update.state.kind() == StateKind::Queued)
    }

    /// The least is built first: devices that sleep, since they have the least time to spare, and among
    /// them the user's newest wish.
    pub(super) fn build_rank(&self, update: &Update) -> (Reverse<bool>, Reverse<UpdateId>) {
        (Reverse(self.update_sleeps(update)), Reverse(update.id))
    }

    /// Whether the device of an update is known to use deep sleep.
    pub(super) fn update_sleeps(&self, update: &Update) -> bool {
        let configured = self.configuration_of(update).and_then(|file| file.content.as_ref().ok());
        configured.is_some_and(|summary| summary.deep_sleep)
            || self.memory(&update.name).is_some_and(|memory| memory.deep_sleep)
    }

    /// Whether a device is known to use deep sleep, by its configuration or its last build.
    pub(super) fn sleeps(&self, device: &DeviceId, name: &str) -> bool {
        let configured = self
            .configs
            .get(device)
            .and_then(|file| file.content.as_ref().ok())
            .is_some_and(|summary| summary.deep_sleep);
        configured || self.memory(name).is_some_and(|memory| memory.deep_sleep)
    }

    pub(super) fn build_ended(
        &mut self,
        id: UpdateId,
        result: Result<(Build, Vec<SourceChange>), BuildFailure>,
        now: Timestamp,
    ) {
        // A build that was cancelled or superseded meanwhile has nothing to say any more.
        if self.updates.get(&id).is_none_or(|update| update.state.kind() != StateKind::Building) {
            return;
        }
        match result {
            Ok((mut build, changes)) => {
                if let Some(name) = self.updates.get(&id).map(|update| &update.name)
                    && build.mac_suffix
                    && is_suffixed(&build.name, name)
                {
                    // The device is known, and goes by its whole name.
                    build.name.clone_from(name);
                }
                let mut again = Vec::new();
                if let Some(update) = self.change(id) {
                    update.build_again = None;
                    again = update.note_changes_in_build(&changes);
                }
                let sleep = (build.deep_sleep, build.sleep_plan);
                let known = self.memory(&build.name);
                if known.map(|memory| (memory.deep_sleep, memory.sleep_plan)) != Some(sleep) {
                    let memory = self.change_memory(&build.name);
                    (memory.deep_sleep, memory.sleep_plan) = sleep;
                }
                let text =
                    format!("Built: {} kB. Waiting for the device.", build.size.div_ceil(1_000));
                let mut delivery = Self::delivery(build);
                delivery.warning = self.credential_warning(id, &delivery.build);
                self.wait(id, delivery.clone(), None, now, text);
                if let (Some(warning), Some(update)) = (&delivery.warning, self.change(id)) {
                    update.note(now, warning);
                }
                self.note_renaming(id, &delivery.build.name, now);
                let matters = self.settings.changed_sources != ChangedSources::Flash;
                if matters && !again.is_empty() {
                    self.hold_built_in_vain(id, delivery, changes, &again, now);
                } else if !changes.is_empty() {
                    self.sources_changed(id, delivery, changes, now);
                }
            }
            Err(BuildFailure { class: BuildFailureClass::Again(lack), problem }) => {
                self.build_again(id, lack, problem, now);
            }
            Err(BuildFailure { class: BuildFailureClass::Final, problem }) => {
                self.fail(id, problem, now);
            }
        }
    }

    /// Says that an update gives its device another name.
    fn note_renaming(&mut self, id: UpdateId, name: &str, now: Timestamp) {
        let Some(former) = self.updates.get(&id).map(|update| update.name.clone()) else { return };
        if former != name
            && let Some(update) = self.change(id)
        {
            update.note(
                now,
                format!(
                    "The device goes by “{former}” until it runs this build, then by “{name}”."
                ),
            );
        }
    }

    pub(super) fn fail(&mut self, id: UpdateId, problem: Problem, now: Timestamp) {
        let Some(before) = self.updates.get(&id) else { return };
        let failed = UpdateState::Failed {
            at: now,
            problem: problem.clone(),
            rolled_back: false,
            taken_back: None,
            may_have_arrived: before.earlier_may_have_arrived
                || before.state.image_is_unaccounted_for(),
            dismissed: false,
        };
        if self.go(id, failed, now, &problem) {
            self.notify_about(id, NotificationKind::Failed, &problem);
        }
    }

    /// The device took the image, and says that it runs another one. It may yet say otherwise.
    pub(super) fn roll_back(&mut self, id: UpdateId, problem: Problem, now: Timestamp) {
        let Some(before) = self.updates.get(&id).map(|update| &update.state) else { return };
        let failed = UpdateState::Failed {
            at: now,
            problem: problem.clone(),
            rolled_back: true,
            taken_back: before.delivery().cloned().map(Box::new),
            may_have_arrived: false,
            dismissed: false,
        };
        if self.go(id, failed, now, &problem) {
            self.notify_about(id, NotificationKind::RolledBack, &problem);
        }
    }

    pub(super) fn notify_about(
        &mut self,
        id: UpdateId,
        kind: NotificationKind,
        reason: impl Into<Note>,
    ) {
        self.notify_of(id, kind, None, reason.into());
    }

    pub(super) fn notify_installed(&mut self, id: UpdateId, known: Installation, text: &str) {
        self.notify_of(id, NotificationKind::Installed, Some(known), text.into());
    }

    fn notify_of(
        &mut self,
        id: UpdateId,
        kind: NotificationKind,
        installed: Option<Installation>,
        Note { text: detail, code }: Note,
    ) {
        let Some(update) = self.updates.get(&id) else { return };
        let name = self.display_name(update);
        let (title, body) = match kind {
            NotificationKind::Installed => {
                (installed_words(installed, Lang::En).0.replacen("{}", &name, 1), detail.clone())
            }
            NotificationKind::Failed => (format!("The update of {name} failed"), detail.clone()),
            NotificationKind::RolledBack => (format!("{name} rolled back"), detail.clone()),
            NotificationKind::Overdue => (format!("{name} is overdue"), detail.clone()),
            NotificationKind::BuildDelayed => {
                (format!("{name} can't be built yet"), detail.clone())
            }
            NotificationKind::TransfersCut => {
                (format!("Transfers to {name} break off"), detail.clone())
            }
            NotificationKind::Held => {
                let why = match &code {
                    Some(_) => detail.clone(),
                    None => format!("Changed since it was built: {detail}."),
                };
                let body = format!("{why} Rebuild it, flash it anyway, or cancel it.");
                (format!("The update of {name} is held"), body)
            }
        };
        let device = update.device.clone();
        self.notify(Notification { device, name, kind, installed, detail, code, title, body });
    }

    /// What a person calls the device of an update.
    pub(super) fn display_name(&self, update: &Update) -> String {
        self.configuration_of(update)
            .and_then(|file| file.content.as_ref().ok()?.friendly_name.clone())
            .or_else(|| self.memory(&update.name)?.friendly_name.clone())
            .unwrap_or_else(|| update.name.clone())
    }
}

fn changes_its_sources(paths: &[String]) -> Problem {
    Problem::new(
        "build.changes_sources",
        format!("Changed while it was built, twice: {}. The build itself seems to change it.", paths.join(", ")),
    )
    .with_help(
        "Built again, it would be the same again. Flash it as it was built, or see to it that nothing that runs in the \
         build writes into your files.",
    )
}
