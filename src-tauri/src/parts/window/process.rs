//! The window's process and the pipes to it.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tauri::{AppHandle, Manager};
use tokio::io::{AsyncWrite, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use wakeflash_core::error::Problem;
use wakeflash_core::view::Envelope;
use wakeflash_engine::lines::{Line, read_line};

use super::answers;
use crate::means::paths::Paths;
use crate::means::program;
use crate::means::tasks::Tasks;
use crate::messages::state::AppState;
use crate::messages::wire::{self, ToWindow};

/// How long the window may read nothing while something is written for it.
const WRITING: Duration = Duration::from_secs(30);
/// How long it has to end when the application does.
const END: Duration = Duration::from_secs(3);
/// How long the rest of its words may take to be read when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How many messages may wait to be written.
const WAITING: usize = 64;
/// The longest line of its log, in bytes.
const LOG_LINE: usize = 16 << 10;
/// How many lines of libraries a process has in the log: some of them repeat one for each picture that is drawn.
const NOISE: u32 = 200;

/// What the window's process says to its keeper.
#[derive(Debug)]
pub(super) enum Said {
    /// It is there, in front of others.
    Shown,
    /// Its page has subscribed to its events.
    Listens,
    /// It wants to know whether its page listens.
    Asks(oneshot::Sender<bool>),
    /// The user answered that the application is to go on.
    Stays,
    /// The user closes it.
    Closes,
    /// It doesn't read.
    Stuck,
    /// It has closed its pipe.
    NothingMore,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was closed, by whomever.
    InOrder,
    /// By itself, without being asked.
    Crashed,
}

/// A process with its pipes.
pub(super) struct Started {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

/// A window's process, and the tasks that talk to it. All end when it is dropped.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) said: mpsc::Receiver<Said>,
    pub(super) silent: bool,
    messages: mpsc::Sender<ToWindow>,
    talks: JoinSet<()>,
}

/// Starts the process, with these variables in its environment beside the application's own. `None`: it can't be
/// started; the log says why.
pub(super) fn start(paths: &Paths, variables: &[(OsString, OsString)]) -> Option<Started> {
    let outcome =
        command(paths).and_then(|mut command| command.envs(variables.iter().cloned()).spawn());
    let mut child = match outcome {
        Ok(child) => child,
        Err(error) => {
            tracing::error!("the window's process can't be started: {error}");
            return None;
        }
    };
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Some(Started { child, stdin, stdout, stderr }),
        (_, _, _) => {
            tracing::error!("the window's process has no pipes");
            None
        }
    }
}

fn command(paths: &Paths) -> std::io::Result<Command> {
    let mut command = Command::new(program::running()?);
    command.args(["--window", "--state"]).arg(paths.state_dir());
    #[cfg(unix)]
    {
        // What the window is called by the desktop comes from it.
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name);
        }
        // Ctrl-C in a terminal is for the application, which ends its window.
        command.process_group(0);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

impl Process {
    /// Begins to talk to it.
    pub(super) fn new(started: Started, app: &AppHandle, tasks: &Tasks) -> Self {
        let Started { child, stdin, stdout, stderr } = started;
        let (messages, wanted) = mpsc::channel(WAITING);
        let (tell, said) = mpsc::channel(WAITING);
        let events = match app.state::<AppState>().engine() {
            Ok(engine) => Some(engine.subscribe()),
            Err(_) => None,
        };
        let (app, tasks, answers) = (app.clone(), tasks.clone(), messages.clone());
        let mut talks = JoinSet::new();
        let runtime = tauri::async_runtime::handle();
        let talk = async move {
            tokio::select! {
                () = write(stdin, wanted, events, &tell) => {}
                () = answers::take(stdout, &app, &tasks, &answers, &tell) => {}
            }
        };
        talks.spawn_on(talk, runtime.inner());
        talks.spawn_on(log(stderr), runtime.inner());
        Self { child, said, silent: false, messages, talks }
    }

    /// Says something to it.
    pub(super) fn tell(&self, message: ToWindow) {
        if let Err(error) = self.messages.try_send(message) {
            tracing::warn!("the window isn't told: {error}");
        }
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        if let Err(error) = self.child.start_kill() {
            tracing::error!("the window's process can't be killed: {error}");
        }
    }

    /// Lets the rest of what it said be read, after its end.
    pub(super) async fn last_words(mut self) {
        let read = async { while self.talks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, read).await.is_err() {
            tracing::debug!("somebody holds the pipes of the window's process");
        }
    }

    /// Ends it in good order: with its input it ends.
    pub(super) async fn end(mut self) {
        self.talks.abort_all();
        while self.talks.join_next().await.is_some() {}
        if tokio::time::timeout(END, self.child.wait()).await.is_ok() {
            return;
        }
        tracing::error!("the window doesn't end; its process is killed");
        if let Err(error) = self.child.kill().await {
            tracing::error!("the window's process can't be killed: {error}");
        }
    }
}

/// Waits for its end, and says how that was.
pub(super) async fn ended(child: &mut Child) -> Ended {
    match child.wait().await {
        Ok(status) if in_order(status) => Ended::InOrder,
        Ok(status) => {
            tracing::error!("the window's process ended badly: {status}");
            Ended::Crashed
        }
        Err(error) => {
            tracing::error!("the end of the window's process isn't known: {error}");
            Ended::Crashed
        }
    }
}

