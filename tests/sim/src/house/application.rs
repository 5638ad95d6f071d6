//! The application's loop (`wakeflash_engine::runtime`) without its tasks: the real conductor, and what the loop does
//! with what that says.

use std::collections::{BTreeMap, BTreeSet};

use wakeflash_core::conductor::{self, Conductor, Outcome, Ticket};
use wakeflash_core::credentials;
use wakeflash_core::device::{DeviceId, MacAddress};
use wakeflash_core::dispatch::{Dispatch, Effect, FlashOutcome, Input, WriteSet};
use wakeflash_core::error::Problem;
use wakeflash_core::gate::{Expectation, Standing};
use wakeflash_core::knock::Target;
use wakeflash_core::network::Prefix;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{PasswordChoice, Sha256, StateKind, UpdateId, UpdateState};
use wakeflash_core::view::DeviceView;
use wakeflash_ota::FailureClass;

use super::{Action, Event, FlashJob, ImageTrouble, Request, Stored};

/// The network that this computer is in.
const NETWORK: [u8; 4] = [192, 0, 2, 1];

/// The tickets of flashes that wait until it is stored that their image may be complete; requests have smaller ones.
const COMPLETIONS: u64 = 1 << 32;

#[derive(Debug)]
pub(crate) struct House {
    conductor: Conductor,
    followed: Option<String>,
    connections: BTreeSet<UpdateId>,
    targets: Vec<Target>,
    to_prepare: std::collections::VecDeque<UpdateId>,
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
        let dispatch = Dispatch::new(
            stored.settings.clone(),
            loaded.cloned().collect(),
            stored.memories.clone(),
            wakes.map(|(name, wakes)| (name.clone(), wakes.values().copied().collect())).collect(),
            next_id,
            now,
        );
        let mut house = Self {
            conductor: Conductor::new(dispatch),
            followed: stored.settings.config_dir.clone(),
            connections: BTreeSet::new(),
            targets: Vec::new(),
            to_prepare: std::collections::VecDeque::new(),
            preparing: None,
            images: BTreeMap::new(),
            to_check: BTreeSet::new(),
            checking: None,
            builds: BTreeSet::new(),
            garbage: true,
            actions: Vec::new(),
        };
        house.happened(Input::Recover, now);
        house.happened(Input::Links(vec![Prefix::new(NETWORK.into(), 24)]), now);
        let ids: Vec<UpdateId> = house.state().updates().map(|update| update.id).collect();
        for id in ids {
            house.prepare_image(id);
        }
        house.actions.push(Action::Follow(house.followed.clone()));
        house.actions.push(Action::FindBuilder);
        house.collect();
        let actions = std::mem::take(&mut house.actions);
        (house, actions)
    }

    pub(crate) fn on(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        self.take(event, now);
        self.collect();
        std::mem::take(&mut self.actions)
    }

    /// When time decides something next.
    pub(crate) fn due(&self, now: Timestamp) -> Option<Timestamp> {
        self.conductor.due(now)
    }

    /// How a device is shown.
    pub(crate) fn row(&self, device: &DeviceId, now: Timestamp) -> Option<DeviceView> {
        self.state().row(device, now)
    }

    /// Whether a device of this name is believed behind this hardware only: proven there, or first heard there with this
    /// MAC address.
    pub(crate) fn knows_by_hardware(&self, name: &str, mac: MacAddress, link: MacAddress) -> bool {
        let memory = self.state().memory(name);
        memory.is_some_and(|memory| match memory.identity.is_proven() {
            true => memory.identity.has_link(link),
            false => memory.claims.mac == Some(mac) && memory.claims.link_address == Some(link),
        })
    }

    /// Whether the device is known to have this MAC address.
    pub(crate) fn knows_mac(&self, name: &str, mac: MacAddress) -> bool {
        let memory = self.state().memory(name);
        memory.is_some_and(|memory| memory.mac() == Some(mac))
    }

    const fn state(&self) -> &Dispatch {
        self.conductor.state()
    }
}

