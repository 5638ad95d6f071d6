//! Why a build came to nothing, and when it is made again.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::time::{Timestamp, is_over};

/// A build that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFailure {
    /// Whether the same build can succeed later.
    pub class: BuildFailureClass,
    /// What the user reads.
    pub problem: Problem,
}

/// Whether a build that failed can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildFailureClass {
    /// Something was missing that may come back: it is built again by itself.
    Again(Lack),
    /// Building the same once more can't help.
    Final,
}

/// What a build was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum Lack {
    /// The config directory.
    Directory,
    /// An ESPHome that starts.
    Esphome,
    /// The network, for a download.
    Network,
    /// Room on a disk.
    Disk,
    /// Memory; or the system ended it for another reason.
    Memory,
}

impl BuildFailure {
    /// Something was missing that may come back.
    #[must_use]
    pub const fn again(lack: Lack, problem: Problem) -> Self {
        Self { class: BuildFailureClass::Again(lack), problem }
    }
}

impl From<Problem> for BuildFailure {
    fn from(problem: Problem) -> Self {
        Self { class: BuildFailureClass::Final, problem }
    }
}

/// The pause after the first of several failures. It doubles with each.
pub const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause: a build costs the computer minutes of its work.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

/// How long to wait after this many failures in a row.
#[must_use]
pub fn pause_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

/// Whether the pause until this time is over.
#[must_use]
pub fn build_pause_is_over(until: Option<Timestamp>, now: Timestamp) -> bool {
    is_over(until, LONGEST_PAUSE, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_from_a_minute_to_half_an_hour() {
        let minutes = [1, 2, 3, 4, 5, 6, 7, 1_000, u32::MAX].map(|n| pause_after(n).as_secs() / 60);
        assert_eq!(minutes, [1, 2, 4, 8, 16, 30, 30, 30, 30]);
        assert_eq!(pause_after(0), FIRST_PAUSE);
    }

    #[test]
    fn a_clock_that_was_set_back_ends_a_pause() {
        let now = Timestamp::from_millis(10_000_000);
        let until = now + LONGEST_PAUSE;
        assert!(!build_pause_is_over(Some(until), now) && build_pause_is_over(Some(until), until));
        assert!(build_pause_is_over(Some(until), now.before(Duration::from_secs(1))));
        assert!(build_pause_is_over(None, now));
    }
}
