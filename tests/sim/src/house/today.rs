//! Today's loop (`wakeflash_engine::runtime`) as a state machine: the same order, the same waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use wakeflash_core::credentials;
use wakeflash_core::device::{DeviceId, Source};
use wakeflash_core::dispatch::{
    Answer, Decision, Dispatch, Effect, FlashOutcome, Input, Origin, WriteSet,
};
use wakeflash_core::error::Problem;
use wakeflash_core::gate::Expectation;
use wakeflash_core::knock::Target;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{PasswordChoice, Sha256, StateKind, UpdateId, UpdateState};
use wakeflash_core::view::DeviceView;
use wakeflash_ota::FailureClass;

use super::{Action, BuildTrouble, Change, Event, FlashJob, ImageTrouble, Request, Stored};

const COMMIT_AGAIN: Duration = Duration::from_secs(2);
const AT_ONCE: usize = 64;

/// Who hears what became of a decision.
#[derive(Clone, Debug)]
enum Reply {
    Nobody,
    /// It stays in `pending` until it is stored.
    Pending,
    Asked(u32),
    Completion(UpdateId),
}

/// What a handler of the loop still has to do.
#[derive(Clone, Debug)]
enum Step {
    /// Store what waits for it; when that doesn't work, this request is refused.
    TakePending(Option<u32>),
    Decide(Input, Reply),
    Together(Vec<Input>),
    Settings {
        id: u32,
        change: Change,
    },
    ClearConnections,
    /// It can't be refused; what never comes again waits until it is stored.
    Happened(Input),
    /// The start is stored.
    Recovered,
    Follow,
    CheckNext,
    Collect,
    /// The commit that failed is long enough ago.
    TryStore,
}

#[derive(Debug)]
struct InFlight {
    decision: Option<Decision>,
    reply: Reply,
    answer: Answer,
    now: Timestamp,
}

/// The application.
#[derive(Debug)]
pub(crate) struct House {
    dispatch: Dispatch,
    reports: VecDeque<Event>,
    watched: VecDeque<Event>,
    requests: VecDeque<(u32, Request)>,
    tick: bool,
    pending: VecDeque<Input>,
    steps: VecDeque<Step>,
    storing: Option<InFlight>,
    commit_due: Option<Timestamp>,
    store_trouble: bool,
    connections: BTreeSet<UpdateId>,
    targets: Vec<Target>,
    to_prepare: VecDeque<UpdateId>,
    preparing: Option<UpdateId>,
    images: BTreeMap<UpdateId, Sha256>,
    to_check: BTreeSet<UpdateId>,
    checking: Option<UpdateId>,
    builds: BTreeSet<UpdateId>,
    garbage: bool,
    actions: Vec<Action>,
}

impl House {
    /// Starts from what was stored.
    pub(crate) fn start(stored: &Stored, now: Timestamp) -> (Self, Vec<Action>) {
        let mut last: BTreeMap<&DeviceId, UpdateId> = BTreeMap::new();
        for update in stored.updates.values() {
            last.insert(&update.device, update.id);
        }
        let loaded = stored.updates.values().filter(|update| {
            !update.state.kind().is_final() || last.get(&update.device) == Some(&update.id)
        });
        let wakes = stored.wakes.iter();
        let next_id = stored.updates.keys().next_back().map_or(1, |id| id.0 + 1);
        let mut house = Self {
            dispatch: Dispatch::new(
                stored.settings.clone(),
                loaded.cloned().collect(),
                stored.memories.clone(),
                wakes
                    .map(|(name, wakes)| (name.clone(), wakes.values().copied().collect()))
                    .collect(),
                next_id,
                now,
            ),
            reports: VecDeque::new(),
            watched: VecDeque::new(),
            requests: VecDeque::new(),
            tick: false,
            pending: VecDeque::new(),
            steps: VecDeque::new(),
            storing: None,
            commit_due: None,
            store_trouble: false,
            connections: BTreeSet::new(),
            targets: Vec::new(),
            to_prepare: VecDeque::new(),
            preparing: None,
            images: BTreeMap::new(),
            to_check: BTreeSet::new(),
            checking: None,
            builds: BTreeSet::new(),
            garbage: false,
            actions: Vec::new(),
        };
        house.steps.extend([Step::Happened(Input::Recover), Step::Recovered]);
        house.pump(now);
        let actions = std::mem::take(&mut house.actions);
        (house, actions)
    }

