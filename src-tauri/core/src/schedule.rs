//! When a device wakes: what is learned from the wakes that were seen, and what follows for the next one.
//!
//! Not every wake is seen (the application was closed, a packet got lost), and not everything that looks
//! like a wake is one of the schedule (a button was pressed). So an interval counts as some multiple of the
//! period, one odd wake between two regular ones is passed over, and what is recent wins: the period is
//! learned from the longest run of wakes up to now that agrees with itself.

mod configured;
mod fit;
mod kind;
mod plan;

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

use configured::Telling;
use kind::{Found, Kind};
pub use plan::{SleepPlan, duration};

/// A wake that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// Tells the wakes of a device apart and orders them: the clock can be set back between two.
    pub number: u32,
    /// When it was first noticed.
    pub at: Timestamp,
    /// How long it lasted; `None`: it lasts, or nobody saw its end.
    pub awake: Option<Duration>,
    /// It was flashed in this wake, so that its length says nothing about others.
    pub flashed: bool,
}

/// What kind of schedule a device has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum Rhythm {
    /// It wakes after about the same time again and again.
    Regular,
    /// Its wakes follow no period: a button, a movement.
    Irregular,
    /// A first guess: what its configuration says.
    Configured,
    /// Too little is known.
    #[default]
    Unknown,
}

/// What is known about a device's wakes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// What kind of schedule it is.
    pub rhythm: Rhythm,
    /// The time from one wake to the next.
    pub period: Option<Duration>,
    /// Half the width of the time in which a wake is expected.
    pub spread: Duration,
    /// How long the device is usually awake.
    pub window: Option<Duration>,
    /// A moment of the schedule: wakes are expected whole periods after it.
    anchor: Option<Timestamp>,
    /// The last wake that was seen.
    last: Option<Timestamp>,
    /// How long that one lasted.
    last_awake: Option<Duration>,
    /// How much later than usual the next one is expected.
    put_off: Duration,
    /// Whether wakes that last longer put off others.
    kind: Kind,
    /// The length of a wake that the period is for, where that was reckoned with.
    usual: Option<Duration>,
    /// The last wakes, where they agree on nothing.
    telling: Telling,
}

/// How many wakes a schedule is learned from.
const LEARNED_FROM: usize = 25;

/// From so many intervals on, wakes that agree on no period are irregular.
const IRREGULAR_FROM: usize = 4;

/// How many lengths of wakes are needed before they count for more than the configuration.
const WINDOWS_NEEDED: usize = 2;

impl Schedule {
    /// How many wakes of a device are kept.
    pub const WAKES_KEPT: usize = 200;

    /// Learns from wakes, oldest first.
    #[must_use]
    pub fn learn(wakes: &[Wake]) -> Self {
        let recent = wakes.get(wakes.len().saturating_sub(LEARNED_FROM)..).unwrap_or_default();
        let last = recent.last().map(|wake| wake.at);
        let window = window(recent);
        let last_awake = recent.last().and_then(|wake| wake.awake);
        let base = Self { window, last, last_awake, ..Self::default() };
        if let Some(Found { fit, kind, usual }) = kind::find(recent, window) {
            return Self {
                rhythm: Rhythm::Regular,
                period: Some(fit.period),
                spread: fit.spread,
                anchor: Some(fit.anchor),
                kind,
                usual,
                ..base
            };
        }
        let later = |pair: &&[Wake]| matches!(pair, [a, b] if b.at > a.at);
        let intervals = recent.windows(2).filter(later).count();
        if intervals >= IRREGULAR_FROM {
            Self { rhythm: Rhythm::Irregular, telling: Telling::of(recent), ..base }
        } else {
            base
        }
    }

    /// With what the configuration says, where the wakes say nothing, and don't contradict it.
    #[must_use]
    pub fn or_guess(self, plan: Option<&SleepPlan>) -> Self {
        let run = plan.and_then(SleepPlan::run);
        let guessed = Self { window: self.window.or(run), ..self };
        let by_plan = match self.rhythm {
            Rhythm::Unknown => true,
            Rhythm::Irregular => plan.is_some_and(|plan| self.telling.fits(plan)),
            Rhythm::Regular | Rhythm::Configured => false,
        };
        let schedule = match plan.and_then(SleepPlan::period).filter(|_| by_plan) {
            Some(period) => Self {
                rhythm: Rhythm::Configured,
                period: Some(period),
                spread: configured::spread(period),
                anchor: self.last,
                // What was learned since is no part of its period.
                usual: Some(run.unwrap_or_default()),
                ..guessed
            },
            None if self.window.is_none() => guessed.for_wakes_of(run),
            None => guessed,
        };
        schedule.put_off()
    }

