//! Whether the new firmware stays.

use crate::device::{ConfigHash, Sighting, Source};
use crate::dispatch::Input;
use crate::time::Timestamp;
use crate::update::{StateKind, UpdateId};
use crate::view::{NotificationKind, UpdateStateView};

use super::lab::*;

fn watched(lab: &Lab) -> bool {
    let state = lab.row("sleepy").update.unwrap().state;
    let UpdateStateView::Installed { watched, .. } = state else { panic!("{state:?}") };
    watched
}

/// A device that was flashed, said so, and went to sleep at once.
fn installed() -> (Lab, UpdateId) {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    assert!(watched(&lab));
    lab.after(10).give(Input::Sighted(goodbye("sleepy")));
    (lab, id)
}

#[test]
fn the_old_firmware_in_the_next_wake_is_a_rollback() {
    for restarted in [false, true] {
        let (mut lab, id) = installed();
        if restarted {
            lab.restart();
            lab.come_up();
        }
        lab.after(600).seen("sleepy", Some(OLD));
        lab.expect(id, StateKind::Failed);
        assert!(matches!(
            lab.row("sleepy").update.unwrap().state,
            UpdateStateView::Failed { rolled_back: true, .. }
        ));
        assert_eq!(lab.told_kinds(), [NotificationKind::Installed, NotificationKind::RolledBack]);
        assert!(lab.told[1].2.contains("came back with another one"));
        assert_eq!(lab.dispatch.targets(lab.now), [], "nothing is sent again by itself");
        lab.after(600).seen("sleepy", Some(OLD));
        assert_eq!(lab.told.len(), 2);
    }
}

#[test]
fn what_it_said_for_the_first_time_when_it_was_flashed_is_what_it_ran_before() {
    let mut lab = Lab::with(vec![config("sleepy")]);
    let id = lab.install("sleepy");
    lab.built(id);
    lab.connected(id);
    lab.after(1).give(Input::Sighted(answer("sleepy", Some(OLD))));
    lab.acknowledged(id);
    lab.after(5).give(Input::Sighted(answer("sleepy", Some(NEW))));
    lab.expect(id, StateKind::Installed);
    lab.after(10).give(Input::Sighted(goodbye("sleepy")));
    lab.after(600).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Failed);
}

#[test]
fn wakes_from_before_the_clock_was_set_back_end_no_watch() {
    let mut lab = Lab::with(vec![config("sleepy")]);
    for _ in 0..3 {
        lab.seen("sleepy", Some(OLD));
        lab.after(10).give(Input::Sighted(goodbye("sleepy")));
        lab.after(600);
    }
    lab.now = Timestamp::from_millis(lab.now.as_millis() - 86_400_000);
    let id = lab.install("sleepy");
    lab.built(id);
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    lab.after(1).seen("sleepy", Some(NEW));
    assert!(watched(&lab));
}

#[test]
fn the_new_firmware_in_the_next_wake_ends_the_watch() {
    for restarted in [false, true] {
        let (mut lab, id) = installed();
        if restarted {
            lab.restart();
            lab.come_up();
        }
        assert!(watched(&lab));
        lab.after(600).seen("sleepy", Some(NEW));
        assert!(!watched(&lab));
        lab.after(600).seen("sleepy", Some(OLD));
        lab.expect(id, StateKind::Installed);
        assert_eq!(lab.told.len(), 1, "what comes later is somebody's doing");
    }
}

#[test]
fn a_packet_from_before_the_restart_that_comes_late_is_no_rollback() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(2).seen("sleepy", Some(NEW));
    lab.after(1).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Installed);
    assert!(watched(&lab));
    lab.after(10).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Failed);
}

#[test]
fn a_minute_and_a_half_awake_ends_the_watch() {
    let (mut lab, _) = Lab::at(StateKind::Confirming);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.after(80).seen("sleepy", Some(NEW));
    assert!(watched(&lab));
    lab.after(10).seen("sleepy", Some(NEW));
    assert!(!watched(&lab));
}

#[test]
fn a_third_firmware_is_no_rollback() {
    let (mut lab, id) = installed();
    lab.after(600).seen("sleepy", Some(ConfigHash(0xCCCC)));
    lab.expect(id, StateKind::Installed);
    assert!(!watched(&lab));
    assert_eq!(lab.told.len(), 1);
}

#[test]
fn a_cache_says_nothing_about_a_rollback() {
    let (mut lab, id) = installed();
    let cached = Sighting { source: Source::Browse, ..packet("sleepy", Some(OLD)) };
    lab.after(600).give(Input::Sighted(cached));
    lab.expect(id, StateKind::Installed);
    assert!(watched(&lab));
}

#[test]
fn a_newer_update_takes_the_watch_away() {
    let (mut lab, old) = installed();
    let new = lab.install("sleepy");
    lab.built_as(
        new,
        crate::update::Build { config_hash: Some(ConfigHash(0xDDDD)), ..build("sleepy") },
    );
    lab.after(600).seen("sleepy", Some(OLD));
    lab.expect(old, StateKind::Installed);
    lab.expect(new, StateKind::Waiting);
    assert_eq!(lab.told.len(), 1);
}

#[test]
fn a_device_without_a_hash_is_watched_by_its_version() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.after(10).give(Input::Sighted(goodbye("sleepy")));
    let old = Sighting { version: Some("2025.1.0".into()), ..packet("sleepy", None) };
    lab.after(600).give(Input::Sighted(old));
    lab.expect(id, StateKind::Failed);
}

#[test]
fn what_ran_already_without_an_attempt_is_not_watched() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    assert!(!watched(&lab));
}

/// A device probes for its name before it announces what it runs.
#[test]
fn a_packet_without_a_version_says_nothing_about_a_rollback() {
    let (mut lab, id) = installed();
    lab.after(600).give(Input::Sighted(address_packet("sleepy")));
    assert!(watched(&lab));
    lab.after(1).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Failed);
}

#[test]
fn firmware_that_announces_no_hash_is_watched_for_one_wake() {
    let (mut lab, _) = installed();
    lab.after(600).seen("sleepy", None);
    assert!(!watched(&lab));
}

#[test]
fn a_device_that_never_says_what_it_runs_is_watched_for_three_wakes() {
    let (mut lab, _) = installed();
    for wake in 1..=3 {
        assert!(watched(&lab), "wake {wake}");
        lab.after(600).give(Input::Sighted(address_packet("sleepy")));
        lab.after(1).give(Input::Sighted(address_packet("sleepy")));
        lab.after(9).give(Input::Sighted(goodbye("sleepy")));
    }
    assert!(!watched(&lab));
}
