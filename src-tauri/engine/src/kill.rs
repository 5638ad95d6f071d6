//! Boundaries in an update's life at which a test can have this process end as SIGKILL ends it:
//! `WAKEFLASH_KILL_AT=transfer.half`. docs/TESTING.md lists them with what follows. With `WAKEFLASH_BREAK_AT` there is a
//! panic there, as a defect of ours would be one.
//!
//! They are there in builds with debug assertions only: what the tests run has them, what users get hasn't. A cargo
//! feature would do that as well, but the features of a build depend on what is built together, so `make test` would have
//! to build everything twice.

use wakeflash_core::update::StateKind;

/// The environment variable that names the point.
pub const VARIABLE: &str = "WAKEFLASH_KILL_AT";

/// The same for a panic.
pub const BREAKS: &str = "WAKEFLASH_BREAK_AT";

/// A boundary in the life of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// It is decided that it gets into this state; nothing is stored.
    Decided(StateKind),
    /// That is stored, and nothing has followed from it.
    Stored(StateKind),
    /// ESPHome was started.
    BuildStarted,
    /// The image is stored, and nothing else knows of it.
    ImageStored,
    /// The image may be sent, and nothing of it was.
    GatePassed,
    /// The device has half of the image.
    Half,
    /// It is stored that the image may be complete on the device; its end was not sent.
    CompletionStored,
    /// The last byte was handed to the system.
    LastByteSent,
    /// The device has acknowledged the image; nobody else knows.
    Acknowledged,
}

/// Ends the process if this is where it is to end.
#[cfg(not(debug_assertions))]
pub(crate) const fn here(_: Point) {}

#[cfg(debug_assertions)]
pub(crate) use chosen::here;

#[cfg(debug_assertions)]
mod chosen {
    use std::sync::LazyLock;

    use rustix::process::{Signal, getpid, kill_process};
    use wakeflash_core::update::StateKind;

    use super::{BREAKS, Point, VARIABLE};

    static BROKEN: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(BREAKS).ok());

    static CHOSEN: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(VARIABLE).ok());

    /// The states of an update that ends well.
    const STATES: [StateKind; 6] = [
        StateKind::Queued,
        StateKind::Building,
        StateKind::Waiting,
        StateKind::Flashing,
        StateKind::Confirming,
        StateKind::Installed,
    ];

    impl Point {
        /// Every point, in the order of an update's life.
        pub fn all() -> impl Iterator<Item = Self> {
            let in_state = |state| {
                let within: &[Self] = match state {
                    StateKind::Building => &[Self::BuildStarted, Self::ImageStored],
                    StateKind::Flashing => &[
                        Self::GatePassed,
                        Self::Half,
                        Self::CompletionStored,
                        Self::LastByteSent,
                        Self::Acknowledged,
                    ],
                    StateKind::Queued
                    | StateKind::Waiting
                    | StateKind::Held
                    | StateKind::Confirming
                    | StateKind::Installed
                    | StateKind::Failed
                    | StateKind::Cancelled
                    | StateKind::Superseded => &[],
                };
                [Self::Decided(state), Self::Stored(state)]
                    .into_iter()
                    .chain(within.iter().copied())
            };
            STATES.into_iter().flat_map(in_state)
        }

        /// What the variable names it.
        #[must_use]
        pub fn name(self) -> String {
            match self {
                Self::Decided(state) => format!("decided.{state:?}").to_lowercase(),
                Self::Stored(state) => format!("stored.{state:?}").to_lowercase(),
                Self::BuildStarted => "build.started".to_owned(),
                Self::ImageStored => "build.image".to_owned(),
                Self::GatePassed => "transfer.gate".to_owned(),
                Self::Half => "transfer.half".to_owned(),
                Self::CompletionStored => "transfer.completion".to_owned(),
                Self::LastByteSent => "transfer.sent".to_owned(),
                Self::Acknowledged => "transfer.acknowledged".to_owned(),
            }
        }
    }

    /// Ends the process, or panics, if this is where it is to.
    pub(crate) fn here(point: Point) {
        assert!(
            BROKEN.as_ref().is_none_or(|chosen| *chosen != point.name()),
            "broken at {}, as {BREAKS} says",
            point.name()
        );
        if CHOSEN.as_ref().is_none_or(|chosen| *chosen != point.name()) {
            return;
        }
        tracing::warn!("killed at {}, as {VARIABLE} says", point.name());
        if let Err(error) = kill_process(getpid(), Signal::KILL) {
            tracing::error!("it can't be killed: {error}");
        }
        std::process::abort();
    }
}
