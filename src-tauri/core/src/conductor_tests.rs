use core::net::{IpAddr, Ipv4Addr};
use std::collections::BTreeMap;

use super::*;
use crate::configuration::{AddressClaim, ConfigFile, ConfigSummary, SourcesState};
use crate::device::{DeviceId, SightingKind, Source};
use crate::dispatch::Builder;
use crate::settings::Settings;
use crate::update::StateKind;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

fn sleepy() -> DeviceId {
    DeviceId::of_file("sleepy.yaml")
}

fn config() -> ConfigFile {
    let content = Ok(ConfigSummary {
        name: "sleepy".into(),
        friendly_name: None,
        area: None,
        platform: None,
        address: None,
        deep_sleep: true,
        sleep_plan: None,
        compiled_name: None,
        doubt: None,
        validated: None,
        claim: AddressClaim::Names(None),
    });
    ConfigFile { id: sleepy(), content, sources: SourcesState::default() }
}

fn word(name: &str, last: u8) -> Input {
    Input::Sighted(Sighting {
        name: name.into(),
        source: Source::Packet(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))),
        kind: SightingKind::Alive,
        addresses: vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))],
        mac: None,
        link_address: None,
        version: Some("2026.10.0".into()),
        config_hash: None,
        stamp: None,
        friendly_name: None,
        platform: None,
    })
}

/// A conductor that knows a device and an ESPHome, with nothing on its way.
fn conductor() -> Conductor {
    let dispatch =
        Dispatch::new(Settings::default(), Vec::new(), BTreeMap::new(), BTreeMap::new(), 1, at(0));
    let mut conductor = Conductor::new(dispatch);
    conductor.on(Event::Reported(Input::Recover), at(0));
    conductor.on(Event::Reported(Input::Configs(vec![config()])), at(0));
    let ready = Builder::Ready { version: "2026.10.0".into() };
    conductor.on(Event::Reported(Input::Builder(ready)), at(0));
    assert!(conductor.storing.is_none() && conductor.requests.is_empty());
    assert!(conductor.reports.is_empty() && conductor.claims.is_empty());
    conductor
}

fn install(ticket: u64) -> Event {
    Event::Asked { ticket: Ticket(ticket), input: Input::Install(sleepy()) }
}

fn stores(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Store(_))).count()
}

fn answers(actions: &[Action]) -> Vec<(Ticket, Result<(), String>)> {
    let answer = |action: &Action| match action {
        Action::Answer(ticket, answer) => {
            Some((*ticket, answer.as_ref().map(drop).map_err(|problem| problem.code.to_string())))
        }
        Action::Store(_) | Action::TryStore | Action::Happened(_) | Action::StoreStatus(_) => None,
    };
    actions.iter().filter_map(answer).collect()
}

fn effects(actions: &[Action]) -> Vec<Effect> {
    let effects = |action: &Action| match action {
        Action::Happened(outcome) => outcome.effects.clone(),
        Action::Store(_) | Action::TryStore | Action::Answer(..) | Action::StoreStatus(_) => {
            Vec::new()
        }
    };
    actions.iter().flat_map(effects).collect()
}

fn full() -> Problem {
    Problem::new("store.unwritable", "The queue can't be written: it is full.")
}

#[test]
fn nothing_is_true_and_nothing_follows_before_it_is_stored() {
    let mut conductor = conductor();
    let actions = conductor.on(install(1), at(1));
    assert_eq!((stores(&actions), answers(&actions), effects(&actions)), (1, vec![], vec![]));
    assert!(conductor.state().active(&sleepy()).is_none());
    let actions = conductor.on(Event::Stored(Ok(())), at(20));
    assert_eq!(answers(&actions), [(Ticket(1), Ok(()))]);
    assert!(matches!(effects(&actions)[..], [Effect::StartBuild { .. }]));
    let update = conductor.state().active(&sleepy()).unwrap();
    assert_eq!(update.state.kind(), StateKind::Building);
}

#[test]
fn there_is_one_commit_at_a_time_and_the_next_takes_all_that_came() {
    let mut conductor = conductor();
    conductor.on(install(1), at(1));
    for n in 0..200_u8 {
        let actions = conductor.on(Event::Heard(word("sleepy", n)), at(2));
        assert_eq!(stores(&actions), 0);
    }
    let cancel = Event::Asked { ticket: Ticket(2), input: Input::Cancel(sleepy()) };
    assert_eq!(stores(&conductor.on(cancel, at(3))), 0);
    let actions = conductor.on(Event::Stored(Ok(())), at(20));
    assert_eq!(stores(&actions), 1);
    let actions = conductor.on(Event::Stored(Ok(())), at(40));
    assert_eq!(answers(&actions), [(Ticket(2), Ok(()))], "one commit later, whatever was heard");
    assert!(conductor.claims.len() < WORDS_KEPT, "of one device only the newest words wait");
}

