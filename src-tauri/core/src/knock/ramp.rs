//! The pace after evidence of life. A device opens its OTA listener before it announces itself, and one that
//! probes or that refuses a connection opens it within moments: then each quarter of a second counts.

use core::time::Duration;

/// How long after evidence of life the pace is fast.
pub const HOT: Duration = Duration::from_secs(5);

/// The pace then, after the first quick steps.
pub const STEADY: Duration = Duration::from_millis(250);

/// A device that says something again and again, and never opens its port, is at the fast pace for no longer.
const LONGEST: Duration = Duration::from_secs(10);

/// Counted from the beginning of one fast time, the next one begins at the earliest.
const APART: Duration = Duration::from_secs(20);

/// A device whose port stays closed refuses at every knock: that alone is no news again before this time.
const REFUSALS_APART: Duration = Duration::from_secs(60);

/// The first steps: until this time after the evidence, the next knock comes this much later.
const STEPS: [(Duration, Duration); 2] = [
    (Duration::from_millis(50), Duration::from_millis(50)),
    (Duration::from_millis(150), Duration::from_millis(100)),
];

/// The fast time of one device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    begun: Duration,
    until: Duration,
}

impl Ramp {
    fn begin(now: Duration) -> Self {
        Self { begun: now, until: now.saturating_add(HOT) }
    }

    /// There is evidence of life.
    pub(super) fn evidence(before: Option<Self>, now: Duration) -> Self {
        match before {
            Some(ramp) if now < ramp.begun.saturating_add(APART) => {
                let latest = ramp.begun.saturating_add(LONGEST);
                Self { until: ramp.until.max(now.saturating_add(HOT).min(latest)), ..ramp }
            }
            Some(_) | None => Self::begin(now),
        }
    }

    /// The port is closed, and the host is there.
    pub(super) fn refused(before: Option<Self>, now: Duration) -> Self {
        match before {
            Some(ramp) if now < ramp.begun.saturating_add(REFUSALS_APART) => ramp,
            Some(_) | None => Self::begin(now),
        }
    }

    pub(super) fn is_hot(&self, now: Duration) -> bool {
        now < self.until
    }

    /// How long after a knock at `now` the next one is due.
    pub(super) fn step(&self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.begun);
        STEPS.iter().find(|(until, _)| passed < *until).map_or(STEADY, |(_, step)| *step)
    }
}
