//! What holds after every input.

use std::collections::{BTreeMap, BTreeSet};

use crate::build_failure::LONGEST_PAUSE;
use crate::device::{DeviceId, Sighting, Source};
use crate::dispatch::{Dispatch, Effect, FlashOutcome, Input};
use crate::identity::Proof;
use crate::retry::CUTS_TOLD;
use crate::time::Timestamp;
use crate::update::{Acknowledgement, RollbackWatch, StateKind, Update, UpdateId, UpdateState};
use crate::view::DeviceView;

use super::durable::{Durable, durable};
use super::lab::{Decided, happen, ready};

/// The whole state, to be compared with a later one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    pub(super) durable: Durable,
    rows: BTreeMap<DeviceId, DeviceView>,
    /// The names of the devices of which what is remembered is stored, and at once.
    kept: BTreeSet<String>,
    /// How many images are being sent.
    granted: usize,
    can_build: bool,
}

impl View {
    pub(super) fn of(dispatch: &Dispatch, now: Timestamp) -> Self {
        let row = |id: DeviceId| {
            let row = dispatch.row(&id, now).expect("every listed row can be shown");
            (id, row)
        };
        Self {
            durable: durable(dispatch),
            kept: dispatch
                .devices
                .iter()
                .filter(|(name, heard)| dispatch.keeps(name) && !heard.unstored)
                .map(|(name, _)| name.clone())
                .collect(),
            rows: dispatch.rows().into_iter().map(row).collect(),
            granted: dispatch.granted(),
            can_build: dispatch.can_build(),
        }
    }

    fn update(&self, id: UpdateId) -> Option<&Update> {
        self.durable.updates.get(&id)
    }

    fn count(&self, kind: StateKind) -> usize {
        self.durable.updates.values().filter(|update| update.state.kind() == kind).count()
    }
}

pub(super) fn check(input: &Input, before: &View, after: &View, decision: &Decided) {
    assert_eq!(decision.refused, [], "a transition that the table doesn't have");
    check_record(before, after, decision);
    check_limits(before, after);
    for (id, update) in &after.durable.updates {
        let old = before.update(*id);
        if old != Some(update) {
            check_change(input, old, update, decision);
        }
    }
    for effect in &decision.effects {
        check_effect(effect, before, after, decision);
    }
}

/// What leaves the memory has ended as it was stored, and others of its device came after it.
fn check_let_go(id: UpdateId, before: &View, after: &View) {
    let Some(update) = before.update(id) else { return };
    assert!(update.state.kind().is_final() && !update.state.is_undecided(), "lost: {update:?}");
    let later =
        after.durable.updates.values().filter(|it| it.device == update.device && it.id > id);
    assert!(later.count() > 1, "the last one of its device is gone: {update:?}");
}

/// Everything that is different is in the decision.
fn check_record(before: &View, after: &View, decision: &Decided) {
    let ids: BTreeSet<_> =
        before.durable.updates.keys().chain(after.durable.updates.keys()).collect();
    for id in ids {
        let written = decision.writes.updates.iter().find(|update| update.id == *id);
        match written {
            Some(written) => assert_eq!(Some(written), after.update(*id)),
            None if after.update(*id).is_none() => check_let_go(*id, before, after),
            None => assert_eq!(before.update(*id), after.update(*id), "a change that isn't stored"),
        }
    }
    for (name, memory) in &after.durable.memories {
        let old = before.durable.memories.get(name);
        let written = decision.writes.memories.iter().any(|(written, _)| written == name);
        let is_stored = !after.kept.contains(name) || written;
        assert!(old == Some(memory) || is_stored, "{name} isn't stored");
    }
    assert_eq!(
        decision.writes.settings.as_ref().unwrap_or(&before.durable.settings),
        &after.durable.settings
    );
    let rows: BTreeSet<_> = before.rows.keys().chain(after.rows.keys()).collect();
    for id in rows {
        assert!(
            before.rows.get(id) == after.rows.get(id) || decision.touched.contains(id),
            "{id} looks different and nobody is told:\n{:?}\n{:?}",
            before.rows.get(id),
            after.rows.get(id),
        );
    }
}

