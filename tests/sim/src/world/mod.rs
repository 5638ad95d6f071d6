//! The world around the application: one queue of what comes next, in virtual time. Everything that happens is drawn
//! from the life's plan and seed, so the same seed gives the same life.

mod builder;
mod device;
mod disk;
mod faults;
mod files;
mod flash;
mod gate;
mod host;
mod network;
mod pose;
mod settle;
mod user;

use core::cmp::Reverse;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use wakeflash_core::device::Sighting;
use wakeflash_core::knock::Target;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{Sha256, UpdateId};

use crate::coverage::Coverage;
use crate::house::{Event, House};
use crate::judge::{Judge, Violation};
use crate::plan::{MINUTE, Ms, Plan, SECOND};
use crate::rng::{Digest, Rng};
use crate::story::Story;

pub(crate) use device::{Device, Firmware};
pub(crate) use disk::CONFIG_DIR;
pub(crate) use files::{Files, Image};

/// What a step comes to: the life goes on, or a promise is broken.
pub(crate) type Step = Result<(), Violation>;

/// What comes at some time.
#[derive(Clone, Debug)]
enum Ev {
    /// What the plan has at this place.
    Happening(usize),
    Device {
        device: usize,
        power: u32,
        what: device::What,
    },
    Packet(Box<Packet>),
    /// What a task of the application has to say, as long as that life of it lasts.
    Host {
        life: u32,
        event: Box<Event>,
    },
    CommitEnds {
        life: u32,
    },
    Due {
        number: u64,
    },
    Knock {
        life: u32,
        update: UpdateId,
    },
    Session {
        session: u32,
        what: flash::What,
    },
    Build {
        life: u32,
        update: UpdateId,
        run: u32,
    },
    Scan {
        life: u32,
        number: u32,
    },
    /// The application is started.
    Start,
    Resume,
    /// The user looks at a device.
    Looks {
        device: usize,
    },
    /// Something that lasted is over.
    Over(faults::Over),
    Settle(settle::Stage),
}

/// A packet on its way to this computer.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) sender: IpAddr,
    pub(crate) sighting: Sighting,
    /// The device sent it itself.
    pub(crate) by: Option<usize>,
}

#[derive(Debug)]
struct Next {
    at: Ms,
    order: u64,
    what: Ev,
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Next {}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The wall-clock time when a life begins.
const EPOCH: i64 = 1_800_000_000_000;

/// No life has more steps than this: something goes in circles.
const MOST_STEPS: u64 = 400_000;

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World<'a> {
    plan: &'a Plan,
    pub(crate) now: Ms,
    queue: BinaryHeap<Reverse<Next>>,
    order: u64,
    rng: Rng,
    /// How far the computer's clock is off.
    clock: i64,
    /// By how much it is set when a transfer breaks off.
    jumps_at_failure: Option<i64>,
    house: Option<House>,
    /// Counts the starts of the application.
    life: u32,
    due_number: u64,
    /// The computer sleeps until then.
    resumes_at: Ms,
    /// Everything that passes between world and application is digested, to compare two runs.
    pub(crate) thorough: bool,
    disk: disk::Disk,
    pub(crate) devices: Vec<Device>,
    lan: network::Lan,
    files: Files,
    /// Every image that was ever built: what it is in truth.
    pub(crate) images: BTreeMap<Sha256, Image>,
    /// Those that lie in the artifact store.
    artifacts: BTreeSet<Sha256>,
    builds: BTreeMap<UpdateId, builder::Run>,
    builder: builder::Builder,
    sessions: BTreeMap<u32, flash::Session>,
    session_number: u32,
    targets: Vec<Target>,
    /// When each target is knocked at next.
    knocking: BTreeMap<UpdateId, Ms>,
    /// Connections that were reported and not yet used.
    connected: BTreeMap<UpdateId, IpAddr>,
    user: user::User,
    crashes: host::Crashes,
    settling: settle::Settling,
    pub(crate) judge: Judge,
    pub(crate) cover: Coverage,
    pub(crate) story: Story,
    pub(crate) digest: Digest,
    steps: u64,
}

