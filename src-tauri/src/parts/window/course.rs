//! How it stands with the window: the table of docs/ARCHITECTURE.md.

use std::time::Duration;

use tokio::time::Instant;

use super::process::Ended;

/// How long a window may take to be there, with a page that listens: the machine may be busy.
const OPENING: Duration = Duration::from_secs(60);
/// How long it may take to come to the front.
const SHOWING: Duration = Duration::from_secs(20);
/// How long a process may live on whose window is closed, or that neither listens nor talks any more.
const LEAVING: Duration = Duration::from_secs(5);
/// A window that was open for so long hasn't come back in vain: when it crashes then, it comes back once more. Shorter,
/// and one that can't live would come back again and again.
const PROVEN: Duration = Duration::from_secs(60);

/// What is done when somebody asks for the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its process is started.
    Start,
    /// It comes to the front.
    Show,
    /// It is about to end, which isn't waited for: it is killed, and opened anew after that.
    Replace,
}

/// What is done when a window's process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    Anew,
    Again,
    GiveUp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    None,
    Opening {
        shown: bool,
        listens: bool,
    },
    Open {
        since: Instant,
    },
    /// `closed`: by the user. However its process ends then, it is not to come back by itself.
    Ending {
        closed: bool,
    },
}

/// How it stands with the window.
#[derive(Debug, Default)]
pub(super) struct Course {
    state: State,
    /// It was asked for, and hasn't come to the front since.
    asked: bool,
    /// It was opened again by itself, and hasn't proved itself since.
    again: bool,
    deadline: Option<Instant>,
}

impl Course {
    /// When its process is taken for stuck.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Its process has been started.
    pub(super) fn started(&mut self, now: Instant) {
        self.state = State::Opening { shown: false, listens: false };
        self.asked = false;
        self.deadline = Some(now + OPENING);
    }

    /// The user asks for it.
    pub(super) fn wanted(&mut self, now: Instant) -> Wanted {
        self.again = false;
        self.asked = true;
        match self.state {
            State::None => Wanted::Start,
            State::Opening { .. } | State::Open { .. } => {
                self.deadline.get_or_insert(now + SHOWING);
                Wanted::Show
            }
            State::Ending { .. } => Wanted::Replace,
        }
    }

    /// It has come to the front.
    pub(super) fn shown(&mut self, now: Instant) {
        match self.state {
            State::Opening { listens, .. } => {
                self.asked = false;
                self.opening(true, listens, now);
            }
            State::Open { .. } => {
                self.asked = false;
                self.deadline = None;
            }
            State::None | State::Ending { .. } => {}
        }
    }

    /// Its page listens.
    pub(super) fn listens(&mut self, now: Instant) {
        if let State::Opening { shown, .. } = self.state {
            self.opening(shown, true, now);
        }
    }

    fn opening(&mut self, shown: bool, listens: bool, now: Instant) {
        if shown && listens {
            self.state = State::Open { since: now };
            self.deadline = None;
        } else {
            self.state = State::Opening { shown, listens };
        }
    }

    /// The user closes it.
    pub(super) fn closes(&mut self, now: Instant) {
        self.state = State::Ending { closed: true };
        self.deadline = Some(now + LEAVING);
    }

    /// Its process listens or talks no more.
    pub(super) fn silent(&mut self, now: Instant) {
        if self.state != (State::Ending { closed: true }) {
            self.leave(now);
            self.deadline = Some(now + LEAVING);
        }
    }

    /// Its process was taken for stuck.
    pub(super) fn killed(&mut self, now: Instant) {
        self.leave(now);
        self.deadline = None;
    }

    /// It is ending, by itself so far as is known.
    fn leave(&mut self, now: Instant) {
        match self.state {
            State::Open { since } if now.saturating_duration_since(since) >= PROVEN => {
                self.again = false;
            }
            State::None | State::Opening { .. } | State::Open { .. } | State::Ending { .. } => {}
        }
        if self.state != (State::Ending { closed: true }) {
            self.state = State::Ending { closed: false };
        }
    }

