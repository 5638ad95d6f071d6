//! What is a configuration? ESPHome is asked by a process that has loaded it, or, where it is started in another way,
//! by its command line.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use wakeflash_esphome::compile::{Exit, plain};
use wakeflash_esphome::config::to_json;

use super::server::{Server, Start, start_for};
use crate::process::{Ended, Event, Limits, Process, path_with};

/// How long a command may take.
const LIMITS: Limits =
    Limits { total: Duration::from_secs(120), silence: Duration::from_secs(120) };

/// The most lines of a command that are looked at.
const MAX_LINES: usize = 200_000;

/// What came of a question.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The answer, as [`wakeflash_esphome::answer::answer`] reads it; `None`: ESPHome can't be started.
    pub(crate) said: Option<Value>,
    /// What was read for it: lines of [`wakeflash_esphome::witness::reads`], or what ESPHome lists.
    pub(crate) reads: Vec<String>,
}

impl Asked {
    /// Whether the answer has taken too long.
    pub(crate) fn is_timeout(&self) -> bool {
        self.said.as_ref().is_some_and(|said| said.get("timeout").is_some())
    }
}

/// Who asks.
#[derive(Debug)]
pub(crate) struct Asker {
    program: PathBuf,
    dir: PathBuf,
    mark: (&'static str, String),
    start: Option<Start>,
    server: Option<Server>,
}

impl Asker {
    pub(crate) fn new(program: &Path, dir: &Path, mark: (&'static str, String)) -> Self {
        let start = start_for(program, dir, mark.clone());
        Self { program: program.to_owned(), dir: dir.to_owned(), mark, start, server: None }
    }

    pub(crate) async fn ask(&mut self, file: &str, patience: Duration) -> Asked {
        match self.ask_server(file, patience).await {
            Some(Ok(asked)) => asked,
            Some(Err(error)) => {
                tracing::warn!(file, %error, "what asks ESPHome has failed; its command line is asked");
                self.server = None;
                self.ask_command_line(file).await
            }
            None => self.ask_command_line(file).await,
        }
    }

    /// `None`: this ESPHome can't be asked so.
    async fn ask_server(&mut self, file: &str, patience: Duration) -> Option<io::Result<Asked>> {
        let start = self.start.as_ref()?;
        if self.server.is_none() {
            match Server::start(start).await {
                Ok(server) => self.server = Some(server),
                Err(error) => {
                    tracing::warn!(%error, "ESPHome can't be loaded to be asked; its command line is asked");
                    // Nor the next time.
                    self.start = None;
                    return None;
                }
            }
        }
        let said = self.server.as_mut()?.ask(file, patience).await;
        Some(said.map(|mut said| {
            let reads = said.as_object_mut().and_then(|said| said.remove("reads"));
            let lines = reads.as_ref().and_then(Value::as_array).into_iter().flatten();
            let reads = lines.map(Value::to_string).collect();
            if said.get("fault").is_some() {
                tracing::warn!(file, %said, "this ESPHome isn't known well enough");
            }
            Asked { said: Some(said), reads }
        }))
    }

    async fn ask_command_line(&self, file: &str) -> Asked {
        let argument = if file.starts_with('-') { format!("./{file}") } else { file.to_owned() };
        let listed = self.run(&["bundle", "--list-only", &argument]).await;
        let reads = match &listed {
            Ok((true, lines)) => {
                lines.iter().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned).collect()
            }
            Ok((false, _)) | Err(_) => Vec::new(),
        };
        let said = match self.run(&["config", "--show-secrets", &argument]).await {
            Ok((true, lines)) => Some(config_said(&lines)),
            // It refuses nothing without a word: this program can't be asked.
            Ok((false, lines)) if lines.iter().all(|line| line.trim().is_empty()) => {
                tracing::warn!(file, "ESPHome ends with an error and says nothing");
                None
            }
            Ok((false, lines)) => {
                let validation = lines.iter().any(|line| line.trim() == "Failed config");
                let mut problem = json!({"says": refusal(&lines), "validation": validation});
                if let Some((file, line)) = lines.iter().find_map(|line| source_of(line)) {
                    problem["file"] = json!(file);
                    problem["line"] = json!(line);
                }
                Some(json!({"problems": [problem]}))
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Some(json!({"timeout": LIMITS.total.as_secs()}))
            }
            Err(error) => {
                tracing::warn!(file, %error, "ESPHome can't be asked");
                None
            }
        };
        Asked { said, reads }
    }

    /// Whether it succeeded, and what it said.
    async fn run(&self, arguments: &[&str]) -> io::Result<(bool, Vec<String>)> {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.dir).env(self.mark.0, &self.mark.1);
        command.env("PYTHONUTF8", "1");
        if let Some(path) = path_with(self.program.parent()) {
            command.env("PATH", path);
        }
        let mut process = Process::spawn(command, LIMITS, CancellationToken::new())?;
        let mut said = Vec::new();
        let ended = loop {
            match process.next().await? {
                Event::Lines(lines) => {
                    said.extend(lines.iter().map(|line| plain(line).into_owned()));
                    said.truncate(MAX_LINES);
                }
                Event::Ended(ended) => break ended,
            }
        };
        process.end().await;
        match ended {
            Ended::Exited(exit) => Ok((exit == Exit::Code(0), said)),
            Ended::Cancelled | Ended::Overdue | Ended::Silent => {
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }
}

/// What `esphome config` printed, between what it logged.
fn config_said(lines: &[String]) -> Value {
    let logged = |line: &&String| {
        ["INFO ", "WARNING ", "DEBUG ", "ERROR "].iter().any(|level| line.starts_with(level))
    };
    let text: Vec<&str> = lines.iter().filter(|line| !logged(line)).map(String::as_str).collect();
    let config = to_json(&text.join("\n"));
    let keys =
        ["esp32", "esp8266", "rp2", "rp2040", "bk72xx", "rtl87xx", "ln882x", "nrf52", "host"];
    let platform = keys.into_iter().find(|key| config.get(key).is_some());
    json!({"platform": platform, "config": config})
}

/// The words of an ESPHome that refuses a configuration.
fn refusal(lines: &[String]) -> String {
    let telling = lines.iter().filter(|line| !line.starts_with("INFO ") && !line.trim().is_empty());
    let words: Vec<&str> = telling.map(|line| line.trim().trim_start_matches("ERROR ")).collect();
    words.join(" ")
}

/// What a line says about where something is: `[source hallway.yaml:14]`.
fn source_of(line: &str) -> Option<(&str, u32)> {
    let (_, source) = line.split_once("[source ")?;
    let (file, line) = source.split_once(']')?.0.rsplit_once(':')?;
    Some((file, line.parse().ok()?))
}
