//! Attempts that fail, and what follows on each kind.

use crate::dispatch::{Effect, Input};
use crate::knock::{Purpose, TargetAddress};
use crate::retry::{AFTER_DEVICE_ERROR, AFTER_REFUSED_GATE, DEVICE_ERROR_LIMIT, WHILE_BUSY};
use crate::settings::Settings;
use crate::update::{PasswordChoice, Secret, StateKind, UpdateId};
use crate::view::NotificationKind;
use wakeflash_ota::FailureClass;

use super::lab::*;

fn last_installed_password(lab: &mut Lab, password: &str) {
    lab.dispatch.devices.get_mut("sleepy").unwrap().memory.installed_password =
        Some(Secret(password.into()));
}

fn flash_with(id: UpdateId, password: PasswordChoice) -> Vec<Effect> {
    vec![Effect::StartFlash { update: id, password }]
}

#[test]
fn a_wrong_password_tries_the_last_installed_one_and_then_fails() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    last_installed_password(&mut lab, "old");
    lab.connected(id);
    assert_eq!(lab.effects, flash_with(id, PasswordChoice::OfBuild));
    lab.ended(id, failed(FailureClass::WrongPassword));
    assert_eq!(lab.dispatch.targets(lab.now).len(), 1, "at once");
    lab.connected(id);
    assert_eq!(lab.effects, flash_with(id, PasswordChoice::LastInstalled));
    lab.ended(id, failed(FailureClass::WrongPassword));
    lab.expect(id, StateKind::Failed);
    assert_eq!(lab.told_kinds(), [NotificationKind::Failed]);
}

#[test]
fn a_wrong_password_without_another_one_fails() {
    for remembered in [None, Some("new")] {
        let (mut lab, id) = Lab::at(StateKind::Flashing);
        if let Some(password) = remembered {
            last_installed_password(&mut lab, password);
        }
        lab.ended(id, failed(FailureClass::WrongPassword));
        lab.expect(id, StateKind::Failed);
    }
}

#[test]
fn the_password_that_is_on_the_device_now_can_be_said() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.ended(id, failed(FailureClass::WrongPassword));
    lab.expect(id, StateKind::Failed);
    let said = Secret("on it now".into());
    let again = Input::RetryWithPassword { device: yaml("sleepy"), password: said.clone() };
    let decided = lab.give(again);
    assert!(!format!("{:?}", decided.writes).contains("on it now"), "it is told nobody");
    let id = decided.started.unwrap();
    lab.built(id);
    lab.connected(id);
    assert_eq!(lab.effects, flash_with(id, PasswordChoice::OfBuild));
    lab.ended(id, failed(FailureClass::WrongPassword));
    lab.connected(id);
    assert_eq!(lab.effects, flash_with(id, PasswordChoice::LastInstalled));
    let update = lab.update(id);
    let delivery = update.state.delivery().unwrap();
    let used = lab.dispatch.credentials(update, delivery, PasswordChoice::LastInstalled).unwrap();
    assert_eq!(used.password, Some(said));
    // What is under way isn't disturbed, and nothing is remembered then.
    let other = Input::RetryWithPassword { device: yaml("sleepy"), password: Secret("x".into()) };
    assert_eq!(lab.refuse(other), "update.active");
}

#[test]
fn the_password_of_an_installed_build_is_remembered() {
    let (mut lab, _) = Lab::at(StateKind::Confirming);
    lab.after(5).seen("sleepy", Some(NEW));
    assert_eq!(
        lab.dispatch.memory("sleepy").unwrap().installed_password,
        Some(Secret("new".into()))
    );
}

#[test]
fn a_permanent_error_ends_the_update() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.ended(id, failed(FailureClass::Permanent));
    lab.expect(id, StateKind::Failed);
    assert_eq!(lab.told_kinds(), [NotificationKind::Failed]);
    lab.after(60).seen("sleepy", Some(OLD));
    assert_eq!(lab.effects, []);
}

#[test]
fn a_device_that_keeps_failing_is_given_up() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    for attempt in 1..=DEVICE_ERROR_LIMIT {
        lab.after(60).connected(id);
        assert!(lab.starts_flash(), "attempt {attempt}");
        lab.ended(id, failed(FailureClass::NextWake));
    }
    lab.expect(id, StateKind::Failed);
}

#[test]
fn network_trouble_is_retried_without_end_and_without_notifications() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    for _ in 0..500 {
        lab.after(60).connected(id);
        assert!(lab.starts_flash());
        lab.ended(id, failed(FailureClass::RetryNow));
    }
    lab.expect(id, StateKind::Waiting);
    assert_eq!(lab.told, []);
    assert_eq!(lab.row("sleepy").update.unwrap().attempts, 500);
    assert!(lab.row("sleepy").update.unwrap().last_attempt.is_some());
    assert!(lab.update(id).timeline.len() <= 100);
}

