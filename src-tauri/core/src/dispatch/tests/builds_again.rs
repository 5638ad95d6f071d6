//! Builds that fail for want of something that may come back: they are made again by themselves.

use core::time::Duration;

use crate::build_failure::{BuildFailure, Lack, pause_after};
use crate::dispatch::{Builder, Effect, Input};
use crate::error::Problem;
use crate::settings::Settings;
use crate::update::{StateKind, UpdateId};
use crate::view::{Action, BuildAgainView, NotificationKind, UpdateStateView};

use super::lab::*;

const LACKS: [Lack; 4] = [Lack::Esphome, Lack::Network, Lack::Disk, Lack::Memory];

fn why() -> Problem {
    Problem::new("build.download_failed", "It couldn't be downloaded.")
}

fn fails(lab: &mut Lab, id: UpdateId, lack: Lack) {
    lab.give(Input::BuildEnded { update: id, result: Err(BuildFailure::again(lack, why())) });
}

/// An update whose build was missing something.
fn lacking(lack: Lack) -> (Lab, UpdateId) {
    let (mut lab, id) = Lab::at(StateKind::Building);
    fails(&mut lab, id, lack);
    lab.expect(id, StateKind::Queued);
    (lab, id)
}

/// Configurations are those of the lab, whatever the input says.
fn happens(lab: &mut Lab, input: &Input) {
    let is_read = matches!(input, Input::Configs(_));
    lab.give(if is_read { Input::Configs(lab.configs.clone()) } else { input.clone() });
}

fn shown(lab: &Lab) -> Option<BuildAgainView> {
    let state = lab.row("sleepy").update.unwrap().state;
    let UpdateStateView::Queued { again, .. } = state else { panic!("{state:?}") };
    again
}

#[test]
fn it_is_tried_again_after_a_growing_pause_without_end() {
    for lack in LACKS {
        let (mut lab, id) = lacking(lack);
        for failures in 1..40 {
            let due = lab.now + pause_after(failures);
            let again = BuildAgainView { failures, problem: why(), at: Some(due) };
            assert_eq!(shown(&lab), Some(again), "{lack:?}");
            assert!(lab.dispatch.next_deadline(lab.now).is_some_and(|at| at <= due));
            lab.now = due.before(Duration::from_millis(1));
            lab.give(Input::Tick);
            lab.expect(id, StateKind::Queued);
            lab.now = due;
            lab.give(Input::Tick);
            lab.expect(id, StateKind::Building);
            assert!(
                lab.effects.contains(&Effect::StartBuild { update: id, device: yaml("sleepy") })
            );
            fails(&mut lab, id, lack);
        }
        assert_eq!(lab.told_kinds(), [NotificationKind::BuildDelayed], "{lack:?}: once");
        assert_eq!(lab.told[0].2, why().message);
        lab.after(1_800).give(Input::Tick);
        lab.built(id);
        lab.expect(id, StateKind::Waiting);
        assert_eq!(lab.update(id).build_again, None);
    }
}

#[test]
fn the_user_is_told_after_the_third_failure_and_not_before() {
    let (mut lab, id) = lacking(Lack::Network);
    for told in [0, 1, 1] {
        lab.after(1_800).give(Input::Tick);
        fails(&mut lab, id, Lack::Network);
        assert_eq!(lab.told.len(), told);
    }
    lab.restart();
    lab.come_up();
    lab.after(1_800).give(Input::Tick);
    fails(&mut lab, id, Lack::Disk);
    assert_eq!(lab.told.len(), 1, "not again after a restart");
}

#[test]
fn what_it_was_missing_is_back_and_it_is_built_at_once() {
    let back: [(Lack, &[Input]); 3] = [
        (Lack::Network, &[Input::Network { connected: false }, Input::Network { connected: true }]),
        (Lack::Disk, &[Input::DiskFreed]),
        (Lack::Directory, &[Input::Configs(Vec::new())]),
    ];
    for (lack, inputs) in back {
        for other in LACKS.into_iter().filter(|other| *other != lack) {
            let (mut lab, id) = lacking(other);
            for input in inputs {
                happens(&mut lab, input);
            }
            lab.expect(id, StateKind::Queued);
        }
        let (mut lab, id) = lacking(lack);
        for input in inputs {
            happens(&mut lab, input);
        }
        lab.expect(id, StateKind::Building);
    }
}

