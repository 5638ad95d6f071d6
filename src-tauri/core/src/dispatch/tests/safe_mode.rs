//! A device that refuses its API while it takes updates is in safe mode.

use crate::dispatch::{Effect, Input};
use crate::update::{Api, Build, StateKind};

use super::lab::*;

/// A build from here runs on the device, which has slept since.
fn installed(api: Option<Api>) -> Lab {
    let mut lab = Lab::new();
    let id = lab.install("sleepy");
    lab.built_as(id, Build { api, ..build("sleepy") });
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(20).give(Input::Sighted(answer("sleepy", Some(NEW))));
    lab.expect(id, StateKind::Installed);
    lab.after(100).give(Input::Sighted(goodbye("sleepy")));
    lab.after(600);
    lab
}

fn with_api() -> Lab {
    installed(Some(Api { port: 6054, key: None }))
}

/// The device says its name and no more. Whether its API is looked at then.
fn answers(lab: &mut Lab) -> bool {
    assert!(!looks(&lab.give(Input::Sighted(address_packet("sleepy"))).effects));
    looks(&lab.after(6).give(Input::Tick).effects)
}

fn looks(effects: &[Effect]) -> bool {
    let wanted =
        Effect::LookAtApi { name: "sleepy".into(), peer: address(7), api: 6054, ota: 3232 };
    let any = effects.iter().any(|effect| matches!(effect, Effect::LookAtApi { .. }));
    assert_eq!(any, effects.contains(&wanted));
    any
}

fn looked(lab: &mut Lab, refused: bool) {
    lab.give(Input::LookedAtApi {
        name: "sleepy".into(),
        peer: address(7),
        refused: Some(refused),
    });
}

fn looked_in_vain(lab: &mut Lab) {
    lab.give(Input::LookedAtApi { name: "sleepy".into(), peer: address(7), refused: None });
}

fn said(lab: &Lab) -> Option<String> {
    lab.row("sleepy").crash_loop.map(|problem| problem.code)
}

/// The device answers and refuses its API, twice.
fn crashes(lab: &mut Lab) {
    assert!(answers(lab));
    looked(lab, true);
    lab.after(6).give(Input::Tick);
    looked(lab, true);
    assert_eq!(said(lab).as_deref(), Some("device.safe_mode"));
}

#[test]
fn one_that_refuses_its_api_twice_and_says_nothing_of_what_runs_is() {
    let mut lab = with_api();
    assert!(answers(&mut lab));
    looked(&mut lab, true);
    assert_eq!(said(&lab), None, "it may just have started");
    assert!(!looks(&lab.after(3).give(Input::Tick).effects));
    assert!(looks(&lab.after(3).give(Input::Tick).effects));
    looked(&mut lab, true);
    assert_eq!(said(&lab).as_deref(), Some("device.safe_mode"));
    assert_eq!(lab.row("sleepy").group(), Some(crate::view::Group::Attention));

    // It starts once more, and comes back no better: that is what is known of it.
    lab.after(300).give(Input::Sighted(goodbye("sleepy")));
    assert!(lab.row("sleepy").crash_loop.unwrap().message.contains("was in safe mode"));
    lab.after(30).give(Input::Sighted(packet("sleepy", Some(NEW))));
    assert_eq!(said(&lab), None, "it runs its firmware");
}

#[test]
fn who_could_not_be_reached_is_looked_at_again() {
    let mut lab = with_api();
    assert!(answers(&mut lab));
    looked_in_vain(&mut lab);
    assert!(looks(&lab.after(6).give(Input::Tick).effects));
    looked(&mut lab, true);
    assert!(looks(&lab.after(6).give(Input::Tick).effects));
    looked(&mut lab, true);
    assert_eq!(said(&lab).as_deref(), Some("device.safe_mode"));
    // But not for ever.
    let mut lab = with_api();
    assert!(answers(&mut lab));
    let again = (0..20).take_while(|_| {
        looked_in_vain(&mut lab);
        looks(&lab.after(6).give(Input::Tick).effects)
    });
    assert_eq!(again.count(), 5);
}

#[test]
fn what_cannot_be_known_is_not_said() {
    // Nobody knows that what runs has an API.
    let mut lab = installed(None);
    assert!(!answers(&mut lab));
    // Somebody else has put another firmware on it, which may have none.
    let mut lab = with_api();
    lab.give(Input::Sighted(answer("sleepy", Some(OLD))));
    lab.give(Input::Sighted(goodbye("sleepy")));
    lab.after(600);
    assert!(!answers(&mut lab));
    // It says a moment later what it runs.
    let mut lab = with_api();
    lab.give(Input::Sighted(address_packet("sleepy")));
    lab.after(1).give(Input::Sighted(packet("sleepy", Some(NEW))));
    assert!(!looks(&lab.after(6).give(Input::Tick).effects));
    // The API is there: what it said of itself got lost.
    let mut lab = with_api();
    assert!(answers(&mut lab));
    looked(&mut lab, false);
    assert_eq!(said(&lab), None);
    assert!(!answers(&mut lab), "it isn't asked again and again");
    // It slept in between: what was refused before says nothing about this wake.
    let mut lab = with_api();
    assert!(answers(&mut lab));
    looked(&mut lab, true);
    lab.after(10).give(Input::Sighted(goodbye("sleepy")));
    lab.after(600);
    assert!(answers(&mut lab));
    looked(&mut lab, true);
    assert_eq!(said(&lab), None);
}

#[test]
fn somebody_else_says_nothing_about_it() {
    let mut lab = with_api();
    looked(&mut lab, true);
    lab.after(6);
    looked(&mut lab, true);
    assert_eq!(said(&lab), None, "it was never asked");
}

#[test]
fn its_update_is_built_before_all_others() {
    let mut lab = Lab::with(vec![config("sleepy"), config("other"), config("third")]);
    let id = lab.install("sleepy");
    lab.built_as(id, Build { api: Some(Api { port: 6054, key: None }), ..build("sleepy") });
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(20).give(Input::Sighted(answer("sleepy", Some(NEW))));
    lab.after(100).give(Input::Sighted(goodbye("sleepy")));
    lab.after(600);
    crashes(&mut lab);
    let first = lab.install("other");
    let own = lab.install("sleepy");
    let newest = lab.install("third");
    lab.expect(first, StateKind::Building);
    lab.built(first);
    lab.expect(own, StateKind::Building);
    lab.expect(newest, StateKind::Queued);
}

#[test]
fn what_is_installed_ends_it() {
    let mut lab = with_api();
    crashes(&mut lab);
    let id = lab.install("sleepy");
    lab.built(id);
    lab.connected(id);
    assert!(!answers(&mut lab), "it has other things to do");
    lab.acknowledged(id);
    lab.after(20).give(returned(id));
    lab.after(20).give(Input::Tick);
    lab.expect(id, StateKind::Installed);
    assert_eq!(said(&lab), None);
}
