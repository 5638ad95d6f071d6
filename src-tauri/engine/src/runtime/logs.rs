//! The logs of devices: followed while somebody looks, and where the next wake is to be recorded.
//!
//! A device has one connection for both. There is none while an update wants the device.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::DeviceId;
use wakeflash_core::device_log::LogSource;
use wakeflash_core::dispatch::Input;
use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;
use wakeflash_core::view::{DeviceLog, DeviceLogState, LogRecording, RecordingEnd};

use super::follower::{Follower, News, Tried};
use super::log_words::{flash_first, not_kept, unreadable, words};
use super::report::Report;
use super::{Runtime, now};
use crate::api::log::{End, Heard};
use crate::configs::storage_path;
use crate::handle::ReplyTo;
use crate::recordings::{self, Recording};

/// Who has asked for a log looks at it for so long.
const LOOK: Duration = Duration::from_secs(10);
/// How many logs may be looked at at once.
const MOST_LOOKED_AT: usize = 8;
/// What is kept of a log that is looked at.
const LINES_SHOWN: usize = 2_000;
const BYTES_SHOWN: usize = 512 << 10;
/// What is told of it at once.
const LINES_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 128 << 10;
/// What a recording may have.
const LINES_RECORDED: usize = 5_000;
const BYTES_RECORDED: usize = 256 << 10;
const LONGEST_RECORDING: Duration = Duration::from_secs(300);

/// The logs that are followed, by the names of their devices.
#[derive(Default)]
pub(super) struct Logs {
    followed: BTreeMap<String, Followed>,
    last_number: u32,
}

struct Followed {
    task: Option<Task>,
    state: DeviceLogState,
    level: Option<String>,
    /// Somebody looks.
    shown: Option<Shown>,
    recording: Option<UnderWay>,
    /// What was recorded is being stored, or that it was isn't stored yet.
    keeping: bool,
}

impl Default for Followed {
    fn default() -> Self {
        Self {
            task: None,
            state: DeviceLogState::Connecting,
            level: None,
            shown: None,
            recording: None,
            keeping: false,
        }
    }
}

struct Task {
    number: u32,
    cancel: CancellationToken,
    evidence: Arc<Notify>,
    source: watch::Sender<LogSource>,
}

/// The end of a log that somebody looks at.
struct Shown {
    asked_at: Instant,
    first_line: u32,
    lines: VecDeque<String>,
    bytes: usize,
}

impl Shown {
    fn new() -> Self {
        Self { asked_at: Instant::now(), first_line: 0, lines: VecDeque::new(), bytes: 0 }
    }

    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > LINES_SHOWN || self.bytes > BYTES_SHOWN {
            let Some(gone) = self.lines.pop_front() else { return };
            self.bytes -= gone.len();
            self.first_line = self.first_line.wrapping_add(1);
        }
    }

    /// What comes from this line on, as much as is told at once. A number that isn't there yet is of an earlier look:
    /// all is told then.
    fn from(&self, line: u32) -> (u32, Vec<String>) {
        let skipped = usize::try_from(line.saturating_sub(self.first_line)).unwrap_or(usize::MAX);
        let skipped = if skipped > self.lines.len() { 0 } else { skipped };
        let mut room = BYTES_AT_ONCE;
        let lines = self.lines.iter().skip(skipped).take(LINES_AT_ONCE).take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        });
        let lines = lines.cloned().collect();
        (self.first_line.wrapping_add(u32::try_from(skipped).unwrap_or(u32::MAX)), lines)
    }
}

/// A recording as it grows.
struct UnderWay {
    at: Timestamp,
    lines: Vec<String>,
    bytes: usize,
}

impl UnderWay {
    /// Takes a line, if there is room.
    fn push(&mut self, line: &str) -> bool {
        let room = self.lines.len() < LINES_RECORDED && self.bytes + line.len() <= BYTES_RECORDED;
        if room {
            self.bytes += line.len();
            self.lines.push(line.to_owned());
        }
        room
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now < self.at || now.since(self.at) > LONGEST_RECORDING
    }
}

impl Runtime {
    /// Somebody looks at the log of a device.
    pub(super) fn device_log(&mut self, device: &DeviceId, from: u32, reply: ReplyTo<DeviceLog>) {
        let told = self.look_at_log(device, from);
        // Whoever asked may have gone.
        drop(reply.send(told));
    }

