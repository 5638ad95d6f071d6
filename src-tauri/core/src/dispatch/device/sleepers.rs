//! Which devices sleep, and what their configurations and builds say about it.

use std::sync::Arc;

use crate::device::DeviceId;
use crate::dispatch::Dispatch;
use crate::schedule::SleepPlan;
use crate::update::Update;

impl Dispatch {
    /// Whether the device of an update is known to use deep sleep.
    pub(in crate::dispatch) fn update_sleeps(&self, update: &Update) -> bool {
        let configured = self.configuration_of(update).and_then(|file| file.content.as_ref().ok());
        configured.is_some_and(|summary| summary.deep_sleep)
            || self.memory(&update.name).is_some_and(|memory| memory.deep_sleep)
    }

    /// Whether a device is known to use deep sleep, by its configuration or its last build.
    pub(in crate::dispatch) fn sleeps(&self, device: &DeviceId, name: &str) -> bool {
        let configured = self
            .configs
            .get(device)
            .and_then(|file| file.content.as_ref().ok())
            .is_some_and(|summary| summary.deep_sleep);
        configured || self.memory(name).is_some_and(|memory| memory.deep_sleep)
    }

    /// Whether the device of this name is known to use deep sleep.
    pub(super) fn is_sleeper(&self, name: &str) -> bool {
        self.sleepers.contains(name) || self.memory(name).is_some_and(|memory| memory.deep_sleep)
    }

    pub(in crate::dispatch) fn sleep_plan(&self, name: &str) -> Option<SleepPlan> {
        self.memory(name)
            .and_then(|memory| memory.sleep_plan)
            .or_else(|| self.plans.get(name).copied())
    }

    /// Takes over who sleeps, and how long, from the configurations.
    pub(in crate::dispatch) fn take_plans(&mut self) {
        let summaries = || {
            let files = self.configs.values();
            files.filter_map(|file| Some((self.name_of(file), file.content.as_ref().ok()?)))
        };
        let sleepers = summaries().filter(|(_, summary)| summary.deep_sleep);
        let sleepers = sleepers.map(|(name, _)| name.to_owned()).collect();
        let plans =
            summaries().filter_map(|(name, summary)| Some((name.to_owned(), summary.sleep_plan?)));
        let plans = plans.collect();
        (self.sleepers, self.plans) = (Arc::new(sleepers), Arc::new(plans));
    }
}
