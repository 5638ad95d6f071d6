//! How often a device is tried, and what is said when it doesn't come.

use core::time::Duration;

use crate::dispatch::{FAST, Input, KNOCK_PERIOD};
use crate::schedule::SleepPlan;
use crate::update::{Build, StateKind, UpdateId};
use crate::view::NotificationKind;

use super::lab::*;

/// A device that has woken every ten minutes for 20 s, and an update that waits for it. It has just gone.
fn regular() -> (Lab, UpdateId) {
    let mut lab = Lab::with(vec![config("sleepy")]);
    for _ in 0..6 {
        lab.after(580).seen("sleepy", Some(OLD));
        lab.after(20).give(Input::Sighted(goodbye("sleepy")));
    }
    let id = lab.install("sleepy");
    lab.built(id);
    (lab, id)
}

fn period(lab: &Lab) -> Duration {
    lab.dispatch.targets(lab.now)[0].period
}

#[test]
fn it_is_tried_most_often_around_the_expected_wake() {
    let (mut lab, _) = regular();
    assert_eq!(period(&lab), KNOCK_PERIOD);
    lab.give(Input::Tick);
    let mut passed = 0;
    let mut fast = Vec::new();
    while passed < 1_300_000 {
        let due = lab.dispatch.next_deadline(lab.now).expect("the pace changes again");
        let step = due.since(lab.now).as_millis() as u64;
        assert!(step > 0);
        lab.after_ms(step).give(Input::Tick);
        passed += step;
        if period(&lab) == FAST {
            fast.push(passed / 1_000);
        }
    }
    let expected = |second: u64| (574..=588).contains(&second) || (1_174..=1_188).contains(&second);
    assert!(fast.iter().all(|second| expected(*second)), "{fast:?}");
    assert!(fast.iter().any(|second| *second < 579) && fast.iter().any(|second| *second > 1_170));
}

#[test]
fn it_is_tried_most_often_right_after_evidence() {
    let (mut lab, _) = regular();
    lab.after(300).seen("sleepy", Some(OLD));
    assert_eq!(period(&lab), FAST);
    let until = lab.dispatch.next_deadline(lab.now).unwrap();
    assert_eq!(until.since(lab.now).as_secs(), 10);
    lab.now = until;
    lab.give(Input::Tick);
    assert_eq!(period(&lab), KNOCK_PERIOD);
    lab.seen("sleepy", Some(OLD));
    lab.after(1).give(Input::Sighted(goodbye("sleepy")));
    assert_eq!(period(&lab), KNOCK_PERIOD, "it has said that it goes");
}

#[test]
fn a_clock_that_was_set_back_does_not_make_it_rush() {
    let (mut lab, _) = regular();
    lab.seen("sleepy", Some(OLD));
    lab.now = lab.now.before(Duration::from_secs(1_000_000));
    lab.give(Input::Tick);
    assert_eq!(period(&lab), KNOCK_PERIOD);
}

#[test]
fn a_short_window_is_tried_several_times() {
    let ms = Duration::from_millis;
    for (run, tried) in
        [("700ms", FAST), ("1s", ms(250)), ("2s", ms(500)), ("4s", ms(1000)), ("20s", KNOCK_PERIOD)]
    {
        let mut lab = Lab::new();
        let id = lab.install("sleepy");
        let sleep_plan = SleepPlan::read(Some(run), None);
        lab.built_as(id, Build { sleep_plan, ..build("sleepy") });
        assert_eq!(period(&lab), tried, "{run}");
    }
}

/// Lets time pass as it does: the application looks every now and then.
fn pass(lab: &mut Lab, minutes: u64) {
    for _ in 0..minutes {
        lab.after(60).give(Input::Tick);
    }
}

fn overdue(lab: &Lab) -> usize {
    lab.told_kinds().iter().filter(|kind| **kind == NotificationKind::Overdue).count()
}

#[test]
fn the_user_is_told_once_a_day_of_a_device_that_stays_away() {
    let (mut lab, id) = regular();
    pass(&mut lab, 25);
    assert!(lab.row("sleepy").wake.unwrap().overdue);
    assert_eq!(overdue(&lab), 0, "two wakes can be missed");
    pass(&mut lab, 10);
    assert_eq!(overdue(&lab), 1);
    lab.restart();
    lab.come_up();
    pass(&mut lab, 23 * 60);
    assert_eq!(overdue(&lab), 1);
    pass(&mut lab, 120);
    assert_eq!(overdue(&lab), 2);
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn nobody_is_told_of_a_device_that_nothing_waits_for() {
    let (mut lab, _) = regular();
    lab.give(Input::Cancel(yaml("sleepy")));
    pass(&mut lab, 100);
    assert_eq!(overdue(&lab), 0);
    assert!(lab.row("sleepy").wake.unwrap().overdue);
}
