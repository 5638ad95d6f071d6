//! An update and its states. The transitions that are legal stand in [`StateKind::may_become`]; who makes
//! them is [`crate::dispatch`].

mod build;
mod build_again;
mod delivery;
mod kind;
mod sources;
mod state;
mod timeline;

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::device::{ConfigHash, DeviceId, MacAddress};
use crate::time::Timestamp;

pub use build::{Api, Before, BootCheck, Build, BuildStamp, Encryption, OtaMethod, OtaParameters};
pub use build_again::BuildAgain;
pub use delivery::{AttemptReport, AvoidedAddress, Cuts, Delivery, PasswordChoice, SourceTracking};
pub use kind::StateKind;
pub use sources::sources_digest;
pub use state::{Acknowledgement, FlashStage, InstalledHow, RollbackWatch, UpdateState};
pub use timeline::{Note, TimelineEntry};

/// Names an update; a later one has a greater number.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, specta::Type,
)]
#[serde(transparent)]
pub struct UpdateId(pub u32);

impl fmt::Display for UpdateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A password or key. It never shows in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The SHA-256 of some bytes, as 64 lowercase hex digits.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, specta::Type,
)]
#[serde(transparent)]
pub struct Sha256(pub String);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file that went into a build, with what it contained.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its path relative to the config directory, or absolute when it lies outside of it. That of a directory ends
    /// with a slash.
    pub path: String,
    /// Its content; `None`: there was no such file (it is a change when one appears).
    pub sha256: Option<Sha256>,
    /// What of it counts.
    #[serde(default, skip_serializing_if = "Counts::is_content")]
    pub counts: Counts,
}

impl SourceFile {
    /// A file all of whose content counts.
    #[must_use]
    pub fn file(path: impl Into<String>, sha256: Option<Sha256>) -> Self {
        Self { path: path.into(), sha256, counts: Counts::Content }
    }

    /// Whether it is YAML, or a list of what lies somewhere: what that comes to is in the hash of a configuration.
    #[must_use]
    pub fn is_yaml(&self) -> bool {
        match self.counts {
            Counts::Content | Counts::Names(_) => {
                self.path.ends_with(".yaml")
                    || self.path.ends_with(".yml")
                    || self.path.ends_with('/')
            }
            Counts::Secrets { .. } => true,
            Counts::Commit => self.path.contains("/packages/"),
        }
    }
}

/// What of a source counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// All its content.
    #[default]
    Content,
    /// The secrets of these names: `values` is a digest of them.
    Secrets {
        /// Those that the configuration uses, sorted.
        names: Vec<String>,
        /// See [`crate::secrets::digest`].
        values: Sha256,
    },
    /// It is a directory, and the names of what can be a source in it count.
    Names(Vec<String>),
    /// It is a repository that ESPHome fetched, and its commit counts.
    Commit,
}

impl Counts {
    const fn is_content(&self) -> bool {
        matches!(self, Self::Content)
    }
}

/// A source that is no longer what it was when the image was built.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct SourceChange {
    /// Its path, as in [`SourceFile::path`].
    pub path: String,
    /// What became of it.
    pub kind: SourceChangeKind,
}

/// What became of a source.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, specta::Type,
)]
#[serde(rename_all = "camelCase")]
pub enum SourceChangeKind {
    /// Its content is another one.
    Edited,
    /// It is gone.
    Removed,
    /// It wasn't there and is now, or is newly included.
    Added,
    /// It can't be read any more.
    Unreadable,
}

/// What is done to the build files of a device before it is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleaning {
    /// Nothing.
    #[default]
    No,
    /// ESPHome cleans them; where it can't, they are deleted.
    Clean,
    /// They are deleted.
    Reset,
}

impl Cleaning {
    /// What is done when the build failed after this.
    #[must_use]
    pub const fn more(self) -> Self {
        match self {
            Self::No => Self::Clean,
            Self::Clean | Self::Reset => Self::Reset,
        }
    }
}

