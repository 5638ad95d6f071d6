//! The computer that the application runs on: it starts, is told what happens, gets its actions carried out, and is
//! killed at any boundary in between.

use super::{Ev, Step, World};
use crate::house::{Action, Event, House};
use crate::plan::{Boundary, Ms, SECOND};

/// Crashes that are still to come.
#[derive(Debug)]
pub(super) struct Crashes {
    armed: Vec<(Boundary, u32, Ms)>,
    /// At this boundary of all.
    at: Option<u64>,
    pub(super) passed: u64,
}

impl Crashes {
    pub(super) const fn new(at: Option<u64>) -> Self {
        Self { armed: Vec::new(), at, passed: 0 }
    }

    pub(super) fn arm(&mut self, boundary: Boundary, nth: u32, down: Ms) {
        self.armed.push((boundary, nth, down));
    }

    pub(super) fn disarm(&mut self) {
        self.armed.clear();
        self.at = None;
    }

    /// Whether the application dies here, and for how long.
    fn strikes(&mut self, here: Boundary) -> Option<Ms> {
        self.passed += 1;
        if self.at == Some(self.passed) {
            self.at = None;
            return Some(2 * SECOND);
        }
        let place = self.armed.iter_mut().position(|(boundary, nth, _)| {
            if *boundary == here {
                *nth = nth.saturating_sub(1);
            }
            *boundary == here && *nth == 0
        })?;
        Some(self.armed.remove(place).2)
    }
}