impl House {
    fn take(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Stored(result) => {
                let unwritable = |reason| {
                    let message = format!("The queue can't be written: {reason}.");
                    Problem::new("store.unwritable", message)
                };
                let result = result.map_err(unwritable);
                self.conduct(conductor::Event::Stored(result), now);
            }
            Event::Due => self.conduct(conductor::Event::Due, now),
            Event::Asked { id, request } => self.take_request(id, request, now),
            Event::Heard(sighting) => self.heard(Input::Sighted(sighting), now),
            Event::Silent { name } => self.heard(Input::Silent { name }, now),
            Event::LookedAtApi { name, peer, refused } => {
                self.heard(Input::LookedAtApi { name, peer, refused }, now);
            }
            Event::Unreachable { update } => self.heard(Input::Unreachable { update }, now),
            Event::Returned { update, peer } => self.heard(Input::Returned { update, peer }, now),
            Event::ServesAgain { update, peer } => {
                self.heard(Input::ServesAgain { update, peer }, now);
            }
            Event::Connected { update, peer } => {
                if !self.conductor.is_unwell() && self.connections.insert(update) {
                    self.heard(Input::Connected { update, peer }, now);
                }
            }
            Event::Network { connected } => self.happened(Input::Network { connected }, now),
            Event::Read { dir, files } => {
                if self.followed.as_deref() == Some(dir.as_str()) {
                    self.happened(files.map_or_else(Input::DirectoryGone, Input::Configs), now);
                }
            }
            Event::Builder(builder) => self.happened(Input::Builder(builder), now),
            Event::BuildEnded { update, result } => {
                self.builds.remove(&update);
                self.happened(Input::BuildEnded { update, result }, now);
            }
            Event::Prepared { update, image, result } => {
                self.prepared(update, &image, result, now);
            }
            Event::SourcesChecked { update, image, dir, changes } => {
                self.checking = None;
                if let Some(changes) = changes
                    && self.image_of(update) == Some(&image)
                    && self.directory_of(update) == Some(dir)
                {
                    self.happened(Input::SourcesChecked { update, changes }, now);
                }
                self.check_next();
            }
            Event::Proven { update, proof } => self.happened(Input::Proven { update, proof }, now),
            Event::Captured { update } => self.happened(Input::Captured { update }, now),
            Event::AboutToComplete { update, encrypted } => {
                let ticket = Ticket(COMPLETIONS + u64::from(update.0));
                let input = Input::AboutToComplete { update, encrypted };
                self.conduct(conductor::Event::Announced { ticket, input }, now);
            }
            Event::FlashEnded { update, outcome } => {
                self.happened(Input::FlashEnded { update, outcome }, now);
            }
        }
    }

    fn take_request(&mut self, id: u32, request: Request, now: Timestamp) {
        let input = match request {
            Request::List => {
                self.actions.push(Action::Answer { id, result: Ok(None) });
                return;
            }
            Request::Change(change) => Input::ChangeSettings(change.as_settings()),
            Request::Install(device) => Input::Install(device),
            Request::Cancel(device) => Input::Cancel(device),
            Request::UndoCancel(device) => Input::UndoCancel(vec![device]),
            Request::Retry(device) => Input::Retry(device),
            Request::Rebuild(device) => Input::Rebuild(device),
            Request::FlashAnyway(device) => Input::FlashAnyway(device),
            Request::Dismiss(device) => Input::Dismiss(device),
            Request::InstallMany(devices) => Input::InstallMany(devices),
            Request::CancelMany(devices) => Input::CancelMany(devices),
            Request::SetAddress(device, address) => Input::SetAddress { device, address },
            Request::AcceptBoard(device, mac, link_address) => {
                Input::AcceptBoard { device, mac: Some(mac), link_address }
            }
            Request::InstallPrevious(device) => Input::InstallPrevious(device),
        };
        let ticket = Ticket(u64::from(id));
        self.conduct(conductor::Event::Asked { ticket, input }, now);
    }

    fn happened(&mut self, input: Input, now: Timestamp) {
        self.conduct(conductor::Event::Reported(input), now);
    }

    fn heard(&mut self, input: Input, now: Timestamp) {
        self.conduct(conductor::Event::Heard(input), now);
    }

    fn conduct(&mut self, event: conductor::Event, now: Timestamp) {
        for action in self.conductor.on(event, now) {
            match action {
                conductor::Action::Store(writes) => self.actions.push(Action::Store(writes)),
                conductor::Action::TryStore => {
                    self.actions.push(Action::Store(WriteSet::default()));
                }
                conductor::Action::StoreStatus(problem) => {
                    self.actions.push(Action::StoreTrouble(problem));
                }
                conductor::Action::Answer(Ticket(ticket), answer) => {
                    self.actions.push(match ticket.checked_sub(COMPLETIONS) {
                        Some(update) => Action::Recorded {
                            update: UpdateId(u32::try_from(update).unwrap_or(u32::MAX)),
                            stored: answer.is_ok(),
                        },
                        None => Action::Answer {
                            id: u32::try_from(ticket).unwrap_or(u32::MAX),
                            result: answer.map(|answer| answer.started),
                        },
                    });
                }
                conductor::Action::Happened(outcome) => self.follow_up(outcome, now),
            }
        }
    }

    fn follow_up(&mut self, outcome: Outcome, now: Timestamp) {
        assert!(outcome.refused.is_empty(), "refused: {:?}", outcome.refused);
        for id in outcome.changed {
            self.settle(id);
        }
        let targets = self.state().targets(now);
        if targets != self.targets {
            self.targets.clone_from(&targets);
            self.actions.push(Action::Targets(targets));
        }
        for effect in outcome.effects {
            self.act(effect, now);
        }
        let dir = self.state().settings().config_dir.clone();
        if dir != self.followed {
            self.followed.clone_from(&dir);
            self.actions.push(Action::Follow(dir));
        }
    }

    fn settle(&mut self, id: UpdateId) {
        let Some(update) = self.state().update(id) else { return };
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

    fn act(&mut self, effect: Effect, now: Timestamp) {
        match effect {
            Effect::StartBuild { update, device } => {
                self.builds.insert(update);
                let dir = self.directory_of(update);
                self.actions.push(Action::StartBuild { update, device, dir });
            }
            Effect::FindEsphome => self.actions.push(Action::FindBuilder),
            Effect::StopBuild(update) => {
                self.builds.remove(&update);
                self.actions.push(Action::StopBuild(update));
            }
            Effect::StartFlash { update, password } => self.start_flash(update, password, now),
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
            Effect::Ask { name, addresses } => self.actions.push(Action::Ask { name, addresses }),
            Effect::LookAtApi { name, peer, .. } => {
                self.actions.push(Action::LookAtApi { name, peer });
            }
            Effect::Notify(notification) => self.actions.push(Action::Notify(notification)),
        }
    }
}

