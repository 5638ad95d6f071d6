//! The window, as the application sees it: a process of its own that is started when it is asked for. One task
//! keeps it; docs/ARCHITECTURE.md has its states.

mod answers;
mod process;

use std::ffi::OsString;
use std::time::Duration;

use tauri::{AppHandle, Manager};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use wakeflash_engine::handle::Handle;

use crate::page::{Message, Page};
use crate::paths::Paths;
use crate::state::AppState;
use crate::tasks::Tasks;
use crate::wire::ToWindow;
use process::{Ended, Process, Said};

/// How long a window may take to be there the first time: the machine may be busy.
const OPENING: Duration = Duration::from_secs(60);
/// How long it may take to come to the front.
const SHOWING: Duration = Duration::from_secs(20);
/// How long a process may live on that neither listens nor talks any more.
const LEAVING: Duration = Duration::from_secs(5);
/// How many wishes may wait; each is dealt with in no time.
const WISHES: usize = 64;

/// What is wanted of the window.
#[derive(Debug)]
enum Wish {
    Show,
    Tell(Message),
    /// The application ends; told when the window's process has.
    End(oneshot::Sender<()>),
}

/// The window.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    wishes: mpsc::Sender<Wish>,
}

impl Window {
    /// The window, and the wishes that its [`Keeper`] follows.
    #[must_use]
    pub(crate) fn new() -> (Self, Wishes) {
        let (wishes, wanted) = mpsc::channel(WISHES);
        (Self { wishes }, Wishes(wanted))
    }

    /// Shows it, in front of others, whether it exists or not.
    pub(crate) fn show(&self) {
        self.wish(Wish::Show);
    }

    /// Shows it and tells its page something, as soon as that listens.
    pub(crate) fn tell(&self, message: Message) {
        self.wish(Wish::Tell(message));
    }

    /// Closes it and ends its process.
    pub(crate) async fn end(&self) {
        let (ended, end) = oneshot::channel();
        // Either way its keeper is gone then, and the process with it.
        if self.wishes.send(Wish::End(ended)).await.is_ok() && end.await.is_err() {
            tracing::debug!("the window's keeper ended before");
        }
    }

    fn wish(&self, wish: Wish) {
        if let Err(error) = self.wishes.try_send(wish) {
            tracing::error!("the window can't be shown: {error}");
        }
    }
}

/// What a [`Keeper`] follows.
pub(crate) struct Wishes(mpsc::Receiver<Wish>);

/// A window's process that was started before there was anybody to keep it.
pub(crate) struct Early(process::Started);

impl Early {
    /// Starts it, so that its window and the engine get ready at the same time.
    pub(crate) fn start(paths: &Paths) -> Option<Self> {
        let runtime = tauri::async_runtime::handle();
        let _inside = runtime.inner().enter();
        process::start(paths, &launch()).map(Self)
    }
}

/// What the desktop gave this start, so that it gives the focus to the window and stops to say that something starts.
/// GTK takes it out of the environment before `main`; the kernel keeps what the process began with.
fn launch() -> Vec<(OsString, OsString)> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStringExt;
        const NAMES: [&str; 2] = ["DESKTOP_STARTUP_ID", "XDG_ACTIVATION_TOKEN"];
        let variables = std::fs::read("/proc/self/environ").unwrap_or_default();
        let variables = variables.split(|byte| *byte == 0).filter_map(|variable| {
            let at = variable.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (variable.get(..at)?, variable.get(at + 1..)?);
            let wanted = NAMES.iter().any(|wanted| wanted.as_bytes() == name);
            let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            wanted.then(|| (own(name), own(value)))
        });
        variables.collect()
    }
    #[cfg(not(target_os = "linux"))]
    Vec::new()
}

/// What the keeper does when a window's process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Nothing,
    Anew,
    Again,
    GiveUp,
}

/// `asked`: the user asked for a window, and it hasn't come to the front since: it was about to end. `again`: it was
/// opened again by itself before, since the user asked for it.
fn after(ended: Ended, asked: bool, again: bool) -> After {
    match ended {
        Ended::InOrder if asked => After::Anew,
        Ended::InOrder => After::Nothing,
        Ended::Crashed if again => After::GiveUp,
        Ended::Crashed => After::Again,
    }
}

/// Keeps the window.
pub(crate) struct Keeper {
    app: AppHandle,
    tasks: Tasks,
    page: Page,
    process: Option<Process>,
    /// When the process is taken for stuck.
    deadline: Option<Instant>,
    asked: bool,
    again: bool,
    looks: watch::Sender<bool>,
}

impl Keeper {
    /// Follows wishes until the application ends.
    pub(crate) async fn run(app: AppHandle, tasks: Tasks, wishes: Wishes, early: Option<Early>) {
        let page = Page::default();
        let (process, deadline, asked, again) = (None, None, false, false);
        let (looks, looking) = watch::channel(false);
        if let Ok(engine) = app.state::<AppState>().engine() {
            tasks.spawn(tell_who_looks(engine.clone(), looking));
        }
        let mut keeper = Self { app, tasks, page, process, deadline, asked, again, looks };
        if let Some(Early(started)) = early {
            keeper.adopt(started);
        }
        keeper.follow(wishes.0).await;
    }

