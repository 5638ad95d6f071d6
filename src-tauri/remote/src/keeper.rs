//! Keeps the connection to an engine elsewhere, and answers for it: with what it says, or with what was known.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use wakeflash_core::error::Problem;
use wakeflash_core::notification::Meanwhile;
use wakeflash_core::request::{EngineRequest, PROTOCOL};
use wakeflash_core::settings::{Settings, SettingsChange};
use wakeflash_core::time::Timestamp;
use wakeflash_core::view::{Away, Notification, Snapshot};
use wakeflash_engine::handle::{Asked, Back, Handle, Shell, json};
use wakeflash_engine::watch::Stirred;

use crate::course::{Course, Input, Step};
use crate::failure;
use crate::known::{Applied, Known};
use crate::place::{Destination, Places};
use crate::ssh::Ssh;
use crate::talk::{Heard, TO_THERE, Talk};

/// How many requests may wait to be looked at.
const WAITING: usize = 64;
/// How many events whoever looks may be behind.
const EVENTS: usize = 1_024;
/// How often this computer is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a sign of life may take.
const PROBE: Duration = Duration::from_secs(10);
/// How long a name or a reason in a notification may be.
const WORDS: usize = 500;

/// Who is told what happens elsewhere.
pub trait Watcher: Shell {
    /// There is a connection again, and this is what happened meanwhile.
    fn meanwhile(&self, what: Meanwhile);
}

/// An engine elsewhere.
pub struct Remote {
    /// As that of an engine here.
    pub handle: Handle,
    /// Whoever doesn't want to wait for the next attempt says so here.
    pub hurry: Arc<Notify>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Remote {
    /// Connects, and does so again whenever that ends. `dir`: where [`Places`] are kept.
    #[must_use]
    pub fn start(
        ssh: Ssh,
        place: Destination,
        places: Places,
        dir: PathBuf,
        watcher: Arc<dyn Watcher>,
    ) -> Self {
        let (ask, requests) = mpsc::channel(WAITING);
        let events = broadcast::channel(EVENTS).0;
        let (hurry, cancel) = (Arc::new(Notify::new()), CancellationToken::new());
        let known = Known::nothing(place.to_string(), places.screen);
        let keeper = Keeper {
            talk: Some(Talk::begin(&ssh, &place)),
            ssh,
            place,
            dir,
            watcher,
            known,
            course: Course::begin(),
            began: Instant::now(),
            asked: 0,
            open: BTreeMap::new(),
            own: None,
            watching: false,
            events: events.clone(),
        };
        let task = tokio::spawn(keeper.run(requests, Arc::clone(&hurry), cancel.clone()));
        Self { handle: Handle::new(ask, events), hurry, cancel, task }
    }

    /// Ends the connection. What works elsewhere goes on.
    pub async fn shutdown(self) {
        self.cancel.cancel();
        if let Err(error) = self.task.await {
            tracing::error!("the connection ended badly: {error}");
        }
    }
}

/// A request that waits for its answer.
struct Open {
    until: Instant,
    back: Back,
}

/// A request of the keeper itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    /// For everything: an event is missing.
    Everything(u64),
    /// For a sign of life.
    Life(u64, Instant),
}

struct Keeper {
    ssh: Ssh,
    place: Destination,
    dir: PathBuf,
    watcher: Arc<dyn Watcher>,
    known: Known,
    course: Course,
    talk: Option<Talk>,
    began: Instant,
    /// The number of the last request.
    asked: u64,
    open: BTreeMap<u64, Open>,
    own: Option<Own>,
    /// Somebody looks at the list.
    watching: bool,
    events: broadcast::Sender<wakeflash_core::view::Envelope>,
}

