//! What is at an address need not be the device, and what announces a hash need not run the new image.

use core::time::Duration;

use crate::device::{Sighting, SightingKind, Source};
use crate::dispatch::{Effect, FlashOutcome, Input};
use crate::knock::TargetAddress;
use crate::retry::{AT_ANOTHER_DEVICE, AT_ANOTHER_DEVICE_AT_LEAST};
use crate::update::StateKind;
use wakeflash_ota::FailureClass;

use super::lab::*;

fn browse(name: &str, hash: crate::device::ConfigHash) -> Sighting {
    Sighting { source: Source::Browse, ..packet(name, Some(hash)) }
}

/// It answers at this address, with the MAC address that it has there.
fn at(last: u8) -> Sighting {
    let (source, addresses) = (Source::Answer(address(last)), vec![address(last)]);
    Sighting { source, addresses, ..answer("sleepy", Some(OLD)) }
}

fn tried(lab: &Lab) -> Vec<TargetAddress> {
    lab.dispatch.targets(lab.now)[0].addresses.clone()
}

#[test]
fn a_stranger_at_one_address_is_no_obstacle_to_the_device_at_another() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.give(Input::Sighted(at(8)));
    assert!(tried(&lab).contains(&TargetAddress::Ip(address(7))));
    lab.connected(id);
    let problem = problem();
    lab.ended(id, FlashOutcome::NotProven { another_device: true, problem });
    lab.expect(id, StateKind::Waiting);
    assert!(!tried(&lab).contains(&TargetAddress::Ip(address(7))), "that is somebody else's");
    assert!(tried(&lab).contains(&TargetAddress::Ip(address(8))), "the device may be there, now");
    lab.connected(id);
    assert_eq!(lab.effects, [Effect::DropConnection(id)], "a name may still lead to the stranger");
    lab.give(Input::Connected { update: id, peer: address(8) });
    assert!(lab.starts_flash());
    assert!(!lab.dispatch.memory("sleepy").unwrap().addresses().any(|at| at == address(7)));
}

#[test]
fn where_a_stranger_was_it_is_tried_again_after_a_while_and_in_each_wake() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.ended(id, FlashOutcome::NotProven { another_device: true, problem: problem() });
    assert_eq!(lab.dispatch.next_deadline(lab.now), Some(lab.now + AT_ANOTHER_DEVICE));
    let avoids = |lab: &Lab| !lab.dispatch.targets(lab.now)[0].avoid.is_empty();
    assert!(avoids(&lab));
    lab.give(Input::Sighted(goodbye("sleepy")));
    lab.give(Input::Sighted(browse("sleepy", OLD)));
    assert!(avoids(&lab), "a cache knows no wake");
    lab.after(AT_ANOTHER_DEVICE_AT_LEAST.as_secs()).give(Input::Sighted(at(9)));
    assert!(!avoids(&lab), "it woke");
    lab.connected(id);
    lab.ended(id, FlashOutcome::NotProven { another_device: true, problem: problem() });
    lab.after(AT_ANOTHER_DEVICE.as_secs());
    assert!(!avoids(&lab));
}

#[test]
fn something_that_answers_elsewhere_is_not_the_device_that_came_back() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(10).give(Input::Returned { update: id, peer: address(9) });
    lab.after(60).give(Input::Tick);
    lab.expect(id, StateKind::Confirming);
    lab.give(returned(id));
    lab.after(60).give(Input::Tick);
    lab.expect(id, StateKind::Installed);
}

#[test]
fn the_hash_of_an_image_that_may_have_arrived_before_proves_nothing_of_a_newer_one() {
    for steps in [1, 2] {
        let (mut lab, id) = Lab::at(StateKind::Flashing);
        lab.give(Input::AboutToComplete { update: id, encrypted: false });
        lab.ended(id, failed(FailureClass::OutcomeUnknown));
        lab.give(Input::Cancel(yaml("sleepy")));
        // Only the code of a component is different: the hash is the same.
        let mut newer = lab.install("sleepy");
        for _ in 1..steps {
            newer = lab.install("sleepy");
        }
        lab.built(newer);
        lab.after(20).seen("sleepy", Some(NEW));
        lab.expect(newer, StateKind::Waiting);
    }
}

