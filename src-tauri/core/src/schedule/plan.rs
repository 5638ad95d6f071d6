//! What a configuration says about a device's sleep.

use core::time::Duration;

use serde::{Deserialize, Serialize};

/// The durations of `deep_sleep:`, in milliseconds; `None`: not said, or not literally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SleepPlan {
    /// `run_duration`: how long it is awake.
    pub run_ms: Option<u64>,
    /// `sleep_duration`: how long it sleeps.
    pub sleep_ms: Option<u64>,
}

impl SleepPlan {
    /// From the texts of the configuration; `None` when they say nothing.
    #[must_use]
    pub fn read(run: Option<&str>, sleep: Option<&str>) -> Option<Self> {
        let plan = Self {
            run_ms: run.and_then(duration).map(millis),
            sleep_ms: sleep.and_then(duration).map(millis),
        };
        (plan != Self::default()).then_some(plan)
    }

    /// How long it is awake.
    #[must_use]
    pub fn run(&self) -> Option<Duration> {
        self.run_ms.map(Duration::from_millis)
    }

    /// How long it sleeps.
    #[must_use]
    pub fn sleep(&self) -> Option<Duration> {
        self.sleep_ms.filter(|sleep| *sleep > 0).map(Duration::from_millis)
    }

    /// The time from one wake to the next. Without a `run_duration` it sleeps when it is told to; how long it
    /// is awake until then, nobody knows, and it is little against the sleep.
    #[must_use]
    pub fn period(&self) -> Option<Duration> {
        Some(self.sleep()?.saturating_add(self.run().unwrap_or_default()))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The longest duration that is believed.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Reads a duration as ESPHome writes it: `90s`, `1.5 min`, `2h`, `1d`, `500ms`, and without a unit,
/// milliseconds.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit.trim() {
        "us" | "microseconds" => 0.000_001,
        "" | "ms" | "milliseconds" => 0.001,
        "s" | "sec" | "secs" | "seconds" => 1.0,
        "min" | "mins" | "minutes" => 60.0,
        "h" | "hours" => 3_600.0,
        "d" | "days" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok().filter(|duration| *duration <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_esphome_writes_them() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1.5min", 90_000),
            ("10 min", 600_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("500ms", 500),
            ("120000", 120_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", "s", "10 parsecs", "-5s", "1.2.3s", "${sleep}", "99999999999d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_plan_without_sleep_has_no_period() {
        assert_eq!(SleepPlan::read(None, None), None);
        let plan = SleepPlan::read(Some("20s"), None).unwrap();
        assert_eq!((plan.run(), plan.period()), (Some(Duration::from_secs(20)), None));
        let plan = SleepPlan::read(Some("20s"), Some("10min")).unwrap();
        assert_eq!(plan.period(), Some(Duration::from_secs(620)));
    }
}
