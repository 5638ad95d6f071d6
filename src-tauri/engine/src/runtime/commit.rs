//! What happened is decided on and stored before anything follows from it, and kept when it can't be stored.

use std::time::Duration;

use tokio::time::Instant;
use wakeflash_core::dispatch::{Decision, Input, Origin};
use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::UpdateId;
use wakeflash_core::view::Refusal;

use super::{Runtime, now};
use crate::store::Commit;

/// How often a commit is tried again that could not be made.
const COMMIT_AGAIN: Duration = Duration::from_secs(2);

/// What a request came to.
pub(super) struct Decided {
    pub(super) started: Option<UpdateId>,
    pub(super) refusals: Vec<Refusal>,
}

impl Runtime {
    /// When a commit failed and nothing is left that would show it by itself: whether the store can be
    /// written again. The status would else go on saying no until the next change.
    pub(super) async fn try_store(&mut self) {
        if self.commit_due.is_none_or(|due| due > Instant::now()) {
            return;
        }
        match self.store.check_writable().await {
            Ok(()) => self.stored(),
            Err(error) => drop(self.not_stored(&error)),
        }
    }

    fn stored(&mut self) {
        self.commit_due = None;
        self.publisher.change_status(|status| status.store = None);
    }

    fn not_stored(&mut self, error: &anyhow::Error) -> Problem {
        tracing::error!("the state can't be stored: {error:#}");
        self.commit_due = Some(Instant::now() + COMMIT_AGAIN);
        let problem = unwritable(error);
        self.publisher.change_status(|status| status.store = Some(problem.clone()));
        problem
    }

    /// Takes in something that can't be refused. What never comes again is kept when it can't be stored and
    /// tried again, in order, and nothing follows from it until then.
    pub(super) async fn happened(&mut self, input: Input) {
        if input.origin() == Origin::Once {
            if matches!(input, Input::Configs(_)) {
                // It says everything that an older one said.
                self.pending.retain(|kept| !matches!(kept, Input::Configs(_)));
            }
            self.pending.push_back(input);
            // When it doesn't work, the status says so, and the next tick tries again.
            let _ = self.take_pending().await;
        } else if let Err(problem) = self.decide(input).await {
            tracing::warn!("not taken in: {problem}");
        }
    }

    /// Tries once more to store what waits for it; the reason when that doesn't work.
    pub(super) async fn take_pending(&mut self) -> Result<(), Problem> {
        while let Some(input) = self.pending.front().cloned() {
            if let Err(problem) = self.decide(input).await {
                tracing::error!("{} inputs wait to be stored: {problem}", self.pending.len());
                return Err(problem);
            }
            self.pending.pop_front();
        }
        Ok(())
    }

    /// Takes in things that come again by themselves, with one commit. Each of many devices that wake at the
    /// same time would else wait for the disk as often as there are devices before it.
    pub(super) async fn happened_together(&mut self, inputs: Vec<Input>) {
        if inputs.is_empty() {
            return;
        }
        let mut together = Decision::default();
        for input in inputs {
            match self.dispatch.handle(input, now()) {
                Ok(decision) => {
                    let ends = decision.renames();
                    together.join(decision);
                    if ends {
                        self.carry_out_or_warn(std::mem::take(&mut together)).await;
                    }
                }
                Err(problem) => tracing::warn!("not taken in: {problem}"),
            }
        }
        self.carry_out_or_warn(together).await;
    }

    async fn carry_out_or_warn(&mut self, decision: Decision) {
        if let Err(problem) = self.carry_out(decision, now()).await {
            tracing::warn!("not taken in: {problem}");
        }
    }

    /// Decides, commits, tells, and only then acts.
    pub(super) async fn decide(&mut self, input: Input) -> Result<Decided, Problem> {
        let now = now();
        let decision = self.dispatch.handle(input, now)?;
        self.carry_out(decision, now).await
    }

    async fn carry_out(&mut self, decision: Decision, now: Timestamp) -> Result<Decided, Problem> {
        for refused in &decision.refused {
            tracing::error!("refused: {refused}");
        }
        let durable = decision.is_durable();
        if durable && let Err(error) = self.store.commit(self.commit_of(&decision)).await {
            let touched = decision.touched.clone();
            self.dispatch.undo(decision);
            // What isn't stored, such as presence, has changed all the same.
            self.publisher.refresh(&self.dispatch, &touched, now);
            return Err(self.not_stored(&error));
        }
        let Decision { updates, touched, effects, started, refusals, .. } = decision;
        if durable {
            self.stored();
        }
        self.settle(updates.keys().copied(), &touched, now);
        for effect in effects {
            self.act(effect);
        }
        Ok(Decided { started, refusals })
    }

    fn commit_of(&self, decision: &Decision) -> Commit {
        Commit {
            updates: decision
                .updates
                .keys()
                .filter_map(|id| self.dispatch.update(*id).cloned())
                .collect(),
            memories: decision
                .memories
                .keys()
                .filter_map(|name| Some((name.clone(), self.dispatch.memory(name)?.clone())))
                .collect(),
            forgotten: decision.forgotten.iter().cloned().collect(),
            wakes: self.dispatch.changed_wakes(decision),
            settings: decision
                .settings
                .is_some()
                .then(|| self.overrides.to_store(self.dispatch.settings())),
        }
    }
}

fn unwritable(error: &anyhow::Error) -> Problem {
    Problem::new("store.unwritable", format!("The queue can't be written: {}.", error.root_cause()))
        .with_help("Nothing was changed. Make room on the disk of the data directory; what is waiting stays in the queue.")
}
