//! The end of a life: nothing goes wrong any more, and everything must come to its end. And what the judge asks of
//! the world.

use wakeflash_core::device::DeviceId;
use wakeflash_core::update::{SourceFile, StateKind, TimelineEntry, Update, UpdateId};
use wakeflash_core::view::DeviceView;

use super::disk::CONFIG_DIR;
use super::{Ev, Step, World};
use crate::house::{Change, Request};
use crate::judge::Violation;
use crate::plan::{HOUR, MINUTE, Ms, SECOND};

/// What comes next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// Nothing goes wrong from now on.
    Calm,
    /// The user puts the settings right.
    Settings,
    Look,
    /// While the life lasts.
    Patrol,
}

/// How far the end is.
#[derive(Debug, Default)]
pub(super) struct Settling {
    calm_since: Option<Ms>,
    over: bool,
}

impl Settling {
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }
}

/// After so long everything that can be done has been done.
const PATIENCE: Ms = 8 * HOUR;

const PATROL: Ms = 10 * SECOND;

impl World<'_> {
    pub(super) const fn is_calm(&self) -> bool {
        self.settling.calm_since.is_some()
    }

    pub(super) fn settle(&mut self, stage: Stage) -> Step {
        match stage {
            Stage::Calm => self.becomes_calm(),
            Stage::Settings => self.puts_settings_right(),
            Stage::Look => self.look(),
            Stage::Patrol => {
                self.after(PATROL, Ev::Settle(Stage::Patrol));
                self.patrol()
            }
        }
    }

    fn becomes_calm(&mut self) -> Step {
        let now = self.now;
        self.tell(|| "from here on nothing goes wrong".to_owned());
        self.disturb();
        self.settling.calm_since = Some(now);
        self.crashes.disarm();
        let disk = &mut self.disk;
        (disk.fails_until, disk.tears_until, disk.slow_until) = (now, now, (now, 0));
        let network = self.lan.down_until > now;
        let lan = &mut self.lan;
        (lan.lossy_until, lan.slow_until, lan.echoes_until, lan.down_until) = (now, now, now, now);
        let builder = &mut self.builder;
        (builder.gone_until, builder.offline_until) = (now, now);
        builder.images_unreadable_until = now;
        builder.breaks.clear();
        builder.hangs.clear();
        builder.edits.clear();
        (self.files.gone_until, self.files.empty_until) = (now, now);
        for device in &mut self.devices {
            device.trouble = super::device::Trouble::default();
            device.other_client_until = now;
            device.next_is_safe_mode = false;
            device.pose = None;
        }
        for key in self.plan.devices.iter().map(|device| device.key) {
            self.files.set_broken(&format!("dev{key}.yaml"), false);
        }
        self.after(2 * MINUTE, Ev::Settle(Stage::Settings));
        self.after(3 * MINUTE, Ev::Settle(Stage::Look));
        if network {
            self.say(crate::house::Event::Network { connected: true })?;
        }
        Ok(())
    }

    fn puts_settings_right(&mut self) -> Step {
        if self.house.is_none() || self.is_suspended() {
            self.after(MINUTE, Ev::Settle(Stage::Settings));
            return Ok(());
        }
        self.files_changed();
        self.find_builder();
        let settings = &self.disk.stored.settings;
        let (paused, elsewhere) =
            (settings.paused, settings.config_dir.as_deref() != Some(CONFIG_DIR));
        if paused || elsewhere {
            self.after(MINUTE, Ev::Settle(Stage::Settings));
        }
        if paused {
            self.ask(Request::Change(Change::Paused(false)))?;
        }
        if elsewhere {
            self.ask(Request::Change(Change::Directory(CONFIG_DIR.to_owned())))?;
        }
        Ok(())
    }

    fn look(&mut self) -> Step {
        let held: Vec<usize> = self
            .stored_updates()
            .filter(|update| update.state.kind() == StateKind::Held)
            .filter_map(|update| self.device_of_file(&update.device))
            .collect();
        for device in held {
            self.user_will_look(device);
        }
        self.accepts_new_boards()?;
        let since = self.settling.calm_since.unwrap_or(self.now);
        let quiet = self.now > since + 10 * MINUTE && !self.is_unfinished();
        if quiet || self.now > since + PATIENCE {
            self.settling.over = true;
            return Ok(());
        }
        self.after(MINUTE, Ev::Settle(Stage::Look));
        Ok(())
    }

    pub(super) fn end(&mut self) -> Step {
        self.patrol()?;
        self.judge_end()
    }
}

