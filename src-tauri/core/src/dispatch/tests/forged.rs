//! A network that lies: what a packet can't bring about, whoever sends it, and how much of it.

use core::net::IpAddr;
use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::device::{ConfigHash, DeviceId, MacAddress, Presence, Sighting, SightingKind, Source};
use crate::dispatch::{Decision, Dispatch, Effect, Input, REMEMBERED};
use crate::identity::{Identity, Proof};
use crate::knock::TargetAddress;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::update::{InstalledHow, StateKind, UpdateId, UpdateState};
use crate::view::{NotificationKind, Trust};

use super::lab::*;

const OWN: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
const FORGER: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);

/// What the device says, of itself, at its address.
fn own(hash: ConfigHash) -> Sighting {
    Sighting { mac: Some(OWN), link_address: Some(OWN), ..packet("sleepy", Some(hash)) }
}

/// It answers a question.
fn answers(hash: ConfigHash) -> Input {
    Input::Sighted(Sighting { source: Source::Answer(address(7)), ..own(hash) })
}

/// Somebody at `.9` says this of itself.
fn forged(mac: MacAddress, hash: ConfigHash) -> Sighting {
    Sighting {
        source: Source::Packet(address(9)),
        addresses: vec![address(9)],
        mac: Some(mac),
        link_address: Some(FORGER),
        ..own(hash)
    }
}

/// A device that was proven, and sleeps.
fn known() -> Lab {
    let mut lab = Lab::with(vec![config("sleepy")]);
    lab.give(answers(OLD));
    lab.give(Input::Sighted(goodbye("sleepy")));
    assert_eq!(lab.row("sleepy").trust, Trust::Proven);
    lab
}

fn identity(lab: &Lab) -> Identity {
    lab.dispatch.memory("sleepy").unwrap().identity.clone()
}

fn asked(lab: &Lab) -> Vec<IpAddr> {
    let asks = lab.effects.iter().filter_map(|effect| {
        if let Effect::Ask { addresses, .. } = effect { Some(addresses.clone()) } else { None }
    });
    asks.flatten().collect()
}

/// An update of the device that was acknowledged, and whose installation was seen.
fn installed(lab: &mut Lab) -> UpdateId {
    let id = lab.install("sleepy");
    lab.built(id);
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(5).give(answers(NEW));
    lab.expect(id, StateKind::Installed);
    id
}

#[test]
fn a_forged_packet_before_install_moves_neither_the_board_nor_the_image() {
    for mac in [OTHER, OWN] {
        let mut lab = known();
        let before = identity(&lab);
        lab.after(60).give(Input::Sighted(forged(mac, OLD)));
        assert!(asked(&lab).contains(&address(9)), "it is asked, and no more");
        let id = lab.install("sleepy");
        lab.built(id);
        assert_eq!(lab.update(id).mac, Some(OWN));
        assert_eq!(identity(&lab), before);
        let target = &lab.dispatch.targets(lab.now)[0];
        assert!(target.addresses.contains(&TargetAddress::Ip(address(7))));
        assert!(!target.addresses.contains(&TargetAddress::Ip(address(9))), "{target:?}");
        assert!(target.recognised && !target.link_addresses.contains(&FORGER));
        // The forger answers when it is asked.
        let answer = Sighting { source: Source::Answer(address(9)), ..forged(mac, OLD) };
        lab.give(Input::Sighted(answer));
        assert_eq!(identity(&lab), before);
        let rival = lab.row("sleepy").rival.expect("both claims are shown");
        assert_eq!((rival.mac, rival.address), (Some(mac), Some("192.0.2.9".into())));
        assert_eq!(lab.row("sleepy").mac, Some(OWN));
    }
}

#[test]
fn forged_packets_after_install_overwrite_nothing() {
    let mut lab = known();
    let id = installed(&mut lab);
    let before = identity(&lab);
    for last in 10..60 {
        let sighting = Sighting {
            source: Source::Packet(address(last)),
            addresses: vec![address(last)],
            version: Some("1.0".into()),
            config_hash: Some(ConfigHash(u32::from(last))),
            ..forged(if last % 2 == 0 { OTHER } else { OWN }, OLD)
        };
        lab.after(1).give(Input::Sighted(sighting));
    }
    assert_eq!(identity(&lab), before);
    let row = lab.row("sleepy");
    assert_eq!((row.mac, row.deployed_hash), (Some(OWN), Some(NEW)));
    assert_eq!(row.addresses[0], "192.0.2.7");
    lab.expect(id, StateKind::Installed);
    // The next update still finds it where it is.
    let next = lab.install("sleepy");
    lab.built_as(
        next,
        crate::update::Build { config_hash: Some(ConfigHash(7)), ..build("sleepy") },
    );
    let target = &lab.dispatch.targets(lab.now)[0];
    assert!(target.addresses.contains(&TargetAddress::Ip(address(7))), "{target:?}");
    assert!(target.claimed.len() <= 4);
}

