//! What follows from nothing but time.

use crate::dispatch::update::confirming::is_from_the_future;
use crate::time::Timestamp;
use crate::update::UpdateState;

use super::Dispatch;
use super::device::KnownDevice;

impl Dispatch {
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.follow_clock(now);
        for id in self.active_ids() {
            self.take_return_for_word(id, now);
        }
        self.end_rests(now);
        self.store_what_was_heard(now);
        self.search(now);
        self.settle_doubts(now);
        self.look_at_apis(now);
        self.forget_undos(now);
        self.look_ahead(now);
        self.tell_overdue(now);
        self.tell_not_returned(now);
        if self.first_look_until.is_some_and(|until| until <= now) {
            self.first_look_until = None;
            // What is remembered and has not been heard since the start turns from Unknown to gone.
            let remembered: Vec<String> = self.devices.keys().cloned().collect();
            for name in remembered {
                self.touch(&name);
            }
        }
    }

    /// Brings times back from the future that a clock which was set back has put there; waiting for them
    /// could take years.
    fn follow_clock(&mut self, now: Timestamp) {
        self.first_look_until =
            self.first_look_until.map(|until| until.min(now + Self::FIRST_LOOK));
        for id in self.active_ids() {
            if self.updates.get(&id).is_some_and(|update| is_from_the_future(update, now))
                && let Some(update) = self.change(id)
                && let UpdateState::Confirming { since, returned_at, .. } = &mut update.state
            {
                *since = now.min(*since);
                *returned_at = returned_at.map(|back| now.min(back));
            }
        }
    }

    /// When [`super::Input::Tick`] is due next at the latest, if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let of_updates = self.updates.values().filter_map(|update| self.update_is_due(update, now));
        let doubts =
            self.devices.values().filter(|_| self.connected).filter_map(KnownDevice::doubt_ends_at);
        let unstored = self.devices.values().filter_map(|heard| heard.store_at(now));
        let apis = self.devices.values().filter_map(KnownDevice::look_at_api_at);
        let looks = self.look_again_at(now);
        let search = self.search_at(now);
        let of_devices = doubts.chain(unstored).chain(apis);
        of_updates.chain(of_devices).chain(self.first_look_until).chain(looks).chain(search).min()
    }
}