fn check_limits(before: &View, after: &View) {
    let settings = &after.durable.settings;
    let count = after.count(StateKind::Building);
    // Nothing that runs is ended by a lower limit.
    let most = usize::from(settings.max_builds).max(before.count(StateKind::Building));
    assert!(count <= most, "{count} are building");
    assert!(after.granted <= usize::from(settings.max_flashes).max(before.granted));
    let mut active = BTreeSet::new();
    for update in after.durable.updates.values().filter(|update| !update.state.kind().is_final()) {
        assert!(active.insert(&update.device), "{} has two active updates", update.device);
    }
}

fn check_change(input: &Input, old: Option<&Update>, new: &Update, decision: &Decided) {
    let to = new.state.kind();
    let Some(old) = old else {
        if matches!(input, Input::InstallPrevious(_)) {
            assert_eq!(to, StateKind::Waiting);
            return;
        }
        assert!(matches!(
            input,
            Input::Install(_)
                | Input::InstallMany(_)
                | Input::Retry(_)
                | Input::RetryWithPassword { .. }
                | Input::RetryClean(_)
        ));
        assert!(matches!(to, StateKind::Queued | StateKind::Building));
        return;
    };
    let from = old.state.kind();
    if from == StateKind::Installed {
        check_watch(input, old, new);
    } else if let Input::Dismiss(device) = input {
        assert_eq!(*device, old.device);
        assert!(from == StateKind::Failed && !old.state.is_dismissed() && new.state.is_dismissed());
    } else if let (Input::UndoCancel(devices), StateKind::Cancelled) = (input, from) {
        assert!(devices.contains(&old.device));
        let back = [StateKind::Queued, StateKind::Building, StateKind::Waiting, StateKind::Held];
        assert!(back.contains(&to), "{} goes on as {to:?}", old.id);
    } else {
        assert!(!from.is_final(), "{} was over and changed", old.id);
    }
    assert_eq!(
        (old.id, &old.device, &old.name, old.requested_at),
        (new.id, &new.device, &new.name, new.requested_at)
    );
    // A board that the user accepts may run what it ran before.
    let accepted = matches!(input, Input::AcceptBoard { .. });
    // So may one that runs an image which was built before.
    let earlier = new.earlier_may_have_arrived && !old.earlier_may_have_arrived;
    assert!(new.known_hashes.starts_with(&old.known_hashes));
    // What it said that it ran when it was flashed.
    let before = from.occupies_the_device() && to == StateKind::Installed;
    let more: Vec<_> = new.known_hashes.iter().skip(old.known_hashes.len()).copied().collect();
    let said = before && more.iter().eq(old.state.previous_hash().iter());
    assert!(accepted || earlier || said || more.is_empty());
    assert!(new.earlier_may_have_arrived || !old.earlier_may_have_arrived, "it is forgotten");
    assert!(new.timeline.len() <= Update::TIMELINE_LIMIT);
    assert_eq!(new.timeline.last().map(|entry| entry.state), Some(to), "the story tells the state");
    if from == StateKind::Held && to != StateKind::Held {
        check_answer(input, old, to);
    }
    if from == StateKind::Confirming && to != StateKind::Confirming {
        check_word(input, old, new);
    }
    if to == StateKind::Installed && from != to {
        assert!(
            matches!(
                (from, input),
                (StateKind::Confirming, Input::Sighted(_) | Input::Tick)
                    | (StateKind::Waiting | StateKind::Held, Input::Sighted(_))
                    | (
                        StateKind::Flashing,
                        Input::FlashEnded { outcome: FlashOutcome::AlreadyRunning, .. }
                    )
            ),
            "{from:?} can't be installed by {input:?}"
        );
    }
    if matches!(to, StateKind::Cancelled | StateKind::Superseded) {
        let stops = |effect: &Effect| decision.effects.contains(effect);
        assert_eq!(stops(&Effect::StopBuild(old.id)), from == StateKind::Building);
        assert_eq!(stops(&Effect::StopFlash(old.id)), from == StateKind::Flashing);
    }
    let told = decision
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Notify(told) if told.device == new.device));
    // A cancel that is taken back brings nothing new.
    let news = from != to
        && from != StateKind::Cancelled
        && matches!(to, StateKind::Installed | StateKind::Failed | StateKind::Held);
    let failures = |update: &Update| update.build_again.as_ref().map_or(0, |it| it.failures);
    let delayed = failures(new) == 3 && failures(old) == 2;
    let cuts = |update: &Update| update.state.delivery().map_or(0, |it| it.cuts.in_all);
    let cut = cuts(new) == CUTS_TOLD && cuts(old) < CUTS_TOLD;
    let told = told.count();
    let news = news || delayed || cut;
    assert_eq!(told, usize::from(news), "{from:?} to {to:?}: one notification each");
}

