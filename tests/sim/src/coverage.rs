//! What the lives together have visited: the lines of the table in docs/ARCHITECTURE.md, and kinds of faults.

use std::collections::{BTreeMap, BTreeSet};

use wakeflash_core::update::{StateKind, TimelineEntry};

const ARCHITECTURE: &str = include_str!("../../../docs/ARCHITECTURE.md");

/// Counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) rows: BTreeMap<(&'static str, StateKind), u64>,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Transitions that no line of the table was found for.
    pub(crate) unknown: BTreeMap<(StateKind, StateKind, String), u64>,
}

/// How a line of the table is known: the states, and how the line of the timeline begins.
struct Mark {
    from: &'static [StateKind],
    to: StateKind,
    /// One of these is in the text, or is the code of its problem; empty: any text.
    says: &'static [&'static str],
    /// How the second cell of the table begins.
    input: &'static str,
}

use StateKind as S;

const ACTIVE: [StateKind; 6] =
    [S::Queued, S::Building, S::Waiting, S::Held, S::Flashing, S::Confirming];

const MARKS: &[Mark] = &[
    mark(&[S::Queued], S::Building, &[], "a build slot is free"),
    mark(&[S::Building], S::Waiting, &[], "the build ended with an image"),
    mark(&[S::Building], S::Failed, &[], "the build failed for good"),
    mark(
        &[S::Building],
        S::Queued,
        &["was ended during the build"],
        "the application starts again",
    ),
    mark(&[S::Building], S::Queued, &[], "the build lacked something"),
    mark(&[S::Waiting], S::Failed, &[], "its image is gone"),
    mark(&[S::Waiting], S::Flashing, &[], "connected, no pause"),
    mark(
        &[S::Waiting],
        S::Held,
        &["build.changes_sources"],
        "built, and a source changed while it was built",
    ),
    mark(&[S::Waiting], S::Held, &[], "the sources changed, policy Hold"),
    mark(&[S::Waiting], S::Queued, &[], "the sources changed, policy Rebuild"),
    mark(&[S::Waiting], S::Waiting, &["as the settings say"], "the sources changed, policy Flash"),
    mark(
        &[S::Waiting, S::Held],
        S::Installed,
        &[],
        "the device is seen with the build's hash, and that",
    ),
    mark(&[S::Held], S::Queued, &[], "Rebuild"),
    mark(
        &[S::Held],
        S::Waiting,
        &["The sources are again what was built. Waiting for the device."],
        "the sources are again what was built",
    ),
    mark(&[S::Held], S::Waiting, &[], "Flash anyway"),
    mark(
        &[S::Flashing],
        S::Flashing,
        &["from here on the device may install it"],
        "the last bytes are about",
    ),
    mark(
        &[S::Flashing],
        S::Confirming,
        &["took the new firmware"],
        "the device acknowledged the end",
    ),
    mark(
        &[S::Flashing],
        S::Confirming,
        &["Wakeflash was ended"],
        "the application starts again, the whole image",
    ),
    mark(&[S::Flashing], S::Confirming, &[], "the connection died after"),
    mark(&[S::Flashing], S::Installed, &[], "the gate learned that the device runs"),
    mark(
        &[S::Flashing],
        S::Waiting,
        &["Wakeflash was ended"],
        "the application starts again, it can't",
    ),
    mark(
        &[S::Flashing],
        S::Waiting,
        &[
            "did not prove",
            "can't be told",
            "other network hardware",
            "and not “",
            "but its MAC address",
        ],
        "the gate could not tell",
    ),
    mark(&[S::Flashing], S::Held, &[], "the gate learned that the sources changed"),
    // On its way through Waiting in one decision: the next line counts.
    mark(&[S::Flashing], S::Waiting, &["changed since the build"], NO_LINE),
    mark(&[S::Flashing], S::Waiting, &[], "the attempt failed, another one"),
    mark(&[S::Flashing], S::Failed, &[], "the attempt failed for good"),
    mark(
        &[S::Confirming],
        S::Installed,
        &["announced the new firmware"],
        "the device is seen with the build's hash, and that",
    ),
    mark(
        &[S::Confirming],
        S::Waiting,
        &["still runs its old firmware"],
        "outcome unknown; the device is seen with another",
    ),
    mark(&[S::Confirming], S::Waiting, &["once more"], "outcome unknown; the device is back"),
    mark(
        &[S::Confirming],
        S::Failed,
        &["update.rolled_back"],
        "acknowledged; the device is seen with another",
    ),
    mark(&[S::Confirming], S::Failed, &["update.outcome_unknown"], "the same, the second time"),
    mark(&[S::Confirming], S::Confirming, &["is back"], "the device is back"),
    mark(&[S::Installed], S::Failed, &[], "watched; the device says"),
    mark(&[S::Installed], S::Installed, &[], "watched; it stayed"),
    mark(&[S::Failed], S::Installed, &[], "rolled back; the device says later"),
    mark(
        &[S::Cancelled],
        S::Queued,
        &["was undone"],
        "Undo, within 15 s, of what was Queued or Building",
    ),
    mark(&[S::Cancelled], S::Waiting, &["was undone"], "Undo, within 15 s, of what was Waiting"),
    mark(&[S::Cancelled], S::Held, &["was undone"], "Undo, within 15 s, of what was Held"),
    mark(&ACTIVE, S::Cancelled, &[], "Cancel"),
    mark(&ACTIVE, S::Superseded, &[], "Install"),
];