#[test]
fn a_third_host_that_repeats_the_old_record_rolls_nothing_back() {
    let relayed = |sender: u8| Sighting { source: Source::Packet(address(sender)), ..own(OLD) };
    // While the device's word is awaited, and while the new firmware has to show that it stays.
    let mut lab = known();
    let id = lab.install("sleepy");
    lab.built(id);
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(20).give(Input::Sighted(relayed(53)));
    lab.expect(id, StateKind::Confirming);
    assert_eq!(asked(&lab), [address(7)], "the device itself is asked");
    lab.give(answers(NEW));
    lab.expect(id, StateKind::Installed);
    lab.after(600).give(Input::Sighted(relayed(53)));
    lab.expect(id, StateKind::Installed);
    let cached = Sighting { source: Source::Browse, ..own(OLD) };
    lab.give(Input::Sighted(cached));
    lab.expect(id, StateKind::Installed);
    assert_eq!(lab.told_kinds(), [NotificationKind::Installed]);
}

#[test]
fn nobody_else_says_that_the_new_firmware_runs() {
    for state in [StateKind::Waiting, StateKind::Held, StateKind::Confirming] {
        let mut lab = known();
        let id = lab.install("sleepy");
        lab.built(id);
        if state == StateKind::Held {
            lab.changed(id, "sleepy.yaml");
        }
        if state == StateKind::Confirming {
            lab.connected(id);
            lab.acknowledged(id);
        }
        for sighting in [forged(OWN, NEW), Sighting { source: Source::Browse, ..own(NEW) }] {
            lab.after(20).give(Input::Sighted(sighting));
            lab.expect(id, state);
        }
        lab.after(20).give(Input::Sighted(own(NEW)));
        lab.expect(id, StateKind::Installed);
    }
}

#[test]
fn a_rollback_is_taken_back_when_the_device_says_that_it_runs_the_build() {
    for restarted in [false, true] {
        let mut lab = known();
        let id = lab.install("sleepy");
        lab.built(id);
        lab.connected(id);
        lab.acknowledged(id);
        // Somebody has forged the device's own address.
        lab.after(20).give(Input::Sighted(own(OLD)));
        lab.expect(id, StateKind::Failed);
        if restarted {
            lab.restart();
            lab.come_up();
        }
        lab.after(20).give(Input::Sighted(forged(OWN, NEW)));
        lab.expect(id, StateKind::Failed);
        lab.after(20).give(answers(NEW));
        let UpdateState::Installed { how, .. } = lab.state(id) else {
            panic!("{:?}", lab.state(id))
        };
        assert_eq!(*how, InstalledHow::Confirmed);
        let told = [NotificationKind::RolledBack, NotificationKind::Installed];
        assert_eq!(lab.told_kinds(), told);
        assert_eq!(lab.row("sleepy").deployed_hash, Some(NEW));
        let memory = lab.dispatch.memory("sleepy").unwrap();
        assert_eq!(memory.installed_password.as_ref().unwrap().0, "new", "what runs takes it");
    }
}

#[test]
fn a_failure_that_is_none_of_a_rollback_is_not_taken_back() {
    let mut lab = known();
    let id = lab.install("sleepy");
    lab.built(id);
    lab.connected(id);
    lab.ended(id, failed(wakeflash_ota::FailureClass::Permanent));
    lab.expect(id, StateKind::Failed);
    lab.after(20).give(answers(NEW));
    lab.expect(id, StateKind::Failed);
    // Nor when the user has asked for another one since.
    let mut lab = known();
    let id = installed(&mut lab);
    lab.after(600).give(answers(OLD));
    lab.expect(id, StateKind::Failed);
    let next = lab.install("sleepy");
    lab.after(20).give(answers(NEW));
    lab.expect(id, StateKind::Failed);
    lab.expect(next, StateKind::Building);
}

