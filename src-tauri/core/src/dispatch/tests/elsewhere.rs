//! Updates of another config directory than the one that is chosen now.

use crate::configuration::ConfigFile;
use crate::dispatch::{Effect, FlashOutcome, Input};
use crate::settings::{ChangedSources, Settings};
use crate::update::{StateKind, UpdateId};
use crate::view::{Action, NotificationKind};
use wakeflash_ota::FailureClass;

use super::lab::*;

const HERE: &str = "/home/me/esphome";
const ELSEWHERE: &str = "/media/office";

fn choose(lab: &mut Lab, directory: &str, files: Vec<ConfigFile>) {
    let settings =
        Settings { config_dir: Some(directory.to_owned()), ..lab.dispatch.settings().clone() };
    lab.give(Input::Settings(settings));
    assert!(lab.effects.iter().all(|effect| !matches!(effect, Effect::StartBuild { .. })));
    lab.give(Input::Configs(files));
}

/// The same file name, and quite another device.
fn namesake() -> ConfigFile {
    let mut file = mains_powered("other");
    file.id = yaml("sleepy");
    file.content.as_mut().unwrap().friendly_name = Some("The other one".to_owned());
    file
}

/// An update in this state, before another directory was chosen that has a file of the same name.
fn left_at(state: StateKind) -> (Lab, UpdateId) {
    let mut lab = Lab::new();
    choose(&mut lab, HERE, vec![config("sleepy"), config("first")]);
    lab.seen("sleepy", Some(OLD));
    let first = (state == StateKind::Queued).then(|| lab.install("first"));
    let id = lab.install("sleepy");
    let path: &[fn(&mut Lab, UpdateId)] = match state {
        StateKind::Waiting => &[Lab::built],
        StateKind::Held => &[Lab::built, |lab, id| lab.changed(id, "sleepy.yaml")],
        StateKind::Flashing => &[Lab::built, Lab::connected],
        StateKind::Confirming => &[Lab::built, Lab::connected, Lab::acknowledged],
        StateKind::Queued
        | StateKind::Building
        | StateKind::Installed
        | StateKind::Failed
        | StateKind::Cancelled
        | StateKind::Superseded => &[],
    };
    for step in path {
        step(&mut lab, id);
    }
    lab.expect(id, state);
    choose(&mut lab, ELSEWHERE, vec![namesake()]);
    if first.is_some() {
        lab.give(Input::Cancel(yaml("first")));
    }
    (lab, id)
}

fn warning(lab: &Lab) -> String {
    lab.row("sleepy").update.unwrap().warning.unwrap().code
}

#[test]
fn a_queued_update_waits_for_its_own_directory() {
    let (mut lab, id) = left_at(StateKind::Queued);
    for _ in 0..10 {
        lab.after(600).give(Input::Tick);
        lab.give(Input::Configs(vec![namesake()]));
        assert_eq!(lab.effects, []);
    }
    lab.expect(id, StateKind::Queued);
    let row = lab.row("sleepy");
    assert_eq!((row.name.as_str(), row.primary), ("other", Action::Cancel));
    let warning = row.update.unwrap().warning.unwrap();
    assert_eq!(warning.code, "update.other_directory");
    assert!(warning.message.contains(HERE), "{warning}");
    lab.restart();
    lab.give(ready());
    lab.give(Input::Configs(Vec::new()));
    assert_eq!(lab.row("sleepy").name, "sleepy", "listed without any configuration");
    lab.expect(id, StateKind::Queued);
    choose(&mut lab, HERE, vec![config("sleepy")]);
    lab.expect(id, StateKind::Building);
    assert_eq!(lab.row("sleepy").update.unwrap().warning, None);
}

#[test]
fn a_file_of_the_same_name_is_not_installed_in_its_place() {
    let (mut lab, id) = left_at(StateKind::Queued);
    let device = yaml("sleepy");
    assert_eq!(lab.refuse(Input::Install(device.clone())), "update.elsewhere");
    let decision = lab.give(Input::InstallMany(vec![device.clone()]));
    assert_eq!(decision.refusals[0].problem.code, "update.elsewhere");
    assert_eq!(lab.dispatch.install_plan(None, lab.now).refused.len(), 0, "nothing is known of it");
    lab.expect(id, StateKind::Queued);
    lab.give(Input::Cancel(device.clone()));
    lab.expect(id, StateKind::Cancelled);
    assert_eq!(lab.row("sleepy").update, None, "what ended there says nothing about this device");
    assert_eq!(lab.refuse(Input::Retry(device)), "update.none");
    let other = lab.install("sleepy");
    lab.expect(other, StateKind::Building);
}

