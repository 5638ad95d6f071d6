//! Who is there, as the list shows it.

use crate::device::{DeviceId, MacAddress, Presence, Sighting, Source};
use crate::dispatch::{DOUBT, Dispatch, Effect, Input, REMEMBERED};
use crate::update::StateKind;

use super::lab::*;

#[test]
fn what_was_never_heard_is_unknown() {
    let lab = Lab::with(vec![config("sleepy")]);
    assert_eq!(lab.row("sleepy").presence, Presence::Unknown);
}

#[test]
fn a_goodbye_is_asleep_or_offline() {
    let mut lab = Lab::with(vec![config("sleepy"), mains_powered("plug")]);
    for (name, gone) in [("sleepy", Presence::Asleep), ("plug", Presence::Offline)] {
        lab.seen(name, None);
        assert_eq!(lab.row(name).presence, Presence::Online);
        lab.give(Input::Sighted(goodbye(name)));
        assert_eq!(lab.row(name).presence, gone);
        assert!(lab.row(name).last_seen.is_some());
    }
}

#[test]
fn a_remembered_device_is_gone_when_the_first_look_did_not_find_it() {
    let mut lab = Lab::new();
    lab.restart();
    lab.give(Input::Configs(lab.configs.clone()));
    assert_eq!(lab.row("sleepy").presence, Presence::Unknown);
    let look = lab.now + Dispatch::FIRST_LOOK;
    assert_eq!(lab.dispatch.next_deadline(lab.now), Some(look));
    lab.now = look;
    let decision = lab.give(Input::Tick);
    assert!(decision.touched.contains(&yaml("sleepy")));
    assert_eq!(lab.row("sleepy").presence, Presence::Asleep);
    assert_eq!(lab.dispatch.next_deadline(lab.now), None);
    let decision = lab.after(1).give(Input::Tick);
    assert!(decision.touched.is_empty(), "time alone changes no row after that");
}

#[test]
fn a_device_that_can_t_be_reached_and_says_nothing_is_soon_thought_gone() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.seen("sleepy", Some(OLD));
    lab.give(Input::Unreachable { update: id });
    lab.after(5).give(Input::Tick);
    assert_eq!(lab.row("sleepy").presence, Presence::Online, "it may only have lost a packet");
    lab.seen("sleepy", Some(OLD));
    lab.after(DOUBT.as_secs()).give(Input::Tick);
    assert_eq!(lab.row("sleepy").presence, Presence::Online, "it has spoken since");
    lab.give(Input::Unreachable { update: id });
    lab.after(DOUBT.as_secs()).give(Input::Tick);
    assert_eq!(lab.row("sleepy").presence, Presence::Asleep);
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn a_device_that_answers_nothing_is_gone_at_once() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.seen("sleepy", Some(OLD));
    assert_eq!(lab.dispatch.online(), [("sleepy", vec![address(7)])]);
    let decision = lab.give(Input::Silent { name: "sleepy".into() });
    assert!(decision.touched.contains(&yaml("sleepy")));
    assert_eq!(lab.row("sleepy").presence, Presence::Asleep);
    assert_eq!(lab.dispatch.online(), []);
    lab.expect(id, StateKind::Waiting);
    let decision = lab.give(Input::Silent { name: "sleepy".into() });
    assert!(decision.touched.is_empty(), "that is no news");
}

#[test]
fn a_device_that_is_being_flashed_is_not_asked_whether_it_is_there() {
    for busy in [StateKind::Flashing, StateKind::Confirming] {
        let (mut lab, _) = Lab::at(busy);
        lab.seen("sleepy", Some(OLD));
        assert_eq!(lab.dispatch.online(), [], "{busy:?}");
    }
}

#[test]
fn a_cache_adds_facts_and_is_no_sign_of_life() {
    let (mut lab, _) = Lab::at(StateKind::Waiting);
    let cached = |hash| Sighting { source: Source::Browse, ..packet("sleepy", Some(hash)) };
    lab.seen("sleepy", None);
    lab.give(Input::Sighted(goodbye("sleepy")));
    let seen = lab.row("sleepy").last_seen;
    lab.after(100).give(Input::Sighted(cached(OLD)));
    let ask = Effect::Ask { name: "sleepy".into(), addresses: vec![address(7)] };
    assert_eq!(lab.effects, [ask], "it is asked, and nobody is knocked at");
    let row = lab.row("sleepy");
    assert_eq!((row.presence, row.last_seen), (Presence::Asleep, seen));
    assert_eq!(row.deployed_hash, None, "what it said itself stays");
    lab.give(Input::Sighted(Sighting { source: Source::Browse, ..packet("new", Some(OLD)) }));
    let new = lab.dispatch.row(&DeviceId::discovered("new"), lab.now).unwrap();
    assert_eq!(new.presence, Presence::Online, "what was never heard of is there");
}

