//! What goes wrong.

use core::net::IpAddr;

use wakeflash_core::device::{ConfigHash, MacAddress, Sighting, SightingKind, Source};

use super::{Ev, Packet, Step, World};
use crate::plan::{
    BuildFault, DeviceFault, DirectoryFault, DiskFault, Fault, Forgery, HostFault, Ms,
    NetworkFault, What,
};

/// Something that lasted, or was to come, is over or comes now.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    Brownout {
        device: usize,
        power: u32,
    },
    /// A device's record runs out of the resolver's cache.
    Cached {
        device: usize,
    },
    /// The config directory is back.
    Directory,
    Network,
    /// A host is again who it is.
    Pose {
        poser: usize,
    },
    Esphome,
    /// The next packet of a flood.
    Flood {
        until: Ms,
        number: u32,
    },
    Pause,
    OtherDirectory,
    /// A file is again as it was.
    File {
        key: u32,
        content: Option<u64>,
    },
    Mended {
        key: u32,
    },
    Install {
        device: u32,
    },
    /// A transfer has come as far as the user lets it.
    Cancel {
        key: u32,
    },
}

/// The host that says what others said.
const THIRD_HOST: [u8; 4] = [192, 0, 2, 9];

impl World<'_> {
    pub(super) fn happening(&mut self, place: usize) -> Step {
        let Some(happening) = self.plan.happenings.get(place) else { return Ok(()) };
        self.disturb();
        match happening.what.clone() {
            What::User(act) => self.user_acts(act),
            What::File(act) => {
                self.file_acts(act);
                Ok(())
            }
            What::Fault(fault) => {
                self.tell(|| format!("fault: {fault:?}"));
                self.strike(fault)
            }
        }
    }

    fn strike(&mut self, fault: Fault) -> Step {
        match fault {
            Fault::Crash { boundary, nth, down } => self.crashes.arm(boundary, nth, down),
            Fault::Disk(fault, lasts) => self.strike_disk(fault, lasts),
            Fault::Host(fault) => self.strike_host(fault),
            Fault::Network(fault, lasts) => return self.strike_network(fault, lasts),
            Fault::Forged(forgery, key) => self.forge(forgery, key),
            Fault::Flood(lasts) => {
                let until = self.now + lasts;
                self.after(0, Ev::Over(Over::Flood { until, number: 0 }));
            }
            Fault::Build(fault) => self.strike_builder(fault),
            Fault::Directory(fault, lasts) => {
                let until = self.now + lasts;
                match fault {
                    DirectoryFault::Gone => self.files.gone_until = until,
                    DirectoryFault::Empty => self.files.empty_until = until,
                }
                self.files_changed();
                self.after(lasts + 1, Ev::Over(Over::Directory));
            }
            Fault::Device(fault, key) => {
                if let Some(device) = self.device_of(key) {
                    self.strike_device(fault, device);
                }
            }
        }
        Ok(())
    }

    fn strike_disk(&mut self, fault: DiskFault, lasts: Ms) {
        let until = self.now + lasts;
        match fault {
            DiskFault::Fails => self.disk.fails_until = until,
            DiskFault::Tears => self.disk.tears_until = until,
            DiskFault::Hangs => self.disk.hangs_until = until,
            DiskFault::Slow(by) => self.disk.slow_until = (until, by),
        }
    }

    fn strike_host(&mut self, fault: HostFault) {
        match fault {
            HostFault::Suspend(lasts) => {
                self.cover.struck("the computer is suspended");
                self.resumes_at = self.resumes_at.max(self.now + lasts);
                self.judge.suspended(self.now, lasts);
                self.at(self.resumes_at, Ev::Resume);
            }
            HostFault::ClockJump(by) => self.clock_jumps(by),
            HostFault::ClockJumpAtFailure(by, key) => {
                self.jumps_at_failure = Some(by);
                if let Some(device) = self.device_of(key) {
                    self.devices[device].trouble.cut = Some((500, 1));
                }
            }
        }
    }

    fn clock_jumps(&mut self, by: i64) {
        self.cover.struck(if by > 0 {
            "the clock is set forward"
        } else {
            "the clock is set back"
        });
        self.clock += by;
        self.judge.clock_is_set(self.now);
    }

    /// A transfer has broken off.
    pub(super) fn clock_jumps_at_failure(&mut self) {
        if let Some(by) = self.jumps_at_failure.take() {
            self.disturb();
            self.clock_jumps(by);
        }
    }

    fn strike_network(&mut self, fault: NetworkFault, lasts: Ms) -> Step {
        let until = self.now + lasts;
        match fault {
            NetworkFault::Down => {
                self.cover.struck("there is no network");
                self.lan.down_until = until;
                self.after(lasts, Ev::Over(Over::Network));
                let open: Vec<u32> = self.sessions.keys().copied().collect();
                for session in open {
                    self.session_after(session, 10, super::flash::What::Cut);
                }
                return self.say(crate::house::Event::Network { connected: false });
            }
            NetworkFault::Loses => self.lan.lossy_until = until,
            NetworkFault::Delays => self.lan.slow_until = until,
            NetworkFault::Repeats => self.lan.echoes_until = until,
        }
        Ok(())
    }

    /// A third host speaks of a device.
    fn forge(&mut self, forgery: Forgery, key: u32) {
        let Some(device) = self.device_of(key) else { return };
        let Some(old) = self.devices[device].first_record.clone() else { return };
        let sender = IpAddr::from(THIRD_HOST);
        let old = Sighting { source: Source::Packet(sender), ..old };
        let (kind, sighting) = match forgery {
            Forgery::OldRecord => ("a third host says an old record", old),
            Forgery::WantedRecord => {
                let Some((hash, version)) = self.wanted_hash(key) else { return };
                let sighting = Sighting { config_hash: Some(hash), version: Some(version), ..old };
                ("a third host says that the wanted firmware runs", sighting)
            }
            Forgery::Goodbye => (
                "a third host takes a device's leave",
                Sighting { kind: SightingKind::Gone, addresses: Vec::new(), ..old },
            ),
            Forgery::Board => (
                "a third host has the name of a device",
                Sighting { mac: Some(MacAddress([0x02, 0xBB, 0, 0, 0, 1])), ..old },
            ),
        };
        self.cover.struck(kind);
        self.after(1, Ev::Packet(Box::new(Packet { sender, sighting, by: None })));
    }

    /// What the device of this key is to get.
    fn wanted_hash(&self, key: u32) -> Option<(ConfigHash, String)> {
        let update = self.active_of(key)?;
        let build = &update.state.delivery()?.build;
        Some((build.config_hash?, build.esphome_version.clone()?))
    }

    fn strike_builder(&mut self, fault: BuildFault) {
        let now = self.now;
        let builder = &mut self.builder;
        match fault {
            BuildFault::Breaks(key, lasts) => drop(builder.breaks.insert(key, now + lasts)),
            BuildFault::NoInternet(lasts) => builder.offline_until = now + lasts,
            BuildFault::Hangs(key, lasts) => drop(builder.hangs.insert(key, now + lasts)),
            BuildFault::NoEsphome(lasts) => {
                builder.gone_until = now + lasts;
                self.after(lasts + 1, Ev::Over(Over::Esphome));
            }
            BuildFault::EditsSources(key, lasts) => drop(builder.edits.insert(key, now + lasts)),
            BuildFault::ImageLost(key) => self.an_image_is_lost(key),
            BuildFault::ImagesUnreadable(lasts) => builder.images_unreadable_until = now + lasts,
        }
    }

    fn an_image_is_lost(&mut self, key: u32) {
        let image = self
            .active_of(key)
            .and_then(|update| Some((update.id, update.state.delivery()?.build.image.clone())));
        if let Some((update, image)) = image
            && self.artifacts.remove(&image)
        {
            self.cover.struck("an image is lost");
            self.judge.may_fail(update, "its image was lost");
        }
    }

    fn strike_device(&mut self, fault: DeviceFault, device: usize) {
        let now = self.now;
        let it = &mut self.devices[device];
        match fault {
            DeviceFault::NewAddress => it.new_address = true,
            DeviceFault::Posed(lasts) => self.is_posed_as(device, lasts),
            DeviceFault::AddressTaken => self.address_is_taken(device),
            DeviceFault::PowerLoss => self.loses_power(device),
            DeviceFault::PowerLossInTransfer(at) => it.trouble.power_loss = Some(at),
            DeviceFault::Cut { at, times } => it.trouble.cut = Some((at, times)),
            DeviceFault::CutAlways { at, lasts } => it.trouble.cut_always = Some((at, now + lasts)),
            DeviceFault::AcknowledgementLost => it.trouble.acknowledgement_lost = true,
            DeviceFault::RefusesImage(times) => it.trouble.refuses = times,
            DeviceFault::RefusesForGood => it.trouble.refuses_for_good = true,
            DeviceFault::OtherClient(lasts) => it.other_client_until = now + lasts,
            DeviceFault::Brownout => it.trouble.brownout = true,
            DeviceFault::SafeMode => it.next_is_safe_mode = true,
            DeviceFault::OtherFirmware => self.flashed_by_others(device, false),
            DeviceFault::WantedFirmware => self.flashed_by_others(device, true),
            DeviceFault::NewBoard => self.gets_new_board(device),
            DeviceFault::OtherPassword => {
                if it.firmware.password.is_some() {
                    it.firmware.password = Some("nobody's".to_owned());
                    self.judge.password_changed(device);
                }
            }
        }
    }

    /// Somebody else gets the address of a device that sleeps.
    fn address_is_taken(&mut self, device: usize) {
        if self.devices[device].is_on || self.devices[device].plan.literal_address {
            return;
        }
        let other = (0..self.devices.len())
            .find(|other| *other != device && self.devices[*other].plan.stranger);
        let Some(other) = other else { return };
        self.cover.struck("another device has the address");
        let address = self.devices[device].address;
        let old = std::mem::replace(&mut self.devices[other].address, address);
        self.lan.holders.remove(&old);
        self.lan.holders.insert(address, other);
        self.devices[device].new_address = true;
        self.knock_where(other);
    }

    /// Over a cable, by somebody else: a third firmware, or the very one that an update is to bring.
    fn flashed_by_others(&mut self, device: usize, wanted: bool) {
        let key = self.devices[device].plan.key;
        // The last one as well: what has rolled back may be brought again.
        let image = self
            .active_of(key)
            .or_else(|| self.last_of(key))
            .filter(|_| wanted)
            .and_then(|update| self.images.get(&update.state.delivery()?.build.image))
            // The file of that name in another directory is for another device.
            .filter(|image| image.device == Some(key));
        let firmware = match image {
            Some(image) => image.firmware.clone(),
            None if wanted => return,
            None => {
                let it = &mut self.devices[device];
                let hash = ConfigHash(u32::try_from(it.rng.next() >> 32).unwrap_or(0));
                let image = wakeflash_core::update::Sha256(format!("{:064x}", it.rng.next()));
                super::Firmware {
                    image,
                    hash: it.firmware.hash.map(|_| hash),
                    ..it.firmware.clone()
                }
            }
        };
        self.cover.struck(if wanted {
            "somebody else brings the wanted firmware"
        } else {
            "somebody else brings a third firmware"
        });
        let it = &mut self.devices[device];
        it.takes(firmware);
        (it.on_trial, it.previous) = (false, None);
        self.judge.flashed_by_others(device);
        if self.devices[device].is_on {
            self.loses_power(device);
        }
    }

    /// Another board under the same name.
    fn gets_new_board(&mut self, device: usize) {
        if self.devices[device].plan.voice != crate::plan::Voice::Full {
            return;
        }
        self.cover.struck("the board is replaced");
        let it = &mut self.devices[device];
        let MacAddress([a, b, board, c, d, e]) = it.mac;
        it.mac = MacAddress([a, b, board.wrapping_add(1), c, d, e]);
        self.judge.new_board(device);
        self.end_perfect_poses();
        self.flashed_by_others(device, false);
    }

    pub(super) fn over(&mut self, over: Over) -> Step {
        match over {
            Over::Brownout { device, power } => {
                if self.devices[device].power_number == power && self.devices[device].is_on {
                    self.cover.struck("the new firmware ends before it was marked as good");
                    self.loses_power(device);
                }
                Ok(())
            }
            Over::Cached { device } => self.runs_out(device),
            Over::Directory => {
                self.scan_after(500);
                Ok(())
            }
            Over::Network => self.say(crate::house::Event::Network { connected: true }),
            Over::Esphome => {
                self.find_builder();
                Ok(())
            }
            Over::Pose { poser } => self.pose_is_over(poser),
            Over::Flood { until, number } => self.flood(until, number),
            Over::Pause => {
                self.ask(crate::house::Request::Change(crate::house::Change::Paused(false)))
            }
            Over::OtherDirectory => {
                let dir = super::disk::CONFIG_DIR.to_owned();
                self.ask(crate::house::Request::Change(crate::house::Change::Directory(dir)))
            }
            Over::File { key, content } => {
                self.file_is_back(key, content);
                Ok(())
            }
            Over::Mended { key } => {
                self.files.set_broken(&format!("dev{key}.yaml"), false);
                self.files_changed();
                Ok(())
            }
            Over::Install { device } => self.user_acts(crate::plan::UserAct::Install(device)),
            Over::Cancel { key } => self.user_acts(crate::plan::UserAct::Cancel(key)),
        }
    }

    /// A hundred announcements in a second, each with news.
    fn flood(&mut self, until: Ms, number: u32) -> Step {
        if self.now >= until || self.is_calm() {
            return Ok(());
        }
        self.cover.struck("a flood of announcements");
        self.after(10, Ev::Over(Over::Flood { until, number: number + 1 }));
        let Some(it) = self.devices.first() else { return Ok(()) };
        let Some(old) = it.first_record.clone() else { return Ok(()) };
        let sender = IpAddr::from(THIRD_HOST);
        // Some of it is about a device.
        let own = number % 4 == 3;
        let name = if own { it.firmware.name.clone() } else { format!("flood{}", number % 4) };
        let sighting = Sighting {
            name,
            friendly_name: Some(format!("News {number}")),
            addresses: vec![sender],
            source: Source::Packet(sender),
            mac: Some(MacAddress([0x02, 0xFF, 0, 0, 0, u8::try_from(number % 4).unwrap_or(0)])),
            ..old
        };
        self.arrives(Packet { sender, sighting, by: None })
    }
}
