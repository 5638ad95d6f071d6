//! A program under test that speaks JSON lines: commands on its stdin, replies and events on its
//! stdout.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, watch};

/// How long a reply may take when nothing else is said.
const REPLY_TIMEOUT: Duration = Duration::from_secs(90);

/// Everything that the program has printed.
#[derive(Default)]
struct Printed {
    lines: Vec<Value>,
    ended: bool,
}

/// A running program that speaks JSON lines. It is killed when dropped.
pub struct JsonProcess {
    name: String,
    child: Mutex<Child>,
    stdin: Mutex<Option<ChildStdin>>,
    printed: Arc<watch::Sender<Printed>>,
    next_id: AtomicU64,
    /// Up to where [`JsonProcess::wait_for`] has looked.
    cursor: Mutex<usize>,
}

impl JsonProcess {
    /// Starts the program.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let printed = Arc::new(watch::Sender::new(Printed::default()));
        tokio::spawn(collect(stdout, Arc::clone(&printed)));
        Ok(Self {
            name: name.to_owned(),
            child: Mutex::new(child),
            stdin: Mutex::new(Some(stdin)),
            printed,
            next_id: AtomicU64::new(1),
            cursor: Mutex::new(0),
        })
    }

    /// Sends a command and waits for its reply: what is under `ok`, else an error with what is
    /// under `error`. The `id` is added here.
    ///
    /// # Errors
    /// When the program refuses the command, doesn't answer or has ended.
    pub async fn request(&self, command: Value) -> Result<Value> {
        self.request_within(command, REPLY_TIMEOUT).await
    }

    /// [`JsonProcess::request`] with a timeout of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn request_within(&self, command: Value, timeout: Duration) -> Result<Value> {
        let reply = self.reply(command, timeout).await?;
        if let Some(error) = reply.get("error").filter(|error| !error.is_null()) {
            let text = error.as_str().map_or_else(|| error.to_string(), ToOwned::to_owned);
            return Err(anyhow!("{}: {text}", self.name));
        }
        Ok(reply.get("ok").cloned().unwrap_or(Value::Null))
    }

    /// Sends a command that is to be refused; returns what is under `error`.
    ///
    /// # Errors
    /// When the program accepts the command, doesn't answer or has ended.
    pub async fn refusal(&self, command: Value) -> Result<Value> {
        let what = command.to_string();
        let reply = self.reply(command, REPLY_TIMEOUT).await?;
        reply.get("error").cloned().with_context(|| format!("{what} was accepted: {reply}"))
    }

    async fn reply(&self, mut command: Value, timeout: Duration) -> Result<Value> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let fields = command.as_object_mut().context("a command is an object")?;
        fields.insert("id".to_owned(), json!(id));
        self.send_line(&command.to_string()).await?;
        let what = format!("a reply to {command}");
        // Events may have an id of their own; a reply is what also has an outcome.
        let is_reply = |line: &Value| {
            let has_outcome = line.get("ok").is_some() || line.get("error").is_some();
            has_outcome && line.get("id") == Some(&json!(id))
        };
        Ok(self.find(0, &what, timeout, is_reply).await?.1)
    }

    /// Writes one line to its stdin, whatever it is.
    ///
    /// # Errors
    /// When stdin is closed.
    pub async fn send_line(&self, line: &str) -> Result<()> {
        let mut stdin = self.stdin.lock().await;
        let stdin = stdin.as_mut().with_context(|| format!("stdin of {} is closed", self.name))?;
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        stdin.flush().await.with_context(|| format!("{} has ended", self.name))
    }

    /// Waits for a line (reply or event) that satisfies `wanted`, beginning after the line that
    /// the last call has found.
    ///
    /// # Errors
    /// When none comes within `timeout`, or the program ends before.
    pub async fn wait_for(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut cursor = self.cursor.lock().await;
        let (index, line) = self.find(*cursor, what, timeout, wanted).await?;
        *cursor = index + 1;
        Ok(line)
    }

    /// Makes the next [`JsonProcess::wait_for`] begin after what has been printed by now.
    pub async fn skip_to_now(&self) {
        *self.cursor.lock().await = self.printed.borrow().lines.len();
    }

    /// Forgets all lines but the last one. Nobody may be waiting for a line.
    pub async fn forget(&self) {
        *self.cursor.lock().await = 0;
        self.printed.send_modify(|printed| {
            let last = printed.lines.pop();
            printed.lines = last.into_iter().collect();
        });
    }

    /// Every line so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        self.printed.borrow().lines.clone()
    }

    async fn find(
        &self,
        from: usize,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<(usize, Value)> {
        let mut printed = self.printed.subscribe();
        let mut next = from;
        let mut found = None;
        let search = printed.wait_for(|printed| {
            while let Some(line) = printed.lines.get(next) {
                if wanted(line) {
                    found = Some((next, line.clone()));
                    return true;
                }
                next += 1;
            }
            printed.ended
        });
        let outcome = tokio::time::timeout(timeout, search).await.map(|_| ());
        match (found, outcome) {
            (Some(found), _) => Ok(found),
            (None, Ok(())) => bail!("{} ended before {what}; {}", self.name, self.tail()),
            (None, Err(_)) => {
                bail!("no {what} from {} within {timeout:?}; {}", self.name, self.tail())
            }
        }
    }

    fn tail(&self) -> String {
        let printed = self.printed.borrow();
        let last = printed.lines.iter().rev().take(8).rev();
        let last: Vec<_> = last.map(|line| format!("  {line}")).collect();
        format!("its last lines:\n{}", last.join("\n"))
    }

    /// The process id, while it runs.
    pub async fn pid(&self) -> Option<u32> {
        self.child.lock().await.id()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().await.and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{} has ended", self.name))?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Ends it with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// When it can't be ended.
    pub async fn kill(&self) -> Result<()> {
        let mut child = self.child.lock().await;
        child.kill().await.with_context(|| format!("cannot kill {}", self.name))
    }

    /// Closes its stdin.
    pub async fn close_stdin(&self) {
        *self.stdin.lock().await = None;
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `timeout`.
    pub async fn wait(&self, timeout: Duration) -> Result<ExitStatus> {
        let mut child = self.child.lock().await;
        let status = tokio::time::timeout(timeout, child.wait()).await;
        let status = status.with_context(|| format!("{} still runs", self.name))?;
        Ok(status?)
    }
}

async fn collect(stdout: ChildStdout, printed: Arc<watch::Sender<Printed>>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // A line that is no JSON is kept as text, so that a test can complain about it.
        let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
        printed.send_modify(|printed| printed.lines.push(line));
    }
    printed.send_modify(|printed| printed.ended = true);
}
