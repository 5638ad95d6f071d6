//! Building: until ESPHome has ended.

use crate::build_failure::{BuildFailure, BuildFailureClass, Lack, pause_after};
use crate::configuration::is_suffixed;
use crate::dispatch::{Dispatch, Effect};
use crate::error::Problem;
use crate::settings::ChangedSources;
use crate::time::Timestamp;
use crate::update::{
    Build, BuildAgain, Cleaning, Delivery, SourceChange, StateKind, UpdateId, UpdateState,
};
use crate::view::NotificationKind;

/// After so many failures in a row the user is told. One that is over by then is no news.
const TELL_AFTER: u32 = 3;

impl Dispatch {
    pub(in crate::dispatch) fn build_ended(
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
                    update.cleaning = Cleaning::No;
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
        if self.transition(id, UpdateState::Held { delivery, changes }, now, &problem) {
            self.notify_about(id, NotificationKind::Held, &problem);
        }
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

impl Dispatch {
    /// Puts an update whose build failed back into the queue.
    pub(in crate::dispatch) fn build_again(
        &mut self,
        id: UpdateId,
        lack: Lack,
        problem: Problem,
        now: Timestamp,
    ) {
        if !self.transition(id, UpdateState::Queued, now, &problem) {
            return;
        }
        let Some(update) = self.change(id) else { return };
        let failures = update.build_again.as_ref().map_or(0, |again| again.failures);
        let failures = failures.saturating_add(1);
        let pause = pause_after(failures);
        let minutes = pause.as_secs().div_ceil(60);
        update.note(now, format!("To be tried again, in {minutes} min at the latest."));
        let not_before = Some(now + pause);
        let told = problem.clone();
        update.build_again = Some(BuildAgain { failures, lack, problem, not_before });
        if failures == TELL_AFTER {
            self.notify_about(id, NotificationKind::BuildDelayed, &told);
        }
        if lack == Lack::Esphome {
            self.decision.effects.push(Effect::FindEsphome);
        }
    }
}
