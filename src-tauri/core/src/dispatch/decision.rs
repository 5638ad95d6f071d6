//! What follows from what happened, as a value: nothing of it is true until it is stored.

use std::collections::{BTreeMap, BTreeSet};

use crate::device::{DeviceId, DeviceMemory};
use crate::error::Problem;
use crate::schedule::Wake;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::update::{Update, UpdateId};
use crate::view::Refusal;

use super::{Dispatch, Effect, IllegalTransition, Input};

/// What is to be stored, in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteSet {
    /// The updates that changed, as they are now.
    pub updates: Vec<Update>,
    /// Names whose memory and wakes are to be deleted, before others are stored: a device was renamed.
    pub forgotten: Vec<String>,
    /// What is remembered about devices, by their names.
    pub memories: Vec<(String, DeviceMemory)>,
    /// The wakes that are new or changed, by their devices' names.
    pub wakes: Vec<(String, Vec<Wake>)>,
    /// The settings, when they changed.
    pub settings: Option<Settings>,
}

impl WriteSet {
    /// Whether there is nothing to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty()
            && self.forgotten.is_empty()
            && self.memories.is_empty()
            && self.wakes.is_empty()
            && self.settings.is_none()
    }
}

/// What a request is answered with, beside that it was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The update that it started.
    pub started: Option<UpdateId>,
    /// The devices that it could not be met for.
    pub refusals: Vec<Refusal>,
}

/// What was noted down while it was decided.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) updates: BTreeSet<UpdateId>,
    pub(super) memories: BTreeSet<String>,
    /// From which number on the wakes of a device are to be stored.
    pub(super) wakes: BTreeMap<String, u32>,
    pub(super) forgotten: BTreeSet<String>,
    pub(super) settings: bool,
    /// What is queued may be built in another order.
    pub(super) reordered: bool,
    pub(super) touched: BTreeSet<DeviceId>,
    pub(super) effects: Vec<Effect>,
    pub(super) refused: Vec<IllegalTransition>,
    pub(super) started: Option<UpdateId>,
    pub(super) refusals: Vec<Refusal>,
}

/// What follows from one input, or from several in a row: a state that is true once [`Decision::writes`] is stored,
/// and what is to be done then. Dropping it leaves everything as it was.
#[derive(Clone, Debug)]
pub struct Decision {
    next: Dispatch,
}

impl Decision {
    /// Nothing was decided yet.
    #[must_use]
    pub fn on(base: &Dispatch) -> Self {
        let mut next = base.clone();
        next.decision = Draft::default();
        Self { next }
    }

    /// Decides what follows from one more thing that happened, on top of what was decided before.
    ///
    /// # Errors
    /// A request that can't be met; nothing follows from it then.
    pub fn take(&mut self, input: Input, now: Timestamp) -> Result<Answer, Problem> {
        let before = self.next.clone();
        match self.next.handle(input, now) {
            Ok(()) => {
                self.next.order_the_queued(&before);
                let draft = &mut self.next.decision;
                Ok(Answer {
                    started: draft.started.take(),
                    refusals: core::mem::take(&mut draft.refusals),
                })
            }
            Err(problem) => {
                self.next = before;
                Err(problem)
            }
        }
    }

    /// The state as it is decided.
    #[must_use]
    pub const fn next(&self) -> &Dispatch {
        &self.next
    }

    /// What must be stored before it is true.
    #[must_use]
    pub fn writes(&self) -> WriteSet {
        let Self { next } = self;
        let draft = &next.decision;
        let changed_wakes = |(name, from): (&String, &u32)| {
            let all = next.devices.get(name)?.wakes.iter();
            let changed: Vec<Wake> = all.filter(|wake| wake.number >= *from).copied().collect();
            (!changed.is_empty()).then(|| (name.clone(), changed))
        };
        WriteSet {
            updates: draft.updates.iter().filter_map(|id| next.updates.get(id).cloned()).collect(),
            forgotten: draft.forgotten.iter().cloned().collect(),
            memories: draft
                .memories
                .iter()
                .filter_map(|name| Some((name.clone(), next.devices.get(name)?.memory.clone())))
                .collect(),
            wakes: draft.wakes.iter().filter_map(changed_wakes).collect(),
            settings: draft.settings.then(|| (*next.settings).clone()),
        }
    }

    /// The updates that changed.
    #[must_use]
    pub const fn changed(&self) -> &BTreeSet<UpdateId> {
        &self.next.decision.updates
    }

    /// The rows that may look different now.
    #[must_use]
    pub const fn touched(&self) -> &BTreeSet<DeviceId> {
        &self.next.decision.touched
    }

    /// What is to be done once it is stored.
    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.next.decision.effects
    }

    /// Transitions that were refused: defects, for the log.
    #[must_use]
    pub fn refused(&self) -> &[IllegalTransition] {
        &self.next.decision.refused
    }

    /// It was stored: this is the state now.
    #[must_use]
    pub fn stored(mut self) -> Dispatch {
        self.next.decision = Draft::default();
        self.next
    }
}