    pub(crate) fn on(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        match event {
            Event::Stored(result) => self.stored(result, now),
            Event::Asked { id, request } => self.requests.push_back((id, request)),
            Event::Due => self.tick = true,
            Event::Heard(ref sighting) if matches!(sighting.source, Source::Answer(_)) => {
                self.reports.push_back(event);
            }
            Event::Heard(_)
            | Event::Silent { .. }
            | Event::Connected { .. }
            | Event::Unreachable { .. }
            | Event::Network { .. } => self.watched.push_back(event),
            Event::Read { .. }
            | Event::Builder(_)
            | Event::BuildEnded { .. }
            | Event::Prepared { .. }
            | Event::SourcesChecked { .. }
            | Event::Captured { .. }
            | Event::AboutToComplete { .. }
            | Event::FlashEnded { .. }
            | Event::Returned { .. } => self.reports.push_back(event),
        }
        self.pump(now);
        std::mem::take(&mut self.actions)
    }

    /// When time decides something next.
    pub(crate) fn due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.storing.is_some() {
            return None;
        }
        self.commit_due.or_else(|| self.dispatch.next_deadline(now))
    }

    /// How a device is shown.
    pub(crate) fn row(&self, device: &DeviceId, now: Timestamp) -> Option<DeviceView> {
        self.dispatch.row(device, now)
    }
}

/// The loop.
impl House {
    fn pump(&mut self, now: Timestamp) {
        while self.storing.is_none() {
            if let Some(step) = self.steps.pop_front() {
                self.take_step(step, now);
            } else if let Some(report) = self.reports.pop_front() {
                self.take_report(report);
                self.steps.push_back(Step::Collect);
            } else if !self.watched.is_empty() {
                self.take_watched();
                self.steps.push_back(Step::Collect);
            } else if let Some((id, request)) = self.requests.pop_front() {
                self.take_request(id, request);
                self.steps.push_back(Step::Collect);
            } else if std::mem::take(&mut self.tick) {
                self.steps.extend([
                    Step::TakePending(None),
                    Step::Decide(Input::Tick, Reply::Nobody),
                    Step::TryStore,
                ]);
            } else {
                return;
            }
        }
    }

    fn take_step(&mut self, step: Step, now: Timestamp) {
        match step {
            Step::Happened(input) if input.origin() == Origin::Once => {
                if matches!(input, Input::Configs(_)) {
                    self.pending.retain(|kept| !matches!(kept, Input::Configs(_)));
                }
                self.pending.push_back(input);
                self.steps.push_front(Step::TakePending(None));
            }
            Step::Happened(input) => self.decide(input, Reply::Nobody, now),
            Step::TakePending(_) => {
                if let Some(input) = self.pending.front().cloned() {
                    self.steps.push_front(step);
                    self.decide(input, Reply::Pending, now);
                }
            }
            Step::Decide(input, reply) => self.decide(input, reply, now),
            Step::Together(inputs) => self.together(inputs, now),
            Step::Settings { id, change } => {
                let mut settings = self.dispatch.settings().clone();
                change.apply(&mut settings);
                let moved = settings.config_dir != self.dispatch.settings().config_dir;
                if moved {
                    self.steps.push_front(Step::Follow);
                }
                self.decide(Input::Settings(settings), Reply::Asked(id), now);
            }
            Step::Recovered => {
                let ids: Vec<UpdateId> = self.dispatch.updates().map(|update| update.id).collect();
                for id in ids {
                    self.prepare_image(id);
                }
                self.garbage = true;
                self.steps.push_front(Step::Collect);
                self.steps.push_front(Step::Follow);
                self.actions.push(Action::FindBuilder);
            }
            Step::Follow => {
                self.pending.retain(|kept| !matches!(kept, Input::Configs(_)));
                let dir = self.dispatch.settings().config_dir.clone();
                self.actions.push(Action::Follow(dir));
            }
            Step::ClearConnections => self.connections.clear(),
            Step::CheckNext => self.check_next(),
            Step::Collect => self.collect(),
            Step::TryStore => {
                if self.commit_due.is_some_and(|due| due <= now) {
                    let (reply, answer) = (Reply::Nobody, Answer::default());
                    self.storing = Some(InFlight { decision: None, reply, answer, now });
                    self.actions.push(Action::Store(WriteSet::default()));
                }
            }
        }
    }