    fn look_at_log(&mut self, device: &DeviceId, from: u32) -> Result<DeviceLog, Problem> {
        let name = self.conductor.state().log_name(device)?;
        let others = self.logs.followed.iter().filter(|(other, _)| **other != name);
        if others.filter(|(_, followed)| followed.shown.is_some()).count() >= MOST_LOOKED_AT {
            return Err(Problem::new(
                "log.too_many",
                format!("The logs of {MOST_LOOKED_AT} devices are being looked at already."),
            )
            .with_help("Close one of them. Its place is free ten seconds later."));
        }
        let followed = self.logs.followed.entry(name.clone()).or_default();
        followed.shown.get_or_insert_with(Shown::new).asked_at = Instant::now();
        self.follow_logs();
        let followed = self.logs.followed.entry(name).or_default();
        let shown = followed.shown.get_or_insert_with(Shown::new);
        let (first_line, lines) = shown.from(from);
        let (state, level) = (followed.state.clone(), followed.level.clone());
        Ok(DeviceLog { state, first_line, lines, level })
    }

    /// The recordings of a device.
    pub(super) fn log_recordings(&mut self, device: &DeviceId, reply: ReplyTo<Vec<LogRecording>>) {
        self.read_recordings(device, reply, |dir, name| recordings::list(&dir, &name));
    }

    /// The lines of one of them.
    pub(super) fn log_recording(
        &mut self,
        device: &DeviceId,
        at: Timestamp,
        reply: ReplyTo<Vec<String>>,
    ) {
        self.read_recordings(device, reply, move |dir, name| {
            recordings::read(&dir, &name, at)?.ok_or_else(|| anyhow::anyhow!("it is gone"))
        });
    }

