//! One look at the config directory, where it blocks nobody: what is different by now, and what that comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use wakeflash_core::configuration::ConfigFile;
use wakeflash_core::error::Problem;

use super::followed::{self, Followed, Stamps};
use super::recorded::Contents;
use super::sources::Stamp;
use super::words::{self, Kept};
use super::{Scan, scan_with_files};

/// What was reported last.
#[derive(Clone)]
pub(super) struct Known {
    /// What the files seem to say.
    pub(super) placeholders: Arc<Vec<ConfigFile>>,
    /// What they say.
    pub(super) configs: Arc<Vec<ConfigFile>>,
    /// Of what the scan read.
    scanned: Arc<Stamps>,
    /// Of the sources of builds, and of what ESPHome read to answer.
    pub(super) followed: Arc<Stamps>,
}

impl Known {
    /// All files that matter.
    pub(super) fn paths(&self) -> BTreeSet<PathBuf> {
        self.scanned.keys().chain(self.followed.keys()).cloned().collect()
    }
}

/// What a look found; `None`: nothing new.
pub(super) type Looked = Result<Option<Found>, Problem>;

pub(super) struct Found {
    pub(super) known: Known,
    /// What ESPHome has to be asked about.
    pub(super) due: Vec<String>,
    /// Whether it is to be told.
    pub(super) tell: bool,
}

/// What a look goes by.
pub(super) struct Looking {
    pub(super) dir: PathBuf,
    pub(super) known: Option<Known>,
    pub(super) followed: Followed,
    pub(super) kept: BTreeMap<String, Arc<Kept>>,
    /// The key of answers that count; `None`: nobody can be asked, and what was said before is the best there is.
    pub(super) esphome: Option<String>,
    /// There is another reason than the files to look closely.
    pub(super) otherwise: bool,
}

impl Looking {
    pub(super) fn look(self, contents: &mut Contents) -> Looked {
        let known = self.known.as_ref();
        let same = known.is_some_and(|known| unchanged(&known.scanned));
        let same_sources = !self.otherwise && known.is_some_and(|known| unchanged(&known.followed));
        let (placeholders, scanned) = match known.filter(|_| same) {
            Some(_) if same_sources => return Ok(None),
            Some(known) => (Arc::clone(&known.placeholders), Arc::clone(&known.scanned)),
            None => {
                let Scan { configs, stamps } = scan_with_files(&self.dir)?;
                (Arc::new(configs), Arc::new(stamps))
            }
        };
        let mut configs = Vec::clone(&placeholders);
        // Before the contents, so that a change in between is found by the next look.
        let mut stamps = followed::stamps(&self.dir, &self.followed);
        for kept in configs.iter().filter_map(|config| self.kept.get(config.id.as_str())) {
            followed::add_stamps(&self.dir, &kept.reads, &mut stamps);
        }
        let key = self.esphome.as_deref();
        let due = words::speak(&self.dir, &self.kept, key, contents, &mut configs);
        followed::note_modified(&self.dir, &self.followed, contents, &mut configs);
        // Somebody compares the sources of what waits when this is told.
        let other = |known: &Known| {
            let changed = |(path, stamp)| stamps.get(path).is_some_and(|now| now != stamp);
            known.followed.iter().any(changed) || *known.configs != configs
        };
        let tell = !same || known.is_none_or(other);
        let followed = Arc::new(stamps);
        let known = Known { placeholders, configs: Arc::new(configs), scanned, followed };
        Ok(Some(Found { known, due, tell }))
    }
}

fn unchanged(stamps: &Stamps) -> bool {
    stamps.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)
}
