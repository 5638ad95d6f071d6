//! What a device says over its native API: which very build runs, and nothing about a hash.

use crate::device::{ConfigHash, MacAddress, Presence, Sighting};
use crate::dispatch::Input;
use crate::identity::{Proof, RunningBuild};
use crate::update::{Build, BuildStamp, InstalledHow, StateKind, UpdateId, UpdateState};

use super::lab::*;

const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 7]);

fn stamp(text: &str) -> BuildStamp {
    BuildStamp(text.into())
}

/// A build with a stamp of its own; the hash is the one that the device has announced before.
fn stamped() -> Build {
    Build { config_hash: Some(OLD), stamp: Some(stamp("new")), ..build("sleepy") }
}

/// The device's answer over its API.
fn told(text: &str) -> Sighting {
    Sighting { mac: Some(MAC), stamp: Some(stamp(text)), ..answer("sleepy", None) }
}

fn says(lab: &mut Lab, text: &str) {
    lab.give(Input::Sighted(told(text)));
}

/// An update whose hash doesn't tell, in the middle of its flash.
fn flashing() -> (Lab, UpdateId) {
    let mut lab = Lab::new();
    let id = lab.install("sleepy");
    lab.built_as(id, stamped());
    lab.connected(id);
    (lab, id)
}

fn how(lab: &Lab, id: UpdateId) -> InstalledHow {
    let UpdateState::Installed { how, .. } = lab.state(id) else { panic!("{:?}", lab.state(id)) };
    *how
}

#[test]
fn the_stamp_of_the_build_confirms_it_where_its_hash_does_not_tell() {
    let (mut lab, id) = flashing();
    lab.acknowledged(id);
    lab.after(1);
    says(&mut lab, "new");
    assert_eq!(how(&lab, id), InstalledHow::Confirmed);

    let (mut lab, id) = flashing();
    lab.cut_at_the_end(id);
    lab.after(1);
    says(&mut lab, "new");
    assert_eq!(how(&lab, id), InstalledHow::Confirmed);
}

#[test]
fn another_stamp_is_another_firmware_with_the_same_hash() {
    let (mut lab, id) = flashing();
    lab.acknowledged(id);
    lab.after(1);
    says(&mut lab, "old");
    lab.expect(id, StateKind::Confirming);
    lab.after(20);
    says(&mut lab, "old");
    assert!(matches!(lab.state(id), UpdateState::Failed { rolled_back: true, .. }));
    // As after any rollback, its later word counts.
    says(&mut lab, "new");
    assert_eq!(how(&lab, id), InstalledHow::Confirmed);

    let (mut lab, id) = flashing();
    lab.cut_at_the_end(id);
    lab.after(20);
    says(&mut lab, "old");
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn a_waiting_device_that_says_that_it_runs_this_very_build_gets_nothing() {
    let mut lab = Lab::new();
    let id = lab.install("sleepy");
    lab.built_as(id, stamped());
    says(&mut lab, "old");
    lab.expect(id, StateKind::Waiting);
    says(&mut lab, "new");
    assert_eq!(how(&lab, id), InstalledHow::AlreadyRunning);
}

#[test]
fn what_is_said_from_elsewhere_decides_nothing() {
    // It was proven with its hardware; the forger has another.
    let (mut lab, id) = flashing();
    let own = Sighting { mac: Some(MAC), link_address: Some(MAC), ..answer("sleepy", Some(OLD)) };
    lab.give(Input::Sighted(own));
    lab.acknowledged(id);
    let there = address(9);
    for word in ["old", "new"] {
        let forged = Sighting {
            source: crate::device::Source::Answer(there),
            addresses: vec![there],
            link_address: Some(MacAddress([2, 0, 0, 0, 0, 9])),
            ..told(word)
        };
        lab.after(20).give(Input::Sighted(forged));
        lab.expect(id, StateKind::Confirming);
    }
}

#[test]
fn an_answer_over_the_api_says_nothing_about_the_hash() {
    let mut lab = Lab::new();
    lab.give(Input::Sighted(Sighting { mac: Some(MAC), ..answer("sleepy", Some(OLD)) }));
    let memory = lab.dispatch.memory("sleepy").unwrap();
    assert!(memory.announces_hash);
    says(&mut lab, "old");
    let memory = lab.dispatch.memory("sleepy").unwrap();
    let build = memory.identity.build().cloned();
    let version = Some(VERSION.to_owned());
    let known = RunningBuild { version, config_hash: Some(OLD), stamp: Some(stamp("old")) };
    assert!(memory.announces_hash, "it didn't say that it announces none");
    assert_eq!(build, Some(known.clone()));
    // Its record comes again, and nothing is lost.
    lab.give(Input::Sighted(Sighting { mac: Some(MAC), ..answer("sleepy", Some(OLD)) }));
    assert_eq!(lab.dispatch.memory("sleepy").unwrap().identity.build(), Some(&known));
    // Another build of the same ESPHome, whose hash nobody knows yet.
    says(&mut lab, "another");
    let build = lab.dispatch.memory("sleepy").unwrap().identity.build().cloned().unwrap();
    assert_eq!((build.config_hash, build.stamp), (None, Some(stamp("another"))));
    assert_eq!(lab.row("sleepy").presence, Presence::Online);
}

/// A device that was flashed, is asleep, and has said over its API what it ran before, or not.
fn installed(before: Option<&str>) -> (Lab, UpdateId) {
    let (mut lab, id) = flashing();
    if let Some(before) = before {
        let proof = Proof::of_session(address(7), None, None, core::iter::once(&told(before)));
        lab.give(Input::Proven { update: id, proof });
    }
    lab.acknowledged(id);
    lab.after(5);
    says(&mut lab, "new");
    lab.expect(id, StateKind::Installed);
    lab.after(10).give(Input::Sighted(goodbye("sleepy")));
    lab.after(600);
    (lab, id)
}

#[test]
fn the_stamp_from_before_in_the_next_wake_is_a_rollback() {
    let (mut lab, id) = installed(Some("old"));
    says(&mut lab, "old");
    assert!(matches!(lab.state(id), UpdateState::Failed { rolled_back: true, .. }));
    // Somebody has installed another one.
    let (mut lab, id) = installed(Some("old"));
    says(&mut lab, "third");
    lab.expect(id, StateKind::Installed);
    // It isn't known what ran before: the record has to tell.
    let (mut lab, id) = installed(None);
    says(&mut lab, "third");
    lab.expect(id, StateKind::Installed);
    lab.give(Input::Sighted(answer("sleepy", Some(ConfigHash(0xCCCC)))));
    lab.expect(id, StateKind::Installed);
}

#[test]
fn the_stamp_of_the_build_in_the_next_wake_ends_the_watch() {
    let (mut lab, id) = installed(Some("old"));
    says(&mut lab, "new");
    says(&mut lab, "old");
    lab.expect(id, StateKind::Installed);
}
