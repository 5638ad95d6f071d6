//! The table of transitions in docs/ARCHITECTURE.md is what the code does: each row is brought about, and compared in all
//! its columns.

use std::collections::BTreeSet;

use crate::dispatch::{Dispatch, Effect};
use crate::update::{
    FlashStage, PasswordChoice, RollbackWatch, SourceTracking, StateKind, Update, UpdateId,
    UpdateState,
};
use crate::view::NotificationKind;

use super::drivers::{Case, DRIVERS, Driver};
use super::table::table;

/// The words of the fourth column: what is to be done for an update.
fn word(effect: &Effect, id: UpdateId) -> Option<&'static str> {
    Some(match effect {
        Effect::StartBuild { update, .. } if *update == id => "start the build",
        // The update that took its place begins.
        Effect::StartBuild { .. } => return None,
        Effect::FindEsphome => "look for it",
        Effect::StopBuild(_) => "stop the build",
        Effect::StartFlash { .. } => "start the flash with the password to use",
        Effect::GrantTransfer(_) => "send its image",
        Effect::DropConnection(_) => "close the connection",
        Effect::StopFlash(_) => "stop the flash",
        Effect::CheckSources(_) => "look at the sources",
        Effect::Nudge(_) => "connect at once",
        Effect::Ask { .. } => "ask the device",
        Effect::LookAtApi { .. } => "look at its API",
        Effect::Notify(notification) => match notification.kind {
            NotificationKind::Installed => "notify: installed",
            NotificationKind::Failed => "notify: failed",
            NotificationKind::RolledBack => "notify: rolled back",
            NotificationKind::Held => "notify: held",
            NotificationKind::Overdue => "notify: overdue",
            NotificationKind::NotReturned => "notify: not returned",
            NotificationKind::BuildDelayed => "notify: the build is delayed",
            NotificationKind::TransfersCut => "notify: transfers break off",
        },
    })
}

/// The words of the fourth column: what else is true of an update now.
fn news(was: &Update, is: &Update) -> Vec<&'static str> {
    use UpdateState as S;
    let mut news = Vec::new();
    let mut note = |is_so: bool, word| news.extend(is_so.then_some(word));
    let paused = |update: &Update| {
        let again = update.build_again.as_ref().and_then(|again| again.not_before);
        matches!(update.state, S::Waiting { retry_at: Some(_), .. })
            || (matches!(update.state, S::Queued) && again.is_some())
    };
    note(!paused(was) && paused(is), "pause");
    note(paused(was) && !paused(is), "a pause ends");
    if let (Some(old), Some(new)) = (was.state.delivery(), is.state.delivery()) {
        note(new.avoided.len() > old.avoided.len(), "the address is left alone");
        note(new.cuts != old.cuts, "that was a cut transfer");
        let waived = new.tracking == SourceTracking::Waived && old.tracking != new.tracking;
        note(waived, "changes of the sources don't matter any more");
        let other = new.password == PasswordChoice::LastInstalled && old.password != new.password;
        note(other, "the other one is next");
    }
    let states = (&was.state, &is.state);
    if let (S::Flashing { stage: old, .. }, S::Flashing { stage: new, .. }) = states {
        note(*new == FlashStage::MayBeComplete && old != new, "stored before they are sent");
    }
    if let (S::Held { changes: old, .. }, S::Held { changes: new, .. }) = states {
        note(old != new, "these are its changes now");
    }
    if let (S::Confirming { returned_at: old, .. }, S::Confirming { returned_at: new, .. }) = states
    {
        note(old.is_none() && new.is_some(), "the 15 s begin");
    }
    if let (S::Installed { watch: old, .. }, S::Installed { watch: new, .. }) = states {
        note(*new == RollbackWatch::Over && old != new, "the watch is over");
    }
    news
}

