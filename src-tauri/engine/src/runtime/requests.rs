//! Requests of the window, the tray and the headless host.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use wakeflash_core::device::DeviceId;
use wakeflash_core::dispatch::Input;
use wakeflash_core::error::Problem;
use wakeflash_core::request::Greeting;
use wakeflash_core::settings::{Settings, SettingsChange};
use wakeflash_core::update::UpdateId;
use wakeflash_core::view::{
    ActivityCursor, ActivityPage, BuildLog, ConfigDirCandidate, Refusal, UpdateDetails,
    UpdateRecord,
};

use super::commit::{Decided, Reply};
use super::report::Report;
use super::{Runtime, reading};
use crate::handle::{Asked, ReplyTo};
use crate::store::{Ended, History};
use crate::{builder, configs, report};

/// How many lines of a build log are given at once: the end of it; the file has all.
const LOG_LINES: usize = 5_000;
/// How many updates that have ended are given at once.
const MOST_ACTIVITY: u32 = 500;
/// How long a directory that is chosen may take to show that it is there.
const CHOICE_PATIENCE: Duration = Duration::from_secs(2);

impl Runtime {
    pub(super) fn take_request(&mut self, asked: Asked) {
        match asked {
            Asked::Hello { protocol, reply } => answer(reply, Greeting::to(protocol)),
            Asked::Install { device, reply } => self.start(Input::Install(device), reply),
            Asked::Cancel { device, reply } => self.do_it(Input::Cancel(device), reply),
            Asked::Retry { device, reply } => self.start(Input::Retry(device), reply),
            Asked::RetryWithPassword { device, password, reply } => {
                self.start(Input::RetryWithPassword { device, password }, reply);
            }
            Asked::RetryClean { device, reply } => self.start(Input::RetryClean(device), reply),
            Asked::CleanBuild { device, reply } => self.clean_build(device, reply),
            Asked::Validate { device, reply } => self.validate(device, reply),
            Asked::SourceChanges { device, reply } => self.source_changes(&device, reply),
            Asked::BuiltImage { device, reply } => self.built_image(&device, reply),
            Asked::UndoCancel { devices, reply } => {
                self.for_many(Input::UndoCancel(devices), reply);
            }
            Asked::Rebuild { device, reply } => self.do_it(Input::Rebuild(device), reply),
            Asked::InstallPrevious { device, reply } => {
                self.start(Input::InstallPrevious(device), reply);
            }
            Asked::FlashAnyway { device, reply } => self.do_it(Input::FlashAnyway(device), reply),
            Asked::Dismiss { device, reply } => self.do_it(Input::Dismiss(device), reply),
            Asked::InstallMany { devices, reply } => {
                self.for_many(Input::InstallMany(devices), reply);
            }
            Asked::CancelMany { devices, reply } => {
                self.for_many(Input::CancelMany(devices), reply);
            }
            Asked::Plan { devices, reply } => {
                let plan = self.conductor.state().install_plan(devices.as_deref(), super::now());
                answer(reply, Ok(plan));
            }
            Asked::History { device, reply } => self.history(device, reply),
            Asked::Activity { before, limit, reply } => self.activity(before, limit, reply),
            Asked::SetAddress { device, address, reply } => {
                self.do_it(Input::SetAddress { device, address }, reply);
            }
            Asked::SetLabel { devices, label, on, reply } => {
                self.do_it(Input::SetLabel { devices, label, on }, reply);
            }
            Asked::AcceptBoard { device, mac, link_address, reply } => {
                self.do_it(Input::AcceptBoard { device, mac, link_address }, reply);
            }
            Asked::ChooseConfig { device, reply } => {
                self.do_it(Input::ChooseConfig(device), reply);
            }
            Asked::SetPaused { paused, reply } => {
                let change = SettingsChange::default().pausing(paused);
                self.do_it(Input::ChangeSettings(change), reply);
            }
            Asked::BuildLog { update, reply } => self.build_log(update, reply),
            Asked::Report { reply } => self.report(reply),
            Asked::List { reply } => answer(reply, Ok(self.publisher.snapshot().devices)),
            Asked::Snapshot { reply } => answer(reply, Ok(self.publisher.snapshot())),
            Asked::Details { device, reply } => self.details(&device, reply),
            Asked::Wakes { device, reply } => {
                answer(reply, Ok(self.conductor.state().wakes(&device)));
            }
            Asked::DeviceLog { device, from, reply } => self.device_log(&device, from, reply),
            Asked::RecordLog { device, on, reply } => {
                self.do_it(Input::RecordLog { device, on }, reply);
            }
            Asked::LogRecordings { device, reply } => self.log_recordings(&device, reply),
            Asked::LogRecording { device, at, reply } => self.log_recording(&device, at, reply),
            Asked::SetSettings { settings, reply } => {
                let dir = settings.config_dir.clone();
                let reply = Box::new(|decided: Decided, _: &Settings| {
                    answer(reply, decided.map(|_| ()));
                });
                self.set_settings(dir, Input::Settings(settings), reply);
            }
            Asked::ChangeSettings { change, reply } => {
                let changed = change.clone().applied_to(self.conductor.state().settings());
                let dir = changed.ok().and_then(|settings| settings.config_dir);
                let reply = Box::new(|decided: Decided, settings: &Settings| {
                    answer(reply, decided.map(|_| settings.clone()));
                });
                self.set_settings(dir, Input::ChangeSettings(change), reply);
            }
            Asked::ConfigDirCandidates { reply } => self.config_dir_candidates(reply),
            Asked::FindEsphome { reply } => {
                self.find_esphome();
                answer(reply, Ok(()));
            }
            Asked::InstallEsphome { reply } => answer(reply, self.install_esphome()),
            Asked::SetWatching { on, reply } => {
                self.watching.send_replace(on);
                answer(reply, Ok(()));
            }
            // Whoever shows the engine holds it, and ends it.
            Asked::Shutdown { reply } => answer(reply, Ok(())),
        }
    }