    fn read_recordings<T: Send + 'static>(
        &mut self,
        device: &DeviceId,
        reply: ReplyTo<T>,
        read: impl FnOnce(PathBuf, String) -> anyhow::Result<T> + Send + 'static,
    ) {
        let name = match self.conductor.state().log_name(device) {
            Ok(name) => name,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let dir = self.options.state_dir.clone();
        self.spawn(async move {
            let read = tokio::task::spawn_blocking(move || read(dir, name)).await;
            let read = read.map_err(anyhow::Error::from).flatten();
            drop(reply.send(read.map_err(|error| unreadable(&error))));
            None
        });
    }

    /// Whoever hasn't asked for long doesn't look any more; and no recording is endless.
    pub(super) fn look_after_logs(&mut self) {
        let now = now();
        let mut over = Vec::new();
        for (name, followed) in &mut self.logs.followed {
            followed.shown.take_if(|shown| shown.asked_at.elapsed() > LOOK);
            if followed.recording.as_ref().is_some_and(|recording| recording.is_over(now)) {
                over.push(name.clone());
            }
        }
        for name in over {
            self.end_recording(&name, RecordingEnd::Full);
        }
        self.follow_logs();
    }

    /// There is evidence that a device is awake.
    pub(super) fn log_evidence(&self, name: &str) {
        if let Some(task) = self.logs.followed.get(name).and_then(|it| it.task.as_ref()) {
            task.evidence.notify_one();
        }
    }

    /// Follows the logs that are wanted now, and no others.
    pub(super) fn follow_logs(&mut self) {
        let now = now();
        let wanted: BTreeSet<String> =
            self.conductor.state().logs_to_record(now).into_iter().collect();
        let known = self.logs.followed.keys().cloned();
        let names: BTreeSet<String> = known.chain(wanted.iter().cloned()).collect();
        for name in names {
            let state = self.conductor.state();
            let (waits, wished) = (state.log_has_to_wait(&name, now), state.has_log_wish(&name));
            if waits {
                self.end_recording(&name, RecordingEnd::Update);
            }
            let followed = self.logs.followed.entry(name.clone()).or_default();
            if !wished {
                // It is stored, or was taken back.
                (followed.recording, followed.keeping) = (None, false);
            }
            let records =
                followed.recording.is_some() || (wanted.contains(&name) && !followed.keeping);
            let of_use = followed.shown.is_some() || records;
            if of_use && !waits {
                self.follow_log(&name);
            } else {
                if let Some(task) = followed.task.take() {
                    task.cancel.cancel();
                }
                followed.state = if waits {
                    DeviceLogState::Waiting { problem: flash_first() }
                } else {
                    DeviceLogState::Connecting
                };
                if followed.shown.is_none() && !followed.keeping {
                    self.logs.followed.remove(&name);
                }
            }
        }
    }

    /// Has the log of one device followed, where and by whom it can be had now.
    fn follow_log(&mut self, name: &str) {
        let source = self.conductor.state().log_source(name);
        let compiled = self.compiled_of(name);
        let followed = self.logs.followed.entry(name.to_owned()).or_default();
        if let Some(task) = &followed.task {
            task.source.send_if_modified(|known| {
                let differs = *known != source;
                if differs {
                    *known = source;
                }
                differs
            });
            return;
        }
        self.logs.last_number = self.logs.last_number.wrapping_add(1);
        let number = self.logs.last_number;
        let (cancel, evidence) = (self.cancel.child_token(), Arc::new(Notify::new()));
        let (source, sources) = watch::channel(source);
        followed.state = DeviceLogState::Connecting;
        followed.task =
            Some(Task { number, cancel: cancel.clone(), evidence: Arc::clone(&evidence), source });
        let (name, reports) = (name.to_owned(), self.reports.clone());
        let died = Report::DeviceLog { name: name.clone(), number, news: News::Died };
        let follower =
            Follower { name, number, source: sources, compiled, evidence, cancel, reports };
        self.spawn_guarded(died, async move {
            follower.run().await;
            None
        });
    }

    /// What ESPHome has compiled last of the configuration of a device.
    fn compiled_of(&self, name: &str) -> Option<PathBuf> {
        let state = self.conductor.state();
        let dir = state.settings().config_dir.as_deref().map(PathBuf::from)?;
        Some(storage_path(&dir, state.file_of_name(name)?.as_str(), "validated.json"))
    }

    /// What the task of a device has to say.
    pub(super) fn log_news(&mut self, name: &str, number: u32, news: News) {
        let Some(followed) = self.logs.followed.get_mut(name) else { return };
        if followed.task.as_ref().is_none_or(|task| task.number != number) {
            return;
        }
        match news {
            News::Level(level) => followed.level = level,
            News::Heard(Heard::Says(sighting)) => self.heard(Input::Sighted(sighting)),
            News::Heard(Heard::Live) => self.log_is_live(name),
            News::Heard(Heard::Lines(lines)) => self.log_says(name, lines),
            News::Ended(tried) => {
                let sleeps = self.conductor.state().log_source(name).sleeps;
                followed.state = DeviceLogState::Waiting { problem: words(&tried, sleeps) };
                self.end_recording(name, end_of(&tried));
            }
            News::Died => {
                followed.task = None;
                self.end_recording(name, RecordingEnd::Lost);
            }
        }
    }

    fn log_is_live(&mut self, name: &str) {
        let at = now();
        let wanted = self.conductor.state().logs_to_record(at).iter().any(|it| it == name);
        let Some(followed) = self.logs.followed.get_mut(name) else { return };
        followed.state = DeviceLogState::Live { since: at };
        if wanted && !followed.keeping {
            followed.recording = Some(UnderWay { at, lines: Vec::new(), bytes: 0 });
        }
    }

    fn log_says(&mut self, name: &str, lines: Vec<String>) {
        let Some(followed) = self.logs.followed.get_mut(name) else { return };
        let mut full = false;
        if let Some(recording) = &mut followed.recording {
            full = !lines.iter().all(|line| recording.push(line));
        }
        if let Some(shown) = &mut followed.shown {
            lines.into_iter().for_each(|line| shown.push(line));
        }
        if full {
            self.end_recording(name, RecordingEnd::Full);
        }
    }

    /// Keeps what was recorded. Nothing was said: the wake that is wanted is still to come.
    fn end_recording(&mut self, name: &str, end: RecordingEnd) {
        let Some(followed) = self.logs.followed.get_mut(name) else { return };
        let Some(recording) = followed.recording.take_if(|it| !it.lines.is_empty()) else {
            followed.recording = None;
            return;
        };
        followed.keeping = true;
        let (at, ended) = (recording.at, now());
        let seconds = u32::try_from(ended.since(at).as_secs()).unwrap_or(u32::MAX);
        let wake_at = self.conductor.state().last_wake_at(name);
        let (name, lines) = (name.to_owned(), recording.lines);
        let kept = Recording { name: name.clone(), at, wake_at, seconds, end, lines };
        let dir = self.options.state_dir.clone();
        let died = Report::LogKept { name: name.clone(), result: Err(anyhow::anyhow!("a defect")) };
        self.spawn_guarded(died, async move {
            let keeping = tokio::task::spawn_blocking(move || recordings::keep(&dir, &kept)).await;
            let result = keeping.map_err(anyhow::Error::from).flatten();
            Some(Report::LogKept { name, result })
        });
    }

    /// A recording is on the disk, or can't be.
    pub(super) fn log_kept(&mut self, name: String, result: anyhow::Result<()>) {
        match result {
            Ok(()) => self.happened(Input::LogRecorded { name }),
            Err(error) => {
                tracing::error!("the recorded log of {name} can't be kept: {error:#}");
                self.publisher.warn_of_store(not_kept(&name, &error));
                if let Some(followed) = self.logs.followed.get_mut(&name) {
                    followed.keeping = false;
                }
            }
        }
    }
}

fn end_of(tried: &Tried) -> RecordingEnd {
    match tried {
        Tried::Of(End::Slept) => RecordingEnd::Slept,
        Tried::NoAddress
        | Tried::Unreachable
        | Tried::Refused { .. }
        | Tried::Of(
            End::Left | End::Stranger | End::NeedsKey | End::OtherKey | End::Full | End::Lost(_),
        ) => RecordingEnd::Lost,
    }
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