const fn mark(
    from: &'static [StateKind],
    to: StateKind,
    says: &'static [&'static str],
    input: &'static str,
) -> Mark {
    Mark { from, to, says, input }
}

const NO_LINE: &str = "(none)";

/// Lines that leave no line in a timeline: they are counted where they happen.
const ELSEWHERE: &[(&str, StateKind, &str)] = &[
    ("Waiting: seen", S::Waiting, "the device is seen and doesn't run"),
    ("Flashing: granted", S::Flashing, "the device is held"),
    ("Held: others", S::Held, "other sources changed"),
    (
        "Confirming: hash doesn't tell",
        S::Confirming,
        "acknowledged; the device is seen with the build's hash",
    ),
    ("Confirming: greets", S::Confirming, "the device greets another client"),
    ("Confirming: silent", S::Confirming, "acknowledged; the device is back and silent"),
];

impl Coverage {
    pub(crate) fn struck(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    pub(crate) fn row(&mut self, name: &str) {
        if let Some((_, from, input)) = ELSEWHERE.iter().find(|(own, ..)| *own == name) {
            *self.rows.entry((input, *from)).or_default() += 1;
        }
    }

    /// A line of a timeline.
    pub(crate) fn transition(&mut self, from: StateKind, to: StateKind, line: &TimelineEntry) {
        let TimelineEntry { text, code, .. } = line;
        let is_said = |says: &str| text.contains(says) || code.as_deref() == Some(says);
        let found = MARKS.iter().find(|mark| {
            mark.from.contains(&from)
                && mark.to == to
                && (mark.says.is_empty() || mark.says.iter().any(|says| is_said(says)))
        });
        match found {
            Some(mark) => *self.rows.entry((mark.input, from)).or_default() += 1,
            None if from == to => {}
            None => {
                let short: String = text.chars().take(60).collect();
                *self.unknown.entry((from, to, short)).or_default() += 1;
            }
        }
    }

    pub(crate) fn join(&mut self, other: Self) {
        for (row, many) in other.rows {
            *self.rows.entry(row).or_default() += many;
        }
        for (fault, many) in other.faults {
            *self.faults.entry(fault).or_default() += many;
        }
        for (unknown, many) in other.unknown {
            *self.unknown.entry(unknown).or_default() += many;
        }
    }

    /// A count for each line of the table, with what is missing.
    pub(crate) fn table(&self) -> Vec<Line> {
        let rows = ARCHITECTURE
            .lines()
            .skip_while(|line| !line.starts_with("| From |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        rows.map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let cell = |n: usize| cells.get(n).copied().unwrap_or_default();
            let name = format!("{} | {} | {}", cell(0), cell(1), cell(2));
            let counts: Vec<u64> =
                cell(0).split(", ").map(|from| self.count(from, cell(1))).collect();
            Line { name, count: counts.iter().sum(), complete: counts.iter().all(|it| *it > 0) }
        })
        .collect()
    }

    fn count(&self, from: &str, input: &str) -> u64 {
        let inputs: BTreeSet<&str> = MARKS
            .iter()
            .map(|mark| mark.input)
            .chain(ELSEWHERE.iter().map(|(_, _, input)| *input))
            .filter(|own| input.starts_with(own))
            .collect();
        // "the device is seen with the build's hash" begins two lines.
        let Some(longest) = inputs.into_iter().max_by_key(|own| own.len()) else { return 0 };
        let own = self
            .rows
            .iter()
            .filter(|((row, state), _)| *row == longest && format!("{state:?}") == from);
        own.map(|(_, many)| many).sum()
    }
}

/// A line of the table, and how often it was visited.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) count: u64,
    /// From every state that it names.
    pub(crate) complete: bool,
}
