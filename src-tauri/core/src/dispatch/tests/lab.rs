//! A dispatch with a clock and a record of everything it asked for.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::configuration::Validated;
use crate::configuration::{AddressClaim, ConfigFile, ConfigSummary, SourcesState};
use crate::device::{
    ConfigHash, DeviceId, DeviceMemory, MacAddress, Sighting, SightingKind, Source,
};
use crate::dispatch::{
    Answer, Builder, Decision, Dispatch, Effect, FlashOutcome, IllegalTransition, Input, WriteSet,
};
use crate::error::Problem;
use crate::identity::Proof;
use crate::network::Prefix;
use crate::settings::{ChangedSources, Settings};
use crate::time::Timestamp;
use crate::update::{
    Before, Build, Encryption, OtaMethod, OtaParameters, Secret, Sha256, SourceChange,
    SourceChangeKind, StateKind, Update, UpdateId, UpdateState,
};
use crate::view::{DeviceView, NotificationKind, Refusal};
use wakeflash_ota::FailureClass;

/// What the devices run at first, and what is built.
pub(super) const OLD: ConfigHash = ConfigHash(0xAAAA);
pub(super) const NEW: ConfigHash = ConfigHash(0xBBBB);
pub(super) const VERSION: &str = "2026.10.0";

/// Every state that something can still follow on.
pub(super) const ACTIVE: [StateKind; 6] = [
    StateKind::Queued,
    StateKind::Building,
    StateKind::Waiting,
    StateKind::Held,
    StateKind::Flashing,
    StateKind::Confirming,
];

pub(super) fn yaml(name: &str) -> DeviceId {
    DeviceId::of_file(format!("{name}.yaml"))
}

pub(super) fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

pub(super) fn own_network() -> Prefix {
    Prefix::new(address(1), 24)
}

/// The configuration of a device that sleeps.
pub(super) fn config(name: &str) -> ConfigFile {
    let content = Ok(ConfigSummary {
        name: name.into(),
        friendly_name: None,
        area: None,
        platform: Some("esp32".into()),
        address: None,
        claim: AddressClaim::Names(None),
        deep_sleep: true,
        sleep_plan: None,
        compiled_name: None,
        doubt: None,
        validated: None,
    });
    ConfigFile { id: yaml(name), content, sources: SourcesState::default() }
}

pub(super) fn mains_powered(name: &str) -> ConfigFile {
    let mut file = config(name);
    if let Ok(summary) = &mut file.content {
        summary.deep_sleep = false;
    }
    file
}

/// A configuration of which ESPHome has said what it is.
pub(super) fn said(file: &str, name: &str) -> ConfigFile {
    let mut said = config(file);
    if let Ok(summary) = &mut said.content {
        name.clone_into(&mut summary.name);
        summary.validated = Some(Box::new(Validated {
            version: Some(VERSION.into()),
            config_hash: None,
            mac_suffix: false,
            ota: Ok(build(name).ota),
        }));
    }
    said
}

/// The same of one that makes the end of the MAC address a part of the name.
pub(super) fn suffixed(name: &str) -> ConfigFile {
    let mut said = said(name, name);
    if let Some(word) = said.content.as_mut().ok().and_then(|summary| summary.validated.as_mut()) {
        word.mac_suffix = true;
    }
    said
}

pub(super) fn broken(name: &str) -> ConfigFile {
    let content = Err(Problem::new("yaml.syntax", "Line 3 is broken."));
    ConfigFile { id: yaml(name), content, sources: SourcesState::default() }
}

pub(super) fn build(name: &str) -> Build {
    Build {
        image: Sha256("ab".repeat(32)),
        size: 500_000,
        config_hash: Some(NEW),
        esphome_version: Some(VERSION.into()),
        built_at: Timestamp::from_millis(0),
        name: name.into(),
        mac_suffix: false,
        sources: Vec::new(),
        ota: OtaParameters {
            method: OtaMethod::Native,
            port: 3232,
            password: Some(Secret("new".into())),
            encryption: Encryption::None,
        },
        address: None,
        stamp: None,
        before: Before::default(),
        credentials_changed: false,
        deep_sleep: true,
        sleep_plan: None,
        api: None,
        boot_check: None,
        mdns: true,
    }
}

