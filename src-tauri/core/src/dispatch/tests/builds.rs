//! Which builds run, and in which order.

use crate::dispatch::{Builder, Effect, Input};
use crate::settings::Settings;
use crate::update::StateKind;
use crate::view::UpdateStateView;

use super::lab::*;

#[test]
fn one_at_a_time_sleepers_first_the_newest_wish_first() {
    let mut lab = Lab::with(vec![
        config("first"),
        config("a"),
        mains_powered("plug"),
        config("b"),
        mains_powered("lamp"),
    ]);
    let mut running = lab.install("first");
    let (a, plug, b, lamp) =
        (lab.install("a"), lab.install("plug"), lab.install("b"), lab.install("lamp"));
    for next in [b, a, lamp, plug] {
        lab.expect(next, StateKind::Queued);
        lab.built(running);
        lab.expect(next, StateKind::Building);
        running = next;
    }
}

#[test]
fn a_device_whose_last_build_slept_counts_as_a_sleeper() {
    let mut lab = Lab::with(vec![config("x"), mains_powered("unsure"), mains_powered("plug")]);
    let id = lab.install("unsure");
    lab.built(id);
    let running = lab.install("x");
    let (unsure, plug) = (lab.install("unsure"), lab.install("plug"));
    lab.built(running);
    lab.expect(unsure, StateKind::Building);
    lab.expect(plug, StateKind::Queued);
}

#[test]
fn as_many_as_the_settings_allow() {
    let mut lab = Lab::with(["a", "b", "c"].map(config).into());
    let ids = ["a", "b", "c"].map(|name| lab.install(name));
    let building =
        |lab: &Lab| ids.iter().filter(|id| lab.state(**id).kind() == StateKind::Building).count();
    assert_eq!(building(&lab), 1);
    lab.give(Input::Settings(Settings { max_builds: 2, ..Settings::default() }));
    assert_eq!(building(&lab), 2);
    lab.give(Input::Settings(Settings { max_builds: 1, ..Settings::default() }));
    assert_eq!(building(&lab), 2, "a running build is not ended");
    lab.built(ids[0]);
    assert_eq!(building(&lab), 1);
}

#[test]
fn builds_wait_until_esphome_is_found() {
    let (mut lab, id) = Lab::at(StateKind::Queued);
    lab.give(Input::Builder(Builder::Missing));
    lab.expect(id, StateKind::Queued);
    lab.give(ready());
    lab.expect(id, StateKind::Building);
}

#[test]
fn a_cancelled_build_makes_room_for_the_next_one() {
    let mut lab = Lab::with(vec![config("a"), config("b")]);
    let (a, b) = (lab.install("a"), lab.install("b"));
    lab.give(Input::Cancel(yaml("a")));
    assert_eq!(
        lab.effects,
        [Effect::StopBuild(a), Effect::StartBuild { update: b, device: yaml("b") }]
    );
}

#[test]
fn a_row_says_how_many_builds_come_before_it_and_hears_of_every_change() {
    let mut lab = Lab::with(["a", "b", "c"].map(config).into());
    let running = lab.install("a");
    lab.install("b");
    let decision = lab.give(Input::Install(yaml("c")));
    assert!(decision.touched.contains(&yaml("b")), "the newest wish comes before it");
    let ahead = |lab: &Lab, name: &str| match lab.row(name).update.unwrap().state {
        UpdateStateView::Queued { ahead, .. } => Some(ahead),
        UpdateStateView::Building { .. }
        | UpdateStateView::Waiting { .. }
        | UpdateStateView::Held { .. }
        | UpdateStateView::Flashing { .. }
        | UpdateStateView::Confirming { .. }
        | UpdateStateView::Installed { .. }
        | UpdateStateView::Failed { .. }
        | UpdateStateView::Cancelled { .. }
        | UpdateStateView::Superseded { .. } => None,
    };
    assert_eq!((ahead(&lab, "c"), ahead(&lab, "b")), (Some(1), Some(2)));
    let decision = lab.give(Input::BuildEnded { update: running, result: Err(problem().into()) });
    assert_eq!((ahead(&lab, "c"), ahead(&lab, "b")), (None, Some(1)));
    assert!(decision.touched.contains(&yaml("b")), "its row looks different now");
}
