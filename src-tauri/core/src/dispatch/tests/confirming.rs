//! The device's word after the last byte.

use crate::device::{ConfigHash, Sighting, Source};
use crate::dispatch::{Input, WORD_AFTER_RETURN};
use crate::update::{Build, InstalledHow, StateKind, UpdateId, UpdateState};
use crate::view::NotificationKind;

use super::lab::*;

/// A flash that ended with the connection, at the last byte.
fn cut() -> (Lab, UpdateId) {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.cut_at_the_end(id);
    lab.expect(id, StateKind::Confirming);
    (lab, id)
}

/// The same for a device that has never announced a hash and whose build has this one.
fn cut_mute(config_hash: Option<ConfigHash>) -> (Lab, UpdateId) {
    let mut lab = Lab::with(vec![config("mute")]);
    lab.seen("mute", None);
    let id = lab.install("mute");
    lab.built_as(id, Build { config_hash, ..build("mute") });
    lab.connected(id);
    lab.cut_at_the_end(id);
    (lab, id)
}

fn silence(lab: &mut Lab, id: UpdateId) {
    lab.after(12).give(returned(id));
    lab.after(16).give(Input::Tick);
}

#[test]
fn the_old_firmware_after_the_acknowledgement_is_a_rollback() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(20).seen("sleepy", Some(OLD));
    let UpdateState::Failed { problem, rolled_back: true, .. } = lab.state(id) else { panic!() };
    assert_eq!(problem.code, "update.rolled_back", "{problem}");
    assert!(problem.details.as_deref().is_some_and(|hashes| hashes.contains(&OLD.to_string())));
    assert_eq!(lab.told_kinds(), [NotificationKind::RolledBack]);
    lab.after(60).seen("sleepy", Some(OLD));
    assert_eq!(lab.effects, []);
}

#[test]
fn what_the_device_said_before_its_reboot_is_no_rollback() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(1).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Confirming);
    let cached = Sighting { source: Source::Browse, ..packet("sleepy", Some(OLD)) };
    lab.after(30).give(Input::Sighted(cached));
    lab.expect(id, StateKind::Confirming);
    lab.give(Input::Sighted(goodbye("sleepy")));
    lab.expect(id, StateKind::Confirming);
    lab.seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
}

#[test]
fn an_older_version_of_the_same_configuration_is_not_the_build() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    let old = Sighting { version: Some("2025.1.0".into()), ..packet("sleepy", Some(NEW)) };
    lab.after(20).give(Input::Sighted(old));
    assert!(matches!(lab.state(id), UpdateState::Failed { rolled_back: true, .. }));
}

#[test]
fn an_unknown_outcome_waits_for_the_word_and_is_flashed_again_only_by_the_old_one() {
    let (mut lab, id) = cut();
    lab.connected(id);
    assert!(!lab.starts_flash(), "never blindly");
    lab.after(2).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Confirming);
    lab.after(10).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Waiting);

    let (mut lab, id) = cut();
    let cached = Sighting { source: Source::Browse, ..packet("sleepy", Some(OLD)) };
    lab.after(60).give(Input::Sighted(cached));
    lab.expect(id, StateKind::Confirming);

    let (mut lab, id) = cut();
    lab.after(2).seen("sleepy", Some(NEW));
    assert!(matches!(lab.state(id), UpdateState::Installed { how: InstalledHow::Confirmed, .. }));
}

#[test]
fn a_device_that_serves_another_client_has_nothing_left_to_commit() {
    let (mut lab, id) = cut();
    lab.after(1).give(serves_again(id));
    lab.expect(id, StateKind::Confirming);
    lab.seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Waiting);

    let (mut lab, id) = cut();
    lab.after(1).give(Input::ServesAgain { update: id, peer: address(9) });
    lab.seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Confirming);
    // Its own word from before, out of the cache, says nothing even then.
    lab.give(serves_again(id));
    let cached = Sighting { source: Source::Browse, ..packet("sleepy", Some(OLD)) };
    lab.give(Input::Sighted(cached));
    lab.expect(id, StateKind::Confirming);
    lab.seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
}