/// An installed update changes by what the device itself says, and nothing is sent for it again.
fn check_watch(input: &Input, old: &Update, new: &Update) {
    let UpdateState::Installed { watch, .. } = &old.state else { return };
    assert_eq!(*watch, RollbackWatch::Watched, "{} was over and changed", old.id);
    let Input::Sighted(sighting) = input else { panic!("{input:?} is no word of the device") };
    assert!(matches!(sighting.source, Source::Packet(_) | Source::Answer(_)));
    if let UpdateState::Failed { rolled_back: true, .. } = &new.state {
        let back = sighting.config_hash;
        assert!(back.is_none_or(|back| old.known_hashes.contains(&back)));
    } else {
        assert!(matches!(new.state, UpdateState::Installed { watch: RollbackWatch::Over, .. }));
    }
}

/// A held update moves by the user's answer, because its sources are again what was built, or because the device runs it
/// already.
fn check_answer(input: &Input, old: &Update, to: StateKind) {
    let by_user = |device: &DeviceId| *device == old.device;
    assert!(
        match input {
            Input::FlashAnyway(device) => by_user(device) && to == StateKind::Waiting,
            Input::Rebuild(device) =>
                by_user(device) && matches!(to, StateKind::Queued | StateKind::Building),
            Input::Cancel(device) => by_user(device) && to == StateKind::Cancelled,
            Input::Install(device) | Input::InstallPrevious(device) => {
                by_user(device) && to == StateKind::Superseded
            }
            Input::Sighted(_) => to == StateKind::Installed,
            Input::SourcesChecked { changes, .. } => changes.is_empty() && to == StateKind::Waiting,
            Input::CancelMany(devices) => {
                devices.contains(&old.device) && to == StateKind::Cancelled
            }
            Input::Retry(_)
            | Input::RetryWithPassword { .. }
            | Input::RetryClean(_)
            | Input::UndoCancel(_)
            | Input::Dismiss(_)
            | Input::InstallMany(_)
            | Input::SetAddress { .. }
            | Input::SetLabel { .. }
            | Input::RecordLog { .. }
            | Input::LogRecorded { .. }
            | Input::AcceptBoard { .. }
            | Input::Links(_)
            | Input::Proven { .. }
            | Input::ImageReady { .. }
            | Input::Settings(_)
            | Input::ChangeSettings(_)
            | Input::Configs(_)
            | Input::DirectoryGone(_)
            | Input::DiskFreed
            | Input::ChooseConfig(_)
            | Input::Builder(_)
            | Input::BuildEnded { .. }
            | Input::Connected { .. }
            | Input::Returned { .. }
            | Input::ServesAgain { .. }
            | Input::Unreachable { .. }
            | Input::Stranger { .. }
            | Input::Silent { .. }
            | Input::LookedAtApi { .. }
            | Input::ImageLost { .. }
            | Input::Captured { .. }
            | Input::Network { .. }
            | Input::AboutToComplete { .. }
            | Input::FlashEnded { .. }
            | Input::Recover
            | Input::Tick => false,
        },
        "a held update became {to:?} by {input:?}"
    );
}

/// After the last byte nothing is guessed: the device's word decides, or its return.
fn check_word(input: &Input, old: &Update, new: &Update) {
    let UpdateState::Confirming { acknowledgement, delivery, .. } = &old.state else { return };
    let fresh = |source: Source| matches!(source, Source::Packet(_) | Source::Answer(_));
    match (&new.state, input) {
        (UpdateState::Waiting { .. }, Input::Sighted(sighting)) => {
            assert!(fresh(sighting.source) && *acknowledgement == Acknowledgement::Unknown);
            let build = &delivery.build;
            assert!(
                sighting.config_hash != build.config_hash
                    || sighting.version != build.esphome_version,
                "it runs the build"
            );
        }
        (UpdateState::Waiting { delivery: next, .. }, Input::Tick) => {
            assert_eq!(*acknowledgement, Acknowledgement::Unknown);
            assert!(!delivery.repeated_blindly && next.repeated_blindly, "blindly only once");
        }
        (UpdateState::Installed { .. }, Input::Tick) => {
            assert_eq!(*acknowledgement, Acknowledgement::Final, "silence proves nothing");
        }
        (UpdateState::Failed { rolled_back: true, .. }, Input::Sighted(sighting)) => {
            assert!(fresh(sighting.source) && *acknowledgement == Acknowledgement::Final);
        }
        (UpdateState::Installed { .. }, Input::Sighted(_))
        | (UpdateState::Failed { rolled_back: false, .. }, Input::Tick)
        | (
            UpdateState::Cancelled { may_have_arrived: true, .. },
            Input::Cancel(_) | Input::CancelMany(_),
        )
        | (UpdateState::Superseded { .. }, Input::Install(_)) => {}
        (state, input) => panic!("confirming became {:?} by {input:?}", state.kind()),
    }
}

