//! An update and its states. The transitions that are legal stand in [`StateKind::may_become`]; who makes
//! them is [`crate::dispatch`].

mod delivery;
mod kind;
mod sources;

use core::fmt;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::device::{ConfigHash, DeviceId, MacAddress};
use crate::error::Problem;
use crate::schedule::SleepPlan;
use crate::time::Timestamp;

pub use delivery::{AttemptReport, AvoidedAddress, Delivery, PasswordChoice, SourceTracking};
pub use kind::StateKind;
pub use sources::sources_digest;

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
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Its path relative to the config directory, or absolute when it lies outside of it.
    pub path: String,
    /// Its content; `None`: there was no such file (it is a change when one appears).
    pub sha256: Option<Sha256>,
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

/// By which protocol a device takes its firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtaMethod {
    /// ESPHome's own (`ota: platform: esphome`).
    #[default]
    Native,
    /// HTTP (`ota: platform: web_server` and no other), which `esphome upload` speaks: in the clear, with the
    /// login of the configuration. So there is no OTA password and no encryption.
    WebServer,
}

/// How the device of a build takes its firmware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtaParameters {
    /// By which protocol.
    #[serde(default)]
    pub method: OtaMethod,
    /// The port of `ota: platform: esphome`, or of `web_server:`.
    pub port: u16,
    /// Its password; `None`: no authentication.
    pub password: Option<Secret>,
    /// What is said about encryption.
    pub encryption: Encryption,
}

/// What a configuration says about encrypted OTA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// No key anywhere: plaintext.
    None,
    /// `api: encryption: key` only: encrypted when the device offers it.
    Offered {
        /// 32 bytes in base64.
        key: Secret,
    },
    /// `ota: encryption: key`: never plaintext, unless `allow_plaintext_upload` is set.
    Required {
        /// 32 bytes in base64.
        key: Secret,
        /// `allow_plaintext_upload`.
        allow_plaintext: bool,
    },
}

/// A finished build: an immutable image and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The image in the artifact store.
    pub image: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// The hash that the device will announce when it runs this build.
    pub config_hash: Option<ConfigHash>,
    /// The ESPHome that built it.
    pub esphome_version: Option<String>,
    /// When it was finished.
    pub built_at: Timestamp,
    /// `esphome: name:` of the build, the name that the device goes by afterwards.
    pub name: String,
    /// What it was built from.
    pub sources: Vec<SourceFile>,
    /// How to flash it.
    pub ota: OtaParameters,
    /// The password or the key is another one than that of the compile before.
    #[serde(default)]
    pub credentials_changed: bool,
    /// `wifi`/`ethernet` `use_address` or static IP, of the validated configuration.
    pub address: Option<String>,
    /// The build has `deep_sleep:`.
    pub deep_sleep: bool,
    /// The durations of `deep_sleep:`.
    #[serde(default)]
    pub sleep_plan: Option<SleepPlan>,
    /// The build answers on mDNS (no `mdns: disabled: true`).
    pub mdns: bool,
}

/// How far a transfer is, as far as it must survive a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlashStage {
    /// The device can't have the whole image.
    Incomplete,
    /// The last bytes may have been sent: the device may commit at any time.
    MayBeComplete,
}

/// What is known when the device has to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledgement {
    /// The device acknowledged the end of the update.
    Final,
    /// The connection ended after the last byte and before the acknowledgement.
    Unknown,
}

/// How an update came to be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum InstalledHow {
    /// Flashed; the device announced the new firmware.
    Confirmed,
    /// Flashed; the device acknowledged the end of the update and came back.
    Returned,
    /// Nothing was sent: the device already ran this build.
    AlreadyRunning,
}

/// Whether the device may still go back to its old firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackWatch {
    /// The new firmware must show itself over the device's next wake.
    Watched,
    /// It stayed, or it wasn't this update that brought it.
    #[default]
    Over,
}

/// Where an update stands. A variant carries what that state needs, and nothing else does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum UpdateState {
    /// Waits for a build slot.
    Queued,
    /// ESPHome is compiling.
    Building {
        /// Since when.
        started_at: Timestamp,
    },
    /// Built; waits for the device.
    Waiting {
        /// What is delivered.
        delivery: Delivery,
        /// Not before this time, after a failed attempt.
        retry_at: Option<Timestamp>,
    },
    /// Built, but the sources have changed since; waits for the user.
    Held {
        /// What would be delivered.
        delivery: Delivery,
        /// What changed.
        changes: Vec<SourceChange>,
    },
    /// A connection to the device is open.
    Flashing {
        /// What is delivered.
        delivery: Delivery,
        /// Since when.
        started_at: Timestamp,
        /// The device's address.
        peer: IpAddr,
        /// What the device has said that it runs, in this wake.
        previous_hash: Option<ConfigHash>,
        /// How far it is.
        stage: FlashStage,
    },
    /// The whole image has been sent, or may have been; the device's word is awaited.
    Confirming {
        /// What was delivered.
        delivery: Delivery,
        /// What is known.
        acknowledgement: Acknowledgement,
        /// Since when.
        since: Timestamp,
        /// What the device said that it ran, just before it was flashed.
        previous_hash: Option<ConfigHash>,
        /// Where it was flashed.
        peer: IpAddr,
        /// When it was first reached after the transfer.
        returned_at: Option<Timestamp>,
    },
    /// The device runs it.
    Installed {
        /// What was delivered.
        delivery: Delivery,
        /// When it was known.
        at: Timestamp,
        /// How it was known.
        how: InstalledHow,
        /// Whether it stays so is still watched.
        #[serde(default)]
        watch: RollbackWatch,
    },
    /// It ended without success.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        problem: Problem,
        /// The device went back to its old firmware.
        rolled_back: bool,
    },
    /// The user ended it.
    Cancelled {
        /// When.
        at: Timestamp,
        /// The whole image may have been sent before.
        may_have_arrived: bool,
    },
    /// A newer update of the same device took its place.
    Superseded {
        /// When.
        at: Timestamp,
        /// Which.
        by: UpdateId,
    },
}

