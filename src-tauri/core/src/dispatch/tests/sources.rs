//! Sources that change after the build: the user's answers and policies.

use crate::dispatch::{Effect, FlashOutcome, Input};
use crate::settings::{ChangedSources, Settings};
use crate::update::{StateKind, UpdateId, UpdateState};
use crate::view::NotificationKind;

use super::lab::*;

#[test]
fn a_changed_source_holds_the_update_and_the_user_is_told_at_once() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.changed(id, "common/wifi.yaml");
    lab.expect(id, StateKind::Held);
    assert_eq!(lab.told_kinds(), [NotificationKind::Held]);
    assert!(lab.told[0].2.contains("common/wifi.yaml"));
    // The same news, and more news, don't notify again.
    lab.changed(id, "common/wifi.yaml");
    lab.changed(id, "secrets.yaml");
    assert_eq!(lab.told.len(), 1);
    let UpdateState::Held { changes, .. } = lab.state(id) else { panic!() };
    assert_eq!(*changes, edited("secrets.yaml"));
}

#[test]
fn a_held_update_is_never_flashed_by_itself() {
    let (mut lab, id) = Lab::at(StateKind::Held);
    assert!(lab.dispatch.targets(lab.now).is_empty());
    lab.seen("sleepy", Some(OLD));
    assert_eq!(lab.effects, [], "nobody connects");
    lab.connected(id);
    assert_eq!(lab.effects, [Effect::DropConnection(id)]);
    lab.restart();
    lab.come_up();
    assert_eq!(lab.effects, [], "what isn't compared yet is as it was");
    lab.expect(id, StateKind::Held);
}

#[test]
fn a_held_update_waits_again_when_its_sources_are_what_was_built() {
    let (mut lab, id) = Lab::at(StateKind::Held);
    lab.give(Input::Configs(lab.configs.clone()));
    assert_eq!(lab.effects, [Effect::CheckSources(id)]);
    let told = lab.told.len();
    lab.give(Input::SourcesChecked { update: id, changes: Vec::new() });
    lab.expect(id, StateKind::Waiting);
    assert_eq!(lab.told.len(), told, "nothing needs attention any more");
    lab.give(Input::SourcesChecked { update: id, changes: Vec::new() });
    lab.connected(id);
    assert!(lab.starts_flash());
}

#[test]
fn the_three_answers() {
    let (mut lab, id) = Lab::at(StateKind::Held);
    lab.give(Input::Rebuild(yaml("sleepy")));
    lab.expect(id, StateKind::Building);
    assert_eq!(lab.effects, [Effect::StartBuild { update: id, device: yaml("sleepy") }]);

    let (mut lab, id) = Lab::at(StateKind::Held);
    lab.give(Input::FlashAnyway(yaml("sleepy")));
    lab.expect(id, StateKind::Waiting);
    lab.changed(id, "secrets.yaml");
    lab.expect(id, StateKind::Waiting);
    lab.give(Input::Configs(lab.configs.clone()));
    assert_eq!(lab.effects, [], "nobody looks at its sources any more");
    lab.connected(id);
    assert!(lab.starts_flash());

    let (mut lab, id) = Lab::at(StateKind::Held);
    lab.give(Input::Cancel(yaml("sleepy")));
    lab.expect(id, StateKind::Cancelled);
}