/// What the judge may ask.
impl World<'_> {
    pub(crate) fn violation(&self, promise: &'static str, what: impl Into<String>) -> Violation {
        self.broken(promise, what)
    }

    /// How many boundaries between decision, commit and effect there were.
    pub(crate) const fn boundaries(&self) -> u64 {
        self.crashes.passed
    }

    pub(crate) const fn has_house(&self) -> bool {
        self.house.is_some()
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.is_suspended()
    }

    pub(crate) fn stored_updates(&self) -> impl Iterator<Item = &Update> {
        self.disk.known.values()
    }

    pub(crate) fn stored_update(&self, id: UpdateId) -> Option<&Update> {
        self.disk.known.get(&id)
    }

    pub(crate) fn active_update(&self, device: usize) -> Option<&Update> {
        self.active_of(self.devices[device].plan.key)
    }

    pub(crate) fn stored_dir(&self) -> Option<String> {
        self.disk.stored.settings.config_dir.clone()
    }

    pub(crate) fn row(&self, device: &DeviceId) -> Option<DeviceView> {
        self.house.as_ref()?.row(device, self.wall())
    }

    /// Whether the user reads that a device is in safe mode.
    pub(crate) fn is_said_to_crash(&self, key: u32) -> bool {
        self.row(&super::user::file_of(key)).is_some_and(|row| row.crash_loop.is_some())
    }

    /// Whether what the user sees of this update says that it isn't going well.
    pub(crate) fn is_warned(&self, id: UpdateId) -> bool {
        let Some(device) = self.stored_update(id).map(|update| update.device.clone()) else {
            return false;
        };
        let row = self.row(&device).and_then(|row| row.update);
        row.is_some_and(|update| update.warning.is_some())
    }

    /// Whether the user sees that too many transfers broke off for another one now.
    pub(crate) fn is_left_alone(&self, update: &Update) -> bool {
        let row = self.row(&update.device).and_then(|row| row.update);
        row.and_then(|update| update.rests_until).is_some_and(|until| until > self.wall())
    }

    pub(crate) fn story_line(&mut self, words: impl FnOnce() -> String) {
        self.tell(words);
    }

    pub(crate) fn tell_line(&mut self, update: &Update, before: StateKind, line: &TimelineEntry) {
        let (id, device) = (update.id, &update.device);
        self.story.line(self.now, || {
            format!("* update {id} of {device}: {before:?} -> {:?}: {}", line.state, line.text)
        });
    }

    pub(crate) fn user_looks_soon(&mut self, device: usize) {
        self.user_will_look(device);
    }

    pub(crate) fn changed_since(&self, dir: &str, sources: &[SourceFile]) -> bool {
        self.files.changes(dir, sources, self.now).is_some_and(|changes| !changes.is_empty())
    }

    pub(crate) fn is_there(&self, dir: &str) -> bool {
        self.files.is_there(dir, self.now)
    }

    /// Whether the application could have compared sources for a while.
    pub(crate) fn sources_can_be_compared(&self) -> bool {
        self.files.is_there(CONFIG_DIR, self.now)
            && self.stored_dir().as_deref() == Some(CONFIG_DIR)
            && self.disk.is_well(self.now)
            && self.judge_started_before(30 * SECOND)
    }

    fn judge_started_before(&self, long: Ms) -> bool {
        self.judge.is_up_since(self.now, long)
    }

    pub(crate) fn has_a_quiet_disk(&self) -> bool {
        self.disk.is_quiet() && self.disk.is_well(self.now)
    }

    pub(crate) fn file_of(&self, device: usize) -> DeviceId {
        super::user::file_of(self.devices[device].plan.key)
    }

    pub(crate) fn disk_is_quiet(&self) -> bool {
        self.disk.is_quiet()
    }

    pub(crate) fn oldest_request(&self) -> Option<(Ms, &Request)> {
        let wish = self.unanswered()?;
        Some((wish.asked, &wish.request))
    }

    /// Whether nothing is wrong that could cost a wake.
    pub(crate) fn is_fair(&self) -> bool {
        let now = self.now;
        let lan = &self.lan;
        let calm =
            [lan.lossy_until, lan.slow_until, lan.down_until].iter().all(|until| *until <= now);
        let settings = &self.disk.stored.settings;
        let working = self.sessions.len() < usize::from(settings.max_flashes);
        calm && working
            && self.plan.host.loss <= 50
            && self.is_online()
            && self.disk.is_well(now)
            && !settings.paused
            && self.judge_started_before(30 * SECOND)
    }
}
