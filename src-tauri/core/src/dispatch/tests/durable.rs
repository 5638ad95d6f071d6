//! Decisions that could not be stored.

use std::collections::BTreeMap;

use crate::device::{ConfigFile, DeviceId, DeviceMemory};
use crate::dispatch::{Decision, Dispatch, Effect, FlashOutcome, Input};
use crate::settings::Settings;
use crate::update::{StateKind, Update, UpdateId};

use super::lab::*;

/// Everything that a commit that failed must leave as it was.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Durable {
    pub(super) updates: BTreeMap<UpdateId, Update>,
    pub(super) memories: BTreeMap<String, DeviceMemory>,
    pub(super) settings: Settings,
}

/// `last_seen` moves with every packet and is stored only now and then, so it is not part of it.
pub(super) fn durable(dispatch: &Dispatch) -> Durable {
    let timeless = |memory: &DeviceMemory| DeviceMemory { last_seen: None, ..memory.clone() };
    let known = dispatch.heard.iter().map(|(name, heard)| (name.clone(), timeless(&heard.memory)));
    Durable {
        updates: dispatch.updates.clone(),
        memories: known.filter(|(_, memory)| *memory != DeviceMemory::default()).collect(),
        settings: dispatch.settings.clone(),
    }
}

fn configs(lab: &Lab) -> Vec<(DeviceId, ConfigFile)> {
    lab.dispatch.configs.clone().into_iter().collect()
}

/// Hands this in with a store that can't be written; then the same again with one that can.
fn fails_to_store(lab: &mut Lab, input: Input) {
    let before = (durable(&lab.dispatch), configs(lab));
    let decision = lab.give(input.clone());
    assert!(decision.is_durable(), "{input:?}");
    lab.dispatch.undo(decision);
    assert_eq!((durable(&lab.dispatch), configs(lab)), before, "{input:?}");
    assert!(lab.give(input).is_durable(), "it can be handed in again");
}

#[test]
fn undo_restores_what_was() {
    let mut lab = Lab::new();
    fails_to_store(&mut lab, Input::Install(yaml("sleepy")));
    let id = lab.dispatch.active(&yaml("sleepy")).unwrap().id;
    let result = Ok((build("sleepy"), Vec::new()));
    fails_to_store(&mut lab, Input::BuildEnded { update: id, result });
    fails_to_store(&mut lab, Input::Connected { update: id, peer: address(7) });
    fails_to_store(&mut lab, Input::AboutToComplete(id));
    fails_to_store(&mut lab, Input::FlashEnded { update: id, outcome: FlashOutcome::Acknowledged });
    lab.after(5);
    fails_to_store(&mut lab, Input::Sighted(packet("sleepy", Some(NEW))));
    lab.expect(id, StateKind::Installed);
}

#[test]
fn decisions_that_are_stored_together_are_taken_back_together() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.after(600);
    let inputs = [
        Input::Sighted(packet("sleepy", Some(OLD))),
        Input::Sighted(packet("other", Some(OLD))),
        Input::Connected { update: id, peer: address(7) },
        Input::Sighted(goodbye("other")),
        Input::Sighted(packet("sleepy", Some(NEW))),
    ];
    let before = durable(&lab.dispatch);
    let mut together = Decision::default();
    for input in inputs.clone() {
        together.join(lab.dispatch.handle(input, lab.now).unwrap());
    }
    assert!(together.is_durable() && !together.renames());
    let flashes = |effect: &Effect| matches!(effect, Effect::StartFlash { .. });
    assert!(together.effects.iter().any(flashes), "{:?}", together.effects);
    let wakes = lab.dispatch.changed_wakes(&together);
    assert_eq!(wakes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["sleepy"]);
    lab.dispatch.undo(together);
    assert_eq!(durable(&lab.dispatch), before);

    // One after the other they come to the same.
    for input in inputs {
        lab.give(input);
    }
    lab.expect(id, StateKind::Flashing);
}

#[test]
fn undo_restores_the_configurations_of_the_directory_that_stays() {
    let mut lab = Lab::new();
    let settings = Settings { config_dir: Some("/elsewhere".into()), ..Settings::default() };
    fails_to_store(&mut lab, Input::Settings(settings));
}

#[test]
fn a_sighting_that_could_not_be_stored_is_stored_with_the_next_one() {
    let mut lab = Lab::new();
    lab.after(100);
    let decision = lab.give(Input::Sighted(packet("sleepy", Some(OLD))));
    assert!(decision.is_durable());
    lab.dispatch.undo(decision);
    assert!(lab.after(1).give(Input::Sighted(packet("sleepy", Some(OLD)))).is_durable());
}

#[test]
fn a_superseded_update_comes_back_when_the_new_one_could_not_be_stored() {
    for state in ACTIVE {
        let (mut lab, id) = Lab::at(state);
        let before = lab.update(id).clone();
        let decision = lab.give(Input::Install(yaml("sleepy")));
        lab.dispatch.undo(decision);
        assert_eq!(lab.dispatch.active(&yaml("sleepy")), Some(&before));
    }
}

#[test]
fn a_number_that_was_not_stored_is_not_used_for_another_update() {
    let mut lab = Lab::new();
    let decision = lab.give(Input::Install(yaml("sleepy")));
    let lost = decision.started.unwrap();
    lab.dispatch.undo(decision);
    assert!(lab.install("sleepy") > lost, "its log and its work may still go by it");
}
