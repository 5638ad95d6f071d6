//! What a program can ask for.

use serde::{Deserialize, Serialize};

use crate::device::DeviceId;
use crate::settings::Settings;
use crate::update::{Secret, UpdateId};
use crate::view::ActivityCursor;

/// A command of a program, as the headless host reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Build and flash a device.
    Install {
        /// Which.
        device: DeviceId,
    },
    /// End its update.
    Cancel {
        /// Of which device.
        device: DeviceId,
    },
    /// Start its last update once more.
    Retry {
        /// Of which device.
        device: DeviceId,
    },
    /// Start its last update once more, with the OTA password that is on the device now: it is tried when the
    /// configured one is refused.
    RetryWithPassword {
        /// Of which device.
        device: DeviceId,
        /// The password.
        password: Secret,
    },
    /// Build its held update again.
    Rebuild {
        /// Of which device.
        device: DeviceId,
    },
    /// Flash its held update as it was built.
    FlashAnyway {
        /// Of which device.
        device: DeviceId,
    },
    /// Put its failed update aside: it needs no attention any more, and stays in the history.
    Dismiss {
        /// Of which device.
        device: DeviceId,
    },
    /// Say that, of several configurations which name their device so, this one is the device's.
    ChooseConfig {
        /// Which.
        device: DeviceId,
    },
    /// Build and flash many devices; those with an update under way are left alone.
    InstallMany {
        /// Which.
        devices: Vec<DeviceId>,
    },
    /// End the updates of many devices.
    CancelMany {
        /// Of which devices.
        devices: Vec<DeviceId>,
    },
    /// What Install would do with these devices.
    Plan {
        /// Which; null, or left out: all that there is an update for.
        #[serde(default)]
        devices: Option<Vec<DeviceId>>,
    },
    /// The updates that a device had.
    History {
        /// Which.
        device: DeviceId,
    },
    /// The updates that have ended, over all devices, the last ended first.
    Activity {
        /// After which one; null, or left out: from the newest on.
        #[serde(default)]
        before: Option<ActivityCursor>,
        /// How many at most.
        limit: u32,
    },
    /// Take back a Cancel of a moment ago.
    UndoCancel {
        /// Of which devices.
        devices: Vec<DeviceId>,
    },
    /// Where the user says that a device is.
    SetAddress {
        /// Which.
        device: DeviceId,
        /// An IP address or a name; null: nothing is said.
        address: Option<String>,
    },
    /// Say that the board which claims a device's name is the device.
    AcceptBoard {
        /// Which device.
        device: DeviceId,
    },
    /// Begin no new build and no new flash, or do so again.
    SetPaused {
        /// Which of the two.
        paused: bool,
    },
    /// The log of a build.
    BuildLog {
        /// Of which update.
        update: UpdateId,
    },
    /// Diagnostics without secrets.
    Report,
    /// The devices.
    List,
    /// Everything.
    Snapshot,
    /// A device's update in detail.
    Details {
        /// Of which device.
        device: DeviceId,
    },
    /// The wakes of a device that were seen.
    Wakes {
        /// Of which device.
        device: DeviceId,
    },
    /// Change the settings.
    SetSettings {
        /// All of them.
        settings: Settings,
    },
    /// Directories that may be the config directory.
    ConfigDirCandidates,
    /// Look for ESPHome again.
    FindEsphome,
    /// Install ESPHome into an environment of the application's own.
    InstallEsphome,
    /// Say whether somebody looks at the list of devices.
    SetWatching {
        /// Whether somebody does.
        on: bool,
    },
    /// End the program.
    Shutdown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_can_be_asked_for_without_naming_devices() {
        for all in [r#"{"cmd":"plan"}"#, r#"{"cmd":"plan","devices":null}"#] {
            let command: Command = serde_json::from_str(all).unwrap();
            assert_eq!(command, Command::Plan { devices: None });
        }
        // For what starts or ends updates, all are never meant by leaving something out.
        for bulk in ["install_many", "cancel_many"] {
            let without = format!(r#"{{"cmd":"{bulk}"}}"#);
            assert!(serde_json::from_str::<Command>(&without).is_err());
        }
    }
}
