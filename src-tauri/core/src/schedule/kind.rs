//! Whether a device counts its sleep or wakes by a clock, as far as wakes that lasted longer than usual tell.

use core::time::Duration;

use super::Wake;
use super::fit::{Fit, fit};
use crate::time::Timestamp;

/// What a wake that lasted longer than usual does to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// It puts it off: the device counts its sleep.
    Counts,
    /// Nothing: the device wakes by a clock.
    Clock,
    /// The wakes don't tell.
    #[default]
    Unclear,
}

/// What wakes were found to follow.
pub(super) struct Found {
    pub(super) fit: Fit,
    pub(super) kind: Kind,
    /// The length of a wake that the period is for, where that was reckoned with.
    pub(super) usual: Option<Duration>,
}

/// How much better one kind must explain the past than the other one: as a share, and in milliseconds altogether.
const CLEARLY: f64 = 0.8;
const CLEARLY_MS: f64 = 4_000.0;

/// The period of these wakes, of whichever kind of device explains them better; `window` is how long it is
/// usually awake.
pub(super) fn find(wakes: &[Wake], window: Option<Duration>) -> Option<Found> {
    let times: Vec<i64> = wakes.iter().map(|wake| wake.at.as_millis()).collect();
    let by_clock = fit(&times);
    let plain = |fit, kind| Found { fit, kind, usual: None };
    // Where only flashes were seen, they are the usual.
    let Some(usual) = window.or_else(|| wakes.iter().filter_map(|wake| wake.awake).min()) else {
        return Some(plain(by_clock?, Kind::Unclear));
    };
    let (undelayed, delay) = without_delays(wakes, usual);
    if undelayed == times {
        return Some(plain(by_clock?, Kind::Unclear));
    }
    let counted = fit(&undelayed).map(|fit| {
        let anchor = Timestamp::from_millis(fit.anchor.as_millis().saturating_add(delay));
        Fit { anchor, ..fit }
    });
    let counts = |fit, kind| Found { fit, kind, usual: Some(usual) };
    Some(match (by_clock, counted) {
        (None, None) => return None,
        (Some(fit), None) => plain(fit, Kind::Clock),
        (None, Some(fit)) => counts(fit, Kind::Counts),
        (Some(clock), Some(count)) => {
            if better(&count, &clock) {
                counts(count, Kind::Counts)
            } else if better(&clock, &count) {
                plain(clock, Kind::Clock)
            } else if count.misfit < clock.misfit {
                counts(count, Kind::Unclear)
            } else {
                plain(clock, Kind::Unclear)
            }
        }
    })
}

/// Whether one explains clearly more than the other.
fn better(one: &Fit, other: &Fit) -> bool {
    if one.wakes != other.wakes {
        return one.wakes > other.wakes;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few wakes")]
    let gain = (other.misfit - one.misfit) * one.wakes as f64;
    one.misfit < other.misfit * CLEARLY && gain > CLEARLY_MS
}

/// When the wakes would have been if none had lasted longer than usual and put off those after it; and by how much
/// the last one was put off. What came after a flash whose end nobody saw tells nothing.
fn without_delays(wakes: &[Wake], usual: Duration) -> (Vec<i64>, i64) {
    let mut delay = 0_i64;
    let mut times: Vec<i64> = wakes.iter().take(1).map(|wake| wake.at.as_millis()).collect();
    for (wake, next) in wakes.iter().zip(wakes.iter().skip(1)) {
        let interval = next.at.as_millis().saturating_sub(wake.at.as_millis());
        delay = delay.saturating_add(match wake.awake {
            Some(awake) => longer(awake, usual),
            None if wake.flashed => interval,
            None => 0,
        });
        times.push(next.at.as_millis().saturating_sub(delay));
    }
    (times, delay)
}

/// How much longer than usual it was, in milliseconds.
pub(super) fn longer(awake: Duration, usual: Duration) -> i64 {
    i64::try_from(awake.saturating_sub(usual).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "kind_tests.rs"]
mod tests;