/// The states that an update had from the one before the input, and what follows, in the words of the table.
fn drive(Case { mut lab, id, input, .. }: Case) -> (Vec<StateKind>, BTreeSet<&'static str>) {
    let was = lab.update(id).clone();
    let decided = lab.give(input);
    let is = lab.update(id);
    let mut path = vec![was.state.kind()];
    path.extend(is.timeline[was.timeline.len()..].iter().map(|entry| entry.state));
    path.push(is.state.kind());
    path.dedup();
    let mut words: BTreeSet<_> = decided
        .effects
        .iter()
        .filter_map(|effect| word(effect, id))
        .chain(news(&was, is))
        .collect();
    let serves = |dispatch: &Dispatch| dispatch.serving.contains_key(&id);
    if serves(&lab.dispatch) && !serves(&decided.before) {
        words.insert("what it says counts from now on");
    }
    if let UpdateState::Superseded { by, .. } = is.state
        && lab.update(by).timeline[0].state == StateKind::Queued
    {
        words.insert("the new update is Queued");
    }
    (path, words)
}

/// A cell without what is said in brackets.
fn bare(cell: &str) -> String {
    let mut parts = cell.split(" (");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(')').map_or("", |(_, rest)| rest))
}

fn kind(name: &str) -> StateKind {
    let mut all = StateKind::ALL.into_iter();
    all.find(|kind| format!("{kind:?}") == name).unwrap_or_else(|| panic!("no state {name:?}"))
}

/// A word of the fourth column, and its condition.
fn conditional(word: &str) -> (Option<&str>, &str) {
    let split = word.strip_prefix("when ").and_then(|rest| rest.split_once(", "));
    split.map_or((None, word), |(condition, word)| (Some(condition), word))
}

/// What is wrong with a row.
fn compare(row: &[&str], driver: Driver) -> Vec<String> {
    let [froms, input, to, effects] = row[..] else { panic!("four cells: {row:?}") };
    let effects = bare(effects);
    let words = effects.split("; ").filter(|word| !word.is_empty()).map(conditional);
    let words: Vec<_> = words.collect();
    let mut unmet: BTreeSet<&str> = words.iter().filter_map(|(condition, _)| *condition).collect();
    let mut wrong = Vec::new();
    for from in froms.split(", ") {
        for case in driver(kind(from)) {
            let mut met: BTreeSet<&str> = case.when.iter().copied().collect();
            wrong.extend(
                met.iter()
                    .filter(|own| !words.iter().any(|(condition, _)| condition == &Some(**own)))
                    .map(|own| format!("{input}: {own:?} is no condition of the row")),
            );
            met.insert(from);
            unmet.retain(|condition| !met.contains(condition));
            let expected: BTreeSet<&str> = words
                .iter()
                .filter(|(condition, _)| condition.is_none_or(|condition| met.contains(condition)))
                .map(|(_, word)| *word)
                .collect();
            let (path, actual) = drive(case);
            let last = if from == to { vec![kind(to)] } else { vec![kind(from), kind(to)] };
            if !path.ends_with(&last) || (from == to && path.len() > 1) || actual != expected {
                wrong.push(format!(
                    "{from} | {input} | {to} | {expected:?}\n  is {path:?} | {actual:?}"
                ));
            }
        }
    }
    wrong.extend(
        unmet.iter().map(|condition| format!("{input}: nothing brings {condition:?} about")),
    );
    wrong
}

#[test]
fn each_row_of_the_transitions_is_what_happens() {
    let rows = table("From");
    let mut wrong = Vec::new();
    for row in &rows {
        match DRIVERS.iter().find(|(name, _)| *name == bare(row[1])) {
            Some((_, driver)) => wrong.extend(compare(row, *driver)),
            None => wrong.push(format!("nothing brings this about: {row:?}")),
        }
    }
    for (name, _) in DRIVERS {
        if !rows.iter().any(|row| bare(row[1]) == *name) {
            wrong.push(format!("no row: {name}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_transition_that_is_allowed_has_a_row() {
    let written: BTreeSet<_> = table("From")
        .iter()
        .flat_map(|row| row[0].split(", ").map(|from| (kind(from), kind(row[2]))))
        .filter(|(from, to)| from != to)
        .collect();
    let allowed: BTreeSet<_> = StateKind::ALL
        .into_iter()
        .flat_map(|from| StateKind::ALL.map(|to| (from, to)))
        .filter(|(from, to)| from.may_become(*to))
        .collect();
    assert_eq!(written, allowed);
}
