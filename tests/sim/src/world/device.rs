//! Model devices: when they are awake, what runs on them, what they say.

use core::net::{IpAddr, Ipv4Addr};

use wakeflash_core::device::{ConfigHash, MacAddress, Sighting, SightingKind, Source};
use wakeflash_core::update::Sha256;

use super::{Ev, Packet, Step, World};
use crate::plan::{DevicePlan, MINUTE, Ms, SECOND, Voice};
use crate::rng::Rng;

/// What comes next in a device's life.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Boot,
    /// Its network is up, and its OTA port open.
    Listens,
    /// So many announcements are still to come.
    Announces(u32),
    Sleeps,
    MarksGood,
    /// It refreshes what others keep of it.
    Speaks,
    /// An update that waits for it should have begun.
    ShouldBeServed,
}

/// What runs on a device, in truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Firmware {
    pub(crate) image: Sha256,
    /// As it is announced; older firmware has none.
    pub(crate) hash: Option<ConfigHash>,
    pub(crate) version: String,
    pub(crate) name: String,
    pub(crate) password: Option<String>,
    /// An orderly end marks it as good.
    pub(crate) good_at_shutdown: bool,
}

/// What goes wrong with a device's next transfers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trouble {
    /// Cut at this part of a thousand, so many times.
    pub(crate) cut: Option<(u64, u32)>,
    pub(crate) cut_always: Option<(u64, Ms)>,
    pub(crate) power_loss: Option<u64>,
    pub(crate) acknowledgement_lost: bool,
    pub(crate) refuses: u32,
    pub(crate) refuses_for_good: bool,
    pub(crate) brownout: bool,
}

/// Whom a host says it was.
#[derive(Clone, Debug)]
pub(crate) struct Pose {
    /// The device.
    pub(super) of: usize,
    pub(super) name: String,
    pub(super) mac: MacAddress,
}

/// A device.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) plan: DevicePlan,
    pub(crate) mac: MacAddress,
    pub(crate) address: IpAddr,
    pub(crate) firmware: Firmware,
    /// What a rollback brings back.
    pub(crate) previous: Option<Firmware>,
    /// The firmware hasn't been marked as good.
    pub(crate) on_trial: bool,
    /// It has booted once with it.
    pub(crate) trial_begun: bool,
    /// It has rolled back from these.
    pub(crate) fell_from: Vec<Sha256>,
    /// Every image that was on it.
    pub(crate) ran: Vec<Sha256>,
    /// Every hash that it may have said.
    pub(crate) hashes: Vec<ConfigHash>,
    pub(crate) rng: Rng,
    /// Each change of its power has a number; what was planned for an earlier one is void.
    pub(crate) power_number: u32,
    pub(crate) is_on: bool,
    pub(crate) listens: bool,
    pub(crate) since: Ms,
    pub(crate) sleeps_at: Option<Ms>,
    pub(crate) wakes_planned: Ms,
    pub(crate) session: Option<u32>,
    /// It waits in a blocking read, or takes an image: it can't sleep.
    pub(crate) held: bool,
    pub(crate) other_client_until: Ms,
    pub(crate) next_is_safe_mode: bool,
    pub(crate) safe_mode: bool,
    /// It has been at least once.
    pub(crate) was_in_safe_mode: bool,
    pub(crate) new_address: bool,
    pub(crate) trouble: Trouble,
    pub(crate) pose: Option<Pose>,
    /// What it announced last, for those who say it again.
    pub(crate) said: Option<Sighting>,
    pub(crate) first_record: Option<Sighting>,
}

impl Device {
    pub(crate) fn new(plan: &DevicePlan, seed: u64) -> Self {
        let last = u8::try_from(plan.key + 10).unwrap_or(250);
        Self {
            plan: plan.clone(),
            mac: MacAddress([0x02, 0, 0, 0, 0, last]),
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
            firmware: Firmware {
                image: Sha256(String::new()),
                hash: None,
                version: String::new(),
                name: String::new(),
                password: None,
                good_at_shutdown: true,
            },
            previous: None,
            on_trial: false,
            trial_begun: false,
            fell_from: Vec::new(),
            ran: Vec::new(),
            hashes: Vec::new(),
            rng: Rng::of(seed, 100 + u64::from(plan.key)),
            power_number: 0,
            is_on: false,
            listens: false,
            since: 0,
            sleeps_at: None,
            wakes_planned: plan.first_wake,
            session: None,
            held: false,
            other_client_until: 0,
            next_is_safe_mode: false,
            safe_mode: false,
            was_in_safe_mode: false,
            new_address: false,
            trouble: Trouble::default(),
            pose: None,
            said: None,
            first_record: None,
        }
    }