#[test]
fn what_does_not_say_that_it_is_an_esphome_device_is_not_listed() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.give(Input::Sighted(address_packet("printer")));
    assert!(!lab.dispatch.rows().contains(&DeviceId::discovered("printer")));
    lab.give(Input::Sighted(address_packet("sleepy")));
    assert_eq!(lab.effects, [crate::dispatch::Effect::Nudge("sleepy".into())], "this one is known");
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn made_up_names_fill_neither_memory_nor_disk() {
    let mut lab = Lab::new();
    let mut stored = 0;
    for n in 0..REMEMBERED + 50 {
        stored +=
            lab.give(Input::Sighted(packet(&format!("n{n}"), Some(OLD)))).writes.memories.len();
    }
    assert!(lab.dispatch.rows().len() <= REMEMBERED + 1);
    assert!(stored <= REMEMBERED, "{stored} were stored");
    lab.configs.push(config("mine"));
    lab.give(Input::Configs(lab.configs.clone()));
    lab.seen("mine", Some(OLD));
    assert_eq!(lab.row("mine").presence, Presence::Online, "a configured one is always heard");
}

#[test]
fn evidence_of_a_device_that_was_thought_gone_leads_to_a_connection() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    for _ in 0..9 {
        lab.give(Input::Unreachable { update: id });
    }
    lab.give(Input::Sighted(address_packet("sleepy")));
    assert_eq!(lab.effects, [crate::dispatch::Effect::Nudge("sleepy".into())]);
}

#[test]
fn what_the_network_says_is_remembered_over_a_restart() {
    let mut lab = Lab::new();
    let mac = MacAddress([1, 2, 3, 4, 5, 6]);
    lab.give(Input::Sighted(Sighting { mac: Some(mac), ..answer("sleepy", Some(OLD)) }));
    lab.restart();
    lab.come_up();
    let row = lab.row("sleepy");
    assert_eq!((row.mac, row.deployed_hash), (Some(mac), Some(OLD)));
    assert_eq!(row.deployed_version.as_deref(), Some(VERSION));
    assert_eq!(row.addresses, ["192.0.2.7"]);
}

#[test]
fn the_newest_address_comes_first_and_few_are_kept() {
    let mut lab = Lab::new();
    for last in 1..=9 {
        let (source, addresses) = (Source::Answer(address(last)), vec![address(last)]);
        let mac = Some(MacAddress([1; 6]));
        let answer = Sighting { source, addresses, mac, ..answer("sleepy", None) };
        lab.give(Input::Sighted(answer));
    }
    assert_eq!(lab.row("sleepy").addresses, ["192.0.2.9", "192.0.2.8", "192.0.2.7", "192.0.2.6"]);
}

#[test]
fn a_packet_that_says_nothing_new_is_not_written_each_time() {
    let mut lab = Lab::new();
    lab.seen("sleepy", Some(OLD));
    let again = |lab: &mut Lab, seconds| {
        lab.after(seconds).give(Input::Sighted(packet("sleepy", Some(OLD)))).is_durable()
    };
    for _ in 0..5 {
        assert!(!again(&mut lab, 60));
    }
    assert!(again(&mut lab, 60), "but once in five minutes");
    lab.now = crate::time::Timestamp::from_millis(0);
    assert!(again(&mut lab, 0), "a clock that was set back makes what is stored stale");
}

#[test]
fn discovered_devices_come_and_go_with_their_configuration() {
    let mut lab = Lab::new();
    let stranger = DeviceId::discovered("stranger");
    assert!(!lab.dispatch.rows().contains(&stranger));
    let decision = lab.give(Input::Sighted(packet("stranger", Some(OLD))));
    assert!(decision.touched.contains(&stranger));
    assert!(lab.dispatch.rows().contains(&stranger));
    let row = lab.dispatch.row(&stranger, lab.now).unwrap();
    assert_eq!((row.file, row.primary), (None, crate::view::Action::None));

    lab.give(Input::Sighted(goodbye("stranger")));
    let row = lab.dispatch.row(&stranger, lab.now).unwrap();
    assert_eq!(row.presence, Presence::Offline);

    let decision = lab.give(Input::Configs(vec![config("sleepy"), config("stranger")]));
    assert!(decision.touched.contains(&stranger));
    assert_eq!(lab.dispatch.row(&stranger, lab.now), None);
    assert_eq!(lab.row("stranger").deployed_hash, Some(OLD));

    let decision = lab.give(Input::Configs(vec![config("sleepy")]));
    assert!(decision.touched.contains(&stranger));
    assert!(lab.dispatch.rows().contains(&stranger));
}