#[test]
fn of_a_device_that_was_never_heard_no_hash_tells() {
    let mut lab = Lab::with(vec![config("unheard")]);
    let id = lab.install("unheard");
    lab.built_as(id, build("unheard"));
    lab.seen("unheard", Some(NEW));
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn a_change_that_was_taken_back_is_flashed_and_confirmed_by_what_the_device_says_then() {
    let mut lab = Lab::new();
    lab.seen("sleepy", Some(NEW));
    lab.seen("sleepy", Some(OLD));
    let id = lab.install("sleepy");
    lab.built(id);
    lab.give(Input::Sighted(browse("sleepy", NEW)));
    lab.expect(id, StateKind::Waiting);
    lab.connected(id);
    lab.seen("sleepy", Some(OLD));
    lab.give(Input::AboutToComplete { update: id, encrypted: false });
    lab.ended(id, failed(FailureClass::OutcomeUnknown));
    lab.after(1).give(Input::Sighted(browse("sleepy", NEW)));
    lab.expect(id, StateKind::Confirming);
    lab.seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
}

#[test]
fn what_a_device_announced_in_this_wake_makes_the_new_hash_tell() {
    let mut lab = Lab::with(vec![config("unheard")]);
    let id = lab.install("unheard");
    lab.built_as(id, build("unheard"));
    lab.seen("unheard", Some(OLD));
    lab.connected(id);
    lab.give(Input::AboutToComplete { update: id, encrypted: false });
    lab.ended(id, failed(FailureClass::OutcomeUnknown));
    lab.after(1).seen("unheard", Some(NEW));
    lab.expect(id, StateKind::Installed);
}

#[test]
fn whoever_is_met_without_a_session_is_told_once() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    let met = Input::Stranger { name: "sleepy".into(), peer: address(9) };
    lab.give(met.clone());
    let last = lab.row("sleepy").update.unwrap().last_attempt.unwrap();
    assert_eq!(last.problem.code, "gate.unidentified");
    assert!(last.problem.message.contains("192.0.2.9"), "{}", last.problem.message);
    lab.expect(id, StateKind::Waiting);
    lab.after(60).give(met);
    assert_eq!(lab.row("sleepy").update.unwrap().last_attempt.unwrap(), last);
}

#[test]
fn however_much_is_said_of_a_device_little_is_stored() {
    let mut lab = Lab::with(vec![config("sleepy")]);
    let mut written = 0;
    for n in 0..500_u64 {
        lab.after_ms(10);
        let said = Sighting { friendly_name: Some(format!("News {n}")), ..packet("sleepy", None) };
        let decision = lab.give(Input::Sighted(said));
        written += decision.writes.memories.len();
    }
    assert!(written <= 12, "{written} writes in five seconds");
    let due = lab.dispatch.next_deadline(lab.now).unwrap();
    assert!(due <= lab.now + Duration::from_millis(500), "the last word is stored soon");
    lab.now = due;
    let stored = lab.give(Input::Tick).writes.memories;
    let [(_, memory)] = stored.as_slice() else { panic!("{stored:?}") };
    assert_eq!(memory.friendly_name.as_deref(), Some("News 499"));
    lab.after(1);
    assert!(lab.give(Input::Tick).writes.memories.is_empty(), "once");
}

#[test]
fn however_often_it_comes_and_goes_little_is_stored() {
    let mut lab = Lab::with(vec![config("sleepy")]);
    lab.seen("sleepy", Some(OLD));
    let mut written = 0;
    for n in 0..500 {
        lab.after_ms(10);
        let kind = if n % 2 == 0 { SightingKind::Gone } else { SightingKind::Alive };
        let said = Sighting { kind, ..packet("sleepy", Some(OLD)) };
        written += usize::from(lab.give(Input::Sighted(said)).is_durable());
    }
    assert!(written <= 12, "{written} writes in five seconds");
    lab.after(1);
    let writes = lab.give(Input::Tick).writes;
    let stored: Vec<_> =
        writes.wakes.iter().map(|(name, wakes)| (name.as_str(), wakes.len())).collect();
    assert_eq!(stored, [("sleepy", 1)], "the last word is stored soon");
}
