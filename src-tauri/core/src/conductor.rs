//! What is decided when. Everything that happens goes into a lane and waits there while something is being stored; what is
//! there by then is decided on together and stored with one commit. Nothing here waits, and nothing is done here: events
//! and the time go in, actions come out.
//!
//! Requests come before what the engine's own tasks report, and that before what the network says. Of what the network
//! says about one device only the newest words wait, so that a flood neither fills the memory nor costs more than one
//! commit at a time. When a commit fails, requests in it are refused; reports, which are never told again, stay in
//! their lane; a connection is given up, since there will be another one by then.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use crate::device::{DeviceId, Sighting};
use crate::dispatch::{Answer, Decision, Dispatch, Effect, IllegalTransition, Input, WriteSet};
use crate::error::Problem;
use crate::time::Timestamp;
use crate::update::UpdateId;

/// How long after a commit that failed the next one is tried.
pub const COMMIT_AGAIN: Duration = Duration::from_secs(2);

/// After so long without an answer of the disk the user is told.
pub const SLOW: Duration = Duration::from_secs(3);

/// After so long without an answer of the disk, requests that wait are refused.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How much of what the network says is decided on at once; requests have their turn in between.
const CLAIMS_AT_ONCE: usize = 64;

/// How many words of one device wait. More than an arrival, a goodbye and what lies between tells nothing.
const WORDS_KEPT: usize = 4;

/// How many words wait in all, as long as they are of devices that nobody knows.
const CLAIMS_KEPT: usize = 1_024;

/// Names a request; the caller knows who waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody asks for something, and waits for the answer.
    Asked {
        /// For the answer.
        ticket: Ticket,
        /// What is asked for.
        input: Input,
    },
    /// Something of our own that is never told again.
    Reported(Input),
    /// Something of our own that somebody waits for: it goes with what is reported, in that order.
    Announced {
        /// For the answer.
        ticket: Ticket,
        /// What it is about.
        input: Input,
    },
    /// Something that the network says: it comes again, or another one does.
    Heard(Input),
    /// How the commit, or the attempt to write, went that was asked for.
    Stored(Result<(), Problem>),
    /// The time that [`Conductor::due`] named has come.
    Due,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Store this as a whole, and tell how it went ([`Event::Stored`]). There is one at a time.
    Store(WriteSet),
    /// Find out whether anything can be stored, and tell it in the same way.
    TryStore,
    /// Answer whoever asked.
    Answer(Ticket, Result<Answer, Problem>),
    /// This is true now, and follows.
    Happened(Outcome),
    /// Why nothing can be stored at present; `None`: it can.
    StoreStatus(Option<Problem>),
}

/// What has become true.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The updates that changed.
    pub changed: BTreeSet<UpdateId>,
    /// The rows that may look different.
    pub touched: BTreeSet<DeviceId>,
    /// What is to be done now.
    pub effects: Vec<Effect>,
    /// Transitions that were refused: defects, for the log.
    pub refused: Vec<IllegalTransition>,
    /// Inputs of our own that were refused, with the reason: for the log.
    pub ignored: Vec<Problem>,
}

/// One thing that happened, on its way.
#[derive(Clone, Debug)]
struct Waiting {
    ticket: Option<Ticket>,
    input: Input,
    since: Timestamp,
}

/// A decision that is being stored.
#[derive(Debug)]
struct Storing {
    decision: Decision,
    answers: Vec<(Ticket, Result<Answer, Problem>)>,
    /// What it was made of that is never told again.
    reports: Vec<Waiting>,
    claims: Vec<Input>,
    ignored: Vec<Problem>,
    since: Timestamp,
    told: bool,
}

/// The state, what waits to be decided on, and the commit that is under way.
#[derive(Debug)]
pub struct Conductor {
    dispatch: Dispatch,
    requests: VecDeque<Waiting>,
    reports: VecDeque<Waiting>,
    claims: VecDeque<Input>,
    storing: Option<Storing>,
    /// After a commit that failed: when the next one is tried.
    again_at: Option<Timestamp>,
    /// The last commit failed, or the present one takes long, and the user was told.
    unwell: bool,
    /// A write that changes nothing is under way.
    trying: bool,
    /// Time has passed, and it wasn't looked yet what that means.
    due: bool,
}

impl Conductor {
    /// Begins with what was stored.
    #[must_use]
    pub fn new(dispatch: Dispatch) -> Self {
        Self {
            dispatch,
            requests: VecDeque::new(),
            reports: VecDeque::new(),
            claims: VecDeque::new(),
            storing: None,
            again_at: None,
            unwell: false,
            trying: false,
            due: false,
        }
    }

