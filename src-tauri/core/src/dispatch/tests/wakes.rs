//! When a device woke, and when it will.

use core::time::Duration;

use crate::device::{Sighting, Source};
use crate::dispatch::Input;
use crate::schedule::{Rhythm, SleepPlan};
use crate::update::StateKind;
use crate::view::WakeRecord;
use wakeflash_ota::FailureClass;

use super::lab::*;

fn wakes(lab: &Lab) -> Vec<WakeRecord> {
    lab.dispatch.wakes(&yaml("sleepy"))
}

/// A wake of 20 s with a few packets and a goodbye, every ten minutes.
fn wake_regularly(lab: &mut Lab, times: usize) {
    for _ in 0..times {
        lab.after(580).seen("sleepy", Some(OLD));
        lab.after(2).seen("sleepy", Some(OLD));
        lab.after(18).give(Input::Sighted(goodbye("sleepy")));
        for _ in 0..3 {
            lab.give(Input::Tick);
        }
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fresh() -> Lab {
    Lab::with(vec![config("sleepy"), mains_powered("plug")])
}

#[test]
fn a_wake_begins_with_its_first_packet_and_ends_with_the_goodbye() {
    let mut lab = fresh();
    lab.seen("sleepy", Some(OLD));
    let at = lab.now;
    assert!(!lab.after(5).give(Input::Sighted(packet("sleepy", Some(OLD)))).is_durable());
    assert_eq!(wakes(&lab), [WakeRecord { at, awake_seconds: None, flashed: false }]);
    assert!(lab.after(5).give(Input::Sighted(goodbye("sleepy"))).is_durable());
    assert!(!lab.after(1).give(Input::Sighted(goodbye("sleepy"))).is_durable());
    assert_eq!(wakes(&lab), [WakeRecord { at, awake_seconds: Some(10), flashed: false }]);
}

#[test]
fn a_wake_without_a_goodbye_before_it_is_noticed_by_the_silence() {
    let mut lab = fresh();
    for _ in 0..3 {
        lab.after(600).seen("sleepy", Some(OLD));
        lab.after(3).seen("sleepy", Some(OLD));
    }
    assert_eq!(wakes(&lab).len(), 3);
    for _ in 0..10 {
        lab.after(100).seen("sleepy", Some(OLD));
    }
    assert_eq!(wakes(&lab).len(), 3, "it stays awake and is heard of all the time");
}

#[test]
fn records_that_run_out_end_a_wake_when_it_was_last_heard_of() {
    let mut lab = fresh();
    lab.seen("sleepy", Some(OLD));
    lab.after(12).seen("sleepy", Some(OLD));
    lab.after(4_000);
    lab.give(Input::Sighted(Sighting { source: Source::Browse, ..goodbye("sleepy") }));
    assert_eq!(wakes(&lab)[0].awake_seconds, Some(12));
}

#[test]
fn a_device_that_cannot_be_reached_any_more_has_gone_to_sleep() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.after(60).seen("sleepy", Some(OLD));
    lab.after(20).give(Input::Unreachable { update: id });
    lab.after(11).give(Input::Tick);
    assert_eq!(wakes(&lab).last().unwrap().awake_seconds, Some(20));
}

#[test]
fn what_does_not_sleep_does_not_wake_by_being_heard_again() {
    let mut lab = fresh();
    for _ in 0..5 {
        lab.after(1_000).seen("plug", Some(OLD));
    }
    assert_eq!(lab.dispatch.wakes(&yaml("plug")), []);
    assert_eq!(lab.row("plug").wake, None);
}

#[test]
fn a_blink_is_no_wake() {
    let mut lab = fresh();
    lab.seen("sleepy", Some(OLD));
    lab.after(8).give(Input::Sighted(goodbye("sleepy")));
    lab.after(1).seen("sleepy", Some(OLD));
    lab.after(1).give(Input::Sighted(goodbye("sleepy")));
    assert_eq!(wakes(&lab).len(), 1);
    assert_eq!(wakes(&lab)[0].awake_seconds, Some(10));
}

#[test]
fn the_return_after_a_flash_belongs_to_the_same_wake() {
    let mut lab = Lab::new();
    let id = lab.install("sleepy");
    lab.built(id);
    lab.after(600).seen("sleepy", Some(OLD));
    let before = wakes(&lab).len();
    lab.connected(id);
    lab.after(20).acknowledged(id);
    lab.after(1).give(Input::Sighted(goodbye("sleepy")));
    lab.after(8).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    lab.after(20).give(Input::Sighted(goodbye("sleepy")));
    assert_eq!(wakes(&lab).len(), before);
    assert!(wakes(&lab).last().unwrap().flashed);
    assert_eq!(wakes(&lab).last().unwrap().awake_seconds, Some(49), "to its sleep, not its reboot");
    lab.after(600).seen("sleepy", Some(NEW));
    assert_eq!(wakes(&lab).len(), before + 1);
}

#[test]
fn a_short_sleep_after_a_flash_ends_in_a_wake_of_its_own() {
    let (mut lab, _) = Lab::at(StateKind::Confirming);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.after(10).give(Input::Sighted(goodbye("sleepy")));
    let before = wakes(&lab).len();
    lab.after(30).seen("sleepy", Some(NEW));
    assert_eq!(wakes(&lab).len(), before + 1);
}

#[test]
fn a_connection_before_the_first_packet_belongs_to_the_new_wake() {
    let mut lab = short_sleeper(15);
    let id = lab.install("sleepy");
    lab.built(id);
    let asleep = lab.now;
    lab.after(30).connected(id);
    lab.after_ms(60).seen("sleepy", Some(OLD));
    let woke = lab.now;
    lab.after(1).captured(id);
    lab.after(5).acknowledged(id);
    lab.after(6).seen("sleepy", Some(NEW));
    lab.after(15).give(Input::Sighted(goodbye("sleepy")));
    let before =
        WakeRecord { at: asleep.before(secs(15)), awake_seconds: Some(15), flashed: false };
    let now = WakeRecord { at: woke, awake_seconds: Some(27), flashed: true };
    assert_eq!(wakes(&lab), [before, now]);
}

#[test]
fn a_sleep_before_the_device_said_what_it_runs_ends_the_wake() {
    // Nobody hears its return; it goes to sleep with a goodbye, or without one.
    for says_goodbye in [true, false] {
        let mut lab = short_sleeper(15);
        let id = lab.install("sleepy");
        lab.built(id);
        lab.after(30).seen("sleepy", Some(OLD));
        lab.connected(id);
        lab.after(1).captured(id);
        lab.after(5).acknowledged(id);
        lab.give(Input::Sighted(goodbye("sleepy")));
        lab.after(20);
        if says_goodbye {
            lab.give(Input::Sighted(goodbye("sleepy")));
        }
        lab.expect(id, StateKind::Confirming);
        lab.after(30).seen("sleepy", Some(NEW));
        lab.expect(id, StateKind::Installed);
        let flashed: Vec<bool> = wakes(&lab).iter().map(|wake| wake.flashed).collect();
        assert_eq!(flashed, [false, true, false], "{says_goodbye}");
    }
}

#[test]
fn a_long_transfer_is_no_sleep() {
    let mut lab = short_sleeper(15);
    let id = lab.install("sleepy");
    lab.built(id);
    lab.after(30).seen("sleepy", Some(OLD));
    lab.connected(id);
    lab.after(1).captured(id);
    lab.after(60).seen("sleepy", Some(OLD));
    lab.after(1).acknowledged(id);
    lab.after(6).seen("sleepy", Some(NEW));
    assert_eq!(wakes(&lab).len(), 2);
}

#[test]
fn a_rhythm_is_shown_and_survives_a_restart() {
    let mut lab = fresh();
    wake_regularly(&mut lab, 5);
    for _ in 0..2 {
        let wake = lab.row("sleepy").wake.unwrap();
        assert_eq!((wake.rhythm, wake.period_seconds), (Rhythm::Regular, Some(600)));
        assert_eq!((wake.window_seconds, wake.overdue), (Some(20), false));
        assert_eq!(wake.next.unwrap().since(lab.now).as_secs(), 580);
        lab.restart();
        lab.come_up();
    }
    for _ in 0..12 {
        lab.after(60).give(Input::Tick);
    }
    assert!(lab.row("sleepy").wake.unwrap().overdue);
    lab.seen("sleepy", Some(OLD));
    assert!(!lab.row("sleepy").wake.unwrap().overdue);
}

#[test]
fn the_configuration_gives_the_first_guess() {
    let mut lab = Lab::with(Vec::new());
    let mut file = config("sleepy");
    file.content.as_mut().unwrap().sleep_plan = SleepPlan::read(Some("30s"), Some("10min"));
    lab.give(Input::Configs(vec![file]));
    let wake = lab.row("sleepy").wake.unwrap();
    assert_eq!((wake.rhythm, wake.next), (Rhythm::Configured, None), "no wake was seen yet");
    lab.seen("sleepy", Some(OLD));
    let wake = lab.row("sleepy").wake.unwrap();
    assert_eq!((wake.period_seconds, wake.window_seconds), (Some(630), Some(30)));
    assert!(wake.next.is_some());
}

#[test]
fn the_last_build_knows_the_durations_better_than_the_file() {
    let mut lab = Lab::new();
    let id = lab.install("sleepy");
    let sleep_plan = SleepPlan::read(Some("15s"), Some("1h"));
    lab.built_as(id, crate::update::Build { sleep_plan, ..build("sleepy") });
    assert_eq!(lab.row("sleepy").wake.unwrap().period_seconds, Some(3_615));
}

#[test]
fn a_wake_that_could_not_be_stored_begins_with_the_next_packet() {
    let mut lab = fresh();
    lab.seen("sleepy", Some(OLD));
    lab.after(20).give(Input::Sighted(goodbye("sleepy")));
    lab.after(600);
    let decision = lab.give(Input::Sighted(packet("sleepy", Some(OLD))));
    assert_eq!(decision.writes.wakes[0].1.len(), 1);
    lab.not_stored(decision);
    assert_eq!(wakes(&lab).len(), 1);
    lab.after(1).seen("sleepy", Some(OLD));
    assert_eq!(wakes(&lab).len(), 2);
}

#[test]
fn wakes_are_bounded() {
    let mut lab = fresh();
    wake_regularly(&mut lab, 230);
    assert_eq!(wakes(&lab).len(), 200);
    assert_eq!(lab.row("sleepy").wake.unwrap().period_seconds, Some(600));
}

#[test]
fn a_cut_flash_is_no_flash_of_this_wake() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.after(600).seen("sleepy", Some(OLD));
    lab.connected(id);
    lab.ended(id, failed(FailureClass::RetryNow));
    assert!(!wakes(&lab).last().unwrap().flashed);
}

