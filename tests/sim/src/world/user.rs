//! The user: asks for things, edits files, and decides when something needs a decision.

use std::collections::BTreeMap;

use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::update::{StateKind, Update, UpdateId};

use super::faults::Over;
use super::files::OTHER_DIR;
use super::{Ev, Step, World};
use crate::house::{Change, Event, Request};
use crate::plan::{FileAct, Ms, SECOND, UserAct};

/// What the user waits for.
#[derive(Debug, Default)]
pub(super) struct User {
    number: u32,
    waits: BTreeMap<u32, Wish>,
    /// Devices that the user is about to look at.
    looks: BTreeMap<usize, Ms>,
    /// Devices whose next transfer is cancelled on its way, after so many of a thousand parts.
    cancels: BTreeMap<u32, u64>,
}

/// A request that isn't answered yet.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) asked: Ms,
    pub(super) request: Request,
}

pub(super) fn file_of(key: u32) -> DeviceId {
    DeviceId::of_file(format!("dev{key}.yaml"))
}

impl World<'_> {
    /// The update of a device that is under way, as the disk has it.
    pub(super) fn active_of(&self, key: u32) -> Option<&Update> {
        let file = file_of(key);
        let updates = self.disk.known.values().rev();
        updates
            .filter(|update| update.device == file)
            .find(|update| !update.state.kind().is_final())
    }

    pub(super) fn last_of(&self, key: u32) -> Option<&Update> {
        let file = file_of(key);
        self.disk.known.values().rev().find(|update| update.device == file)
    }

    pub(super) fn user_acts(&mut self, act: UserAct) -> Step {
        if self.is_calm() {
            return Ok(());
        }
        let all = || self.plan.devices.iter().filter(|it| !it.stranger).map(|it| file_of(it.key));
        let request = match act {
            UserAct::Install(key) => Request::Install(file_of(key)),
            UserAct::Cancel(key) => Request::Cancel(file_of(key)),
            UserAct::CancelInTransfer(key, at) => {
                self.user.cancels.insert(key, at);
                return Ok(());
            }
            UserAct::Undo(key) => Request::UndoCancel(file_of(key)),
            UserAct::Retry(key) => Request::Retry(file_of(key)),
            UserAct::Rebuild(key) => Request::Rebuild(file_of(key)),
            UserAct::FlashAnyway(key) => Request::FlashAnyway(file_of(key)),
            UserAct::Previous(key) => Request::InstallPrevious(file_of(key)),
            UserAct::Dismiss(key) => Request::Dismiss(file_of(key)),
            UserAct::InstallAll => Request::InstallMany(all().collect()),
            UserAct::CancelAll => Request::CancelMany(all().collect()),
            UserAct::SetAddress(key) => {
                let device = self.device_of(key);
                let address = device.map(|device| self.devices[device].address.to_string());
                Request::SetAddress(file_of(key), address)
            }
            UserAct::Pause(lasts) => {
                self.after(lasts, Ev::Over(Over::Pause));
                Request::Change(Change::Paused(true))
            }
            UserAct::Policy(policy) => Request::Change(Change::Policy(policy)),
            UserAct::Limits(builds, flashes) => Request::Change(Change::Limits { builds, flashes }),
            UserAct::OtherDirectory(lasts) => {
                self.cover.struck("the user chooses another directory");
                self.after(lasts, Ev::Over(Over::OtherDirectory));
                Request::Change(Change::Directory(OTHER_DIR.to_owned()))
            }
            UserAct::List => Request::List,
        };
        self.ask(request)
    }

    pub(super) fn ask(&mut self, request: Request) -> Step {
        if self.house.is_none() || self.is_suspended() {
            // Nobody is there; the user tries again.
            if let Some(again) = must_come_true(&request) {
                self.after(30 * SECOND, Ev::Over(again));
            }
            return Ok(());
        }
        self.user.number += 1;
        let id = self.user.number;
        self.tell(|| format!("the user asks: {request:?}"));
        self.judge.asked(&request);
        self.disturb();
        self.user.waits.insert(id, Wish { asked: self.now, request: request.clone() });
        self.say(Event::Asked { id, request })
    }

    pub(super) fn answered(&mut self, id: u32, result: Result<Option<UpdateId>, Problem>) -> Step {
        let Some(wish) = self.user.waits.remove(&id) else {
            return Err(self.broken("7: say it", "a request was answered twice, or never asked"));
        };
        self.judge.answered(&wish.request, wish.asked, &result, self.now)?;
        if let Ok(Some(update)) = &result
            && !self.disk.known.contains_key(update)
        {
            let what =
                format!("{:?} was answered with {update:?}, which is stored nowhere", wish.request);
            return Err(self.broken("4: what was asked for", what));
        }
        if let Err(problem) = &result {
            // What is asked for again matters more than what happened to be refused.
            let install = match &wish.request {
                Request::Install(device) if problem.code == "store.unwritable" => {
                    Some(Over::Install { device: super::builder::key_of(device) })
                }
                Request::Install(_)
                | Request::Cancel(_)
                | Request::UndoCancel(_)
                | Request::Retry(_)
                | Request::Rebuild(_)
                | Request::FlashAnyway(_)
                | Request::InstallPrevious(_)
                | Request::Dismiss(_)
                | Request::InstallMany(_)
                | Request::CancelMany(_)
                | Request::SetAddress(..)
                | Request::AcceptBoard(..)
                | Request::Change(_)
                | Request::List => None,
            };
            if let Some(over) = must_come_true(&wish.request).or(install) {
                self.after(20 * SECOND, Ev::Over(over));
            }
        }
        Ok(())
    }

    /// Requests that the application takes with it when it dies are asked again, or not.
    pub(super) fn requests_are_lost(&mut self) {
        let lost = std::mem::take(&mut self.user.waits);
        for wish in lost.into_values() {
            if let Some(again) = must_come_true(&wish.request) {
                self.after(60 * SECOND, Ev::Over(again));
            }
        }
    }

    /// After how many of a thousand parts the user cancels the transfer that begins.
    pub(super) fn cancels_at(&mut self, device: usize) -> Option<(u32, u64)> {
        self.user.cancels.remove_entry(&self.devices[device].plan.key)
    }

    /// For how long the oldest request has waited.
    pub(super) fn unanswered(&self) -> Option<&Wish> {
        self.user.waits.values().min_by_key(|wish| wish.asked)
    }

    /// An update needs a decision: the user looks at it after a while.
    pub(super) fn user_will_look(&mut self, device: usize) {
        if self.user.looks.contains_key(&device) {
            return;
        }
        let (least, most) = self.plan.host.decides_after;
        let pause = if self.is_calm() { 5 * SECOND } else { self.rng.between(least, most) };
        self.user.looks.insert(device, self.now + pause);
        self.after(pause, Ev::Looks { device });
    }

    pub(super) fn looks(&mut self, device: usize) -> Step {
        self.user.looks.remove(&device);
        let key = self.devices[device].plan.key;
        let Some(kind) = self.last_of(key).map(|update| update.state.kind()) else {
            return Ok(());
        };
        let file = file_of(key);
        let calm = self.is_calm();
        match kind {
            StateKind::Held => {
                if self.house.is_none() {
                    self.user_will_look(device);
                    return Ok(());
                }
                let request = match self.rng.below(if calm { 2 } else { 4 }) {
                    0 => Request::Rebuild(file),
                    1 => Request::FlashAnyway(file),
                    2 => Request::Cancel(file),
                    _ => return Ok(()),
                };
                if calm {
                    // In vain, when the configuration is gone: then again.
                    self.user_will_look_again(device);
                }
                self.ask(request)
            }
            StateKind::Failed if !calm && self.rng.chance(400) => self.ask(Request::Retry(file)),
            StateKind::Failed
            | StateKind::Queued
            | StateKind::Building
            | StateKind::Waiting
            | StateKind::Flashing
            | StateKind::Confirming
            | StateKind::Installed
            | StateKind::Cancelled
            | StateKind::Superseded => Ok(()),
        }
    }

    /// The user knows which boards were replaced, and says so where the row shows the new one.
    pub(super) fn accepts_new_boards(&mut self) -> Step {
        let own = (0..self.devices.len()).filter(|device| !self.devices[*device].plan.stranger);
        let claims: Vec<_> = own
            .filter_map(|device| {
                let (it, link) = (&self.devices[device], self.link_when_on(device));
                let file = file_of(it.plan.key);
                let rival = self.row(&file)?.rival?;
                let known = rival.mac == Some(it.mac)
                    && rival.link_address.is_none_or(|claimed| claimed == link);
                known.then_some(Request::AcceptBoard(file, it.mac, rival.link_address))
            })
            .collect();
        claims.into_iter().try_for_each(|request| self.ask(request))
    }

    fn user_will_look_again(&mut self, device: usize) {
        self.user.looks.insert(device, self.now + 60 * SECOND);
        self.after(60 * SECOND, Ev::Looks { device });
    }

    pub(super) fn file_acts(&mut self, act: FileAct) {
        let version = self.rng.next();
        match act {
            FileAct::Edit(key) => self.files.edit(&format!("dev{key}.yaml"), version),
            FileAct::EditForAWhile(key, lasts) => {
                let path = format!("dev{key}.yaml");
                let content = self.files.content(&path);
                self.files.edit(&path, version);
                self.after(lasts, Ev::Over(Over::File { key, content }));
            }
            FileAct::EditShared => self.files.edit("common.yaml", version),
            FileAct::EditSecrets => self.files.edit("secrets.yaml", version),
            FileAct::EditCode(key) => self.files.edit(&format!("code/{key}.h"), version),
            FileAct::EditPassword(key) => {
                let path = format!("dev{key}.yaml");
                self.files.new_password(&path);
                self.files.edit(&path, version);
            }
            FileAct::Break(key, lasts) => {
                let path = format!("dev{key}.yaml");
                self.files.set_broken(&path, true);
                self.files.edit(&path, version);
                self.after(lasts, Ev::Over(Over::Mended { key }));
            }
            FileAct::Remove(key, lasts) => {
                let path = format!("dev{key}.yaml");
                let content = self.files.content(&path);
                self.files.remove(&path);
                self.after(lasts, Ev::Over(Over::File { key, content }));
            }
            FileAct::Rename(key) => {
                let path = format!("dev{key}.yaml");
                self.files.rename(&path, format!("dev{key}new{}", version % 100));
                self.files.edit(&path, version);
            }
        }
        self.tell(|| format!("the user changes files: {act:?}"));
        self.cover.struck("files are changed");
        self.files_changed();
    }

    pub(super) fn file_is_back(&mut self, key: u32, content: Option<u64>) {
        if let Some(content) = content {
            self.files.edit(&format!("dev{key}.yaml"), content);
            self.files_changed();
        }
    }
}

/// What ends something that must not last: the user asks for it until it is met.
fn must_come_true(request: &Request) -> Option<Over> {
    let Request::Change(change) = request else { return None };
    match change {
        Change::Paused(false) => Some(Over::Pause),
        Change::Directory(dir) if dir != OTHER_DIR => Some(Over::OtherDirectory),
        Change::Paused(true) | Change::Directory(_) | Change::Policy(_) | Change::Limits { .. } => {
            None
        }
    }
}