#[test]
fn a_device_at_another_address_is_asked_and_then_known_there() {
    let mut lab = known();
    let id = lab.install("sleepy");
    lab.built(id);
    let moved =
        Sighting { source: Source::Packet(address(8)), addresses: vec![address(8)], ..own(OLD) };
    lab.after(60).give(Input::Sighted(moved.clone()));
    assert!(asked(&lab).contains(&address(8)));
    assert!(lab.effects.contains(&Effect::Nudge("sleepy".into())), "and knocked at");
    let target = &lab.dispatch.targets(lab.now)[0];
    assert!(target.claimed.contains(&address(8)) && target.link_addresses.contains(&OWN));
    lab.give(Input::Sighted(Sighting { source: Source::Answer(address(8)), ..moved }));
    assert!(identity(&lab).is_at(address(8)) && identity(&lab).is_at(address(7)));
    assert_eq!(lab.row("sleepy").presence, Presence::Online);
}

#[test]
fn an_address_that_is_not_near_leads_nowhere_unless_it_was_given() {
    let far: IpAddr = [203, 0, 113, 5].into();
    for mut lab in [known(), Lab::with(vec![config("sleepy")])] {
        let sighting = Sighting { addresses: vec![far], ..forged(OWN, OLD) };
        lab.give(Input::Sighted(sighting));
        let id = lab.install("sleepy");
        lab.built(id);
        let leads_there = |lab: &Lab| {
            let target = &lab.dispatch.targets(lab.now)[0];
            let given = target.addresses.contains(&TargetAddress::Ip(far));
            (given, target.claimed.contains(&far), lab.dispatch.may_reach("sleepy", far))
        };
        assert_eq!(leads_there(&lab), (false, false, false));
        assert!(!asked(&lab).contains(&far));
        assert!(lab.dispatch.online().iter().all(|(_, addresses)| !addresses.contains(&far)));
        let given = Some("203.0.113.5".to_owned());
        lab.give(Input::SetAddress { device: yaml("sleepy"), address: given });
        assert_eq!(leads_there(&lab), (true, false, true));
    }
}

#[test]
fn a_device_that_is_only_said_to_be_elsewhere_is_told() {
    let mut lab = Lab::with(vec![config("sleepy")]);
    let far = Sighting { addresses: vec![[10, 9, 0, 7].into()], ..own(OLD) };
    lab.give(Input::Sighted(far));
    let id = lab.install("sleepy");
    lab.built(id);
    let warning = lab.row("sleepy").update.unwrap().warning.unwrap();
    assert_eq!(warning.code, "device.elsewhere");
    assert!(warning.message.contains("10.9.0.7"), "{warning}");
}

#[test]
fn the_user_accepts_a_new_board() {
    let mut lab = known();
    let id = lab.install("sleepy");
    lab.built(id);
    assert_eq!(lab.refuse(accept(Some(OTHER), Some(OTHER))), "device.no_rival");
    lab.after(60).give(Input::Sighted(forged(OTHER, ConfigHash(5))));
    let link = lab.row("sleepy").rival.unwrap().link_address;
    let shown = "it was shown another one";
    assert_eq!(lab.refuse(accept(Some(OWN), link)), "device.another_rival", "{shown}");
    // Who takes a device's MAC address has other hardware, and that would be the device's own from then on.
    let other_link = Some(if link == Some(OWN) { OTHER } else { OWN });
    assert_eq!(lab.refuse(accept(Some(OTHER), other_link)), "device.another_rival", "{shown}");
    lab.give(accept(Some(OTHER), link));
    let row = lab.row("sleepy");
    assert_eq!((row.mac, row.rival, row.trust), (Some(OTHER), None, Trust::Proven));
    assert_eq!(lab.update(id).mac, Some(OTHER));
    assert!(lab.update(id).known_hashes.contains(&ConfigHash(5)));
    let target = &lab.dispatch.targets(lab.now)[0];
    assert!(target.addresses.contains(&TargetAddress::Ip(address(9))));
    // The board from before is the other one now.
    lab.after(60).give(Input::Sighted(own(NEW)));
    lab.expect(id, StateKind::Waiting);
    assert_eq!(lab.row("sleepy").rival.unwrap().mac, Some(OWN));
}