/// A packet of the device, with a complete TXT record.
pub(super) fn packet(name: &str, hash: Option<ConfigHash>) -> Sighting {
    Sighting {
        name: name.into(),
        source: Source::Packet(address(7)),
        kind: SightingKind::Alive,
        addresses: vec![address(7)],
        mac: None,
        link_address: None,
        version: Some(VERSION.into()),
        config_hash: hash,
        stamp: None,
        friendly_name: None,
        platform: None,
    }
}

/// The device's answer to a question that was put to its address.
pub(super) fn answer(name: &str, hash: Option<ConfigHash>) -> Sighting {
    Sighting { source: Source::Answer(address(7)), ..packet(name, hash) }
}

/// A packet with nothing but the device's address.
pub(super) fn address_packet(name: &str) -> Sighting {
    Sighting { version: None, ..packet(name, None) }
}

pub(super) fn goodbye(name: &str) -> Sighting {
    Sighting { kind: SightingKind::Gone, addresses: Vec::new(), ..address_packet(name) }
}

pub(super) fn edited(path: &str) -> Vec<SourceChange> {
    vec![SourceChange { path: path.into(), kind: SourceChangeKind::Edited }]
}

/// ESPHome is there.
pub(super) fn ready() -> Input {
    Input::Builder(Builder::Ready { version: "2026.10.0".to_owned() })
}

pub(super) fn problem() -> Problem {
    Problem::new("test.problem", "It went wrong.")
}

/// The user takes the board that has this MAC address and this network hardware for the device.
pub(super) fn accept(mac: Option<MacAddress>, link_address: Option<MacAddress>) -> Input {
    Input::AcceptBoard { device: yaml("sleepy"), mac, link_address }
}

pub(super) fn not_proven() -> FlashOutcome {
    FlashOutcome::NotProven { another_device: false, problem: problem() }
}

/// What came back where the device of these stories is flashed.
pub(super) fn returned(update: UpdateId) -> Input {
    Input::Returned { update, peer: address(7) }
}

/// The device of these stories greets a client.
pub(super) fn serves_again(update: UpdateId) -> Input {
    Input::ServesAgain { update, peer: address(7) }
}

pub(super) fn failed(class: FailureClass) -> FlashOutcome {
    FlashOutcome::Failed { class, problem: problem() }
}

/// What one input has led to, in a world that has stored it.
#[derive(Debug)]
pub(super) struct Decided {
    /// The state before; the state again when it could not be stored.
    pub(super) before: Dispatch,
    pub(super) writes: WriteSet,
    pub(super) touched: BTreeSet<DeviceId>,
    pub(super) effects: Vec<Effect>,
    pub(super) refused: Vec<IllegalTransition>,
    pub(super) started: Option<UpdateId>,
    pub(super) refusals: Vec<Refusal>,
}

impl Decided {
    pub(super) fn is_durable(&self) -> bool {
        !self.writes.is_empty()
    }
}

/// Decides and stores.
pub(super) fn happen(
    dispatch: &mut Dispatch,
    input: Input,
    now: Timestamp,
) -> Result<Decided, Problem> {
    let mut decision = Decision::on(dispatch);
    let Answer { started, refusals } = decision.take(input, now)?;
    let decided = Decided {
        before: dispatch.clone(),
        writes: decision.writes(),
        touched: decision.touched().clone(),
        effects: decision.effects().to_vec(),
        refused: decision.refused().to_vec(),
        started,
        refusals,
    };
    *dispatch = decision.stored();
    Ok(decided)
}

pub(super) struct Lab {
    pub(super) dispatch: Dispatch,
    pub(super) now: Timestamp,
    pub(super) configs: Vec<ConfigFile>,
    /// What the last input led to.
    pub(super) effects: Vec<Effect>,
    /// Every notification so far.
    pub(super) told: Vec<(NotificationKind, String, String)>,
}

