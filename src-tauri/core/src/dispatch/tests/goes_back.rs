//! A device that is likely to go back to its old firmware: told before the flash.

use core::time::Duration;

use crate::dispatch::Input;
use crate::dispatch::rollback::rolled_back;
use crate::schedule::SleepPlan;
use crate::update::{BootCheck, Build, StateKind};

use super::lab::*;

const MINUTE: BootCheck = BootCheck { after_ms: 60_000, at_sleep: false };

fn awake_for(seconds: u64) -> Option<SleepPlan> {
    Some(SleepPlan { run_ms: Some(seconds * 1_000), sleep_ms: Some(600_000) })
}

fn warning(build: Build) -> Option<String> {
    let mut lab = Lab::new();
    let id = lab.install("sleepy");
    lab.built_as(id, build);
    lab.expect(id, StateKind::Waiting);
    lab.row("sleepy").update.and_then(|update| update.warning).map(|problem| problem.message)
}

#[test]
fn a_build_that_has_to_run_for_longer_than_the_device_is_awake_is_told() {
    let short = Build { boot_check: Some(MINUTE), sleep_plan: awake_for(15), ..build("sleepy") };
    let said = warning(short.clone()).unwrap();
    assert!(said.contains("awake for 15 s") && said.contains("for 60 s"), "{said}");
    for fine in [
        Build { sleep_plan: awake_for(60), ..short.clone() },
        Build { boot_check: None, ..short.clone() },
        Build { boot_check: Some(BootCheck { at_sleep: true, ..MINUTE }), ..short.clone() },
        Build { deep_sleep: false, ..short.clone() },
        // How long it is awake, nobody knows.
        Build { sleep_plan: None, ..short },
    ] {
        let said = warning(fine);
        assert!(said.is_none_or(|said| !said.contains("awake for")));
    }
}

#[test]
fn without_a_plan_the_wakes_that_were_seen_count() {
    let mut lab = Lab::new();
    for _ in 0..6 {
        lab.after(600).give(Input::Sighted(packet("sleepy", Some(OLD))));
        lab.after(20).give(Input::Sighted(goodbye("sleepy")));
    }
    assert_eq!(lab.dispatch.window("sleepy"), Some(Duration::from_secs(20)));
    let id = lab.install("sleepy");
    lab.built_as(id, Build { boot_check: Some(MINUTE), ..build("sleepy") });
    let warning = lab.row("sleepy").update.unwrap().warning.unwrap();
    assert_eq!(warning.code, "update.goes_back");
    assert!(warning.message.contains("awake for 20 s"));
}

#[test]
fn after_a_rollback_the_reason_is_that_of_the_build() {
    let why = |boot_check| {
        let build = Build { boot_check, ..build("sleepy") };
        rolled_back(&build, &packet("sleepy", Some(OLD)))
    };
    let short = why(Some(MINUTE));
    assert_eq!(short.code, "update.rolled_back");
    assert!(short.help.unwrap().contains("awake for a minute"));
    let early = why(Some(BootCheck { at_sleep: true, ..MINUTE }));
    assert_eq!(early.code, "update.ended_early");
    assert!(early.help.unwrap().contains("crashed"));
}
