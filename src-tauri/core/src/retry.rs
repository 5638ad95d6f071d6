//! What follows on each kind of failed attempt.

use core::time::Duration;

use crate::time::{Timestamp, is_over};
use wakeflash_ota::FailureClass;

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Try again this much later, should the device still be there.
    RetryIn(Duration),
    /// Try again at once with the password of the last installed build.
    TryLastPassword,
    /// Trying again can't help.
    GiveUp,
    /// Nobody knows whether the device has the image: let it say so.
    Confirm,
}

/// How often the device itself may fail an attempt before the update is given up: a flash that can't be
/// written would otherwise be worn out by a device that wakes every few minutes.
pub const DEVICE_ERROR_LIMIT: u32 = 3;

/// The pause after a cut connection: long enough for a rebooting device's old sockets to be gone, short
/// against a window of a few seconds. It doubles with each transfer that is cut in the same wake.
pub const AFTER_CUT: Duration = Duration::from_millis(500);

/// How many transfers to one device may begin within [`TRANSFER_HOUR`]: each erases its flash, and a device that
/// crashes in them would do so without end.
pub const TRANSFERS_AN_HOUR: usize = 12;

/// See [`TRANSFERS_AN_HOUR`].
pub const TRANSFER_HOUR: Duration = Duration::from_secs(3_600);

/// After so many transfers of a build that were cut the user is told. A single one is no news.
pub const CUTS_TOLD: u32 = 3;

/// The pause when another client has the device's only OTA session.
pub const WHILE_BUSY: Duration = Duration::from_secs(3);

/// The pause after an error of the device's own: its next wake, or this much later when it stays awake.
pub const AFTER_DEVICE_ERROR: Duration = Duration::from_secs(20);

/// How long an address is left alone where nothing told whether the device answers there.
pub const AFTER_REFUSED_GATE: Duration = Duration::from_secs(10);

/// How long an address is left alone where another device answers.
pub const AT_ANOTHER_DEVICE: Duration = Duration::from_secs(60);

/// How long, of that, whatever is said of it: within so short a time no address changes hands.
pub const AT_ANOTHER_DEVICE_AT_LEAST: Duration = Duration::from_secs(3);

/// The longest of these pauses.
const LONGEST_PAUSE: Duration = AT_ANOTHER_DEVICE;

/// Whether the pause until this time is over.
#[must_use]
pub fn pause_is_over(until: Option<Timestamp>, now: Timestamp) -> bool {
    is_over(until, LONGEST_PAUSE, now)
}

/// The pause after so many transfers that were cut in one wake.
#[must_use]
pub fn after_cuts(cuts: u32) -> Duration {
    let doublings = cuts.saturating_sub(1).min(16);
    AFTER_CUT.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

/// Decides what follows on a failed attempt. `cuts` (those of this wake) and `device_errors` count this one;
/// `has_other_password` says that the last installed build had another password which hasn't been tried yet.
#[must_use]
pub fn next_step(
    class: FailureClass,
    cuts: u32,
    device_errors: u32,
    has_other_password: bool,
) -> NextStep {
    match class {
        FailureClass::RetryNow => NextStep::RetryIn(after_cuts(cuts)),
        FailureClass::Busy => NextStep::RetryIn(WHILE_BUSY),
        FailureClass::NextWake if device_errors >= DEVICE_ERROR_LIMIT => NextStep::GiveUp,
        FailureClass::NextWake => NextStep::RetryIn(AFTER_DEVICE_ERROR),
        FailureClass::WrongPassword if has_other_password => NextStep::TryLastPassword,
        FailureClass::WrongPassword | FailureClass::Permanent => NextStep::GiveUp,
        FailureClass::OutcomeUnknown => NextStep::Confirm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_trouble_never_ends_an_update() {
        for errors in 0..1_000 {
            for class in [FailureClass::RetryNow, FailureClass::Busy] {
                assert!(matches!(next_step(class, errors, errors, false), NextStep::RetryIn(_)));
            }
        }
    }

    #[test]
    fn the_pause_between_cut_transfers_doubles_up_to_a_minute() {
        let pauses =
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, u32::MAX].map(|cuts| after_cuts(cuts).as_millis());
        let seconds =
            [500, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000];
        assert_eq!(pauses, seconds);
    }

    #[test]
    fn a_device_that_keeps_failing_is_left_alone() {
        let next = |errors| next_step(FailureClass::NextWake, 0, errors, false);
        assert!(matches!(next(1), NextStep::RetryIn(_)));
        assert_eq!(next(DEVICE_ERROR_LIMIT), NextStep::GiveUp);
    }

    #[test]
    fn no_pause_outlasts_the_longest_one() {
        for pause in [AFTER_CUT, WHILE_BUSY, AFTER_DEVICE_ERROR, AFTER_REFUSED_GATE] {
            assert!(pause <= LONGEST_PAUSE);
            let now = Timestamp::from_millis(1_000_000);
            assert!(!pause_is_over(Some(now + pause), now));
            assert!(pause_is_over(Some(now + pause), now + pause));
            let set_back = Timestamp::from_millis(0);
            assert!(
                pause_is_over(Some(now + pause), set_back),
                "a clock that was set back ends it"
            );
        }
    }

    #[test]
    fn the_password_that_the_device_may_still_have_is_tried_once() {
        let next = |other| next_step(FailureClass::WrongPassword, 0, 0, other);
        assert_eq!(next(true), NextStep::TryLastPassword);
        assert_eq!(next(false), NextStep::GiveUp);
    }
}
