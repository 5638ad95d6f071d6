//! The store: a map that commits can fail on, with what was durable when the application died.

use std::collections::BTreeMap;

use wakeflash_core::dispatch::WriteSet;
use wakeflash_core::settings::Settings;
use wakeflash_core::update::{Update, UpdateId};

use super::{Ev, Step, World};
use crate::house::{Event, Stored};
use crate::plan::{Boundary, Ms, Plan};

#[derive(Debug)]
pub(super) struct Disk {
    pub(super) stored: Stored,
    /// What the application knows to be stored: without what was reported as failed.
    pub(super) known: BTreeMap<UpdateId, Update>,
    /// A commit that was reported as failed lies in the journal: it is there when the application dies before the next
    /// one takes its place.
    torn: Option<WriteSet>,
    /// The commit that is being written, and since when.
    writing: Option<(WriteSet, Ms)>,
    pub(super) fails_until: Ms,
    pub(super) tears_until: Ms,
    pub(super) hangs_until: Ms,
    /// And how much longer each commit takes.
    pub(super) slow_until: (Ms, Ms),
}

pub(crate) const CONFIG_DIR: &str = "/esphome";

impl Disk {
    pub(super) fn new(plan: &Plan) -> Self {
        let settings = Settings {
            config_dir: Some(CONFIG_DIR.to_owned()),
            changed_sources: plan.host.policy,
            max_builds: plan.host.builds,
            max_flashes: plan.host.flashes,
            ..Settings::default()
        };
        Self {
            known: BTreeMap::new(),
            stored: Stored { settings, ..Stored::default() },
            torn: None,
            writing: None,
            fails_until: 0,
            tears_until: 0,
            hangs_until: 0,
            slow_until: (0, 0),
        }
    }

    /// Whether nothing is being written.
    pub(super) const fn is_quiet(&self) -> bool {
        self.writing.is_none()
    }

    /// Whether nothing is wrong with it.
    pub(super) fn is_well(&self, now: Ms) -> bool {
        [self.fails_until, self.tears_until, self.hangs_until, self.slow_until.0]
            .iter()
            .all(|until| *until <= now)
    }
}

impl World<'_> {
    pub(super) fn store(&mut self, writes: WriteSet) {
        let now = self.now;
        let (least, most) = self.plan.host.commit;
        let mut takes = self.rng.between(least, most);
        if self.disk.slow_until.0 > now {
            takes += self.disk.slow_until.1;
            self.cover.struck("the disk is slow");
        }
        if self.disk.hangs_until > now {
            takes += self.disk.hangs_until - now;
            self.cover.struck("the disk hangs");
        }
        self.judge.commit_begins(&writes, now);
        self.disk.writing = Some((writes, now));
        let life = self.life;
        self.after(takes, Ev::CommitEnds { life });
    }

    /// The application died while it was written: it is on the disk as a whole, or not at all.
    pub(super) fn commit_is_cut_short(&mut self) {
        let torn = self.disk.torn.take();
        let cut = self.disk.writing.take().map(|(writes, _)| writes);
        if let Some(torn) = torn.filter(|_| self.rng.chance(700)) {
            self.cover.struck("a commit that was reported as failed is durable");
            self.disk.stored.apply(&torn);
        } else if let Some(cut) = cut
            && self.rng.chance(500)
            && self.disk.fails_until <= self.now
        {
            self.cover.struck("a commit of the dying application is durable");
            self.disk.stored.apply(&cut);
        }
    }

    pub(super) fn commit_ends(&mut self, life: u32) -> Step {
        if life != self.life || self.disk.writing.is_none() {
            return Ok(());
        }
        if self.boundary(Boundary::Committing) {
            return Ok(());
        }
        let Some((writes, began)) = self.disk.writing.take() else { return Ok(()) };
        let fails = self.disk.fails_until > self.now;
        let torn = !fails && self.disk.tears_until > self.now;
        self.judge.commit_took(self.now - began, self.now, fails || torn);
        if fails {
            self.cover.struck("a commit fails");
            return self.say(Event::Stored(Err("no room".to_owned())));
        }
        if torn {
            self.cover.struck("a commit is reported as failed");
            self.disk.torn = Some(writes);
            return self.say(Event::Stored(Err("input/output error".to_owned())));
        }
        self.disk.torn = None;
        self.disk.stored.apply(&writes);
        self.judge_writes(&writes, began)?;
        if self.boundary(Boundary::Committed) {
            return Ok(());
        }
        self.say(Event::Stored(Ok(())))
    }

    /// What the application starts from, with what its last life wrote without hearing of it.
    pub(super) fn judge_stored(&mut self) -> Step {
        let updates: Vec<Update> = self.disk.stored.updates.values().cloned().collect();
        self.disk.known.clone_from(&self.disk.stored.updates);
        self.judge.settings(&self.disk.stored.settings, self.now);
        updates.iter().try_for_each(|update| self.judge_update(update, self.now))
    }

    /// Compares what becomes of each update with the truth.
    fn judge_writes(&mut self, writes: &WriteSet, decided: Ms) -> Step {
        if let Some(settings) = &writes.settings {
            self.judge.settings(settings, self.now);
        }
        for update in &writes.updates {
            self.disk.known.insert(update.id, update.clone());
        }
        for update in &writes.updates {
            self.judge_update(update, decided)?;
        }
        Ok(())
    }
}
