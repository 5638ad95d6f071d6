//! Whose log is to be recorded, and when.

use wakeflash_ota::FailureClass;

use crate::device::{Sighting, Source};
use crate::dispatch::Input;
use crate::update::{Api, BuildStamp, Secret, StateKind};

use super::lab::*;

fn wish(on: bool) -> Input {
    Input::RecordLog { device: yaml("sleepy"), on }
}

fn wanted(lab: &Lab) -> Vec<String> {
    lab.dispatch.logs_to_record(lab.now)
}

#[test]
fn the_log_of_a_sleeping_device_is_wanted_at_once_and_until_it_is_kept() {
    let mut lab = Lab::new();
    assert!(wanted(&lab).is_empty() && !lab.row("sleepy").records_log);
    assert!(lab.give(wish(true)).is_durable());
    assert!(!lab.give(wish(true)).is_durable(), "it is wanted already");
    assert_eq!(wanted(&lab), ["sleepy"]);
    assert!(lab.row("sleepy").records_log);
    lab.after(600).seen("sleepy", Some(OLD));
    assert_eq!(wanted(&lab), ["sleepy"], "this is the wake");
    assert!(lab.give(Input::LogRecorded { name: "sleepy".into() }).is_durable());
    assert!(wanted(&lab).is_empty() && !lab.row("sleepy").records_log);
    assert!(!lab.give(Input::LogRecorded { name: "sleepy".into() }).is_durable());
}

#[test]
fn of_a_device_that_is_awake_it_is_the_next_wake() {
    let mut lab = Lab::new();
    lab.after(600).seen("sleepy", Some(OLD));
    lab.after(1).give(wish(true));
    assert!(wanted(&lab).is_empty());
    lab.after(5).give(Input::Sighted(goodbye("sleepy")));
    assert_eq!(wanted(&lab), ["sleepy"]);
    // It blinks: that is the same wake.
    lab.after(1).seen("sleepy", Some(OLD));
    assert!(wanted(&lab).is_empty());
    lab.after(5).give(Input::Sighted(goodbye("sleepy")));
    lab.after(600).seen("sleepy", Some(OLD));
    assert_eq!(wanted(&lab), ["sleepy"]);
}

#[test]
fn it_is_wanted_over_a_restart_and_can_be_taken_back() {
    let mut lab = Lab::new();
    lab.give(wish(true));
    lab.restart();
    lab.come_up();
    assert_eq!(wanted(&lab), ["sleepy"]);
    assert!(lab.row("sleepy").records_log);
    assert!(lab.give(wish(false)).is_durable());
    assert!(wanted(&lab).is_empty());
    assert_eq!(lab.refuse(Input::RecordLog { device: yaml("nobody"), on: true }), "device.unknown");
}

#[test]
fn an_update_comes_first() {
    for state in [StateKind::Waiting, StateKind::Flashing, StateKind::Confirming] {
        let (mut lab, _) = Lab::at(state);
        lab.give(wish(true));
        assert!(wanted(&lab).is_empty(), "{state:?}");
        assert!(lab.dispatch.log_has_to_wait("sleepy", lab.now));
        assert!(!lab.dispatch.log_has_to_wait("other", lab.now));
    }
    for state in [StateKind::Queued, StateKind::Building, StateKind::Held] {
        let (mut lab, _) = Lab::at(state);
        lab.give(wish(true));
        assert_eq!(wanted(&lab), ["sleepy"], "{state:?}: nothing is sent now");
    }
}

#[test]
fn what_an_update_leaves_of_the_wake_is_recorded() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.give(wish(true));
    lab.after(600).seen("sleepy", Some(OLD));
    lab.connected(id);
    assert!(wanted(&lab).is_empty());
    lab.acknowledged(id);
    assert!(wanted(&lab).is_empty());
    lab.after(10).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    assert_eq!(wanted(&lab), ["sleepy"]);
}

#[test]
fn between_two_attempts_there_is_time_for_it() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.give(wish(true));
    lab.after(600).seen("sleepy", Some(OLD));
    lab.connected(id);
    lab.ended(id, failed(FailureClass::NextWake));
    lab.expect(id, StateKind::Waiting);
    assert_eq!(wanted(&lab), ["sleepy"], "nothing is sent before the pause is over");
    lab.after(16);
    assert!(wanted(&lab).is_empty(), "it is over in a moment");
}

#[test]
fn so_many_are_waited_for_at_once() {
    let names: Vec<String> = (0..17).map(|n| format!("d{n}")).collect();
    let mut lab = Lab::with(names.iter().map(|name| config(name)).collect());
    let on = |name: &str| Input::RecordLog { device: yaml(name), on: true };
    for name in &names[..16] {
        lab.give(on(name));
    }
    assert_eq!(lab.refuse(on("d16")), "log.too_many_wishes");
    lab.give(Input::RecordLog { device: yaml("d3"), on: false });
    lab.give(on("d16"));
    assert_eq!(wanted(&lab).len(), 16);
}

#[test]
fn the_way_to_a_log_is_that_of_what_runs() {
    let mut lab = Lab::new();
    let source = |lab: &Lab| lab.dispatch.log_source("sleepy");
    assert_eq!(source(&lab).installed, None);
    assert_eq!(source(&lab).found, [address(7)]);
    let id = lab.install("sleepy");
    let api = Api { port: 6054, key: Some(Secret("k".into())) };
    let stamp = Some(BuildStamp("2026-11-30 09:46:06 +0000".into()));
    lab.built_as(id, crate::update::Build { api: Some(api.clone()), stamp, ..build("sleepy") });
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(10).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    assert_eq!(source(&lab).installed, Some(api));
    lab.after(60).seen("sleepy", Some(OLD));
    assert_eq!(source(&lab).installed, None, "somebody else has installed something");
}

#[test]
fn only_the_device_itself_is_listened_to() {
    let mut lab = Lab::new();
    let mac = |text: &str| Some(text.parse().unwrap());
    let own = Sighting { mac: mac("020000000001"), ..answer("sleepy", Some(OLD)) };
    lab.give(Input::Sighted(own.clone()));
    let who = lab.dispatch.log_source("sleepy").who;
    assert!(who.is(&own, lab.now));
    for other in [
        Sighting { mac: mac("020000000002"), ..own.clone() },
        Sighting { name: "other".into(), ..own.clone() },
        Sighting { source: Source::Browse, ..own.clone() },
        Sighting { source: Source::Answer(address(9)), mac: None, ..own },
    ] {
        assert!(!who.is(&other, lab.now), "{other:?}");
    }
    assert!(who.may_be_at(address(7), None));
    assert!(!who.may_be_at(address(9), None), "it is merely said to be there");
}
