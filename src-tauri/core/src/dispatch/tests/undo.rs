//! A Cancel that is taken back.

use core::time::Duration;

use crate::dispatch::{Effect, Input, UNDO};
use crate::update::{StateKind, UpdateState};

use super::lab::*;

fn undo() -> Input {
    Input::UndoCancel(vec![yaml("sleepy")])
}

/// What it was refused with.
fn refusal(lab: &mut Lab) -> Option<String> {
    let decided = lab.give(undo());
    decided.refusals.first().map(|refusal| refusal.problem.code.clone())
}

#[test]
fn what_waited_goes_on_where_it_was_with_its_image() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    let before = lab.state(id).clone();
    lab.give(Input::Cancel(yaml("sleepy")));
    lab.expect(id, StateKind::Cancelled);
    let image = before.delivery().map(|delivery| &delivery.build.image);
    let kept = lab.dispatch.needed_images().next().cloned();
    assert_eq!(image, kept.as_ref(), "it must not be deleted meanwhile");
    let decision = lab.give(undo());
    assert!(decision.is_durable());
    assert_eq!(*lab.state(id), before);
    assert_eq!(lab.effects, [Effect::CheckSources(id)], "nobody has looked at them meanwhile");
    assert_eq!(lab.row("sleepy").update.map(|update| update.id), Some(id));
    // It is a target again.
    assert!(lab.dispatch.targets(lab.now).iter().any(|target| target.update == id));
}

#[test]
fn a_held_one_is_held_and_a_build_begins_anew() {
    for (from, to) in
        [(StateKind::Held, StateKind::Held), (StateKind::Building, StateKind::Building)]
    {
        let (mut lab, id) = Lab::at(from);
        lab.give(Input::Cancel(yaml("sleepy")));
        lab.give(undo());
        lab.expect(id, to);
        assert_eq!(
            lab.effects
                .iter()
                .any(|effect| matches!(effect, Effect::StartBuild { update, .. } if *update == id)),
            from == StateKind::Building
        );
    }
}

#[test]
fn a_transfer_that_was_cut_is_not_taken_up() {
    for from in [StateKind::Flashing, StateKind::Confirming] {
        let (mut lab, id) = Lab::at(from);
        lab.give(Input::Cancel(yaml("sleepy")));
        assert_eq!(refusal(&mut lab).as_deref(), Some("update.not_undone"), "{from:?}");
        assert!(matches!(lab.state(id), UpdateState::Cancelled { .. }));
    }
}

#[test]
fn after_a_while_it_is_too_late_and_nothing_is_kept() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.give(Input::Cancel(yaml("sleepy")));
    lab.now = lab.now + (UNDO - Duration::from_secs(1));
    lab.give(Input::Tick);
    assert_eq!(lab.dispatch.needed_images().count(), 1);
    lab.now = lab.now + Duration::from_secs(1);
    lab.give(Input::Tick);
    assert_eq!(lab.dispatch.needed_images().count(), 0);
    assert_eq!(refusal(&mut lab).as_deref(), Some("update.not_undone"));
    lab.expect(id, StateKind::Cancelled);
}

#[test]
fn a_newer_update_is_not_disturbed() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.give(Input::Cancel(yaml("sleepy")));
    let newer = lab.install("sleepy");
    assert_eq!(refusal(&mut lab).as_deref(), Some("update.not_undone"));
    lab.expect(id, StateKind::Cancelled);
    lab.expect(newer, StateKind::Building);
    // A Cancel is taken back once.
    lab.give(Input::Cancel(yaml("sleepy")));
    lab.give(undo());
    assert_eq!(refusal(&mut lab).as_deref(), Some("update.not_undone"));
}
