//! The config directory: whether it is there, what belongs to it, what is listed without it.

use crate::build_failure::Lack;
use crate::configuration::ConfigFile;
use crate::device::DeviceId;
use crate::error::Problem;
use crate::update::{Update, UpdateId};

use super::Dispatch;

/// What is known of the config directory of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Directory {
    /// Nobody has read it yet.
    Unread,
    /// It was read.
    There,
    /// It can't be read; what was known of it stays true as far as anybody knows.
    Gone(Problem),
}

impl Directory {
    pub(super) const fn is_there(&self) -> bool {
        match self {
            Self::There => true,
            Self::Unread | Self::Gone(_) => false,
        }
    }
}

impl Dispatch {
    pub(super) fn directory_gone(&mut self, problem: Problem) {
        self.decision.touched.extend(self.rows());
        self.directory = Directory::Gone(problem);
        self.decision.touched.extend(self.rows());
    }

    pub(super) fn directory_read(&mut self, files: Vec<ConfigFile>) {
        let comes = !self.directory.is_there();
        if comes {
            self.decision.touched.extend(self.rows());
        }
        self.directory = Directory::There;
        self.replace_configs(files);
        if comes {
            // What was remembered meanwhile may be a discovered device now.
            self.decision.touched.extend(self.rows());
        }
        if self.has_sources() {
            self.is_back_for_builds(Lack::Directory);
        }
    }

    /// Another directory is about to be chosen.
    pub(super) fn leave_directory(&mut self) {
        self.decision.touched.extend(self.rows());
        self.directory = Directory::Unread;
        self.replace_configs(Vec::new());
    }

    /// Whether there is something to build from. A directory without any configuration is a mount point that
    /// nothing is mounted on.
    pub(super) fn has_sources(&self) -> bool {
        self.directory.is_there() && !self.configs.is_empty()
    }

    /// Whether devices are listed by what is remembered, since their configurations can't be read.
    fn lists_remembered(&self) -> bool {
        self.configs.is_empty() && !self.directory.is_there()
    }

    /// The devices that are remembered as configured in this directory, and their names.
    pub(super) fn remembered(&self) -> impl Iterator<Item = (&DeviceId, &str)> {
        let configured = self.devices.iter().filter_map(|(name, heard)| {
            let by = heard.memory.configured_by.as_ref()?;
            (by.directory == self.settings.config_dir).then_some((&by.file, name.as_str()))
        });
        let updated = self.updates.values().filter(|update| self.is_here(update));
        let updated = updated.map(|update| (&update.device, update.name.as_str()));
        self.lists_remembered().then(|| configured.chain(updated)).into_iter().flatten()
    }

    /// The name of a device that is listed though its configuration can't be read.
    pub(super) fn remembered_name(&self, device: &DeviceId) -> Option<&str> {
        self.remembered().find(|(id, _)| *id == device).map(|(_, name)| name)
    }

    /// Whether an update is of the directory that is chosen now.
    #[must_use]
    pub fn is_here(&self, update: &Update) -> bool {
        update.directory.is_none() || update.directory == self.settings.config_dir
    }

    /// Whether it is known which configurations there are beside that of an update. Without any, its directory wasn't
    /// read yet, or isn't there, or nothing is mounted on it.
    pub(super) fn knows_the_files_of(&self, update: &Update) -> bool {
        self.is_here(update) && !self.configs.is_empty()
    }

    /// Whether the history of its device shows an update.
    #[must_use]
    pub fn is_in_history(&self, update: &Update) -> bool {
        let active = self.active(&update.device);
        self.is_here(update) || active.is_some_and(|active| active.is_of_the_file_of(update))
    }

    /// The directory of an update.
    #[must_use]
    pub fn directory_of<'a>(&'a self, update: &'a Update) -> Option<&'a str> {
        update.directory.as_deref().or(self.settings.config_dir.as_deref())
    }

    /// The configuration of an update's device, when it is of this directory. Another one may have a file of the same
    /// name.
    pub(super) fn configuration_of(&self, update: &Update) -> Option<&ConfigFile> {
        self.configs.get(&update.device).filter(|_| self.is_here(update))
    }

    /// The active update of a device of this directory.
    pub(super) fn active_here(&self, device: &DeviceId) -> Option<&Update> {
        self.active(device).filter(|update| self.is_here(update))
    }

    /// Updates of a version that didn't write down their directory are of the one that is chosen when they are read.
    pub(super) fn adopt_updates(&mut self) {
        let Some(directory) = self.settings.config_dir.clone() else { return };
        let unbound = self.updates.values().filter(|update| update.directory.is_none());
        let unbound: Vec<UpdateId> = unbound.map(|update| update.id).collect();
        for id in unbound {
            if let Some(update) = self.change(id) {
                update.directory = Some(directory.clone());
            }
        }
    }

    /// Refuses a request for a file of this directory when one of the same name in another one has an update under
    /// way: the two would be one row.
    pub(super) fn is_free(&self, device: &DeviceId) -> Result<(), Problem> {
        let Some(update) = self.active(device).filter(|update| !self.is_here(update)) else {
            return Ok(());
        };
        let directory = update.directory.as_deref().unwrap_or_default();
        Err(Problem::new(
            "update.elsewhere",
            format!("{device} of {directory} has an update under way."),
        )
        .with_help("Cancel that, or choose that config directory again."))
    }

    /// What the user has to know about an update of another directory.
    pub(super) fn of_another_directory(&self, update: &Update) -> Option<Problem> {
        if self.is_here(update) {
            return None;
        }
        let directory = update.directory.as_deref().unwrap_or_default();
        let message = format!("It belongs to another config directory: {directory}");
        let kind = update.state.kind();
        let problem = if kind.needs_its_sources() {
            Problem::new("update.other_directory", message).with_help(
                "It goes on when that directory is chosen again. Cancel it if it isn't wanted any more.",
            )
        } else {
            Problem::new("update.built_elsewhere", message).with_help(
                "It goes on all the same: the image is a copy. Cancel it if it isn't wanted any more.",
            )
        };
        (!kind.is_final()).then_some(problem)
    }

    /// Why configurations can't be read.
    pub(super) fn directory_problem(&self) -> Option<Problem> {
        match &self.directory {
            Directory::Gone(problem) => Some(problem.clone()),
            Directory::Unread | Directory::There => None,
        }
    }
}
