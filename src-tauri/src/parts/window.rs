//! The window, as the application sees it: a process of its own that is started when it is asked for. One task
//! keeps it; docs/ARCHITECTURE.md has its states.

mod answers;
mod course;
mod page;
mod process;
mod quit;

use std::ffi::OsString;

use tauri::{AppHandle, Manager};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use wakeflash_core::notification::NoWindow;
use wakeflash_engine::handle::{Asked, Handle};

use crate::means::paths::Paths;
use crate::means::tasks::Tasks;
use crate::messages::state::AppState;
use crate::messages::window::{Message, Wish};
use crate::messages::wire::ToWindow;
use course::{After, Course, Wanted};
use page::Page;
use process::{Ended, Process, Said};

/// A window's process that was started before there was anybody to keep it.
/// `None`: it couldn't be started.
pub(crate) struct Early(Option<process::Started>);

impl Early {
    /// Starts it, so that its window and the engine get ready at the same time.
    pub(crate) fn start(paths: &Paths) -> Self {
        let runtime = tauri::async_runtime::handle();
        let _inside = runtime.inner().enter();
        Self(process::start(paths, &launch()))
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

/// Keeps the window.
pub(crate) struct Keeper {
    app: AppHandle,
    tasks: Tasks,
    page: Page,
    process: Option<Process>,
    course: Course,
    looks: watch::Sender<bool>,
}

impl Keeper {
    /// Follows wishes until the application ends.
    pub(crate) async fn run(
        app: AppHandle,
        tasks: Tasks,
        wishes: mpsc::Receiver<Wish>,
        early: Option<Early>,
    ) {
        let (page, process, course) = (Page::default(), None, Course::default());
        let (looks, looking) = watch::channel(false);
        if let Ok(engine) = app.state::<AppState>().engine() {
            tasks.spawn(tell_who_looks(engine.clone(), looking));
        }
        let mut keeper = Self { app, tasks, page, process, course, looks };
        if let Some(Early(started)) = early {
            keeper.opened(started);
        }
        keeper.follow(wishes).await;
    }

    async fn follow(&mut self, mut wishes: mpsc::Receiver<Wish>) {
        loop {
            let stuck = self.course.deadline();
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
                    Some(Wish::Quit) => self.quit(),
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
                    Happened::Ended(ended) => self.ended(ended),
                },
                () = stuck => self.kill(),
            }
        }
    }

    fn show(&mut self) {
        match (self.course.wanted(Instant::now()), &mut self.process) {
            (Wanted::Show, Some(process)) => process.tell(ToWindow::Show),
            (Wanted::Replace, Some(process)) => process.kill(),
            (Wanted::Start, _) | (_, None) => self.open(),
        }
    }

    fn tell(&mut self, message: Message) {
        // Before a window is opened for it: what can't be shown is forgotten.
        let message = self.page.tell(message);
        self.show();
        if let (Some(message), Some(process)) = (message, &self.process) {
            process.tell(message.into());
        }
    }

    /// A window or an engine that doesn't answer must not keep the application alive: the second wish ends it.
    fn quit(&mut self) {
        match self.app.state::<AppState>().engine() {
            Ok(engine) if self.page.quits() => {
                self.tasks.spawn(quit::weigh(self.app.clone(), engine.clone()));
            }
            Ok(_) | Err(_) => self.app.exit(0),
        }
    }

    fn open(&mut self) {
        let started = process::start(&self.app.state::<AppState>().paths, &[]);
        self.opened(started);
    }

    fn opened(&mut self, started: Option<process::Started>) {
        let Some(started) = started else { return self.give_up(NoWindow::NotStarted) };
        self.course.started(Instant::now());
        self.process = Some(Process::new(started, &self.app, &self.tasks));
        self.looks.send_replace(true);
    }

    fn said(&mut self, said: Said) {
        let now = Instant::now();
        match said {
            Said::Shown => {
                self.course.shown(now);
                self.page.heard();
            }
            Said::Listens => {
                self.course.listens(now);
                for message in self.page.listens() {
                    if let Some(process) = &self.process {
                        process.tell(message.into());
                    }
                }
            }
            Said::Asks(answer) => {
                if answer.send(self.page.is_listening()).is_err() {
                    tracing::debug!("nobody waits any more to hear whether the page listens");
                }
            }
            Said::Stays => self.page.answered(),
            Said::Closes => self.course.closes(now),
            Said::Stuck => self.kill(),
            Said::NothingMore => self.course.silent(now),
        }
    }

    fn kill(&mut self) {
        tracing::error!("the window is stuck; its process is ended");
        self.course.killed(Instant::now());
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    fn ended(&mut self, ended: Ended) {
        if let Some(process) = self.process.take() {
            // Its web view may hold its pipes for a while; the next window doesn't wait for that.
            self.tasks.spawn(process.last_words());
        }
        self.page.gone();
        self.looks.send_replace(false);
        match self.course.ended(ended, Instant::now()) {
            After::Nothing => {
                self.page.forget();
                self.without_window();
            }
            After::Anew => self.open(),
            After::Again => {
                tracing::warn!("the window is opened again");
                self.open();
            }
            After::GiveUp => {
                tracing::error!("the window ended badly twice");
                self.give_up(NoWindow::Crashed);
            }
        }
    }

    /// There is no window, though one was asked for.
    fn give_up(&mut self, why: NoWindow) {
        self.page.forget();
        self.without_window();
        if self.app.state::<AppState>().engine().is_ok() {
            self.tasks.spawn(say_no_window(self.app.clone(), why));
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

/// Says that there is no window. An application that can't be seen at all ends.
async fn say_no_window(app: AppHandle, why: NoWindow) {
    let state = app.state::<AppState>();
    if state.notifier.no_window(why).await {
        return;
    }
    let what = match why {
        NoWindow::NotStarted => "the window can't be opened",
        NoWindow::Crashed => "the window crashed or hung twice in a short time",
    };
    if state.tray_visible() {
        tracing::error!(
            "{what}; updates go on, and the tray's menu or another start of Wakeflash opens it"
        );
    } else {
        tracing::error!(
            "{what}, and neither a tray nor notifications show Wakeflash: it ends; its updates stay in the queue and \
             go on when it is started again"
        );
        app.exit(1);
    }
}

/// Tells the engine whether there is a window to look at: only then it verifies who is online.
async fn tell_who_looks(engine: Handle, mut looking: watch::Receiver<bool>) {
    while looking.changed().await.is_ok() {
        let on = *looking.borrow_and_update();
        if let Err(problem) = engine.ask(|reply| Asked::SetWatching { on, reply }).await {
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
