//! The ESPHome that builds: which one is there, and when a missing one is looked for again.

use core::time::Duration;

use crate::build_failure::Lack;
use crate::time::Timestamp;

use super::{Builder, Dispatch, Effect};

/// When ESPHome is looked for again that isn't there, at first and at the longest. It doubles.
const SEARCH_PAUSE: Duration = Duration::from_secs(30);

const LONGEST_SEARCH_PAUSE: Duration = Duration::from_secs(600);

/// When a missing ESPHome is looked for again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EsphomeSearch {
    /// How often it was looked for in vain.
    in_vain: u32,
    /// `None`: it is there, or being looked for.
    at: Option<Timestamp>,
}

impl Dispatch {
    /// Its version decides for which devices there is an update.
    pub(super) fn take_builder(&mut self, builder: Builder, now: Timestamp) {
        match builder {
            Builder::Missing => self.search_later(now),
            Builder::Ready { .. } | Builder::Coming => self.search = EsphomeSearch::default(),
        }
        // The one that is there builds while another one is installed.
        let there = matches!(self.builder, Some(Builder::Ready { .. }));
        if self.builder.as_ref() != Some(&builder) && !(there && builder == Builder::Coming) {
            self.builder = Some(builder);
            self.decision.touched.extend(self.rows());
            if matches!(self.builder, Some(Builder::Ready { .. })) {
                self.is_back_for_builds(Lack::Esphome);
            }
        }
    }

    /// There is no ESPHome: it is looked for again after a while, as long as something waits for it.
    fn search_later(&mut self, now: Timestamp) {
        let doublings = self.search.in_vain.min(16);
        let pause = SEARCH_PAUSE.saturating_mul(1 << doublings).min(LONGEST_SEARCH_PAUSE);
        let in_vain = self.search.in_vain.saturating_add(1);
        self.search = EsphomeSearch { in_vain, at: Some(now + pause) };
    }

    /// When ESPHome is to be looked for.
    pub(super) fn search_at(&self, now: Timestamp) -> Option<Timestamp> {
        let wanted = self.builder == Some(Builder::Missing)
            && self.queued().any(|update| self.is_here(update));
        // One that is later than any was put off before the clock was set back.
        self.search.at.filter(|_| wanted).map(|at| at.min(now + LONGEST_SEARCH_PAUSE))
    }

    pub(super) fn search(&mut self, now: Timestamp) {
        if self.search_at(now).is_some_and(|at| at <= now) {
            self.search.at = None;
            self.decision.effects.push(Effect::FindEsphome);
        }
    }
}