    fn config_dir_candidates(&mut self, reply: ReplyTo<Vec<ConfigDirCandidate>>) {
        self.spawn(async move {
            answer(reply, reading::read(configs::candidates).await);
            None
        });
    }

    fn do_it(&mut self, input: Input, reply: ReplyTo<()>) {
        self.ask(input, Box::new(|decided, _| answer(reply, decided.map(|_| ()))));
    }

    fn start(&mut self, input: Input, reply: ReplyTo<UpdateId>) {
        let none = || Problem::new("engine.defect", "No update was started.");
        self.ask(
            input,
            Box::new(move |decided, _| {
                answer(reply, decided.and_then(|it| it.started.ok_or_else(none)));
            }),
        );
    }

    fn for_many(&mut self, input: Input, reply: ReplyTo<Vec<Refusal>>) {
        self.ask(input, Box::new(|decided, _| answer(reply, decided.map(|it| it.refusals))));
    }

    /// Reads the history, which is only in the store; how its states are shown, the loop knows.
    fn history(&mut self, device: DeviceId, reply: ReplyTo<Vec<UpdateRecord>>) {
        let reader = self.store.reader();
        self.spawn(async move {
            let history = reader.history(&device).await;
            Some(Report::History { device, history, reply })
        });
    }

    pub(super) fn history_read(
        &mut self,
        device: &DeviceId,
        history: anyhow::Result<History>,
        reply: ReplyTo<Vec<UpdateRecord>>,
    ) {
        let records = history.map(|history| {
            if let Some(problem) = history.problem(device) {
                self.publisher.warn_of_store(problem);
            }
            let state = self.conductor.state();
            let shown = history.updates.iter().filter(|update| state.is_in_history(update));
            shown.map(|update| state.record(update)).collect::<Vec<_>>()
        });
        answer(reply, records.map_err(|error| unreadable_store(&error)));
    }

    fn activity(
        &mut self,
        before: Option<ActivityCursor>,
        limit: u32,
        reply: ReplyTo<ActivityPage>,
    ) {
        let reader = self.store.reader();
        self.spawn(async move {
            let ended = reader.activity(before, limit.clamp(1, MOST_ACTIVITY)).await;
            Some(Report::Activity { ended, reply })
        });
    }

    pub(super) fn activity_read(&self, ended: anyhow::Result<Ended>, reply: ReplyTo<ActivityPage>) {
        let page = ended.map(|ended| {
            let state = self.conductor.state();
            let shown = ended.updates.iter().filter(|update| state.is_in_history(update));
            ActivityPage {
                records: shown.map(|update| state.activity_record(update)).collect(),
                next: ended.next,
            }
        });
        answer(reply, page.map_err(|error| unreadable_store(&error)));
    }

    fn build_log(&mut self, update: UpdateId, reply: ReplyTo<BuildLog>) {
        let reader = self.store.reader();
        let path = builder::log_path(&self.options.state_dir, update);
        self.spawn(async move {
            let log = match reader.has_update(update).await {
                Ok(true) => reading::read(move || read_log(&path)).await,
                Ok(false) => Err(Problem::new("update.none", "There is no such update.")),
                Err(error) => Err(unreadable_store(&error)),
            };
            answer(reply, log);
            None
        });
    }

