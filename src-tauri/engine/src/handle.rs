//! How the window, the tray and the headless host speak to the running engine.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::{broadcast, mpsc, oneshot};
use wakeflash_core::device::{DeviceId, MacAddress};
use wakeflash_core::engine_requests;
use wakeflash_core::error::Problem;
use wakeflash_core::request::{EngineRequest, Greeting};
use wakeflash_core::settings::{Settings, SettingsChange};
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{Secret, UpdateId};
use wakeflash_core::view::{
    ActivityCursor, ActivityPage, BuildLog, BuiltImage, ConfigDirCandidate, DeviceLog, DeviceView,
    Envelope, InstallPlan, LogRecording, Notification, Refusal, Snapshot, SourceDiff,
    UpdateDetails, UpdateRecord, Validation, WakeRecord,
};

/// What the engine needs from whatever shows it.
pub trait Shell: Send + Sync + 'static {
    /// Raises a desktop notification, or whatever stands for one. It must not block.
    fn notify(&self, notification: Notification);
}

/// A reply that arrives when the runtime has dealt with the request.
pub type ReplyTo<T> = oneshot::Sender<Result<T, Problem>>;

/// The same for an answer that comes as JSON.
pub type Back = Box<dyn FnOnce(Result<Box<RawValue>, Problem>) + Send>;

macro_rules! asked {
    ({ $(
        $(#[$about:meta])*
        $Name:ident { $( $(#[$what:meta])* $argument:ident: $Type:ty ),* $(,)? } -> $Answer:ty;
    )* }) => {
        /// An [`EngineRequest`] with the way back for its answer.
        #[derive(Debug)]
        pub enum Asked { $(
            $(#[$about])*
            $Name {
                $( $(#[$what])* $argument: $Type, )*
                /// Where the answer goes.
                reply: ReplyTo<$Answer>,
            },
        )* }

        impl Asked {
            /// As data, with the way back for an answer as JSON: an engine elsewhere is asked so.
            #[must_use]
            pub fn into_data(self) -> (EngineRequest, Back) {
                match self { $(
                    Self::$Name { $( $argument, )* reply } => {
                        (EngineRequest::$Name { $( $argument ),* }, back(reply))
                    }
                )* }
            }
        }

        impl Handle {
            /// Asks for what came as data; the answer as JSON.
            ///
            /// # Errors
            /// As the engine says.
            pub async fn answer(&self, request: EngineRequest) -> Result<Box<RawValue>, Problem> {
                match request { $(
                    EngineRequest::$Name { $( $argument ),* } => {
                        json(&self.ask(|reply| Asked::$Name { $( $argument, )* reply }).await?)
                    }
                )* }
            }
        }
    };
}

/// A cloneable handle of the running engine.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Asked>,
    events: broadcast::Sender<Envelope>,
}

impl Handle {
    /// Of whoever takes the requests and tells the events: the engine here, or what speaks to one elsewhere.
    #[must_use]
    pub fn new(requests: mpsc::Sender<Asked>, events: broadcast::Sender<Envelope>) -> Self {
        Self { requests, events }
    }

    /// The events from now on. A receiver that lags loses events and finds a gap in the revisions.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Envelope> {
        self.events.subscribe()
    }

    /// Asks for something.
    ///
    /// # Errors
    /// As the engine says, or it is shutting down.
    pub async fn ask<T>(&self, asked: impl FnOnce(ReplyTo<T>) -> Asked) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let ended = || Problem::new("engine.ended", "Wakeflash is shutting down.");
        self.requests.send(asked(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Waits until nobody takes requests any more: the engine was ended, or ended by a defect.
    pub async fn ended(&self) {
        self.requests.closed().await;
    }

    /// Everything there is to see.
    ///
    /// # Errors
    /// The engine is shutting down.
    pub async fn snapshot(&self) -> Result<Snapshot, Problem> {
        self.ask(|reply| Asked::Snapshot { reply }).await
    }
}

engine_requests!(asked);

fn back<T: DeserializeOwned + Send + 'static>(reply: ReplyTo<T>) -> Back {
    Box::new(move |answer| {
        let read = answer.and_then(|json| {
            serde_json::from_str(json.get()).map_err(|error| {
                tracing::error!("an answer isn't what it should be: {error}");
                Problem::new(
                    "remote.answer",
                    "The other computer gave an answer that can't be read.",
                )
                .with_help("Install the same version of Wakeflash at both ends.")
            })
        });
        if reply.send(read).is_err() {
            tracing::debug!("nobody waits for an answer any more");
        }
    })
}

/// An answer as JSON.
///
/// # Errors
/// It can't be written as JSON.
pub fn json(answer: &impl Serialize) -> Result<Box<RawValue>, Problem> {
    to_raw_value(answer).map_err(|error| {
        Problem::new("engine.defect", format!("The reply can't be written: {error}."))
    })
}
