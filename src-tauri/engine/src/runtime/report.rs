//! What tasks have to say, and what is done with each word.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use wakeflash_core::build_failure::BuildFailure;
use wakeflash_core::device::{DeviceId, Sighting};
use wakeflash_core::dispatch::{FlashOutcome, Input};
use wakeflash_core::error::Problem;
use wakeflash_core::identity::Proof;
use wakeflash_core::settings::Settings;
use wakeflash_core::update::{Sha256, SourceChange, StateKind, UpdateId};
use wakeflash_core::view::{ActivityPage, EsphomeStatus, Progress, UpdateRecord};
use wakeflash_ota::PreparedImage;

use super::Runtime;
use super::api::{AT_THE_GATE, ApiQuestion};
use super::asking::Opens;
use super::commit::{Decided, Reply};
use super::follower::News;
use super::work::Grant;
use crate::artifacts::LoadError;
use crate::builder::{BuildOutcome, BuilderEvent};
use crate::configs::ConfigsEvent;
use crate::gate::Told;
use crate::handle::ReplyTo;
use crate::store::{Ended, History};

/// What a task has to say.
pub(super) enum Report {
    /// Of the config directory that was followed at that time.
    Configs(u32, ConfigsEvent),
    /// What one search for ESPHome found.
    Located(u32, EsphomeStatus),
    /// The devices that another tool is about to update.
    OtherTools(BTreeSet<DeviceId>),
    DiskFreed,
    InstallWent(Progress),
    InstallEnded(EsphomeStatus),
    SourcesChecked {
        update: UpdateId,
        image: Sha256,
        dir: PathBuf,
        changes: Option<Vec<SourceChange>>,
    },
    BuildWent {
        update: UpdateId,
        event: BuilderEvent,
    },
    BuildEnded {
        update: UpdateId,
        result: Result<BuildOutcome, BuildFailure>,
    },
    ImagePrepared {
        update: UpdateId,
        name: Sha256,
        result: Result<Arc<PreparedImage>, LoadError>,
    },
    PrepareAgain(UpdateId),
    FlashWent {
        update: UpdateId,
        progress: Progress,
    },
    /// The device is held; `grant` tells when its image may be sent.
    Captured {
        update: UpdateId,
        grant: Grant,
    },
    AboutToComplete {
        update: UpdateId,
        encrypted: bool,
        reply: oneshot::Sender<Result<(), Problem>>,
    },
    FlashEnded {
        update: UpdateId,
        outcome: FlashOutcome,
    },
    Answered(Sighting),
    /// The gate wants to know what a device says over its native API.
    AskApi {
        asked: ApiQuestion,
        told: mpsc::Sender<Told>,
    },
    /// What came of a question to an address.
    Asked {
        name: String,
        address: IpAddr,
        opens: Opens,
        answer: Option<Sighting>,
    },
    /// The API of a device was looked at.
    LookedAtApi {
        name: String,
        peer: IpAddr,
        refused: Option<bool>,
    },
    /// The gate has opened.
    Proven {
        update: UpdateId,
        proof: Proof,
    },
    History {
        device: DeviceId,
        history: anyhow::Result<History>,
        reply: ReplyTo<Vec<UpdateRecord>>,
    },
    Activity {
        ended: anyhow::Result<Ended>,
        reply: ReplyTo<ActivityPage>,
    },
    Returned {
        update: UpdateId,
        peer: IpAddr,
    },
    ServesAgain {
        update: UpdateId,
        peer: IpAddr,
    },
    /// Whether a config directory that was chosen is there.
    DirectoryLookedAt {
        input: Input,
        looked_at: Result<(), Problem>,
        reply: Reply,
    },
    /// What nobody needs was deleted.
    Collected,
    /// The task that follows the log of a device says something.
    DeviceLog {
        name: String,
        number: u32,
        news: News,
    },
    /// Whether the recorded log of a device is kept.
    LogKept {
        name: String,
        result: anyhow::Result<()>,
    },
    /// Whether a backup of the store was made.
    BackedUp(anyhow::Result<bool>),
}

