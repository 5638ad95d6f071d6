//! What happened is decided on and stored before anything follows from it, and kept when it can't be stored.

use std::time::Duration;

use tokio::time::Instant;
use wakeflash_core::dispatch::{Answer, Decision, Input, Origin};
use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;

use super::{Runtime, now};

/// How often a commit is tried again that could not be made.
const COMMIT_AGAIN: Duration = Duration::from_secs(2);

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
        let mut together = Decision::on(&self.dispatch);
        for input in inputs {
            if let Err(problem) = together.take(input, now()) {
                tracing::warn!("not taken in: {problem}");
            }
        }
        if let Err(problem) = self.carry_out(together, now()).await {
            tracing::warn!("not taken in: {problem}");
        }
    }

    /// Decides, commits, tells, and only then acts.
    pub(super) async fn decide(&mut self, input: Input) -> Result<Answer, Problem> {
        let now = now();
        let mut decision = Decision::on(&self.dispatch);
        let answer = decision.take(input, now)?;
        self.carry_out(decision, now).await?;
        Ok(answer)
    }

    async fn carry_out(&mut self, decision: Decision, now: Timestamp) -> Result<(), Problem> {
        for refused in decision.refused() {
            tracing::error!("refused: {refused}");
        }
        let mut writes = decision.writes();
        if !writes.is_empty() {
            writes.settings = writes.settings.map(|settings| self.overrides.to_store(&settings));
            if let Err(error) = self.store.commit(writes).await {
                return Err(self.not_stored(&error));
            }
            self.stored();
        }
        let changed = decision.changed().clone();
        let touched = decision.touched().clone();
        let effects = decision.effects().to_vec();
        self.dispatch = decision.stored();
        self.settle(changed.into_iter(), &touched, now);
        for effect in effects {
            self.act(effect);
        }
        Ok(())
    }
}

fn unwritable(error: &anyhow::Error) -> Problem {
    Problem::new("store.unwritable", format!("The queue can't be written: {}.", error.root_cause()))
        .with_help("Nothing was changed. Make room on the disk of the data directory; what is waiting stays in the queue.")
}
