//! One screen for people: what is wrong, what needs them, what goes on, what waits and when it wakes.

use std::fmt::Write as _;

use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;
use wakeflash_core::tray::{next_wake, shown_name, tray_view};
use wakeflash_core::view::{
    ConfigDirStatus, DeviceView, EsphomeStatus, Group, Progress, Snapshot, Status, UpdateStateView,
    UpdateView,
};
use wakeflash_core::words::Lang;

use crate::failure::words;

/// The widest that a name is made for the sake of a column.
const NAME_WIDTH: usize = 32;

/// The screen.
pub(crate) fn screen(snapshot: &Snapshot, now: Timestamp) -> String {
    let mut text = format!("{}\n", tray_view(snapshot, Lang::En, now).tooltip);
    let rows = [
        ("Configurations", config_dir(&snapshot.status.config_dir, snapshot.devices.len())),
        ("ESPHome", esphome(&snapshot.status.esphome)),
    ];
    for (what, says) in rows {
        line(&mut text, what, 14, &says);
    }
    for problem in problems(&snapshot.status) {
        line(&mut text, "!", 1, &words(problem));
    }
    for (group, title) in [
        (Group::Attention, "Needs attention"),
        (Group::Working, "In progress"),
        (Group::Waiting, "Waiting"),
    ] {
        let mut devices: Vec<&DeviceView> =
            snapshot.devices.iter().filter(|device| device.group() == Some(group)).collect();
        if devices.is_empty() {
            continue;
        }
        // Who wakes next comes first.
        devices.sort_by_key(|device| {
            let next = device.wake.and_then(|wake| wake.next);
            (next.is_none(), next, device.id.clone())
        });
        text.push('\n');
        text.push_str(title);
        text.push('\n');
        let names: Vec<_> = devices.iter().map(|device| name(device)).collect();
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        for (device, name) in devices.iter().zip(&names) {
            line(&mut text, name, longest.min(NAME_WIDTH), &stands(device, now));
        }
    }
    plain(&text)
}

/// All devices, a line for each.
pub(crate) fn list(devices: &[DeviceView], now: Timestamp) -> String {
    let names: Vec<_> = devices.iter().map(name).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (device, name) in devices.iter().zip(&names) {
        let runs = device.deployed_version.as_deref().unwrap_or("-");
        let says = format!("{runs:12}  {}", stands(device, now));
        line(&mut text, name, longest.min(NAME_WIDTH), says.trim_end());
    }
    plain(&text)
}

/// Text without what a terminal would obey: names and messages come from files and from the network.
pub(crate) fn plain(text: &str) -> String {
    // Marks that turn the direction of what follows, too.
    let turns = |letter| matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harmless = |letter: char| letter == '\n' || !(letter.is_control() || turns(letter));
    text.chars().map(|letter| if harmless(letter) { letter } else { '\u{fffd}' }).collect()
}

fn line(text: &mut String, what: &str, width: usize, says: &str) {
    // One line each, whatever is in a name or a message. Writing to a string doesn't fail.
    let (what, says) = (what.replace('\n', " "), says.replace('\n', " "));
    let _ = writeln!(text, "  {what:width$}  {says}");
}

fn name(device: &DeviceView) -> String {
    let (shown, id) = (shown_name(device), device.id.as_str());
    if shown == id { id.to_owned() } else { format!("{shown} ({id})") }
}

fn config_dir(status: &ConfigDirStatus, devices: usize) -> String {
    match status {
        ConfigDirStatus::Unset => {
            "not chosen yet: `wakeflash-headless config-dir DIR` does it".to_owned()
        }
        ConfigDirStatus::Reading { path } => format!("{path} (being read)"),
        ConfigDirStatus::Ready { path } => match devices {
            1 => format!("{path} (1 device)"),
            _ => format!("{path} ({devices} devices)"),
        },
        ConfigDirStatus::Unreadable { path, problem } => format!("{path}: {}", words(problem)),
    }
}

