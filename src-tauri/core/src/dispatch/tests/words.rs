//! What ESPHome says of a configuration: a name with the end of a MAC address in it, one name or address in two files.

use super::lab::*;
use crate::configuration::{AddressClaim, ConfigFile};
use crate::device::{MacAddress, Presence, Sighting};
use crate::dispatch::{Effect, Input};
use crate::update::{Build, InstalledHow, StateKind, UpdateState};
use crate::view::Trust;

const MAC: MacAddress = MacAddress([2, 0, 0x5e, 0xab, 0xcd, 0xef]);
const CALLED: &str = "cellar-abcdef";

fn claim() -> Sighting {
    Sighting { mac: Some(MAC), ..packet(CALLED, Some(OLD)) }
}

fn answers(hash: crate::device::ConfigHash) -> Input {
    Input::Sighted(Sighting { mac: Some(MAC), ..answer(CALLED, Some(hash)) })
}

fn is_asked(lab: &Lab, name: &str) -> bool {
    lab.effects
        .iter()
        .any(|effect| matches!(effect, Effect::Ask { name: asked, .. } if asked == name))
}

/// An update of it whose build names an address.
fn waiting(lab: &mut Lab) -> crate::update::UpdateId {
    let id = lab.install("cellar");
    lab.built_as(id, Build { mac_suffix: true, ..build("cellar") });
    lab.expect(id, StateKind::Waiting);
    id
}

#[test]
fn a_device_with_the_end_of_its_mac_address_in_its_name_is_asked_and_then_the_one_of_its_configuration()
 {
    let mut lab = Lab::with(vec![suffixed("cellar")]);
    lab.give(Input::Sighted(claim()));
    assert!(is_asked(&lab, CALLED));
    assert_eq!(
        (lab.row("cellar").name.as_str(), lab.row("cellar").trust),
        ("cellar", Trust::Unknown)
    );
    lab.give(answers(OLD));
    let row = lab.row("cellar");
    assert_eq!(
        (row.name.as_str(), row.trust, row.presence),
        (CALLED, Trust::Proven, Presence::Online)
    );
    assert_eq!((row.mac, row.deployed_hash), (Some(MAC), Some(OLD)));
    assert!(
        lab.dispatch.rows().iter().all(|id| id.discovered_name().is_none()),
        "it is shown once"
    );
    lab.restart();
    lab.come_up();
    assert_eq!(lab.row("cellar").name, CALLED);
}

#[test]
fn a_device_that_was_heard_before_its_configuration_was_known_is_the_one_of_it() {
    let mut lab = Lab::with(vec![config("other")]);
    lab.give(answers(OLD));
    lab.give(Input::Configs(vec![suffixed("cellar")]));
    assert_eq!(lab.row("cellar").name, CALLED);
}

#[test]
fn a_device_of_which_others_spoke_before_is_asked_when_its_configuration_is_known() {
    let mut lab = Lab::with(vec![config("other")]);
    lab.give(Input::Sighted(claim()));
    assert!(!is_asked(&lab, CALLED), "it is a stranger");
    lab.give(Input::Configs(vec![suffixed("cellar")]));
    assert!(is_asked(&lab, CALLED));
    lab.give(answers(OLD));
    assert_eq!(lab.row("cellar").name, CALLED);
}

#[test]
fn a_device_that_shows_itself_while_its_update_waits_gets_it_and_confirms_it() {
    let mut lab = Lab::with(vec![suffixed("cellar")]);
    let id = waiting(&mut lab);
    lab.give(Input::Sighted(claim()));
    assert!(is_asked(&lab, CALLED) && lab.dispatch.is_waited_for(CALLED));
    lab.give(answers(OLD));
    assert_eq!(lab.update(id).name, CALLED);
    assert!(lab.effects.contains(&Effect::Nudge(CALLED.to_owned())));
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(5).give(answers(NEW));
    let UpdateState::Installed { how, .. } = lab.state(id) else { panic!("{:?}", lab.state(id)) };
    assert_eq!(*how, InstalledHow::Confirmed);
    assert_eq!(
        (lab.row("cellar").name.as_str(), lab.row("cellar").deployed_hash),
        (CALLED, Some(NEW))
    );
}