    fn take_report(&mut self, report: Event) {
        match report {
            Event::Read { dir, files } => {
                if let Ok(files) = files
                    && self.dispatch.settings().config_dir.as_deref() == Some(dir.as_str())
                {
                    self.steps.push_back(Step::Happened(Input::Configs(files)));
                }
            }
            Event::Builder(builder) => {
                self.steps.push_back(Step::Happened(Input::Builder(builder)))
            }
            Event::BuildEnded { update, result } => {
                self.builds.remove(&update);
                let result = result.map_err(|trouble| match trouble {
                    BuildTrouble::Final(problem) | BuildTrouble::Passing(problem) => problem,
                });
                self.steps.push_back(Step::Happened(Input::BuildEnded { update, result }));
            }
            Event::Prepared { update, image, result } => self.prepared(update, &image, result),
            Event::SourcesChecked { update, image, dir, changes } => {
                self.checking = None;
                if let Some(changes) = changes
                    && self.image_of(update) == Some(&image)
                    && self.dispatch.settings().config_dir.as_deref() == Some(dir.as_str())
                {
                    self.steps.push_back(Step::Happened(Input::SourcesChecked { update, changes }));
                }
                self.steps.push_back(Step::CheckNext);
            }
            Event::Captured { update } => {
                self.steps.push_back(Step::Happened(Input::Captured { update }));
            }
            Event::AboutToComplete { update, encrypted } => {
                self.steps.push_back(Step::Happened(Input::HandshakeEnded { update, encrypted }));
                let reply = Reply::Completion(update);
                self.steps.push_back(Step::Decide(Input::AboutToComplete(update), reply));
            }
            Event::FlashEnded { update, outcome } => {
                self.steps.push_back(Step::Happened(Input::FlashEnded { update, outcome }));
            }
            Event::Returned { update, peer } => {
                self.steps.push_back(Step::Happened(Input::Returned { update, peer }));
            }
            Event::Heard(sighting) => {
                self.steps.push_back(Step::Happened(Input::Sighted(sighting)));
            }
            Event::Asked { .. }
            | Event::Silent { .. }
            | Event::Connected { .. }
            | Event::Unreachable { .. }
            | Event::Network { .. }
            | Event::Stored(_)
            | Event::Due => {}
        }
    }

    fn take_watched(&mut self) {
        let many = self.watched.len().min(AT_ONCE);
        let events: Vec<Event> = self.watched.drain(..many).collect();
        let mut inputs = Vec::new();
        for event in events {
            match event {
                Event::Heard(sighting) => inputs.push(Input::Sighted(sighting)),
                Event::Silent { name } => inputs.push(Input::Silent { name }),
                Event::Unreachable { update } => inputs.push(Input::Unreachable { update }),
                Event::Network { connected } => inputs.push(Input::Network { connected }),
                Event::Connected { update, peer } => {
                    if self.connections.insert(update) {
                        inputs.push(Input::Connected { update, peer });
                        if !self.pending.is_empty() {
                            self.steps.push_back(Step::TakePending(None));
                        }
                    }
                }
                Event::Asked { .. }
                | Event::Read { .. }
                | Event::Builder(_)
                | Event::BuildEnded { .. }
                | Event::Prepared { .. }
                | Event::SourcesChecked { .. }
                | Event::Captured { .. }
                | Event::AboutToComplete { .. }
                | Event::FlashEnded { .. }
                | Event::Returned { .. }
                | Event::Stored(_)
                | Event::Due => {}
            }
        }
        self.steps.push_back(Step::Together(inputs));
        self.steps.push_back(Step::ClearConnections);
    }

