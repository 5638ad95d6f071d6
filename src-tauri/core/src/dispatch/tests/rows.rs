//! Rows, buttons and counts.

use crate::configuration::{AddressClaim, ConfigFile};
use crate::device::{DeviceId, Presence};
use crate::dispatch::Input;
use crate::gate::LiteralAddress;
use crate::update::{Build, StateKind};
use crate::view::{Action, Counts, UpdateStateView};

use super::lab::*;

#[test]
fn every_state_has_its_button() {
    assert_eq!(Lab::new().row("sleepy").primary, Action::Install);
    for state in ACTIVE {
        let (lab, _) = Lab::at(state);
        let row = lab.row("sleepy");
        if state == StateKind::Held {
            assert_eq!(row.primary, Action::Rebuild);
            assert_eq!(row.secondary, [Action::FlashAnyway, Action::Cancel]);
        } else {
            assert_eq!(row.primary, Action::Cancel, "{state:?}");
        }
    }
    let (mut lab, id) = Lab::at(StateKind::Building);
    lab.give(Input::BuildEnded { update: id, result: Err(problem().into()) });
    let row = lab.row("sleepy");
    assert_eq!((row.primary, row.secondary), (Action::Retry, vec![Action::Dismiss]));
}

#[test]
fn a_broken_configuration_is_a_row_with_its_error() {
    let mut lab = Lab::with(vec![broken("bad")]);
    let row = lab.row("bad");
    assert_eq!((row.name.as_str(), row.primary), ("bad", Action::None));
    assert_eq!(row.problem.unwrap().code, "yaml.syntax");
    // Its device is still this device.
    let decision = lab.give(Input::Sighted(packet("bad", Some(OLD))));
    assert!(decision.touched.contains(&yaml("bad")), "its row shows it");
    assert_eq!(lab.row("bad").presence, Presence::Online);
    assert_eq!(lab.dispatch.rows(), [yaml("bad")], "and no second row does");
}

#[test]
fn a_configuration_that_breaks_keeps_the_name_that_its_update_has() {
    let mut file = config("kitchen");
    file.content.as_mut().unwrap().name = "kitchen-sensor".into();
    let mut lab = Lab::with(vec![file]);
    lab.seen("kitchen-sensor", Some(OLD));
    let id = lab.install("kitchen");
    lab.built(id);
    lab.give(Input::Configs(vec![broken("kitchen")]));
    let row = lab.row("kitchen");
    assert_eq!((row.name.as_str(), row.presence), ("kitchen-sensor", Presence::Online));
    assert_eq!(row.primary, Action::Cancel);
    assert_eq!(lab.dispatch.rows(), [yaml("kitchen")]);
}

#[test]
fn an_update_without_a_configuration_is_the_only_row_of_its_device() {
    let (mut lab, _) = Lab::at(StateKind::Waiting);
    lab.give(Input::Configs(Vec::new()));
    let decision = lab.give(Input::Sighted(packet("sleepy", Some(OLD))));
    assert!(decision.touched.contains(&yaml("sleepy")));
    assert_eq!(lab.dispatch.rows(), [yaml("sleepy")]);
    let decision = lab.give(Input::Cancel(yaml("sleepy")));
    let discovered = DeviceId::discovered("sleepy");
    assert!(decision.touched.contains(&discovered));
    assert_eq!(lab.dispatch.rows(), [discovered]);
}

#[test]
fn the_counts_are_those_of_the_rows() {
    let counts = |lab: &Lab| Counts::of([&lab.row("sleepy")]);
    for state in ACTIVE {
        let expected = match state {
            StateKind::Waiting => Counts { waiting: 1, ..Counts::default() },
            StateKind::Held => Counts { attention: 1, ..Counts::default() },
            StateKind::Queued
            | StateKind::Building
            | StateKind::Flashing
            | StateKind::Confirming
            | StateKind::Installed
            | StateKind::Failed
            | StateKind::Cancelled
            | StateKind::Superseded => Counts { working: 1, ..Counts::default() },
        };
        assert_eq!(counts(&Lab::at(state).0), expected, "{state:?}");
    }
    let (mut lab, id) = Lab::at(StateKind::Building);
    lab.give(Input::BuildEnded { update: id, result: Err(problem().into()) });
    assert_eq!(counts(&lab), Counts { attention: 1, ..Counts::default() });
    lab.give(Input::Retry(yaml("sleepy")));
    assert_eq!(counts(&lab), Counts { working: 1, ..Counts::default() });
    lab.give(Input::Cancel(yaml("sleepy")));
    assert_eq!(counts(&lab), Counts::default());
}

#[test]
fn what_an_update_is_for_is_shown_with_it() {
    let (lab, _) = Lab::at(StateKind::Flashing);
    let view = lab.row("sleepy").update.unwrap();
    assert_eq!((view.wanted_hash, view.attempts), (Some(NEW), 1));
    assert_eq!(view.wanted_version.as_deref(), Some(VERSION));
    assert_eq!(
        view.state,
        UpdateStateView::Flashing { since: lab.now, address: "192.0.2.7".into() }
    );
}

#[test]
fn an_address_is_a_device_s_own_when_no_other_configuration_can_have_it() {
    let claiming = |name: &str, claim: AddressClaim| {
        let mut file = config(name);
        file.content.as_mut().unwrap().claim = claim;
        file
    };
    let names = |written: &str| AddressClaim::Names(Some(written.to_owned()));
    let of_a = |others: Vec<ConfigFile>| {
        let mut lab = Lab::with([config("a")].into_iter().chain(others).collect());
        let id = lab.install("a");
        let build = Build { address: Some("192.0.2.1".into()), ..build("a") };
        lab.built_as(id, build.clone());
        let elsewhere = lab.dispatch.literal_address(lab.update(id), &build, address(3));
        assert_eq!(elsewhere, LiteralAddress::None);
        lab.dispatch.literal_address(lab.update(id), &build, address(1))
    };
    let own = LiteralAddress::Own(address(1));
    assert_eq!(of_a(vec![]), own);
    assert_eq!(of_a(vec![claiming("b", names("192.0.2.2")), claiming("c", names("c.local"))]), own);
    assert_eq!(of_a(vec![claiming("b", AddressClaim::NoDevice)]), own);
    let with = || "b.yaml".to_owned();
    let shared = LiteralAddress::Shared { address: address(1), with: with() };
    assert_eq!(of_a(vec![claiming("b", names("192.0.2.1"))]), shared);
    let uncertain = LiteralAddress::Uncertain { address: address(1), with: with() };
    for rival in [claiming("b", AddressClaim::Unknown), broken("b")] {
        assert_eq!(of_a(vec![rival]), uncertain);
    }
    let both = vec![claiming("aa", AddressClaim::Unknown), claiming("b", names("192.0.2.1"))];
    assert_eq!(of_a(both), shared, "what is sure is said");

    let mut file = config("w");
    file.content.as_mut().unwrap().address = Some("192.0.2.1".into());
    assert_eq!(Lab::with(vec![file]).row("w").addresses, ["192.0.2.1"], "where it is said to be");
}
