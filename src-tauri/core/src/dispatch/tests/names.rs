//! Devices whose configurations get another name.

use core::time::Duration;

use crate::configuration::ConfigFile;
use crate::device::{DeviceId, MacAddress, Sighting};
use crate::dispatch::Input;
use crate::knock::TargetAddress;
use crate::update::{StateKind, UpdateId};
use wakeflash_ota::FailureClass;

use super::durable::durable;
use super::lab::*;

const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);

/// `sleepy.yaml` with this name in it.
fn named(name: &str) -> ConfigFile {
    ConfigFile { id: yaml("sleepy"), ..config(name) }
}

fn compiled(name: &str, compiled: &str) -> ConfigFile {
    let mut file = named(name);
    if let Ok(summary) = &mut file.content {
        summary.compiled_name = Some(compiled.into());
    }
    file
}

fn says(name: &str, hash: crate::device::ConfigHash, mac: MacAddress) -> Input {
    Input::Sighted(Sighting { mac: Some(mac), ..answer(name, Some(hash)) })
}

impl Lab {
    fn edit(&mut self, file: ConfigFile) {
        self.configs = vec![file];
        self.give(Input::Configs(self.configs.clone()));
    }

    /// `sleepy` was seen before its file got another name.
    fn renamed() -> Self {
        let mut lab = Self::with(vec![config("sleepy")]);
        lab.give(says("sleepy", OLD, MAC));
        lab.after(20).give(Input::Sighted(goodbye("sleepy")));
        lab.edit(named("renamed"));
        lab
    }

    fn waits_for_renamed(&mut self) -> UpdateId {
        let id = self.install("sleepy");
        self.built_as(id, build("renamed"));
        id
    }

    fn looks_for(&self) -> (String, Option<String>) {
        let target = &self.dispatch.targets(self.now)[0];
        (target.name.clone(), target.other_name.clone())
    }
}

fn both_names() -> (String, Option<String>) {
    ("sleepy".into(), Some("renamed".into()))
}

#[test]
fn a_renamed_device_is_looked_for_under_both_names_and_where_it_was() {
    for restarts in [false, true] {
        let mut lab = Lab::renamed();
        if restarts {
            lab.restart();
            lab.come_up();
        }
        let row = lab.row("sleepy");
        assert_eq!((row.name.as_str(), row.mac), ("sleepy", Some(MAC)), "it still goes by it");
        assert_eq!(lab.dispatch.rows(), [yaml("sleepy")], "and has one row");
        let id = lab.waits_for_renamed();
        assert_eq!(lab.looks_for(), both_names());
        let target = &lab.dispatch.targets(lab.now)[0];
        assert!(target.addresses.contains(&TargetAddress::Name("sleepy.local".into())));
        assert!(target.addresses.contains(&TargetAddress::Ip(address(7))));
        assert_eq!(lab.update(id).mac, Some(MAC));
        assert_eq!(lab.update(id).known_hashes, [OLD]);
    }
}

#[test]
fn a_file_renamed_while_the_application_was_closed_is_traced() {
    let mut lab = Lab::with(vec![config("sleepy")]);
    lab.give(says("sleepy", OLD, MAC));
    lab.restart();
    lab.configs = vec![named("renamed")];
    lab.come_up();
    lab.waits_for_renamed();
    assert_eq!(lab.looks_for(), both_names());
}

#[test]
fn a_device_that_was_never_seen_is_known_by_its_last_compile_or_its_last_name() {
    let mut lab = Lab::with(vec![compiled("renamed", "sleepy")]);
    lab.install("sleepy");
    lab.give(Input::Cancel(yaml("sleepy")));
    // The new name was compiled by now, and is nothing that runs.
    lab.edit(compiled("renamed", "renamed"));
    lab.restart();
    lab.come_up();
    lab.waits_for_renamed();
    assert_eq!(lab.looks_for(), both_names());

    let mut lab = Lab::with(vec![named("sleepy")]);
    lab.edit(broken("sleepy"));
    lab.edit(named("renamed"));
    lab.waits_for_renamed();
    assert_eq!(lab.looks_for(), both_names());
}

