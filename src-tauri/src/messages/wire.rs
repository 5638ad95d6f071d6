//! What the application and its window's process say to each other: typed messages, one JSON object a line.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::AsyncBufRead;
use wakeflash_core::error::Problem;
use wakeflash_core::request::EngineRequest;
use wakeflash_core::update::UpdateId;
use wakeflash_core::view::{Envelope, StoreChoice, StoreDamage};
use wakeflash_engine::lines::{Line, read_line};
use wakeflash_remote::Trial;

use crate::means::notification_server::NotificationServer;
use crate::messages::events::{OpenDevice, QuitRequested};

/// The longest line to the application, in bytes: a command with the names of thousands of devices.
pub(crate) const TO_APPLICATION: usize = 1 << 20;

/// The longest line to the window, in bytes: a snapshot of thousands of devices, or a build log.
pub(crate) const TO_WINDOW: usize = 64 << 20;

/// The answer to a request.
pub(crate) type Answer = Result<Box<RawValue>, Problem>;

/// What the application says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWindow {
    /// The answer to a request.
    Answer {
        /// The request's number.
        id: u64,
        /// What it asked for.
        answer: Answer,
    },
    /// Something changed in the engine.
    Event(Box<Envelope>),
    /// Come to the front; answered with [`ToApplication::Shown`].
    Show,
    /// Show a device.
    Open(OpenDevice),
    /// Ask whether to quit.
    Quit(QuitRequested),
}

/// What the window's process says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToApplication {
    /// It wants something; answered with [`ToWindow::Answer`].
    Ask {
        /// Repeated by the answer; each number is used once.
        id: u64,
        /// What it wants.
        request: AppRequest,
    },
    /// The window is there, in front of others.
    Shown,
    /// The window is being closed, as the user wants.
    Closing,
}

wakeflash_core::requests! {
    /// What the window can ask the application for, beside what the engine answers.
    pub(crate) enum ShellRequest -> ShellAnswer {
        /// The application itself.
        AppInfo {} -> AppInfo;
        /// Goes on. The answer to [`QuitRequested`] that isn't `shutdown`: the next Quit asks again.
        Stay {} -> ();
        /// Does what the user has chosen about a damaged database, and starts the application anew.
        MendStore {
            /// What they have chosen.
            choice: StoreChoice,
        } -> ();
        /// Where the configurations are; null: nowhere yet.
        ConfigDir {} -> Option<String>;
        /// The log of an update's build as plain text; null: there is none.
        LogText {
            /// Of which update.
            update: UpdateId,
        } -> Option<String>;
        /// What to do when the user closes the window.
        Closing {} -> Closing;
        /// Connects to a place, hears whether Wakeflash can work there, and goes.
        TryPlace {
            /// `user@host`, or a name that the user's SSH knows.
            place: String,
        } -> Trial;
        /// Keeps the key of a place's host in the user's file of known hosts, when it still is the one that was shown.
        TrustHost {
            place: String,
            fingerprint: String,
        } -> ();
        /// Starts the user's service at a place.
        StartService {
            place: String,
        } -> ();
        /// Chooses where Wakeflash works, and starts the application anew.
        WorkAt {
            /// Null: on this computer.
            place: Option<String>,
        } -> ();
        /// Remembers a place no more; those that are remembered.
        ForgetPlace {
            place: String,
        } -> Vec<String>;
        /// Connects to the place at once, instead of after a pause.
        Reconnect {} -> ();
    }
}

/// What the window's process can ask for. The names of all requests differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, specta::Type)]
#[serde(untagged)]
pub(crate) enum AppRequest {
    /// Of the application.
    Shell(ShellRequest),
    /// Of the engine; but the settings have an entry for starting at login beside them, and the end is the application's.
    Engine(EngineRequest),
}

impl From<ShellRequest> for AppRequest {
    fn from(request: ShellRequest) -> Self {
        Self::Shell(request)
    }
}

impl From<EngineRequest> for AppRequest {
    fn from(request: EngineRequest) -> Self {
        Self::Engine(request)
    }
}

/// What the window wants to know about the application around it.
#[derive(Clone, Debug, Serialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppInfo {
    /// The version of Wakeflash.
    pub(crate) version: String,
    /// Its licence, as an SPDX expression.
    pub(crate) license: String,
    /// What shows desktop notifications here.
    pub(crate) notifications: NotificationServer,
    /// Whether there is a tray icon that can be seen.
    pub(crate) tray: bool,
    /// Whether another start of Wakeflash opens the window again.
    pub(crate) reopens: bool,
    /// This is a demo: nothing is kept when it ends.
    pub(crate) demo: bool,
    /// Where Wakeflash works; null: on this computer.
    pub(crate) place: Option<String>,
    /// The other computers that are remembered.
    pub(crate) places: Vec<String>,
    /// Where the logs are.
    pub(crate) log_dir: String,
    /// Why the engine didn't start. Every other command answers with the same problem then.
    pub(crate) start_problem: Option<Problem>,
    /// What is wrong with the database, when that is why. `mend_store` is the way out.
    pub(crate) damage: Option<StoreDamage>,
}

