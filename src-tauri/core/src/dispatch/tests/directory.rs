//! The config directory isn't there: nothing is built, nothing fails, everything is listed.

use crate::build_failure::{BuildFailure, FIRST_PAUSE, Lack};
use crate::device::DeviceId;
use crate::dispatch::{Effect, Input};
use crate::error::Problem;
use crate::update::{StateKind, UpdateId};
use crate::view::{Action, Counts};

use super::lab::*;

fn gone() -> Input {
    let problem = Problem::new("config_dir.missing", "The config directory /config is not there.");
    Input::DirectoryGone(problem)
}

fn three() -> (Lab, [UpdateId; 3]) {
    let mut lab = Lab::with(["a", "b", "c"].map(config).into());
    let ids = ["a", "b", "c"].map(|name| lab.install(name));
    (lab, ids)
}

fn kinds(lab: &Lab, ids: &[UpdateId]) -> Vec<StateKind> {
    ids.iter().map(|id| lab.state(*id).kind()).collect()
}

#[test]
fn a_restart_without_the_directory_fails_nothing_and_lists_everything() {
    let (mut lab, ids) = three();
    lab.expect(ids[0], StateKind::Building);
    lab.restart();
    lab.give(ready());
    assert_eq!(kinds(&lab, &ids), [StateKind::Queued; 3], "it wasn't read yet");
    lab.give(gone());
    for _ in 0..100 {
        lab.after(60).give(Input::Tick);
        assert_eq!(lab.effects, []);
    }
    assert_eq!(kinds(&lab, &ids), [StateKind::Queued; 3]);
    assert_eq!(lab.dispatch.rows(), ["a", "b", "c"].map(yaml));
    let row = lab.row("a");
    assert_eq!((row.primary, row.problem), (Action::Cancel, None));
    assert_eq!(row.update.unwrap().warning.unwrap().code, "build.waits_for_directory");
    assert_eq!(lab.told, []);
    lab.give(Input::Configs(lab.configs.clone()));
    assert!(matches!(lab.effects[..], [Effect::StartBuild { .. }]), "{:?}", lab.effects);
    assert_eq!(lab.row("a").update.unwrap().warning, None);
}

#[test]
fn a_mount_point_that_nothing_is_mounted_on_is_no_directory() {
    let (mut lab, ids) = three();
    lab.restart();
    lab.give(Input::Configs(Vec::new()));
    lab.give(ready());
    assert_eq!(kinds(&lab, &ids), [StateKind::Queued; 3]);
    assert_eq!(lab.dispatch.rows(), ["a", "b", "c"].map(yaml));
    lab.give(Input::Configs(vec![config("another")]));
    assert!(kinds(&lab, &ids).contains(&StateKind::Building), "a single file that is gone fails");
}

#[test]
fn what_is_known_of_devices_is_listed_until_the_directory_has_been_read() {
    let mut lab = Lab::with(["done", "seen", "plain"].map(config).into());
    for name in ["done", "seen"] {
        lab.seen(name, Some(OLD));
    }
    lab.give(Input::Configs(lab.configs.clone()));
    let id = lab.install("done");
    lab.give(Input::BuildEnded { update: id, result: Err(problem().into()) });
    lab.restart();
    assert_eq!(lab.dispatch.rows(), ["done", "seen"].map(yaml), "nothing is known of the third");
    lab.give(gone());
    let row = lab.row("done");
    assert_eq!((row.primary, row.secondary), (Action::None, vec![Action::Dismiss]));
    assert_eq!(row.problem.unwrap().code, "config_dir.missing");
    let waiting_for = |lab: &Lab| Counts::of(&["done", "seen"].map(|name| lab.row(name))).attention;
    assert_eq!(waiting_for(&lab), 1, "what is wrong with the directory is said once");
    let decision = lab.give(Input::Sighted(packet("seen", Some(OLD))));
    assert!(decision.touched.contains(&yaml("seen")), "its row shows it");
    assert!(!lab.dispatch.rows().contains(&DeviceId::discovered("seen")), "in no second row");
    let decision = lab.give(Input::Configs(vec![config("plain")]));
    assert!(decision.touched.contains(&yaml("done")));
    assert_eq!(lab.dispatch.rows(), [DeviceId::discovered("seen"), yaml("plain")]);
}

#[test]
fn a_directory_that_goes_during_a_build_does_not_fail_it() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    // The build noticed first.
    let result = Err(BuildFailure::again(Lack::Directory, problem()));
    lab.give(Input::BuildEnded { update: id, result });
    lab.expect(id, StateKind::Queued);
    assert_eq!((lab.effects.as_slice(), lab.told.as_slice()), (&[][..], &[][..]));
    lab.give(gone());
    lab.after(7_200).give(Input::Tick);
    lab.expect(id, StateKind::Queued);
    lab.restart();
    lab.give(ready());
    lab.expect(id, StateKind::Queued);
    lab.give(Input::Configs(lab.configs.clone()));
    lab.expect(id, StateKind::Building);
    lab.built(id);
    assert_eq!(lab.update(id).build_again, None);
}

#[test]
fn a_directory_that_was_gone_for_a_moment_only_is_built_from_again() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    let result = Err(BuildFailure::again(Lack::Directory, problem()));
    lab.give(Input::BuildEnded { update: id, result });
    let due = lab.now + FIRST_PAUSE;
    assert_eq!(lab.dispatch.next_deadline(lab.now), Some(due));
    lab.now = due;
    lab.give(Input::Tick);
    lab.expect(id, StateKind::Building);
}

#[test]
fn a_request_while_the_directory_is_gone_waits_for_it() {
    let mut lab = Lab::new();
    lab.give(gone());
    let id = lab.install("sleepy");
    lab.expect(id, StateKind::Queued);
    lab.give(Input::Configs(lab.configs.clone()));
    lab.expect(id, StateKind::Building);
}

#[test]
fn what_is_built_already_is_flashed_without_the_directory() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.give(gone());
    lab.connected(id);
    assert!(lab.starts_flash());
}
