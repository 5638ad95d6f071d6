//! Who is shown as Online, and the end of that without a goodbye.

use core::net::IpAddr;
use std::collections::BTreeSet;

use crate::update::UpdateState;

use super::{Dispatch, Liveness};

impl Dispatch {
    /// The devices that are shown as Online, and where they were seen. A device that is being flashed, or whose
    /// return is awaited, isn't among them: it has other things to do than to answer, and is looked after.
    #[must_use]
    pub fn online(&self) -> Vec<(&str, Vec<IpAddr>)> {
        let occupied: BTreeSet<&str> = self
            .updates
            .values()
            .filter(|update| match &update.state {
                UpdateState::Flashing { .. } | UpdateState::Confirming { .. } => true,
                UpdateState::Queued
                | UpdateState::Building { .. }
                | UpdateState::Waiting { .. }
                | UpdateState::Held { .. }
                | UpdateState::Installed { .. }
                | UpdateState::Failed { .. }
                | UpdateState::Cancelled { .. }
                | UpdateState::Superseded { .. } => false,
            })
            .map(|update| update.name.as_str())
            .collect();
        self.heard
            .iter()
            .filter(|(name, heard)| {
                heard.liveness == Liveness::Alive && !occupied.contains(name.as_str())
            })
            .map(|(name, heard)| {
                let addresses = heard.memory.addresses();
                (name.as_str(), addresses.filter(|at| self.may_reach(name, *at)).collect())
            })
            .collect()
    }

    /// A device that was asked and tried to reach, in vain, is gone.
    pub(super) fn silent(&mut self, name: &str) {
        if !self.connected {
            return;
        }
        let Some(heard) = self.heard.get(name) else { return };
        let (Liveness::Alive, Some(last)) = (heard.liveness, heard.memory.last_seen) else {
            return;
        };
        self.note_asleep(name, last);
        if let Some(heard) = self.heard.get_mut(name) {
            heard.liveness = Liveness::Gone;
            heard.doubted_since = None;
        }
        self.touch(name);
    }
}
