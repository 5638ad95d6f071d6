//! Many devices at once, pausing, addresses of the user, what is modified, the history.

use crate::configuration::RecordedBuild;
use crate::device::{ConfigHash, DeviceId};
use crate::dispatch::{Builder, Input};
use crate::knock::TargetAddress;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::update::{Encryption, Secret, StateKind};

use super::lab::*;
use crate::view::InstallPlan;

fn ids(names: &[&str]) -> Vec<DeviceId> {
    names.iter().map(|name| yaml(name)).collect()
}

fn paused(paused: bool) -> Input {
    Input::Settings(Settings { paused, ..Settings::default() })
}

#[test]
fn all_are_those_that_there_is_an_update_for() {
    let mut lab = Lab::with(["old", "new", "unknown"].map(config).to_vec());
    for (name, version) in [("old", "2026.9.1"), ("new", "2026.10.0"), ("stranger", "2026.1.0")] {
        let mut seen = packet(name, Some(OLD));
        seen.version = Some(version.to_owned());
        lab.give(Input::Sighted(seen));
    }
    let plan = lab.dispatch.install_plan(None, lab.now);
    assert_eq!((plan.now, plan.at_wake.len(), plan.refused.len()), (ids(&["old"]), 0, 0));

    // A newer ESPHome changes the rows, and what all are; a device of which nothing is known isn't meant.
    let newer = Builder::Ready { version: "2026.11.0".to_owned() };
    let decision = lab.give(Input::Builder(newer.clone()));
    assert!(decision.touched.contains(&yaml("new")) && lab.row("new").update_available);
    assert_eq!(lab.dispatch.install_plan(None, lab.now).now, ids(&["new", "old"]));
    assert!(lab.give(Input::Builder(newer)).touched.is_empty(), "nothing is different");
    lab.give(Input::Builder(Builder::Missing));
    assert!(!lab.row("old").update_available);
    assert_eq!(lab.dispatch.install_plan(None, lab.now), InstallPlan::default());
}

#[test]
fn the_plan_says_what_installing_many_then_does() {
    let names = ["awake", "asleep", "held", "busy", "broken"];
    let mut configs: Vec<_> = names[..4].iter().map(|name| config(name)).collect();
    configs.push(broken("broken"));
    let mut lab = Lab::with(configs);
    lab.seen("awake", Some(OLD));
    let held = lab.install("held");
    lab.built(held);
    lab.changed(held, "held.yaml");
    let busy = lab.install("busy");

    let all = ids(&["busy", "awake", "held", "nobody", "broken", "asleep", "awake"]);
    let plan = lab.dispatch.install_plan(Some(&all), lab.now);
    assert_eq!(plan.now, ids(&["awake"]));
    assert_eq!(plan.at_wake, ids(&["asleep"]));
    assert_eq!((plan.held, plan.active), (ids(&["held"]), ids(&["busy"])));
    let codes = |refusals: &[crate::view::Refusal]| -> Vec<_> {
        refusals.iter().map(|r| (r.device.to_string(), r.problem.code.clone())).collect()
    };
    let refused = [("nobody.yaml", "device.unknown"), ("broken.yaml", "yaml.syntax")].map(own);
    assert_eq!(codes(&plan.refused), refused);

    let decision = lab.give(Input::InstallMany(all.clone()));
    assert_eq!(decision.writes.updates.len(), 2, "one commit for both");
    let refused = [
        ("busy.yaml", "update.active"),
        ("held.yaml", "update.held"),
        ("nobody.yaml", "device.unknown"),
        ("broken.yaml", "yaml.syntax"),
    ]
    .map(own);
    assert_eq!(codes(&decision.refusals), refused);
    assert_eq!(lab.dispatch.install_plan(Some(&all), lab.now).active.len(), 3);

    let decision = lab.give(Input::CancelMany(all));
    assert_eq!(decision.refusals.len(), 2, "{:?}", decision.refusals);
    lab.expect(held, StateKind::Cancelled);
    lab.expect(busy, StateKind::Cancelled);
}

fn own((device, code): (&str, &str)) -> (String, String) {
    (device.to_owned(), code.to_owned())
}

#[test]
fn installing_many_that_could_not_be_stored_installs_none() {
    let mut lab = Lab::with(vec![config("a"), config("b")]);
    let decision = lab.give(Input::InstallMany(ids(&["a", "b"])));
    lab.not_stored(decision);
    assert_eq!(lab.dispatch.updates().count(), 0);
}

#[test]
fn while_paused_nothing_begins_and_what_runs_goes_on() {
    let (mut lab, waiting) = Lab::at(StateKind::Waiting);
    assert_eq!(lab.dispatch.targets(lab.now).len(), 1);
    lab.give(paused(true));
    assert_eq!(lab.dispatch.targets(lab.now), []);
    lab.connected(waiting);
    assert!(!lab.starts_flash());
    lab.expect(waiting, StateKind::Waiting);
    let later = lab.install("sleepy");
    lab.expect(later, StateKind::Queued);
    lab.restart();
    lab.come_up();
    lab.expect(later, StateKind::Queued);
    lab.give(paused(false));
    lab.expect(later, StateKind::Building);

    lab.give(paused(true));
    lab.built(later);
    lab.expect(later, StateKind::Waiting);
    let (mut lab, confirming) = Lab::at(StateKind::Confirming);
    lab.give(paused(true));
    assert_eq!(lab.dispatch.targets(lab.now).len(), 1, "its word is still asked for");
    lab.after(5).seen("sleepy", Some(NEW));
    lab.expect(confirming, StateKind::Installed);
}

