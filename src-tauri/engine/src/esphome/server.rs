//! A process that has loaded ESPHome and is asked about one configuration after the other.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::python::WITNESS;
use crate::lines::{Line, read_line};
use crate::process::path_with;

/// How long ESPHome may take to be loaded.
const START: Duration = Duration::from_secs(120);

/// How much memory it may take with one; a hundred megabytes are usual.
const MEMORY: u64 = 2 << 30;

/// The longest answer.
const MAX_ANSWER: usize = 32 << 20;

/// How to start it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The Python that ESPHome is for.
    pub(crate) python: PathBuf,
    /// The `esphome` program.
    pub(crate) program: PathBuf,
    /// The config directory.
    pub(crate) dir: PathBuf,
    /// An environment variable by which it is found when the application was killed.
    pub(crate) mark: (&'static str, String),
}

/// It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Server {
    pub(crate) async fn start(start: &Start) -> io::Result<Self> {
        let mut command = Command::new(&start.python);
        command.args(["-c", WITNESS, "serve"]).current_dir(&start.dir);
        command.env(start.mark.0, &start.mark.1).env("PYTHONUTF8", "1");
        if let Some(path) = path_with(start.program.parent()) {
            command.env("PATH", path);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        let mut server = Self { child, questions, answers: BufReader::new(answers) };
        let greeting = server.answer(START).await?;
        match greeting.get("ready") {
            Some(version) => {
                tracing::info!(%version, "ESPHome can be asked");
                Ok(server)
            }
            None => Err(io::Error::other(format!("it says {greeting}"))),
        }
    }

    /// What ESPHome says about a configuration. After an error it is of no use any more.
    pub(crate) async fn ask(&mut self, file: &str, patience: Duration) -> io::Result<Value> {
        let question = json!({"file": file, "seconds": patience.as_secs(), "bytes": MEMORY});
        self.questions.write_all(format!("{question}\n").as_bytes()).await?;
        self.questions.flush().await?;
        // It may have to ask twice.
        self.answer(2 * patience + START).await
    }

    async fn answer(&mut self, patience: Duration) -> io::Result<Value> {
        let mut line = Vec::new();
        let read = read_line(&mut self.answers, &mut line, MAX_ANSWER);
        match timeout(patience, read).await {
            Ok(Ok(Some(Line::Whole))) => serde_json::from_slice(&line).map_err(io::Error::other),
            Ok(Ok(Some(Line::TooLong))) => Err(io::Error::other("it says too much")),
            Ok(Ok(None)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends what it has started, too.
        #[cfg(unix)]
        if let Some(pid) =
            self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
        {
            let ended = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            if let Err(error) = ended {
                tracing::debug!(%error, "what asks ESPHome has ended already");
            }
        }
        #[cfg(not(unix))]
        if let Err(error) = self.child.start_kill() {
            tracing::debug!(%error, "what asks ESPHome has ended already");
        }
    }
}

/// Whether it can be asked like this at all: what its directory says is another matter.
pub(crate) fn start_for(program: &Path, dir: &Path, mark: (&'static str, String)) -> Option<Start> {
    let python = super::python::of(program)?;
    Some(Start { python, program: program.to_owned(), dir: dir.to_owned(), mark })
}
