//! What can be asked, declared once: each request with its arguments and its answer. The JSON of the headless host and
//! of the window's pipe, what the engine's loop takes, and the types of TypeScript come from here.

use serde::{Deserialize, Serialize};

use crate::device::{DeviceId, MacAddress};
use crate::error::Problem;
use crate::settings::{Settings, SettingsChange};
use crate::time::Timestamp;
use crate::update::{Secret, UpdateId};
use crate::view::{
    ActivityCursor, ActivityPage, BuildLog, BuiltImage, ConfigDirCandidate, DeviceLog, DeviceView,
    InstallPlan, LogRecording, Refusal, Snapshot, SourceDiff, UpdateDetails, UpdateRecord,
    Validation, WakeRecord,
};

/// The version of the protocol. It rises with what a client of the version before would misunderstand.
pub const PROTOCOL: u32 = 1;

/// What a host says first, before it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
pub struct Greeting {
    /// Who speaks: `wakeflash`.
    pub hello: String,
    /// Which version of the protocol.
    pub protocol: u32,
    /// The version of the program.
    pub version: String,
}

impl Greeting {
    /// That of this program.
    #[must_use]
    pub fn own() -> Self {
        Self {
            hello: "wakeflash".to_owned(),
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The answer to a client that speaks a version of the protocol.
    ///
    /// # Errors
    /// It is another one.
    pub fn to(protocol: u32) -> Result<Self, Problem> {
        let own = Self::own();
        if protocol == own.protocol {
            return Ok(own);
        }
        Err(Problem::new(
            "protocol.version",
            format!(
                "This is Wakeflash {}, which speaks version {} of its protocol, not {protocol}.",
                own.version, own.protocol
            ),
        )
        .with_help("Install the same version of Wakeflash at both ends."))
    }
}

/// Declares requests: an enum that JSON carries, with the request's name in `cmd` and its arguments beside it; and one
/// with the answers, for the types of TypeScript.
#[macro_export]
macro_rules! requests {
    ($(#[$doc:meta])* $vis:vis enum $Request:ident -> $Answer:ident { $(
        $(#[$about:meta])*
        $Name:ident { $( $(#[$what:meta])* $argument:ident: $Type:ty ),* $(,)? } -> $Answered:ty;
    )* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, specta::Type)]
        #[serde(tag = "cmd", rename_all = "snake_case", deny_unknown_fields)]
        $vis enum $Request { $(
            $(#[$about])*
            $Name { $( $(#[$what])* $argument: $Type ),* },
        )* }

        /// What is answered to each request.
        #[derive(serde::Serialize, specta::Type)]
        #[serde(rename_all = "snake_case")]
        // It is made into types of TypeScript, never into a value.
        #[allow(dead_code, clippy::large_enum_variant)]
        $vis enum $Answer { $( $Name($Answered), )* }

        #[cfg(test)]
        impl $Request {
            /// The rows of docs/API.md: each name with those of its arguments.
            pub(crate) fn documented() -> Vec<String> {
                let rows: &[(&str, &[&str])] =
                    &[$( (stringify!($Name), &[$( stringify!($argument) ),*]) ),*];
                let name = |camel: &str| {
                    let mut snake = String::new();
                    for letter in camel.chars() {
                        if letter.is_uppercase() && !snake.is_empty() {
                            snake.push('_');
                        }
                        snake.extend(letter.to_lowercase());
                    }
                    snake
                };
                let quoted = |arguments: &[&str]| {
                    let all: Vec<_> = arguments.iter().map(|one| format!("`{one}`")).collect();
                    all.join(", ")
                };
                rows.iter()
                    .map(|(camel, arguments)| format!("`{}` | {}", name(camel), quoted(arguments)))
                    .collect()
            }
        }
    };
}

/// The requests of the engine, handed to a macro that makes something of them, behind what else it takes.
#[macro_export]
macro_rules! engine_requests {
    ($declare:ident $($head:tt)*) => { $declare! { $($head)* {
        /// Says which version of the protocol the client speaks. One that doesn't fit is refused.
        Hello {
            protocol: u32,
        } -> Greeting;
        /// Builds and flashes a device; an active update of it is superseded.
        Install {
            /// Which.
            device: DeviceId,
        } -> UpdateId;
        /// Ends the active update of a device.
        Cancel {
            /// Of which device.
            device: DeviceId,
        } -> ();
        /// Starts the last update of a device once more: it must have failed or been cancelled.
        Retry {
            /// Of which device.
            device: DeviceId,
        } -> UpdateId;
        /// Starts the last update of a device once more, with the OTA password that is on the device now: it is tried
        /// when the configured one is refused.
        RetryWithPassword {
            /// Of which device.
            device: DeviceId,
            password: Secret,
        } -> UpdateId;
        /// Starts the last update of a device once more, with its build files cleaned before (`esphome clean`), or, where
        /// that was done already, deleted.
        RetryClean {
            /// Of which device.
            device: DeviceId,
        } -> UpdateId;
        /// Cleans the build files of a device of which nothing is being built (`esphome clean`), and deletes what that
        /// leaves of its build folder.
        CleanBuild {
            /// Of which device.
            device: DeviceId,
        } -> ();
        /// Has ESPHome validate a device's configuration (`esphome config`), without building it. Where a client asks
        /// for the same once more meanwhile, the first question is refused.
        Validate {
            /// Of which device.
            device: DeviceId,
        } -> Validation;
        /// What is different by now in the files that a device's update was built from, or, where none is under way, what
        /// is installed on it: line by line, without secrets.
        SourceChanges {
            /// Of which device.
            device: DeviceId,
        } -> SourceDiff;
        /// The image of what is under way for a device, or of what is installed on it, after its content was checked.
        BuiltImage {
            /// Of which device.
            device: DeviceId,
        } -> BuiltImage;
        /// Takes back cancels of a moment ago: each update goes on where it was. Those for which that is too late are
        /// answered with the reason.
        UndoCancel {
            /// Of which devices.
            devices: Vec<DeviceId>,
        } -> Vec<Refusal>;
        /// Builds the held update of a device again.
        Rebuild {
            /// Of which device.
            device: DeviceId,
        } -> ();
        /// Flashes a device with the build that was installed before the last one, as it was built.
        InstallPrevious {
            /// Which.
            device: DeviceId,
        } -> UpdateId;
        /// Flashes the held update of a device as it was built.
        FlashAnyway {
            /// Of which device.
            device: DeviceId,
        } -> ();
        /// Puts the failed update of a device aside: it needs no attention any more, and stays in the history.
        Dismiss {
            /// Of which device.
            device: DeviceId,
        } -> ();
        /// Builds and flashes many devices. Those with an update under way are left alone; they and those that can't
        /// be built are answered with the reason.
        InstallMany {
            /// Which.
            devices: Vec<DeviceId>,
        } -> Vec<Refusal>;
        /// Ends the updates of many devices; those that have none are answered with that.
        CancelMany {
            /// Of which devices.
            devices: Vec<DeviceId>,
        } -> Vec<Refusal>;
        /// What installing many devices would do.
        Plan {
            /// Which; null, or left out: all that there is an update for.
            devices: Option<Vec<DeviceId>>,
        } -> InstallPlan;
        /// The updates of a device, newest first; at most 50.
        History {
            /// Which.
            device: DeviceId,
        } -> Vec<UpdateRecord>;
        /// The updates that have ended, over all devices, the last ended first: a page of them.
        Activity {
            /// After which one; null, or left out: from the newest on.
            before: Option<ActivityCursor>,
            /// How many at most.
            limit: u32,
        } -> ActivityPage;
        /// Where the user says that a device is.
        SetAddress {
            /// Which.
            device: DeviceId,
            /// An IP address or a name; null: nothing is said any more.
            address: Option<String>,
        } -> ();
        /// Gives devices a label, or takes it away from them: all, or, when one of them isn't known, none.
        SetLabel {
            /// Which.
            devices: Vec<DeviceId>,
            label: String,
            /// Gives it.
            on: bool,
        } -> ();
        /// Takes the board that claims a device's name for the device.
        AcceptBoard {
            /// Which device.
            device: DeviceId,
            /// The MAC address that the board was shown with: by now another one may claim the name.
            mac: Option<MacAddress>,
            /// The address of its network hardware, where it has given no MAC address.
            link_address: Option<MacAddress>,
        } -> ();
        /// Says that, of several configurations which name their device so, this one is the device's.
        ChooseConfig {
            /// Which.
            device: DeviceId,
        } -> ();
        /// Begins no new build and no new flash, or does so again. What runs goes on.
        SetPaused {
            /// Which of the two.
            paused: bool,
        } -> ();
        /// The log of an update's build, also of one in the history. Empty when it is gone or there was none.
        BuildLog {
            /// Of which update.
            update: UpdateId,
        } -> BuildLog;
        /// Diagnostics for a bug report, as text without secrets.
        Report {} -> String;
        List {} -> Vec<DeviceView>;
        /// Everything there is to see.
        Snapshot {} -> Snapshot;
        /// The update of a device in detail.
        Details {
            /// Of which device.
            device: DeviceId,
        } -> UpdateDetails;
        /// The wakes of a device that were seen, newest last; at most 200.
        Wakes {
            /// Of which device.
            device: DeviceId,
        } -> Vec<WakeRecord>;
        /// What a device says in its log. Whoever asks looks: it is followed until 10 s after the last question.
        DeviceLog {
            /// Of which device.
            device: DeviceId,
            /// The number of the first line that isn't known yet; 0 at first.
            from: u32,
        } -> DeviceLog;
        /// Has the log of a device's next wake recorded, or no longer.
        RecordLog {
            /// Of which device.
            device: DeviceId,
            /// Recorded.
            on: bool,
        } -> ();
        /// The logs of a device that were recorded, newest first; the last five are kept.
        LogRecordings {
            /// Of which device.
            device: DeviceId,
        } -> Vec<LogRecording>;
        /// The lines of one of them.
        LogRecording {
            /// Of which device.
            device: DeviceId,
            /// When it began.
            at: Timestamp,
        } -> Vec<String>;
        /// Changes the settings, all of them; what depends on them follows at once.
        SetSettings {
            /// All of them.
            settings: Settings,
        } -> ();
        /// Changes those settings that are named; what all of them are then.
        ChangeSettings {
            /// Those that change.
            change: SettingsChange,
        } -> Settings;
        /// Directories that may be the config directory.
        ConfigDirCandidates {} -> Vec<ConfigDirCandidate>;
        /// Looks for ESPHome again. What it finds is told by a status event.
        FindEsphome {} -> ();
        /// Installs ESPHome into an environment of the application's own. How it goes is told by status events.
        InstallEsphome {} -> ();
        /// Says whether somebody looks at the list of devices: only then packets are spent on verifying that those
        /// shown as Online still are.
        SetWatching {
            /// Whether somebody does.
            on: bool,
        } -> ();
        /// Ends the program. Updates that wait go on at its next start.
        Shutdown {} -> ();
    } } };
}

engine_requests! { requests
    /// A request of the engine. Whoever shows the engine takes [`EngineRequest::Shutdown`] itself.
    pub enum EngineRequest -> EngineAnswer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<EngineRequest, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_document_lists_the_requests_that_exist() {
        let document = include_str!("../../../docs/API.md");
        let commands = document.split("### Commands\n").nth(1).unwrap();
        let commands = commands.split("\n### ").next().unwrap();
        let rows = commands.lines().filter_map(|line| line.strip_prefix("| `"));
        let listed: Vec<String> = rows
            .map(|row| row.split('|').take(2).map(str::trim).collect::<Vec<_>>().join(" | "))
            .map(|row| format!("`{row}"))
            .collect();
        let wanted = EngineRequest::documented();
        assert_eq!(listed, wanted);
    }

    #[test]
    fn a_plan_can_be_asked_for_without_naming_devices() {
        for all in [r#"{"cmd":"plan"}"#, r#"{"cmd":"plan","devices":null}"#] {
            assert_eq!(read(all), Ok(EngineRequest::Plan { devices: None }));
        }
        // For what starts or ends updates, all are never meant by leaving something out.
        for bulk in ["install_many", "cancel_many"] {
            assert!(read(&format!(r#"{{"cmd":"{bulk}"}}"#)).is_err());
        }
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        assert_eq!(read(r#"{"cmd":"report"}"#), Ok(EngineRequest::Report {}));
        for (wrong, named) in [
            (r#"{"cmd":"report","loud":1}"#, "loud"),
            (r#"{"cmd":"cancel","device":"a.yaml","now":1}"#, "now"),
            (r#"{"cmd":"explode"}"#, "explode"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn another_version_of_the_protocol_is_refused() {
        assert_eq!(Greeting::to(PROTOCOL), Ok(Greeting::own()));
        for other in [0, PROTOCOL + 1] {
            let problem = Greeting::to(other).unwrap_err();
            assert_eq!(problem.code, "protocol.version");
            assert!(problem.message.contains(&other.to_string()), "{problem}");
        }
    }
}
