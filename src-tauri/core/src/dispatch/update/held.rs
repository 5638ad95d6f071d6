//! Held: until the user has decided, or the sources are again what was built.

use crate::device::DeviceId;
use crate::dispatch::Dispatch;
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::{SourceChange, SourceTracking, StateKind, UpdateId, UpdateState};

impl Dispatch {
    pub(in crate::dispatch) fn rebuild(
        &mut self,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let id = self.held(device)?;
        self.is_free(device)?;
        self.installable(device)?;
        self.transition(
            id,
            UpdateState::Queued,
            now,
            "To be built again from the changed sources.",
        );
        Ok(())
    }

    pub(in crate::dispatch) fn flash_anyway(
        &mut self,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let id = self.held(device)?;
        let Some(mut delivery) =
            self.updates.get(&id).and_then(|update| update.state.delivery().cloned())
        else {
            return Err(self.nothing_active(device));
        };
        delivery.tracking = SourceTracking::Waived;
        delivery.warning = self.credential_warning(id, &delivery.build);
        let waiting = UpdateState::Waiting { delivery, retry_at: None };
        self.transition(id, waiting, now, "Will be flashed as it was built.");
        Ok(())
    }

    pub(in crate::dispatch) fn held(&self, device: &DeviceId) -> Result<UpdateId, Problem> {
        let update = self.active(device).ok_or_else(|| self.nothing_active(device))?;
        if update.state.kind() == StateKind::Held {
            Ok(update.id)
        } else {
            Err(Problem::new("update.not_held", format!("The update of {device} is not held.")))
        }
    }

    /// The sources of a held update were compared with what it was built from.
    pub(super) fn held_sources_checked(
        &mut self,
        id: UpdateId,
        changes: Vec<SourceChange>,
        now: Timestamp,
    ) {
        let Some(update) = self.updates.get(&id) else { return };
        let UpdateState::Held { delivery, changes: known } = &update.state else { return };
        if changes.is_empty() {
            let delivery = delivery.clone();
            let text = "The sources are again what was built. Waiting for the device.";
            self.wait(id, delivery, None, now, text);
        } else if *known != changes
            && let Some(update) = self.change(id)
            && let UpdateState::Held { changes: known, .. } = &mut update.state
        {
            *known = changes;
        }
    }
}
