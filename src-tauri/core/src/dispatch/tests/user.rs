//! What the user may ask for and what is refused, in words and without a trace.

use crate::device::DeviceId;
use crate::dispatch::{Builder, Decision, Effect, Input};
use crate::settings::{NotifyKinds, Settings};
use crate::update::{StateKind, UpdateState};
use wakeflash_ota::FailureClass;

use super::lab::*;

#[test]
fn before_the_directory_was_read_no_device_is_called_unknown() {
    let now = crate::time::Timestamp::from_millis(0);
    let mut dispatch = crate::dispatch::Dispatch::new(
        crate::settings::Settings::default(),
        Vec::new(),
        std::collections::BTreeMap::new(),
        std::collections::BTreeMap::new(),
        1,
        now,
    );
    let early = happen(&mut dispatch, Input::Install(yaml("sleepy")), now).unwrap_err();
    assert_eq!(early.code, "config_dir.reading");
    happen(&mut dispatch, Input::Configs(Vec::new()), now).unwrap();
    let late = happen(&mut dispatch, Input::Install(yaml("sleepy")), now).unwrap_err();
    assert_eq!(late.code, "device.unknown");
}

#[test]
fn unknown_devices_are_refused_in_words() {
    let mut lab = Lab::new();
    for name in
        ["nobody.yaml", "../sleepy.yaml", "/etc/passwd", "", "mdns/", "a\0b", "ümlaut x.yaml"]
    {
        let id = DeviceId::of_file(name);
        for input in [
            Input::Install(id.clone()),
            Input::Cancel(id.clone()),
            Input::Rebuild(id.clone()),
            Input::FlashAnyway(id.clone()),
            Input::Dismiss(id.clone()),
        ] {
            assert_eq!(lab.refuse(input), "device.unknown", "{name:?}");
        }
        assert_eq!(lab.refuse(Input::Retry(id)), "device.unknown", "{name:?}");
    }
    assert_eq!(lab.dispatch.updates().count(), 0);
}

#[test]
fn a_discovered_device_has_nothing_to_build() {
    let mut lab = Lab::new();
    lab.seen("stranger", Some(OLD));
    let id = DeviceId::discovered("stranger");
    assert_eq!(lab.refuse(Input::Install(id)), "device.not_configured");
}

#[test]
fn a_broken_configuration_is_refused_with_its_own_error() {
    let mut lab = Lab::with(vec![broken("bad")]);
    assert_eq!(lab.refuse(Input::Install(yaml("bad"))), "yaml.syntax");
}

#[test]
fn nothing_is_started_without_an_esphome() {
    let mut lab = Lab::new();
    lab.give(Input::Builder(Builder::Missing));
    assert_eq!(lab.refuse(Input::Install(yaml("sleepy"))), "esphome.missing");
}

#[test]
fn what_is_asked_for_waits_for_an_esphome_that_is_being_installed() {
    let mut lab = Lab::new();
    lab.give(Input::Builder(Builder::Missing));
    lab.give(Input::Builder(Builder::Coming));
    let id = lab.install("sleepy");
    lab.expect(id, StateKind::Queued);
    lab.give(ready());
    lab.expect(id, StateKind::Building);
    lab.give(Input::Builder(Builder::Coming));
    lab.give(Input::Cancel(yaml("sleepy")));
    let second = lab.install("sleepy");
    lab.expect(second, StateKind::Building);
}

#[test]
fn what_is_not_under_way_can_t_be_ended() {
    let mut lab = Lab::new();
    assert_eq!(lab.refuse(Input::Cancel(yaml("sleepy"))), "update.none");
    assert_eq!(lab.refuse(Input::Retry(yaml("sleepy"))), "update.none");
    assert_eq!(lab.refuse(Input::Rebuild(yaml("sleepy"))), "update.none");
}

#[test]
fn retry_starts_a_failed_or_cancelled_update_once_more() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    assert_eq!(lab.refuse(Input::Retry(yaml("sleepy"))), "update.active");
    lab.give(Input::BuildEnded { update: id, result: Err(problem().into()) });
    let second = lab.give(Input::Retry(yaml("sleepy"))).started.unwrap();
    lab.expect(second, StateKind::Building);
    lab.expect(id, StateKind::Failed);
    lab.give(Input::Cancel(yaml("sleepy")));
    let third = lab.give(Input::Retry(yaml("sleepy"))).started.unwrap();
    lab.built(third);
    lab.seen("sleepy", Some(NEW));
    assert_eq!(lab.refuse(Input::Retry(yaml("sleepy"))), "update.none", "it is installed");
}

#[test]
fn only_a_held_update_has_the_answers_of_one() {
    for state in ACTIVE {
        let (mut lab, _) = Lab::at(state);
        if state != StateKind::Held {
            assert_eq!(lab.refuse(Input::Rebuild(yaml("sleepy"))), "update.not_held", "{state:?}");
            assert_eq!(
                lab.refuse(Input::FlashAnyway(yaml("sleepy"))),
                "update.not_held",
                "{state:?}"
            );
        }
    }
}

