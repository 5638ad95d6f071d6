//! Who is said to be there.

use wakeflash_core::device::{Presence, SightingKind, Source};
use wakeflash_core::update::UpdateId;

use crate::house::Event;
use crate::plan::{MINUTE, Ms};
use crate::world::{Step, World};

/// Who took its leave isn't shown as Online for longer, whatever a cache has of it.
const GONE_IS_KNOWN: Ms = MINUTE;

impl World<'_> {
    /// The application is told something.
    pub(crate) fn judge_hears(&mut self, event: &Event) {
        match event {
            Event::Heard(sighting) => {
                // A cache tells what was said before.
                let Some(sender) = sighting.source.sender() else { return };
                let named = |device: &usize| self.devices[*device].firmware.name == sighting.name;
                let of_name: Vec<usize> = (0..self.devices.len()).filter(named).collect();
                let [device] = of_name[..] else { return };
                let itself = self.devices[device].address == sender
                    && matches!(sighting.source, Source::Packet(_));
                match sighting.kind {
                    SightingKind::Gone if itself => {
                        self.judge.gone.insert(device, self.now);
                    }
                    SightingKind::Gone => {}
                    SightingKind::Alive => {
                        self.judge.gone.remove(&device);
                        if let Some(hash) = sighting.config_hash.filter(|_| itself) {
                            self.judge.has_told.entry(device).or_insert(self.now);
                            self.judge.last_told.insert(device, (self.now, hash));
                        }
                    }
                }
            }
            Event::Captured { update }
            | Event::Proven { update, .. }
            | Event::FlashEnded { update, .. }
            | Event::Connected { update, .. }
            | Event::Returned { update, .. }
            | Event::ServesAgain { update, .. } => self.is_reached(*update),
            Event::Network { .. } => self.judge.gone.clear(),
            Event::Asked { .. }
            | Event::Read { .. }
            | Event::Builder(_)
            | Event::BuildEnded { .. }
            | Event::Prepared { .. }
            | Event::SourcesChecked { .. }
            | Event::Silent { .. }
            | Event::LookedAtApi { .. }
            | Event::AboutToComplete { .. }
            | Event::Unreachable { .. }
            | Event::Stored(_)
            | Event::Due => {}
        }
    }

    fn is_reached(&mut self, update: UpdateId) {
        if let Some(device) = self.judge.facts.get(&update).and_then(|facts| facts.device) {
            self.judge.gone.remove(&device);
        }
    }

    /// Who went isn't there.
    pub(super) fn presence_is_true(&self) -> Step {
        if !self.has_a_quiet_disk() {
            return Ok(());
        }
        for (device, since) in &self.judge.gone {
            let it = &self.devices[*device];
            if it.is_on || it.plan.stranger || since + GONE_IS_KNOWN > self.now {
                continue;
            }
            let name = &it.firmware.name;
            let row = self.row(&self.file_of(*device)).filter(|row| row.name == *name);
            if row.is_some_and(|row| row.presence == Presence::Online) {
                let what = format!("{name} took its leave, and is shown as Online");
                return Err(self.violation("3: no guess", what));
            }
        }
        Ok(())
    }
}
