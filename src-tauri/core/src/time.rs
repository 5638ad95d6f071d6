//! Points in time, as arguments.

use core::ops::Add;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in wall-clock time, in milliseconds since the Unix epoch.
///
/// Everything that is kept over a restart is kept in this form. It can jump when the system's clock is
/// set, so differences are saturating and nothing may depend on it being monotonic.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    specta::Type,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// Whether a pause until this time is over. One that would last longer than the `longest` was begun before the clock
/// was set back.
#[must_use]
pub fn is_over(until: Option<Timestamp>, longest: Duration, now: Timestamp) -> bool {
    until.is_none_or(|until| until <= now || until > now + longest)
}

impl Timestamp {
    /// The time `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The date and the minute in UTC, which everybody reads alike: `2026-10-03 14:02 UTC`.
    #[must_use]
    pub fn to_utc(self) -> String {
        let minutes = self.0.div_euclid(60_000);
        let (days, minute) = (minutes.div_euclid(24 * 60), minutes.rem_euclid(24 * 60));
        let (year, month, day) = civil(days);
        format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minute / 60, minute % 60)
    }

    /// The time that has passed since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).try_into().unwrap_or(0))
    }

    /// The time this much earlier.
    #[must_use]
    pub fn before(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(earlier.as_millis().try_into().unwrap_or(i64::MAX)))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later.as_millis().try_into().unwrap_or(i64::MAX)))
    }
}

/// The date so many days after 1970-01-01, as year, month and day. Years begin in March here, so that a leap day is the
/// last of its year; 400 of them have 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (year, from_january) = (era * 400 + year, if month < 10 { month + 3 } else { month - 9 });
    (year + i64::from(from_january <= 2), from_january, day - (153 * month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_827_696, "2000-02-29 12:34 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_767_225_599, "2025-12-31 23:59 UTC"),
            (1_767_225_600, "2026-01-01 00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
            (-1, "1969-12-31 23:59 UTC"),
        ] {
            assert_eq!(Timestamp::from_millis(seconds * 1_000).to_utc(), date);
        }
        // It is far away, but no defect.
        assert!(Timestamp::from_millis(i64::MAX).to_utc().ends_with("UTC"));
        assert!(Timestamp::from_millis(i64::MIN).to_utc().ends_with("UTC"));
    }

    #[test]
    fn a_difference_to_the_future_is_zero() {
        let early = Timestamp::from_millis(1_000);
        let late = early + Duration::from_secs(2);
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(
            early.since(late),
            Duration::ZERO,
            "a clock that was set back gives no time travel"
        );
    }

    #[test]
    fn adding_saturates() {
        assert_eq!((Timestamp::from_millis(5) + Duration::MAX).as_millis(), i64::MAX);
    }
}
