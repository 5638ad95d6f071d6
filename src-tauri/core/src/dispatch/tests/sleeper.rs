//! A device that sleeps for 30 s and is awake for 15 s, and is flashed again and again: what is seen of its wakes
//! is what they were.

use core::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRng;

use crate::device::ConfigHash;
use crate::dispatch::Input;
use crate::schedule::{Rhythm, SleepPlan};
use crate::time::Timestamp;
use crate::update::{Build, StateKind, UpdateId};

use super::lab::*;

const AWAKE: u64 = 15_000;
const ASLEEP: u64 = 30_000;

/// How it goes.
#[derive(Clone, Copy, Debug)]
struct World {
    /// How many of a hundred wakes are flashed.
    flashed: u64,
    /// How many of a hundred packets and goodbyes are lost.
    lost: u64,
    /// Whether the configuration tells the durations.
    planned: bool,
    wakes: usize,
}

struct Story {
    lab: Lab,
    rng: TestRng,
    world: World,
    runs: ConfigHash,
    update: Option<UpdateId>,
    /// The last packet was lost.
    lost: bool,
    /// What really was: when a wake began, and whether it was flashed in it.
    real: Vec<(Timestamp, bool)>,
}

impl Story {
    fn new(world: World, rng: TestRng) -> Self {
        let mut file = config("sleepy");
        if world.planned {
            file.content.as_mut().unwrap().sleep_plan = SleepPlan::read(Some("15s"), Some("30s"));
        }
        let mut lab = Lab::with(vec![file]);
        lab.after(100);
        Self { lab, rng, world, runs: OLD, update: None, lost: false, real: Vec::new() }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        self.rng.random_range(from..=to)
    }

    /// Time passes, and the application looks at it.
    fn pass(&mut self, millis: u64) {
        let end = self.lab.now + Duration::from_millis(millis);
        loop {
            let due = self.lab.dispatch.next_deadline(self.lab.now).filter(|due| *due < end);
            let Some(due) = due else { break };
            self.lab.now = due.max(self.lab.now + Duration::from_millis(1));
            self.lab.give(Input::Tick);
        }
        self.lab.now = end;
    }

    /// Never two lost packets in a row: a wake of which nothing is heard wasn't seen.
    fn announce(&mut self) {
        self.lost = !self.lost && self.chance(self.world.lost);
        if !self.lost {
            self.lab.seen("sleepy", Some(self.runs));
        }
    }

    fn say_goodbye(&mut self) {
        if !self.chance(self.world.lost) {
            self.lab.give(Input::Sighted(goodbye("sleepy")));
        }
    }

    /// A wake, the sleep after it, and perhaps a request to install meanwhile.
    fn wake(&mut self) {
        let began = self.lab.now;
        let waiting = self.update.filter(|id| self.lab.state(*id).kind() == StateKind::Waiting);
        let (spoke, opened) = (self.between(0, 400), self.between(0, 400));
        match waiting {
            Some(id) => {
                if spoke < opened {
                    self.pass(spoke);
                    self.announce();
                    self.pass(opened - spoke);
                    self.lab.connected(id);
                } else {
                    self.pass(opened);
                    self.lab.connected(id);
                    self.pass(spoke - opened);
                    self.announce();
                }
                self.flash(id);
            }
            None => {
                self.pass(spoke);
                self.announce();
            }
        }
        self.real.push((began, waiting.is_some()));
        self.run();
        self.say_goodbye();
        self.sleep();
    }

    fn flash(&mut self, id: UpdateId) {
        let (proved, sent) = (self.between(100, 1_500), self.between(1_000, 20_000));
        self.pass(proved);
        self.lab.captured(id);
        self.pass(sent);
        self.lab.acknowledged(id);
        self.runs = self.lab.state(id).delivery().unwrap().build.config_hash.unwrap();
        self.pass(100);
        self.say_goodbye();
        let boots = self.between(2_000, 8_000);
        self.pass(boots);
        self.announce();
    }

    /// As long as it is usually awake. It speaks a few times, and its port is open.
    fn run(&mut self) {
        let mut left = AWAKE;
        while let Some(rest) = left.checked_sub(self.between(1_000, 6_000)) {
            self.pass(left - rest);
            left = rest;
            self.announce();
            let confirming =
                self.update.filter(|id| self.lab.state(*id).kind() == StateKind::Confirming);
            if let Some(id) = confirming {
                self.lab.give(returned(id));
            }
        }
        self.pass(left);
    }

    fn sleep(&mut self) {
        let request = self.between(0, ASLEEP);
        self.pass(request);
        let percent = self.world.flashed;
        let idle = self.update.is_none_or(|id| self.lab.state(id).kind().is_final());
        if idle && self.chance(percent) {
            let id = self.lab.install("sleepy");
            self.lab.built_as(id, Build { config_hash: Some(NEW), ..build("sleepy") });
            self.update = Some(id);
        }
        let waiting = self.update.filter(|id| self.lab.state(*id).kind() == StateKind::Waiting);
        if let Some(id) = waiting {
            self.lab.give(Input::Unreachable { update: id });
        }
        self.pass(ASLEEP - request);
    }
}

fn world() -> impl Strategy<Value = World> {
    let flashed = prop::sample::select(vec![0, 30, 60, 100]);
    let lost = prop::sample::select(vec![0, 0, 10]);
    (flashed, lost, any::<bool>(), 6..16_usize).prop_map(|(flashed, lost, planned, wakes)| World {
        flashed,
        lost,
        planned,
        wakes,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn what_is_seen_of_a_strict_sleeper_is_what_was(
        world in world(),
        rng in Just(()).prop_perturb(|(), rng| rng),
    ) {
        // Without the configuration, only goodbyes tell a short sleep from a long reboot.
        let world = World { planned: world.planned || world.lost > 0, ..world };
        let mut story = Story::new(world, rng);
        for number in 1..=world.wakes {
            story.wake();
            let seen = story.lab.dispatch.wakes(&yaml("sleepy"));
            let real = &story.real;
            prop_assert_eq!(seen.len(), number, "{:?}\n{:?}", seen, real);
            for (seen, (at, flashed)) in seen.iter().zip(real) {
                prop_assert!(world.lost > 0 || seen.at.since(*at) < Duration::from_secs(1));
                prop_assert_eq!(seen.flashed, *flashed, "{:?}\n{:?}", seen, real);
            }
            if world.lost > 0 {
                // When a wake ended is known by its goodbye only.
                continue;
            }
            let wake = story.lab.row("sleepy").wake.unwrap();
            prop_assert!(wake.rhythm != Rhythm::Irregular, "{:?}", seen);
            if number >= 4 {
                // It is about to wake.
                let next = wake.next.expect("it is expected").as_millis();
                let off = (next - story.lab.now.as_millis()).abs();
                prop_assert!(off < 3_000, "off by {off} ms, {:?}, {:?}", wake, seen);
            }
        }
    }
}
