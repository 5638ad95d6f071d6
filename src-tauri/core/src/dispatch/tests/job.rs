//! The main job, and ending it early: from the click to the device's word.

use crate::device::Source;
use crate::dispatch::{Effect, Input};
use crate::retry::AFTER_CUT;
use crate::update::{InstalledHow, PasswordChoice, StateKind, UpdateId, UpdateState};
use crate::view::NotificationKind;
use wakeflash_ota::FailureClass;

use super::lab::*;

#[test]
fn a_sleeping_device_is_built_for_waited_for_flashed_and_confirmed() {
    let mut lab = Lab::new();
    let id = lab.install("sleepy");
    lab.expect(id, StateKind::Building);
    assert_eq!(lab.effects, [Effect::StartBuild { update: id, device: yaml("sleepy") }]);
    lab.built(id);
    lab.expect(id, StateKind::Waiting);
    assert_eq!(lab.effects, []);

    lab.after(600).seen("sleepy", Some(OLD));
    assert_eq!(lab.effects, [Effect::Nudge("sleepy".into())]);
    lab.connected(id);
    lab.expect(id, StateKind::Flashing);
    assert_eq!(lab.effects, [Effect::StartFlash { update: id, password: PasswordChoice::OfBuild }]);
    lab.after(4).acknowledged(id);
    lab.expect(id, StateKind::Confirming);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    let UpdateState::Installed { how, .. } = lab.state(id) else { panic!() };
    assert_eq!(*how, InstalledHow::Confirmed);
    assert_eq!(lab.told_kinds(), [NotificationKind::Installed]);
    assert!(lab.told[0].1.contains("sleepy"), "the notification names the device");
    assert_eq!(lab.dispatch.memory("sleepy").unwrap().config_hash(), Some(NEW));
}

#[test]
fn the_timeline_tells_the_whole_story_in_order() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(5).seen("sleepy", Some(NEW));
    let states: Vec<_> = lab.update(id).timeline.iter().map(|entry| entry.state).collect();
    use StateKind as S;
    let flashing = [S::Flashing; 3];
    let before = [S::Queued, S::Building, S::Waiting];
    assert_eq!(states, [&before[..], &flashing, &[S::Confirming, S::Installed]].concat());
    assert!(lab.update(id).timeline.is_sorted_by_key(|entry| entry.at));
    assert!(lab.update(id).timeline.iter().all(|entry| entry.text.ends_with('.')));
}

#[test]
fn nothing_is_flashed_again_after_the_confirmation() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(5).seen("sleepy", Some(NEW));
    for hash in [Some(NEW), Some(OLD), None] {
        lab.after(100).seen("sleepy", hash);
        assert_eq!(lab.effects, [], "no effect of a later wake");
        lab.connected(id);
        assert_eq!(lab.effects, [Effect::DropConnection(id)]);
        lab.restart();
        lab.come_up();
        assert!(lab.dispatch.targets(lab.now).is_empty());
    }
    assert_eq!(lab.told.len(), 1, "one notification per outcome");
}

#[test]
fn a_device_that_is_online_waits_for_no_wake() {
    let mut lab = Lab::new();
    lab.seen("sleepy", Some(OLD));
    let id = lab.install("sleepy");
    lab.built(id);
    assert_eq!(lab.dispatch.targets(lab.now)[0].update, id, "it is tried at once");
}

#[test]
fn a_build_that_fails_says_so_once() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    lab.give(Input::BuildEnded { update: id, result: Err(problem().into()) });
    let UpdateState::Failed { problem: why, rolled_back: false, .. } = lab.state(id) else {
        panic!()
    };
    assert_eq!(*why, problem());
    assert_eq!(lab.told_kinds(), [NotificationKind::Failed]);
    assert_eq!(lab.told[0].2, "It went wrong.");
}

fn work_to_stop(state: StateKind, id: UpdateId) -> Vec<Effect> {
    match state {
        StateKind::Building => vec![Effect::StopBuild(id)],
        StateKind::Flashing => vec![Effect::StopFlash(id)],
        StateKind::Queued
        | StateKind::Waiting
        | StateKind::Held
        | StateKind::Confirming
        | StateKind::Installed
        | StateKind::Failed
        | StateKind::Cancelled
        | StateKind::Superseded => Vec::new(),
    }
}

