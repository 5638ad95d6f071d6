//! A device that cuts its transfers is left alone for longer and longer, and the user is told.

use core::time::Duration;

use crate::dispatch::{Effect, Input};
use crate::retry::{CUTS_TOLD, TRANSFER_HOUR, TRANSFERS_AN_HOUR, after_cuts};
use crate::update::{StateKind, UpdateId};
use crate::view::NotificationKind;
use wakeflash_ota::FailureClass;

use super::lab::*;

/// A transfer begins and is cut.
#[track_caller]
fn cut(lab: &mut Lab, id: UpdateId) {
    lab.connected(id);
    assert!(lab.starts_flash(), "{:#?}", lab.update(id).timeline);
    lab.captured(id);
    assert!(lab.effects.contains(&Effect::GrantTransfer(id)));
    lab.ended(id, failed(FailureClass::RetryNow));
    lab.expect(id, StateKind::Waiting);
}

fn is_sought(lab: &Lab) -> bool {
    !lab.dispatch.targets(lab.now).is_empty()
}

/// As many transfers as may begin in an hour were cut, one a minute.
fn worn() -> (Lab, UpdateId) {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    for _ in 0..TRANSFERS_AN_HOUR {
        lab.after(60);
        cut(&mut lab, id);
    }
    (lab, id)
}

#[test]
fn the_pause_doubles_with_each_transfer_that_is_cut_in_a_wake() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.seen("sleepy", Some(OLD));
    for cuts in 1..=9 {
        cut(&mut lab, id);
        let due = lab.now + after_cuts(cuts);
        lab.now = due.before(Duration::from_millis(1));
        // What the device says of itself meanwhile is no reason to try it before.
        lab.seen("sleepy", Some(OLD));
        lab.connected(id);
        assert_eq!(lab.effects, [Effect::DropConnection(id)], "cut {cuts}");
        assert!(!is_sought(&lab));
        lab.now = due;
        assert!(is_sought(&lab));
    }
}

#[test]
fn a_wake_begins_with_the_shortest_pause() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.seen("sleepy", Some(OLD));
    for _ in 0..5 {
        lab.after(30);
        cut(&mut lab, id);
    }
    lab.after(1).give(Input::Sighted(goodbye("sleepy")));
    lab.after(100).seen("sleepy", Some(OLD));
    cut(&mut lab, id);
    assert_eq!(lab.dispatch.next_deadline(lab.now), Some(lab.now + after_cuts(1)));
}

#[test]
fn a_handshake_that_breaks_off_is_no_transfer() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    for _ in 0..3 * TRANSFERS_AN_HOUR {
        lab.after(1).connected(id);
        assert!(lab.starts_flash());
        lab.ended(id, failed(FailureClass::RetryNow));
    }
    assert_eq!(lab.told, []);
    assert_eq!(lab.row("sleepy").update.unwrap().warning, None);
}

#[test]
fn the_user_is_told_after_the_third_cut_and_once() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    for cuts in 1..=8 {
        lab.after(60);
        cut(&mut lab, id);
        let told = usize::from(cuts >= CUTS_TOLD);
        assert_eq!(lab.told_kinds(), vec![NotificationKind::TransfersCut; told]);
        let warning = lab.row("sleepy").update.unwrap().warning.map(|problem| problem.code);
        assert_eq!(warning.is_some(), told > 0);
        assert!(warning.is_none_or(|code| code == "update.transfers_cut"));
        lab.restart();
        lab.come_up();
    }
    assert!(lab.told[0].2.contains("in 3 transfers"), "{}", lab.told[0].2);
}

#[test]
fn a_cut_at_the_end_counts_when_it_turns_out_that_nothing_had_arrived() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    for cuts in 1..=4 {
        lab.after(30).connected(id);
        lab.captured(id);
        lab.cut_at_the_end(id);
        lab.after(11).seen("sleepy", Some(OLD));
        lab.expect(id, StateKind::Waiting);
        assert_eq!(is_sought(&lab), cuts == 1, "after the first it was away");
        assert_eq!(lab.told.len(), usize::from(cuts >= 3));
    }
}

#[test]
fn no_more_transfers_begin_in_an_hour_than_a_flash_can_bear() {
    let (mut lab, id) = worn();
    let first = lab.now.before(Duration::from_secs(60 * (TRANSFERS_AN_HOUR as u64 - 1)));
    let until = first + TRANSFER_HOUR;
    for restarted in [false, true] {
        if restarted {
            lab.restart();
            lab.come_up();
        }
        let view = lab.row("sleepy").update.unwrap();
        assert_eq!(view.rests_until, Some(until));
        assert_eq!(view.warning.unwrap().code, "update.transfers_limited");
        // A wake doesn't change that.
        lab.after(100).give(Input::Sighted(goodbye("sleepy")));
        lab.after(100).seen("sleepy", Some(OLD));
        assert!(!is_sought(&lab));
        lab.connected(id);
        assert_eq!(lab.effects, [Effect::DropConnection(id)]);
    }
    let said = lab.update(id).timeline.iter().any(|line| line.text.contains("within an hour"));
    assert!(said, "{:#?}", lab.update(id).timeline);
    while lab.now < until {
        lab.now = lab.dispatch.next_deadline(lab.now).unwrap();
        assert!(lab.now <= until);
        lab.give(Input::Tick);
    }
    let view = lab.row("sleepy").update.unwrap();
    assert_eq!(view.rests_until, None);
    assert_eq!(view.warning.unwrap().code, "update.transfers_cut");
    assert!(is_sought(&lab), "it goes on");
    cut(&mut lab, id);
    assert!(
        lab.row("sleepy").update.unwrap().rests_until.is_some(),
        "one for the one that is over"
    );
}

#[test]
fn the_limit_is_the_devices_and_not_the_updates() {
    let (mut lab, _) = worn();
    let id = lab.install("sleepy");
    lab.built(id);
    assert!(!is_sought(&lab));
    let view = lab.row("sleepy").update.unwrap();
    assert!(view.rests_until.is_some() && view.warning.is_some());
}

#[test]
fn a_device_that_took_an_image_may_have_others_at_once() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    for _ in 1..TRANSFERS_AN_HOUR {
        lab.after(60);
        cut(&mut lab, id);
    }
    lab.after(60).connected(id);
    lab.captured(id);
    lab.acknowledged(id);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    let next = lab.install("sleepy");
    lab.built(next);
    assert!(is_sought(&lab));
}

#[test]
fn a_clock_that_is_set_back_makes_it_no_longer_than_an_hour() {
    let (mut lab, _) = worn();
    lab.now = lab.now.before(Duration::from_secs(100_000));
    assert_eq!(lab.dispatch.next_deadline(lab.now), Some(lab.now));
    lab.give(Input::Tick);
    let until = lab.now + TRANSFER_HOUR;
    assert_eq!(lab.row("sleepy").update.unwrap().rests_until, Some(until));
    lab.now = until;
    lab.give(Input::Tick);
    assert!(is_sought(&lab));
}