impl<'a> World<'a> {
    pub(crate) fn new(plan: &'a Plan, story: Story) -> Self {
        let mut world = Self {
            plan,
            now: 0,
            queue: BinaryHeap::new(),
            order: 0,
            rng: Rng::of(plan.seed, 10),
            clock: 0,
            jumps_at_failure: None,
            house: None,
            life: 0,
            due_number: 0,
            resumes_at: 0,
            thorough: false,
            disk: disk::Disk::new(plan),
            devices: Vec::new(),
            lan: network::Lan::new(plan.host.loss),
            files: Files::new(plan),
            images: BTreeMap::new(),
            artifacts: BTreeSet::new(),
            builds: BTreeMap::new(),
            builder: builder::Builder::default(),
            sessions: BTreeMap::new(),
            session_number: 0,
            targets: Vec::new(),
            knocking: BTreeMap::new(),
            connected: BTreeMap::new(),
            user: user::User::default(),
            crashes: host::Crashes::new(plan.crash_at),
            settling: settle::Settling::default(),
            judge: Judge::default(),
            cover: Coverage::default(),
            story,
            digest: Digest::default(),
            steps: 0,
        };
        world.people();
        world
    }

    /// Puts devices and happenings in their places.
    fn people(&mut self) {
        for plan in &self.plan.devices {
            self.devices.push(Device::new(plan, self.plan.seed));
        }
        for device in 0..self.devices.len() {
            self.lan.holders.insert(self.devices[device].address, device);
            self.install_first_firmware(device);
            let at = self.devices[device].plan.first_wake;
            self.device_after(device, at, device::What::Boot);
        }
        for (place, happening) in self.plan.happenings.iter().enumerate() {
            self.at(happening.at, Ev::Happening(place));
        }
        self.at(0, Ev::Start);
        self.at(self.plan.length, Ev::Settle(settle::Stage::Calm));
        self.after(SECOND, Ev::Settle(settle::Stage::Patrol));
    }

    /// Lives it to its end.
    pub(crate) fn run(&mut self) -> Step {
        while let Some(Reverse(next)) = self.queue.pop() {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Err(self.broken("liveness", "the life goes on and on in circles"));
            }
            self.now = self.now.max(next.at);
            self.step(next.what)?;
            if self.settling.is_over() {
                break;
            }
        }
        self.end()
    }

    fn step(&mut self, what: Ev) -> Step {
        match what {
            Ev::Happening(place) => self.happening(place),
            Ev::Device { device, power, what } => self.device_step(device, power, what),
            Ev::Packet(packet) => self.arrives(*packet),
            Ev::Host { life, event } => self.host_says(life, *event),
            Ev::CommitEnds { life } => self.commit_ends(life),
            Ev::Due { number } => self.due(number),
            Ev::Knock { life, update } => self.knock(life, update),
            Ev::Session { session, what } => self.session_step(session, what),
            Ev::Build { life, update, run } => self.build_ends(life, update, run),
            Ev::Scan { life, number } => self.scan(life, number),
            Ev::Start => self.start(),
            Ev::Resume => self.resume(),
            Ev::Looks { device } => self.looks(device),
            Ev::Over(over) => self.over(over),
            Ev::Settle(stage) => self.settle(stage),
        }
    }

    fn at(&mut self, at: Ms, what: Ev) {
        self.order += 1;
        self.queue.push(Reverse(Next { at: at.max(self.now), order: self.order, what }));
    }

    fn after(&mut self, pause: Ms, what: Ev) {
        self.at(self.now + pause, what);
    }

    fn device_after(&mut self, device: usize, pause: Ms, what: device::What) {
        let power = self.devices[device].power_number;
        self.after(pause, Ev::Device { device, power, what });
    }

    /// What this computer's clock shows.
    pub(crate) fn wall(&self) -> Timestamp {
        let now = i64::try_from(self.now).unwrap_or(i64::MAX);
        Timestamp::from_millis(EPOCH + now + self.clock)
    }

    /// The place of the device with this key; `None`: it was taken out of the life.
    fn device_of(&self, key: u32) -> Option<usize> {
        self.devices.iter().position(|device| device.plan.key == key)
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        self.story.line(self.now, what);
    }

    fn broken(&self, promise: &'static str, what: impl Into<String>) -> Violation {
        Violation { promise, what: what.into(), at: self.now }
    }

    /// Whether this computer hears and reaches the network.
    fn is_online(&self) -> bool {
        self.house.is_some() && !self.is_suspended() && self.lan.down_until <= self.now
    }

    fn is_suspended(&self) -> bool {
        self.resumes_at > self.now
    }

    /// No wait of the application is longer than this.
    const LONGEST_SLEEP: Ms = MINUTE;
}