#[test]
fn at_least_one_of_each_must_be_allowed() {
    let mut lab = Lab::new();
    for wrong in [
        Settings { max_builds: 0, ..Settings::default() },
        Settings { max_flashes: 0, ..Settings::default() },
    ] {
        assert_eq!(lab.refuse(Input::Settings(wrong)), "settings.zero");
        assert_eq!(*lab.dispatch.settings(), Settings::default());
    }
}

#[test]
fn a_request_that_is_refused_leaves_nothing_behind() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    lab.refuse(Input::Rebuild(yaml("sleepy")));
    let decision = lab.give(Input::Tick);
    assert!(!decision.is_durable() && decision.effects.is_empty());
    lab.expect(id, StateKind::Building);
}

#[test]
fn the_numbers_of_updates_never_repeat_whatever_was_loaded() {
    let (lab, id) = Lab::at(StateKind::Waiting);
    let updates = vec![lab.update(id).clone()];
    let mut lab = Lab::with(vec![config("other")]);
    lab.dispatch = crate::dispatch::Dispatch::new(
        Settings::default(),
        updates,
        std::collections::BTreeMap::new(),
        std::collections::BTreeMap::new(),
        0,
        lab.now,
    );
    lab.come_up();
    assert!(lab.install("other") > id);
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn without_notifications_nobody_is_told() {
    let mut lab = Lab::new();
    lab.give(Input::Settings(Settings { notify: NotifyKinds::all(false), ..Settings::default() }));
    let id = lab.install("sleepy");
    lab.give(Input::BuildEnded { update: id, result: Err(problem().into()) });
    assert!(matches!(lab.state(id), UpdateState::Failed { .. }));
    assert_eq!(lab.told, []);
}

#[test]
fn a_failure_can_be_put_aside_and_stays_in_the_history() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    assert_eq!(lab.refuse(Input::Dismiss(yaml("sleepy"))), "update.none", "it hasn't failed");
    lab.give(Input::BuildEnded { update: id, result: Err(problem().into()) });
    let group = |lab: &Lab| lab.dispatch.row(&yaml("sleepy"), lab.now).unwrap().group();
    assert_eq!(group(&lab), Some(crate::view::Group::Attention));
    let decision = lab.give(Input::Dismiss(yaml("sleepy")));
    assert!(decision.is_durable(), "it must not come back with the next start");
    assert_eq!(group(&lab), None);
    let row = lab.dispatch.row(&yaml("sleepy"), lab.now).unwrap();
    assert_eq!((row.update, row.primary), (None, crate::view::Action::Install));
    lab.expect(id, StateKind::Failed);
    assert_eq!(lab.refuse(Input::Dismiss(yaml("sleepy"))), "update.none", "once is enough");
    let second = lab.install("sleepy");
    lab.expect(second, StateKind::Building);
}

#[test]
fn what_is_stopped_in_the_commit_that_would_let_it_send_sends_nothing() {
    for stop in [Input::Install(yaml("sleepy")), Input::Cancel(yaml("sleepy"))] {
        let (mut lab, id) = Lab::at(StateKind::Flashing);
        lab.passed(id);
        let mut decision = Decision::on(&lab.dispatch);
        decision.take(Input::Captured { update: id }, lab.now).unwrap();
        assert!(decision.effects().contains(&Effect::GrantTransfer(id)));
        decision.take(stop, lab.now).unwrap();
        assert!(!decision.effects().contains(&Effect::GrantTransfer(id)));
        assert!(decision.effects().contains(&Effect::StopFlash(id)));
        let begun = &decision.next().memory("sleepy").unwrap().transfers;
        assert!(begun.is_empty(), "no transfer has begun: {begun:?}");
    }
}

#[test]
fn a_device_that_lets_go_before_its_transfer_begins_has_cut_none() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.passed(id);
    let mut decision = Decision::on(&lab.dispatch);
    decision.take(Input::Captured { update: id }, lab.now).unwrap();
    let outcome = failed(FailureClass::RetryNow);
    decision.take(Input::FlashEnded { update: id, outcome }, lab.now).unwrap();
    assert!(!decision.effects().contains(&Effect::GrantTransfer(id)));
    let next = decision.next();
    assert!(next.memory("sleepy").unwrap().transfers.is_empty());
    assert_eq!(next.update(id).unwrap().state.delivery().unwrap().cuts.in_all, 0);
}

#[test]
fn what_has_been_leaves_the_memory_and_the_last_one_stays() {
    let mut lab = Lab::with(vec![config("sleepy"), config("garden")]);
    let other = lab.install("garden");
    let mut last = lab.install("sleepy");
    for ending in
        [Input::Cancel(yaml("sleepy")), Input::Install(yaml("sleepy"))].iter().cycle().take(40)
    {
        lab.after(60).give(ending.clone());
        last = lab.dispatch.updates().filter(|it| it.id != other).last().unwrap().id;
    }
    let kept: Vec<_> = lab.dispatch.updates().map(|update| update.id).collect();
    assert!(kept.len() <= 4 && kept.contains(&other) && kept.contains(&last), "{kept:?}");
}
