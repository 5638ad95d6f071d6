//! Which group a device is in: every number of the window, the tray and the badge counts these. The window has the same
//! rules; both are tested with `groups.json`.

use super::{Counts, DeviceView, UpdateStateView, UpdateView};

/// Each device is in one of them, or has nothing under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Somebody has to decide, or to look after it.
    Attention,
    /// Queued, building, flashing or confirming.
    Working,
    /// Built, and the device is waited for.
    Waiting,
}

impl DeviceView {
    /// Its group; `None`: nothing is under way.
    #[must_use]
    pub fn group(&self) -> Option<Group> {
        // What is wrong with the directory is said once, for all of its devices. That ESPHome hasn't answered yet is
        // nothing wrong.
        let own = self.problem.as_ref().filter(|problem| {
            problem.code != "config.unanswered" && !problem.code.starts_with("config_dir.")
        });
        let broken = own.map(|_| Group::Attention);
        let crashes = self.crash_loop.as_ref().map(|_| Group::Attention);
        let Some(update) = &self.update else { return broken.or(crashes) };
        match &update.state {
            UpdateStateView::Queued { .. }
            | UpdateStateView::Building { .. }
            | UpdateStateView::Flashing { .. }
            | UpdateStateView::Confirming { .. } => Some(Group::Working),
            UpdateStateView::Held { .. } | UpdateStateView::Failed { .. } => Some(Group::Attention),
            UpdateStateView::Waiting { .. } => {
                let overdue = self.wake.is_some_and(|wake| wake.overdue);
                let late = overdue || is_mistaken(update);
                Some(broken.unwrap_or(if late { Group::Attention } else { Group::Waiting }))
            }
            UpdateStateView::Installed { .. }
            | UpdateStateView::Cancelled { .. }
            | UpdateStateView::Superseded { .. } => broken.or(crashes),
        }
    }
}

/// Who answered at the device's address couldn't be told, or was somebody else.
fn is_mistaken(update: &UpdateView) -> bool {
    let attempt = update.last_attempt.as_ref();
    attempt.is_some_and(|attempt| {
        matches!(attempt.problem.code.as_str(), "gate.other_device" | "gate.unidentified")
    })
}

impl Counts {
    /// How many of these devices are where.
    #[must_use]
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a DeviceView>) -> Self {
        let mut counts = Self::default();
        for group in rows.into_iter().filter_map(DeviceView::group) {
            match group {
                Group::Attention => counts.attention += 1,
                Group::Working => counts.working += 1,
                Group::Waiting => counts.waiting += 1,
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A row as the window gets it, changed as an example says.
    fn row(example: &Value) -> DeviceView {
        let problem = |code: &Value| json!({"code": code, "message": "No.", "help": null});
        let update = example.get("state").map(|state| {
            let attempt = example.get("lastAttempt");
            json!({
                "id": 1, "requestedAt": 0, "state": state, "progress": null, "attempts": 1,
                "lastAttempt": attempt.map(|code| json!({"at": 0, "problem": problem(code)})),
                "warning": null, "encrypted": null, "wantedHash": null, "wantedVersion": null,
            })
        });
        let broken = example.get("problem").map(problem);
        serde_json::from_value(json!({
            "id": "a.yaml", "name": "a", "friendlyName": null, "file": "a.yaml", "problem": broken,
            "platform": null, "crashLoop": example.get("crashLoop").map(problem), "presence": "asleep", "lastSeen": null, "addresses": [], "mac": null,
            "trust": "unknown", "rival": null, "hasKey": false, "deployedVersion": null,
            "deployedHash": null, "deepSleep": true, "modified": false, "updateAvailable": false,
            "wake": {
                "rhythm": "regular", "periodSeconds": 60, "jitterSeconds": 1, "next": 0,
                "overdue": example.get("overdue").is_some(), "windowSeconds": null,
            },
            "userAddress": null, "previousBuild": null, "labels": [], "update": update, "primary": "install", "secondary": [],
        }))
        .unwrap()
    }

    #[test]
    fn a_device_is_in_the_group_that_the_window_shows_it_in() {
        let examples: Vec<Value> =
            serde_json::from_str(include_str!("../words/groups.json")).unwrap();
        let rows: Vec<DeviceView> = examples.iter().map(row).collect();
        for (example, row) in examples.iter().zip(&rows) {
            let expected = match example["group"].as_str() {
                Some("attention") => Some(Group::Attention),
                Some("working") => Some(Group::Working),
                Some("waiting") => Some(Group::Waiting),
                other => {
                    assert_eq!(other, None);
                    None
                }
            };
            assert_eq!(row.group(), expected, "{}", example["what"]);
        }
        let Counts { waiting, working, attention } = Counts::of(&rows);
        let grouped = examples.iter().filter(|example| !example["group"].is_null());
        assert_eq!((waiting + working + attention) as usize, grouped.count());
    }
}