    /// With the period for wakes of this length, where only longer ones were seen.
    fn for_wakes_of(self, run: Option<Duration>) -> Self {
        let (Some(run), Some(usual), Some(period)) = (run, self.usual, self.period) else {
            return self;
        };
        let period = period.saturating_sub(usual.saturating_sub(run));
        Self { usual: Some(usual.min(run)), period: Some(period), ..self }
    }

    /// A device that counts its sleep wakes later when it was awake for longer than usual: it was flashed, or kept
    /// awake. One that wakes by a clock doesn't, but only what followed on longer wakes shows that: where moments are
    /// noticed less exactly than they are counted, all wakes seem to have their places.
    fn put_off(self) -> Self {
        let usual = self.usual.or(self.window);
        let (Some(anchor), Some(awake), Some(usual)) = (self.anchor, self.last_awake, usual) else {
            return self;
        };
        let longer = awake.saturating_sub(usual);
        let put_off = match self.kind {
            Kind::Counts => true,
            Kind::Clock => false,
            Kind::Unclear => longer > self.spread,
        };
        if !put_off {
            return self;
        }
        Self { anchor: Some(anchor + longer), put_off: longer, ..self }
    }

    /// The middle of the next expected wake that isn't over yet. `None`: nothing tells, or the clock was set
    /// back behind the last wake.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        if self.last? > now {
            return None;
        }
        self.expected_after(now.before(self.spread))
    }

    /// The first moment of the schedule that is later than this one, and at least most of a period later
    /// than the last wake, or than when that one would have begun if it had been as long as usual.
    fn expected_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let (anchor, period) = (self.anchor?, self.period?);
        let step = i64::try_from(period.as_millis()).ok().filter(|step| *step > 0)?;
        let seen = self
            .last
            .map_or(i64::MIN, |last| last.max(anchor).as_millis().saturating_add(step / 2));
        let from = moment.as_millis().max(seen);
        let passed = from.saturating_sub(anchor.as_millis()).div_euclid(step).saturating_add(1);
        Some(Timestamp::from_millis(anchor.as_millis().saturating_add(passed.saturating_mul(step))))
    }

    /// The middle of the first wake that is expected after the last one that was seen, and since somebody listens:
    /// what was to come while nobody listened may have come. Until it comes, or is late, no other is the next.
    #[must_use]
    pub fn due(&self, listening_since: Timestamp) -> Option<Timestamp> {
        self.expected_after((listening_since + self.spread).max(self.last?))
    }

    /// How many expected wakes have passed since somebody listened, without the device.
    #[must_use]
    pub fn missed(&self, now: Timestamp, listening_since: Timestamp) -> u64 {
        let (Some(first), Some(period)) = (self.due(listening_since), self.period) else {
            return 0;
        };
        let tolerance = self.tolerance();
        let Some(late) = now.since(first).checked_sub(tolerance) else { return 0 };
        let period = period.as_millis().max(1);
        u64::try_from(late.as_millis() / period).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// How much later than expected is late.
    #[must_use]
    pub fn tolerance(&self) -> Duration {
        self.spread * 3
    }

    /// When it is worth trying most often: until the end of the next time in which a wake is expected, from its
    /// beginning. `None`: it doesn't concentrate on any time.
    #[must_use]
    pub fn rush(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let margin = self.spread.max(Self::LEAST_MARGIN);
        if self.period? < margin * 4 {
            return None;
        }
        if self.last? > now {
            return None;
        }
        let next = self.expected_after(now.before(margin))?;
        // It may wake by a clock all the same. A rush for most of the time would be none.
        let early = if self.put_off <= self.period? / 4 { self.put_off } else { Duration::ZERO };
        Some((next.before(margin + early), next + margin))
    }

    /// The least time before and after the expected wake in which it is tried most often.
    pub const LEAST_MARGIN: Duration = Duration::from_secs(4);
}

/// How long a device is usually awake: half of its wakes last longer.
fn window(wakes: &[Wake]) -> Option<Duration> {
    let undisturbed = wakes.iter().filter(|wake| !wake.flashed).filter_map(|wake| wake.awake);
    let mut lengths: Vec<Duration> = undisturbed.collect();
    lengths.sort_unstable();
    (lengths.len() >= WINDOWS_NEEDED).then(|| lengths.get((lengths.len() - 1) / 2).copied())?
}

#[cfg(test)]
mod tests;