impl Lab {
    /// An application that was started a minute ago, with one device that sleeps, runs [`OLD`], and with
    /// an ESPHome that builds.
    pub(super) fn new() -> Self {
        let mut lab = Self::with(vec![config("sleepy")]);
        lab.seen("sleepy", Some(OLD));
        lab.after(1).give(Input::Sighted(goodbye("sleepy")));
        lab
    }

    pub(super) fn with(configs: Vec<ConfigFile>) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let dispatch = Dispatch::new(
            Settings::default(),
            Vec::new(),
            BTreeMap::new(),
            BTreeMap::new(),
            1,
            now,
        );
        let mut lab = Self { dispatch, now, configs, effects: Vec::new(), told: Vec::new() };
        lab.give(Input::Recover);
        lab.give(Input::Links(vec![own_network()]));
        lab.give(Input::Configs(lab.configs.clone()));
        lab.give(ready());
        lab.after(60);
        lab.give(Input::Tick);
        lab
    }

    /// The same with this policy on changed sources.
    pub(super) fn with_policy(policy: ChangedSources) -> Self {
        let mut lab = Self::new();
        lab.give(Input::Settings(Settings { changed_sources: policy, ..Settings::default() }));
        lab
    }

    /// A lab whose device `sleepy` has an update in this state.
    pub(super) fn at(state: StateKind) -> (Self, UpdateId) {
        let mut lab = Self::new();
        if state == StateKind::Queued {
            lab.give(Input::Builder(Builder::Missing));
            lab.dispatch.builder = None;
        }
        let id = lab.install("sleepy");
        let path: &[fn(&mut Self, UpdateId)] = match state {
            StateKind::Queued | StateKind::Building => &[],
            StateKind::Waiting => &[Self::built],
            StateKind::Held => &[Self::built, |lab, id| lab.changed(id, "sleepy.yaml")],
            StateKind::Flashing => &[Self::built, Self::connected],
            StateKind::Confirming => &[Self::built, Self::connected, Self::acknowledged],
            StateKind::Installed
            | StateKind::Failed
            | StateKind::Cancelled
            | StateKind::Superseded => panic!("{state:?} is not on the way"),
        };
        for step in path {
            step(&mut lab, id);
        }
        lab.expect(id, state);
        (lab, id)
    }

    pub(super) fn after(&mut self, seconds: u64) -> &mut Self {
        self.after_ms(seconds * 1_000)
    }

    pub(super) fn after_ms(&mut self, millis: u64) -> &mut Self {
        self.now = self.now + Duration::from_millis(millis);
        self
    }

    /// Hands in what happened; no transition may be refused.
    pub(super) fn try_give(&mut self, input: Input) -> Result<Decided, Problem> {
        let decision = happen(&mut self.dispatch, input, self.now)?;
        assert_eq!(decision.refused, [], "a transition that the table doesn't have");
        self.effects.clone_from(&decision.effects);
        for effect in &self.effects {
            if let Effect::Notify(told) = effect {
                self.told.push((told.kind, told.title.clone(), told.body.clone()));
            }
        }
        Ok(decision)
    }

    pub(super) fn give(&mut self, input: Input) -> Decided {
        self.try_give(input).expect("it can be met")
    }

    /// What was just handed in could not be stored.
    pub(super) fn not_stored(&mut self, decided: Decided) {
        self.dispatch = decided.before;
    }

    /// Hands in a request that can't be met; the code of the problem.
    pub(super) fn refuse(&mut self, input: Input) -> String {
        self.try_give(input).expect_err("it can't be met").code
    }

    pub(super) fn install(&mut self, name: &str) -> UpdateId {
        self.give(Input::Install(yaml(name))).started.expect("an update was started")
    }

    pub(super) fn built(&mut self, id: UpdateId) {
        let name = self.update(id).name.clone();
        self.built_as(id, build(&name));
    }

    pub(super) fn built_as(&mut self, id: UpdateId, build: Build) {
        self.give(Input::BuildEnded { update: id, result: Ok((build, Vec::new())) });
    }

    pub(super) fn changed(&mut self, id: UpdateId, path: &str) {
        self.give(Input::SourcesChecked { update: id, changes: edited(path) });
    }

    pub(super) fn connected(&mut self, id: UpdateId) {
        self.give(Input::Connected { update: id, peer: address(7) });
    }

    /// The gate has let the device pass, and it is held.
    pub(super) fn captured(&mut self, id: UpdateId) -> Decided {
        self.passed(id);
        self.give(Input::Captured { update: id })
    }

    pub(super) fn ended(&mut self, id: UpdateId, outcome: FlashOutcome) {
        self.give(Input::FlashEnded { update: id, outcome });
    }

    pub(super) fn acknowledged(&mut self, id: UpdateId) {
        self.passed(id);
        self.give(Input::AboutToComplete { update: id, encrypted: false });
        self.ended(id, FlashOutcome::Acknowledged);
    }

    /// The connection dies with the last bytes.
    pub(super) fn cut_at_the_end(&mut self, id: UpdateId) {
        self.passed(id);
        self.give(Input::AboutToComplete { update: id, encrypted: false });
        self.ended(id, failed(FailureClass::OutcomeUnknown));
    }

    /// The device says itself who it is and what it runs.
    pub(super) fn seen(&mut self, name: &str, hash: Option<ConfigHash>) {
        self.give(Input::Sighted(answer(name, hash)));
    }

    /// The gate lets the peer of a flash pass.
    pub(super) fn passed(&mut self, id: UpdateId) {
        let proof = Proof::of_session(address(7), None, None, core::iter::empty());
        self.give(Input::Proven { update: id, proof });
    }

    pub(super) fn update(&self, id: UpdateId) -> &Update {
        self.dispatch.update(id).expect("the update exists")
    }

    pub(super) fn state(&self, id: UpdateId) -> &UpdateState {
        &self.update(id).state
    }

    #[track_caller]
    pub(super) fn expect(&self, id: UpdateId, state: StateKind) {
        assert_eq!(self.state(id).kind(), state, "{:#?}", self.update(id).timeline);
    }

    pub(super) fn row(&self, name: &str) -> DeviceView {
        self.dispatch.row(&yaml(name), self.now).expect("the device is listed")
    }

    pub(super) fn starts_flash(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::StartFlash { .. }))
    }

    pub(super) fn told_kinds(&self) -> Vec<NotificationKind> {
        self.told.iter().map(|(kind, ..)| *kind).collect()
    }

    /// Ends the application at this instant and starts it again from what was stored.
    pub(super) fn restart(&mut self) {
        let stored = serde_json::to_string(&self.dispatch.updates().collect::<Vec<_>>()).unwrap();
        let updates: Vec<Update> = serde_json::from_str(&stored).unwrap();
        let memories: BTreeMap<&String, &DeviceMemory> =
            self.dispatch.devices.iter().map(|(name, heard)| (name, &heard.memory)).collect();
        let memories = serde_json::from_str(&serde_json::to_string(&memories).unwrap()).unwrap();
        let settings = serde_json::to_string(self.dispatch.settings()).unwrap();
        let settings = serde_json::from_str(&settings).unwrap();
        let heard = self.dispatch.devices.iter();
        let wakes = heard.map(|(name, heard)| (name.clone(), heard.wakes.clone())).collect();
        let next_id = self.dispatch.next_id;
        self.dispatch = Dispatch::new(settings, updates, memories, wakes, next_id, self.now);
        self.give(Input::Recover);
    }

    /// What follows on a start: the directory is read and ESPHome is found.
    pub(super) fn come_up(&mut self) {
        self.give(Input::Links(vec![own_network()]));
        self.give(Input::Configs(self.configs.clone()));
        self.give(ready());
    }
}