/// One wish of the user for one device, from the click to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    pub id: UpdateId,
    /// For which device.
    pub device: DeviceId,
    /// The config directory that its file lies in; `None`: none was chosen, or an old version didn't write it down.
    #[serde(default)]
    pub directory: Option<String>,
    /// The device's name (mDNS) at the request.
    pub name: String,
    /// When the user asked for it.
    pub requested_at: Timestamp,
    /// The hashes that the device had announced, or that may have arrived on it, until the request; once it is installed,
    /// that of what it ran just before as well. When
    /// that of the new build is among them (only a component's code changed, say, or a change was taken
    /// back), announcing it doesn't prove that the new image runs. Empty: nothing was known of the device.
    pub known_hashes: Vec<ConfigHash>,
    /// The MAC address that the device announced at the request, if it was known. Another board under the
    /// same name doesn't get the image; a new request accepts the board that is there then.
    #[serde(default)]
    pub mac: Option<MacAddress>,
    /// The ESPHome of the firmware that the device ran at the request, if it was known.
    #[serde(default)]
    pub from_version: Option<String>,
    /// When the firmware was compiled that the device ran just before it was flashed, as far as it said so.
    #[serde(default)]
    pub previous_stamp: Option<BuildStamp>,
    /// How many bytes its compressed image has, once that was made.
    #[serde(default)]
    pub wire_size: Option<u32>,
    /// What was known of its delivery when a state without one followed.
    #[serde(default)]
    pub ended_delivery: Option<Shipped>,
    /// Its last builds failed, and it is built again; `None` once it is built.
    #[serde(default)]
    pub build_again: Option<BuildAgain>,
    /// The sources that changed while it was built; bounded by [`Update::CHANGES_KEPT`], and none once a build changed
    /// nothing.
    #[serde(default)]
    pub changed_in_builds: Vec<String>,
    /// What is done to its build files before it is built.
    #[serde(default)]
    pub cleaning: Cleaning,
    /// An image of an earlier build may have arrived on the device.
    #[serde(default)]
    pub earlier_may_have_arrived: bool,
    /// Where it stands.
    pub state: UpdateState,
    /// What happened so far, oldest first; bounded by [`Update::TIMELINE_LIMIT`].
    pub timeline: Vec<TimelineEntry>,
}

/// What the history says about a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipped {
    /// The image's size in bytes.
    pub image_size: u64,
    /// The hash of the build.
    pub config_hash: Option<ConfigHash>,
    /// The ESPHome that built it.
    pub version: Option<String>,
    /// Attempts that opened a connection.
    pub attempts: u32,
    /// Whether the last attempt that got through the handshake was encrypted.
    #[serde(default)]
    pub encrypted: Option<bool>,
}

impl Shipped {
    fn of(delivery: &Delivery) -> Self {
        Self {
            image_size: delivery.build.size,
            config_hash: delivery.build.config_hash,
            version: delivery.build.esphome_version.clone(),
            attempts: delivery.attempts,
            encrypted: delivery.encrypted,
        }
    }
}

impl Update {
    /// Goes to another state, whatever the table says; what is known of the delivery isn't lost.
    pub fn become_state(&mut self, state: UpdateState) {
        let delivered = self.state.delivery().map(Shipped::of);
        self.ended_delivery = delivered.or(self.ended_delivery.take());
        if state.kind() == StateKind::Queued && self.state.may_have_arrived() {
            self.note_earlier();
        }
        self.state = state;
    }

    /// It is built again, and the image that was built before may run on the device: its hash tells nothing any more.
    fn note_earlier(&mut self) {
        self.earlier_may_have_arrived = true;
        let hash = self.state.delivery().and_then(|delivery| delivery.build.config_hash);
        // Nothing is known of what it ran before: no hash tells anyway.
        let known = !self.known_hashes.is_empty();
        self.known_hashes.extend(hash.filter(|hash| known && !self.known_hashes.contains(hash)));
    }

