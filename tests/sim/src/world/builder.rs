//! ESPHome: builds that succeed, fail for good, fail for a moment, hang, and change their own sources.

use std::collections::BTreeMap;

use wakeflash_core::build_failure::{BuildFailure, Lack};
use wakeflash_core::device::DeviceId;
use wakeflash_core::dispatch::Builder as Found;
use wakeflash_core::error::Problem;
use wakeflash_core::schedule::SleepPlan;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{
    Api, Before, Build, Encryption, OtaMethod, OtaParameters, Secret, Sha256, SourceChange,
    UpdateId,
};

use super::files::{NEW, OLD};
use super::{Ev, Image, Step, World};
use crate::house::{Event, ImageTrouble};
use crate::plan::{DevicePlan, Ms, SECOND, Voice};

/// A build that runs.
#[derive(Debug)]
pub(super) struct Run {
    number: u32,
    file: DeviceId,
    dir: String,
    end: End,
}

#[derive(Debug)]
enum End {
    Built(Box<Image>),
    /// Something was missing that comes back.
    Passing(BuildFailure),
    ForGood(Problem),
}

/// What is wrong with it, and until when.
#[derive(Debug, Default)]
pub(super) struct Builder {
    number: u32,
    pub(super) gone_until: Ms,
    pub(super) offline_until: Ms,
    pub(super) breaks: BTreeMap<u32, Ms>,
    pub(super) hangs: BTreeMap<u32, Ms>,
    pub(super) edits: BTreeMap<u32, Ms>,
    pub(super) images_unreadable_until: Ms,
}

fn lasts(until: Option<&Ms>, now: Ms) -> Option<Ms> {
    until.copied().filter(|until| *until > now)
}

fn passing(lack: Lack, code: &str, message: &str) -> End {
    End::Passing(BuildFailure::again(lack, Problem::new(code, message)))
}

fn for_good(code: &str, message: &str) -> End {
    End::ForGood(Problem::new(code, message))
}