#[test]
fn flash_anyway_is_not_asked_again_at_the_gate() {
    let (mut lab, id) = Lab::at(StateKind::Held);
    lab.give(Input::FlashAnyway(yaml("sleepy")));
    lab.connected(id);
    lab.ended(id, FlashOutcome::SourcesChanged(edited("sleepy.yaml")));
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn a_rebuild_can_t_be_asked_for_without_a_configuration_to_build() {
    let (mut lab, id) = Lab::at(StateKind::Held);
    lab.give(Input::Configs(vec![broken("sleepy")]));
    assert_eq!(lab.refuse(Input::Rebuild(yaml("sleepy"))), "yaml.syntax");
    lab.give(Input::Configs(Vec::new()));
    assert_eq!(lab.refuse(Input::Rebuild(yaml("sleepy"))), "device.unknown");
    lab.expect(id, StateKind::Held);
    lab.give(Input::FlashAnyway(yaml("sleepy")));
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn the_policy_can_be_to_rebuild() {
    let mut lab = Lab::with_policy(ChangedSources::Rebuild);
    let id = lab.install("sleepy");
    lab.built(id);
    lab.changed(id, "sleepy.yaml");
    lab.expect(id, StateKind::Building);
    lab.built(id);
    lab.connected(id);
    lab.ended(id, FlashOutcome::SourcesChanged(edited("sleepy.yaml")));
    lab.expect(id, StateKind::Building);
    assert_eq!(lab.told, []);
}

#[test]
fn the_policy_can_be_to_flash() {
    let mut lab = Lab::with_policy(ChangedSources::Flash);
    let id = lab.install("sleepy");
    lab.built(id);
    lab.changed(id, "sleepy.yaml");
    lab.expect(id, StateKind::Waiting);
    lab.connected(id);
    assert!(lab.starts_flash());
    assert_eq!(lab.told, []);
}

#[test]
fn a_policy_counts_when_the_sources_change() {
    let (mut lab, id) = Lab::at(StateKind::Held);
    let settings = Settings { changed_sources: ChangedSources::Flash, ..Settings::default() };
    lab.give(Input::Settings(settings));
    lab.changed(id, "secrets.yaml");
    lab.expect(id, StateKind::Held);
}

#[test]
fn what_changed_during_the_build_counts_as_well() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    let result = Ok((build("sleepy"), edited("sleepy.yaml")));
    lab.give(Input::BuildEnded { update: id, result });
    lab.expect(id, StateKind::Held);
    assert_eq!(lab.told_kinds(), [NotificationKind::Held]);
}

#[test]
fn what_the_gate_finds_out_holds_the_update() {
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.ended(id, FlashOutcome::SourcesChanged(edited("secrets.yaml")));
    lab.expect(id, StateKind::Held);
}

#[test]
fn the_device_s_return_to_waiting_has_its_sources_looked_at() {
    // Nobody looks at the sources during the transfer and the confirmation; what changed then must be
    // told at once when the update waits again, not at the next wake.
    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.give(Input::Configs(lab.configs.clone()));
    assert_eq!(lab.effects, []);
    lab.ended(id, failed(wakeflash_ota::FailureClass::RetryNow));
    assert_eq!(lab.effects, [Effect::CheckSources(id)]);

    let (mut lab, id) = Lab::at(StateKind::Flashing);
    lab.cut_at_the_end(id);
    lab.after(30).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Waiting);
    assert!(lab.effects.contains(&Effect::CheckSources(id)));
}

#[test]
fn every_look_at_the_directory_is_a_look_at_the_sources() {
    for (state, looks) in
        [(StateKind::Waiting, true), (StateKind::Held, true), (StateKind::Building, false)]
    {
        let (mut lab, id) = Lab::at(state);
        lab.give(Input::Configs(lab.configs.clone()));
        assert_eq!(lab.effects.contains(&Effect::CheckSources(id)), looks, "{state:?}");
    }
}

#[test]
fn a_config_directory_that_was_emptied_loses_nothing() {
    for state in ACTIVE {
        let (mut lab, id) = Lab::at(state);
        lab.give(Input::Configs(Vec::new()));
        lab.expect(id, state);
        assert!(lab.dispatch.rows().contains(&yaml("sleepy")), "{state:?}: its row stays");
        assert!(lab.row("sleepy").update.is_some());
        lab.give(Input::Cancel(yaml("sleepy")));
        lab.expect(id, StateKind::Cancelled);
        assert!(!lab.dispatch.rows().contains(&yaml("sleepy")), "and goes with its update");
    }
}

#[test]
fn another_config_directory_takes_the_old_one_s_devices_along() {
    let mut lab = Lab::new();
    let settings = Settings { config_dir: Some("/elsewhere".into()), ..Settings::default() };
    let decision = lab.give(Input::Settings(settings));
    assert!(decision.touched.contains(&yaml("sleepy")));
    assert_eq!(lab.dispatch.row(&yaml("sleepy"), lab.now), None);
}

#[test]
fn a_directory_that_is_not_read_yet_is_no_change_of_the_sources() {
    let (mut lab, _) = Lab::at(StateKind::Waiting);
    let settings = Settings { config_dir: Some("/elsewhere".into()), ..Settings::default() };
    lab.give(Input::Settings(settings));
    assert_eq!(lab.effects, [], "the sources are looked at when it has been read");
}