#[test]
fn an_image_that_is_on_its_way_is_not_the_new_boards() {
    let mut lab = known();
    let id = lab.install("sleepy");
    lab.built(id);
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(5).give(Input::Sighted(forged(OTHER, OLD)));
    let link = lab.row("sleepy").rival.unwrap().link_address;
    lab.give(accept(Some(OTHER), link));
    let there = Sighting { source: Source::Answer(address(9)), ..forged(OTHER, OLD) };
    lab.after(20).give(Input::Sighted(there));
    lab.expect(id, StateKind::Confirming);
}

#[test]
fn no_image_is_sent_before_the_gate_has_pinned_the_peer() {
    let mut lab = Lab::with(vec![config("sleepy")]);
    lab.give(Input::Sighted(own(OLD)));
    assert_eq!(lab.row("sleepy").trust, Trust::Claimed);
    let id = lab.install("sleepy");
    lab.built(id);
    lab.connected(id);
    lab.give(Input::Captured { update: id });
    assert!(!lab.effects.contains(&Effect::GrantTransfer(id)));
    let words = own(OLD);
    let proof = Proof::of_session(address(7), Some(OWN), None, core::iter::once(&words));
    lab.give(Input::Proven { update: id, proof });
    lab.give(Input::Captured { update: id });
    assert!(lab.effects.contains(&Effect::GrantTransfer(id)));
    assert_eq!(lab.row("sleepy").trust, Trust::Proven);
    assert_eq!((lab.update(id).mac, lab.state(id).previous_hash()), (Some(OWN), Some(OLD)));
}

#[test]
fn a_goodbye_of_somebody_else_is_doubted_and_ends_no_wake() {
    let mut lab = known();
    lab.after(600).give(answers(OLD));
    let wakes = lab.dispatch.wakes(&yaml("sleepy")).len();
    for _ in 0..20 {
        let goodbye = Sighting { source: Source::Packet(address(9)), ..goodbye("sleepy") };
        lab.after_ms(100).give(Input::Sighted(goodbye));
        assert_eq!(lab.row("sleepy").presence, Presence::Online);
        lab.after_ms(100).give(Input::Sighted(forged(OWN, OLD)));
    }
    assert_eq!(lab.dispatch.wakes(&yaml("sleepy")).len(), wakes);
    // It doesn't answer any more.
    lab.after(11).give(Input::Tick);
    assert_eq!(lab.row("sleepy").presence, Presence::Asleep);
}

#[test]
fn a_renamed_device_is_not_followed_to_somebody_elses_packet() {
    let mut lab = known();
    let mut renamed = config("renamed");
    renamed.id = yaml("sleepy");
    lab.configs = vec![renamed];
    lab.give(Input::Configs(lab.configs.clone()));
    let claims = Sighting { name: "renamed".into(), ..forged(OWN, OLD) };
    lab.give(Input::Sighted(claims.clone()));
    lab.give(Input::Sighted(Sighting { source: Source::Answer(address(9)), ..claims }));
    assert_eq!(lab.row("sleepy").name, "sleepy");
    let there = Sighting { name: "renamed".into(), source: Source::Answer(address(7)), ..own(OLD) };
    lab.give(Input::Sighted(there));
    assert_eq!(lab.row("sleepy").name, "renamed");
}

#[test]
fn a_flood_of_names_is_neither_stored_nor_in_the_way_of_a_new_device() {
    let mut lab = known();
    for n in 0..5_000_u32 {
        let name = format!("forged-{n}");
        let decision = lab.after_ms(1).give(Input::Sighted(packet(&name, Some(OLD))));
        assert!(!decision.is_durable(), "{name}");
        assert_eq!(decision.effects, []);
    }
    assert!(lab.dispatch.devices.len() <= REMEMBERED);
    assert!(lab.dispatch.memory("sleepy").unwrap().identity.is_proven(), "it is kept");
    lab.give(Input::Sighted(packet("new-one", Some(OLD))));
    let rows = lab.dispatch.rows();
    assert!(rows.contains(&DeviceId::discovered("new-one")) && rows.contains(&yaml("sleepy")));
    // Nor are the wakes of such a device.
    lab.give(Input::Sighted(goodbye("new-one")));
    let decision = lab.after(600).give(Input::Sighted(packet("new-one", Some(OLD))));
    assert!(!decision.is_durable());
}

