//! When an image begins to be sent, and when work begins.

use wakeflash_core::update::{Sha256, SourceTracking, UpdateId};

use super::{BUILDS_IN_VAIN, CUTS_UNTOLD, Judge, TRANSFERS_AN_HOUR, Violation};
use crate::house::FlashJob;
use crate::plan::{HOUR, Ms, SECOND, Voice};
use crate::world::{Step, World};

/// No build and no transfer takes longer.
const LONGEST_WORK: Ms = HOUR;

/// Within this time it is known that a directory went.
const AWAY_IS_KNOWN: Ms = 30 * SECOND;

impl Judge {
    /// A build or a connection is put to use.
    pub(crate) fn work_begins(&self, what: &str, now: Ms) -> Step {
        match self.paused_since {
            Some(since) if since < now => Err(Violation {
                promise: "what the user asked for",
                what: format!("{what} begins, and Wakeflash is paused"),
                at: now,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// So many builds, and so many transfers, run now.
    pub(crate) fn work_runs(&self, builds: usize, transfers: usize, now: Ms) -> Step {
        let ((most_builds, most_transfers), since) = self.limits;
        // What runs when a limit is lowered goes on.
        let settled = since.is_none_or(|since| since + LONGEST_WORK < now);
        if settled && (builds > usize::from(most_builds) || transfers > usize::from(most_transfers))
        {
            return Err(Violation {
                promise: "what the user asked for",
                what: format!(
                    "{builds} builds and {transfers} transfers run, which is more than wanted"
                ),
                at: now,
            });
        }
        Ok(())
    }

    /// A build ended with an image.
    pub(crate) fn built(&mut self, update: UpdateId, now: Ms) -> Step {
        let facts = self.facts.entry(update).or_default();
        facts.finished_builds += 1;
        (facts.cuts, facts.cuts_untold, facts.cuts_told) = (0, false, false);
        if facts.finished_builds > BUILDS_IN_VAIN {
            return Err(Violation {
                promise: "4: what was asked for",
                what: format!(
                    "update {update} was built {} times, and nobody but the build changed anything",
                    facts.finished_builds
                ),
                at: now,
            });
        }
        Ok(())
    }
}

impl World<'_> {
    /// The first byte of an image goes to this device.
    pub(crate) fn judge_image_begins(&mut self, job: &FlashJob, device: usize) -> Step {
        self.wake_is_used(device);
        let id = job.update;
        let key = self.devices[device].plan.key;
        let name = self.devices[device].firmware.name.clone();
        self.story_line(|| format!("the image of update {id} goes to {name} ({key})"));
        self.is_the_right_device(job, device)?;
        self.is_what_was_asked_for(job)?;
        self.is_wanted(job, device)?;
        self.is_not_worn_out(device)?;
        self.cuts_are_told(id)
    }

    /// Who cuts every transfer doesn't get them without end.
    fn is_not_worn_out(&mut self, device: usize) -> Step {
        let now = self.now;
        let transfers = self.judge.transfers.entry(device).or_default();
        transfers.push(now);
        let lately = transfers.iter().filter(|at| **at + HOUR > now).count();
        // Nobody can tell how long an hour is while the clock is set.
        let fair = self.judge.clock_set.is_none_or(|at| at + HOUR < now);
        if lately > TRANSFERS_AN_HOUR && fair {
            let what = format!("{lately} transfers to a device began within an hour");
            return Err(self.violation("5: a device isn't worn out", what));
        }
        Ok(())
    }

    fn cuts_are_told(&self, id: UpdateId) -> Step {
        let Some(facts) = self.judge.facts.get(&id) else { return Ok(()) };
        let (cuts, untold) = (facts.cuts, facts.cuts_untold);
        if untold || (cuts >= CUTS_UNTOLD && !self.is_warned(id)) {
            let told = if untold { "the user was told nothing" } else { "its row says nothing" };
            let what = format!("{cuts} transfers of update {id} were cut, and {told}");
            return Err(self.violation("7: say it", what));
        }
        Ok(())
    }

    fn is_the_right_device(&self, job: &FlashJob, device: usize) -> Step {
        let it = &self.devices[device];
        let image = self.images.get(&job.delivery.build.image);
        let meant = image.and_then(|image| image.device);
        if meant != Some(it.plan.key) {
            let what = format!("the image for {meant:?} goes to the device {}", it.plan.key);
            return Err(self.violation("6: the right device only", what));
        }
        // Another board behind the same repeater that says nothing can't be told from it.
        if it.plan.repeater && !self.has_said_who_it_is(job.update, it.mac) {
            return Ok(());
        }
        let board = self.stored_update(job.update).and_then(|update| update.mac);
        // A key that no other configuration has is a proof whatever board has it.
        if board.is_some_and(|board| board != it.mac) && !it.plan.own_key {
            let what = format!("the image goes to another board ({}) than was meant", it.mac);
            return Err(self.violation("6: the right device only", what));
        }
        Ok(())
    }

    fn is_what_was_asked_for(&self, job: &FlashJob) -> Step {
        let id = job.update;
        let Some(image) = self.images.get(&job.delivery.build.image) else {
            return Err(self.violation(
                "4: what was asked for",
                format!("update {id} sends what was never built"),
            ));
        };
        let Some(facts) = self.judge.facts.get(&id) else { return Ok(()) };
        if facts.dir.as_deref().is_some_and(|dir| dir != image.dir) {
            let what = format!(
                "update {id} was asked for in {:?} and was built in {}",
                facts.dir, image.dir
            );
            return Err(self.violation("4: what was asked for", what));
        }
        let tracked = job.delivery.tracking == SourceTracking::Tracked
            || !self.stored_update(id).is_some_and(|it| self.judge.may_be_stale(&it.device));
        let changed = self.changed_since(&image.dir, &image.sources);
        // Who is flashed can't wait for what changed in this instant.
        if tracked && changed && self.judge.files_changed_at + 2_000 < facts.gate_looked {
            let what =
                format!("update {id} sends what was built from files that have changed since");
            return Err(self.violation("4: what was asked for", what));
        }
        Ok(())
    }

    /// Nothing is built from a directory that has been away for a while.
    pub(crate) fn judge_has_files(&self, dir: &str) -> Step {
        let lately = self.judge.files_changed_at + AWAY_IS_KNOWN > self.now;
        if lately || self.is_there(dir) {
            return Ok(());
        }
        let what = format!("a build begins in {dir}, which isn't there");
        Err(self.violation("what the user asked for", what))
    }

    /// All of an image is on its device.
    pub(crate) fn judge_still_wanted(&self, id: UpdateId) -> Step {
        let since = self.judge.facts.get(&id).and_then(|facts| facts.unwanted_since);
        if since.is_some_and(|since| since + SECOND < self.now) {
            let what = format!("update {id} was ended by the user, and its image goes on");
            return Err(self.violation("what the user asked for", what));
        }
        Ok(())
    }

    fn is_wanted(&self, job: &FlashJob, device: usize) -> Step {
        let id = job.update;
        let over = self.stored_update(id).is_none_or(|update| update.state.kind().is_final());
        let it = &self.devices[device];
        let image = job.delivery.build.image.clone();
        let runs = it.firmware.image == image;
        let (hash, tells) = (it.firmware.hash, it.plan.voice == Voice::Full);
        let Some(facts) = self.judge.facts.get(&id) else { return Ok(()) };
        let installed = facts.installed.is_some();
        let again = runs && !facts.arrived.is_empty();
        // Of a device that can't say what it runs, once more; and what was cut was no repetition.
        let repeats = facts.arrived.iter().filter(|(_, arrived)| *arrived == image).count();
        let like_it = |(update, other): &(UpdateId, Sha256)| {
            (*update != id || *other != image)
                && self.images.get(other).is_some_and(|it| it.firmware.hash == hash)
        };
        let had = self.judge.may_have.get(&device).is_some_and(|had| had.iter().any(like_it));
        let unheard = hash.is_some_and(|hash| !facts.hashes_before.contains(&hash)) && !had;
        let new = unheard && facts.had_told && tells;
        let others = facts.others;
        let promise = "2: one intent, one flash";
        if installed || over {
            return Err(
                self.violation(promise, format!("update {id} is over, and its image is sent"))
            );
        }
        if again && !others && (new || repeats > 1) {
            let what = format!("update {id} is sent again to a device that runs it");
            return Err(self.violation(promise, what));
        }
        Ok(())
    }
}