    /// What is true: nothing of a decision that isn't stored is in it.
    #[must_use]
    pub const fn state(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Whether something that is never told again waits to be stored.
    #[must_use]
    pub fn owes(&self) -> bool {
        !self.reports.is_empty() || self.storing.as_ref().is_some_and(|it| !it.reports.is_empty())
    }

    /// Whether the last commit failed, or the present one takes long.
    #[must_use]
    pub const fn is_unwell(&self) -> bool {
        self.unwell
    }

    /// Takes what happened, and says what is to be done.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Asked { ticket, input } => self.ask(ticket, input, now),
            Event::Reported(input) => self.report(None, input, now),
            Event::Announced { ticket, input } => self.report(Some(ticket), input, now),
            Event::Heard(input) => self.hear(input),
            Event::Stored(result) => self.stored(result, now, &mut actions),
            Event::Due => self.due = true,
        }
        self.mind_the_disk(now, &mut actions);
        self.decide(now, &mut actions);
        actions
    }

    /// When [`Event::Due`] is to be handed in at the latest; a time that has passed: now.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let asked = || self.requests.iter().map(|waiting| waiting.since + PATIENCE).min();
        if let Some(storing) = &self.storing {
            let answers = (!storing.answers.is_empty()).then(|| storing.since + PATIENCE);
            let told = (!storing.told).then(|| storing.since + SLOW);
            return [asked(), answers, told].into_iter().flatten().min();
        }
        if self.trying {
            return asked();
        }
        if let Some(again) = self.again_at {
            return Some(again.min(now + COMMIT_AGAIN));
        }
        if !self.claims.is_empty() {
            return Some(now);
        }
        self.dispatch.next_deadline(now)
    }

    /// Requests are decided on at once, also after a commit that failed: the disk may have room again.
    fn ask(&mut self, ticket: Ticket, input: Input, now: Timestamp) {
        self.requests.push_back(Waiting { ticket: Some(ticket), input, since: now });
        self.again_at = None;
    }

    fn report(&mut self, ticket: Option<Ticket>, input: Input, now: Timestamp) {
        if input.is_about_the_directory() {
            // It says everything that an older one said.
            self.reports.retain(|waiting| !waiting.input.is_about_the_directory());
        }
        self.reports.push_back(Waiting { ticket, input, since: now });
    }

    fn hear(&mut self, input: Input) {
        let Input::Sighted(sighting) = &input else {
            // What knocks find out comes again and again while a commit hangs.
            if !self.claims.contains(&input) {
                self.claims.push_back(input);
            }
            return;
        };
        let same_device = |(place, claim): (usize, &Input)| {
            sighting_of(claim).filter(|other| other.name == sighting.name).map(|_| place)
        };
        let waiting: Vec<usize> = self.claims.iter().enumerate().filter_map(same_device).collect();
        if waiting
            .iter()
            .any(|place| self.claims.get(*place).and_then(sighting_of) == Some(sighting))
        {
            return;
        }
        if waiting.len() >= WORDS_KEPT {
            // Its goodbye and its own answers say more than one packet of many.
            let same_kind = |place: &&usize| {
                self.claims.get(**place).and_then(sighting_of).is_some_and(|other| {
                    (other.kind, other.source) == (sighting.kind, sighting.source)
                })
            };
            let oldest = waiting.iter().find(same_kind).or(waiting.first());
            if let Some(place) = oldest {
                self.claims.remove(*place);
            }
        } else if self.claims.len() >= CLAIMS_KEPT && !self.dispatch.knows(&sighting.name) {
            return;
        }
        self.claims.push_back(input);
    }

    fn stored(&mut self, result: Result<(), Problem>, now: Timestamp, actions: &mut Vec<Action>) {
        self.trying = false;
        let storing = self.storing.take();
        match result {
            Ok(()) => {
                if core::mem::take(&mut self.unwell) {
                    actions.push(Action::StoreStatus(None));
                }
                if let Some(storing) = storing {
                    self.become_true(storing, actions);
                }
            }
            Err(problem) => {
                self.unwell = true;
                // Nobody who asked while it was tried waits for it.
                self.again_at = self.requests.is_empty().then(|| now + COMMIT_AGAIN);
                actions.push(Action::StoreStatus(Some(problem.clone())));
                if let Some(storing) = storing {
                    self.give_up(storing, &problem, actions);
                }
            }
        }
    }

    fn become_true(&mut self, storing: Storing, actions: &mut Vec<Action>) {
        let Storing { decision, answers, ignored, .. } = storing;
        let outcome = Outcome {
            changed: decision.changed().clone(),
            touched: decision.touched().clone(),
            effects: decision.effects().to_vec(),
            refused: decision.refused().to_vec(),
            ignored,
        };
        let dir = self.dispatch.settings().config_dir.clone();
        self.dispatch = decision.stored();
        if dir != self.dispatch.settings().config_dir {
            // What waits is about the directory of before.
            self.reports.retain(|waiting| !waiting.input.is_about_the_directory());
        }
        actions.push(Action::Happened(outcome));
        actions.extend(answers.into_iter().map(|(ticket, answer)| Action::Answer(ticket, answer)));
    }

    /// What could not be stored has not happened.
    fn give_up(&mut self, storing: Storing, problem: &Problem, actions: &mut Vec<Action>) {
        let Storing { answers, reports, claims, .. } = storing;
        for (ticket, _) in answers {
            actions.push(Action::Answer(ticket, Err(problem.clone())));
        }
        for waiting in reports.into_iter().rev() {
            let newer = waiting.input.is_about_the_directory()
                && self.reports.iter().any(|later| later.input.is_about_the_directory());
            if !newer {
                self.reports.push_front(waiting);
            }
        }
        let mut dropped = Vec::new();
        for claim in claims.into_iter().chain(core::mem::take(&mut self.claims)) {
            if let Input::Connected { update, .. } = claim {
                dropped.push(Effect::DropConnection(update));
            } else if matches!(claim, Input::Sighted(_) | Input::Silent { .. }) {
                self.claims.push_back(claim);
            }
            // What else the network says is tried again all the time.
        }
        if !dropped.is_empty() {
            actions.push(Action::Happened(Outcome { effects: dropped, ..Outcome::default() }));
        }
    }

    /// Says when the disk doesn't answer, and lets nobody wait for it without an end.
    fn mind_the_disk(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if let Some(storing) = &mut self.storing {
            // Also when the clock is set back.
            storing.since = storing.since.min(now);
            let waited = now.since(storing.since);
            if waited >= SLOW && !storing.told {
                storing.told = true;
                self.unwell = true;
                actions.push(Action::StoreStatus(Some(slow())));
            }
            if waited >= PATIENCE {
                for (ticket, _) in core::mem::take(&mut storing.answers) {
                    actions.push(Action::Answer(ticket, Err(unsure())));
                }
            }
        }
        for waiting in &mut self.requests {
            waiting.since = waiting.since.min(now);
        }
        let (late, waiting) = core::mem::take(&mut self.requests)
            .into_iter()
            .partition(|waiting| now.since(waiting.since) >= PATIENCE);
        self.requests = waiting;
        let late: VecDeque<Waiting> = late;
        let tickets = late.into_iter().filter_map(|waiting| waiting.ticket);
        actions.extend(tickets.map(|ticket| Action::Answer(ticket, Err(slow()))));
    }

    fn decide(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.storing.is_some() || self.trying {
            return;
        }
        if let Some(again) = self.again_at {
            if again > now && again <= now + COMMIT_AGAIN {
                return;
            }
            self.again_at = None;
        }
        let nothing = self.requests.is_empty() && self.reports.is_empty();
        if self.unwell && nothing && self.claims.is_empty() {
            self.trying = true;
            actions.push(Action::TryStore);
            return;
        }
        if !self.due && nothing && self.claims.is_empty() {
            return;
        }
        let storing = self.next_decision(now);
        let writes = storing.decision.writes();
        if writes.is_empty() {
            self.become_true(storing, actions);
        } else {
            self.storing = Some(storing);
            actions.push(Action::Store(writes));
        }
    }

    /// Decides on everything that waits, and on as much of what the network says as has its turn.
    fn next_decision(&mut self, now: Timestamp) -> Storing {
        let mut storing = Storing {
            decision: Decision::on(&self.dispatch),
            answers: Vec::new(),
            reports: Vec::new(),
            claims: Vec::new(),
            ignored: Vec::new(),
            since: now,
            told: false,
        };
        if core::mem::take(&mut self.due)
            && let Err(problem) = storing.decision.take(Input::Tick, now)
        {
            storing.ignored.push(problem);
        }
        for waiting in self.reports.drain(..).chain(self.requests.drain(..)) {
            let answer = storing.decision.take(waiting.input.clone(), now);
            match (waiting.ticket, answer) {
                (Some(ticket), answer) => storing.answers.push((ticket, answer)),
                (None, Ok(_)) => storing.reports.push(waiting),
                (None, Err(problem)) => storing.ignored.push(problem),
            }
        }
        for _ in 0..CLAIMS_AT_ONCE {
            let Some(claim) = self.claims.pop_front() else { break };
            if let Err(problem) = storing.decision.take(claim.clone(), now) {
                storing.ignored.push(problem);
            }
            storing.claims.push(claim);
        }
        storing
    }
}

fn sighting_of(claim: &Input) -> Option<&Sighting> {
    if let Input::Sighted(sighting) = claim { Some(sighting) } else { None }
}

fn slow() -> Problem {
    Problem::new("store.slow", "The disk of the data directory hasn't answered for some seconds.")
        .with_help("What waits stays in the queue, and goes on when the disk answers.")
}

fn unsure() -> Problem {
    Problem::new(
        "store.unsure",
        "The disk of the data directory doesn't answer: whether this was stored isn't known yet.",
    )
    .with_help("The list shows it as soon as the disk answers.")
}

#[cfg(test)]
#[path = "conductor_tests.rs"]
mod tests;
