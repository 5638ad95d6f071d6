//! Draws a life from its seed, before it begins.

use wakeflash_core::settings::ChangedSources;

use super::*;
use crate::rng::Rng;

impl Plan {
    /// Draws a life.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = Rng::of(seed, 1);
        let length = rng.between(10, 90) * MINUTE;
        let devices = draw_devices(&mut rng);
        let mut plan = Self {
            seed,
            length,
            host: draw_host(&mut rng),
            devices,
            happenings: Vec::new(),
            crash_at: None,
        };
        plan.draw_user(&mut rng);
        plan.draw_files(&mut rng);
        plan.draw_faults(&mut rng);
        plan.happenings.sort_by_key(|happening| happening.at);
        plan
    }

    /// A short life of one device: small enough to be ended at every one of its boundaries.
    pub(crate) fn draw_small(seed: u64) -> Self {
        let mut plan = Self::draw(seed);
        let mut rng = Rng::of(seed, 2);
        plan.length = 12 * MINUTE;
        plan.devices.retain(|device| device.key == 0);
        plan.happenings.retain(|happening| {
            !matches!(
                happening.what,
                What::Fault(Fault::Crash { .. } | Fault::Disk(DiskFault::Hangs, _))
            )
        });
        let mut kept = 0;
        plan.happenings.retain(|_| {
            kept += 1;
            kept <= 8
        });
        for happening in &mut plan.happenings {
            happening.at = happening.at.min(rng.between(1, 11) * MINUTE);
        }
        plan.at(5 * SECOND, What::User(UserAct::Install(0)));
        plan.happenings.sort_by_key(|happening| happening.at);
        plan
    }

    fn at(&mut self, at: Ms, what: What) {
        self.happenings.push(Happening { at, what });
    }

    fn any_device(&self, rng: &mut Rng) -> u32 {
        let own: Vec<u32> = self.devices.iter().filter(|d| !d.stranger).map(|d| d.key).collect();
        rng.pick(&own).copied().unwrap_or(0)
    }

    fn draw_user(&mut self, rng: &mut Rng) {
        let acts = rng.between(2, 14);
        let first = self.any_device(rng);
        self.at(rng.between(1, 300) * SECOND, What::User(UserAct::Install(first)));
        for _ in 0..acts {
            let at = rng.below(self.length);
            let device = self.any_device(rng);
            let act = match rng.below(40) {
                0..=12 => UserAct::Install(device),
                13..=15 => UserAct::Cancel(device),
                16..=18 => UserAct::Retry(device),
                19 | 20 => UserAct::Rebuild(device),
                21 | 22 => UserAct::FlashAnyway(device),
                23 => UserAct::Dismiss(device),
                24 | 25 => UserAct::InstallAll,
                26 => UserAct::CancelAll,
                27 => UserAct::SetAddress(device),
                28 | 29 => UserAct::Pause(rng.between(5, 900) * SECOND),
                30 | 31 => UserAct::Policy(policy(rng)),
                32 => UserAct::Limits(draw_limit(rng), draw_limit(rng)),
                // In time, or just not.
                35 | 36 => {
                    let undoes = at + rng.between(1, 20) * SECOND;
                    self.at(undoes, What::User(UserAct::Undo(device)));
                    UserAct::Cancel(device)
                }
                37 => UserAct::Previous(device),
                38 => UserAct::CancelInTransfer(device, rng.below(1_000)),
                33 | 34 => UserAct::OtherDirectory(rng.between(5, 600) * SECOND),
                _ => UserAct::List,
            };
            self.at(at, What::User(act));
        }
    }

    fn draw_files(&mut self, rng: &mut Rng) {
        if !rng.chance(600) {
            return;
        }
        for _ in 0..rng.between(1, 6) {
            let at = rng.below(self.length);
            let device = self.any_device(rng);
            let a_while = rng.between(1, 400) * SECOND;
            let act = match rng.below(16) {
                0..=4 => FileAct::Edit(device),
                5 => FileAct::EditForAWhile(device, a_while),
                6 | 7 => FileAct::EditShared,
                8 => FileAct::EditSecrets,
                9 | 10 => FileAct::EditCode(device),
                11 => FileAct::EditPassword(device),
                12 => FileAct::Break(device, a_while),
                13 => FileAct::Remove(device, a_while),
                _ => FileAct::Rename(device),
            };
            self.at(at, What::File(act));
        }
    }

    /// A life has a few kinds of faults, and those several times: all kinds at once hide each other.
    fn draw_faults(&mut self, rng: &mut Rng) {
        let kinds: Vec<u64> = (0..rng.below(7)).map(|_| rng.below(FAULT_KINDS)).collect();
        if kinds.is_empty() {
            return;
        }
        for _ in 0..rng.between(1, 10) {
            let at = rng.below(self.length);
            let kind = rng.pick(&kinds).copied().unwrap_or(0);
            let fault = self.draw_fault(kind, rng);
            self.at(at, What::Fault(fault));
        }
    }

    fn draw_fault(&self, kind: u64, rng: &mut Rng) -> Fault {
        let device = self.any_device(rng);
        let short = rng.between(1, 60) * SECOND;
        let long = rng.between(1, 30) * MINUTE;
        match kind {
            0..=4 => draw_crash(rng),
            5 => Fault::Disk(DiskFault::Fails, short),
            6 => Fault::Disk(DiskFault::Tears, short),
            7 => Fault::Disk(DiskFault::Hangs, short),
            8 => Fault::Disk(DiskFault::Slow(rng.between(10, 400)), long),
            9 => Fault::Host(HostFault::Suspend(long)),
            10 => {
                // A clock without a battery begins somewhere.
                let most = if rng.chance(400) { 30 * 24 * HOUR } else { 2 * HOUR };
                let by = i64::try_from(rng.between(SECOND, most)).unwrap_or(0);
                let by = if rng.chance(500) { by } else { -by };
                if rng.chance(500) {
                    Fault::Host(HostFault::ClockJumpAtFailure(by, device))
                } else {
                    Fault::Host(HostFault::ClockJump(by))
                }
            }
            11 => Fault::Network(NetworkFault::Down, short * 5),
            12 => Fault::Network(NetworkFault::Loses, long),
            13 => Fault::Network(NetworkFault::Delays, long),
            14 => Fault::Network(NetworkFault::Repeats, long),
            15 | 16 => Fault::Forged(Forgery::OldRecord, device),
            17 => Fault::Forged(Forgery::WantedRecord, device),
            18 => Fault::Forged(Forgery::Goodbye, device),
            19 => Fault::Forged(Forgery::Board, device),
            20 => Fault::Flood(rng.between(2, 8) * SECOND),
            21..=37 => Fault::Device(draw_device_fault(kind, short, long, rng), device),
            38 => Fault::Build(BuildFault::Breaks(device, long)),
            39 => Fault::Build(BuildFault::NoInternet(long)),
            40 => Fault::Build(BuildFault::Hangs(device, long)),
            41 => Fault::Build(BuildFault::NoEsphome(long)),
            42 => Fault::Build(BuildFault::EditsSources(device, long)),
            43 | 44 => Fault::Directory(DirectoryFault::Gone, long),
            45 => Fault::Directory(DirectoryFault::Empty, long),
            46 => Fault::Build(BuildFault::ImageLost(device)),
            47 => Fault::Build(BuildFault::ImagesUnreadable(short * 3)),
            48 | 49 => Fault::Device(DeviceFault::Posed(long), device),
            // That its gate finds the build there already takes some luck more.
            _ => Fault::Device(DeviceFault::WantedFirmware, device),
        }
    }
}

