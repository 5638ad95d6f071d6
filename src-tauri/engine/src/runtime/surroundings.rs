//! What lies around the engine: the config directory and the ESPHome that builds.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wakeflash_core::dispatch::{Builder, Input};
use wakeflash_core::error::Problem;
use wakeflash_core::view::{ConfigDirStatus, EsphomeStatus, Progress};

use super::Runtime;
use super::work::Report;
use crate::configs::{self, ConfigsEvent};
use crate::esphome::{self, InstallFailure};

/// What is known about them.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// Ends the task that follows the config directory.
    configs: Option<CancellationToken>,
    /// Counts the config directories that were followed: a late word about an older one isn't about this.
    generation: u32,
    /// The ESPHome that builds.
    pub(super) esphome: Option<PathBuf>,
    /// Counts the searches for ESPHome: only the newest one counts.
    search: u32,
    installing: bool,
    /// The settings changed while it was being installed.
    search_after_install: bool,
    /// Why the last installation failed, until an ESPHome is found.
    install_problem: Option<Problem>,
}

impl Runtime {
    /// Follows the config directory of the settings, and no other one any more.
    pub(super) fn follow_config_dir(&mut self) {
        if let Some(old) = self.surroundings.configs.take() {
            old.cancel();
        }
        self.surroundings.generation = self.surroundings.generation.wrapping_add(1);
        // What waits to be stored is about the old one.
        self.pending.retain(|kept| !matches!(kept, Input::Configs(_)));
        let Some(path) = self.dispatch.settings().config_dir.clone() else {
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
        self.tasks.spawn(async move {
            let mut watch = configs::watch(dir, configs::Timing::default());
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

    pub(super) async fn take_configs_event(&mut self, generation: u32, event: ConfigsEvent) {
        if generation != self.surroundings.generation {
            return;
        }
        let Some(path) = self.dispatch.settings().config_dir.clone() else { return };
        match event {
            ConfigsEvent::Scanned(files) => {
                self.publisher
                    .change_status(|status| status.config_dir = ConfigDirStatus::Ready { path });
                self.happened(Input::Configs(files)).await;
            }
            ConfigsEvent::Unreadable(problem) => {
                self.publisher.change_status(|status| {
                    status.config_dir = ConfigDirStatus::Unreadable { path, problem };
                });
            }
        }
    }

    /// Looks for the ESPHome of the settings.
    pub(super) fn find_esphome(&mut self) {
        if self.surroundings.installing {
            self.surroundings.search_after_install = true;
            return;
        }
        self.publisher.change_status(|status| status.esphome = EsphomeStatus::Searching);
        self.surroundings.search = self.surroundings.search.wrapping_add(1);
        let search = self.surroundings.search;
        let configured = self.dispatch.settings().esphome_path.clone().map(PathBuf::from);
        let state_dir = self.options.state_dir.clone();
        self.spawn(async move {
            let found = esphome::locate(configured.as_deref(), &state_dir).await;
            Some(Report::Located(search, found))
        });
    }

    pub(super) async fn esphome_located(&mut self, search: u32, status: EsphomeStatus) {
        if search != self.surroundings.search {
            return;
        }
        let status = match (status, self.surroundings.install_problem.take()) {
            // The user wants to know why there is still none.
            (EsphomeStatus::Missing { .. }, Some(problem)) => EsphomeStatus::Missing { problem },
            (status, _) => status,
        };
        self.take_esphome(status).await;
    }

    pub(super) fn esphome_install_went(&mut self, went: Progress) {
        if self.surroundings.installing {
            let Progress { step, percent } = went;
            self.publisher.change_status(|status| {
                status.esphome = EsphomeStatus::Installing { step, percent };
            });
        }
    }

    pub(super) async fn esphome_installed(&mut self, status: EsphomeStatus) {
        self.surroundings.installing = false;
        let failed = match &status {
            EsphomeStatus::Missing { problem } => Some(problem.clone()),
            EsphomeStatus::Ready { .. }
            | EsphomeStatus::Searching
            | EsphomeStatus::Installing { .. } => None,
        };
        let search_again =
            std::mem::take(&mut self.surroundings.search_after_install) || failed.is_some();
        self.surroundings.install_problem = failed;
        if search_again {
            // The one from before may still be there.
            self.find_esphome();
        } else {
            self.take_esphome(status).await;
        }
    }

    async fn take_esphome(&mut self, status: EsphomeStatus) {
        let builder = match &status {
            EsphomeStatus::Ready { path, version } => {
                self.surroundings.esphome = Some(PathBuf::from(path));
                Some(Builder::Ready { version: version.clone() })
            }
            EsphomeStatus::Missing { .. } => Some(Builder::Missing),
            EsphomeStatus::Searching | EsphomeStatus::Installing { .. } => None,
        };
        self.publisher.change_status(|shown| shown.esphome = status);
        if let Some(builder) = builder {
            self.happened(Input::Builder(builder)).await;
        }
    }

    /// Installs an ESPHome of the application's own.
    pub(super) fn install_esphome(&mut self) -> Result<(), Problem> {
        if self.surroundings.installing {
            return Err(Problem::new("esphome.installing", "ESPHome is being installed already."));
        }
        self.surroundings.installing = true;
        // What a search finds meanwhile is out of date when the installation ends.
        self.surroundings.search = self.surroundings.search.wrapping_add(1);
        let (state_dir, cancel, reports) =
            (self.options.state_dir.clone(), self.cancel.child_token(), self.reports.clone());
        self.spawn(async move {
            let (steps, mut told) = mpsc::channel::<Progress>(16);
            let install = async {
                let result = esphome::install(&state_dir, steps, cancel).await;
                match result {
                    Ok(program) => Some(esphome::locate(Some(&program), &state_dir).await),
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
        Ok(())
    }
}