/// What to do when the user closes the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
pub(crate) enum Closing {
    /// Close it.
    Close,
    /// Ask the user whether to quit.
    Ask,
}

/// A message as a line.
///
/// # Errors
/// It is longer than `limit`, or can't be written as JSON; for the log.
pub(crate) fn line(message: &impl Serialize, limit: usize) -> Result<Vec<u8>, String> {
    let mut line = serde_json::to_vec(message).map_err(|error| error.to_string())?;
    line.push(b'\n');
    if line.len() > limit {
        return Err(format!("it has {} bytes, of at most {limit}", line.len()));
    }
    Ok(line)
}

/// The next message; what can't be read is logged and left out. `None`: the other side is gone.
///
/// # Errors
/// The pipe can't be read.
pub(crate) async fn next<T: DeserializeOwned>(
    input: &mut (impl AsyncBufRead + Unpin),
    buffer: &mut Vec<u8>,
    limit: usize,
) -> std::io::Result<Option<T>> {
    while let Some(read) = read_line(input, buffer, limit).await? {
        match read {
            Line::Whole => match serde_json::from_slice(buffer) {
                Ok(message) => return Ok(Some(message)),
                // Its content stays out of the log: it may hold secrets.
                Err(error) => {
                    tracing::error!("a line of {} bytes is no message: {error}", buffer.len())
                }
            },
            Line::TooLong => tracing::error!("a message of more than {limit} bytes is left out"),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;
    use wakeflash_core::device::DeviceId;

    use super::*;

    async fn read(bytes: &[u8], limit: usize) -> Vec<ToApplication> {
        let (mut input, mut buffer) = (BufReader::new(bytes), Vec::new());
        let mut found = Vec::new();
        while let Some(message) = next(&mut input, &mut buffer, limit).await.unwrap() {
            found.push(message);
        }
        found
    }

    fn ask(id: u64, name: &str) -> ToApplication {
        let device = DeviceId::of_file(name);
        ToApplication::Ask { id, request: EngineRequest::Install { device }.into() }
    }

    proptest! {
        /// Between lines that nobody can read, every message arrives once, in order, as it was.
        #[test]
        fn messages_arrive_among_unreadable_lines(
            parts in prop::collection::vec(
                prop_oneof![
                    any::<(u64, String)>().prop_map(Ok),
                    prop::collection::vec(any::<u8>(), 0..60).prop_map(Err),
                ],
                0..12,
            ),
        ) {
            let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
            for part in parts {
                match part {
                    Ok((id, name)) => {
                        let message = ask(id, &name);
                        bytes.extend(line(&message, TO_APPLICATION).unwrap());
                        wanted.push(format!("{message:?}"));
                    }
                    Err(noise) => {
                        bytes.extend(noise.into_iter().filter(|byte| *byte != b'\n'));
                        bytes.push(b'\n');
                    }
                }
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            let found = runtime.block_on(read(&bytes, TO_APPLICATION));
            let found: Vec<String> = found.iter().map(|message| format!("{message:?}")).collect();
            prop_assert_eq!(found, wanted);
        }
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_left_out_as_a_whole() {
        let mut bytes = line(&ToApplication::Shown, 100).unwrap();
        let long = ask(1, &"x".repeat(200));
        assert!(line(&long, 100).is_err(), "it isn't sent");
        bytes.extend(line(&long, TO_APPLICATION).unwrap());
        bytes.extend(line(&ask(2, "a.yaml"), 100).unwrap());
        let found = read(&bytes, 100).await;
        assert!(
            matches!(found.as_slice(), [ToApplication::Shown, ToApplication::Ask { id: 2, .. }]),
            "{found:?}"
        );
    }

    #[tokio::test]
    async fn an_answer_passes_as_it_was_written() {
        let json = r#"{"b":1,"a":[1.50,"ü\n"]}"#;
        let answer = Ok(RawValue::from_string(json.to_owned()).unwrap());
        let bytes = line(&ToWindow::Answer { id: 7, answer }, TO_WINDOW).unwrap();
        let (mut input, mut buffer) = (BufReader::new(bytes.as_slice()), Vec::new());
        match next(&mut input, &mut buffer, TO_WINDOW).await.unwrap() {
            Some(ToWindow::Answer { id: 7, answer: Ok(answer) }) => assert_eq!(answer.get(), json),
            other => panic!("{other:?}"),
        }
    }
}