#[test]
fn a_device_that_will_say_what_it_runs_is_waited_for_without_end() {
    let (mut lab, id) = cut();
    silence(&mut lab, id);
    for _ in 0..100 {
        lab.after(3_600).give(Input::Tick);
        lab.expect(id, StateKind::Confirming);
        let deadline = lab.dispatch.next_deadline(lab.now);
        assert!(deadline.is_none_or(|at| at > lab.now), "a past deadline would spin: {deadline:?}");
    }
}

#[test]
fn a_device_without_a_hash_is_installed_by_its_acknowledgement_and_return() {
    let mut lab = Lab::with(vec![config("mute")]);
    let id = lab.install("mute");
    lab.built_as(id, Build { config_hash: None, ..build("mute") });
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(1).give(returned(id));
    assert_eq!(lab.dispatch.next_deadline(lab.now), None, "it has not rebooted yet");
    lab.after(5).give(returned(id));
    assert_eq!(lab.dispatch.next_deadline(lab.now), Some(lab.now + WORD_AFTER_RETURN));
    lab.after(14).give(Input::Tick);
    lab.expect(id, StateKind::Confirming);
    lab.after(1).give(Input::Tick);
    let UpdateState::Installed { how, .. } = lab.state(id) else { panic!() };
    assert_eq!(*how, InstalledHow::Returned);
}

#[test]
fn a_packet_of_a_mute_device_is_its_return() {
    let mut lab = Lab::with(vec![config("mute")]);
    let id = lab.install("mute");
    lab.built_as(id, Build { config_hash: None, ..build("mute") });
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(5).give(Input::Sighted(address_packet("mute")));
    lab.after(15).give(Input::Tick);
    lab.expect(id, StateKind::Installed);
}

#[test]
fn without_return_nothing_is_claimed() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(100_000).give(Input::Tick);
    lab.expect(id, StateKind::Confirming);
}

#[test]
fn a_mute_device_of_unknown_outcome_gets_one_more_flash_once() {
    let (mut lab, id) = cut_mute(None);
    silence(&mut lab, id);
    lab.expect(id, StateKind::Waiting);
    lab.connected(id);
    assert!(lab.starts_flash());
    lab.cut_at_the_end(id);
    silence(&mut lab, id);
    let UpdateState::Failed { problem, may_have_arrived: true, .. } = lab.state(id) else {
        panic!()
    };
    assert_eq!(problem.code, "update.outcome_unknown");
}

#[test]
fn what_an_earlier_attempt_may_have_left_is_not_forgotten_at_a_refusal() {
    let (mut lab, id) = cut_mute(None);
    silence(&mut lab, id);
    lab.connected(id);
    lab.ended(id, failed(wakeflash_ota::FailureClass::Permanent));
    assert!(matches!(lab.state(id), UpdateState::Failed { may_have_arrived: true, .. }));
}

#[test]
fn a_failure_that_the_device_itself_reported_left_nothing_on_it() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.give(Input::AboutToComplete { update: id, encrypted: false });
    lab.ended(id, failed(wakeflash_ota::FailureClass::Permanent));
    assert!(matches!(lab.state(id), UpdateState::Failed { may_have_arrived: false, .. }));
}

#[test]
fn the_one_more_flash_begins_with_the_password_of_the_build_again() {
    // The first image may have arrived, with its password.
    let mut lab = Lab::with(vec![config("mute")]);
    lab.seen("mute", None);
    let memory = &mut lab.dispatch.devices.get_mut("mute").unwrap().memory;
    memory.installed_password = Some(crate::update::Secret("old".into()));
    let id = lab.install("mute");
    lab.built_as(id, Build { config_hash: None, ..build("mute") });
    lab.connected(id);
    lab.ended(id, failed(wakeflash_ota::FailureClass::WrongPassword));
    lab.connected(id);
    lab.cut_at_the_end(id);
    silence(&mut lab, id);
    lab.connected(id);
    let password = crate::update::PasswordChoice::OfBuild;
    assert_eq!(lab.effects, [crate::dispatch::Effect::StartFlash { update: id, password }]);
}

