//! How sessions end, and what that means for the device.

use wakeflash_core::dispatch::FlashOutcome;
use wakeflash_core::update::UpdateId;
use wakeflash_ota::FailureClass;

use super::{Session, failed};
use crate::house::Event;
use crate::world::{Step, World};

impl World<'_> {
    /// The connection is gone on both sides.
    pub(in crate::world) fn session_is_cut(&mut self, id: u32) -> Step {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        self.cover.struck("a connection is cut");
        let sent = session.all_sent;
        let class = if sent { FailureClass::OutcomeUnknown } else { FailureClass::RetryNow };
        self.session_ends(id, failed(class, "ota.closed", "The connection was lost."))
    }

    pub(super) fn power_lost(&mut self, id: u32) -> Step {
        let Some(device) = self.sessions.get(&id).and_then(|session| session.device) else {
            return Ok(());
        };
        self.cover.struck("the device loses its power in its transfer");
        self.loses_power(device);
        Ok(())
    }

    /// The device is off: this computer doesn't know yet.
    pub(in crate::world) fn session_lost_its_device(&mut self, id: u32) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.device = None;
        }
    }

    pub(in crate::world) fn session_ends(&mut self, id: u32, outcome: FlashOutcome) -> Step {
        let Some(session) = self.sessions.remove(&id) else { return Ok(()) };
        self.device_is_left(&session, id);
        if session.life != self.life {
            return Ok(());
        }
        if let Some(device) = session.device
            && matches!(outcome, FlashOutcome::Failed { .. } | FlashOutcome::NotProven { .. })
        {
            self.wake_is_used(device);
        }
        let update = session.job.update;
        if session.granted
            && matches!(outcome, FlashOutcome::Failed { class: FailureClass::RetryNow, .. })
        {
            self.judge.was_cut(update);
        }
        let broke_off = matches!(outcome, FlashOutcome::Failed { .. });
        self.say(Event::FlashEnded { update, outcome })?;
        if broke_off {
            self.clock_jumps_at_failure();
        }
        Ok(())
    }

    /// What this computer had handed to its network still arrives.
    fn device_is_left(&mut self, session: &Session, id: u32) {
        let Some(device) = session.device else { return };
        if self.devices[device].session != Some(id) {
            return;
        }
        if session.all_sent && !session.all_there && self.rng.chance(500) {
            let image = session.job.delivery.build.image.clone();
            self.cover.struck("the image arrives after the session's end");
            self.device_commits(device, &image, session.job.update);
        } else if !session.all_there {
            self.is_let_go(device);
        }
    }

    pub(in crate::world) fn stop_flash(&mut self, update: UpdateId) {
        if let Some(id) = self.session_of(update)
            && let Some(session) = self.sessions.remove(&id)
        {
            self.device_is_left(&session, id);
        }
    }

    pub(in crate::world) fn sessions_end_with_the_application(&mut self) {
        for (id, session) in std::mem::take(&mut self.sessions) {
            self.device_is_left(&session, id);
        }
    }
}
