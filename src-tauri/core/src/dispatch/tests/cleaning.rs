//! Cleaning the build files before an update is built once more.

use crate::build_failure::{BuildFailure, Lack};
use crate::dispatch::Input;
use crate::error::Problem;
use crate::update::{Cleaning, StateKind, UpdateId};
use crate::view::Action;

use super::lab::*;

fn fails(lab: &mut Lab, id: UpdateId, code: &str) {
    let failure = Problem::new(code, "It fails.").into();
    lab.give(Input::BuildEnded { update: id, result: Err(failure) });
    lab.expect(id, StateKind::Failed);
}

fn again(lab: &mut Lab) -> UpdateId {
    lab.give(Input::RetryClean(yaml("sleepy"))).started.unwrap()
}

fn offered(lab: &Lab) -> Vec<Action> {
    lab.row("sleepy").secondary
}

#[test]
fn what_cleaning_does_not_help_is_deleted() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    fails(&mut lab, id, "build.compiler_error");
    assert_eq!(offered(&lab), [Action::CleanAndRetry, Action::Dismiss]);
    for cleaning in [Cleaning::Clean, Cleaning::Reset, Cleaning::Reset] {
        let id = again(&mut lab);
        lab.expect(id, StateKind::Building);
        assert_eq!(lab.update(id).cleaning, cleaning);
        fails(&mut lab, id, "build.compiler_error");
        assert_eq!(offered(&lab), [Action::ResetAndRetry, Action::Dismiss]);
    }
    let id = lab.give(Input::Retry(yaml("sleepy"))).started.unwrap();
    assert_eq!(lab.update(id).cleaning, Cleaning::No, "nobody asked for it");
}

#[test]
fn it_is_done_after_a_restart_and_once_it_is_built_not_again() {
    let (mut lab, id) = Lab::at(StateKind::Building);
    fails(&mut lab, id, "build.failed");
    let id = again(&mut lab);
    lab.restart();
    lab.come_up();
    lab.expect(id, StateKind::Building);
    assert_eq!(lab.update(id).cleaning, Cleaning::Clean);
    lab.built(id);
    assert_eq!(lab.update(id).cleaning, Cleaning::No);
}

#[test]
fn it_is_offered_where_files_of_an_earlier_build_may_be_the_cause() {
    for code in ["build.config_invalid", "build.secret_missing", "build.too_big", "x.y"] {
        let (mut lab, id) = Lab::at(StateKind::Building);
        fails(&mut lab, id, code);
        assert_eq!(offered(&lab), [Action::Dismiss], "{code}");
    }
    let (mut lab, id) = Lab::at(StateKind::Building);
    fails(&mut lab, id, "image.magic");
    lab.give(Input::Configs(vec![broken("sleepy")]));
    assert_eq!(offered(&lab), [Action::Dismiss], "it can't be built");
    assert_eq!(lab.refuse(Input::RetryClean(yaml("sold"))), "device.unknown");
}

#[test]
fn what_is_under_way_is_left_alone_and_what_waits_is_built_at_once() {
    for state in [StateKind::Building, StateKind::Waiting, StateKind::Flashing] {
        let (mut lab, id) = Lab::at(state);
        assert_eq!(lab.refuse(Input::RetryClean(yaml("sleepy"))), "update.active");
        assert_eq!(lab.update(id).cleaning, Cleaning::No);
    }
    let (mut lab, id) = Lab::at(StateKind::Building);
    let failure = BuildFailure::again(Lack::Network, Problem::new("build.download_failed", "x"));
    lab.give(Input::BuildEnded { update: id, result: Err(failure) });
    assert_eq!(again(&mut lab), id);
    lab.expect(id, StateKind::Building);
    assert_eq!(lab.update(id).cleaning, Cleaning::Clean);
}
