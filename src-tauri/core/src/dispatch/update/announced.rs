//! What a device says that it runs, compared with what an update is to install.

use crate::device::Sighting;
use crate::update::{Build, Update};

/// What a sighting says about the firmware that an update is to install.
pub(in crate::dispatch) enum Word {
    /// This very build runs: the device gives its stamp.
    This,
    /// A build with its hash runs.
    Wanted,
    /// Something else runs.
    Other,
    /// It doesn't say.
    Silent,
}

pub(in crate::dispatch) fn word(build: &Build, sighting: &Sighting) -> Word {
    if let Some((own, said)) = build.stamp.as_ref().zip(sighting.stamp.as_ref()) {
        return if own == said { Word::This } else { Word::Other };
    }
    let versions_differ = matches!(
        (&build.esphome_version, &sighting.version),
        (Some(wanted), Some(seen)) if wanted != seen
    );
    match (build.config_hash, sighting.config_hash) {
        (Some(wanted), Some(seen)) if wanted == seen && !versions_differ => Word::Wanted,
        (Some(_), Some(_)) => Word::Other,
        // Firmware that announces a version and no hash is older than the build.
        (Some(_), None) if versions_differ => Word::Other,
        (None, _) if versions_differ => Word::Other,
        (Some(_), None) | (None, _) => Word::Silent,
    }
}

/// Whether a device that says this can't have said it without the build of its update.
pub(in crate::dispatch) fn runs_it(update: &Update, build: &Build, sighting: &Sighting) -> bool {
    match word(build, sighting) {
        Word::This => true,
        Word::Wanted => update.new_hash().is_some(),
        Word::Other | Word::Silent => false,
    }
}
