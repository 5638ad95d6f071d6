//! When a connection is made, given up and made anew: pure, the time is an argument.

use std::time::Duration;

/// The first pause after a connection has ended or can't be made; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// It is being made, after so many failures in a row.
    Connecting {
        failed: u32,
    },
    Open,
    /// The next attempt begins then.
    Pausing {
        failed: u32,
        until: Duration,
    },
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The other side has greeted and said all there is to see.
    Opened,
    /// It has ended, or can't be made.
    Ended,
    /// This computer has slept or is in another network, or the user doesn't want to wait.
    Stirred,
    /// Time has passed.
    Time,
}

/// What is to be done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    /// Begin a connection, and leave an attempt that is under way.
    Connect,
    /// Ask for a sign of life: it may be dead without a word.
    Probe,
}

impl Course {
    pub(crate) const fn begin() -> Self {
        Self::Connecting { failed: 0 }
    }

    pub(crate) fn take(&mut self, input: Input, now: Duration) -> Step {
        let (next, step) = match (*self, input) {
            (Self::Connecting { .. }, Input::Opened) => (Self::Open, Step::Nothing),
            (Self::Connecting { failed }, Input::Ended) => (pausing(failed, now), Step::Nothing),
            (Self::Open, Input::Ended) => (pausing(0, now), Step::Nothing),
            (Self::Connecting { .. } | Self::Pausing { .. }, Input::Stirred) => {
                (Self::begin(), Step::Connect)
            }
            (Self::Open, Input::Stirred) => (Self::Open, Step::Probe),
            (Self::Pausing { failed, until }, Input::Time) if now >= until => {
                (Self::Connecting { failed }, Step::Connect)
            }
            // Words of a connection that was left, and time that doesn't matter.
            (stays @ Self::Open, Input::Opened)
            | (stays @ Self::Pausing { .. }, Input::Opened | Input::Ended | Input::Time)
            | (stays @ (Self::Connecting { .. } | Self::Open), Input::Time) => {
                (stays, Step::Nothing)
            }
        };
        *self = next;
        step
    }

    /// When it has to hear of the time.
    pub(crate) const fn due(self) -> Option<Duration> {
        match self {
            Self::Pausing { until, .. } => Some(until),
            Self::Connecting { .. } | Self::Open => None,
        }
    }
}

fn pausing(failed: u32, now: Duration) -> Course {
    let pause = FIRST_PAUSE.saturating_mul(1 << failed.min(10)).min(LONGEST_PAUSE);
    Course::Pausing { failed: failed.saturating_add(1), until: now + pause }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_pauses_grow_to_a_minute_and_begin_anew_after_a_connection() {
        let (mut course, mut now, mut pauses) = (Course::begin(), at(0), Vec::new());
        for _ in 0..9 {
            assert_eq!(course.take(Input::Ended, now), Step::Nothing);
            let due = course.due().unwrap();
            pauses.push((due - now).as_secs());
            assert_eq!(course.take(Input::Time, due - at(1)), Step::Nothing, "too early");
            assert_eq!(course.take(Input::Time, due), Step::Connect);
            now = due;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        course.take(Input::Opened, now);
        course.take(Input::Ended, now);
        assert_eq!(course.due(), Some(now + at(1)));
    }

    #[test]
    fn whoever_comes_back_connects_at_once_and_an_open_connection_is_asked_for_a_sign_of_life() {
        let mut course = Course::begin();
        course.take(Input::Ended, at(0));
        assert_eq!(course.take(Input::Stirred, at(0)), Step::Connect);
        assert_eq!(course, Course::begin());
        // An attempt in the network of before leads nowhere.
        assert_eq!(course.take(Input::Stirred, at(0)), Step::Connect);
        course.take(Input::Opened, at(0));
        assert_eq!(course.take(Input::Stirred, at(0)), Step::Probe);
        assert_eq!(course, Course::Open);
    }

    #[test]
    fn each_line_of_the_documents_table_is_so() {
        let document = include_str!("../../../docs/ARCHITECTURE.md");
        let section = document.split("## An engine elsewhere\n").nth(1).unwrap();
        let rows = section.lines().skip_while(|line| !line.starts_with("| Connection")).skip(2);
        let rows: Vec<Vec<&str>> = rows
            .map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
            .map(|row| row.split(" | ").collect())
            .collect();
        let mut told = Vec::new();
        for from in [Course::begin(), Course::Open, pausing(0, at(0))] {
            for input in [Input::Opened, Input::Ended, Input::Stirred, Input::Time] {
                let mut next = from;
                let step = next.take(input, at(9));
                if next != from || step != Step::Nothing {
                    told.push((name(from), words(input), name(next), step));
                }
            }
        }
        let listed: Vec<_> = rows.iter().map(|row| (row[0], row[1], row[2])).collect();
        let wanted: Vec<_> = told.iter().map(|told| (told.0, told.1, told.2)).collect();
        assert_eq!(listed, wanted);
    }

    fn name(course: Course) -> &'static str {
        match course {
            Course::Connecting { .. } => "connecting",
            Course::Open => "open",
            Course::Pausing { .. } => "pausing",
        }
    }

    fn words(input: Input) -> &'static str {
        match input {
            Input::Opened => "greeted, and said all there is to see",
            Input::Ended => "ended, or can't be made",
            Input::Stirred => "resumed, another network, or the user's word",
            Input::Time => "the pause is over",
        }
    }
}
