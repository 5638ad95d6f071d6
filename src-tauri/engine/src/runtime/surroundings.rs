//! What lies around the engine: the config directory and the ESPHome that builds.

use std::path::PathBuf;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wakeflash_core::dispatch::{Builder, Input};
use wakeflash_core::error::Problem;
use wakeflash_core::settings::SettingsChange;
use wakeflash_core::view::{ConfigDirStatus, EsphomeStatus, Progress};

use super::Runtime;
use super::report::Report;
use crate::builder::MARKER;
use crate::configs::{self, ConfigsEvent, Esphome, Feed, Followed};
use crate::esphome::{self, Choice, InstallFailure, Installation};

/// What is known about them.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// Ends the task that follows the config directory.
    configs: Option<CancellationToken>,
    /// Counts the config directories that were followed: a late word about an older one isn't about this.
    generation: u32,
    /// The sources of builds that are followed beside it.
    pub(super) followed: watch::Sender<Followed>,
    /// The ESPHome that builds.
    pub(super) esphome: Option<PathBuf>,
    /// The same, for those who ask it about the configurations.
    asked: watch::Sender<Option<Esphome>>,
    /// Counts the searches for ESPHome: only the newest one counts.
    search: u32,
    installing: bool,
    /// The user chose an ESPHome while our own was being installed, and that choice is the newer one.
    chosen_meanwhile: bool,
    /// Our own was installed, and that it is the chosen one could not be stored yet.
    pub(super) choice_due: bool,
    /// Why the last installation failed, until what is there has been looked for.
    install_problem: Option<Problem>,
}

impl Surroundings {
    /// The ESPHome that can be asked about configurations.
    pub(super) fn asked(&self) -> Option<Esphome> {
        self.asked.borrow().clone()
    }
}

impl Runtime {
    /// Follows the config directory of the settings, and no other one any more.
    pub(super) fn follow_config_dir(&mut self) {
        if let Some(old) = self.surroundings.configs.take() {
            old.cancel();
        }
        self.surroundings.generation = self.surroundings.generation.wrapping_add(1);
        let Some(path) = self.conductor.state().settings().config_dir.clone() else {
            self.publisher.change_status(|status| status.config_dir = ConfigDirStatus::Unset);
            return;
        };
        let dir = PathBuf::from(&path);
        self.publisher
            .change_status(|status| status.config_dir = ConfigDirStatus::Reading { path });
        let token = self.cancel.child_token();
        self.surroundings.configs = Some(token.clone());
        let generation = self.surroundings.generation;
        let reports = self.reports.clone();
        let followed = self.surroundings.followed.subscribe();
        let esphome = self.surroundings.asked.subscribe();
        let reader = self.store.reader();
        self.tasks.spawn(async move {
            // Without what was kept everything is asked about anew.
            let kept = reader.answers(dir.clone()).await.unwrap_or_else(|error| {
                tracing::warn!("what ESPHome said before isn't known: {error:#}");
                Vec::new()
            });
            let feed = Feed { followed, esphome, kept };
            let mut watch = configs::watch(dir, feed, configs::Timing::default());
            loop {
                tokio::select! {
                    () = token.cancelled() => break,
                    event = watch.events.recv() => {
                        let Some(event) = event else { break };
                        if reports.send(Report::Configs(generation, event)).await.is_err() {
                            break;
                        }
                    }
                }
            }
        });
    }

    pub(super) fn take_configs_event(&mut self, generation: u32, event: ConfigsEvent) {
        if generation != self.surroundings.generation {
            return;
        }
        let Some(path) = self.conductor.state().settings().config_dir.clone() else { return };
        match event {
            ConfigsEvent::Scanned(files) => {
                self.publisher
                    .change_status(|status| status.config_dir = ConfigDirStatus::Ready { path });
                self.happened(Input::Configs(files));
            }
            ConfigsEvent::Answered(words) => {
                let (answers, dir) = (self.store.answers(), PathBuf::from(path));
                self.spawn(async move {
                    if let Err(error) = answers.keep(dir, words).await {
                        tracing::warn!("ESPHome's answers are not kept: {error:#}");
                    }
                    None
                });
            }
            ConfigsEvent::Unreadable(problem) => {
                let told = problem.clone();
                self.publisher.change_status(|status| {
                    status.config_dir = ConfigDirStatus::Unreadable { path, problem: told };
                });
                self.happened(Input::DirectoryGone(problem));
            }
        }
    }

    /// Looks for the ESPHome of the settings.
    pub(super) fn find_esphome(&mut self) {
        self.show_esphome(EsphomeStatus::Searching);
        self.search_esphome();
    }

    /// The same, while what is known of it stays shown.
    pub(super) fn search_esphome(&mut self) {
        self.surroundings.search = self.surroundings.search.wrapping_add(1);
        let search = self.surroundings.search;
        let settings = self.conductor.state().settings();
        let choice = Choice {
            own: settings.own_esphome || self.surroundings.choice_due,
            path: settings.esphome_path.clone().map(PathBuf::from),
        };
        let state_dir = self.options.state_dir.clone();
        self.spawn(async move {
            let found = esphome::locate(&choice, &state_dir).await;
            Some(Report::Located(search, found))
        });
    }

    pub(super) fn esphome_located(&mut self, search: u32, status: EsphomeStatus) {
        if search != self.surroundings.search {
            return;
        }
        let status = match (status, self.surroundings.install_problem.take()) {
            // The user wants to know why there is still none, or no other one.
            (EsphomeStatus::Missing { .. }, Some(problem)) => EsphomeStatus::Missing { problem },
            (EsphomeStatus::Ready { path, version, .. }, problem @ Some(_)) => {
                EsphomeStatus::Ready { path, version, problem }
            }
            (status, _) => status,
        };
        self.take_esphome(status);
    }