fn draw_device_fault(kind: u64, short: Ms, long: Ms, rng: &mut Rng) -> DeviceFault {
    match kind {
        21 => DeviceFault::NewAddress,
        22 => DeviceFault::AddressTaken,
        23 => DeviceFault::PowerLoss,
        24 => DeviceFault::PowerLossInTransfer(rng.below(1_000)),
        25 => DeviceFault::Cut {
            at: rng.below(1_001),
            times: u32::try_from(rng.between(1, 4)).unwrap_or(1),
        },
        26 => DeviceFault::CutAlways { at: rng.below(900), lasts: long },
        27 | 28 => DeviceFault::AcknowledgementLost,
        29 => DeviceFault::RefusesImage(u32::try_from(rng.between(1, 9)).unwrap_or(1)),
        30 => DeviceFault::RefusesForGood,
        31 => DeviceFault::OtherClient(short * 2),
        32 => DeviceFault::Brownout,
        33 => DeviceFault::SafeMode,
        34 => DeviceFault::OtherFirmware,
        35 => DeviceFault::WantedFirmware,
        36 => DeviceFault::NewBoard,
        _ => DeviceFault::OtherPassword,
    }
}

const FAULT_KINDS: u64 = 54;

fn draw_crash(rng: &mut Rng) -> Fault {
    let boundary = match rng.below(4) {
        0 => Boundary::Decided,
        1 => Boundary::Committing,
        2 => Boundary::Committed,
        _ => Boundary::Effect,
    };
    let down =
        if rng.chance(700) { rng.between(1, 20) * SECOND } else { rng.between(1, 20) * MINUTE };
    Fault::Crash { boundary, nth: u32::try_from(rng.between(1, 12)).unwrap_or(1), down }
}

