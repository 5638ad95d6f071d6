//! Carrying out what the conductor says: storing, answering, and everything that follows once something is true.

use wakeflash_core::conductor::{Action, Event, Outcome, Ticket};
use wakeflash_core::dispatch::{Answer, Input, WriteSet};
use wakeflash_core::error::Problem;
use wakeflash_core::settings::Settings;
use wakeflash_core::time::Timestamp;

use super::{Runtime, now};
use crate::kill::{self, Point};
use crate::store::unwritable;

/// What came of a request.
pub(super) type Decided = Result<Answer, Problem>;

/// Where an answer goes, and what the settings are by then.
pub(super) type Reply = Box<dyn FnOnce(Decided, &Settings) + Send>;

impl Runtime {
    /// Takes in something of our own that is never told again: it is kept until it is stored.
    pub(super) fn happened(&mut self, input: Input) {
        self.conduct(Event::Reported(input));
    }

    /// Takes in what the network says.
    pub(super) fn heard(&mut self, input: Input) {
        self.conduct(Event::Heard(input));
    }

    /// Takes in a request; it is answered when it is stored.
    pub(super) fn ask(&mut self, input: Input, reply: Reply) {
        let ticket = self.ticket(reply);
        self.conduct(Event::Asked { ticket, input });
    }

    /// Takes in something of our own, and tells when it is stored.
    pub(super) fn announce(&mut self, input: Input, reply: Reply) {
        let ticket = self.ticket(reply);
        self.conduct(Event::Announced { ticket, input });
    }

    fn ticket(&mut self, reply: Reply) -> Ticket {
        self.next_ticket = Ticket(self.next_ticket.0.wrapping_add(1));
        self.replies.insert(self.next_ticket, reply);
        self.next_ticket
    }

    pub(super) fn conduct(&mut self, event: Event) {
        let now = now();
        for action in self.conductor.on(event, now) {
            self.carry_out(action, now);
        }
    }

    fn carry_out(&mut self, action: Action, now: Timestamp) {
        match action {
            Action::Store(mut writes) => {
                writes.settings =
                    writes.settings.map(|settings| self.overrides.to_store(&settings));
                for update in &writes.updates {
                    kill::here(Point::Decided(update.state.kind()));
                }
                self.store.begin(writes);
            }
            // A change of nothing.
            Action::TryStore => self.store.begin(WriteSet::default()),
            Action::Answer(ticket, answer) => {
                if let Some(reply) = self.replies.remove(&ticket) {
                    reply(answer, self.conductor.state().settings());
                }
            }
            Action::StoreStatus(problem) => {
                self.publisher.change_status(|status| status.store = problem);
            }
            Action::Happened(outcome) => self.follow(outcome, now),
        }
    }

    /// A commit, or an attempt to write, has ended.
    pub(super) fn committed(&mut self, outcome: anyhow::Result<()>) {
        let result = outcome.map_err(|error| {
            tracing::error!("the state can't be stored: {error:#}");
            unwritable(&error)
        });
        self.conduct(Event::Stored(result));
    }

    /// Brings everything up to date with what is true now, and does what follows.
    fn follow(&mut self, outcome: Outcome, now: Timestamp) {
        for update in outcome.changed.iter().filter_map(|id| self.conductor.state().update(*id)) {
            kill::here(Point::Stored(update.state.kind()));
        }
        for refused in &outcome.refused {
            tracing::error!("refused: {refused}");
        }
        for problem in &outcome.ignored {
            tracing::warn!("not taken in: {problem}");
        }
        self.settle(outcome.changed.into_iter(), &outcome.touched, now);
        for effect in outcome.effects {
            self.act(effect);
        }
        self.watch_disks();
        let settings = self.conductor.state().settings().clone();
        let old = std::mem::replace(&mut self.followed, settings.clone());
        if settings != old {
            self.follow_settings(&old, &settings);
        }
        if settings.own_esphome {
            self.surroundings.choice_due = false;
        }
    }

    fn follow_settings(&mut self, old: &Settings, new: &Settings) {
        self.overrides.chosen(new);
        if new.config_dir != old.config_dir {
            self.follow_config_dir();
        }
        let esphome = |settings: &Settings| (settings.own_esphome, settings.esphome_path.clone());
        if esphome(new) != esphome(old) {
            self.esphome_chosen();
        }
    }
}