fn esphome(status: &EsphomeStatus) -> String {
    match status {
        EsphomeStatus::Searching => "being looked for".to_owned(),
        EsphomeStatus::Ready { path, version, problem: None } => format!("{version} ({path})"),
        EsphomeStatus::Ready { path, version, problem: Some(problem) } => {
            format!("{version} ({path}): {}", words(problem))
        }
        EsphomeStatus::Missing { problem } => format!(
            "{} (`wakeflash-headless install-esphome` or `wakeflash-headless esphome PROGRAM` does it)",
            words(problem)
        ),
        EsphomeStatus::Installing { step, percent } => {
            format!("being installed{}: {step}", share(*percent))
        }
    }
}

fn problems(status: &Status) -> impl Iterator<Item = &Problem> {
    let one = status.store.iter().chain(&status.network);
    one.chain(&status.store_warnings).chain(&status.other_tools)
}

/// Where a device stands.
fn stands(device: &DeviceView, now: Timestamp) -> String {
    let update = device.update.as_ref().map(|update| state(device, update, now));
    let broken = device.problem.as_ref().map(words);
    let mut says: Vec<_> = update.into_iter().flatten().chain(broken).collect();
    if let Some(warning) = device.update.as_ref().and_then(|update| update.warning.as_ref()) {
        says.push(words(warning));
    }
    says.join("; ")
}

/// Where its update stands, as long as it isn't over.
fn state(device: &DeviceView, update: &UpdateView, now: Timestamp) -> Option<String> {
    Some(match &update.state {
        UpdateStateView::Queued { again: Some(again), .. } => {
            format!("is built again: {}", words(&again.problem))
        }
        UpdateStateView::Queued { ahead: 0, .. } => "is built next".to_owned(),
        UpdateStateView::Queued { ahead, .. } => format!("queued, {ahead} before it"),
        UpdateStateView::Building { .. } => {
            format!("building{}", progress(update.progress.as_ref()))
        }
        UpdateStateView::Waiting { .. } => {
            let wake = next_wake(device, Lang::En, now);
            let wake = wake.unwrap_or_else(|| "waits for it".to_owned());
            match &update.last_attempt {
                Some(attempt) => format!("{wake}; last attempt: {}", words(&attempt.problem)),
                None => wake,
            }
        }
        UpdateStateView::Held { changes, .. } => match changes.as_slice() {
            [one] => format!("held: {} has changed since it was built", one.path),
            _ => format!("held: {} files have changed since it was built", changes.len()),
        },
        UpdateStateView::Flashing { address, .. } => {
            format!("being flashed at {address}{}", progress(update.progress.as_ref()))
        }
        UpdateStateView::Confirming { .. } => "sent; its own word is waited for".to_owned(),
        UpdateStateView::Failed { problem, rolled_back: true, .. } => {
            format!("went back to its old firmware: {}", words(problem))
        }
        UpdateStateView::Failed { problem, .. } => format!("failed: {}", words(problem)),
        UpdateStateView::Installed { .. }
        | UpdateStateView::Cancelled { .. }
        | UpdateStateView::Superseded { .. } => return None,
    })
}

fn progress(progress: Option<&Progress>) -> String {
    progress.map_or_else(String::new, |progress| {
        format!("{}: {}", share(progress.percent), progress.step)
    })
}