    async fn follow(&mut self, mut wishes: mpsc::Receiver<Wish>) {
        loop {
            let stuck = self.deadline;
            let stuck = async {
                match stuck {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                wish = wishes.recv() => match wish {
                    Some(Wish::Show) => self.show(),
                    Some(Wish::Tell(message)) => self.tell(message),
                    Some(Wish::End(done)) => {
                        self.end().await;
                        if done.send(()).is_err() {
                            tracing::debug!("nobody waits for the window's end");
                        }
                        return;
                    }
                    None => return self.end().await,
                },
                happened = next(&mut self.process) => match happened {
                    Happened::Said(said) => self.said(said),
                    Happened::Ended(ended) => self.ended(ended).await,
                },
                () = stuck => self.kill(),
            }
        }
    }

    fn show(&mut self) {
        self.again = false;
        match &self.process {
            Some(process) => {
                self.asked = true;
                process.tell(ToWindow::Show);
                self.deadline.get_or_insert_with(|| Instant::now() + SHOWING);
            }
            None => self.open(),
        }
    }

    fn tell(&mut self, message: Message) {
        self.show();
        if let (Some(message), Some(process)) = (self.page.tell(message), &self.process) {
            process.tell(message.into());
        }
    }

    fn open(&mut self) {
        match process::start(&self.app.state::<AppState>().paths, &[]) {
            Some(started) => self.adopt(started),
            None => self.without_window(),
        }
    }

    fn adopt(&mut self, started: process::Started) {
        self.deadline = Some(Instant::now() + OPENING);
        self.asked = false;
        self.process = Some(Process::new(started, &self.app, &self.tasks));
        self.looks.send_replace(true);
    }

    fn said(&mut self, said: Said) {
        match said {
            Said::Shown => {
                self.deadline = None;
                self.asked = false;
                self.page.heard();
            }
            Said::Listens => {
                if let (Some(message), Some(process)) = (self.page.listens(), &self.process) {
                    process.tell(message.into());
                }
            }
            Said::NothingMore => self.deadline = Some(Instant::now() + LEAVING),
        }
    }

    fn kill(&mut self) {
        tracing::error!("the window is stuck; its process is ended");
        self.deadline = None;
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    async fn ended(&mut self, ended: Ended) {
        if let Some(process) = self.process.take() {
            process.last_words().await;
        }
        self.deadline = None;
        self.page.gone();
        self.app.state::<AppState>().quit.settled();
        self.looks.send_replace(false);
        match after(ended, self.asked, self.again) {
            After::Nothing => {
                self.page.forget();
                self.without_window();
            }
            After::Anew => self.open(),
            After::Again => {
                tracing::warn!("the window is opened again");
                self.again = true;
                self.open();
            }
            After::GiveUp => {
                tracing::error!(
                    "the window ended badly twice; the tray's menu or another start of Wakeflash opens it"
                );
                self.without_window();
            }
        }
    }

    /// The application goes on, unless it has nothing to go on with.
    fn without_window(&self) {
        if self.app.state::<AppState>().engine().is_err() {
            self.app.exit(1);
        }
    }

    async fn end(&mut self) {
        if let Some(process) = self.process.take() {
            process.end().await;
        }
    }
}

/// Tells the engine whether there is a window to look at: only then it verifies who is online.
async fn tell_who_looks(engine: Handle, mut looking: watch::Receiver<bool>) {
    while looking.changed().await.is_ok() {
        let on = *looking.borrow_and_update();
        if let Err(problem) = engine.set_watching(on).await {
            tracing::debug!("the engine isn't told who looks: {problem}");
        }
    }
}

enum Happened {
    Said(Said),
    Ended(Ended),
}

async fn next(process: &mut Option<Process>) -> Happened {
    match process {
        Some(process) => process.next().await,
        None => std::future::pending().await,
    }
}

impl Process {
    async fn next(&mut self) -> Happened {
        tokio::select! {
            // What it said before its end counts.
            biased;
            said = self.said.recv(), if !self.silent => Happened::Said(said.unwrap_or_else(|| {
                self.silent = true;
                Said::NothingMore
            })),
            ended = process::ended(&mut self.child) => Happened::Ended(ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_crashes_comes_back_once() {
        for asked in [false, true] {
            assert_eq!(after(Ended::Crashed, asked, false), After::Again);
            assert_eq!(after(Ended::Crashed, asked, true), After::GiveUp);
        }
    }

    #[test]
    fn a_window_that_was_closed_comes_back_when_it_was_asked_for_meanwhile() {
        for again in [false, true] {
            assert_eq!(after(Ended::InOrder, false, again), After::Nothing);
            assert_eq!(after(Ended::InOrder, true, again), After::Anew);
        }
    }
}
