//! Decisions that could not be stored.

use std::collections::BTreeMap;

use crate::configuration::ConfigFile;
use crate::device::{DeviceId, DeviceMemory};
use crate::dispatch::{Decision, Dispatch, Effect, FlashOutcome, Input, WriteSet};
use crate::identity::{Claims, Identity};
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::update::{StateKind, Update, UpdateId};

use super::lab::*;

/// Everything that a commit that failed must leave as it was.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Durable {
    pub(super) updates: BTreeMap<UpdateId, Update>,
    pub(super) memories: BTreeMap<String, DeviceMemory>,
    pub(super) settings: Settings,
}

/// `last_seen` and what is claimed move with every packet and are stored only now and then, so they are not part of it.
pub(super) fn durable(dispatch: &Dispatch) -> Durable {
    let timeless = |memory: &DeviceMemory| DeviceMemory {
        last_seen: None,
        claims: Claims::default(),
        rival: None,
        identity: lasting(&memory.identity),
        ..memory.clone()
    };
    let known =
        dispatch.devices.iter().map(|(name, heard)| (name.clone(), timeless(&heard.memory)));
    Durable {
        updates: dispatch.updates.iter().map(|(id, update)| (*id, update.clone())).collect(),
        memories: known.filter(|(_, memory)| *memory != DeviceMemory::default()).collect(),
        settings: dispatch.settings().clone(),
    }
}

/// What is pinned, whenever it was proven last.
fn lasting(identity: &Identity) -> Identity {
    Identity::stored(
        identity.mac(),
        identity.link_addresses().to_vec(),
        identity.addresses().to_vec(),
        identity.build().cloned(),
        identity.proven_at().map(|_| Timestamp::from_millis(0)),
    )
}

fn configs(lab: &Lab) -> Vec<(DeviceId, ConfigFile)> {
    lab.dispatch.configs.iter().map(|(id, file)| (id.clone(), file.clone())).collect()
}

/// Hands this in with a store that can't be written; then the same again with one that can.
fn fails_to_store(lab: &mut Lab, input: Input) {
    let before = (durable(&lab.dispatch), configs(lab));
    let decision = lab.give(input.clone());
    assert!(decision.is_durable(), "{input:?}");
    lab.not_stored(decision);
    assert_eq!((durable(&lab.dispatch), configs(lab)), before, "{input:?}");
    assert!(lab.give(input).is_durable(), "it can be handed in again");
}

#[test]
fn what_could_not_be_stored_has_not_happened() {
    let mut lab = Lab::new();
    fails_to_store(&mut lab, Input::Install(yaml("sleepy")));
    let id = lab.dispatch.active(&yaml("sleepy")).unwrap().id;
    let result = Ok((build("sleepy"), Vec::new()));
    fails_to_store(&mut lab, Input::BuildEnded { update: id, result });
    fails_to_store(&mut lab, Input::Connected { update: id, peer: address(7) });
    fails_to_store(&mut lab, Input::AboutToComplete { update: id, encrypted: false });
    fails_to_store(&mut lab, Input::FlashEnded { update: id, outcome: FlashOutcome::Acknowledged });
    lab.after(5);
    fails_to_store(&mut lab, Input::Sighted(packet("sleepy", Some(NEW))));
    lab.expect(id, StateKind::Installed);
}

#[test]
fn decisions_that_are_stored_together_come_to_the_same() {
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
    let mut together = Decision::on(&lab.dispatch);
    for input in inputs.clone() {
        together.take(input, lab.now).unwrap();
    }
    let writes = together.writes();
    let flashes = |effect: &Effect| matches!(effect, Effect::StartFlash { .. });
    assert!(together.effects().iter().any(flashes), "{:?}", together.effects());
    assert_eq!(writes.wakes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["sleepy"]);
    assert_eq!(durable(&lab.dispatch), before, "nothing has happened until it is stored");

    // One after the other they come to the same.
    let mut one_by_one = WriteSet::default();
    for input in inputs {
        let writes = lab.give(input).writes;
        if !writes.updates.is_empty() {
            one_by_one.updates = writes.updates;
        }
    }
    lab.expect(id, StateKind::Flashing);
    assert_eq!(writes.updates, one_by_one.updates);
    lab.dispatch = together.stored();
    lab.expect(id, StateKind::Flashing);
}

#[test]
fn the_configurations_stay_when_another_directory_could_not_be_stored() {
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
    lab.not_stored(decision);
    assert!(lab.after(1).give(Input::Sighted(packet("sleepy", Some(OLD)))).is_durable());
}

#[test]
fn a_superseded_update_comes_back_when_the_new_one_could_not_be_stored() {
    for state in ACTIVE {
        let (mut lab, id) = Lab::at(state);
        let before = lab.update(id).clone();
        let decision = lab.give(Input::Install(yaml("sleepy")));
        lab.not_stored(decision);
        assert_eq!(lab.dispatch.active(&yaml("sleepy")), Some(&before));
    }
}