    fn take_request(&mut self, id: u32, request: Request) {
        let input = match request {
            Request::List => {
                self.actions.push(Action::Answer { id, result: Ok(None) });
                return;
            }
            Request::Change(change) => {
                self.steps.push_back(Step::TakePending(Some(id)));
                self.steps.push_back(Step::Settings { id, change });
                return;
            }
            Request::Install(device) => Input::Install(device),
            Request::Cancel(device) => Input::Cancel(device),
            Request::Retry(device) => Input::Retry(device),
            Request::Rebuild(device) => Input::Rebuild(device),
            Request::FlashAnyway(device) => Input::FlashAnyway(device),
            Request::Dismiss(device) => Input::Dismiss(device),
            Request::InstallMany(devices) => Input::InstallMany(devices),
            Request::CancelMany(devices) => Input::CancelMany(devices),
            Request::SetAddress(device, address) => Input::SetAddress { device, address },
        };
        self.steps.push_back(Step::TakePending(Some(id)));
        self.steps.push_back(Step::Decide(input, Reply::Asked(id)));
    }
}

/// Deciding and storing.
impl House {
    fn decide(&mut self, input: Input, reply: Reply, now: Timestamp) {
        let mut decision = Decision::on(&self.dispatch);
        match decision.take(input, now) {
            Ok(answer) => self.carry_out(decision, reply, answer, now),
            Err(problem) => self.answer(&reply, Err(problem)),
        }
    }

    fn together(&mut self, mut inputs: Vec<Input>, now: Timestamp) {
        if !self.pending.is_empty() {
            // What is pending may change what a connection is for.
            inputs.retain(|input| !matches!(input, Input::Connected { .. }));
        }
        let mut together = Decision::on(&self.dispatch);
        for input in inputs {
            // None of it is a request that could be refused.
            let _ = together.take(input, now);
        }
        self.carry_out(together, Reply::Nobody, Answer::default(), now);
    }

    fn carry_out(&mut self, decision: Decision, reply: Reply, answer: Answer, now: Timestamp) {
        assert!(decision.refused().is_empty(), "refused: {:?}", decision.refused());
        let writes = decision.writes();
        if writes.is_empty() {
            self.follow_up(decision, &reply, &answer, now);
        } else {
            self.actions.push(Action::Store(writes));
            self.storing = Some(InFlight { decision: Some(decision), reply, answer, now });
        }
    }

    fn stored(&mut self, result: Result<(), String>, now: Timestamp) {
        let Some(InFlight { decision, reply, answer, now: decided }) = self.storing.take() else {
            return;
        };
        match result {
            Ok(()) => {
                self.commit_due = None;
                if std::mem::take(&mut self.store_trouble) {
                    self.actions.push(Action::StoreTrouble(None));
                }
                if let Some(decision) = decision {
                    self.follow_up(decision, &reply, &answer, decided);
                }
            }
            Err(reason) => {
                self.commit_due = Some(now + COMMIT_AGAIN);
                self.store_trouble = true;
                let problem = Problem::new(
                    "store.unwritable",
                    format!("The queue can't be written: {reason}."),
                );
                self.actions.push(Action::StoreTrouble(Some(problem.clone())));
                self.answer(&reply, Err(problem));
            }
        }
    }