#[test]
fn each_failure_has_its_pause() {
    for (outcome, pause) in [
        (failed(FailureClass::Busy), WHILE_BUSY),
        (failed(FailureClass::NextWake), AFTER_DEVICE_ERROR),
        (not_proven(), AFTER_REFUSED_GATE),
    ] {
        let (mut lab, id) = Lab::at(StateKind::Flashing);
        lab.ended(id, outcome);
        let due = lab.now + pause;
        assert_eq!(lab.dispatch.next_deadline(lab.now), Some(due));
        lab.connected(id);
        assert_eq!(lab.effects, [Effect::DropConnection(id)], "not before its time");
        lab.now = due;
        assert_eq!(lab.dispatch.next_deadline(lab.now), None);
        lab.connected(id);
        assert!(lab.starts_flash());
    }
}

#[test]
fn a_wake_ends_every_pause() {
    for outcome in [failed(FailureClass::Busy), failed(FailureClass::NextWake), not_proven()] {
        let (mut lab, id) = Lab::at(StateKind::Flashing);
        lab.ended(id, outcome);
        lab.after(1).give(Input::Sighted(goodbye("sleepy")));
        lab.after(1).seen("sleepy", Some(OLD));
        assert_eq!(lab.effects, [Effect::Nudge("sleepy".into())]);
        assert_eq!(lab.dispatch.targets(lab.now).len(), 1, "every wake counts");
        lab.connected(id);
        assert!(lab.starts_flash());
    }
}

#[test]
fn the_device_s_own_packet_ends_the_pause_of_a_gate_that_lacked_just_that() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.ended(id, not_proven());
    lab.after(1).seen("sleepy", Some(OLD));
    assert_eq!(lab.dispatch.targets(lab.now).len(), 1);
}

#[test]
fn a_device_that_refused_the_image_is_not_asked_again_in_the_same_wake() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.seen("sleepy", Some(OLD));
    lab.connected(id);
    lab.ended(id, failed(FailureClass::NextWake));
    lab.after(1).seen("sleepy", Some(OLD));
    assert!(lab.dispatch.targets(lab.now).is_empty());
}

#[test]
fn a_refused_gate_says_why_and_is_no_failure() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.ended(id, not_proven());
    lab.expect(id, StateKind::Waiting);
    let view = lab.row("sleepy").update.unwrap();
    assert_eq!(view.last_attempt.unwrap().problem, problem());
    assert_eq!(lab.told, []);
}

#[test]
fn as_many_transfers_as_the_settings_allow() {
    let mut lab = Lab::with(["a", "b", "c"].map(config).into());
    lab.give(Input::Settings(Settings { max_flashes: 2, ..Settings::default() }));
    let ids = ["a", "b", "c"].map(|name| {
        let id = lab.install(name);
        lab.built(id);
        id
    });
    for (id, granted) in ids.iter().zip([true, true, false]) {
        lab.connected(*id);
        assert!(lab.starts_flash(), "every sleeper is captured");
        lab.captured(*id);
        assert_eq!(lab.effects.contains(&Effect::GrantTransfer(*id)), granted);
    }
    lab.acknowledged(ids[0]);
    assert!(
        lab.effects.contains(&Effect::GrantTransfer(ids[2])),
        "what only reboots takes no place"
    );
}

#[test]
fn a_second_connection_is_no_second_flash() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.connected(id);
    assert_eq!(lab.effects, [Effect::DropConnection(id)]);
    lab.expect(id, StateKind::Flashing);
}

fn ip(last: u8) -> TargetAddress {
    TargetAddress::Ip(address(last))
}

#[test]
fn targets_say_where_to_go() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    let target = &lab.dispatch.targets(lab.now)[0];
    assert_eq!((target.update, target.ports.as_slice()), (id, &[3232][..]));
    assert_eq!(target.addresses, [ip(7), TargetAddress::Name("sleepy.local".into())]);
    assert_eq!(target.purpose, Purpose::Capture);
    lab.connected(id);
    assert!(lab.dispatch.targets(lab.now).is_empty(), "it is connected");
    lab.acknowledged(id);
    assert_eq!(lab.dispatch.targets(lab.now)[0].purpose, Purpose::Confirm);
}

#[test]
fn a_configured_address_comes_after_where_the_device_was_seen() {
    for (written, addresses) in [
        ("192.0.2.9", vec![ip(7), ip(9)]),
        ("192.0.2.7", vec![ip(7)]),
        ("device.example.org", vec![ip(7), TargetAddress::Name("device.example.org".into())]),
    ] {
        let (mut lab, id) = Lab::at(StateKind::Building);
        let build = crate::update::Build { address: Some(written.into()), ..build("sleepy") };
        lab.built_as(id, build);
        let target = &lab.dispatch.targets(lab.now)[0];
        assert_eq!(target.addresses, addresses, "{written}");
    }
}
