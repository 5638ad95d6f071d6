//! The updates of a device that have been.

use serde::{Deserialize, Serialize};

use super::UpdateStateView;
use crate::device::{ConfigHash, DeviceId};
use crate::time::Timestamp;
use crate::update::{StateKind, TimelineEntry, Update, UpdateId};

/// An update in the history of its device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRecord {
    pub id: UpdateId,
    /// When the user asked for it.
    pub requested_at: Timestamp,
    /// When it ended; `None`: it is under way.
    pub ended_at: Option<Timestamp>,
    /// Where it stands, or how it ended.
    pub state: UpdateStateView,
    /// Attempts that opened a connection.
    pub attempts: u32,
    /// The image's size in bytes.
    pub image_size: Option<u32>,
    /// How many bytes the compressed image has.
    pub wire_size: Option<u32>,
    /// Whether the last attempt was encrypted.
    pub encrypted: Option<bool>,
    /// How long the last build took, in whole seconds.
    pub build_seconds: Option<u32>,
    /// How long the last transfer took, in whole seconds.
    pub flash_seconds: Option<u32>,
    /// The ESPHome that built it.
    pub wanted_version: Option<String>,
    /// The hash of what was to be installed.
    pub wanted_hash: Option<ConfigHash>,
}

/// An update that has ended, among those of all devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct ActivityRecord {
    /// Of which device.
    pub device: DeviceId,
    /// The device's name (mDNS) at the request.
    pub name: String,
    /// The ESPHome of the firmware that ran before; `None`: it wasn't known.
    pub from_version: Option<String>,
    pub update: UpdateRecord,
}

impl ActivityRecord {
    /// The record of an update that is shown as `state`.
    #[must_use]
    pub fn of(update: &Update, state: UpdateStateView) -> Self {
        Self {
            device: update.device.clone(),
            name: update.name.clone(),
            from_version: update.from_version.clone(),
            update: UpdateRecord::of(update, state),
        }
    }
}

/// Where a page of what has ended begins: after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActivityCursor {
    /// When it ended.
    pub at: Timestamp,
    /// Which it was.
    pub id: UpdateId,
}

/// Some of what has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct ActivityPage {
    /// The last ended first.
    pub records: Vec<ActivityRecord>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<ActivityCursor>,
}

impl UpdateRecord {
    /// The record of an update that is shown as `state`.
    #[must_use]
    pub fn of(update: &Update, state: UpdateStateView) -> Self {
        // An update that failed or was cancelled has no delivery any more; what was known is kept beside it.
        let known = update.shipped();
        Self {
            id: update.id,
            requested_at: update.requested_at,
            ended_at: update.state.ended_at(),
            state,
            attempts: known.as_ref().map_or(0, |known| known.attempts),
            image_size: known.as_ref().and_then(|known| u32::try_from(known.image_size).ok()),
            wire_size: update.wire_size,
            encrypted: known.as_ref().and_then(|known| known.encrypted),
            build_seconds: build_seconds(&update.timeline),
            flash_seconds: flash_seconds(&update.timeline),
            wanted_version: known.as_ref().and_then(|known| known.version.clone()),
            wanted_hash: known.and_then(|known| known.config_hash),
        }
    }
}

/// From the beginning of the last build that reached its end to that end.
fn build_seconds(timeline: &[TimelineEntry]) -> Option<u32> {
    let lasts = |entry: &TimelineEntry| entry.state == StateKind::Building;
    let end = timeline.windows(2).rposition(|two| match two {
        [build, after] => lasts(build) && after.state == StateKind::Waiting,
        _ => false,
    })?;
    let before = timeline.get(..=end)?;
    let building = before.iter().rev().take_while(|entry| lasts(entry)).count();
    let begin = before.get(before.len().checked_sub(building)?)?;
    let took = timeline.get(end.checked_add(1)?)?.at.since(begin.at);
    u32::try_from(took.as_secs()).ok()
}

/// From the beginning of the last transfer that reached its end to that end.
fn flash_seconds(timeline: &[TimelineEntry]) -> Option<u32> {
    let end = timeline.iter().rposition(|entry| entry.state == StateKind::Confirming)?;
    let before = timeline.get(..end)?;
    // The entries of one confirming follow on each other.
    let confirming = before.iter().rev().take_while(|e| e.state == StateKind::Confirming).count();
    let end = end.checked_sub(confirming)?;
    let before = timeline.get(..end)?;
    let flashing = before.iter().rev().take_while(|e| e.state == StateKind::Flashing).count();
    let begin = before.get(end.checked_sub(flashing)?)?;
    let took = timeline.get(end)?.at.since(begin.at);
    u32::try_from(took.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seconds: i64, state: StateKind) -> TimelineEntry {
        TimelineEntry {
            at: Timestamp::from_millis(seconds * 1000),
            state,
            text: String::new(),
            code: None,
        }
    }

    #[test]
    fn the_last_complete_build_is_measured() {
        use StateKind::{Building, Queued, Waiting};
        let timeline = [
            entry(0, Queued),
            entry(1, Building),
            entry(31, Queued),
            entry(40, Building),
            entry(41, Building),
            entry(90, Waiting),
            entry(95, Waiting),
        ];
        assert_eq!(build_seconds(&timeline), Some(50));
        assert_eq!(build_seconds(&timeline[..4]), None, "nothing was built yet");
        assert_eq!(build_seconds(&[entry(1, Waiting)]), None, "nothing is made up");
    }

    #[test]
    fn the_last_complete_transfer_is_measured() {
        use StateKind::{Confirming, Flashing, Installed, Waiting};
        let timeline = [
            entry(0, Waiting),
            entry(10, Flashing),
            entry(12, Waiting),
            entry(20, Flashing),
            entry(25, Flashing),
            entry(27, Confirming),
            entry(40, Confirming),
            entry(41, Installed),
        ];
        assert_eq!(flash_seconds(&timeline), Some(7));
        assert_eq!(flash_seconds(&timeline[..4]), None, "nothing reached its end yet");
        assert_eq!(flash_seconds(&[]), None);
        // A timeline that lost its middle: nothing is made up.
        assert_eq!(flash_seconds(&[entry(1, Confirming)]), None);
    }
}