    /// Whether the device may have taken an image of this update, whatever is known of it.
    #[must_use]
    pub const fn may_have_arrived(&self) -> bool {
        self.earlier_may_have_arrived || self.state.may_have_arrived()
    }

    /// Notes which sources changed while it was built. Returns those that had changed while it was built before: it is
    /// the build that changes them.
    pub fn note_changes_in_build(&mut self, changes: &[SourceChange]) -> Vec<String> {
        let known = &mut self.changed_in_builds;
        if changes.is_empty() {
            known.clear();
        }
        let paths = || changes.iter().map(|change| &change.path);
        let again = paths().filter(|path| known.contains(path)).cloned().collect();
        let new: Vec<String> = paths().filter(|path| !known.contains(path)).cloned().collect();
        known.extend(new);
        known.drain(..known.len().saturating_sub(Self::CHANGES_KEPT));
        again
    }

    /// How many changed sources are remembered.
    pub const CHANGES_KEPT: usize = 32;

    /// What is known about what is, or was, delivered.
    #[must_use]
    pub fn shipped(&self) -> Option<Shipped> {
        self.state.delivery().map(Shipped::of).or_else(|| self.ended_delivery.clone())
    }

    /// The hash of the build, when the device can't have announced it before the request: whoever announces
    /// it runs this build.
    #[must_use]
    pub fn new_hash(&self) -> Option<ConfigHash> {
        let wanted = self.state.delivery()?.build.config_hash?;
        let new = !self.known_hashes.is_empty() && !self.known_hashes.contains(&wanted);
        new.then_some(wanted)
    }

    /// The hash whose announcement after the flash proves that the build runs: a new one, or one that the
    /// device said it didn't run just before it was flashed.
    #[must_use]
    pub fn telling_hash(&self) -> Option<ConfigHash> {
        let wanted = self.state.delivery()?.build.config_hash?;
        let ran_another = self.state.previous_hash().is_some_and(|previous| previous != wanted);
        self.new_hash().or(ran_another.then_some(wanted))
    }

    /// The most entries a timeline keeps: the first ones and the latest.
    pub const TIMELINE_LIMIT: usize = 100;

    /// Adds a line to the timeline; when it is full, the oldest attempt gives way, the beginning stays.
    pub fn note(&mut self, at: Timestamp, note: impl Into<Note>) {
        const BEGINNING: usize = 10;
        if self.timeline.len() >= Self::TIMELINE_LIMIT {
            self.timeline.remove(BEGINNING);
        }
        let Note { text, code } = note.into();
        self.timeline.push(TimelineEntry { at, state: self.state.kind(), text, code });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show() {
        assert_eq!(format!("{:?}", Secret("hunter2".into())), "(secret)");
    }

    #[test]
    fn a_long_timeline_keeps_its_beginning_and_its_end() {
        let mut update = Update {
            id: UpdateId(1),
            device: DeviceId::of_file("a.yaml"),
            directory: None,
            name: "a".into(),
            requested_at: Timestamp::from_millis(0),
            known_hashes: Vec::new(),
            mac: None,
            wire_size: None,
            ended_delivery: None,
            build_again: None,
            changed_in_builds: Vec::new(),
            cleaning: Cleaning::No,
            earlier_may_have_arrived: false,
            from_version: None,
            previous_stamp: None,
            state: UpdateState::Queued,
            timeline: Vec::new(),
        };
        for n in 0..500 {
            update.note(Timestamp::from_millis(n), n.to_string());
        }
        assert_eq!(update.timeline.len(), Update::TIMELINE_LIMIT);
        assert_eq!(update.timeline[0].text, "0");
        assert_eq!(update.timeline[Update::TIMELINE_LIMIT - 1].text, "499");
    }
}
