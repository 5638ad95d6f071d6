//! Random lives of the queue: whatever comes in, in whatever order, [`super::invariants`] hold.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::build_failure::{BuildFailure, Lack};
use crate::configuration::ConfigFile;
use crate::device::{ConfigHash, DeviceId, MacAddress, Sighting, SightingKind, Source};
use crate::dispatch::{Builder, Dispatch, Effect, FlashOutcome, Input};
use crate::identity::Proof;
use crate::settings::{ChangedSources, Settings};
use crate::time::Timestamp;
use crate::update::{Build, Secret, SourceChange, UpdateId, UpdateState};
use wakeflash_ota::FailureClass;

use super::durable::durable;
use super::invariants::{self, View};
use super::lab::{
    self, address, broken, config, edited, happen, mains_powered, packet, problem, ready,
};

const NAMES: [&str; 4] = ["a", "b", "c", "stranger"];

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// Something that may make sense or not.
    Any(Input),
    /// The engine ends something that it was asked to do, in this way.
    Work(Index, Ending),
    /// The engine reaches a device that it was told to reach, or doesn't.
    Knock(Index, bool),
    /// A device that has an update under way says something.
    Speak(Index, Sighting),
    /// Time passes, or is set back.
    Clock(i64),
    /// The application is killed and starts again.
    Restart,
    /// The next decision can't be stored.
    FullDisk,
}

/// How work ends.
#[derive(Clone, Debug)]
struct Ending {
    build: Result<Build, BuildFailure>,
    changes: Vec<SourceChange>,
    captured: bool,
    announced: bool,
    outcome: FlashOutcome,
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(NAMES.as_slice())
}

fn device() -> impl Strategy<Value = DeviceId> {
    prop_oneof![
        20 => name().prop_map(lab::yaml),
        1 => name().prop_map(DeviceId::discovered),
        1 => Just(DeviceId::of_file("../a.yaml")),
    ]
}

fn id() -> impl Strategy<Value = UpdateId> {
    prop_oneof![12 => (0..12_u32).prop_map(UpdateId), 1 => Just(UpdateId(u32::MAX))]
}

fn hash() -> impl Strategy<Value = Option<ConfigHash>> {
    prop::option::weighted(0.8, (1..4_u32).prop_map(ConfigHash))
}

fn changes() -> impl Strategy<Value = Vec<SourceChange>> {
    prop_oneof![3 => Just(Vec::new()), 1 => Just(edited("a.yaml")), 1 => Just(edited("secrets.yaml"))]
}

fn build() -> impl Strategy<Value = Build> {
    (name(), hash(), any::<bool>(), any::<bool>()).prop_map(|(name, config_hash, mdns, sleeps)| {
        Build { config_hash, mdns, deep_sleep: sleeps, ..lab::build(name) }
    })
}

fn build_failure() -> impl Strategy<Value = BuildFailure> {
    let lacks = [Lack::Directory, Lack::Esphome, Lack::Network, Lack::Disk, Lack::Memory].to_vec();
    let again = prop::sample::select(lacks).prop_map(|lack| BuildFailure::again(lack, problem()));
    prop_oneof![1 => Just(problem().into()), 3 => again]
}

fn outcome() -> impl Strategy<Value = FlashOutcome> {
    let class = prop::sample::select(vec![
        FailureClass::RetryNow,
        FailureClass::Busy,
        FailureClass::NextWake,
        FailureClass::Permanent,
        FailureClass::WrongPassword,
        FailureClass::OutcomeUnknown,
        FailureClass::OutcomeUnknown,
    ]);
    prop_oneof![
        3 => Just(FlashOutcome::Acknowledged),
        1 => Just(FlashOutcome::AlreadyRunning),
        1 => any::<bool>().prop_map(|another_device| FlashOutcome::NotProven {
            another_device,
            problem: problem(),
        }),
        1 => changes().prop_map(FlashOutcome::SourcesChanged),
        5 => class.prop_map(lab::failed),
    ]
}

fn board() -> impl Strategy<Value = Option<MacAddress>> {
    prop::sample::select(vec![None, Some(MacAddress([1; 6])), Some(MacAddress([2; 6]))])
}