    /// The user chose another ESPHome in the settings.
    pub(super) fn esphome_chosen(&mut self) {
        if std::mem::take(&mut self.surroundings.choice_due) {
            // It is the one that was just installed.
            return;
        }
        self.surroundings.chosen_meanwhile = self.surroundings.installing;
        self.find_esphome();
    }

    pub(super) fn esphome_install_went(&mut self, went: Progress) {
        if self.surroundings.installing {
            let Progress { step, percent } = went;
            self.publisher.change_status(|status| {
                status.esphome = EsphomeStatus::Installing { step, percent };
            });
        }
    }

    pub(super) fn esphome_installed(&mut self, status: EsphomeStatus) {
        self.surroundings.installing = false;
        match &status {
            EsphomeStatus::Missing { problem } => {
                self.surroundings.install_problem = Some(problem.clone());
                // The one from before is still there.
                self.find_esphome();
            }
            EsphomeStatus::Ready { .. } if self.surroundings.chosen_meanwhile => {
                self.find_esphome();
            }
            EsphomeStatus::Ready { .. }
            | EsphomeStatus::Searching
            | EsphomeStatus::Installing { .. } => {
                // What is being searched for is out of date.
                self.surroundings.search = self.surroundings.search.wrapping_add(1);
                self.choose_installed(&status);
                self.take_esphome(status);
            }
        }
    }

    /// Who installs our own ESPHome wants it to be used, also from the next start on.
    pub(super) fn choose_installed(&mut self, status: &EsphomeStatus) {
        if matches!(status, EsphomeStatus::Ready { .. }) && !self.surroundings.chosen_meanwhile {
            self.surroundings.choice_due = true;
            self.happened(Input::ChangeSettings(SettingsChange::default().with_own_esphome()));
        }
    }

    fn take_esphome(&mut self, status: EsphomeStatus) {
        let builder = match &status {
            EsphomeStatus::Ready { path, version, problem } => {
                if let Some(problem) = problem {
                    tracing::warn!("{path} is used: {problem}");
                }
                self.surroundings.esphome = Some(PathBuf::from(path));
                let mark = (MARKER, self.marker.clone());
                let program = PathBuf::from(path);
                self.surroundings.asked.send_replace(Some(Esphome {
                    program,
                    version: version.clone(),
                    mark,
                }));
                // An older one of our own may be of no use any more.
                self.work.garbage = true;
                Some(Builder::Ready { version: version.clone() })
            }
            // A search may end while the first one is still being installed.
            EsphomeStatus::Missing { .. } if self.surroundings.installing => Some(Builder::Coming),
            EsphomeStatus::Missing { .. } => Some(Builder::Missing),
            EsphomeStatus::Searching | EsphomeStatus::Installing { .. } => None,
        };
        self.show_esphome(status);
        if let Some(builder) = builder {
            self.happened(Input::Builder(builder));
        }
    }

    /// While one is being installed, that is what is shown; what is there builds meanwhile.
    fn show_esphome(&mut self, status: EsphomeStatus) {
        if !self.surroundings.installing {
            self.publisher.change_status(|shown| shown.esphome = status);
        }
    }

    /// Deletes environments of our own in which nothing runs any more. Not before it is known which one is used.
    pub(super) fn delete_outdated_esphome(&mut self) {
        let Some(used) = self.surroundings.esphome.clone() else { return };
        if self.surroundings.installing || !self.work.flashes.is_empty() {
            // The end of either leads here again.
            return;
        }
        let state_dir = self.options.state_dir.clone();
        self.spawn(async move {
            let delete =
                move || esphome::delete(&esphome::outdated(&state_dir, Some(used.as_path())));
            if let Err(error) = tokio::task::spawn_blocking(delete).await {
                tracing::error!("deleting what ESPHome left: {error}");
            }
            None
        });
    }

    /// Installs an ESPHome of the application's own.
    pub(super) fn install_esphome(&mut self) -> Result<(), Problem> {
        if self.surroundings.installing {
            return Err(Problem::new("esphome.installing", "ESPHome is being installed already."));
        }
        self.surroundings.installing = true;
        self.surroundings.chosen_meanwhile = false;
        let installation = Installation {
            state_dir: self.options.state_dir.clone(),
            mark: (MARKER, self.marker.clone()),
        };
        let (cancel, reports) = (self.cancel.child_token(), self.reports.clone());
        self.spawn(async move {
            let (steps, mut told) = mpsc::channel::<Progress>(16);
            let install = async {
                match esphome::install(&installation, steps, cancel).await {
                    Ok(program) => {
                        let choice = Choice { own: false, path: Some(program) };
                        Some(esphome::locate(&choice, &installation.state_dir).await)
                    }
                    Err(InstallFailure::Failed { problem }) => {
                        Some(EsphomeStatus::Missing { problem })
                    }
                    // Only the end of the application cancels it.
                    Err(InstallFailure::Cancelled) => None,
                }
            };
            let forward = async {
                while let Some(went) = told.recv().await {
                    if reports.send(Report::InstallWent(went)).await.is_err() {
                        break;
                    }
                }
            };
            let (status, ()) = tokio::join!(install, forward);
            status.map(Report::InstallEnded)
        });
        self.happened(Input::Builder(Builder::Coming));
        Ok(())
    }
}
