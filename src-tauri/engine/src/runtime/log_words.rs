//! Why there is no log of a device, in words.

use wakeflash_core::error::Problem;

use super::follower::Tried;
use crate::api::log::End;

/// Why the log of a device isn't followed now.
pub(super) fn words(tried: &Tried, sleeps: bool) -> Problem {
    match tried {
        Tried::NoAddress => Problem::new("log.no_address", "Nobody knows where this device is.")
            .with_help("It is found when it announces itself. Or enter its address."),
        Tried::Unreachable if sleeps => asleep(),
        Tried::Unreachable => Problem::new("log.unreachable", "The device doesn't answer.")
            .with_help("Its log begins here when it is back."),
        Tried::Refused { no_api: true, .. } => Problem::new(
            "log.no_api",
            "This firmware has no native API, over which its log would come.",
        )
        .with_help("Add `api:` to its configuration and install it."),
        Tried::Refused { port, no_api: false } => Problem::new(
            "log.refused",
            format!(
                "The device is there, and takes no connection to its native API (port {port})."
            ),
        )
        .with_help("It may have just started, or be in safe mode; or its firmware has no `api:`."),
        Tried::Of(end) => words_of_end(end),
    }
}

pub(crate) fn asleep() -> Problem {
    Problem::new("log.asleep", "The device is asleep. Its log begins here when it wakes.")
}

fn words_of_end(end: &End) -> Problem {
    match end {
        End::Slept | End::Left => Problem::new(
            "log.goodbye",
            "The device has ended the connection: it goes to sleep, or restarts.",
        )
        .with_help("Its log goes on here when it is back."),
        End::Stranger => Problem::new(
            "log.stranger",
            "Another device answers where this one was. Its log isn't shown.",
        )
        .with_help("The details of the device say which board is known."),
        End::NeedsKey => Problem::new(
            "log.key_unknown",
            "The device talks to those only who have its encryption key, and it isn't known here.",
        )
        .with_help("The key is known when its configuration was compiled here, or by ESPHome."),
        End::OtherKey => Problem::new(
            "log.key_refused",
            "The device has another encryption key than its configuration was last compiled with.",
        )
        .with_help("Install its configuration, or put the key that is on the device into it."),
        End::Full => Problem::new(
            "log.full",
            "The device takes no more clients: all places of its native API are in use.",
        )
        .with_help("Home Assistant and each open log take one of four or five."),
        End::Lost(reason) => Problem::new("log.lost", "The connection to the device has ended.")
            .with_details(reason.clone())
            .with_help("It is tried again."),
    }
}

/// An update wants the device.
pub(super) fn flash_first() -> Problem {
    Problem::new("log.flash_first", "An update of this device comes first.")
        .with_help("Its log goes on here after that.")
}

/// A recording can't be stored.
pub(super) fn not_kept(name: &str, error: &anyhow::Error) -> Problem {
    Problem::new(
        "log.not_kept",
        format!("The recorded log of {name} can't be stored: {}.", error.root_cause()),
    )
    .with_help("Check the disk of the data directory. It is recorded again at the next wake.")
}

/// A recording can't be read.
pub(super) fn unreadable(error: &anyhow::Error) -> Problem {
    tracing::warn!("a recorded log can't be read: {error:#}");
    Problem::new("log.unreadable", format!("The recording can't be read: {}.", error.root_cause()))
}