/// Work.
impl House {
    fn start_flash(&mut self, id: UpdateId, choice: PasswordChoice, now: Timestamp) {
        let open = self.connections.remove(&id);
        let Some(update) = self.state().update(id).filter(|_| open) else { return };
        let UpdateState::Flashing { delivery, peer, .. } = &update.state else { return };
        let credentials = match self.state().credentials(update, delivery, choice) {
            Ok(credentials) => credentials,
            Err(problem) => {
                let outcome = FlashOutcome::Failed { class: FailureClass::Permanent, problem };
                self.happened(Input::FlashEnded { update: id, outcome }, now);
                return;
            }
        };
        let memory = self.state().memory_of(update);
        let build = &delivery.build;
        let expectation = Expectation {
            name: update.name.clone(),
            mac: update.mac.or_else(|| memory?.mac()),
            identity: memory.map(|memory| memory.identity.clone()).unwrap_or_default(),
            link_address: self.state().own_link_address(update),
            wanted_hash: update.new_hash(),
            wanted_version: build.esphome_version.clone(),
            wanted_stamp: build.stamp.clone(),
            unheard: build.mdns
                && build.config_hash.is_some()
                && update.known_hashes.is_empty()
                && update.state.previous_hash().is_none(),
            other_name: (build.name != update.name).then(|| build.name.clone()),
            literal_address: self.state().literal_address(update, build, *peer),
            least: Standing::Claimed,
            suffixed: build.mac_suffix && build.name == update.name,
        };
        let key = credentials.encryption.key();
        let own = key.filter(|key| {
            self.state().is_here(update) && !self.state().another_device_has(key, update)
        });
        let text = credentials::key_of(&build.ota.encryption).map(|key| key.0.clone());
        let job = FlashJob {
            update: id,
            peer: *peer,
            dir: self.directory_of(id),
            delivery: delivery.clone(),
            expectation,
            window: self.state().window(&update.name),
            password: credentials.password.map(|secret| secret.0),
            own_key: own.and(text),
        };
        self.actions.push(Action::StartFlash(Box::new(job)));
    }

    fn directory_of(&self, update: UpdateId) -> Option<String> {
        let update = self.state().update(update)?;
        self.state().directory_of(update).map(str::to_owned)
    }

    fn image_of(&self, update: UpdateId) -> Option<&Sha256> {
        let update = self.state().update(update)?;
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
                .state()
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

    fn prepared(
        &mut self,
        update: UpdateId,
        image: &Sha256,
        result: Result<u32, ImageTrouble>,
        now: Timestamp,
    ) {
        self.preparing = None;
        if self.image_of(update) == Some(image) {
            match result {
                Ok(wire_size) => {
                    self.images.insert(update, image.clone());
                    self.happened(Input::ImageReady { update, wire_size }, now);
                }
                Err(ImageTrouble::Lost) => {
                    let problem = Problem::new("artifact.missing", "The built firmware is gone.")
                        .with_help("Install again to build it anew.");
                    self.happened(Input::ImageLost { update, problem }, now);
                }
                // The world says it again later.
                Err(ImageTrouble::Unreadable) => self.to_prepare.push_back(update),
            }
        }
        self.prepare_next();
    }

    fn check_next(&mut self) {
        while self.checking.is_none() {
            let Some(update) = self.to_check.pop_first() else { return };
            let Some(image) = self.image_of(update).cloned() else { continue };
            let Some(dir) = self.directory_of(update) else { continue };
            let Some((device, sources)) = self.state().update(update).and_then(|update| {
                Some((update.device.clone(), update.state.delivery()?.build.sources.clone()))
            }) else {
                continue;
            };
            self.checking = Some(update);
            self.actions.push(Action::Compare { update, image, device, dir, sources });
        }
    }

    fn collect(&mut self) {
        if !self.garbage || !self.builds.is_empty() || self.conductor.owes() {
            return;
        }
        self.garbage = false;
        let images = self.state().needed_images().cloned().collect();
        self.actions.push(Action::Keep(images));
    }
}