fn draw_host(rng: &mut Rng) -> HostPlan {
    let slow_disk = rng.chance(150);
    HostPlan {
        policy: if rng.chance(600) { ChangedSources::Hold } else { policy(rng) },
        builds: draw_limit(rng),
        flashes: draw_limit(rng),
        commit: if slow_disk { (15, 60) } else { (1, 8) },
        build: if rng.chance(800) { (5 * SECOND, 40 * SECOND) } else { (MINUTE, 6 * MINUTE) },
        old_esphome: rng.chance(200),
        loss: if rng.chance(700) { 20 } else { 250 },
        decides_after: (5 * SECOND, rng.between(10, 300) * SECOND),
    }
}

fn draw_limit(rng: &mut Rng) -> u8 {
    u8::try_from(rng.between(1, 3)).unwrap_or(1)
}

fn policy(rng: &mut Rng) -> ChangedSources {
    match rng.below(3) {
        0 => ChangedSources::Hold,
        1 => ChangedSources::Rebuild,
        _ => ChangedSources::Flash,
    }
}

fn draw_devices(rng: &mut Rng) -> Vec<DevicePlan> {
    let own = u32::try_from(match rng.below(10) {
        0..=4 => 1,
        5..=7 => 2,
        8 => 3,
        _ => rng.between(3, 6),
    })
    .unwrap_or(1);
    let strangers = if rng.chance(400) { u32::try_from(rng.between(1, 2)).unwrap_or(0) } else { 0 };
    (0..own + strangers).map(|key| draw_device(key, key >= own, rng)).collect()
}

fn draw_device(key: u32, stranger: bool, rng: &mut Rng) -> DevicePlan {
    let sleeps = rng.chance(if stranger { 300 } else { 850 });
    let period = rng.between(40, 600) * SECOND;
    let window = if rng.chance(300) { rng.between(3, 8) } else { rng.between(8, 35) } * SECOND;
    let rhythm = sleeps.then(|| Rhythm {
        period,
        window: window.min(period / 2),
        jitter: if rng.chance(700) { rng.below(2_000) } else { rng.below(period / 3) },
        by_clock: rng.chance(300),
    });
    DevicePlan {
        key,
        stranger,
        rhythm,
        first_wake: rng.below(if sleeps { period } else { 20 * SECOND }),
        goodbye: if rng.chance(500) { 950 } else { rng.below(1_000) },
        voice: match rng.below(10) {
            0..=7 => Voice::Full,
            8 => Voice::NameOnly,
            _ => Voice::None,
        },
        hash_at_first: rng.chance(800),
        says_plan: rng.chance(500),
        literal_address: rng.chance(200),
        repeater: rng.chance(150),
        own_key: rng.chance(300),
        password: rng.chance(500),
        rtt: if rng.chance(600) { rng.between(2, 30) } else { rng.between(60, 300) },
        api: match rng.below(10) {
            0..=2 => None,
            3..=8 => Some(rng.between(5, 200)),
            _ => Some(rng.between(200, 5_000)),
        },
        size: rng.between(120_000, 600_000),
        bytes_per_ms: rng.between(20, 120),
    }
}