#[test]
fn names_that_nobody_knows_fill_no_memory() {
    let mut conductor = conductor();
    conductor.on(install(1), at(1));
    for n in 0..10_000 {
        conductor.on(Event::Heard(word(&format!("forged-{n}"), 7)), at(2));
    }
    assert_eq!(conductor.claims.len(), CLAIMS_KEPT);
    conductor.on(Event::Heard(word("sleepy", 7)), at(3));
    assert_eq!(conductor.claims.len(), CLAIMS_KEPT + 1, "whom an update waits for is heard");
}

#[test]
fn a_commit_that_fails_refuses_requests_and_keeps_reports() {
    let mut conductor = conductor();
    conductor.on(install(1), at(1));
    conductor.on(Event::Stored(Ok(())), at(2));
    let id = conductor.state().active(&sleepy()).unwrap().id;
    let ended = Input::BuildEnded { update: id, result: Err(full().into()) };
    assert_eq!(stores(&conductor.on(Event::Reported(ended), at(3))), 1);
    let late = Event::Asked { ticket: Ticket(2), input: Input::Cancel(sleepy()) };
    conductor.on(late, at(4));
    let actions = conductor.on(Event::Stored(Err(full())), at(5));
    assert_eq!(effects(&actions), []);
    // The request came after it; it is tried at once, together with what is kept.
    assert_eq!(stores(&actions), 1);
    assert!(conductor.owes());
    let actions = conductor.on(Event::Stored(Err(full())), at(5));
    assert_eq!(
        (stores(&actions), answers(&actions)),
        (0, vec![(Ticket(2), Err(full().code.to_string()))])
    );
    assert_eq!(conductor.due(at(5)), Some(at(5) + COMMIT_AGAIN));
    let actions = conductor.on(Event::Due, at(5) + COMMIT_AGAIN);
    assert_eq!(stores(&actions), 1);
    let actions = conductor.on(Event::Stored(Ok(())), at(6) + COMMIT_AGAIN);
    assert!(matches!(actions[0], Action::StoreStatus(None)));
    assert!(!conductor.owes());
    assert_ne!(conductor.state().update(id).unwrap().state.kind(), StateKind::Building);
}

#[test]
fn wishes_keep_their_order() {
    let mut conductor = conductor();
    conductor.on(install(1), at(0));
    // The disk is slow; meanwhile the user asks for it anew, and thinks better of it.
    conductor.on(install(2), at(10));
    let cancel = Event::Asked { ticket: Ticket(3), input: Input::Cancel(sleepy()) };
    conductor.on(cancel, at(20));
    conductor.on(Event::Stored(Ok(())), at(30));
    conductor.on(Event::Stored(Ok(())), at(40));
    let states: Vec<_> = conductor.state().updates().map(|update| update.state.kind()).collect();
    assert_eq!(states, [StateKind::Superseded, StateKind::Cancelled]);
}

fn goodbye(name: &str, last: u8) -> Input {
    let Input::Sighted(said) = word(name, last) else { unreachable!("it is a word") };
    Input::Sighted(Sighting { kind: SightingKind::Gone, addresses: Vec::new(), ..said })
}

fn choose(dir: &str) -> Event {
    let change = serde_json::from_value(serde_json::json!({ "configDir": dir })).unwrap();
    Event::Asked { ticket: Ticket(9), input: Input::ChangeSettings(change) }
}

#[test]
fn whether_the_disk_is_well_is_known() {
    let mut conductor = conductor();
    assert!(!conductor.is_unwell());
    conductor.on(install(1), at(1));
    conductor.on(Event::Stored(Err(full())), at(2));
    assert!(conductor.is_unwell());
    conductor.on(Event::Due, at(3) + COMMIT_AGAIN);
    conductor.on(Event::Stored(Ok(())), at(4) + COMMIT_AGAIN);
    assert!(!conductor.is_unwell());
    conductor.on(install(2), at(10_000));
    conductor.on(Event::Due, at(10_000) + SLOW);
    assert!(conductor.is_unwell(), "it hangs");
}

#[test]
fn who_waits_for_the_disk_is_looked_after_in_time() {
    let mut conductor = conductor();
    conductor.on(install(1), at(1));
    assert_eq!(conductor.due(at(2)), Some(at(1) + SLOW), "the user is told that it is slow");
    assert!(conductor.on(Event::Due, at(2)).is_empty(), "and not before");
    conductor.on(Event::Due, at(1) + SLOW);
    assert_eq!(conductor.due(at(4_000)), Some(at(1) + PATIENCE), "who asked gets an answer");
    conductor.on(install(2), at(5_000));
    let actions = conductor.on(Event::Due, at(1) + PATIENCE);
    assert_eq!(answers(&actions), [(Ticket(1), Err("store.unsure".into()))]);
    assert_eq!(conductor.due(at(11_000)), Some(at(5_000) + PATIENCE), "and who asked later, too");
    let actions = conductor.on(Event::Due, at(5_000) + PATIENCE);
    assert_eq!(answers(&actions), [(Ticket(2), Err("store.slow".into()))]);
    assert_eq!(conductor.due(at(20_000)), None, "nobody waits any more");
}

