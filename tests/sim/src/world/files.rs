//! Config directories and what lies in them.

use std::collections::BTreeMap;

use wakeflash_core::configuration::{AddressClaim, ConfigFile, ConfigSummary, SourcesState};
use wakeflash_core::device::{ConfigHash, DeviceId};
use wakeflash_core::error::Problem;
use wakeflash_core::schedule::SleepPlan;
use wakeflash_core::update::{
    Sha256, SourceChange, SourceChangeKind, SourceFile, UpdateId, sources_digest,
};

use super::disk::CONFIG_DIR;
use super::{Ev, Firmware, Step, World};
use crate::house::Event;
use crate::plan::{DevicePlan, Ms, Plan, SECOND};
use crate::rng::Digest;

/// A directory that also has files for some of the names, of other devices.
pub(super) const OTHER_DIR: &str = "/other";

const SHARED: &str = "common.yaml";
const SECRETS: &str = "secrets.yaml";

/// All directories.
#[derive(Debug)]
pub(crate) struct Files {
    dirs: BTreeMap<String, Dir>,
    /// The one that is followed, and a number for each time that one is.
    followed: Option<String>,
    number: u32,
    pub(super) gone_until: Ms,
    pub(super) empty_until: Ms,
}

#[derive(Debug, Default)]
struct Dir {
    /// Versions of their contents; `None`: there is no such file.
    contents: BTreeMap<String, Option<u64>>,
    configs: BTreeMap<String, Config>,
}

/// What a file configures.
#[derive(Clone, Debug)]
struct Config {
    device: DevicePlan,
    name: String,
    broken: bool,
    passwords: u64,
    /// What it is built from beside itself.
    uses: Vec<String>,
}

/// An image, in truth.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) firmware: Firmware,
    /// Whose: the key of the device, when it is one of this life.
    pub(crate) device: Option<u32>,
    pub(crate) dir: String,
    pub(crate) file: DeviceId,
    pub(crate) size: u64,
    pub(crate) sources: Vec<SourceFile>,
}