    fn answer(&mut self, reply: &Reply, result: Result<Option<UpdateId>, Problem>) {
        match reply {
            Reply::Nobody => {}
            Reply::Pending if result.is_ok() => drop(self.pending.pop_front()),
            Reply::Pending => {
                // The step that takes what is pending; and the request behind it.
                if let Some(Step::TakePending(Some(id))) = self.steps.pop_front() {
                    self.steps.pop_front();
                    if matches!(self.steps.front(), Some(Step::Follow)) {
                        self.steps.pop_front();
                    }
                    self.actions.push(Action::Answer { id, result });
                }
            }
            Reply::Asked(id) => {
                if result.is_err() && matches!(self.steps.front(), Some(Step::Follow)) {
                    self.steps.pop_front();
                }
                self.actions.push(Action::Answer { id: *id, result });
            }
            Reply::Completion(update) => {
                let stored = result.is_ok();
                self.actions.push(Action::Recorded { update: *update, stored });
            }
        }
    }

    fn follow_up(&mut self, decision: Decision, reply: &Reply, answer: &Answer, now: Timestamp) {
        let changed = decision.changed().clone();
        let effects = decision.effects().to_vec();
        self.dispatch = decision.stored();
        for id in changed {
            self.settle(id);
        }
        let targets = self.dispatch.targets(now);
        if targets != self.targets {
            self.targets.clone_from(&targets);
            self.actions.push(Action::Targets(targets));
        }
        for effect in effects {
            self.act(effect);
        }
        self.answer(reply, Ok(answer.started));
    }

    fn settle(&mut self, id: UpdateId) {
        let Some(update) = self.dispatch.update(id) else { return };
        match update.state.kind() {
            StateKind::Waiting => self.prepare_image(id),
            StateKind::Building
            | StateKind::Flashing
            | StateKind::Queued
            | StateKind::Held
            | StateKind::Confirming => {}
            StateKind::Installed
            | StateKind::Failed
            | StateKind::Cancelled
            | StateKind::Superseded => {
                self.images.remove(&id);
                self.prepare_next();
                self.garbage = true;
            }
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::StartBuild { update, device } => {
                self.builds.insert(update);
                let dir = self.dispatch.settings().config_dir.clone();
                self.actions.push(Action::StartBuild { update, device, dir });
            }
            Effect::StopBuild(update) => {
                self.builds.remove(&update);
                self.actions.push(Action::StopBuild(update));
            }
            Effect::StartFlash { update, password } => self.start_flash(update, password),
            Effect::GrantTransfer(update) => self.actions.push(Action::Grant(update)),
            Effect::DropConnection(update) => {
                self.connections.remove(&update);
                self.actions.push(Action::DropConnection(update));
            }
            Effect::StopFlash(update) => self.actions.push(Action::StopFlash(update)),
            Effect::CheckSources(update) => {
                self.to_check.insert(update);
                self.check_next();
            }
            Effect::Nudge(name) => self.actions.push(Action::Nudge(name)),
            Effect::Notify(notification) => self.actions.push(Action::Notify(notification)),
        }
    }
}

