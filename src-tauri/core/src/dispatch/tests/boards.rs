//! Two boards under one name, and what a neighbour table can't tell apart.

use crate::device::{MacAddress, Sighting};
use crate::dispatch::{Effect, FlashOutcome, Input};
use crate::gate::LiteralAddress;
use crate::retry::AT_ANOTHER_DEVICE_AT_LEAST;
use crate::update::{Build, StateKind};

use super::lab::*;

const OWN: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
const REPEATER: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);

fn of_board(mac: MacAddress, hash: crate::device::ConfigHash) -> Sighting {
    Sighting { mac: Some(mac), link_address: Some(mac), ..answer("sleepy", Some(hash)) }
}

/// A device whose board is known, with an update in this state.
fn known_board(state: StateKind) -> (Lab, crate::update::UpdateId) {
    let mut lab = Lab::new();
    lab.give(Input::Sighted(of_board(OWN, OLD)));
    let id = lab.install("sleepy");
    lab.built(id);
    if state != StateKind::Waiting {
        lab.connected(id);
    }
    if matches!(state, StateKind::Confirming | StateKind::Installed) {
        lab.acknowledged(id);
    }
    if state == StateKind::Installed {
        lab.after(5).give(Input::Sighted(of_board(OWN, NEW)));
    }
    lab.expect(id, state);
    (lab, id)
}

#[test]
fn what_another_board_says_under_the_devices_name_decides_nothing() {
    for (state, hash) in [
        (StateKind::Waiting, NEW),
        (StateKind::Confirming, NEW),
        (StateKind::Confirming, OLD),
        (StateKind::Installed, OLD),
    ] {
        let (mut lab, id) = known_board(state);
        lab.after(20).give(Input::Sighted(of_board(OTHER, hash)));
        lab.expect(id, state);
    }
}

#[test]
fn another_board_is_not_recognised_by_the_address_that_it_has_shown() {
    let (mut lab, id) = known_board(StateKind::Flashing);
    let own = |lab: &Lab| lab.dispatch.own_link_address(lab.update(id));
    assert_eq!(own(&lab), Some(OWN));
    // The gate has asked, and what answered is remembered by its name.
    lab.give(Input::Sighted(of_board(OTHER, OLD)));
    lab.ended(id, FlashOutcome::NotProven { another_device: true, problem: problem() });
    assert_eq!(own(&lab), Some(OWN), "what is pinned stays");
    lab.give(Input::Sighted(of_board(OWN, OLD)));
    assert_eq!(own(&lab), Some(OWN));
    // A name alone may be anybody's.
    let nameless = Sighting { mac: None, link_address: Some(OTHER), ..address_packet("sleepy") };
    lab.give(Input::Sighted(nameless));
    assert_eq!(own(&lab), Some(OWN));
}

#[test]
fn the_address_of_a_repeater_tells_no_device() {
    let mut lab = Lab::with(vec![config("a"), config("b")]);
    let behind = |name: &str, mac| {
        let sighting = Sighting { mac, link_address: Some(REPEATER), ..packet(name, Some(OLD)) };
        Input::Sighted(sighting)
    };
    lab.give(behind("a", Some(OWN)));
    let id = lab.install("a");
    assert_eq!(lab.dispatch.own_link_address(lab.update(id)), Some(REPEATER), "it is alone there");
    lab.give(behind("a-before-its-renaming", Some(OWN)));
    assert_eq!(lab.dispatch.own_link_address(lab.update(id)), Some(REPEATER), "the same board");
    lab.give(behind("b", None));
    assert_eq!(lab.dispatch.own_link_address(lab.update(id)), None);
}

#[test]
fn a_request_that_can_not_be_stored_takes_no_transfer_away() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    let decision = lab.captured(id);
    assert!(decision.effects.contains(&Effect::GrantTransfer(id)));
    for request in [Input::Cancel(yaml("sleepy")), Input::Install(yaml("sleepy"))] {
        let decision = lab.give(request);
        lab.not_stored(decision);
        lab.expect(id, StateKind::Flashing);
        assert_eq!(lab.dispatch.granted(), 1, "its image is still being sent");
        lab.give(Input::Tick);
        assert_eq!(lab.dispatch.granted(), 1);
    }
}

#[test]
fn a_rollback_brings_the_credentials_of_the_old_firmware_back() {
    let mut lab = Lab::new();
    for (hash, password) in [(NEW, "first"), (crate::device::ConfigHash(0xCCCC), "second")] {
        let id = lab.install("sleepy");
        let mut build = Build { config_hash: Some(hash), ..build("sleepy") };
        build.ota.password = Some(crate::update::Secret(password.into()));
        lab.built_as(id, build);
        lab.connected(id);
        lab.acknowledged(id);
        lab.after(5).seen("sleepy", Some(hash));
        lab.expect(id, StateKind::Installed);
        lab.after(10).give(Input::Sighted(goodbye("sleepy")));
    }
    let password = |lab: &Lab| lab.dispatch.memory("sleepy").unwrap().installed_password.clone();
    assert_eq!(password(&lab).unwrap().0, "second");
    lab.restart();
    lab.come_up();
    lab.after(600).seen("sleepy", Some(NEW));
    assert_eq!(password(&lab).unwrap().0, "first", "that is what runs there again");
    let hash = lab.dispatch.memory("sleepy").unwrap().installed_sources.clone();
    assert_eq!(hash.unwrap().config_hash, Some(NEW));
}

