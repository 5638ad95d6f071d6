//! The computer sleeps, its clock is set, its network goes: nothing follows about any device.

use core::time::Duration;

use crate::device::{Presence, Sighting, Source};
use crate::dispatch::{DOUBT, Input};
use crate::update::{StateKind, UpdateId};
use crate::view::NotificationKind;

use super::lab::*;

/// A device that has woken every ten minutes; an update waits for it, and it is awake.
fn awake() -> (Lab, UpdateId) {
    let mut lab = Lab::with(vec![config("sleepy")]);
    for _ in 0..5 {
        lab.after(580).seen("sleepy", Some(OLD));
        lab.after(20).give(Input::Sighted(goodbye("sleepy")));
    }
    let id = lab.install("sleepy");
    lab.built(id);
    lab.after(170).give(Input::Tick);
    lab.after(170).give(Input::Tick);
    lab.after(170).give(Input::Tick);
    lab.after(70).seen("sleepy", Some(OLD));
    (lab, id)
}

fn presence(lab: &Lab) -> Presence {
    lab.row("sleepy").presence
}

fn is_quiet(lab: &Lab) -> bool {
    lab.told_kinds().iter().all(|kind| *kind != NotificationKind::Overdue)
        && !lab.row("sleepy").wake.unwrap().overdue
}

#[test]
fn hours_of_sleep_doubt_nobody_at_once() {
    let (mut lab, id) = awake();
    lab.give(Input::Unreachable { update: id });
    lab.after(8 * 3_600).give(Input::Tick);
    assert_eq!(presence(&lab), Presence::Online, "it gets the time to say something");
    assert!(is_quiet(&lab));
    lab.after(DOUBT.as_secs()).give(Input::Tick);
    assert_eq!(presence(&lab), Presence::Asleep);
    for _ in 0..8 {
        lab.after(60).give(Input::Tick);
    }
    assert!(is_quiet(&lab), "the wakes that nobody could hear don't count");
    for _ in 0..10 {
        lab.after(60).give(Input::Tick);
    }
    assert!(lab.row("sleepy").wake.unwrap().overdue, "those of now do");
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn a_clock_that_jumps_says_nothing() {
    for jump in [-40_000_i64, -3, 3, 40_000, 100_000_000] {
        let (mut lab, id) = awake();
        lab.give(Input::Unreachable { update: id });
        lab.give(Input::Sighted(goodbye("sleepy")));
        let jump_ms = Duration::from_secs(jump.unsigned_abs());
        lab.now = if jump < 0 { lab.now.before(jump_ms) } else { lab.now + jump_ms };
        lab.give(Input::Tick);
        assert!(is_quiet(&lab), "{jump}");
        lab.expect(id, StateKind::Waiting);
        assert!(!lab.dispatch.targets(lab.now).is_empty(), "it is waited for all the same");
        for _ in 0..5 {
            lab.after(170).give(Input::Tick);
            lab.after(170).give(Input::Tick);
            lab.after(170).give(Input::Tick);
            lab.after(70).seen("sleepy", Some(OLD));
            lab.after(20).give(Input::Sighted(goodbye("sleepy")));
        }
        let wake = lab.row("sleepy").wake.unwrap();
        assert!(
            wake.period_seconds.is_some_and(|period| (580..=620).contains(&period)),
            "{wake:?}"
        );
        assert!(wake.next.is_some(), "{jump}");
    }
}

#[test]
fn without_a_network_nobody_goes() {
    let (mut lab, id) = awake();
    lab.give(Input::Unreachable { update: id });
    lab.give(Input::Network { connected: false });
    for _ in 0..60 {
        lab.after(60).give(Input::Unreachable { update: id });
        lab.give(Input::Tick);
        assert!(lab.dispatch.next_deadline(lab.now).is_none_or(|due| due > lab.now));
    }
    let expired = Sighting { source: Source::Browse, ..goodbye("sleepy") };
    lab.give(Input::Sighted(expired));
    assert_eq!(presence(&lab), Presence::Online);
    assert!(is_quiet(&lab));
    lab.give(Input::Network { connected: true });
    assert_eq!(presence(&lab), Presence::Online);
    lab.after(DOUBT.as_secs() + 1).give(Input::Tick);
    assert_eq!(presence(&lab), Presence::Asleep, "now it had the time to say something");
    assert!(is_quiet(&lab));
}

#[test]
fn who_speaks_after_the_network_is_back_stays_online() {
    let (mut lab, _) = awake();
    lab.give(Input::Network { connected: false });
    lab.after(60).give(Input::Sighted(goodbye("sleepy")));
    lab.give(Input::Network { connected: true });
    lab.after(2).seen("sleepy", Some(OLD));
    lab.after(60).give(Input::Tick);
    assert_eq!(presence(&lab), Presence::Online);
}