impl Files {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut dirs = BTreeMap::new();
        let mut own = Dir::default();
        let mut other = Dir::default();
        for device in plan.devices.iter().filter(|device| !device.stranger) {
            own.add(device, &format!("dev{}", device.key), &device.key.to_string());
            if device.key % 2 == 0 {
                let key = device.key + 1_000;
                let stranger = DevicePlan { key, literal_address: false, ..device.clone() };
                other.add(&stranger, &format!("other{}", device.key), &device.key.to_string());
            }
        }
        dirs.insert(CONFIG_DIR.to_owned(), own);
        dirs.insert(OTHER_DIR.to_owned(), other);
        Self { dirs, followed: None, number: 0, gone_until: 0, empty_until: 0 }
    }

    fn own(&mut self) -> Option<&mut Dir> {
        self.dirs.get_mut(CONFIG_DIR)
    }

    /// Changes the content of a file; a number that no content had before.
    pub(super) fn edit(&mut self, path: &str, version: u64) {
        if let Some(dir) = self.own() {
            dir.contents.insert(path.to_owned(), Some(version));
        }
    }

    pub(super) fn content(&self, path: &str) -> Option<u64> {
        self.dirs.get(CONFIG_DIR)?.contents.get(path).copied().flatten()
    }

    pub(super) fn remove(&mut self, path: &str) {
        if let Some(dir) = self.own() {
            dir.contents.insert(path.to_owned(), None);
        }
    }

    pub(super) fn set_broken(&mut self, path: &str, broken: bool) {
        if let Some(config) = self.own().and_then(|dir| dir.configs.get_mut(path)) {
            config.broken = broken;
        }
    }

    pub(super) fn rename(&mut self, path: &str, name: String) {
        if let Some(config) = self.own().and_then(|dir| dir.configs.get_mut(path)) {
            config.name = name;
        }
    }

    pub(super) fn new_password(&mut self, path: &str) {
        if let Some(config) = self.own().and_then(|dir| dir.configs.get_mut(path)) {
            config.passwords += 1;
        }
    }

    /// Whether the directory of these updates is there, with anything in it.
    pub(super) fn is_there(&self, dir: &str, now: Ms) -> bool {
        dir != CONFIG_DIR || (self.gone_until <= now && self.empty_until <= now)
    }

    /// What a file is built from now; `None`: it isn't there, or is broken.
    pub(super) fn sources(&self, dir: &str, file: &DeviceId) -> Option<Vec<SourceFile>> {
        let dir = self.dirs.get(dir)?;
        let config = dir.configs.get(file.as_str())?;
        dir.contents.get(file.as_str()).copied().flatten()?;
        Some(dir.sources(file.as_str(), config))
    }

    /// What is different from these sources; `None`: the directory isn't there.
    pub(super) fn changes(
        &self,
        dir: &str,
        sources: &[SourceFile],
        now: Ms,
    ) -> Option<Vec<SourceChange>> {
        if !self.is_there(dir, now) {
            return None;
        }
        let contents = &self.dirs.get(dir)?.contents;
        let mut changes = Vec::new();
        for source in sources {
            let content = contents.get(&source.path).copied().flatten().map(digest_of);
            let kind = match (&source.sha256, content) {
                (Some(then), Some(now)) if *then == now => continue,
                (Some(_), Some(_)) => SourceChangeKind::Edited,
                (Some(_), None) => SourceChangeKind::Removed,
                (None, Some(_)) => SourceChangeKind::Added,
                (None, None) => continue,
            };
            changes.push(SourceChange { path: source.path.clone(), kind });
        }
        Some(changes)
    }

    /// Builds a file as it is now.
    pub(super) fn build(&self, dir: &str, file: &DeviceId, version: &str) -> Option<Image> {
        let sources = self.sources(dir, file)?;
        let config = self.dirs.get(dir)?.configs.get(file.as_str()).filter(|it| !it.broken)?;
        let plain: Vec<SourceFile> =
            sources.iter().filter(|source| !source.path.starts_with("code/")).cloned().collect();
        let part = |digest: &Sha256| u64::from_str_radix(&digest.0[48..], 16).unwrap_or(0);
        let of_config = part(&sources_digest(&plain));
        let name = part(&sources_digest(&[source(&config.name, Some(config.passwords))]));
        let hash = Digest::of(&[of_config, name]);
        let stamp = Digest::of(&[part(&sources_digest(&sources)), name, u64::from(version != NEW)]);
        let firmware = Firmware {
            image: Sha256(format!("{stamp:064x}")),
            hash: Some(ConfigHash(u32::try_from(hash >> 32).unwrap_or(0))),
            version: version.to_owned(),
            name: config.name.clone(),
            password: config.password(),
            good_at_shutdown: version == NEW,
        };
        Some(Image {
            firmware,
            device: Some(config.device.key),
            dir: dir.to_owned(),
            file: file.clone(),
            size: config.device.size,
            sources,
        })
    }

    fn scan(&self, dir: &str, now: Ms) -> Result<Vec<ConfigFile>, Problem> {
        if !self.is_there(dir, now) {
            return Err(Problem::new("config_dir.missing", "The config directory isn't there."));
        }
        let found = self.dirs.get(dir);
        Ok(found.map(Dir::scan).unwrap_or_default())
    }
}

/// The ESPHome versions of this world.
pub(super) const NEW: &str = "2026.10.0";
pub(super) const OLD: &str = "2026.7.0";

impl Config {
    fn password(&self) -> Option<String> {
        let key = self.device.key;
        self.device.password.then(|| format!("password {} of {key}", self.passwords))
    }
}

impl Dir {
    fn add(&mut self, device: &DevicePlan, name: &str, number: &str) {
        let path = format!("dev{number}.yaml");
        let code = format!("code/{number}.h");
        let made = format!("made/{number}.h");
        let mut uses = vec![code.clone(), made.clone()];
        if device.key.is_multiple_of(2) {
            uses.push(SHARED.to_owned());
        }
        if device.key % 3 < 2 {
            uses.push(SECRETS.to_owned());
        }
        for other in uses.iter().chain([&path]) {
            let first = u64::from(device.key) + 1;
            self.contents.entry(other.clone()).or_insert(Some(first));
        }
        let config = Config {
            device: device.clone(),
            name: name.to_owned(),
            broken: false,
            passwords: 0,
            uses,
        };
        self.configs.insert(path, config);
    }

    fn sources(&self, path: &str, config: &Config) -> Vec<SourceFile> {
        let paths = std::iter::once(path).chain(config.uses.iter().map(String::as_str));
        paths.map(|path| source(path, self.contents.get(path).copied().flatten())).collect()
    }