#[test]
fn a_build_that_runs_ends_in_its_own_directory() {
    let (mut lab, id) = left_at(StateKind::Building);
    lab.built(id);
    lab.expect(id, StateKind::Waiting);
    assert_eq!(warning(&lab), "update.built_elsewhere");
}

#[test]
fn what_is_built_is_flashed_all_the_same() {
    let (mut lab, id) = left_at(StateKind::Waiting);
    assert_eq!(lab.effects, [], "its sources are not compared with the files that are here");
    assert_eq!(warning(&lab), "update.built_elsewhere");
    lab.after(60).seen("sleepy", Some(OLD));
    lab.connected(id);
    assert!(lab.starts_flash());
    lab.acknowledged(id);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    let (kind, title, _) = lab.told.last().unwrap();
    assert_eq!((*kind, title.as_str()), (NotificationKind::Installed, "sleepy is updated"));
    // It is watched on, though the row of the file shows another device.
    lab.give(Input::Sighted(goodbye("sleepy")));
    lab.after(600).seen("sleepy", Some(OLD));
    lab.expect(id, StateKind::Failed);
    assert_eq!(lab.row("sleepy").update, None);
    choose(&mut lab, HERE, vec![config("sleepy")]);
    assert_eq!(lab.row("sleepy").primary, Action::Retry);
}

#[test]
fn its_own_files_are_still_its_sources() {
    let (mut lab, id) = left_at(StateKind::Flashing);
    lab.ended(id, failed(FailureClass::RetryNow));
    assert_eq!(lab.effects, [Effect::CheckSources(id)]);
    assert_eq!(lab.dispatch.directory_of(lab.update(id)), Some(HERE));
    lab.after(5).connected(id);
    lab.ended(id, FlashOutcome::SourcesChanged(edited("sleepy.yaml")));
    lab.expect(id, StateKind::Held);
}

#[test]
fn a_held_one_is_built_again_only_there() {
    let (mut lab, id) = left_at(StateKind::Held);
    let row = lab.row("sleepy");
    assert_eq!((row.primary, row.secondary), (Action::Cancel, vec![Action::FlashAnyway]));
    assert_eq!(lab.refuse(Input::Rebuild(yaml("sleepy"))), "update.elsewhere");
    lab.give(Input::FlashAnyway(yaml("sleepy")));
    lab.expect(id, StateKind::Waiting);
}

#[test]
fn a_policy_to_rebuild_waits_for_the_directory() {
    let (mut lab, id) = left_at(StateKind::Flashing);
    let rebuild =
        Settings { changed_sources: ChangedSources::Rebuild, ..lab.dispatch.settings().clone() };
    lab.give(Input::Settings(rebuild));
    lab.ended(id, FlashOutcome::SourcesChanged(edited("sleepy.yaml")));
    lab.expect(id, StateKind::Queued);
    choose(&mut lab, HERE, vec![config("sleepy")]);
    lab.expect(id, StateKind::Building);
}

#[test]
fn updates_of_a_version_that_knew_no_directories_are_of_the_one_at_the_start() {
    let (mut lab, id) = left_at(StateKind::Waiting);
    lab.dispatch.updates.get_mut(&id).unwrap().directory = None;
    lab.restart();
    assert_eq!(lab.update(id).directory.as_deref(), Some(ELSEWHERE));
    assert!(lab.dispatch.is_here(lab.update(id)));
    choose(&mut lab, HERE, vec![config("sleepy")]);
    assert_eq!(warning(&lab), "update.built_elsewhere");
}

#[test]
fn what_configurations_say_is_said_of_their_own_devices_only() {
    let mut lab = Lab::new();
    let sleeper = config("first");
    choose(&mut lab, HERE, vec![mains_powered("sleepy"), sleeper]);
    let id = lab.install("sleepy");
    let mains = crate::update::Build { deep_sleep: false, ..build("sleepy") };
    lab.built_as(id, mains);
    let mut namesake = namesake();
    namesake.content.as_mut().unwrap().deep_sleep = true;
    choose(&mut lab, ELSEWHERE, vec![namesake]);
    lab.give(Input::Settings(Settings { max_flashes: 1, ..lab.dispatch.settings().clone() }));
    let update = lab.update(id);
    assert!(!lab.dispatch.update_sleeps(update));
    assert_eq!(lab.dispatch.display_name(update), "sleepy");
}
