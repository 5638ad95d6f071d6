//! What a build is, and how its device takes it.

use serde::{Deserialize, Serialize};

use super::{Secret, Sha256, SourceFile};
use crate::device::ConfigHash;
use crate::schedule::SleepPlan;
use crate::time::Timestamp;

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

/// The time stamp that a compile wrote into its firmware, in ESPHome's own form (`2026-11-30 09:46:06 +0000`). The device
/// says it over its native API as `compilation_time`. Each build made here has one of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildStamp(pub String);

/// The native API of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
    pub port: u16,
    /// Its key, 32 bytes in base64; `None`: it speaks in the clear, or with a key that no configuration has.
    pub key: Option<Secret>,
}

impl Api {
    /// The port that ESPHome takes when a configuration names none.
    pub const PORT: u16 = 6053;
}

/// When a bootloader that can go back takes a new firmware for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootCheck {
    /// After it has run so long, in milliseconds.
    pub after_ms: u64,
    /// Or when it goes to sleep in an orderly way before (since ESPHome 2026.8).
    pub at_sleep: bool,
}

/// Where the device of an earlier compile takes updates, as far as that is another place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    pub port: Option<u16>,
    pub address: Option<String>,
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
    /// What the device will say when it runs this very build; `None`: the compile wrote none, or not one of its own.
    #[serde(default)]
    pub stamp: Option<BuildStamp>,
    /// When it was finished.
    pub built_at: Timestamp,
    /// `esphome: name:` of the build, the name that the device goes by afterwards.
    pub name: String,
    /// The end of the device's MAC address follows on that name, which has it as soon as the device is known.
    #[serde(default)]
    pub mac_suffix: bool,
    /// What it was built from.
    pub sources: Vec<SourceFile>,
    /// How to flash it.
    pub ota: OtaParameters,
    /// The password or the key is another one than that of the compile before.
    #[serde(default)]
    pub credentials_changed: bool,
    /// `wifi`/`ethernet` `use_address` or static IP, of the validated configuration.
    pub address: Option<String>,
    /// The port and the address of the compile before, whoever made it: the device may run that.
    #[serde(default)]
    pub before: Before,
    /// The build has `deep_sleep:`.
    pub deep_sleep: bool,
    /// The durations of `deep_sleep:`.
    #[serde(default)]
    pub sleep_plan: Option<SleepPlan>,
    /// Its native API; `None`: it has none, or a version of Wakeflash built it that didn't look.
    #[serde(default)]
    pub api: Option<Api>,
    /// When its device keeps it; `None`: it doesn't go back, or nobody knows.
    #[serde(default)]
    pub boot_check: Option<BootCheck>,
    /// The build answers on mDNS (no `mdns: disabled: true`).
    pub mdns: bool,
}
