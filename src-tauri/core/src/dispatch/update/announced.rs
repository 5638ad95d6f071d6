//! What a device says that it runs, compared with what an update is to install.

use crate::device::Sighting;
use crate::update::{Build, Update};

/// What a sighting says about the firmware that an update is to install.
pub(in crate::dispatch) enum Firmware {
    /// This very build runs: the device gives its stamp.
    This,
    /// A build with its hash runs.
    Wanted,
    /// Something else runs.
    Other,
    /// It doesn't say.
    Unsaid,
}

pub(in crate::dispatch) fn announced_firmware(build: &Build, sighting: &Sighting) -> Firmware {
    if let Some((own, said)) = build.stamp.as_ref().zip(sighting.stamp.as_ref()) {
        return if own == said { Firmware::This } else { Firmware::Other };
    }
    let versions_differ = matches!(
        (&build.esphome_version, &sighting.version),
        (Some(wanted), Some(seen)) if wanted != seen
    );
    match (build.config_hash, sighting.config_hash) {
        (Some(wanted), Some(seen)) if wanted == seen && !versions_differ => Firmware::Wanted,
        (Some(_), Some(_)) => Firmware::Other,
        // Firmware that announces a version and no hash is older than the build.
        (Some(_), None) if versions_differ => Firmware::Other,
        (None, _) if versions_differ => Firmware::Other,
        (Some(_), None) | (None, _) => Firmware::Unsaid,
    }
}

/// Whether a device that says this can't have said it without the build of its update.
pub(in crate::dispatch) fn runs_it(update: &Update, build: &Build, sighting: &Sighting) -> bool {
    match announced_firmware(build, sighting) {
        Firmware::This => true,
        Firmware::Wanted => update.new_hash().is_some(),
        Firmware::Other | Firmware::Unsaid => false,
    }
}