    fn scan(&self) -> Vec<ConfigFile> {
        let there = |path: &str| self.contents.get(path).copied().flatten().is_some();
        let configs = self.configs.iter().filter(|(path, _)| there(path));
        configs.map(|(path, config)| self.file(path, config)).collect()
    }

    fn file(&self, path: &str, config: &Config) -> ConfigFile {
        let id = DeviceId::of_file(path);
        if config.broken {
            let content = Err(Problem::new("config.refused", "Line 3 is broken."));
            return ConfigFile { id, content, sources: SourcesState::default() };
        }
        let rhythm = config.device.rhythm;
        let content = Ok(ConfigSummary {
            name: config.name.clone(),
            friendly_name: None,
            area: None,
            platform: Some("esp32".to_owned()),
            address: config.device.literal_address.then(|| config.device.literal()),
            deep_sleep: rhythm.is_some(),
            sleep_plan: rhythm.filter(|_| config.device.says_plan).map(|rhythm| SleepPlan {
                run_ms: Some(rhythm.window),
                sleep_ms: Some(rhythm.period - rhythm.window),
            }),
            compiled_name: None,
            doubt: None,
            validated: None,
            claim: AddressClaim::Names(
                config.device.literal_address.then(|| config.device.literal()),
            ),
        });
        let sources = SourcesState::default();
        ConfigFile { id, content, sources }
    }
}

impl DevicePlan {
    /// The address that its configuration names.
    pub(crate) fn literal(&self) -> String {
        format!("192.0.2.{}", self.key + 10)
    }
}

fn source(path: &str, content: Option<u64>) -> SourceFile {
    SourceFile::file(path, content.map(digest_of))
}

fn digest_of(content: u64) -> Sha256 {
    Sha256(format!("{content:064x}"))
}

impl World<'_> {
    /// What runs on a device when the life begins: an earlier build of its configuration.
    pub(super) fn install_first_firmware(&mut self, device: usize) {
        let version = if self.plan.host.old_esphome { OLD } else { NEW };
        let it = &self.devices[device];
        let key = it.plan.key;
        let (name, password) = match self.files.dirs.get(CONFIG_DIR) {
            Some(dir) if !it.plan.stranger => {
                let config = dir.configs.get(&format!("dev{key}.yaml"));
                (format!("dev{key}"), config.and_then(Config::password))
            }
            Some(_) | None => (format!("stranger{key}"), None),
        };
        let stamp = Digest::of(&[u64::from(key), 77]);
        let hash = ConfigHash(u32::try_from(stamp >> 32).unwrap_or(0));
        let firmware = Firmware {
            image: Sha256(format!("{stamp:064x}")),
            hash: it.plan.hash_at_first.then_some(hash),
            version: version.to_owned(),
            name,
            password,
            good_at_shutdown: version == NEW,
        };
        self.devices[device].takes(firmware);
    }

    /// The application follows a directory from now on.
    pub(super) fn follow(&mut self, dir: Option<String>) {
        self.files.followed = dir;
        self.files.number += 1;
        let pause = self.rng.between(20, 400);
        self.scan_after(pause);
    }

    pub(super) fn scan_after(&mut self, pause: Ms) {
        let (life, number) = (self.life, self.files.number);
        self.after(pause, Ev::Scan { life, number });
    }

    /// Something has changed in the files.
    pub(super) fn files_changed(&mut self) {
        self.judge.files_changed(self.now);
        let pause = self.rng.between(200, 900);
        self.scan_after(pause);
    }

    pub(super) fn scan(&mut self, life: u32, number: u32) -> Step {
        let Some(dir) = self.files.followed.clone() else { return Ok(()) };
        if life != self.life || number != self.files.number {
            return Ok(());
        }
        let files = self.files.scan(&dir, self.now);
        if files.is_err() {
            self.cover.struck("the config directory isn't there");
            self.scan_after(5 * SECOND);
        }
        self.say(Event::Read { dir, files })
    }

    pub(super) fn compare_later(
        &mut self,
        update: UpdateId,
        image: Sha256,
        _device: &DeviceId,
        dir: String,
        sources: &[SourceFile],
    ) {
        let changes = self.files.changes(&dir, sources, self.now);
        let life = self.life;
        let pause = self.rng.between(5, 200);
        let event = Box::new(Event::SourcesChecked { update, image, dir, changes });
        self.after(pause, Ev::Host { life, event });
    }
}
