//! Whether a device is likely to go back to its old firmware: its bootloader keeps a new one only when that has run for
//! a while, or has gone to sleep in an orderly way, and the device is awake for less.

use core::time::Duration;

use crate::device::{ConfigHash, Sighting};
use crate::error::Problem;
use crate::update::{BootCheck, Build, Update};

use super::Dispatch;

impl Dispatch {
    /// What the user has to know of a build before it is flashed, when that is likely.
    pub(super) fn goes_back(&self, update: &Update) -> Option<Problem> {
        let build = &update.state.delivery()?.build;
        let after = runs_for(build)?;
        if !build.deep_sleep {
            return None;
        }
        let planned = build.sleep_plan.and_then(|plan| plan.run());
        let awake = planned.or_else(|| self.window(&update.name)).filter(|awake| *awake < after)?;
        let problem = Problem::new(
            "update.goes_back",
            format!(
                "The device is awake for {} s, and goes back to its old firmware unless the new one has run for {} s.",
                awake.as_secs(),
                after.as_secs()
            ),
        );
        Some(problem.with_help(
            "Keep it awake that long once it is installed, or build with ESPHome 2026.8 or newer and without \
             `boot_is_good_on_shutdown: false`: then its going to sleep is enough.",
        ))
    }
}

/// How long a build has to run until its device keeps it; `None`: it is kept as soon as the device goes to sleep, or
/// nobody knows.
fn runs_for(build: &Build) -> Option<Duration> {
    match build.boot_check? {
        BootCheck { at_sleep: true, .. } => None,
        BootCheck { after_ms, at_sleep: false } => Some(Duration::from_millis(after_ms)),
    }
}

/// Why a device came back with its old firmware, and what helps with the next try.
pub(super) fn rolled_back(build: &Build, sighting: &Sighting) -> Problem {
    let hash =
        |hash: Option<ConfigHash>| hash.map_or_else(|| "none".to_owned(), |it| it.to_string());
    let problem = match build.boot_check {
        Some(BootCheck { at_sleep: true, .. }) => Problem::new(
            "update.ended_early",
            "The new firmware ended before the device went to sleep for the first time, and the device came back with \
             another one.",
        )
        .with_help("It crashed, or the power failed. Look at its log and at its battery, then try once more."),
        Some(BootCheck { at_sleep: false, .. }) | None => Problem::new(
            "update.rolled_back",
            "The device took the new firmware and came back with another one.",
        )
        .with_help(
            "Firmware before ESPHome 2026.8 goes back when the device sleeps before the new one has run for a minute. \
             Keep it awake for a minute after the next install.",
        ),
    };
    problem.with_details(format!(
        "Config hash that was installed: {}; that runs: {}",
        hash(build.config_hash),
        hash(sighting.config_hash)
    ))
}