#[test]
fn where_the_user_says_a_device_is_comes_first_and_stays() {
    let (mut lab, _) = Lab::at(StateKind::Waiting);
    let set = |address: &str| Input::SetAddress {
        device: yaml("sleepy"),
        address: Some(address.to_owned()),
    };
    assert_eq!(lab.refuse(set("over there")), "address.unreadable");
    assert!(lab.give(set("192.0.2.99")).is_durable());
    lab.restart();
    lab.come_up();
    let target = lab.dispatch.targets(lab.now).remove(0);
    assert_eq!(target.addresses[0], TargetAddress::Ip(address(99)));
    assert!(target.addresses.len() > 1, "the others are tried too");
    assert_eq!(lab.row("sleepy").user_address.as_deref(), Some("192.0.2.99"));
    lab.give(Input::SetAddress { device: yaml("sleepy"), address: None });
    assert_eq!(lab.row("sleepy").user_address, None);
    let unknown = Input::SetAddress { device: yaml("nobody"), address: None };
    assert_eq!(lab.refuse(unknown), "device.unknown");
}

#[test]
fn labels_are_given_to_several_devices_and_stay_over_a_restart() {
    let mut lab = Lab::with(["sleepy", "other"].map(config).to_vec());
    let label = |names: &[&str], label: &str, on| Input::SetLabel {
        devices: names.iter().map(|name| yaml(name)).collect(),
        label: label.to_owned(),
        on,
    };
    assert!(lab.give(label(&["sleepy", "other"], " On  batteries ", true)).is_durable());
    lab.give(label(&["sleepy"], "Garden", true));
    lab.restart();
    lab.come_up();
    assert_eq!(lab.row("sleepy").labels, ["Garden", "On batteries"]);
    assert_eq!(lab.row("other").labels, ["On batteries"]);
    assert!(!lab.give(label(&["sleepy"], "Garden", true)).is_durable(), "it has it");
    lab.give(label(&["sleepy", "other"], "On batteries", false));
    assert_eq!(lab.row("sleepy").labels, ["Garden"]);
    assert_eq!(lab.row("other").labels, Vec::<String>::new());
    for nothing in [" ", &"x".repeat(33)] {
        assert_eq!(lab.refuse(label(&["sleepy"], nothing, true)), "label.length");
    }
    // None gets it when one of them isn't known.
    assert_eq!(lab.refuse(label(&["sleepy", "nobody"], "Attic", true)), "device.unknown");
    assert_eq!(lab.row("sleepy").labels, ["Garden"]);
}

#[test]
fn a_row_tells_the_area_of_its_configuration() {
    let mut file = config("sleepy");
    file.content.as_mut().unwrap().area = Some("Cellar".to_owned());
    let lab = Lab::with(vec![file]);
    assert_eq!(lab.row("sleepy").area.as_deref(), Some("Cellar"));
}

#[test]
fn after_an_install_other_sources_are_a_modification() {
    let (mut lab, id) = Lab::at(StateKind::Confirming);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    let mut with = |modified| {
        lab.configs[0].sources.modified = modified;
        lab.give(Input::Configs(lab.configs.clone()));
        lab.row("sleepy").modified
    };
    assert!(!with(Some(false)));
    assert!(!with(None), "nobody has compared them yet");
    assert!(with(Some(true)));
    // Other firmware came by another way: nothing is known of its sources.
    lab.seen("sleepy", Some(ConfigHash(7)));
    assert!(!lab.row("sleepy").modified);
}

#[test]
fn of_firmware_from_elsewhere_the_recorded_build_tells() {
    let mut lab = Lab::new();
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
    let mut shown = |hash, newest| {
        let sources = &mut lab.configs[0].sources;
        sources.last_build = Some(RecordedBuild { config_hash: hash, at: at(100) });
        sources.newest = Some(at(newest));
        lab.give(Input::Configs(lab.configs.clone()));
        lab.row("sleepy").modified
    };
    assert!(!shown(OLD, 99));
    assert!(shown(OLD, 101));
    assert!(!shown(NEW, 101), "that build isn't what runs");
}

#[test]
fn the_history_keeps_what_was_known_of_a_delivery_that_failed() {
    let (mut lab, id) = Lab::at(StateKind::Waiting);
    lab.give(Input::ImageReady { update: id, wire_size: 300_000 });
    let again = lab.give(Input::ImageReady { update: id, wire_size: 300_000 });
    assert!(!again.is_durable(), "the same needs no commit");
    lab.connected(id);
    lab.give(Input::Cancel(yaml("sleepy")));
    lab.restart();
    let record = lab.dispatch.record(lab.update(id));
    assert_eq!((record.attempts, record.image_size), (1, Some(500_000)));
    assert_eq!((record.wire_size, record.wanted_hash), (Some(300_000), Some(NEW)));
    assert_eq!(record.wanted_version.as_deref(), Some(VERSION));
    assert_eq!(record.ended_at, Some(lab.now));
    assert_eq!(record.flash_seconds, None, "no transfer reached its end");
}

#[test]
fn the_key_of_what_is_installed_is_a_secret_as_well() {
    let (mut lab, id) = Lab::at(StateKind::Queued);
    let mut build = build("sleepy");
    build.ota.encryption = Encryption::Offered { key: Secret("the-key".into()) };
    lab.give(ready());
    lab.built_as(id, build);
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(5).seen("sleepy", Some(NEW));
    lab.expect(id, StateKind::Installed);
    // The next update takes the place of the one that had it.
    lab.install("sleepy");
    lab.give(Input::Cancel(yaml("sleepy")));
    let known = lab.dispatch.memory("sleepy").unwrap().installed_encryption.clone();
    lab.dispatch.updates = crate::dispatch::shared_map::SharedMap::default();
    assert!(known.is_some() && lab.dispatch.secrets().contains(&Secret("the-key".into())));
}