/// A build ends, and these have changed while it ran.
fn built_with(lab: &mut Lab, id: UpdateId, paths: &[&str]) {
    let changes = paths.iter().flat_map(|path| edited(path)).collect();
    lab.give(Input::BuildEnded { update: id, result: Ok((build("sleepy"), changes)) });
}

#[test]
fn a_build_that_changes_its_own_sources_is_not_made_without_end() {
    let mut lab = Lab::with_policy(ChangedSources::Rebuild);
    let id = lab.install("sleepy");
    built_with(&mut lab, id, &["made.h"]);
    lab.expect(id, StateKind::Building);
    // One build changes this, the other that.
    built_with(&mut lab, id, &["other.h"]);
    lab.expect(id, StateKind::Building);
    lab.restart();
    lab.come_up();
    built_with(&mut lab, id, &["sleepy.yaml", "made.h"]);
    lab.expect(id, StateKind::Held);
    assert_eq!(lab.told_kinds(), [NotificationKind::Held]);
    let said = &lab.told[0].2;
    assert!(said.contains("made.h") && said.contains("build itself"), "{said}");
    assert!(!said.contains("sleepy.yaml"), "{said}");
    let warning = lab.row("sleepy").update.unwrap().warning.unwrap();
    assert_eq!(warning.code, "build.changes_sources");
    // The user has it built once more, and it is the same again.
    lab.give(Input::Rebuild(yaml("sleepy")));
    built_with(&mut lab, id, &["made.h"]);
    lab.expect(id, StateKind::Held);
    lab.give(Input::FlashAnyway(yaml("sleepy")));
    lab.expect(id, StateKind::Waiting);
    assert_eq!(lab.row("sleepy").update.unwrap().warning, None);
}

#[test]
fn what_changed_in_a_build_before_a_quiet_one_was_the_user() {
    let mut lab = Lab::with_policy(ChangedSources::Rebuild);
    let id = lab.install("sleepy");
    built_with(&mut lab, id, &["sleepy.yaml"]);
    built_with(&mut lab, id, &[]);
    lab.expect(id, StateKind::Waiting);
    lab.changed(id, "sleepy.yaml");
    built_with(&mut lab, id, &["sleepy.yaml"]);
    lab.expect(id, StateKind::Building);
}

#[test]
fn a_build_that_changes_its_sources_is_flashed_where_changes_do_not_matter() {
    let mut lab = Lab::with_policy(ChangedSources::Flash);
    let id = lab.install("sleepy");
    built_with(&mut lab, id, &["made.h"]);
    lab.expect(id, StateKind::Waiting);
    assert_eq!(lab.told, []);
}

#[test]
fn built_again_an_update_remembers_that_its_earlier_image_may_have_arrived() {
    for rebuilt_by_user in [false, true] {
        let (mut lab, id) = Lab::at(StateKind::Waiting);
        // It can't say what it runs.
        lab.dispatch.devices.get_mut("sleepy").unwrap().memory.announces_hash = false;
        lab.connected(id);
        lab.cut_at_the_end(id);
        lab.after(30).give(returned(id));
        lab.after(20).give(Input::Tick);
        lab.expect(id, StateKind::Waiting);
        if rebuilt_by_user {
            lab.changed(id, "code.h");
            lab.give(Input::Rebuild(yaml("sleepy")));
        } else {
            let changed_sources = ChangedSources::Rebuild;
            lab.give(Input::Settings(Settings { changed_sources, ..Settings::default() }));
            lab.changed(id, "code.h");
        }
        lab.expect(id, StateKind::Building);
        lab.restart();
        lab.come_up();
        let (before, now) = (lab.dispatch.clone(), lab.now);
        lab.give(Input::Cancel(yaml("sleepy")));
        let UpdateState::Cancelled { may_have_arrived, .. } = lab.state(id) else { panic!() };
        assert!(*may_have_arrived);
        // The code changed, and the hash of the configuration is the same: it may be the earlier image that says it.
        (lab.dispatch, lab.now) = (before, now);
        lab.built(id);
        lab.seen("sleepy", Some(NEW));
        lab.expect(id, StateKind::Waiting);
        lab.connected(id);
        assert!(lab.starts_flash());
        lab.ended(id, failed(wakeflash_ota::FailureClass::Permanent));
        let UpdateState::Failed { may_have_arrived, .. } = lab.state(id) else { panic!() };
        assert!(*may_have_arrived);
    }
}
