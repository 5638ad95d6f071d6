//! Many devices wake at once: power came back.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::device::{Sighting, Source};
use crate::dispatch::{Effect, HELD_LONG, Input};
use crate::identity::Proof;
use crate::schedule::SleepPlan;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::update::{StateKind, UpdateId};
use wakeflash_ota::FailureClass;

use super::lab::*;

/// How long a device waits for its image before it gives up.
const DEVICE_PATIENCE_MS: i64 = 95_000;

#[derive(Clone, Debug)]
struct Sleeper {
    /// When its connection opens, in ms.
    wakes: i64,
    /// From there until it is held.
    handshake: i64,
    /// How long its image takes.
    transfer: i64,
    window: Option<u64>,
    /// Its first transfer is cut in the middle.
    cut: bool,
}

fn sleeper() -> impl Strategy<Value = Sleeper> {
    let window = prop::option::of(1..60_u64);
    (0..1_000_i64, 100..2_500_i64, 500..6_500_i64, window, prop::bool::weighted(0.1)).prop_map(
        |(wakes, handshake, transfer, window, cut)| Sleeper {
            wakes,
            handshake,
            transfer,
            window,
            cut,
        },
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Connect,
    Held,
    Cut,
    Sent,
    GivesUp,
}

struct Storm {
    lab: Lab,
    sleepers: BTreeMap<UpdateId, Sleeper>,
    events: BTreeSet<(Timestamp, UpdateId, Next)>,
    sending: BTreeSet<UpdateId>,
    held: BTreeMap<UpdateId, Timestamp>,
    sent: BTreeMap<UpdateId, u32>,
    given_up: u32,
    longest: u64,
}

impl Storm {
    fn new(sleepers: &[Sleeper], limit: u8) -> Self {
        let names: Vec<String> = (0..sleepers.len()).map(|n| format!("d{n}")).collect();
        let mut lab = Lab::with(names.iter().map(|name| config(name)).collect());
        lab.give(Input::Settings(Settings {
            max_flashes: limit,
            max_builds: 255,
            ..Settings::default()
        }));
        let mut storm = Self {
            lab,
            sleepers: BTreeMap::new(),
            events: BTreeSet::new(),
            sending: BTreeSet::new(),
            held: BTreeMap::new(),
            sent: BTreeMap::new(),
            given_up: 0,
            longest: 0,
        };
        for (name, sleeper) in names.iter().zip(sleepers) {
            storm.lab.seen(name, Some(OLD));
            storm.lab.give(Input::Sighted(goodbye(name)));
            let id = storm.lab.install(name);
            let window = sleeper.window.map(|seconds| format!("{seconds}s"));
            let sleep_plan = SleepPlan::read(window.as_deref(), Some("1h"));
            storm.lab.built_as(id, crate::update::Build { sleep_plan, ..build(name) });
            storm.sleepers.insert(id, sleeper.clone());
        }
        for (id, sleeper) in storm.sleepers.clone() {
            storm.at(sleeper.wakes, id, Next::Connect);
        }
        storm
    }

    fn at(&mut self, millis: i64, id: UpdateId, next: Next) {
        let at = Timestamp::from_millis(self.lab.now.as_millis() + millis);
        self.events.insert((at, id, next));
    }

    fn give(&mut self, input: Input) {
        let effects = self.lab.give(input).effects;
        for effect in effects {
            match effect {
                Effect::StartFlash { update, .. } => {
                    self.at(self.sleepers[&update].handshake, update, Next::Held);
                }
                Effect::GrantTransfer(update) => {
                    let since = self.held.remove(&update).expect("only who is held gets a turn");
                    self.longest = self.longest.max(self.lab.now.since(since).as_secs());
                    self.sending.insert(update);
                    let limit = usize::from(self.lab.dispatch.settings().max_flashes);
                    assert!(self.sending.len() <= limit, "{} at once", self.sending.len());
                    let Sleeper { transfer, cut, .. } = self.sleepers[&update].clone();
                    let next = if cut { Next::Cut } else { Next::Sent };
                    self.at(transfer, update, next);
                }
                Effect::DropConnection(update) => panic!("{update} was not captured"),
                Effect::StartBuild { .. }
                | Effect::FindEsphome
                | Effect::StopBuild(_)
                | Effect::StopFlash(_)
                | Effect::CheckSources(_)
                | Effect::Nudge(_)
                | Effect::Ask { .. }
                | Effect::LookAtApi { .. }
                | Effect::Notify(_) => {}
            }
        }
    }

    fn step(&mut self, id: UpdateId, next: Next) {
        match next {
            Next::Connect => {
                let peer = address(7);
                self.give(Input::Connected { update: id, peer });
            }
            Next::Held => {
                self.held.insert(id, self.lab.now);
                self.at(DEVICE_PATIENCE_MS, id, Next::GivesUp);
                let proof = Proof::of_session(address(7), None, None, core::iter::empty());
                self.give(Input::Proven { update: id, proof });
                self.give(Input::Captured { update: id });
            }
            Next::Cut => {
                self.sleepers.get_mut(&id).unwrap().cut = false;
                self.sending.remove(&id);
                let outcome = failed(FailureClass::RetryNow);
                self.give(Input::FlashEnded { update: id, outcome });
                self.at(600, id, Next::Connect);
            }
            Next::Sent => {
                self.sending.remove(&id);
                *self.sent.entry(id).or_default() += 1;
                self.give(Input::AboutToComplete { update: id, encrypted: false });
                self.give(Input::FlashEnded {
                    update: id,
                    outcome: crate::dispatch::FlashOutcome::Acknowledged,
                });
            }
            Next::GivesUp => {
                if self.held.remove(&id).is_some() {
                    self.given_up += 1;
                    let outcome = failed(FailureClass::RetryNow);
                    self.give(Input::FlashEnded { update: id, outcome });
                    self.at(3_600_000, id, Next::Connect);
                }
            }
        }
    }

    fn run(&mut self) {
        while let Some((at, id, next)) = self.events.pop_first() {
            self.lab.now = at;
            self.step(id, next);
        }
        for id in self.sleepers.keys().copied().collect::<Vec<_>>() {
            self.lab.expect(id, StateKind::Confirming);
            let name = self.lab.update(id).name.clone();
            self.lab.now = Timestamp::from_millis(self.lab.now.as_millis() + 10_000);
            let word = Sighting { source: Source::Packet(address(7)), ..packet(&name, Some(NEW)) };
            self.give(Input::Sighted(word));
            self.lab.expect(id, StateKind::Installed);
        }
        assert!(self.sent.values().all(|count| *count == 1), "{:?}", self.sent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn in_a_storm_every_sleeper_is_held_and_flashed_once(
        sleepers in prop::collection::vec(sleeper(), 50),
        limit in 1..7_u8,
    ) {
        let mut storm = Storm::new(&sleepers, limit);
        storm.run();
        let work: i64 = sleepers.iter().map(|sleeper| sleeper.transfer * (1 + i64::from(sleeper.cut))).sum();
        if work / i64::from(limit) + 10_000 < DEVICE_PATIENCE_MS {
            prop_assert_eq!(storm.given_up, 0, "there was time for all of them");
        }
    }
}

/// Devices that are all held; the order in which they get their turn, one at a time and each for ten seconds.
fn order(names: &[&str], plans: &[Option<SleepPlan>], steady: &[&str]) -> Vec<String> {
    let configs = names
        .iter()
        .map(|name| if steady.contains(name) { mains_powered(name) } else { config(name) });
    let mut lab = Lab::with(configs.collect());
    lab.give(Input::Settings(Settings { max_flashes: 9, max_builds: 9, ..Settings::default() }));
    let mut ids = BTreeMap::new();
    for (name, plan) in names.iter().zip(plans) {
        let id = lab.install(name);
        let deep_sleep = !steady.contains(name);
        let built = crate::update::Build { sleep_plan: *plan, deep_sleep, ..build(name) };
        lab.built_as(id, built);
        ids.insert(id, (*name).to_owned());
    }
    for id in ids.keys() {
        lab.connected(*id);
        assert!(lab.starts_flash(), "it is held");
    }
    lab.give(Input::Settings(Settings { max_flashes: 1, max_builds: 9, ..Settings::default() }));
    let mut order = Vec::new();
    let grants = |lab: &Lab| -> Vec<UpdateId> {
        let granted = |id: &&UpdateId| lab.effects.contains(&Effect::GrantTransfer(**id));
        ids.keys().filter(granted).copied().collect()
    };
    let mut granted = Vec::new();
    for id in ids.keys() {
        lab.after_ms(10).captured(*id);
        granted.extend(grants(&lab));
    }
    while let Some(id) = granted.pop() {
        assert_eq!(granted, []);
        order.push(ids[&id].clone());
        lab.after(10).ended(id, crate::dispatch::FlashOutcome::Acknowledged);
        granted.extend(grants(&lab));
    }
    assert_eq!(order.len(), names.len(), "nobody starves");
    order
}

#[test]
fn short_windows_come_first_then_sleepers_then_who_came_first() {
    let plan = |run| SleepPlan::read(Some(run), None);
    let order = order(
        &["first", "plug", "a", "b", "long", "short"],
        &[plan("30s"), None, None, None, plan("40s"), plan("3s")],
        &["plug"],
    );
    assert_eq!(order, ["first", "short", "long", "a", "b", "plug"]);
}

#[test]
fn who_has_been_held_for_long_comes_before_shorter_windows() {
    let plan = |run| SleepPlan::read(Some(run), None);
    let names = ["a0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8"];
    let mut plans = vec![plan("5s"); 9];
    plans[1] = plan("50s");
    assert!(HELD_LONG.as_secs() == 60);
    let order = order(&names, &plans, &[]);
    let place = order.iter().position(|name| name == "b1").unwrap();
    assert!(place == 7 || place == 6, "{order:?}");
}

#[test]
fn a_grant_that_could_not_be_stored_is_given_again() {
    let mut lab = Lab::with(vec![config("a"), config("b")]);
    lab.give(Input::Settings(Settings { max_flashes: 1, max_builds: 2, ..Settings::default() }));
    let (a, b) = (lab.install("a"), lab.install("b"));
    for id in [a, b] {
        lab.built(id);
        lab.connected(id);
        lab.captured(id);
    }
    let acknowledged = || crate::dispatch::FlashOutcome::Acknowledged;
    let decision = lab.give(Input::FlashEnded { update: a, outcome: acknowledged() });
    assert!(decision.effects.contains(&Effect::GrantTransfer(b)));
    lab.not_stored(decision);
    lab.ended(a, acknowledged());
    assert!(lab.effects.contains(&Effect::GrantTransfer(b)));
}

#[test]
fn what_does_not_sleep_is_not_held_while_others_are_flashed() {
    let mut lab = Lab::with(vec![config("sleepy"), mains_powered("plug")]);
    lab.give(Input::Settings(Settings { max_flashes: 1, max_builds: 2, ..Settings::default() }));
    let (sleepy, plug) = (lab.install("sleepy"), lab.install("plug"));
    lab.built(sleepy);
    lab.built_as(plug, crate::update::Build { deep_sleep: false, ..build("plug") });
    assert_eq!(lab.dispatch.targets(lab.now).len(), 2);
    lab.connected(sleepy);
    assert_eq!(lab.dispatch.targets(lab.now).len(), 0);
    lab.connected(plug);
    assert_eq!(lab.effects, [Effect::DropConnection(plug)]);
    lab.captured(sleepy);
    lab.ended(sleepy, failed(FailureClass::RetryNow));
    assert!(lab.dispatch.targets(lab.now).iter().any(|target| target.update == plug));
}