impl World<'_> {
    pub(super) fn version(&self) -> &'static str {
        if self.plan.host.old_esphome { OLD } else { NEW }
    }

    pub(super) fn find_builder(&mut self) {
        let life = self.life;
        let found = if self.builder.gone_until > self.now {
            self.cover.struck("ESPHome isn't found");
            Found::Missing
        } else {
            Found::Ready { version: self.version().to_owned() }
        };
        let pause = self.rng.between(100, 1_500);
        self.after(pause, Ev::Host { life, event: Box::new(Event::Builder(found)) });
    }

    pub(super) fn build_begins(
        &mut self,
        update: UpdateId,
        file: &DeviceId,
        dir: Option<String>,
    ) -> Step {
        self.judge.work_begins("a build", self.now)?;
        let dir = dir.unwrap_or_default();
        self.judge_has_files(&dir)?;
        let (least, most) = self.plan.host.build;
        let (mut takes, end) = match self.early_end(&dir) {
            Some((takes, end)) => (takes, end),
            None => (self.rng.between(least, most), self.late_end(&dir, file)),
        };
        let key = key_of(file);
        if let Some(until) = lasts(self.builder.hangs.get(&key), self.now) {
            self.cover.struck("a build hangs");
            takes += until - self.now;
        }
        self.builder.number += 1;
        let run = Run { number: self.builder.number, file: file.clone(), dir, end };
        let number = run.number;
        self.builds.insert(update, run);
        let life = self.life;
        self.after(takes, Ev::Build { life, update, run: number });
        self.judge.work_runs(self.builds.len(), 0, self.now)
    }

    /// What ends a build before anything is compiled.
    fn early_end(&mut self, dir: &str) -> Option<(Ms, End)> {
        if self.builder.gone_until > self.now {
            self.cover.struck("ESPHome doesn't start");
            return Some((
                50,
                passing(Lack::Esphome, "esphome.not_started", "ESPHome doesn't start."),
            ));
        }
        if !self.files.is_there(dir, self.now) {
            self.cover.struck("a build without the config directory");
            return Some((
                200,
                passing(Lack::Directory, "config_dir.missing", "The directory isn't there."),
            ));
        }
        None
    }

    fn late_end(&mut self, dir: &str, file: &DeviceId) -> End {
        let key = key_of(file);
        if self.builder.offline_until > self.now {
            self.cover.struck("a build finds no network");
            return passing(Lack::Network, "build.download", "A download failed: no network.");
        }
        if lasts(self.builder.breaks.get(&key), self.now).is_some() {
            self.cover.struck("a build fails for good");
            return for_good("build.failed", "The configuration has an error in line 7.");
        }
        match self.files.build(dir, file, self.version()) {
            Some(image) => End::Built(Box::new(image)),
            None => for_good("build.invalid", "The configuration can't be read."),
        }
    }

    pub(super) fn build_ends(&mut self, life: u32, update: UpdateId, number: u32) -> Step {
        if life != self.life || self.builds.get(&update).is_none_or(|run| run.number != number) {
            return Ok(());
        }
        if self.is_suspended() {
            self.at(self.resumes_at, Ev::Build { life, update, run: number });
            return Ok(());
        }
        let Some(run) = self.builds.remove(&update) else { return Ok(()) };
        let result = match run.end {
            End::Passing(failure) => Err(failure),
            End::ForGood(problem) => {
                self.judge.may_fail(update, "its build failed for good");
                Err(problem.into())
            }
            End::Built(image) => {
                self.judge.built(update, self.now)?;
                Ok(self.built(&run.dir, &run.file, *image))
            }
        };
        self.say(Event::BuildEnded { update, result })
    }

    fn built(&mut self, dir: &str, file: &DeviceId, image: Image) -> (Build, Vec<SourceChange>) {
        let key = key_of(file);
        if lasts(self.builder.edits.get(&key), self.now).is_some() {
            self.cover.struck("a build changes its own sources");
            let version = self.rng.next();
            self.files.edit(&format!("made/{key}.h"), version);
            self.scan_after(SECOND);
        }
        let changes = self.files.changes(dir, &image.sources, self.now).unwrap_or_default();
        let build = self.describe(&image);
        self.artifacts.insert(build.image.clone());
        self.images.insert(build.image.clone(), image);
        (build, changes)
    }

    fn describe(&self, image: &Image) -> Build {
        let of_device = self.plan.devices.iter().find(|it| Some(it.key) == image.device);
        let rhythm = of_device.and_then(|it| it.rhythm);
        let firmware = &image.firmware;
        Build {
            image: firmware.image.clone(),
            size: image.size,
            config_hash: firmware.hash,
            esphome_version: Some(firmware.version.clone()),
            built_at: Timestamp::from_millis(self.wall().as_millis()),
            name: firmware.name.clone(),
            mac_suffix: false,
            before: Before::default(),
            sources: image.sources.clone(),
            ota: OtaParameters {
                method: OtaMethod::Native,
                port: 3232,
                password: firmware.password.clone().map(Secret),
                encryption: of_device
                    .and_then(key)
                    .map_or(Encryption::None, |key| Encryption::Offered { key: Secret(key) }),
            },
            stamp: None,
            credentials_changed: false,
            address: of_device.filter(|it| it.literal_address).map(DevicePlan::literal),
            deep_sleep: rhythm.is_some(),
            sleep_plan: of_device.filter(|it| it.says_plan).and(rhythm).map(|rhythm| SleepPlan {
                run_ms: Some(rhythm.window),
                sleep_ms: Some(rhythm.period - rhythm.window),
            }),
            api: Some(Api { port: Api::PORT, key: None }),
            boot_check: None,
            mdns: of_device.is_none_or(|it| it.voice != Voice::None),
        }
    }

    /// An image is read, checked and compressed.
    pub(super) fn prepare_later(&mut self, update: UpdateId, image: Sha256) {
        let life = self.life;
        let mut pause = self.rng.between(20, 400);
        let result = if !self.artifacts.contains(&image) {
            Err(ImageTrouble::Lost)
        } else if self.builder.images_unreadable_until > self.now {
            self.cover.struck("an image can't be read");
            pause += 30 * SECOND;
            Err(ImageTrouble::Unreadable)
        } else {
            Ok(u32::try_from(self.images.get(&image).map_or(0, |image| image.size)).unwrap_or(0))
        };
        let event = Box::new(Event::Prepared { update, image, result });
        self.after(pause, Ev::Host { life, event });
    }
}

/// The key of the device that a file of the own directory is for.
pub(super) fn key_of(file: &DeviceId) -> u32 {
    let digits: String = file.as_str().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u32::MAX)
}

/// The encryption key of a device that has one of its own: 32 bytes in base64.
pub(super) fn key(device: &DevicePlan) -> Option<String> {
    let letter = char::from(b'A' + u8::try_from(device.key % 26).unwrap_or(0));
    device.own_key.then(|| format!("{}{}=", letter.to_string().repeat(42), 'A'))
}