fn share(percent: Option<u8>) -> String {
    percent.map_or_else(String::new, |percent| format!(", {percent} %"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn row(id: &str, name: &str, state: &Value, next: Option<i64>) -> Value {
        json!({
            "id": id, "name": "a", "friendlyName": name, "file": id, "problem": null,
            "platform": null, "presence": "asleep", "lastSeen": null, "addresses": [], "mac": null,
            "trust": "unknown", "rival": null, "hasKey": false, "deployedVersion": null,
            "deployedHash": null, "deepSleep": true, "modified": false, "updateAvailable": false,
            "wake": {
                "rhythm": "regular", "periodSeconds": 3_600, "jitterSeconds": 1,
                "next": next.map(|minutes| NOW + minutes * 60_000), "overdue": false, "windowSeconds": null,
            },
            "userAddress": null, "previousBuild": null, "labels": [],
            "update": {
                "id": 1, "requestedAt": 0, "state": state,
                "progress": {"percent": 45, "step": "Compiling"}, "attempts": 1, "lastAttempt": null,
                "restsUntil": null, "warning": null, "encrypted": null, "wantedHash": null,
                "wantedVersion": null,
            },
            "primary": "install", "secondary": [],
        })
    }

    fn shown(devices: &[Value], status: &Value) -> String {
        let mut whole = json!({
            "configDir": {"kind": "ready", "path": "/home/pi/esphome"},
            "esphome": {"kind": "ready", "path": "/usr/bin/esphome", "version": "2026.8.0", "problem": null},
            "store": null, "storeWarnings": [], "network": null, "otherTools": [], "paused": false,
            "counts": {"waiting": 2, "working": 1, "attention": 1},
        });
        for (field, value) in status.as_object().unwrap() {
            whole[field] = value.clone();
        }
        let settings = serde_json::to_value(wakeflash_core::settings::Settings::default()).unwrap();
        let snapshot =
            json!({"revision": 1, "devices": devices, "status": whole, "settings": settings});
        screen(&serde_json::from_value(snapshot).unwrap(), Timestamp::from_millis(NOW))
    }

    #[test]
    fn it_says_what_needs_you_what_goes_on_and_who_wakes_next() {
        let waiting = json!({"kind": "waiting", "since": 0, "mayHaveArrived": false});
        let problem = json!({"code": "ota.wrong", "message": "It has another password.", "help": "Say which."});
        let failed = json!({
            "kind": "failed", "at": 0, "problem": problem, "rolledBack": false, "mayHaveArrived": false,
        });
        let text = shown(
            &[
                row("attic.yaml", "Attic", &waiting, Some(40)),
                row("balcony.yaml", "Balcony", &waiting, Some(12)),
                row("cellar.yaml", "Cellar", &failed, None),
                row("den.yaml", "Den", &json!({"kind": "building", "since": 0}), None),
            ],
            &json!({}),
        );
        assert_eq!(
            text.replace('\u{a0}', " "),
            "Wakeflash: 2 waiting, 1 in progress, 1 needs attention\n\
             \x20 Configurations  /home/pi/esphome (4 devices)\n\
             \x20 ESPHome         2026.8.0 (/usr/bin/esphome)\n\
             \n\
             Needs attention\n\
             \x20 Cellar (cellar.yaml)  failed: It has another password. Say which.\n\
             \n\
             In progress\n\
             \x20 Den (den.yaml)  building, 45 %: Compiling\n\
             \n\
             Waiting\n\
             \x20 Balcony (balcony.yaml)  in ~12 min\n\
             \x20 Attic (attic.yaml)      in ~40 min\n"
        );
    }

    #[test]
    fn what_is_wrong_with_the_box_is_said_first() {
        let problem =
            json!({"code": "network.none", "message": "There is no network.", "help": null});
        let text = shown(&[], &json!({"network": problem, "configDir": {"kind": "unset"}}));
        assert!(text.contains("\n  !  There is no network.\n"), "{text}");
        assert!(text.contains("config-dir DIR"), "{text}");
    }

    #[test]
    fn a_name_can_neither_steer_the_terminal_nor_add_a_line() {
        let held = json!({"kind": "held", "changes": [], "mayHaveArrived": false});
        let text = shown(&[row("a.yaml", "\u{1b}[2J\u{9b}1m\nEvil", &held, None)], &json!({}));
        assert!(!text.contains('\u{1b}') && !text.contains('\u{9b}'), "{text:?}");
        assert!(text.contains("\u{fffd}[2J\u{fffd}1m Evil (a.yaml)  held: 0 files"), "{text}");
    }
}
