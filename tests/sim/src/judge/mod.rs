//! The judge knows what every device really runs, and compares what the application says and does with that, after
//! each step. It keeps its own books; nothing of them comes from the application's memory.

mod image;
mod outcome;
mod patrol;
mod presence;
mod wakes;

use std::collections::{BTreeMap, BTreeSet};

use wakeflash_core::device::{ConfigHash, DeviceId};
use wakeflash_core::error::Problem;
use wakeflash_core::settings::{ChangedSources, Settings};
use wakeflash_core::update::{Sha256, SourceChange, StateKind, TimelineEntry, UpdateId};
use wakeflash_core::view::{Notification, NotificationKind};

use crate::house::Request;
use crate::plan::{HOUR, MINUTE, Ms, SECOND};
use crate::world::Step;
use wakeflash_core::dispatch::WriteSet;

pub(crate) use wakes::Chance;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) promise: &'static str,
    pub(crate) what: String,
    pub(crate) at: Ms,
}

/// So many transfers to one device may begin in an hour.
const TRANSFERS_AN_HOUR: usize = 12;

/// The cuts of a build after which the user must have been told.
const CUTS_UNTOLD: u32 = 3;

/// Builds of one update while nothing that it is built from was changed by anybody else.
const BUILDS_IN_VAIN: u32 = 3;

/// What is known of an update.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) device: Option<usize>,
    /// The directory that the user asked in.
    pub(super) dir: Option<String>,
    pub(super) kind: Option<StateKind>,
    pub(super) last_line: Option<TimelineEntry>,
    /// The hashes that the device may have said before the request.
    pub(super) hashes_before: Vec<ConfigHash>,
    /// It had told the application one of them itself, long enough before the request to be stored.
    pub(super) had_told: bool,
    /// When the device had the whole image.
    pub(super) arrived: Vec<(Ms, Sha256)>,
    pub(super) held_for: Vec<SourceChange>,
    /// Transfers of its last build that were cut.
    pub(super) cuts: u32,
    /// The user has to be told of them, and wasn't yet.
    pub(super) cuts_untold: bool,
    /// The user was told of them, or they could not be said.
    pub(super) cuts_told: bool,
    /// The image of its last build.
    pub(super) image: Option<Sha256>,
    pub(super) installed: Option<Ms>,
    /// Since when it is stored that it was cancelled, or made room for another.
    pub(super) unwanted_since: Option<Ms>,
    pub(super) finished_builds: u32,
    pub(super) may_fail: Option<&'static str>,
    pub(super) device_failures: u32,
    pub(super) unknown_outcomes: u32,
    pub(super) gate_looked: Ms,
    /// Since when its sources are others, as far as the application could know.
    pub(super) dirty_since: Option<Ms>,
    /// Somebody else has put a firmware on its device, or changed its board, since the request.
    pub(super) others: bool,
    pub(super) new_board: bool,
    pub(super) other_password: bool,
}

/// The judge's books.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(super) facts: BTreeMap<UpdateId, Facts>,
    /// What the user must be told soon.
    pub(super) owed: Vec<(UpdateId, NotificationKind, Ms)>,
    pub(super) told: Vec<(DeviceId, NotificationKind)>,
    /// When images began to be sent to a device since something was installed on it.
    pub(super) transfers: BTreeMap<usize, Vec<Ms>>,
    /// When the clock was set last.
    pub(super) clock_set: Option<Ms>,
    /// Commits that ended lately: when, and how long they took.
    commits: Vec<(Ms, Ms)>,
    commit_since: Option<Ms>,
    suspended: Vec<(Ms, Ms)>,
    pub(super) files_changed_at: Ms,
    pub(super) started_at: Option<Ms>,
    pub(super) chances: BTreeMap<usize, Chance>,
    paused_since: Option<Ms>,
    /// What a device has told the application last of what it runs, itself.
    pub(super) last_told: BTreeMap<usize, (Ms, ConfigHash)>,
    /// Images of which almost all was sent to a device.
    pub(super) may_have: BTreeMap<usize, BTreeSet<(UpdateId, Sha256)>>,
    /// Devices that took their leave, and that nobody has told anything of since.
    pub(super) gone: BTreeMap<usize, Ms>,
    /// Since when the application has known from a device itself what it runs.
    pub(super) has_told: BTreeMap<usize, Ms>,
    /// Devices of which the user has said that something else than its files may be flashed.
    waived: BTreeSet<DeviceId>,
    /// The settings have said so of all.
    all_waived: bool,
    /// How many builds and transfers may run, and since when.
    limits: ((u8, u8), Option<Ms>),
    /// What a commit wrote for a name, per second.
    written: BTreeMap<String, (Ms, u32)>,
    pub(super) flooded: Option<String>,
    /// A commit failed, and nobody was told.
    trouble_untold: Option<Ms>,
    trouble_shown: bool,
}

