//! Going back to the build that was installed before.

use crate::dispatch::Input;
use crate::update::{Build, Sha256, SourceTracking, StateKind, UpdateId};

use super::lab::*;

fn back() -> Input {
    Input::InstallPrevious(yaml("sleepy"))
}

fn image(of: u8) -> Sha256 {
    Sha256(format!("{of:064x}"))
}

/// Builds and installs an image that announces this hash.
fn installed(lab: &mut Lab, of: u8, hash: crate::device::ConfigHash) -> UpdateId {
    let id = lab.install("sleepy");
    let build = Build { image: image(of), config_hash: Some(hash), ..build("sleepy") };
    lab.built_as(id, build);
    arrives(lab, id, hash);
    id
}

fn arrives(lab: &mut Lab, id: UpdateId, hash: crate::device::ConfigHash) {
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(20).give(Input::Sighted(answer("sleepy", Some(hash))));
    lab.expect(id, StateKind::Installed);
    // The firmware has stayed.
    lab.after(100).give(Input::Sighted(answer("sleepy", Some(hash))));
}

fn shown(lab: &Lab) -> Option<Sha256> {
    assert_eq!(
        lab.row("sleepy").previous_build.is_some(),
        lab.dispatch.memory("sleepy").unwrap().previous_build().is_some()
    );
    lab.dispatch.memory("sleepy").unwrap().previous_build().map(|build| build.image.clone())
}

#[test]
fn it_goes_through_the_queue_as_it_was_built_and_back_again() {
    let mut lab = Lab::new();
    assert_eq!(lab.refuse(back()), "update.no_previous");
    installed(&mut lab, 1, OLD);
    assert_eq!(shown(&lab), None);
    assert_eq!(lab.refuse(back()), "update.no_previous");
    installed(&mut lab, 2, NEW);
    for (previous, hash) in [(1, OLD), (2, NEW)] {
        assert_eq!(shown(&lab), Some(image(previous)));
        let id = lab.give(back()).started.unwrap();
        let delivery = lab.state(id).delivery().unwrap().clone();
        assert_eq!(delivery.build.image, image(previous));
        lab.changed(id, "sleepy.yaml");
        lab.expect(id, StateKind::Waiting);
        assert_eq!(delivery.tracking, SourceTracking::Waived, "nobody builds what was changed");
        arrives(&mut lab, id, hash);
    }
}

#[test]
fn both_images_are_kept_and_no_older_one() {
    let mut lab = Lab::new();
    for of in 1..=3 {
        installed(&mut lab, of, if of % 2 == 0 { NEW } else { OLD });
    }
    let needed: Vec<Sha256> = lab.dispatch.needed_images().cloned().collect();
    assert_eq!(needed, [image(2), image(3)]);
}

#[test]
fn what_was_rolled_back_is_not_gone_back_to() {
    let mut lab = Lab::new();
    installed(&mut lab, 1, OLD);
    let id = lab.install("sleepy");
    lab.built_as(id, Build { image: image(2), ..build("sleepy") });
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(5).give(Input::Sighted(answer("sleepy", Some(NEW))));
    lab.expect(id, StateKind::Installed);
    lab.give(Input::Sighted(goodbye("sleepy")));
    lab.after(600).give(Input::Sighted(answer("sleepy", Some(OLD))));
    lab.expect(id, StateKind::Failed);
    assert_eq!(shown(&lab), None);
}

#[test]
fn a_broken_configuration_is_no_reason_against_it() {
    let mut lab = Lab::new();
    installed(&mut lab, 1, OLD);
    installed(&mut lab, 2, NEW);
    lab.give(Input::Configs(vec![broken("sleepy")]));
    let id = lab.give(back()).started.unwrap();
    lab.expect(id, StateKind::Waiting);
    assert!(lab.dispatch.targets(lab.now).iter().any(|target| target.update == id));
}

#[test]
fn the_update_under_way_makes_room() {
    let mut lab = Lab::new();
    installed(&mut lab, 1, OLD);
    installed(&mut lab, 2, NEW);
    let newer = lab.install("sleepy");
    let id = lab.give(back()).started.unwrap();
    lab.expect(newer, StateKind::Superseded);
    lab.expect(id, StateKind::Waiting);
}