/// A signal that asks for an end is as good as a click: at the end of a session everybody gets one.
fn in_order(status: ExitStatus) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        use tokio::signal::unix::SignalKind;
        let asking = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        if asking.iter().any(|signal| status.signal() == Some(signal.as_raw_value())) {
            return true;
        }
    }
    status.success()
}

/// Writes messages and events, until the window closes its pipe. Of the events those are lost for which it is too slow;
/// it finds the gap in the revisions and asks for everything again.
async fn write(
    mut stdin: impl AsyncWrite + Unpin,
    mut messages: mpsc::Receiver<ToWindow>,
    mut events: Option<broadcast::Receiver<Envelope>>,
    tell: &mpsc::Sender<Said>,
) {
    loop {
        let message = tokio::select! {
            biased;
            message = messages.recv() => match message {
                Some(message) => message,
                None => return,
            },
            event = next(&mut events) => event,
        };
        let line = match line(&message, wire::TO_WINDOW) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!("the window isn't told: {error}");
                continue;
            }
        };
        match tokio::time::timeout(WRITING, stdin.write_all(&line)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::debug!("the window doesn't listen: {error}"),
            Err(_) => {
                tracing::error!("the window doesn't read");
                // One that reads again would take the end of its input for a wish to close.
                if tell.send(Said::Stuck).await.is_ok() {
                    std::future::pending::<()>().await;
                }
                return;
            }
        }
    }
}

/// A message as a line. Who asked for what is too long gets an answer all the same.
fn line(message: &ToWindow, limit: usize) -> Result<Vec<u8>, String> {
    wire::line(message, limit).or_else(|error| {
        let ToWindow::Answer { id, .. } = message else { return Err(error) };
        tracing::error!("the answer to request {id} can't be sent: {error}");
        let problem = Problem::new(
            "window.too_long",
            "That is too much to be shown in the window.",
        )
        .with_help(
            "A log can be saved as a file. Otherwise keep your devices in several directories.",
        );
        wire::line(&ToWindow::Answer { id: *id, answer: Err(problem) }, limit)
    })
}

async fn next(events: &mut Option<broadcast::Receiver<Envelope>>) -> ToWindow {
    while let Some(open) = events {
        match open.recv().await {
            Ok(envelope) => return ToWindow::Event(Box::new(envelope)),
            Err(RecvError::Lagged(lost)) => {
                tracing::warn!("the window is too slow for {lost} events");
            }
            Err(RecvError::Closed) => *events = None,
        }
    }
    std::future::pending().await
}

/// Takes what it prints into the log: its own lines begin with their level, others are of libraries.
async fn log(stderr: ChildStderr) {
    let (mut input, mut line) = (BufReader::new(stderr), Vec::new());
    let mut noise = Noise::default();
    loop {
        match read_line(&mut input, &mut line, LOG_LINE).await {
            Ok(Some(Line::Whole | Line::TooLong)) => {}
            Ok(None) => return,
            Err(error) => return tracing::debug!("the window's log can't be read: {error}"),
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        match text.split_once(' ').unwrap_or((text, "")) {
            ("ERROR", said) => tracing::error!("window: {said}"),
            ("WARN", said) => tracing::warn!("window: {said}"),
            ("INFO", said) => tracing::info!("window: {said}"),
            ("DEBUG", said) => tracing::debug!("window: {said}"),
            ("TRACE", said) => tracing::trace!("window: {said}"),
            ("", _) => {}
            (_, _) if noise.fits() => tracing::warn!("window: {text}"),
            (_, _) => {}
        }
    }
}

/// The lines of libraries. When it is dropped, the log says how many were left out.
#[derive(Default)]
struct Noise(u32);

impl Noise {
    /// Whether one more is for the log.
    fn fits(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0 <= NOISE
    }

    fn left_out(&self) -> u32 {
        self.0.saturating_sub(NOISE)
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        if self.left_out() > 0 {
            tracing::warn!("window: {} more lines of libraries were left out", self.left_out());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[test]
    fn libraries_that_do_not_stop_to_write_are_left_out() {
        let mut noise = Noise::default();
        assert!((0..NOISE).all(|_| noise.fits()));
        assert_eq!(noise.left_out(), 0);
        assert!((0..5).all(|_| !noise.fits()));
        assert_eq!(noise.left_out(), 5);
    }

    #[test]
    fn an_answer_that_is_too_long_is_answered_in_words() {
        let answer = serde_json::value::to_raw_value(&"x".repeat(1_000)).unwrap();
        let line = line(&ToWindow::Answer { id: 7, answer: Ok(answer) }, 500).unwrap();
        let ToWindow::Answer { id: 7, answer: Err(problem) } =
            serde_json::from_slice(&line).unwrap()
        else {
            panic!("it is another one")
        };
        assert_eq!(problem.code, "window.too_long");
        assert!(super::line(&ToWindow::Show, 3).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_that_does_not_read_is_not_told_to_end() {
        let (stdin, mut window) = tokio::io::duplex(4);
        let (tell, mut said) = mpsc::channel(1);
        let (messages, wanted) = mpsc::channel(1);
        messages.send(ToWindow::Show).await.unwrap();
        let writer = tokio::spawn(async move { write(stdin, wanted, None, &tell).await });
        assert!(matches!(said.recv().await, Some(Said::Stuck)));
        let mut read = Vec::new();
        let rest = tokio::time::timeout(WRITING, window.read_to_end(&mut read)).await;
        assert!(rest.is_err(), "its input ended after {read:?}");
        writer.abort();
    }
}