#[test]
fn a_key_that_another_device_may_still_have_proves_nothing() {
    let key =
        |text: &str| crate::update::Encryption::Offered { key: crate::update::Secret(text.into()) };
    let own = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let other = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q=";
    let parsed = wakeflash_ota::EncryptionKey::from_base64(own).unwrap();
    for (its_key, credentials_changed, has) in
        [(other, false, false), (own, false, true), (other, true, true)]
    {
        let mut lab = Lab::with(vec![config("a"), config("b")]);
        let mut ids = Vec::new();
        for (name, encryption, changed) in
            [("a", key(own), false), ("b", key(its_key), credentials_changed)]
        {
            let id = lab.install(name);
            let mut build = Build { credentials_changed: changed, ..build(name) };
            build.ota.encryption = encryption;
            lab.built_as(id, build);
            ids.push(id);
        }
        let update = lab.update(ids[0]);
        assert_eq!(lab.dispatch.another_device_has(&parsed, update), has, "{its_key}");
    }
}

#[test]
fn behind_a_repeater_a_board_that_was_replaced_is_not_taken_for_the_old_one() {
    let behind = |mac| Sighting { link_address: Some(REPEATER), ..of_board(mac, OLD) };
    let mut lab = Lab::new();
    lab.give(Input::Sighted(behind(OWN)));
    lab.give(Input::Sighted(goodbye("sleepy")));
    lab.after(600).give(Input::Sighted(behind(OTHER)));
    let id = lab.install("sleepy");
    lab.built(id);
    let own = |lab: &Lab| lab.dispatch.own_link_address(lab.update(id));
    assert_eq!(own(&lab), None, "both are seen behind it");
    // Only one that claims the name is remembered. Whoever takes its place doesn't make the repeater the device's own.
    let elsewhere = Sighting { link_address: Some(OTHER), ..of_board(OTHER, OLD) };
    lab.after(600).give(Input::Sighted(elsewhere));
    assert_eq!(own(&lab), None);
}

#[test]
fn a_board_that_answered_in_a_session_may_be_behind_the_repeater_of_the_device() {
    let behind = Sighting { link_address: Some(REPEATER), ..of_board(OWN, OLD) };
    let mut lab = Lab::new();
    lab.give(Input::Sighted(behind));
    let id = lab.install("sleepy");
    lab.built(id);
    assert_eq!(lab.dispatch.own_link_address(lab.update(id)), Some(REPEATER));
    // What is said to the gate comes without the link-layer address, and this is no address of the device any more.
    lab.connected(id);
    lab.ended(id, FlashOutcome::NotProven { another_device: true, problem: problem() });
    lab.give(Input::Sighted(Sighting { link_address: None, ..of_board(OTHER, OLD) }));
    assert_eq!(lab.dispatch.own_link_address(lab.update(id)), None);
}

#[test]
fn the_address_of_its_configuration_proves_nothing_where_another_board_was_heard() {
    let (mut lab, id) = known_board(StateKind::Waiting);
    let literal = Build { address: Some("192.0.2.7".into()), ..build("sleepy") };
    let proves = |lab: &Lab| lab.dispatch.literal_address(lab.update(id), &literal, address(7));
    assert_eq!(proves(&lab), LiteralAddress::Own(address(7)));
    lab.give(Input::Sighted(of_board(OTHER, OLD)));
    assert_eq!(proves(&lab), LiteralAddress::None);
}

#[test]
fn where_another_board_was_it_is_not_tried_again_because_that_one_speaks() {
    // It was never proven: the first MAC address that was claimed binds.
    let mut lab = Lab::with(vec![config("sleepy")]);
    let said = |mac| Sighting { mac: Some(mac), ..packet("sleepy", Some(OLD)) };
    lab.give(Input::Sighted(said(OWN)));
    let id = lab.install("sleepy");
    lab.built(id);
    lab.connected(id);
    lab.ended(id, FlashOutcome::NotProven { another_device: true, problem: problem() });
    lab.after(1).give(Input::Sighted(said(OTHER)));
    lab.connected(id);
    assert_eq!(lab.effects, [Effect::DropConnection(id)], "it is left alone there");
    lab.give(Input::Sighted(said(OWN)));
    lab.connected(id);
    assert_eq!(lab.effects, [Effect::DropConnection(id)], "the other one can say that as well");
    lab.after(AT_ANOTHER_DEVICE_AT_LEAST.as_secs()).give(Input::Sighted(said(OWN)));
    lab.connected(id);
    assert!(lab.starts_flash());
}

#[test]
fn without_the_configurations_neither_address_nor_key_is_anybodys_own() {
    let (mut lab, id) = known_board(StateKind::Waiting);
    let literal = Build { address: Some("192.0.2.7".into()), ..build("sleepy") };
    let key =
        wakeflash_ota::EncryptionKey::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
            .unwrap();
    let proves = |lab: &Lab| {
        let update = lab.update(id);
        let address = lab.dispatch.literal_address(update, &literal, address(7));
        (address, lab.dispatch.another_device_has(&key, update))
    };
    assert_eq!(proves(&lab), (LiteralAddress::Own(address(7)), false));
    // Nothing is mounted where they were.
    lab.give(Input::Configs(Vec::new()));
    assert_eq!(proves(&lab), (LiteralAddress::None, true));
    // They weren't read yet.
    lab.restart();
    assert_eq!(proves(&lab), (LiteralAddress::None, true));
}
