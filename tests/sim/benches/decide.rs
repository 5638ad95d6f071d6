//! What a decision costs with a thousand devices: `make bench-decide`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench speaks, and fails like a test"
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use wakeflash_core::conductor::{Action, Conductor, Event, Ticket};
use wakeflash_core::configuration::{AddressClaim, ConfigFile, ConfigSummary, SourcesState};
use wakeflash_core::device::{ConfigHash, DeviceId, Sighting, SightingKind, Source};
use wakeflash_core::dispatch::{Builder, Dispatch, Input};
use wakeflash_core::settings::Settings;
use wakeflash_core::time::Timestamp;

const DEVICES: u32 = 1_000;
const INPUTS: u32 = 20_000;

fn name(number: u32) -> String {
    format!("device-{number:04}")
}

fn config(number: u32) -> ConfigFile {
    let content = Ok(ConfigSummary {
        name: name(number),
        friendly_name: None,
        area: None,
        platform: Some("esp32".to_owned()),
        address: None,
        deep_sleep: true,
        sleep_plan: None,
        compiled_name: None,
        doubt: None,
        validated: None,
        claim: AddressClaim::Names(None),
    });
    let id = DeviceId::of_file(format!("{}.yaml", name(number)));
    ConfigFile { id, content, sources: SourcesState::default() }
}

/// A packet of a device; each of them says something new.
fn packet(number: u32) -> Input {
    let [_, _, high, low] = (number % DEVICES).to_be_bytes();
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, high, low));
    Input::Sighted(Sighting {
        name: name(number % DEVICES),
        source: Source::Packet(address),
        kind: SightingKind::Alive,
        addresses: vec![address],
        mac: None,
        link_address: None,
        version: Some("2026.10.0".to_owned()),
        config_hash: Some(ConfigHash(number)),
        stamp: None,
        friendly_name: None,
        platform: None,
    })
}

/// Hands it in, and stores at once what is to be stored.
fn hand_in(conductor: &mut Conductor, event: Event, now: Timestamp) {
    let mut actions = conductor.on(event, now);
    while actions.iter().any(|action| matches!(action, Action::Store(_))) {
        actions = conductor.on(Event::Stored(Ok(())), now);
    }
}

fn main() {
    let now = Timestamp::from_millis(1_000_000);
    let dispatch =
        Dispatch::new(Settings::default(), Vec::new(), BTreeMap::new(), BTreeMap::new(), 1, now);
    let mut conductor = Conductor::new(dispatch);
    hand_in(&mut conductor, Event::Reported(Input::Recover), now);
    let files = (0..DEVICES).map(config).collect();
    hand_in(&mut conductor, Event::Reported(Input::Configs(files)), now);
    let ready = Builder::Ready { version: "2026.10.0".to_owned() };
    hand_in(&mut conductor, Event::Reported(Input::Builder(ready)), now);
    let all = (0..DEVICES).map(|number| config(number).id).collect();
    let install = Event::Asked { ticket: Ticket(1), input: Input::InstallMany(all) };
    hand_in(&mut conductor, install, now);
    assert_eq!(conductor.state().updates().count(), 1_000);

    let mut times = Vec::new();
    for number in 0..INPUTS {
        let now = now + Duration::from_millis(u64::from(number));
        let event = Event::Heard(packet(number));
        let began = Instant::now();
        hand_in(&mut conductor, event, now);
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let all: Duration = times.iter().sum();
    println!(
        "{DEVICES} devices, {INPUTS} packets, each decided on alone: {:.1} µs each on average, {:?} median, {:?} p99, \
         {:?} at most; a thousand a second cost {:.1} % of a core",
        all.as_secs_f64() * 1e6 / f64::from(INPUTS),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1],
        all.as_secs_f64() / f64::from(INPUTS) * 1e5,
    );
}