#[test]
fn what_an_older_version_stored_of_a_flood_makes_room() {
    let memories = (0..REMEMBERED).map(|n| {
        let last_seen = Some(Timestamp::from_millis(i64::try_from(n).unwrap()));
        let memory = crate::device::DeviceMemory { last_seen, ..Default::default() };
        (format!("forged-{n}"), memory)
    });
    let now = Timestamp::from_millis(1_000_000);
    let none = || (Settings::default(), Vec::new());
    let (settings, updates) = none();
    let stored: BTreeMap<_, _> = memories.collect();
    let dispatch = Dispatch::new(settings, updates, stored, BTreeMap::new(), 1, now);
    let mut decision = Decision::on(&dispatch);
    decision.take(Input::Sighted(packet("new-one", Some(OLD))), now).unwrap();
    assert!(decision.writes().forgotten.contains(&"forged-0".to_owned()), "the oldest");
    assert!(decision.next().memory("new-one").is_some());
}

#[test]
fn a_configured_name_that_is_flooded_costs_few_writes_and_few_questions() {
    let mut lab = known();
    let (mut writes, mut questions) = (0, 0);
    for n in 0..10_000_u32 {
        let last = u8::try_from(n % 250).unwrap();
        let sighting = Sighting {
            source: Source::Packet(address(last)),
            addresses: vec![address(last)],
            mac: Some(MacAddress([6, 0, 0, 0, 1, last])),
            config_hash: Some(ConfigHash(n)),
            ..own(OLD)
        };
        let decision = lab.after_ms(6).give(Input::Sighted(sighting));
        writes += u32::from(decision.is_durable());
        questions += u32::from(!asked(&lab).is_empty());
    }
    assert!(writes <= 3, "{writes} in a minute");
    assert!(questions <= 7, "{questions} in a minute");
}

#[test]
fn a_device_that_says_something_new_is_asked_until_it_has_answered() {
    let mut lab = known();
    for _ in 0..2 {
        lab.after(1).give(Input::Sighted(own(NEW)));
        assert_eq!(asked(&lab), [address(7)]);
        assert_eq!(lab.row("sleepy").deployed_hash, Some(OLD), "anybody may have said it");
    }
    lab.give(answers(NEW));
    assert_eq!(lab.row("sleepy").deployed_hash, Some(NEW));
    lab.after(1).give(Input::Sighted(own(NEW)));
    assert_eq!(asked(&lab), [] as [IpAddr; 0]);
}

fn any_packet() -> impl Strategy<Value = Sighting> {
    let mac = prop::sample::select(vec![None, Some(OWN), Some(OTHER)]);
    let link = prop::sample::select(vec![None, Some(OWN), Some(FORGER)]);
    let hash = prop::sample::select(vec![None, Some(OLD), Some(NEW), Some(ConfigHash(3))]);
    let gone = prop::bool::weighted(0.1);
    (mac, link, hash, 0..12_u8, 0..12_u8, gone).prop_map(|(mac, link, hash, from, at, gone)| {
        Sighting {
            source: if from == 0 { Source::Browse } else { Source::Packet(address(from)) },
            kind: if gone { SightingKind::Gone } else { SightingKind::Alive },
            addresses: vec![address(at)],
            mac,
            link_address: link,
            config_hash: hash,
            ..packet("sleepy", None)
        }
    })
}

proptest! {
    #[test]
    fn no_packets_change_what_is_pinned(packets in prop::collection::vec(any_packet(), 1..60)) {
        let mut lab = known();
        let before = identity(&lab);
        for packet in packets {
            lab.after(1).give(Input::Sighted(packet));
        }
        prop_assert_eq!(identity(&lab), before);
    }

    /// Only a packet from where the device was proven decides, and no packet at all of a device that wasn't.
    #[test]
    fn no_packets_of_others_decide_about_an_update(
        packets in prop::collection::vec(any_packet(), 1..40),
        state in prop::sample::select(vec![
            StateKind::Waiting, StateKind::Confirming, StateKind::Installed,
        ]),
    ) {
        let mut lab = known();
        let id = lab.install("sleepy");
        lab.built(id);
        if state != StateKind::Waiting {
            lab.connected(id);
            lab.acknowledged(id);
        }
        if state == StateKind::Installed {
            lab.after(5).give(answers(NEW));
        }
        for packet in packets {
            if packet.source.sender() != Some(address(7)) {
                lab.after(15).give(Input::Sighted(packet));
                lab.expect(id, state);
            }
        }
    }
}
