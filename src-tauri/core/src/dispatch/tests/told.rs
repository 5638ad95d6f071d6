//! What the window's made-up stories say of failures is what the application says: it is written from here.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::lab::*;
use crate::address;
use crate::compiler_cache;
use crate::credentials;
use crate::device::{DeviceId, MacAddress};
use crate::dispatch::Input;
use crate::dispatch::rollback::rolled_back;
use crate::error::Problem;
use crate::gate::{Evidence, Expectation, LiteralAddress, Session, Standing, unidentified};
use crate::identity::Identity;
use crate::update::Build;

/// Set it to write the file instead of checking it.
const UPDATE: &str = "WAKEFLASH_UPDATE_BINDINGS";

#[test]
fn the_problems_of_the_stories_are_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../ui/src/lib/backend/generated/problems.core.json");
    let wanted = serde_json::to_string_pretty(&problems()).unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == wanted, "{} is stale; write it with {UPDATE}=1", file.display());
}

fn problems() -> BTreeMap<&'static str, Problem> {
    let mut lab = Lab::new();
    let changed = Build { credentials_changed: true, ..build("mailbox") };
    BTreeMap::from([
        (
            "rolledBack",
            rolled_back(&build("workshop-heater"), &packet("workshop-heater", Some(OLD))),
        ),
        ("credentialsChanged", credentials::warning(&changed, None).unwrap()),
        (
            "sameName",
            Lab::with(vec![said("one", "one"), said("two", "one")]).row("one").problem.unwrap(),
        ),
        ("notConfigured", seen_only(&mut lab)),
        ("unknownDevice", lab.try_give(Input::Install(yaml("sold"))).err().unwrap()),
        ("noUpdate", lab.try_give(Input::Cancel(yaml("sleepy"))).err().unwrap()),
        ("noPrevious", lab.try_give(Input::InstallPrevious(yaml("sleepy"))).err().unwrap()),
        ("noRival", lab.try_give(accept(None, None)).err().unwrap()),
        ("otherTool", device_builder()),
        ("unidentified", unidentified(&expectation(), &stranger())),
        ("noCache", compiler_cache::check("server").err().unwrap()),
        ("noAddress", address::read("not an address").err().unwrap()),
    ])
}

fn seen_only(lab: &mut Lab) -> Problem {
    lab.seen("neighbour-lamp", Some(OLD));
    lab.try_give(Input::Install(DeviceId::discovered("neighbour-lamp"))).err().unwrap()
}

fn device_builder() -> Problem {
    let mut lab = Lab::with(vec![config("garden-soil-sensor")]);
    lab.install("garden-soil-sensor");
    let queued = BTreeSet::from([yaml("garden-soil-sensor")]);
    lab.dispatch.other_tools(&queued).remove(0)
}

fn stranger() -> Evidence {
    Evidence::about(IpAddr::from([192, 168, 7, 42]), Session::ProvesNothing)
}

fn expectation() -> Expectation {
    Expectation {
        name: "mailbox".into(),
        other_name: None,
        mac: None::<MacAddress>,
        link_address: None,
        identity: Identity::default(),
        wanted_hash: Some(NEW),
        wanted_version: None,
        wanted_stamp: None,
        literal_address: LiteralAddress::None,
        least: Standing::Claimed,
        suffixed: false,
        unheard: false,
    }
}