#[test]
fn a_device_that_only_we_gave_a_hash_is_not_expected_to_announce_it() {
    // Its first update counted as installed though it never said a word: what is remembered as its hash
    // is our own knowledge, and no promise that it will speak.
    let mut lab = Lab::with(vec![config("mute")]);
    let first = lab.install("mute");
    lab.built(first);
    lab.connected(first);
    lab.acknowledged(first);
    silence(&mut lab, first);
    lab.expect(first, StateKind::Installed);
    let id = lab.install("mute");
    lab.built_as(id, Build { config_hash: Some(ConfigHash(3)), ..build("mute") });
    lab.connected(id);
    lab.cut_at_the_end(id);
    silence(&mut lab, id);
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn the_same_hash_proves_nothing_after_an_unknown_outcome() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    lab.built_as(id, Build { config_hash: Some(OLD), ..build("sleepy") });
    lab.connected(id);
    lab.cut_at_the_end(id);
    lab.after(12).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Confirming);
    lab.after(16).give(Input::Tick);
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    const YEAR: u64 = 365 * 24 * 3_600 * 1_000;
    let back = |lab: &mut Lab| {
        let millis = lab.now.as_millis() - i64::try_from(YEAR).unwrap();
        lab.now = crate::time::Timestamp::from_millis(millis);
    };
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.ended(id, failed(wakeflash_ota::FailureClass::Busy));
    back(&mut lab);
    assert_eq!(lab.dispatch.targets(lab.now).len(), 1, "a pause of a year is none");
    lab.connected(id);
    assert!(lab.starts_flash());

    let (mut lab, id) = Lab::at(StateKind::Confirming);
    back(&mut lab);
    lab.give(Input::Tick);
    lab.after(20).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Failed);

    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(5).give(returned(id));
    back(&mut lab);
    lab.give(Input::Tick);
    lab.after(16).give(Input::Tick);
    lab.expect(id, StateKind::Installed);
}

#[test]
fn what_a_device_says_once_it_is_captured_is_what_it_ran_before() {
    let steps: [fn(&mut Lab, UpdateId); 3] = [
        |lab, id| {
            lab.seen("sleepy", Some(OLD));
            lab.cut_at_the_end(id);
        },
        |lab, id| {
            lab.give(Input::AboutToComplete { update: id, encrypted: false });
            lab.seen("sleepy", Some(OLD));
            lab.ended(id, failed(wakeflash_ota::FailureClass::OutcomeUnknown));
        },
        |lab, id| {
            lab.cut_at_the_end(id);
            lab.after(1).seen("sleepy", Some(OLD));
        },
    ];
    for (step, says) in steps.into_iter().enumerate() {
        // Nothing is known of it: it is at the address in its configuration.
        let mut lab = Lab::with(vec![config("sleepy")]);
        let id = lab.install("sleepy");
        lab.built(id);
        lab.connected(id);
        says(&mut lab, id);
        lab.expect(id, StateKind::Confirming);
        lab.after(20).give(returned(id));
        lab.after(60).give(Input::Tick);
        lab.expect(id, StateKind::Confirming);
        lab.seen("sleepy", Some(NEW));
        assert!(
            matches!(lab.state(id), UpdateState::Installed { how: InstalledHow::Confirmed, .. }),
            "{step}"
        );
    }
}

#[test]
fn the_wanted_hash_heard_when_the_image_may_be_complete_is_no_old_one() {
    let mut lab = Lab::with(vec![config("sleepy")]);
    let id = lab.install("sleepy");
    lab.built(id);
    lab.connected(id);
    lab.seen("sleepy", Some(OLD));
    lab.give(Input::AboutToComplete { update: id, encrypted: false });
    lab.seen("sleepy", Some(NEW));
    assert_eq!(lab.state(id).previous_hash(), Some(OLD));
}

#[test]
fn who_never_comes_back_is_told_once_and_still_awaited() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.told.clear();
    for _ in 0..120 {
        lab.after(30).give(Input::Tick);
    }
    let told: Vec<_> = lab.told.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(told, [NotificationKind::NotReturned]);
    let warning = lab.row("sleepy").update.unwrap().warning.unwrap();
    assert_eq!(warning.code, "device.not_returned");
    lab.expect(id, StateKind::Confirming);
    lab.seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
}