#[test]
fn esphome_is_looked_for_and_found_again() {
    let (mut lab, id) = lacking(Lack::Esphome);
    assert_eq!(lab.effects, [Effect::FindEsphome]);
    // It works; so it isn't tried at once, or it would be for ever.
    lab.give(ready());
    lab.expect(id, StateKind::Queued);
    // It doesn't: it is looked for, less and less often, and the pause of the build doesn't matter.
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let since = lab.now;
        lab.give(Input::Builder(Builder::Missing));
        loop {
            lab.now = lab.dispatch.next_deadline(lab.now).unwrap();
            lab.give(Input::Tick);
            lab.expect(id, StateKind::Queued);
            if lab.effects == [Effect::FindEsphome] {
                break;
            }
        }
        pauses.push(lab.now.since(since).as_secs());
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 600, 600, 600]);
    lab.give(ready());
    lab.expect(id, StateKind::Building);

    // Another version, or another program.
    let (mut lab, id) = lacking(Lack::Esphome);
    lab.give(Input::Builder(Builder::Ready { version: "2026.11.0".to_owned() }));
    lab.expect(id, StateKind::Building);
    let (mut lab, id) = lacking(Lack::Esphome);
    let settings = Settings { esphome_path: Some("/bin/esphome".into()), ..Settings::default() };
    lab.give(Input::Settings(settings));
    lab.expect(id, StateKind::Building);
}

#[test]
fn esphome_is_not_looked_for_when_nothing_waits_for_it() {
    let mut lab = Lab::new();
    lab.give(Input::Builder(Builder::Missing));
    for _ in 0..100 {
        lab.after(60).give(Input::Tick);
        assert_eq!(lab.effects, []);
    }
}

#[test]
fn the_user_may_try_at_once_or_end_it() {
    let (mut lab, id) = lacking(Lack::Memory);
    let row = lab.row("sleepy");
    assert_eq!((row.primary, row.secondary), (Action::Retry, vec![Action::Cancel]));
    assert_eq!(lab.give(Input::Retry(yaml("sleepy"))).started, Some(id));
    lab.expect(id, StateKind::Building);
    assert_eq!(lab.refuse(Input::Retry(yaml("sleepy"))), "update.active");
    fails(&mut lab, id, Lack::Memory);
    assert_eq!(shown(&lab).unwrap().failures, 2, "it counts on");
    lab.give(Input::Cancel(yaml("sleepy")));
    lab.expect(id, StateKind::Cancelled);
    lab.after(7_200).give(Input::Tick);
    lab.expect(id, StateKind::Cancelled);
}

#[test]
fn it_holds_no_other_build_up() {
    let mut lab = Lab::with(["a", "b"].map(config).into());
    let (a, b) = (lab.install("a"), lab.install("b"));
    fails(&mut lab, a, Lack::Network);
    lab.expect(b, StateKind::Building);
    lab.built(b);
    lab.expect(a, StateKind::Queued);
    let state = lab.row("a").update.unwrap().state;
    let UpdateStateView::Queued { ahead, .. } = state else { panic!("{state:?}") };
    assert_eq!(ahead, 0);
}

#[test]
fn a_final_failure_after_others_is_final() {
    let (mut lab, id) = lacking(Lack::Network);
    lab.after(60).give(Input::Tick);
    lab.give(Input::BuildEnded { update: id, result: Err(problem().into()) });
    lab.expect(id, StateKind::Failed);
    assert_eq!(lab.told_kinds(), [NotificationKind::Failed]);
}

#[test]
fn a_restart_and_a_clock_that_is_set_back_lose_no_try() {
    let (mut lab, id) = lacking(Lack::Disk);
    let due = lab.now + pause_after(1);
    lab.restart();
    lab.come_up();
    lab.expect(id, StateKind::Queued);
    assert_eq!(shown(&lab).unwrap().at, Some(due));
    lab.now = lab.now.before(Duration::from_secs(1_000_000));
    lab.give(Input::Tick);
    lab.expect(id, StateKind::Building);
}

#[test]
fn the_timeline_tells_why_and_when() {
    let (lab, id) = lacking(Lack::Network);
    let timeline = &lab.update(id).timeline;
    let [.., why_it_failed, when] = timeline.as_slice() else { panic!("{timeline:?}") };
    assert_eq!(why_it_failed.code.as_deref(), Some("build.download_failed"));
    assert_eq!(when.text, "To be tried again, in 1 min at the latest.");
    assert_eq!(when.state, StateKind::Queued);
}