/// A device that sleeps for 30 s and is awake for 15 s, at the end of its first wake, which lasted this long.
fn short_sleeper(awake: u64) -> Lab {
    let plan = SleepPlan::read(Some("15s"), Some("30s"));
    let mut file = config("sleepy");
    file.content.as_mut().unwrap().sleep_plan = plan;
    let mut lab = Lab::with(vec![file]);
    lab.seen("sleepy", Some(OLD));
    lab.after(awake).give(Input::Sighted(goodbye("sleepy")));
    lab
}

/// In how many seconds it is expected; `None`: it is overdue.
fn expected_in(lab: &mut Lab) -> Option<i64> {
    lab.give(Input::Tick);
    let wake = lab.row("sleepy").wake.unwrap();
    let left = wake.next.unwrap().as_millis() - lab.now.as_millis();
    (!wake.overdue).then_some(left / 1_000)
}

#[test]
fn a_wake_that_is_a_little_late_is_not_told_as_the_one_after_it() {
    let mut lab = short_sleeper(15);
    let slept = lab.now;
    assert_eq!(expected_in(&mut lab), Some(30));
    for _ in 0..60 {
        lab.after(1);
        let Some(left) = expected_in(&mut lab) else { break };
        let after_sleep = lab.now.since(slept).as_secs().cast_signed() + left;
        assert!(after_sleep <= 30, "told {left} s away");
    }
    assert_eq!(expected_in(&mut lab), None, "in the end it is overdue");
    let wake = lab.row("sleepy").wake.unwrap();
    assert_eq!(wake.next.unwrap().since(slept).as_secs(), 30, "since it should have come");
}

#[test]
fn who_counts_its_sleep_wakes_later_after_a_longer_wake() {
    // It was flashed, or a transfer broke: it was awake for twice its time.
    let mut lab = short_sleeper(30);
    assert_eq!(expected_in(&mut lab), Some(30));
    lab.after(25);
    assert_eq!(expected_in(&mut lab), Some(5));
}