#[test]
fn a_device_that_was_flashed_at_an_address_confirms_with_its_whole_name() {
    let mut lab = Lab::with(vec![suffixed("cellar")]);
    let id = waiting(&mut lab);
    lab.connected(id);
    lab.acknowledged(id);
    let flashed = Sighting { config_hash: Some(NEW), ..claim() };
    lab.after(5).give(Input::Sighted(flashed));
    assert!(is_asked(&lab, CALLED), "a packet alone says nothing");
    lab.expect(id, StateKind::Confirming);
    lab.give(answers(NEW));
    lab.expect(id, StateKind::Installed);
    assert_eq!(lab.row("cellar").name, CALLED);
}

#[test]
fn a_build_that_ends_later_goes_to_the_device_that_is_known() {
    let mut lab = Lab::with(vec![suffixed("cellar")]);
    lab.give(answers(OLD));
    let id = waiting(&mut lab);
    assert_eq!(lab.update(id).name, CALLED);
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(5).give(answers(NEW));
    lab.expect(id, StateKind::Installed);
    assert_eq!(lab.row("cellar").name, CALLED, "it goes by that name for good");
}

#[test]
fn nobody_becomes_a_device_by_a_packet_or_with_another_mac_address() {
    let mut lab = Lab::with(vec![suffixed("cellar")]);
    for sighting in [
        claim(),
        Sighting { mac: Some(MacAddress([2, 0, 0, 0, 0, 1])), ..answer(CALLED, Some(OLD)) },
        answer("cellar-abcdefa", Some(OLD)),
        answer("cellar-kitchen", Some(OLD)),
    ] {
        lab.give(Input::Sighted(sighting));
        assert_eq!(lab.row("cellar").name, "cellar");
    }
}

#[test]
fn a_second_device_of_the_configuration_is_not_the_first() {
    let mut lab = Lab::with(vec![suffixed("cellar")]);
    lab.give(answers(OLD));
    let other = MacAddress([2, 0, 0x5e, 0x12, 0x34, 0x56]);
    let second = Sighting { mac: Some(other), ..answer("cellar-123456", Some(OLD)) };
    lab.give(Input::Sighted(second));
    assert_eq!(lab.row("cellar").name, CALLED);
}

#[test]
fn one_name_in_two_files_is_told_on_both_and_installs_nothing_unasked() {
    let mut lab = Lab::with(vec![said("east", "gable"), said("west", "gable")]);
    for (file, other) in [("east", "west.yaml"), ("west", "east.yaml")] {
        let problem = lab.row(file).problem.unwrap();
        assert!(problem.code == "config.same_name" && problem.message.contains(other), "{problem}");
        assert_eq!(lab.refuse(Input::Install(yaml(file))), "config.same_name");
    }
    lab.give(Input::ChooseConfig(yaml("west")));
    assert_eq!(lab.row("west").problem, None);
    assert_eq!(lab.refuse(Input::Install(yaml("east"))), "config.same_name");
    lab.restart();
    lab.come_up();
    lab.install("west");
}

fn at(file: &str, address: &str) -> ConfigFile {
    let mut said = said(file, file);
    if let Ok(summary) = &mut said.content {
        summary.address = Some(address.to_owned());
        summary.claim = AddressClaim::Names(summary.address.clone());
    }
    said
}

#[test]
fn one_address_in_two_files_is_told_on_both() {
    let files = vec![at("east", "10.77.0.2"), at("west", "10.77.0.2"), at("south", "10.77.0.3")];
    let mut lab = Lab::with(files);
    for (file, other) in [("east", "west.yaml"), ("west", "east.yaml")] {
        let problem = lab.row(file).problem.unwrap();
        let told = problem.message.contains(other) && problem.message.contains("10.77.0.2");
        assert!(problem.code == "config.same_address" && told, "{problem}");
    }
    assert_eq!(lab.row("south").problem, None);
    // What proves itself in another way gets its update all the same.
    lab.install("east");
}