fn check_effect(effect: &Effect, before: &View, after: &View, decision: &Decided) {
    let kinds = |id: &UpdateId| {
        let kind = |view: &View| view.update(*id).map(|update| update.state.kind());
        (kind(before), kind(after))
    };
    let once = decision.effects.iter().filter(|other| *other == effect).count() == 1;
    match effect {
        Effect::StartFlash { update, password } => {
            assert_eq!(kinds(update), (Some(StateKind::Waiting), Some(StateKind::Flashing)));
            let delivery = after.update(*update).and_then(|update| update.state.delivery());
            assert_eq!(delivery.map(|delivery| delivery.password), Some(*password));
            assert!(once);
        }
        Effect::StartBuild { update, device } => {
            assert!(after.can_build);
            let of = after.update(*update).and_then(|update| update.directory.as_ref());
            assert!(of.is_none() || of == after.durable.settings.config_dir.as_ref());
            assert_eq!(kinds(update).1, Some(StateKind::Building));
            assert_eq!(after.update(*update).map(|update| &update.device), Some(device));
            assert!(once);
        }
        Effect::StopBuild(update) => {
            let (from, to) = kinds(update);
            assert_eq!(from, Some(StateKind::Building));
            assert!(matches!(to, Some(StateKind::Cancelled | StateKind::Superseded)));
        }
        Effect::StopFlash(update) => {
            let (from, to) = kinds(update);
            assert_eq!(from, Some(StateKind::Flashing));
            assert!(matches!(to, Some(StateKind::Cancelled | StateKind::Superseded)));
        }
        Effect::GrantTransfer(update) => {
            assert_eq!(kinds(update).1, Some(StateKind::Flashing));
            assert!(once);
        }
        Effect::DropConnection(update) => {
            // Its build may begin at the same time.
            let begins = (Some(StateKind::Queued), Some(StateKind::Building));
            let (from, to) = kinds(update);
            assert!(from == to || (from, to) == begins);
        }
        Effect::CheckSources(update) => assert!(after.update(*update).is_some()),
        Effect::FindEsphome => {}
        Effect::Nudge(name) => assert!(!name.is_empty()),
        Effect::Ask { name, addresses } => {
            assert!(!name.is_empty() && !addresses.is_empty());
        }
        Effect::LookAtApi { name, api, ota, .. } => {
            assert!(!name.is_empty() && api != ota);
        }
        Effect::Notify(told) => {
            assert!(told.kind.is_wanted(after.durable.settings.notify));
            assert!(!told.title.is_empty() && !told.body.is_empty());
        }
    }
}

/// What is derived from the state agrees with it.
pub(super) fn check_state(dispatch: &Dispatch, now: Timestamp) {
    let rows = dispatch.rows();
    for id in &rows {
        let row = dispatch.row(id, now).expect("every listed row can be shown");
        assert_eq!(row.id, *id);
        assert_eq!(
            row.update.as_ref().map(|update| update.id),
            dispatch.shown_update(id).map(|update| update.id)
        );
    }
    for update in dispatch.updates().filter(|update| !update.state.kind().is_final()) {
        assert!(rows.contains(&update.device), "{} has an update and no row", update.device);
    }
    for target in dispatch.targets(now) {
        let kind = dispatch.update(target.update).map(|update| update.state.kind());
        assert!(matches!(kind, Some(StateKind::Waiting | StateKind::Confirming)));
    }
}

