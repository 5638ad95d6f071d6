//! The states by name, and which may follow on which.

use serde::{Deserialize, Serialize};

/// The states without what they carry.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, specta::Type,
)]
#[serde(rename_all = "camelCase")]
pub enum StateKind {
    /// See [`UpdateState::Queued`].
    Queued,
    /// See [`UpdateState::Building`].
    Building,
    /// See [`UpdateState::Waiting`].
    Waiting,
    /// See [`UpdateState::Held`].
    Held,
    /// See [`UpdateState::Flashing`].
    Flashing,
    /// See [`UpdateState::Confirming`].
    Confirming,
    /// See [`UpdateState::Installed`].
    Installed,
    /// See [`UpdateState::Failed`].
    Failed,
    /// See [`UpdateState::Cancelled`].
    Cancelled,
    /// See [`UpdateState::Superseded`].
    Superseded,
}

impl StateKind {
    /// Every state, in the order of an update's life.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Building,
        Self::Waiting,
        Self::Held,
        Self::Flashing,
        Self::Confirming,
        Self::Installed,
        Self::Failed,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// Whether nothing is left to do for it. An installed update can still turn out to have been rolled back, and one
    /// that was rolled back to be installed.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Installed | Self::Failed | Self::Cancelled | Self::Superseded => true,
            Self::Queued
            | Self::Building
            | Self::Waiting
            | Self::Held
            | Self::Flashing
            | Self::Confirming => false,
        }
    }

    /// Whether the device has to do with it: it is being flashed, or its word is awaited.
    #[must_use]
    pub const fn occupies_the_device(self) -> bool {
        matches!(self, Self::Flashing | Self::Confirming)
    }

    /// Whether it waits for its device, or for its word.
    #[must_use]
    pub const fn awaits_the_device(self) -> bool {
        matches!(self, Self::Waiting | Self::Flashing | Self::Confirming)
    }

    /// Whether nothing of it has left for the device yet.
    #[must_use]
    pub const fn is_before_its_flash(self) -> bool {
        matches!(self, Self::Queued | Self::Building | Self::Waiting | Self::Held)
    }

    /// Whether it goes on only with the files that it is built from.
    #[must_use]
    pub const fn needs_its_sources(self) -> bool {
        matches!(self, Self::Queued | Self::Held)
    }

    /// Whether the user may ask for the same once more.
    #[must_use]
    pub const fn can_be_retried(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }

    /// Whether the transition table (docs/ARCHITECTURE.md) has a line from this state to `next`.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use StateKind as S;
        match self {
            S::Queued => matches!(next, S::Building | S::Cancelled | S::Superseded),
            S::Building => {
                matches!(next, S::Queued | S::Waiting | S::Failed | S::Cancelled | S::Superseded)
            }
            S::Waiting => matches!(
                next,
                S::Queued
                    | S::Held
                    | S::Flashing
                    | S::Installed
                    | S::Failed
                    | S::Cancelled
                    | S::Superseded
            ),
            S::Held => {
                matches!(next, S::Queued | S::Waiting | S::Installed | S::Cancelled | S::Superseded)
            }
            S::Flashing => matches!(
                next,
                S::Waiting
                    | S::Held
                    | S::Confirming
                    | S::Installed
                    | S::Failed
                    | S::Cancelled
                    | S::Superseded
            ),
            S::Confirming => {
                matches!(next, S::Waiting | S::Installed | S::Failed | S::Cancelled | S::Superseded)
            }
            // The device went back to its old firmware.
            S::Installed => matches!(next, S::Failed),
            // It had gone back, and says later that it runs the new one.
            S::Failed => matches!(next, S::Installed),
            // The user takes the Cancel back.
            S::Cancelled => matches!(next, S::Queued | S::Waiting | S::Held),
            S::Superseded => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_active_state_can_be_cancelled_and_superseded_and_no_final_one_moves() {
        for from in StateKind::ALL {
            assert_eq!(from.may_become(StateKind::Cancelled), !from.is_final(), "{from:?}");
            assert_eq!(from.may_become(StateKind::Superseded), !from.is_final(), "{from:?}");
            if from.is_final() {
                let follows = |to: &StateKind| from.may_become(*to);
                let leave: [(StateKind, &[StateKind]); 4] = [
                    (StateKind::Installed, &[StateKind::Failed]),
                    (StateKind::Failed, &[StateKind::Installed]),
                    // The user takes it back.
                    (
                        StateKind::Cancelled,
                        &[StateKind::Queued, StateKind::Waiting, StateKind::Held],
                    ),
                    (StateKind::Superseded, &[]),
                ];
                let (_, expected) = leave.into_iter().find(|(kind, _)| *kind == from).unwrap();
                assert!(StateKind::ALL.iter().filter(|to| follows(to)).eq(expected), "{from:?}");
            }
        }
    }

    #[test]
    fn a_held_update_never_reaches_the_device_by_itself() {
        assert!(!StateKind::Held.may_become(StateKind::Flashing));
        assert!(!StateKind::Held.may_become(StateKind::Confirming));
    }
}
