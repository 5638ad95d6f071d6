//! Whether wakes that agree on nothing among themselves can be those of the configuration.

use core::time::Duration;

use super::fit::{GAP, multiple};
use super::kind::longer;
use super::{SleepPlan, Wake};

/// How many intervals are looked at.
const LATEST: usize = 5;

/// The last intervals between wakes, and how long the device was awake at their beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Telling([Option<(Duration, Option<Duration>)>; LATEST]);

/// How far off wakes may be from the configured period: the clock that counts a device's sleep is wrong by some
/// percent, and joining a network takes a few seconds.
pub(super) fn spread(period: Duration) -> Duration {
    period / 20 + Duration::from_secs(5)
}

impl Telling {
    pub(super) fn of(wakes: &[Wake]) -> Self {
        let mut telling = Self::default();
        let intervals = wakes.windows(2).rev().filter_map(|pair| match pair {
            [wake, next] if next.at > wake.at => {
                // Nobody knows how much longer it was.
                let unknown = wake.flashed && wake.awake.is_none();
                (!unknown).then(|| (next.at.since(wake.at), wake.awake))
            }
            _ => None,
        });
        for (place, interval) in telling.0.iter_mut().zip(intervals) {
            *place = Some(interval);
        }
        telling
    }

    /// Whether most of them are whole periods of this plan, or say nothing.
    pub(super) fn fits(&self, plan: &SleepPlan) -> bool {
        let Some(period) = plan.period() else { return false };
        let run = plan.run().unwrap_or_default();
        let tolerance = spread(period).as_secs_f64() / period.as_secs_f64();
        let (mut fitting, mut odd) = (0, 0);
        for (interval, awake) in self.0.iter().flatten() {
            let periods = |interval: Duration| {
                multiple(interval.as_secs_f64(), period.as_secs_f64(), tolerance).is_some()
            };
            let delay = awake.map_or(0, |awake| longer(awake, run));
            let undelayed = interval.saturating_sub(Duration::from_millis(delay.unsigned_abs()));
            if periods(*interval) || periods(undelayed) {
                fitting += 1;
            } else if undelayed.as_secs_f64() <= GAP * period.as_secs_f64() {
                odd += 1;
            }
        }
        odd * 3 <= fitting
    }
}