impl Judge {
    pub(crate) fn started(&mut self, now: Ms) {
        self.started_at = Some(now);
    }

    /// Whether the application has run for so long.
    pub(crate) fn is_up_since(&self, now: Ms, long: Ms) -> bool {
        self.started_at.is_some_and(|at| at + long <= now)
    }

    pub(crate) fn crashed(&mut self, now: Ms) {
        self.started_at = None;
        self.owed.clear();
        self.commit_since = None;
        (self.trouble_untold, self.trouble_shown) = (None, false);
        self.gone.clear();
        self.last_told.clear();
        self.has_told.retain(|_, since| *since + TOLD_IS_STORED < now);
        for facts in self.facts.values_mut() {
            facts.dirty_since = None;
            // It may have been killed before it could say so, and the last cut may be lost with it.
            facts.cuts_told |= core::mem::take(&mut facts.cuts_untold);
            facts.cuts = facts.cuts.saturating_sub(1);
        }
    }

    /// The settings are stored.
    pub(crate) fn settings(&mut self, settings: &Settings, now: Ms) {
        self.paused_since = settings.paused.then(|| self.paused_since.unwrap_or(now));
        self.all_waived |= settings.changed_sources == ChangedSources::Flash;
        let limits = (settings.max_builds, settings.max_flashes);
        if self.limits.0 != limits {
            let first = self.limits.0 == (0, 0);
            self.limits = (limits, (!first).then_some(now));
        }
    }

    /// The user asks for something.
    pub(crate) fn asked(&mut self, request: &Request) {
        if let Request::FlashAnyway(device) | Request::InstallPrevious(device) = request {
            self.waived.insert(device.clone());
        }
    }

    /// Whether somebody said that what was built from other files may be flashed.
    pub(super) fn may_be_stale(&self, device: &DeviceId) -> bool {
        self.all_waived || self.waived.contains(device)
    }

    pub(crate) fn may_fail(&mut self, update: UpdateId, why: &'static str) {
        self.facts.entry(update).or_default().may_fail = Some(why);
    }

    /// A transfer was cut.
    pub(crate) fn was_cut(&mut self, update: UpdateId) {
        let facts = self.facts.entry(update).or_default();
        facts.cuts += 1;
        facts.cuts_untold |= facts.cuts == CUTS_UNTOLD && !facts.cuts_told;
    }

    pub(crate) fn clock_is_set(&mut self, now: Ms) {
        self.clock_set = Some(now);
    }

    /// From here on the device may install it, for all that the application knows.
    pub(crate) fn almost_sent(&mut self, device: usize, update: UpdateId, image: Sha256) {
        self.may_have.entry(device).or_default().insert((update, image));
    }

    pub(crate) fn device_failed(&mut self, update: UpdateId) {
        self.facts.entry(update).or_default().device_failures += 1;
    }

    pub(crate) fn image_arrived(&mut self, update: UpdateId, image: Sha256, now: Ms) {
        self.facts.entry(update).or_default().arrived.push((now, image));
    }

    pub(crate) fn files_changed(&mut self, now: Ms) {
        self.files_changed_at = now;
        for facts in self.facts.values_mut() {
            facts.finished_builds = 0;
        }
    }

    fn of_device(&mut self, device: usize) -> impl Iterator<Item = &mut Facts> {
        self.facts.values_mut().filter(move |facts| facts.device == Some(device))
    }

    pub(crate) fn flashed_by_others(&mut self, device: usize) {
        self.of_device(device).for_each(|facts| facts.others = true);
    }

    pub(crate) fn new_board(&mut self, device: usize) {
        self.of_device(device).for_each(|facts| facts.new_board = true);
    }

    pub(crate) fn password_changed(&mut self, device: usize) {
        self.of_device(device).for_each(|facts| facts.other_password = true);
    }

    pub(crate) fn gate_looked(&mut self, update: UpdateId, now: Ms) {
        self.facts.entry(update).or_default().gate_looked = now;
    }