impl Runtime {
    pub(super) fn take_report(&mut self, report: Report) {
        match report {
            Report::Configs(generation, event) => self.take_configs_event(generation, event),
            Report::Located(search, status) => self.esphome_located(search, status),
            Report::OtherTools(queued) => self.other_tools_found(queued),
            Report::DiskFreed => self.disk_freed(),
            Report::InstallWent(went) => self.esphome_install_went(went),
            Report::InstallEnded(status) => self.esphome_installed(status),
            Report::SourcesChecked { update, image, dir, changes } => {
                self.sources_checked(update, &image, &dir, changes);
            }
            Report::BuildWent { update, event } => self.build_went(update, event),
            Report::BuildEnded { update, result } => {
                self.work.builds.remove(&update);
                let result = result.map(|outcome| (outcome.build, outcome.changes));
                self.happened(Input::BuildEnded { update, result });
            }
            Report::ImagePrepared { update, name, result } => {
                self.image_prepared(update, name, result);
            }
            Report::PrepareAgain(update) => self.prepare_image(update),
            Report::FlashWent { update, progress } => {
                if let Some(device) = self.device_of(update, StateKind::Flashing) {
                    self.publisher.progress(device, update, progress);
                }
            }
            Report::Captured { update, grant } => {
                // One that was stopped meanwhile says nothing more, and would leave its grant here.
                if self.work.flashes.contains_key(&update) {
                    self.work.held.insert(update, grant);
                }
                self.happened(Input::Captured { update });
            }
            Report::AboutToComplete { update, encrypted, reply } => {
                // A flasher that no longer waits was stopped; the state says so already.
                let told = |answer: Decided, _: &Settings| drop(reply.send(answer.map(drop)));
                self.announce(Input::AboutToComplete { update, encrypted }, Box::new(told));
            }
            Report::FlashEnded { update, outcome } => {
                self.work.flashes.remove(&update);
                self.work.held.remove(&update);
                self.happened(Input::FlashEnded { update, outcome });
            }
            Report::Answered(sighting) => {
                self.heard(Input::Sighted(sighting));
            }
            Report::AskApi { asked, told } => self.ask_api(asked, AT_THE_GATE, told),
            Report::History { device, history, reply } => {
                self.history_read(&device, history, reply);
            }
            Report::Activity { ended, reply } => self.activity_read(ended, reply),
            Report::DirectoryLookedAt { input, looked_at, reply } => {
                self.directory_looked_at(input, looked_at, reply);
            }
            Report::Collected => self.collected(),
            Report::DeviceLog { name, number, news } => self.log_news(&name, number, news),
            Report::LogKept { name, result } => self.log_kept(name, result),
            Report::Asked { name, address, opens, answer } => {
                self.asked(name, address, opens, answer);
            }
            Report::LookedAtApi { name, peer, refused } => {
                self.heard(Input::LookedAtApi { name, peer, refused });
            }
            Report::Proven { update, proof } => self.happened(Input::Proven { update, proof }),
            Report::BackedUp(result) => self.backed_up(result),
            Report::Returned { update, peer } => {
                self.heard(Input::Returned { update, peer });
            }
            Report::ServesAgain { update, peer } => {
                self.heard(Input::ServesAgain { update, peer });
            }
        }
    }

    /// What tasks say while everything ends: the outcome of a flash must not be lost; a build that was
    /// stopped only because everything ends is no failure and starts again next time.
    pub(super) fn take_last_report(&mut self, report: Report) {
        match report {
            Report::FlashEnded { outcome: FlashOutcome::Failed { .. }, .. }
            | Report::BuildEnded { .. } => {}
            Report::FlashEnded { .. } | Report::AboutToComplete { .. } | Report::LogKept { .. } => {
                self.take_report(report);
            }
            Report::InstallEnded(status) => self.choose_installed(&status),
            Report::Configs(..)
            | Report::Located(..)
            | Report::OtherTools(_)
            | Report::DiskFreed
            | Report::InstallWent(_)
            | Report::SourcesChecked { .. }
            | Report::BuildWent { .. }
            | Report::ImagePrepared { .. }
            | Report::PrepareAgain(_)
            | Report::FlashWent { .. }
            | Report::Captured { .. }
            | Report::Answered(_)
            | Report::AskApi { .. }
            | Report::Asked { .. }
            | Report::LookedAtApi { .. }
            | Report::Proven { .. }
            | Report::History { .. }
            | Report::Activity { .. }
            | Report::DirectoryLookedAt { .. }
            | Report::Collected
            | Report::DeviceLog { .. }
            | Report::BackedUp(_)
            | Report::Returned { .. }
            | Report::ServesAgain { .. } => {}
        }
    }
}