    /// Its process has ended.
    pub(super) fn ended(&mut self, ended: Ended, now: Instant) -> After {
        self.leave(now);
        let closed = self.state == State::Ending { closed: true };
        (self.state, self.deadline) = (State::None, None);
        match ended {
            Ended::InOrder if self.asked => After::Anew,
            Ended::Crashed if closed && self.asked => After::Anew,
            Ended::InOrder => After::Nothing,
            Ended::Crashed if closed => After::Nothing,
            Ended::Crashed if self.again => After::GiveUp,
            Ended::Crashed => {
                self.again = true;
                After::Again
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window that is open, and when that was.
    fn open() -> (Course, Instant) {
        let (mut course, now) = (Course::default(), Instant::now());
        assert_eq!(course.wanted(now), Wanted::Start);
        reopened(&mut course, now);
        (course, now)
    }

    fn reopened(course: &mut Course, now: Instant) {
        course.started(now);
        course.shown(now);
        course.listens(now);
        assert_eq!(course.deadline(), None);
    }

    #[test]
    fn a_window_that_crashes_comes_back_once() {
        let (mut course, now) = open();
        assert_eq!(course.ended(Ended::Crashed, now), After::Again);
        reopened(&mut course, now);
        course.silent(now);
        assert_eq!(course.ended(Ended::Crashed, now + PROVEN), After::GiveUp, "it ended before");
        // Of one that lived a little shorter than it takes, too.
        let (mut course, now) = open();
        let short = PROVEN - Duration::from_millis(1);
        assert_eq!(course.ended(Ended::Crashed, now + short), After::Again);
        reopened(&mut course, now);
        assert_eq!(course.ended(Ended::Crashed, now + short), After::GiveUp);
        assert_eq!(course.wanted(now), Wanted::Start);
        reopened(&mut course, now);
        assert_eq!(course.ended(Ended::Crashed, now), After::Again, "the user has asked for it");
    }

    #[test]
    fn a_window_that_proved_itself_comes_back_once_more() {
        let (mut course, mut now) = open();
        for _ in 0..3 {
            assert_eq!(course.ended(Ended::Crashed, now), After::Again);
            reopened(&mut course, now);
            now += Duration::from_secs(60);
        }
        // One that hangs, too.
        course.silent(now);
        assert_eq!(course.ended(Ended::Crashed, now), After::Again);
        course.started(now);
        assert_eq!(course.ended(Ended::Crashed, now + PROVEN), After::GiveUp, "it never opened");
    }

    #[test]
    fn a_window_that_was_closed_stays_closed_however_its_process_ends() {
        for end in [Ended::InOrder, Ended::Crashed] {
            let (mut course, now) = open();
            course.closes(now);
            assert_eq!(course.deadline(), Some(now + LEAVING));
            course.silent(now + LEAVING / 2);
            assert_eq!(course.deadline(), Some(now + LEAVING), "it isn't put off");
            course.killed(now + LEAVING);
            assert_eq!(course.ended(end, now + LEAVING), After::Nothing);
        }
    }

    #[test]
    fn a_window_that_was_closed_is_replaced_when_it_is_asked_for_meanwhile() {
        for end in [Ended::InOrder, Ended::Crashed] {
            let (mut course, now) = open();
            course.closes(now);
            assert_eq!(course.wanted(now), Wanted::Replace);
            course.shown(now);
            assert_eq!(course.ended(end, now), After::Anew);
        }
        let (mut course, now) = open();
        assert_eq!(course.wanted(now), Wanted::Show);
        assert_eq!(course.ended(Ended::InOrder, now), After::Anew, "it hasn't come to the front");
    }

    #[test]
    fn a_page_has_as_long_to_listen_as_its_window_to_be_there() {
        let (mut course, now) = (Course::default(), Instant::now());
        course.started(now);
        course.shown(now);
        assert_eq!(course.wanted(now), Wanted::Show);
        course.shown(now);
        assert_eq!(course.deadline(), Some(now + OPENING));
        course.listens(now);
        assert_eq!(course.deadline(), None);
        assert_eq!(course.wanted(now), Wanted::Show);
        course.listens(now);
        assert_eq!(course.deadline(), Some(now + SHOWING), "listening is not coming to the front");
        course.shown(now);
        assert_eq!(course.deadline(), None);
    }
}