    pub(crate) fn suspended(&mut self, now: Ms, lasts: Ms) {
        self.suspended.push((now, lasts));
        self.owed.clear();
    }

    pub(crate) fn commit_begins(&mut self, writes: &WriteSet, now: Ms) {
        self.commit_since = Some(now);
        let wakes = writes.wakes.iter().map(|(name, _)| name);
        let names: BTreeSet<_> =
            writes.memories.iter().map(|(name, _)| name).chain(wakes).collect();
        for name in names {
            let (second, many) = self.written.entry(name.clone()).or_default();
            if *second == now / SECOND {
                *many += 1;
                if *many > WRITES_A_SECOND {
                    self.flooded = Some(name.clone());
                }
            } else {
                (*second, *many) = (now / SECOND, 1);
            }
        }
    }

    pub(crate) fn commit_took(&mut self, took: Ms, now: Ms, failed: bool) {
        self.commit_since = None;
        self.commits.retain(|(at, _)| at + HOUR > now);
        self.commits.push((now, took));
        if failed {
            // What the network said may be lost with it.
            self.gone.clear();
            self.has_told.clear();
            self.last_told.clear();
            self.trouble_untold.get_or_insert(now);
        }
    }

    pub(crate) fn store_trouble(&mut self, troubled: bool) {
        self.trouble_shown = troubled;
        if troubled {
            self.trouble_untold = None;
        }
    }

    /// Whether the disk has kept the application waiting for longer than the user may be left without a word.
    pub(super) fn hangs_untold(&self, now: Ms) -> bool {
        let long = self.commit_since.is_some_and(|since| since + HANGS_UNTOLD < now);
        long && !self.trouble_shown
            && self.suspended.iter().all(|(at, lasts)| at + lasts + HANGS_UNTOLD < now)
    }

    /// How long the application could do nothing for a request that was made then.
    fn excuse(&self, asked: Ms, now: Ms) -> Ms {
        let slowest =
            self.commits.iter().filter(|(at, _)| *at >= asked).map(|(_, took)| *took).max();
        let running = self.commit_since.map_or(0, |since| now - since);
        let slept: Ms = self
            .suspended
            .iter()
            .filter(|(at, lasts)| at + lasts > asked)
            .map(|(_, lasts)| *lasts)
            .sum();
        2 * slowest.unwrap_or(0).max(running) + slept
    }

    /// The user is told something about this device.
    pub(crate) fn told(
        &mut self,
        notification: &Notification,
        about: Option<usize>,
        now: Ms,
    ) -> Step {
        let (device, kind) = (&notification.device, notification.kind);
        if kind == NotificationKind::TransfersCut
            && let Some(about) = about
        {
            self.of_device(about)
                .for_each(|facts| (facts.cuts_untold, facts.cuts_told) = (false, true));
        }
        if notification.title.is_empty() || notification.body.is_empty() {
            return Err(Violation {
                promise: "7: say it",
                what: format!("a notification about {device} has no words"),
                at: now,
            });
        }
        let owed = self
            .owed
            .iter()
            .position(|(update, owed, _)| *owed == kind && self.facts.contains_key(update));
        if let Some(place) = owed {
            self.owed.remove(place);
        }
        self.told.push((device.clone(), kind));
        Ok(())
    }

    /// A request is answered.
    pub(crate) fn answered(
        &self,
        request: &Request,
        asked: Ms,
        result: &Result<Option<UpdateId>, Problem>,
        now: Ms,
    ) -> Step {
        let broken =
            |what: String| Err(Violation { promise: "requests are answered", what, at: now });
        let took = now - asked;
        let excuse = if matches!(request, Request::List) { 0 } else { self.excuse(asked, now) };
        if took > ANSWER_WITHIN + excuse {
            return broken(format!("{request:?} was answered after {took} ms"));
        }
        match result {
            Err(problem) if problem.message.is_empty() || problem.code.is_empty() => {
                broken(format!("{request:?} was refused without words"))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// A commit that takes longer is said.
const HANGS_UNTOLD: Ms = 5 * SECOND;

/// What a device says of itself is stored within this time.
pub(super) const TOLD_IS_STORED: Ms = 2 * MINUTE;

/// A request is answered within this time, beside commits.
pub(super) const ANSWER_WITHIN: Ms = 250;

/// So often in a second may be written what the network says of a device.
const WRITES_A_SECOND: u32 = 12;