/// Work.
impl House {
    fn start_flash(&mut self, id: UpdateId, choice: PasswordChoice) {
        let update = self.dispatch.update(id);
        let Some(update) = update.filter(|_| self.connections.remove(&id)) else { return };
        let UpdateState::Flashing { delivery, peer, .. } = &update.state else { return };
        let credentials = match self.dispatch.credentials(update, delivery, choice) {
            Ok(credentials) => credentials,
            Err(problem) => {
                let outcome = FlashOutcome::Failed { class: FailureClass::Permanent, problem };
                self.reports.push_back(Event::FlashEnded { update: id, outcome });
                return;
            }
        };
        let memory = self.dispatch.memory_of(update);
        let build = &delivery.build;
        let expectation = Expectation {
            name: update.name.clone(),
            mac: update.mac.or_else(|| memory?.mac),
            link_address: self.dispatch.own_link_address(update),
            wanted_hash: update.new_hash(),
            wanted_version: build.esphome_version.clone(),
            unheard: build.mdns
                && build.config_hash.is_some()
                && update.known_hashes.is_empty()
                && update.state.previous_hash().is_none(),
            other_name: (build.name != update.name).then(|| build.name.clone()),
            literal_address: self.dispatch.literal_address(update, build),
        };
        let key = credentials.encryption.key();
        let own = key.filter(|key| !self.dispatch.another_device_has(key, update));
        let text = credentials::key_of(&build.ota.encryption).map(|key| key.0.clone());
        let job = FlashJob {
            update: id,
            peer: *peer,
            dir: self.dispatch.settings().config_dir.clone(),
            delivery: delivery.clone(),
            expectation,
            window: self.dispatch.window(&update.name),
            password: credentials.password.map(|secret| secret.0),
            own_key: own.and(text),
        };
        self.actions.push(Action::StartFlash(Box::new(job)));
    }

    fn image_of(&self, update: UpdateId) -> Option<&Sha256> {
        let update = self.dispatch.update(update)?;
        let delivery = update.state.delivery().filter(|_| !update.state.kind().is_final())?;
        Some(&delivery.build.image)
    }

    fn prepare_image(&mut self, update: UpdateId) {
        if self.images.get(&update) != self.image_of(update) {
            self.images.remove(&update);
        }
        if !self.to_prepare.contains(&update) {
            self.to_prepare.push_back(update);
        }
        self.prepare_next();
    }

    fn prepare_next(&mut self) {
        while self.preparing.is_none() {
            let Some(id) = self.to_prepare.pop_front() else { return };
            let waits = self
                .dispatch
                .update(id)
                .is_some_and(|update| update.state.kind() == StateKind::Waiting);
            let Some(image) = self.image_of(id).filter(|_| waits).cloned() else { continue };
            if self.images.contains_key(&id) {
                continue;
            }
            self.preparing = Some(id);
            self.actions.push(Action::Prepare { update: id, image });
        }
    }

    fn prepared(&mut self, update: UpdateId, image: &Sha256, result: Result<u32, ImageTrouble>) {
        self.preparing = None;
        if self.image_of(update) == Some(image) {
            match result {
                Ok(wire_size) => {
                    self.images.insert(update, image.clone());
                    self.steps.push_back(Step::Happened(Input::ImageReady { update, wire_size }));
                }
                Err(ImageTrouble::Lost) => {
                    let problem = Problem::new("artifact.missing", "The built firmware is gone.")
                        .with_help("Install again to build it anew.");
                    self.steps.push_back(Step::Happened(Input::ImageLost { update, problem }));
                }
                // The world says it again later.
                Err(ImageTrouble::Unreadable) => self.to_prepare.push_back(update),
            }
        }
        self.prepare_next();
    }

    fn check_next(&mut self) {
        let Some(dir) = self.dispatch.settings().config_dir.clone() else {
            self.to_check.clear();
            return;
        };
        while self.checking.is_none() {
            let Some(update) = self.to_check.pop_first() else { return };
            let Some(image) = self.image_of(update).cloned() else { continue };
            let Some((device, sources)) = self.dispatch.update(update).and_then(|update| {
                Some((update.device.clone(), update.state.delivery()?.build.sources.clone()))
            }) else {
                continue;
            };
            self.checking = Some(update);
            let dir = dir.clone();
            self.actions.push(Action::Compare { update, image, device, dir, sources });
        }
    }

    fn collect(&mut self) {
        if !self.garbage || !self.builds.is_empty() || !self.pending.is_empty() {
            return;
        }
        self.garbage = false;
        let needed = self
            .dispatch
            .updates()
            .filter(|update| !update.state.kind().is_final())
            .filter_map(|update| update.state.delivery());
        let images = needed.map(|delivery| delivery.build.image.clone()).collect();
        self.actions.push(Action::Keep(images));
    }
}