/// A restart loses nothing and goes on with nothing by itself.
pub(super) fn check_restart(before: &BTreeMap<UpdateId, Update>, dispatch: &Dispatch) {
    assert!(before.keys().eq(dispatch.updates.keys()));
    for (old, new) in before.values().zip(dispatch.updates.values()) {
        let expected = match old.state.kind() {
            StateKind::Building => StateKind::Queued,
            StateKind::Flashing if matches!(new.state, UpdateState::Confirming { .. }) => {
                assert!(old.state.may_have_arrived());
                StateKind::Confirming
            }
            StateKind::Flashing => StateKind::Waiting,
            other @ (StateKind::Queued
            | StateKind::Waiting
            | StateKind::Held
            | StateKind::Confirming
            | StateKind::Installed
            | StateKind::Failed
            | StateKind::Cancelled
            | StateKind::Superseded) => {
                // One that was asked for without a directory is of the one that is chosen by then.
                let directory = old.directory.clone().or_else(|| new.directory.clone());
                let bound = Update { directory, ..old.clone() };
                assert!(bound == *new || other == StateKind::Confirming);
                other
            }
        };
        assert_eq!(new.state.kind(), expected);
    }
}

/// From here on builds succeed, nothing is edited, and devices take what they are sent and say so: then
/// no update gets stuck.
pub(super) fn check_ends(dispatch: &mut Dispatch, mut now: Timestamp) {
    let active = |dispatch: &Dispatch| -> Vec<Update> {
        dispatch.updates().filter(|update| !update.state.kind().is_final()).cloned().collect()
    };
    let mut give = |input: Input, dispatch: &mut Dispatch, seconds: u64| {
        now = now + core::time::Duration::from_secs(seconds);
        happen(dispatch, input, now).map(|decided| decided.effects)
    };
    give(ready(), dispatch, 0).expect("it is ready");
    let files = || ["a", "b", "c", "stranger"].map(super::lab::config).to_vec();
    let resumed = crate::settings::Settings { paused: false, ..dispatch.settings().clone() };
    give(Input::Settings(resumed), dispatch, 0).expect("it can be resumed");
    for _ in 0..20 {
        for update in active(dispatch) {
            let (id, device) = (update.id, update.device.clone());
            let config_dir = update.directory.clone();
            let there = crate::settings::Settings { config_dir, ..dispatch.settings().clone() };
            give(Input::Settings(there), dispatch, 0).expect("it can be chosen");
            give(Input::Configs(files()), dispatch, 0).expect("it can be read");
            match &update.state {
                UpdateState::Queued => drop(give(Input::Tick, dispatch, LONGEST_PAUSE.as_secs())),
                UpdateState::Building { .. } => {
                    let result = Ok((super::lab::build(&update.name), Vec::new()));
                    drop(give(Input::BuildEnded { update: id, result }, dispatch, 30));
                }
                UpdateState::Waiting { .. } => {
                    let peer = super::lab::address(1);
                    // Longer than it has to be left alone after many transfers.
                    drop(give(Input::Tick, dispatch, 3_600));
                    drop(give(Input::Connected { update: id, peer }, dispatch, 30));
                }
                UpdateState::Held { .. } => drop(give(Input::FlashAnyway(device), dispatch, 1)),
                UpdateState::Flashing { peer, .. } => {
                    let proof = Proof::of_session(*peer, None, None, core::iter::empty());
                    drop(give(Input::Proven { update: id, proof }, dispatch, 1));
                    drop(give(
                        Input::AboutToComplete { update: id, encrypted: false },
                        dispatch,
                        1,
                    ));
                    let outcome = FlashOutcome::Acknowledged;
                    drop(give(Input::FlashEnded { update: id, outcome }, dispatch, 1));
                }
                UpdateState::Confirming { delivery, peer, .. } => {
                    let word = Sighting {
                        source: Source::Answer(*peer),
                        addresses: vec![*peer],
                        ..super::lab::packet(&delivery.build.name, delivery.build.config_hash)
                    };
                    drop(give(Input::Tick, dispatch, 0));
                    drop(give(Input::Sighted(word), dispatch, 15));
                    drop(give(Input::Tick, dispatch, 20));
                }
                UpdateState::Installed { .. }
                | UpdateState::Failed { .. }
                | UpdateState::Cancelled { .. }
                | UpdateState::Superseded { .. } => {}
            }
        }
    }
    assert_eq!(active(dispatch), [], "an update got stuck");
}