fn sighting() -> impl Strategy<Value = Sighting> {
    let kind = prop_oneof![4 => Just(SightingKind::Alive), 1 => Just(SightingKind::Gone)];
    let version = prop::sample::select(vec![None, Some("2025.1.0"), Some(lab::VERSION)]);
    // Of one device, two boards and others that speak of it.
    let said = (name(), kind, version, hash(), board(), board());
    (said, 0..5_u8, 0..3_u8).prop_map(|(said, how, last)| {
        let (name, kind, version, config_hash, mac, link_address) = said;
        let source = match how {
            0 => Source::Browse,
            1 | 2 => Source::Packet(address(last)),
            3 => Source::Packet(address(7)),
            _ => Source::Answer(address(last)),
        };
        Sighting {
            source,
            kind,
            version: version.map(str::to_owned),
            addresses: vec![address(last)],
            mac,
            link_address,
            ..packet(name, config_hash)
        }
    })
}

fn file() -> impl Strategy<Value = ConfigFile> {
    prop_oneof![
        4 => name().prop_map(config),
        1 => name().prop_map(mains_powered),
        1 => name().prop_map(broken),
        1 => (name(), name()).prop_map(|(file, name)| ConfigFile { id: lab::yaml(file), ..config(name) }),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let policy = prop::sample::select(vec![
        ChangedSources::Hold,
        ChangedSources::Hold,
        ChangedSources::Rebuild,
        ChangedSources::Flash,
    ]);
    let dir = prop::sample::select(vec!["/config", "/config", "/elsewhere"]);
    let dir = prop_oneof![9 => dir.prop_map(|dir| Some(dir.to_owned())), 1 => Just(None)];
    (policy, dir, 0..3_u8, 0..3_u8).prop_map(|(changed_sources, config_dir, builds, flashes)| {
        Settings {
            changed_sources,
            config_dir,
            paused: builds == 2 && flashes == 2,
            max_builds: builds,
            max_flashes: flashes,
            ..Settings::default()
        }
    })
}

fn input() -> impl Strategy<Value = Input> {
    let build_result = (build(), changes()).prop_map(Ok);
    let peer = (0..3_u8).prop_map(address);
    prop_oneof![
        6 => device().prop_map(Input::Install),
        1 => device().prop_map(Input::Cancel),
        1 => device().prop_map(Input::Retry),
        1 => device().prop_map(|device| Input::RetryWithPassword {
            device,
            password: Secret("old".to_owned()),
        }),
        1 => device().prop_map(Input::RetryClean),
        1 => device().prop_map(Input::Rebuild),
        1 => device().prop_map(Input::InstallPrevious),
        1 => device().prop_map(Input::FlashAnyway),
        1 => device().prop_map(Input::Dismiss),
        1 => prop::collection::vec(device(), 0..4).prop_map(Input::InstallMany),
        1 => prop::collection::vec(device(), 0..3).prop_map(Input::CancelMany),
        2 => prop::collection::vec(device(), 0..3).prop_map(Input::UndoCancel),
        1 => (id(), 0..3_u32)
            .prop_map(|(update, wire_size)| Input::ImageReady { update, wire_size }),
        1 => (device(), prop::option::of(Just("192.0.2.9".to_owned())))
            .prop_map(|(device, address)| Input::SetAddress { device, address }),
        1 => (prop::collection::vec(device(), 0..3), prop::bool::ANY)
            .prop_map(|(devices, on)| Input::SetLabel { devices, label: "battery".to_owned(), on }),
        1 => (device(), prop::bool::ANY)
            .prop_map(|(device, on)| Input::RecordLog { device, on }),
        1 => device().prop_map(|device| {
            let name = device.as_str().trim_end_matches(".yaml").to_owned();
            Input::LogRecorded { name }
        }),
        1 => settings().prop_map(Input::Settings),
        1 => prop::collection::vec(file(), 0..5).prop_map(Input::Configs),
        1 => Just(Input::DirectoryGone(problem())),
        1 => Just(Input::DiskFreed),
        1 => (id(), changes()).prop_map(|(update, changes)| Input::SourcesChecked { update, changes }),
        1 => prop_oneof![
            4 => Just(ready()),
            1 => Just(Input::Builder(Builder::Missing)),
            1 => Just(Input::Builder(Builder::Coming)),
        ],
        1 => (id(), build_result).prop_map(|(update, result)| Input::BuildEnded { update, result }),
        8 => sighting().prop_map(Input::Sighted),
        1 => (id(), peer.clone()).prop_map(|(update, peer)| Input::Connected { update, peer }),
        1 => (id(), peer.clone()).prop_map(|(update, peer)| Input::Returned { update, peer }),
        1 => (id(), peer).prop_map(|(update, peer)| Input::ServesAgain { update, peer }),
        1 => id().prop_map(|update| Input::Unreachable { update }),
        1 => name().prop_map(|name| Input::Stranger { name: name.into(), peer: [192, 0, 2, 9].into() }),
        1 => name().prop_map(|name| Input::Silent { name: name.to_owned() }),
        1 => (name(), any::<Option<bool>>()).prop_map(|(name, refused)| Input::LookedAtApi {
            name: name.to_owned(), peer: address(7), refused,
        }),
        1 => id().prop_map(|update| Input::ImageLost { update, problem: problem() }),
        1 => id().prop_map(|update| Input::Captured { update }),
        1 => (id(), (0..3_u8).prop_map(address)).prop_map(|(update, peer)| Input::Proven {
            update,
            proof: Proof::of_session(peer, None, None, core::iter::empty()),
        }),
        1 => (device(), board()).prop_map(|(device, mac)| Input::AcceptBoard {
            device,
            mac,
            link_address: None,
        }),
        1 => device().prop_map(Input::ChooseConfig),
        1 => any::<bool>().prop_map(|up| {
            Input::Links(if up { vec![lab::own_network()] } else { Vec::new() })
        }),
        1 => (id(), any::<bool>()).prop_map(|(update, encrypted)| Input::AboutToComplete { update, encrypted }),
        1 => (id(), outcome()).prop_map(|(update, outcome)| Input::FlashEnded { update, outcome }),
        1 => any::<bool>().prop_map(|connected| Input::Network { connected }),
        5 => Just(Input::Tick),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    let result = prop_oneof![6 => build().prop_map(Ok), 3 => build_failure().prop_map(Err)];
    (result, changes(), any::<bool>(), any::<bool>(), outcome()).prop_map(
        |(build, changes, captured, announced, outcome)| Ending {
            build,
            changes,
            captured,
            announced,
            outcome,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => input().prop_map(Step::Any),
        10 => (any::<Index>(), ending()).prop_map(|(which, how)| Step::Work(which, how)),
        6 => (any::<Index>(), prop::bool::weighted(0.8))
            .prop_map(|(which, answers)| Step::Knock(which, answers)),
        6 => (any::<Index>(), sighting()).prop_map(|(who, what)| Step::Speak(who, what)),
        6 => (0..30_000_i64).prop_map(Step::Clock),
        1 => (-1_000_000_000_000..1_000_000_000_000_i64).prop_map(Step::Clock),
        1 => Just(Step::Restart),
        1 => Just(Step::FullDisk),
    ]
}

/// The engine, as far as it has a part in this: it remembers what it was asked to do.
struct Engine {
    dispatch: Dispatch,
    now: Timestamp,
    asked: Vec<Effect>,
    disk_full: bool,
}

impl Engine {
    fn start() -> Self {
        let now = Timestamp::from_millis(1_000_000_000);
        let settings = Settings { config_dir: Some("/config".to_owned()), ..Settings::default() };
        let dispatch =
            Dispatch::new(settings, Vec::new(), BTreeMap::new(), BTreeMap::new(), 1, now);
        let mut engine = Self { dispatch, now, asked: Vec::new(), disk_full: false };
        engine.happen(Input::Recover);
        engine.come_up();
        engine
    }

    fn come_up(&mut self) {
        let files = vec![config("a"), mains_powered("b"), config("c")];
        self.happen(Input::Configs(files));
        self.happen(ready());
    }

    fn happen(&mut self, input: Input) {
        let before = View::of(&self.dispatch, self.now);
        let result = happen(&mut self.dispatch, input.clone(), self.now);
        let after = View::of(&self.dispatch, self.now);
        let decision = match result {
            Ok(decision) => decision,
            Err(problem) => {
                assert_eq!(before, after, "a refused request changes nothing");
                assert!(!problem.code.is_empty() && problem.message.ends_with('.'), "{problem:?}");
                return;
            }
        };
        invariants::check(&input, &before, &after, &decision);
        invariants::check_state(&self.dispatch, self.now);
        if decision.is_durable() && core::mem::take(&mut self.disk_full) {
            self.dispatch = decision.before;
            let undone = View::of(&self.dispatch, self.now);
            assert_eq!(undone, before, "what could not be stored has not happened");
            return;
        }
        self.asked.extend(decision.effects);
        // Time alone must not keep the loop busy.
        if matches!(input, Input::Tick) {
            let next = self.dispatch.next_deadline(self.now);
            assert!(next.is_none_or(|at| at > self.now), "the deadline {next:?} has passed");
        }
    }

    fn work(&mut self, which: Index, how: Ending) {
        if self.asked.is_empty() {
            return;
        }
        let effect = self.asked.swap_remove(which.index(self.asked.len()));
        match effect {
            Effect::StartBuild { update, device } => {
                let name = device.as_str().trim_end_matches(".yaml").to_owned();
                let built = how.build.map(|build| Build { name, ..build });
                let result = built.map(|build| (build, how.changes));
                self.happen(Input::BuildEnded { update, result });
            }
            Effect::GrantTransfer(_) => {}
            Effect::StartFlash { update, .. } => {
                if how.captured {
                    let peer = match self.dispatch.update(update).map(|update| &update.state) {
                        Some(UpdateState::Flashing { peer, .. }) => *peer,
                        _ => address(1),
                    };
                    let proof = Proof::of_session(peer, None, None, core::iter::empty());
                    self.happen(Input::Proven { update, proof });
                    self.happen(Input::Captured { update });
                }
                if how.announced {
                    self.happen(Input::AboutToComplete { update, encrypted: false });
                }
                self.happen(Input::FlashEnded { update, outcome: how.outcome });
            }
            Effect::CheckSources(update) => {
                self.happen(Input::SourcesChecked { update, changes: how.changes });
            }
            Effect::Nudge(_) => self.knock(which, true),
            Effect::StopBuild(update) => {
                self.happen(Input::BuildEnded { update, result: Err(problem().into()) });
            }
            Effect::StopFlash(update) => {
                self.happen(Input::FlashEnded { update, outcome: how.outcome });
            }
            Effect::FindEsphome => self.happen(ready()),
            Effect::LookAtApi { name, peer, .. } => {
                self.happen(Input::LookedAtApi { name, peer, refused: Some(how.announced) });
            }
            Effect::DropConnection(_) | Effect::Notify(_) | Effect::Ask { .. } => {}
        }
    }

    fn knock(&mut self, which: Index, answers: bool) {
        let targets = self.dispatch.targets(self.now);
        if targets.is_empty() {
            return;
        }
        let target = which.get(&targets);
        let update = target.update;
        self.happen(match (answers, target.purpose) {
            (true, crate::knock::Purpose::Capture) => Input::Connected { update, peer: address(1) },
            (true, crate::knock::Purpose::Confirm) => Input::Returned { update, peer: address(1) },
            (false, _) => Input::Unreachable { update },
        });
    }

    fn speak(&mut self, who: Index, what: Sighting) {
        let active = self.dispatch.updates().filter(|update| !update.state.kind().is_final());
        let names: Vec<String> = active.map(|update| update.name.clone()).collect();
        if !names.is_empty() {
            self.happen(Input::Sighted(Sighting { name: who.get(&names).clone(), ..what }));
        }
    }

    fn restart(&mut self) {
        let before = durable(&self.dispatch).updates;
        let mut lab = lab::Lab::with(Vec::new());
        lab.now = self.now;
        core::mem::swap(&mut lab.dispatch, &mut self.dispatch);
        lab.restart();
        core::mem::swap(&mut lab.dispatch, &mut self.dispatch);
        self.asked.clear();
        self.disk_full = false;
        invariants::check_restart(&before, &self.dispatch);
        self.come_up();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Any(input) => self.happen(input),
            Step::Work(which, how) => self.work(which, how),
            Step::Knock(which, answers) => self.knock(which, answers),
            Step::Speak(who, what) => self.speak(who, what),
            Step::Clock(millis) => {
                let now = self.now.as_millis().saturating_add(millis);
                self.now = Timestamp::from_millis(now);
            }
            Step::Restart => self.restart(),
            Step::FullDisk => self.disk_full = true,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_sequence_of_inputs_breaks_a_promise(steps in prop::collection::vec(step(), 1..150)) {
        let mut engine = Engine::start();
        for step in steps {
            engine.step(step);
        }
    }

    #[test]
    fn whatever_happened_a_cooperative_world_ends_every_update(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut engine = Engine::start();
        for step in steps {
            engine.step(step);
        }
        engine.disk_full = false;
        invariants::check_ends(&mut engine.dispatch, engine.now);
    }
}