impl Keeper {
    async fn run(
        mut self,
        mut requests: mpsc::Receiver<Asked>,
        hurry: Arc<Notify>,
        cancel: CancellationToken,
    ) {
        let mut stirred = Stirred::now();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.course.due().map(|due| self.began + due);
            let due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                asked = requests.recv() => match asked {
                    Some(asked) => self.take(asked),
                    None => return,
                },
                heard = next(&mut self.talk) => self.hear(heard),
                () = due => self.input(Input::Time),
                () = hurry.notified() => self.input(Input::Stirred),
                _ = look.tick() => {
                    if stirred.again() {
                        self.input(Input::Stirred);
                    }
                    self.expire(Instant::now());
                }
            }
        }
    }

    fn input(&mut self, input: Input) {
        match self.course.take(input, self.began.elapsed()) {
            Step::Nothing => {}
            Step::Connect => self.talk = Some(Talk::begin(&self.ssh, &self.place)),
            Step::Probe if self.own.is_none() && self.open.is_empty() => {
                let life = self.send(&EngineRequest::Hello { protocol: PROTOCOL });
                self.own = life.ok().map(|id| Own::Life(id, Instant::now() + PROBE));
            }
            // Something is being answered: that is a sign of life, or none.
            Step::Probe => {}
        }
    }

    fn take(&mut self, asked: Asked) {
        if let Asked::Snapshot { reply } = asked {
            if reply.send(Ok(self.known.shown())).is_err() {
                tracing::debug!("nobody waits for what is known any more");
            }
            return;
        }
        let (request, back) = asked.into_data();
        if let EngineRequest::ChangeSettings { change } = request {
            return self.change(change, back);
        }
        // It works there for others who look, too.
        let mut here = request == EngineRequest::Shutdown {};
        if let EngineRequest::SetWatching { on } = request {
            self.watching = on;
            here = !matches!(self.course, Course::Open);
        }
        if let EngineRequest::BuiltImage { .. } = request {
            // Its answer is a path, which would be taken for one of this computer.
            return back(Err(failure::not_here(self.place.as_str())));
        }
        if here { back(json(&())) } else { self.forward(&request, back) }
    }

    /// What belongs to the screen is kept here, the rest is the engine's.
    fn change(&mut self, change: SettingsChange, back: Back) {
        let (screen, rest) = change.divided();
        if !screen.is_empty() {
            let all = self.known.screen.clone().and(screen);
            let kept = Places::read(&self.dir).and_then(|mut places| {
                places.screen = all.clone();
                places.write(&self.dir)
            });
            if let Err(problem) = kept {
                return back(Err(problem));
            }
            self.known.screen = all;
            let told = self.known.screen_changed();
            self.tell(told);
        }
        if rest.is_empty() {
            return back(json(&self.known.shown().settings));
        }
        let screen = self.known.screen.clone();
        let back: Back = Box::new(move |answer: Result<Box<RawValue>, Problem>| {
            // One that can't be read is said to be that by who reads it.
            let both = |json: &RawValue| {
                let theirs: Settings = serde_json::from_str(json.get()).ok()?;
                serde_json::value::to_raw_value(&screen.applied_to(&theirs).ok()?).ok()
            };
            back(answer.map(|json| both(&json).unwrap_or(json)));
        });
        self.forward(&EngineRequest::ChangeSettings { change: rest }, back);
    }

    fn forward(&mut self, request: &EngineRequest, back: Back) {
        if self.course != Course::Open {
            return back(Err(failure::away(&self.place)));
        }
        match self.send(request) {
            Ok(id) => {
                self.open.insert(id, Open { until: Instant::now() + PATIENCE, back });
            }
            Err(problem) => back(Err(problem)),
        }
    }

    fn send(&mut self, request: &EngineRequest) -> Result<u64, Problem> {
        self.asked += 1;
        let unsent = |error: serde_json::Error| {
            tracing::error!("a request can't be written: {error}");
            failure::away(&self.place)
        };
        let mut command = serde_json::to_value(request).map_err(unsent)?;
        if let Some(fields) = command.as_object_mut() {
            fields.insert("id".to_owned(), self.asked.into());
        }
        let mut line = command.to_string().into_bytes();
        line.push(b'\n');
        if line.len() > TO_THERE {
            return Err(Problem::new("remote.request", "That is too much to be asked at once.")
                .with_help("Choose fewer devices."));
        }
        let said = self.talk.as_ref().is_some_and(|talk| talk.say(line));
        if said { Ok(self.asked) } else { Err(failure::silent(&self.place)) }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Opened(snapshot) => self.opened(*snapshot),
            Heard::Event(envelope) if self.course == Course::Open => {
                match self.known.apply(*envelope) {
                    Applied::Next(envelope) => self.tell(*envelope),
                    Applied::Old => {}
                    Applied::Gap => self.ask_for_everything(),
                }
            }
            // It is in the snapshot that is on its way.
            Heard::Event(_) => {}
            Heard::Answer(id, answer) => self.answered(id, answer),
            Heard::Notification(notification) => self.notify(*notification),
            Heard::Ended(problem) => self.ended(problem),
        }
    }

    fn opened(&mut self, snapshot: Snapshot) {
        self.input(Input::Opened);
        let before = self.known.shown();
        let was = self.known.place.away.take().and_then(|away| away.since);
        self.known.replace(snapshot);
        let told = self.known.all_changed();
        self.tell(told);
        tracing::info!("connected to {}", self.place);
        if was.is_some() {
            self.watcher.meanwhile(Meanwhile::between(&before, &self.known.shown()));
        }
        if self.watching {
            self.forward(&EngineRequest::SetWatching { on: true }, Box::new(drop));
        }
    }

    fn ask_for_everything(&mut self) {
        if let Some(Own::Everything(_)) = self.own {
            return;
        }
        self.own = self.send(&EngineRequest::Snapshot {}).ok().map(Own::Everything);
    }

    fn answered(&mut self, id: u64, answer: Result<Box<RawValue>, Problem>) {
        match self.own {
            Some(Own::Life(own, _)) if own == id => self.own = None,
            Some(Own::Everything(own)) if own == id => {
                self.own = None;
                let read = answer.ok().and_then(|json| serde_json::from_str(json.get()).ok());
                match read {
                    Some(snapshot) => {
                        self.known.replace(snapshot);
                        let told = self.known.all_changed();
                        self.tell(told);
                    }
                    None => self.break_off(failure::garbage(&self.place, "no snapshot")),
                }
            }
            Some(Own::Life(..) | Own::Everything(_)) | None => match self.open.remove(&id) {
                Some(open) => (open.back)(answer),
                None => tracing::warn!("an answer to request {id} is for nobody"),
            },
        }
    }

    fn notify(&self, mut told: Notification) {
        if !told.kind.is_wanted(self.known.shown().settings.notify) {
            return;
        }
        for words in [&mut told.name, &mut told.detail, &mut told.title, &mut told.body] {
            if let Some((end, _)) = words.char_indices().nth(WORDS) {
                words.truncate(end);
            }
        }
        self.watcher.notify(told);
    }

    /// Ends a connection that is there and of no use.
    fn break_off(&mut self, problem: Problem) {
        self.talk = None;
        self.ended(problem);
    }

    fn ended(&mut self, problem: Problem) {
        tracing::info!("no connection to {}: {problem} {:?}", self.place, problem.details);
        self.talk = None;
        self.own = None;
        for open in std::mem::take(&mut self.open).into_values() {
            (open.back)(Err(failure::unanswered(&self.place)));
        }
        let was = std::mem::take(&mut self.known.place.away);
        let since = match was {
            Some(away) => away.since,
            None => Some(now()),
        };
        self.known.place.away = Some(Away { since, problem: Some(problem) });
        self.input(Input::Ended);
        let told = self.known.all_changed();
        self.tell(told);
    }

    /// Whoever has waited for too long is told.
    fn expire(&mut self, now: Instant) {
        let late: Vec<u64> =
            self.open.iter().filter(|(_, open)| open.until <= now).map(|(id, _)| *id).collect();
        for open in late.iter().filter_map(|id| self.open.remove(id)).collect::<Vec<_>>() {
            (open.back)(Err(failure::unanswered(&self.place)));
        }
        if let Some(Own::Life(_, until)) = self.own
            && until <= now
        {
            self.break_off(failure::silent(&self.place));
        }
    }

    fn tell(&self, envelope: wakeflash_core::view::Envelope) {
        // Nobody may look.
        let _ = self.events.send(envelope);
    }
}

async fn next(talk: &mut Option<Talk>) -> Heard {
    match talk {
        Some(talk) => match talk.heard.recv().await {
            Some(heard) => heard,
            // It says its end; this one has no words left.
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

fn now() -> Timestamp {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