    pub(crate) fn voice(&self) -> Voice {
        match self.plan.voice {
            Voice::Full if self.safe_mode => Voice::NameOnly,
            Voice::Full => Voice::Full,
            Voice::NameOnly => Voice::NameOnly,
            Voice::None => Voice::None,
        }
    }

    /// Puts a firmware on it.
    pub(crate) fn takes(&mut self, firmware: Firmware) {
        self.ran.push(firmware.image.clone());
        self.hashes.extend(firmware.hash);
        self.firmware = firmware;
    }

    /// What it says now by mDNS; `None`: it says nothing.
    pub(crate) fn record(&self) -> Option<Sighting> {
        let own = self.own_record()?;
        Some(match &self.pose {
            Some(pose) => Sighting { name: pose.name.clone(), mac: Some(pose.mac), ..own },
            None => own,
        })
    }

    /// What it says over its API.
    pub(super) fn over_api(&self) -> Sighting {
        Sighting {
            source: Source::Answer(self.address),
            mac: Some(self.mac),
            version: Some(self.firmware.version.clone()),
            ..self.bare_record()
        }
    }

    fn own_record(&self) -> Option<Sighting> {
        let bare = self.bare_record();
        match self.voice() {
            Voice::None => None,
            Voice::NameOnly => Some(bare),
            Voice::Full => Some(Sighting {
                mac: Some(self.mac),
                version: Some(self.firmware.version.clone()),
                config_hash: self.firmware.hash,
                ..bare
            }),
        }
    }

    fn bare_record(&self) -> Sighting {
        Sighting {
            name: self.firmware.name.clone(),
            source: Source::Packet(self.address),
            kind: SightingKind::Alive,
            addresses: vec![self.address],
            mac: None,
            link_address: None,
            version: None,
            config_hash: None,
            stamp: None,
            friendly_name: None,
            platform: None,
        }
    }

    /// How long until its next wake, from its going to sleep.
    fn sleeps_for(&mut self, now: Ms) -> Ms {
        let Some(rhythm) = self.plan.rhythm else { return 10 * SECOND + self.rng.below(MINUTE) };
        let jitter = self.rng.below(rhythm.jitter + 1);
        if rhythm.by_clock {
            while self.wakes_planned <= now {
                self.wakes_planned += rhythm.period;
            }
            return self.wakes_planned - now + jitter;
        }
        let sleep = rhythm.period.saturating_sub(rhythm.window).max(5 * SECOND);
        sleep + jitter
    }
}