#[test]
fn cancel_ends_an_update_in_every_state() {
    for state in ACTIVE {
        let (mut lab, id) = Lab::at(state);
        lab.give(Input::Cancel(yaml("sleepy")));
        let UpdateState::Cancelled { may_have_arrived, .. } = lab.state(id) else { panic!() };
        assert_eq!(*may_have_arrived, state == StateKind::Confirming, "{state:?}");
        assert_eq!(lab.effects, work_to_stop(state, id), "{state:?}");
        assert_eq!(lab.told.len(), usize::from(state == StateKind::Held), "nobody is told");
        assert!(lab.dispatch.targets(lab.now).is_empty());
    }
}

#[test]
fn cancel_says_that_the_image_may_have_arrived_when_it_may() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.give(Input::AboutToComplete { update: id, encrypted: false });
    lab.give(Input::Cancel(yaml("sleepy")));
    assert!(matches!(lab.state(id), UpdateState::Cancelled { may_have_arrived: true, .. }));

    // An attempt of unknown outcome stays one, however often the next ones fail.
    let mut lab = Lab::with(vec![config("mute")]);
    let id = lab.install("mute");
    lab.built_as(id, crate::update::Build { config_hash: None, ..build("mute") });
    lab.connected(id);
    lab.cut_at_the_end(id);
    lab.after(20).give(returned(id));
    lab.after(20).give(Input::Tick);
    lab.expect(id, StateKind::Waiting);
    lab.give(Input::Cancel(yaml("mute")));
    assert!(matches!(lab.state(id), UpdateState::Cancelled { may_have_arrived: true, .. }));
}

#[test]
fn the_work_of_a_cancelled_update_has_nothing_to_say_any_more() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    lab.give(Input::Cancel(yaml("sleepy")));
    lab.built(id);
    lab.expect(id, StateKind::Cancelled);

    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.give(Input::Cancel(yaml("sleepy")));
    assert_eq!(
        lab.refuse(Input::AboutToComplete { update: id, encrypted: false }),
        "flash.stopped"
    );
    lab.ended(id, crate::dispatch::FlashOutcome::Acknowledged);
    lab.expect(id, StateKind::Cancelled);
    lab.connected(id);
    assert_eq!(lab.effects, [Effect::DropConnection(id)]);
}

#[test]
fn a_newer_update_takes_the_place_of_one_in_every_state() {
    for state in ACTIVE {
        let (mut lab, old) = Lab::at(state);
        let new = lab.install("sleepy");
        assert!(new > old);
        assert!(matches!(lab.state(old), UpdateState::Superseded { by, .. } if *by == new));
        let mut expected = work_to_stop(state, old);
        if state != StateKind::Queued {
            expected.push(Effect::StartBuild { update: new, device: yaml("sleepy") });
        }
        assert_eq!(lab.effects, expected, "{state:?}: the old work ends before the new begins");
        assert_eq!(lab.dispatch.active(&yaml("sleepy")).map(|update| update.id), Some(new));
        lab.connected(old);
        assert_eq!(lab.effects, [Effect::DropConnection(old)]);
    }
}

#[test]
fn an_update_survives_a_restart_in_every_state() {
    for state in ACTIVE {
        let (mut lab, id) = Lab::at(state);
        let before = lab.update(id).clone();
        lab.restart();
        assert_eq!(lab.effects, [], "{state:?}: nothing is done before the start is over");
        match state {
            StateKind::Building => lab.expect(id, StateKind::Queued),
            StateKind::Flashing => lab.expect(id, StateKind::Waiting),
            StateKind::Queued
            | StateKind::Waiting
            | StateKind::Held
            | StateKind::Confirming
            | StateKind::Installed
            | StateKind::Failed
            | StateKind::Cancelled
            | StateKind::Superseded => assert_eq!(*lab.update(id), before, "{state:?}"),
        }
        lab.come_up();
        let builds =
            lab.effects.contains(&Effect::StartBuild { update: id, device: yaml("sleepy") });
        assert_eq!(builds, matches!(state, StateKind::Queued | StateKind::Building), "{state:?}");
    }
}

#[test]
fn a_restart_when_the_last_bytes_may_have_left_awaits_the_device_s_word() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.give(Input::AboutToComplete { update: id, encrypted: false });
    lab.restart();
    lab.expect(id, StateKind::Confirming);
    lab.connected(id);
    assert!(!lab.starts_flash(), "no blind second flash");
    lab.after(30).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
}