#[test]
fn what_was_heard_during_a_commit_has_its_turn_at_once() {
    let mut conductor = conductor();
    conductor.on(install(1), at(1));
    for n in 0..100 {
        conductor.on(Event::Heard(word(&format!("new-{n}"), 7)), at(2));
    }
    conductor.on(Event::Stored(Ok(())), at(3));
    assert_eq!(conductor.claims.len(), 100 - CLAIMS_AT_ONCE, "not all at once");
    assert!(
        conductor.storing.is_none(),
        "of those that nobody waits for nothing is written at once"
    );
    assert_eq!(conductor.due(at(4)), Some(at(4)));
    conductor.on(Event::Due, at(4));
    assert!(conductor.claims.is_empty());
}

#[test]
fn of_a_directory_only_what_was_read_last_waits() {
    let mut conductor = conductor();
    conductor.on(install(1), at(1));
    conductor.on(Event::Reported(Input::Configs(Vec::new())), at(2));
    conductor.on(Event::Reported(Input::Recover), at(2));
    conductor.on(Event::Reported(Input::Configs(vec![config()])), at(3));
    let waiting: Vec<_> = conductor.reports.iter().map(|waiting| &waiting.input).collect();
    assert_eq!(waiting, [&Input::Recover, &Input::Configs(vec![config()])]);
    // Nor does one that could not be stored come before it.
    conductor.on(Event::Stored(Ok(())), at(4));
    let storing = conductor.storing.as_ref().map(|storing| storing.reports.len());
    if storing.is_some() {
        conductor.on(Event::Reported(Input::Configs(Vec::new())), at(5));
        conductor.on(Event::Stored(Err(full())), at(6));
    }
    let of_the_directory = conductor.reports.iter().filter(|it| it.input.is_about_the_directory());
    assert!(of_the_directory.count() <= 1);
}

#[test]
fn what_is_about_another_directory_is_let_go_of_when_one_is_chosen() {
    let read_meanwhile = |asked: Event| {
        let mut conductor = conductor();
        conductor.on(asked, at(1));
        let found = ConfigFile { id: DeviceId::of_file("new.yaml"), ..config() };
        conductor.on(Event::Reported(Input::Configs(vec![config(), found.clone()])), at(2));
        conductor.on(Event::Stored(Ok(())), at(3));
        while conductor.storing.is_some() {
            conductor.on(Event::Stored(Ok(())), at(4));
        }
        conductor.state().row(&found.id, at(5)).is_some()
    };
    assert!(!read_meanwhile(choose("/other")), "it isn't in the directory that was chosen");
    assert!(read_meanwhile(install(1)));
}

#[test]
fn each_word_waits_once_and_a_goodbye_is_not_pushed_out() {
    let mut conductor = conductor();
    conductor.on(install(1), at(1));
    conductor.on(Event::Heard(word("sleepy", 1)), at(2));
    conductor.on(Event::Heard(word("sleepy", 1)), at(2));
    assert_eq!(conductor.claims.len(), 1);
    conductor.on(Event::Heard(goodbye("sleepy", 1)), at(2));
    assert_eq!(conductor.claims.len(), 2);
    for _ in 0..100 {
        conductor.on(Event::Heard(word("sleepy", 1)), at(3));
        conductor.on(Event::Heard(word("sleepy", 2)), at(3));
        conductor.on(Event::Heard(word("sleepy", 3)), at(3));
    }
    assert!(conductor.claims.len() <= WORDS_KEPT);
    assert!(conductor.claims.contains(&goodbye("sleepy", 1)));
    let id = UpdateId(1);
    for _ in 0..100 {
        conductor.on(Event::Heard(Input::Unreachable { update: id }), at(4));
    }
    let found = Input::Unreachable { update: id };
    let kept = conductor.claims.iter().filter(|claim| **claim == found).count();
    assert_eq!(kept, 1, "what knocks find out, again and again");
}

#[test]
fn what_could_not_be_stored_leaves_no_connection_and_loses_no_report() {
    let mut conductor = conductor();
    conductor.on(install(1), at(1));
    conductor.on(Event::Stored(Ok(())), at(2));
    let id = conductor.state().active(&sleepy()).unwrap().id;
    let ended = Input::BuildEnded { update: id, result: Err(full().into()) };
    conductor.on(Event::Reported(ended.clone()), at(3));
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    conductor.on(Event::Heard(Input::Connected { update: id, peer }), at(3));
    conductor.on(Event::Reported(Input::Configs(vec![config()])), at(3));
    let actions = conductor.on(Event::Stored(Err(full())), at(4));
    assert_eq!(effects(&actions), [Effect::DropConnection(id)]);
    let waiting: Vec<_> = conductor.reports.iter().map(|waiting| &waiting.input).collect();
    assert_eq!(waiting, [&ended, &Input::Configs(vec![config()])]);
    let actions = conductor.on(Event::Stored(Err(full())), at(5));
    assert_eq!(effects(&actions), [], "nothing was connected");
}