impl UpdateState {
    /// The state without what it carries.
    #[must_use]
    pub const fn kind(&self) -> StateKind {
        match self {
            Self::Queued => StateKind::Queued,
            Self::Building { .. } => StateKind::Building,
            Self::Waiting { .. } => StateKind::Waiting,
            Self::Held { .. } => StateKind::Held,
            Self::Flashing { .. } => StateKind::Flashing,
            Self::Confirming { .. } => StateKind::Confirming,
            Self::Installed { .. } => StateKind::Installed,
            Self::Failed { .. } => StateKind::Failed,
            Self::Cancelled { .. } => StateKind::Cancelled,
            Self::Superseded { .. } => StateKind::Superseded,
        }
    }

    /// What the device said that it ran, just before it was flashed.
    #[must_use]
    pub const fn previous_hash(&self) -> Option<ConfigHash> {
        match self {
            Self::Flashing { previous_hash, .. } | Self::Confirming { previous_hash, .. } => {
                *previous_hash
            }
            Self::Queued
            | Self::Building { .. }
            | Self::Waiting { .. }
            | Self::Held { .. }
            | Self::Installed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. } => None,
        }
    }

    /// What is on its way to the device, or arrived there.
    #[must_use]
    pub const fn delivery(&self) -> Option<&Delivery> {
        match self {
            Self::Waiting { delivery, .. }
            | Self::Held { delivery, .. }
            | Self::Flashing { delivery, .. }
            | Self::Confirming { delivery, .. }
            | Self::Installed { delivery, .. } => Some(delivery),
            Self::Queued
            | Self::Building { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. } => None,
        }
    }

    /// Whether the device may have taken the image, whatever is known of it.
    #[must_use]
    pub const fn may_have_arrived(&self) -> bool {
        match self {
            Self::Confirming { .. }
            | Self::Installed { .. }
            | Self::Flashing { stage: FlashStage::MayBeComplete, .. } => true,
            Self::Waiting { delivery, .. }
            | Self::Held { delivery, .. }
            | Self::Flashing { delivery, stage: FlashStage::Incomplete, .. } => {
                delivery.repeated_blindly
            }
            Self::Cancelled { may_have_arrived, .. } => *may_have_arrived,
            Self::Queued
            | Self::Building { .. }
            | Self::Failed { .. }
            | Self::Superseded { .. } => false,
        }
    }
}

/// A line of an update's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// When it happened.
    pub at: Timestamp,
    /// The state that it led to, or left unchanged.
    pub state: StateKind,
    /// What happened, in a sentence.
    pub text: String,
}

/// One wish of the user for one device, from the click to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Its number.
    pub id: UpdateId,
    /// For which device.
    pub device: DeviceId,
    /// The device's name (mDNS) at the request.
    pub name: String,
    /// When the user asked for it.
    pub requested_at: Timestamp,
    /// The hashes that the device had announced, or that may have arrived on it, until the request. When
    /// that of the new build is among them (only a component's code changed, say, or a change was taken
    /// back), announcing it doesn't prove that the new image runs. Empty: nothing was known of the device.
    pub known_hashes: Vec<ConfigHash>,
    /// The MAC address that the device announced at the request, if it was known. Another board under the
    /// same name doesn't get the image; a new request accepts the board that is there then.
    #[serde(default)]
    pub mac: Option<MacAddress>,
    /// How many bytes its compressed image has, once that was made.
    #[serde(default)]
    pub wire_size: Option<u32>,
    /// What was known of its delivery when a state without one followed.
    #[serde(default)]
    pub ended_delivery: Option<Shipped>,
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
        self.state = state;
    }

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
    pub fn note(&mut self, at: Timestamp, text: impl Into<String>) {
        const BEGINNING: usize = 10;
        if self.timeline.len() >= Self::TIMELINE_LIMIT {
            self.timeline.remove(BEGINNING);
        }
        self.timeline.push(TimelineEntry { at, state: self.state.kind(), text: text.into() });
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
            name: "a".into(),
            requested_at: Timestamp::from_millis(0),
            known_hashes: Vec::new(),
            mac: None,
            wire_size: None,
            ended_delivery: None,
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