#[test]
fn a_return_before_a_restart_is_no_silence_after_it() {
    // It came back; the application was off when it said that it had rolled back.
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(5).give(returned(id));
    lab.after(3_600).restart();
    lab.give(Input::Tick);
    lab.expect(id, StateKind::Confirming);
    lab.after(1).seen("sleepy", Some(OLD));
    assert!(matches!(lab.state(id), UpdateState::Failed { rolled_back: true, .. }));
}

#[test]
fn a_waiting_device_that_runs_the_build_already_gets_nothing() {
    for state in [StateKind::Waiting, StateKind::Held] {
        let (mut lab, id) = Lab::at(state);
        lab.seen("sleepy", Some(NEW));
        let UpdateState::Installed { how, .. } = lab.state(id) else { panic!("{state:?}") };
        assert_eq!(*how, InstalledHow::AlreadyRunning);
    }
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.ended(id, crate::dispatch::FlashOutcome::AlreadyRunning);
    lab.expect(id, StateKind::Installed);
}

#[test]
fn a_device_renamed_by_the_build_is_known_by_both_names() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    lab.built_as(id, build("renamed"));
    assert_eq!(lab.dispatch.targets(lab.now)[0].name, "sleepy", "it still goes by its old name");
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(5).seen("renamed", Some(NEW));
    lab.expect(id, StateKind::Installed);
}

#[test]
fn the_same_hash_in_another_component_is_flashed_and_confirmed_by_the_acknowledgement() {
    // Only a component's code changed: the hash of the configuration is what it was.
    let (mut lab, id) = Lab::at(StateKind::Building);
    lab.built_as(id, crate::update::Build { config_hash: Some(OLD), ..build("sleepy") });
    lab.seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Waiting);
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(1).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Confirming);
    let cached = crate::device::Sighting { source: Source::Browse, ..packet("sleepy", Some(OLD)) };
    lab.after(5).give(Input::Sighted(cached));
    lab.expect(id, StateKind::Confirming);
    lab.seen("sleepy", Some(OLD));
    let UpdateState::Installed { how, .. } = lab.state(id) else { panic!() };
    assert_eq!(*how, InstalledHow::Returned);
    // Nobody knows what the firmware was made of that ran before.
    assert_eq!(lab.told[0].1, "The update of sleepy is installed");
}

#[test]
fn the_same_build_once_more_is_told_as_the_same() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    let again = |lab: &mut Lab, build: crate::update::Build| {
        let id = lab.install("sleepy");
        lab.built_as(id, build);
        lab.seen("sleepy", Some(NEW));
        lab.connected(id);
        lab.after(5).acknowledged(id);
        lab.after(5).seen("sleepy", Some(NEW));
        lab.expect(id, StateKind::Installed);
        lab.told.last().map(|(_, title, _)| title.clone())
    };
    let same = Some("The same firmware was installed on sleepy again".to_owned());
    assert_eq!(lab.told[0].1, "sleepy is updated");
    assert_eq!(again(&mut lab, build("sleepy")), same);
    assert_eq!(again(&mut lab, build("sleepy")), same);
    // The hash is that of the configuration alone.
    let source = crate::update::SourceFile::file("components/sensor.h", None);
    let changed = crate::update::Build { sources: vec![source], ..build("sleepy") };
    let other = Some("The update of sleepy is installed".to_owned());
    assert_eq!(again(&mut lab, changed.clone()), other);
    assert_eq!(again(&mut lab, changed), same);
}

#[test]
fn a_second_install_is_not_taken_for_the_first_one_s_image() {
    // The first image may have arrived. The second has the same hash (a component changed in between),
    // so that hash can't prove the second.
    let (mut lab, _) = Lab::at(StateKind::Confirming);
    let id = lab.install("sleepy");
    lab.built(id);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn a_cut_connection_is_tried_again_at_once() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.ended(id, failed(FailureClass::RetryNow));
    lab.expect(id, StateKind::Waiting);
    assert!(lab.dispatch.targets(lab.now).is_empty());
    assert_eq!(lab.dispatch.next_deadline(lab.now), Some(lab.now + AFTER_CUT));
    lab.after_ms(500);
    assert_eq!(lab.dispatch.targets(lab.now).len(), 1);
    lab.connected(id);
    assert!(lab.starts_flash());
    assert_eq!(lab.told, []);
}