impl World<'_> {
    /// The application starts, or starts again.
    pub(super) fn start(&mut self) -> Step {
        if self.house.is_some() {
            return Ok(());
        }
        self.judge_stored()?;
        self.life += 1;
        let (life, now) = (self.life, self.wall());
        self.tell(|| format!("Wakeflash starts ({life})"));
        let (house, actions) = House::start(&self.disk.stored, now);
        self.house = Some(house);
        self.end_perfect_poses();
        self.judge.started(self.now);
        self.carry_out(actions)?;
        if self.lan.down_until > self.now {
            self.say(Event::Network { connected: false })?;
        }
        Ok(())
    }

    /// The application is killed, and started again later.
    pub(super) fn crash(&mut self, down: Ms) {
        self.tell(|| "Wakeflash is killed".to_owned());
        self.disturb();
        self.house = None;
        // What its tasks still had to say is never said.
        self.life += 1;
        self.targets.clear();
        self.knocking.clear();
        self.connected.clear();
        self.builds.clear();
        self.requests_are_lost();
        self.commit_is_cut_short();
        self.sessions_end_with_the_application();
        self.judge.crashed(self.now);
        self.after(down, Ev::Start);
    }

    /// A boundary between decision, commit and effect; returns whether the application died here.
    pub(super) fn boundary(&mut self, here: Boundary) -> bool {
        let Some(down) = self.crashes.strikes(here) else { return false };
        let kind = match here {
            Boundary::Decided => "killed between decision and commit",
            Boundary::Committing => "killed while a commit is written",
            Boundary::Committed => "killed between commit and effects",
            Boundary::Effect => "killed between two effects",
        };
        self.cover.struck(kind);
        self.crash(down);
        true
    }

    /// Tells the application something.
    pub(super) fn say(&mut self, event: Event) -> Step {
        if self.is_suspended() {
            // The network is not heard; the computer's own tasks go on when it does.
            let life = self.life;
            let of_network = matches!(
                event,
                Event::Heard(_)
                    | Event::Connected { .. }
                    | Event::ServesAgain { .. }
                    | Event::Unreachable { .. }
            );
            if !of_network {
                self.at(self.resumes_at, Ev::Host { life, event: Box::new(event) });
            }
            return Ok(());
        }
        if self.house.is_some() {
            self.judge_hears(&event);
        }
        let now = self.wall();
        let Some(house) = &mut self.house else { return Ok(()) };
        self.story.detail(self.now, || format!("  > {}", brief(&event)));
        if self.thorough {
            self.digest.add(format!("{event:?}").as_bytes());
        }
        let actions = house.on(event, now);
        self.carry_out(actions)
    }

    pub(super) fn host_says(&mut self, life: u32, event: Event) -> Step {
        if life != self.life {
            return Ok(());
        }
        self.say(event)
    }

    fn carry_out(&mut self, actions: Vec<Action>) -> Step {
        if !actions.is_empty() && self.boundary(Boundary::Decided) {
            return Ok(());
        }
        let many = actions.len();
        for (done, action) in actions.into_iter().enumerate() {
            self.story.detail(self.now, || format!("  < {}", brief(&action)));
            if self.thorough {
                self.digest.add(format!("{action:?}").as_bytes());
            }
            self.act(action)?;
            if self.house.is_none() || (done + 1 < many && self.boundary(Boundary::Effect)) {
                return Ok(());
            }
        }
        self.plan_due();
        Ok(())
    }

    fn act(&mut self, action: Action) -> Step {
        match action {
            Action::Store(writes) => {
                self.store(writes);
                Ok(())
            }
            Action::Answer { id, result } => self.answered(id, result),
            Action::Notify(notification) => {
                let about = self.device_of_file(&notification.device);
                self.judge.told(&notification, about, self.now)
            }
            Action::StoreTrouble(problem) => {
                self.judge.store_trouble(problem.is_some());
                Ok(())
            }
            Action::StartBuild { update, device, dir } => self.build_begins(update, &device, dir),
            Action::StopBuild(update) => {
                self.builds.remove(&update);
                Ok(())
            }
            Action::StartFlash(job) => self.flash_begins(*job),
            Action::StopFlash(update) => {
                self.stop_flash(update);
                Ok(())
            }
            Action::Grant(update) => self.granted(update),
            Action::Recorded { update, stored } => self.recorded(update, stored),
            Action::DropConnection(update) => {
                self.connected.remove(&update);
                Ok(())
            }
            Action::Compare { update, image, device, dir, sources } => {
                self.compare_later(update, image, &device, dir, &sources);
                Ok(())
            }
            Action::Prepare { update, image } => {
                self.prepare_later(update, image);
                Ok(())
            }
            Action::Keep(images) => {
                self.artifacts.retain(|image| images.contains(image));
                Ok(())
            }
            Action::Targets(targets) => {
                self.take_targets(targets);
                Ok(())
            }
            Action::Nudge(name) => {
                let named =
                    |target: &&wakeflash_core::knock::Target| target.names().any(|own| own == name);
                let found = self.targets.iter().find(named).map(|target| target.update);
                if let Some(update) = found {
                    self.cover.row("Waiting: seen");
                    self.knock_soon(update, 20);
                }
                Ok(())
            }
            Action::Ask { name, addresses } => {
                self.ask_who(&name, &addresses);
                Ok(())
            }
            Action::LookAtApi { name, peer } => {
                self.look_at_api(name, peer);
                Ok(())
            }
            Action::Follow(dir) => {
                self.follow(dir);
                Ok(())
            }
            Action::FindBuilder => {
                self.find_builder();
                Ok(())
            }
        }
    }

    fn plan_due(&mut self) {
        let now = self.wall();
        let Some(house) = &self.house else { return };
        self.due_number += 1;
        let number = self.due_number;
        let due = house.due(now).map(|at| super::network::ms(at.since(now)));
        let pause = due.unwrap_or(Self::LONGEST_SLEEP).clamp(10, Self::LONGEST_SLEEP);
        self.after(pause, Ev::Due { number });
    }

    pub(super) fn due(&mut self, number: u64) -> Step {
        if number != self.due_number || self.house.is_none() || self.is_suspended() {
            return Ok(());
        }
        self.say(Event::Due)
    }

    pub(super) fn resume(&mut self) -> Step {
        if self.is_suspended() {
            // Another sleep has begun meanwhile.
            return Ok(());
        }
        self.tell(|| "the computer wakes".to_owned());
        self.plan_due();
        Ok(())
    }
}

/// What is told of it in a story.
fn brief(what: &impl core::fmt::Debug) -> String {
    let mut text = format!("{what:?}");
    if text.len() > 300 {
        let cut = (0..=300).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}