impl World<'_> {
    pub(super) fn device_step(&mut self, device: usize, power: u32, what: What) -> Step {
        if self.devices[device].power_number != power {
            return Ok(());
        }
        match what {
            What::Boot => self.boots(device),
            What::Listens => self.listens(device),
            What::Announces(left) => {
                self.speaks(device);
                if left > 1 {
                    self.device_after(device, SECOND, What::Announces(left - 1));
                }
                Ok(())
            }
            What::Sleeps => self.goes_to_sleep(device),
            What::ShouldBeServed => self.wake_is_over(device),
            What::MarksGood => {
                self.devices[device].on_trial = false;
                Ok(())
            }
            What::Speaks => {
                self.speaks(device);
                let pause = 80 * SECOND + self.devices[device].rng.below(20 * SECOND);
                self.device_after(device, pause, What::Speaks);
                Ok(())
            }
        }
    }

    /// Power, or the end of its sleep.
    fn boots(&mut self, device: usize) -> Step {
        let now = self.now;
        let it = &mut self.devices[device];
        it.power_number += 1;
        it.is_on = true;
        it.listens = false;
        it.since = now;
        (it.session, it.held) = (None, false);
        it.safe_mode = std::mem::take(&mut it.next_is_safe_mode);
        it.was_in_safe_mode |= it.safe_mode;
        if it.on_trial && it.trial_begun {
            // The bootloader goes back to what was there before.
            if let Some(previous) = it.previous.take() {
                it.fell_from.push(it.firmware.image.clone());
                it.takes(previous);
            }
            it.on_trial = false;
        }
        it.trial_begun = it.on_trial;
        if self.devices[device].new_address {
            self.gets_new_address(device);
        }
        let it = &mut self.devices[device];
        let window = match it.plan.rhythm {
            _ if it.safe_mode => Some(5 * MINUTE),
            Some(rhythm) => Some(rhythm.window),
            None => None,
        };
        it.sleeps_at = window.map(|window| now + window);
        let up = 200 + it.rng.below(900);
        let name = it.firmware.name.clone();
        self.tell(|| format!("{name} boots"));
        self.device_after(device, up, What::Listens);
        if let Some(window) = window {
            self.device_after(device, window, What::Sleeps);
        }
        if self.devices[device].on_trial {
            self.device_after(device, MINUTE, What::MarksGood);
        }
        Ok(())
    }

    pub(crate) fn must_be_served(&mut self, device: usize, within: Ms) {
        self.device_after(device, within, What::ShouldBeServed);
    }

    fn listens(&mut self, device: usize) -> Step {
        let it = &mut self.devices[device];
        it.listens = true;
        let probe = it.rng.below(100);
        self.device_after(device, probe, What::Announces(3));
        if self.devices[device].plan.rhythm.is_none() {
            self.device_after(device, 90 * SECOND, What::Speaks);
        }
        self.wake_begins(device);
        self.knock_where(device);
        Ok(())
    }

    /// It says who and where it is, and what it runs.
    pub(super) fn speaks(&mut self, device: usize) {
        let it = &mut self.devices[device];
        if !it.listens {
            return;
        }
        let Some(record) = it.record() else { return };
        if it.first_record.is_none() {
            it.first_record = Some(record.clone());
        }
        it.said = Some(record.clone());
        let sender = it.address;
        self.send(Packet { sender, sighting: record, by: Some(device) });
    }

    fn goes_to_sleep(&mut self, device: usize) -> Step {
        let it = &mut self.devices[device];
        if it.held {
            // It sleeps when it is let go.
            it.sleeps_at = Some(self.now);
            return Ok(());
        }
        if it.firmware.good_at_shutdown {
            it.on_trial = false;
        }
        let says = it.rng.chance(it.plan.goodbye) && it.listens;
        let goodbye = it.record().filter(|_| says).map(|record| Sighting {
            kind: SightingKind::Gone,
            addresses: Vec::new(),
            ..record
        });
        let (name, sender) = (it.firmware.name.clone(), it.address);
        self.tell(|| format!("{name} goes to sleep"));
        let quiet = goodbye.is_none();
        if let Some(sighting) = goodbye {
            self.send(Packet { sender, sighting, by: Some(device) });
        }
        self.goes_dark(device, quiet);
        let pause = self.devices[device].sleeps_for(self.now);
        self.device_after(device, pause, What::Boot);
        Ok(())
    }

    /// Its power is gone, and comes back after a while.
    pub(super) fn loses_power(&mut self, device: usize) {
        if !self.devices[device].is_on {
            return;
        }
        let name = self.devices[device].firmware.name.clone();
        self.tell(|| format!("{name} loses its power"));
        self.disturb();
        self.goes_dark(device, true);
        let pause = self.devices[device].sleeps_for(self.now);
        self.device_after(device, pause, What::Boot);
    }

    fn goes_dark(&mut self, device: usize, quiet: bool) {
        let it = &mut self.devices[device];
        it.power_number += 1;
        (it.is_on, it.listens, it.held) = (false, false, false);
        let session = it.session.take();
        if let Some(session) = session {
            self.session_lost_its_device(session);
        }
        self.device_is_away(device, quiet);
    }

    /// After an update: it starts anew with the new firmware.
    pub(super) fn reboots(&mut self, device: usize) {
        let it = &mut self.devices[device];
        it.power_number += 1;
        (it.listens, it.held, it.session) = (false, false, None);
        let pause = 100 + SECOND + it.rng.below(3 * SECOND);
        self.device_after(device, pause, What::Boot);
        if self.devices[device].trouble.brownout {
            self.devices[device].trouble.brownout = false;
            // In the first seconds of the new firmware.
            let number = self.devices[device].power_number + 1;
            self.after(
                pause + 2 * SECOND,
                Ev::Over(super::faults::Over::Brownout { device, power: number }),
            );
        }
    }

    /// The connection is over: what was put off while it was held comes now.
    pub(super) fn is_let_go(&mut self, device: usize) {
        let it = &mut self.devices[device];
        (it.held, it.session) = (false, None);
        if it.is_on && it.sleeps_at.is_some_and(|at| at <= self.now) {
            self.device_after(device, 200, What::Sleeps);
        }
        self.knock_where(device);
    }

    fn gets_new_address(&mut self, device: usize) {
        let it = &mut self.devices[device];
        it.new_address = false;
        let first = it.rng.below(120);
        let free = (0..120).map(|next| {
            let octet = 100 + u8::try_from((first + next) % 120).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, octet))
        });
        let Some(address) = free.into_iter().find(|it| !self.lan.holders.contains_key(it)) else {
            return;
        };
        let old = std::mem::replace(&mut self.devices[device].address, address);
        if self.lan.holders.get(&old) == Some(&device) {
            self.lan.holders.remove(&old);
        }
        self.lan.holders.insert(address, device);
    }
}