#[test]
fn everything_known_moves_to_the_new_name_with_the_device() {
    let mut lab = Lab::renamed();
    lab.after(300).give(says("sleepy", OLD, MAC));
    lab.give(Input::Sighted(goodbye("sleepy")));
    let wakes = lab.dispatch.wakes(&yaml("sleepy")).len();
    assert!(wakes >= 2);
    let id = lab.waits_for_renamed();
    lab.after(300).give(says("sleepy", OLD, MAC));
    lab.connected(id);
    lab.acknowledged(id);
    let before = durable(&lab.dispatch);
    lab.after(5);
    let decision = lab.give(says("renamed", NEW, MAC));
    lab.expect(id, StateKind::Installed);
    assert!(decision.writes.forgotten.contains(&"sleepy".to_owned()));
    let stored = &decision.writes.wakes;
    assert_eq!(
        stored.iter().find(|(name, _)| name == "renamed").map(|(_, w)| w.len()),
        Some(wakes + 1)
    );
    lab.not_stored(decision);
    assert_eq!(durable(&lab.dispatch), before, "nothing has moved when it can't be stored");
    lab.give(says("renamed", NEW, MAC));
    lab.expect(id, StateKind::Installed);

    assert_eq!(lab.dispatch.memory("sleepy"), None);
    let memory = lab.dispatch.memory("renamed").unwrap();
    assert_eq!((memory.mac(), memory.config_hash()), (Some(MAC), Some(NEW)));
    assert!(memory.installed_password.is_some() && memory.hashes.contains(&OLD));
    assert_eq!(lab.dispatch.wakes(&yaml("sleepy")).len(), wakes + 1, "the last one goes on");
    assert_eq!(lab.dispatch.rows(), [yaml("sleepy")]);
    assert_eq!(lab.row("sleepy").name, "renamed");
    lab.after(300).give(says("renamed", NEW, MAC));
    assert!(!lab.starts_flash());
}

#[test]
fn a_rollback_takes_the_old_name_back() {
    let mut lab = Lab::renamed();
    let id = lab.waits_for_renamed();
    lab.give(says("sleepy", OLD, MAC));
    lab.connected(id);
    lab.acknowledged(id);
    lab.after(5).give(says("renamed", NEW, MAC));
    lab.expect(id, StateKind::Installed);
    lab.after(30).give(Input::Sighted(goodbye("renamed")));
    lab.after(300).give(says("sleepy", OLD, MAC));
    lab.expect(id, StateKind::Failed);
    assert_eq!(lab.row("sleepy").name, "sleepy");
    lab.waits_for_renamed();
    assert_eq!(lab.looks_for(), both_names());
}

#[test]
fn a_device_that_says_its_new_name_is_followed_and_a_stranger_under_it_is_not() {
    let mut lab = Lab::renamed();
    lab.waits_for_renamed();
    lab.give(says("renamed", OLD, OTHER));
    assert_eq!(lab.looks_for(), both_names());

    let mut lab = Lab::renamed();
    let id = lab.waits_for_renamed();
    lab.give(says("renamed", crate::device::ConfigHash(7), MAC));
    lab.expect(id, StateKind::Waiting);
    assert_eq!(lab.looks_for(), ("renamed".into(), None), "somebody else has flashed it");
}

#[test]
fn the_device_of_another_configuration_is_never_taken_for_the_renamed_one() {
    let mut lab = Lab::with(vec![config("sleepy")]);
    lab.give(says("sleepy", OLD, MAC));
    // The file was copied; the copy keeps the name.
    let copy = ConfigFile { id: DeviceId::of_file("copy.yaml"), ..config("sleepy") };
    lab.configs = vec![named("renamed"), copy];
    lab.give(Input::Configs(lab.configs.clone()));
    let id = lab.install("sleepy");
    assert_eq!(lab.update(id).name, "renamed");
    assert_eq!(lab.dispatch.memory("renamed"), None);
}

#[test]
fn the_same_file_name_in_another_directory_is_another_configuration() {
    let mut lab = Lab::with(vec![config("sleepy")]);
    lab.give(says("sleepy", OLD, MAC));
    let config_dir = Some("/elsewhere".to_owned());
    lab.give(Input::Settings(crate::settings::Settings { config_dir, ..Default::default() }));
    lab.edit(named("renamed"));
    let id = lab.install("sleepy");
    assert_eq!(lab.update(id).name, "renamed");
}

#[test]
fn an_unknown_outcome_is_settled_under_either_name() {
    for (name, hash, expected) in
        [("renamed", NEW, StateKind::Installed), ("sleepy", OLD, StateKind::Waiting)]
    {
        let mut lab = Lab::renamed();
        let id = lab.waits_for_renamed();
        lab.give(says("sleepy", OLD, MAC));
        lab.connected(id);
        lab.give(Input::AboutToComplete { update: id, encrypted: false });
        lab.ended(id, failed(FailureClass::OutcomeUnknown));
        lab.now = lab.now + Duration::from_secs(15);
        lab.give(says(name, hash, MAC));
        lab.expect(id, expected);
    }
}

#[test]
fn the_user_reads_that_nobody_has_seen_a_device_of_this_name() {
    let mut lab = Lab::with(vec![config("sleepy")]);
    let id = lab.install("sleepy");
    lab.built(id);
    let warning = |lab: &Lab| {
        lab.row("sleepy").update.and_then(|update| update.warning).map(|problem| problem.code)
    };
    assert_eq!(warning(&lab).as_deref(), Some("device.never_seen"));
    lab.seen("sleepy", Some(OLD));
    assert_eq!(warning(&lab), None);
}
