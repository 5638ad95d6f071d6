//! Configurations: what they say of their devices, by ESPHome's word or as far as the files alone tell.

use crate::device::{ConfigHash, DeviceId};
use crate::error::Problem;
use crate::schedule::SleepPlan;
use crate::time::Timestamp;
use crate::update::OtaParameters;

/// The code of what is said about a file that is no device of its own.
pub const NO_DEVICE: &str = "config.no_device";

/// What a configuration says: by ESPHome's own word, or, until that is known, as far as the file alone tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSummary {
    /// `esphome: name:`, with substitutions where they are simple; else what the last compile recorded;
    /// else the file's stem.
    pub name: String,
    /// `esphome: friendly_name:`.
    pub friendly_name: Option<String>,
    /// `esphome: area:`: the name of the room.
    pub area: Option<String>,
    /// The platform's key: `esp32`, `esp8266`, `rp2040`, `bk72xx`, `host`, ….
    pub platform: Option<String>,
    /// Where the configuration itself says the device is: `wifi`/`ethernet` `use_address` or the static IP.
    pub address: Option<String>,
    /// What is surely known about that.
    pub claim: AddressClaim,
    /// Whether it has `deep_sleep:`, by the file or by what the last compile loaded.
    pub deep_sleep: bool,
    /// The durations of `deep_sleep:`, where the file says them literally.
    pub sleep_plan: Option<SleepPlan>,
    /// The name that the last compile recorded, whoever made it.
    pub compiled_name: Option<String>,
    /// Why ESPHome's word isn't known.
    pub doubt: Option<Problem>,
    /// What ESPHome says beside; `None`: ESPHome hasn't been asked, and all of this is only what the file seems to say.
    pub validated: Option<Box<Validated>>,
}

/// What is surely known about the address that a configuration names. What isn't known could be any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AddressClaim {
    /// Only ESPHome can tell which one it names.
    #[default]
    Unknown,
    /// This one, or none.
    Names(Option<String>),
    /// The file is no device of its own.
    NoDevice,
}

/// A configuration file of the config directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// The file's name.
    pub id: DeviceId,
    /// What it says, or why it can't be read.
    pub content: Result<ConfigSummary, Problem>,
    /// What its sources are like.
    pub sources: SourcesState,
}

/// What the sources of a configuration are like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcesState {
    /// Whether they are no longer those of the build that was installed last; `None`: none was.
    pub modified: Option<bool>,
    /// The same of those among them that no hash of a configuration tells of: all but YAML.
    pub code_modified: Option<bool>,
    /// When the newest of them was changed.
    pub newest: Option<Timestamp>,
    /// The last build that ESPHome recorded.
    pub last_build: Option<RecordedBuild>,
}

/// A build that ESPHome recorded (`build_info.json`), whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedBuild {
    pub config_hash: ConfigHash,
    /// When it was made.
    pub at: Timestamp,
}

/// What ESPHome says beside what a file seems to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// The ESPHome that says so.
    pub version: Option<String>,
    /// The hash that a build would have.
    pub config_hash: Option<ConfigHash>,
    /// The end of the device's MAC address is part of its name.
    pub mac_suffix: bool,
    /// How it takes updates.
    pub ota: Result<OtaParameters, Problem>,
}

/// Whether a device of this name is of a configuration that gives its devices this base name and the end of their MAC
/// addresses: six hex digits.
#[must_use]
pub fn is_suffixed(base: &str, name: &str) -> bool {
    let suffix = name.strip_prefix(base).and_then(|rest| rest.strip_prefix('-'));
    suffix.is_some_and(|suffix| suffix.len() == 6 && suffix.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::is_suffixed;

    #[test]
    fn a_suffix_is_six_hex_digits() {
        assert!(is_suffixed("cellar", "cellar-abCd09"));
        for other in
            ["cellar", "cellar-", "cellar-abcde", "cellar-abcdefa", "cellar-ghijkl", "attic-abcdef"]
        {
            assert!(!is_suffixed("cellar", other), "{other}");
        }
    }
}