    fn report(&mut self, reply: ReplyTo<String>) {
        let facts = report::Facts {
            snapshot: self.publisher.snapshot(),
            state_dir: self.options.state_dir.clone(),
            known_secrets: self.conductor.state().secrets(),
        };
        self.spawn(async move {
            answer(reply, reading::read(move || report::compose(&facts)).await);
            None
        });
    }

    /// Changes the settings; a config directory that is chosen has to show first that it is there.
    fn set_settings(&mut self, dir: Option<String>, input: Input, reply: Reply) {
        let now = self.conductor.state().settings().config_dir.as_deref();
        match dir.filter(|dir| now != Some(dir)) {
            None => self.ask(input, reply),
            Some(dir) => self.spawn(async move {
                let looked_at = can_be_chosen(Path::new(&dir)).await;
                Some(Report::DirectoryLookedAt { input, looked_at, reply })
            }),
        }
    }

    /// The directory that the user has chosen can be read, or not.
    pub(super) fn directory_looked_at(
        &mut self,
        input: Input,
        looked_at: Result<(), Problem>,
        reply: Reply,
    ) {
        match looked_at {
            Ok(()) => self.ask(input, reply),
            Err(problem) => reply(Err(problem), self.conductor.state().settings()),
        }
    }

    fn details(&mut self, device: &DeviceId, reply: ReplyTo<UpdateDetails>) {
        let Some(update) = self.conductor.state().shown_update(device) else {
            let problem = Problem::new("update.none", format!("{device} never had an update."));
            answer(reply, Err(problem));
            return;
        };
        let mut view = self.conductor.state().update_view(update);
        view.progress = self.publisher.progress_of(update.id).cloned();
        let timeline = update.timeline.clone();
        let path = builder::log_path(&self.options.state_dir, update.id);
        self.spawn(async move {
            let shown = path.clone();
            let log = reading::read(move || read_log(&path)).await;
            let log = log.unwrap_or_else(|problem| unreadable_log(&shown, &problem.message));
            answer(reply, Ok(UpdateDetails { update: view, timeline, log }));
            None
        });
    }
}

fn unreadable_store(error: &anyhow::Error) -> Problem {
    tracing::error!("what was asked for can't be read: {error:#}");
    Problem::new("store.unreadable", format!("It can't be read: {}.", error.root_cause()))
        .with_help("Check the disk of the data directory. The log has the details.")
}

fn answer<T>(reply: ReplyTo<T>, result: Result<T, Problem>) {
    // Whoever asked may have gone; the state has changed all the same.
    let _ = reply.send(result);
}

/// The last lines of a log, which may be longer than what is good to hold.
fn read_log(path: &Path) -> BuildLog {
    let mut log = match File::open(path) {
        Ok(log) => BufReader::new(log),
        Err(error) if error.kind() == ErrorKind::NotFound => return BuildLog::default(),
        Err(error) => return unreadable_log(path, &error.to_string()),
    };
    let (mut lines, mut first_line) = (VecDeque::new(), 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        match log.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return unreadable_log(path, &error.to_string()),
        }
        if lines.len() == LOG_LINES {
            lines.pop_front();
            first_line += 1;
        }
        let text = String::from_utf8_lossy(&line);
        lines.push_back(text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r').to_owned());
    }
    BuildLog { first_line, lines: lines.into(), path: Some(path.to_string_lossy().into_owned()) }
}

fn unreadable_log(path: &Path, why: &str) -> BuildLog {
    tracing::warn!("the build log {} can't be read: {why}", path.display());
    BuildLog {
        first_line: 0,
        lines: vec![format!("The log can't be read: {why}")],
        path: Some(path.to_string_lossy().into_owned()),
    }
}

/// Whether a directory can become the config directory. A drive that doesn't answer is let through: it may be
/// slow, and the window tells when it can't be read.
async fn can_be_chosen(dir: &Path) -> Result<(), Problem> {
    if !dir.is_absolute() {
        return Err(Problem::new(
            "settings.relative_path",
            format!("{} is not a complete path.", dir.display()),
        )
        .with_help("Give the path from the root, such as /home/me/esphome."));
    }
    match timeout(CHOICE_PATIENCE, tokio::fs::read_dir(dir)).await {
        Ok(Err(error)) => Err(configs::dir_problem(dir, &error)),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}
