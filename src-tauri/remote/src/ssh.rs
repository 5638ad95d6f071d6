//! The system's OpenSSH as a child process: keys, agents, jump hosts and known hosts are those that the user has.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wakeflash_core::error::Problem;
use wakeflash_core::request::Greeting;

use crate::failure;
use crate::host_key::{self, HostKey};
use crate::place::Destination;

/// What is never as the user's configuration has it: nobody is asked, no key of a host is taken without a word, the other
/// side gets neither the agent nor a way into this network, and a connection that is dead ends.
const ALWAYS: [&str; 9] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
];

/// How long it may take until the other side has greeted.
pub(crate) const GREETING: Duration = Duration::from_secs(20);
/// How long starting the service may take.
const STARTING: Duration = Duration::from_secs(50);
/// How long the end of a process is waited for.
const END: Duration = Duration::from_secs(2);
/// The longest greeting, in bytes.
const GREETING_LIMIT: u64 = 4 << 10;
/// How much of what it says on standard error is kept: its beginning, where SSH says what is wrong.
const WORDS: usize = 16 << 10;

/// The program of OpenSSH's client.
#[derive(Clone, Debug)]
pub struct Ssh(pub OsString);

impl Default for Ssh {
    /// The one on PATH.
    fn default() -> Self {
        Self("ssh".into())
    }
}

/// SSH, with what is to be run at the other end. It ends when it is dropped.
pub(crate) fn command(
    ssh: &Ssh,
    place: &Destination,
    options: &[&str],
    remote: &[&str],
) -> Command {
    let mut command = Command::new(&ssh.0);
    command.arg("-T");
    // Of what is said twice, SSH takes the first.
    for option in options.iter().chain(&ALWAYS) {
        command.args(["-o", option]);
    }
    command.arg("--").arg(place.as_str()).args(remote);
    // Its words are read.
    command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C in a terminal is for the application.
    #[cfg(unix)]
    command.process_group(0);
    command.kill_on_drop(true);
    command
}

/// What connects to the service at the other end.
pub(crate) fn attach(ssh: &Ssh, place: &Destination) -> Command {
    let mut command = command(ssh, place, &[], &["wakeflash-headless", "attach"]);
    command.stdin(Stdio::piped());
    command
}

/// What it says on standard error: all of it is read, so that it never waits for that, and the beginning is kept.
pub(crate) struct Words {
    said: Arc<Mutex<Vec<u8>>>,
    reading: JoinSet<()>,
}

impl Words {
    pub(crate) fn of(stderr: Option<ChildStderr>) -> Self {
        let (said, mut reading) = (Arc::default(), JoinSet::new());
        if let Some(stderr) = stderr {
            reading.spawn(collect(stderr, Arc::clone(&said)));
        }
        Self { said, reading }
    }

    /// Why a connection has ended. One that has not by itself is ended after a while.
    pub(crate) async fn why(mut self, place: &Destination, mut child: Child) -> Problem {
        let status = match timeout(END, child.wait()).await {
            Ok(Ok(status)) => status.code(),
            Ok(Err(error)) => {
                tracing::warn!("how SSH ended isn't known: {error}");
                None
            }
            Err(_) => None,
        };
        // Another process, such as one that other connections share, may hold it open.
        if timeout(END, self.reading.join_next()).await.is_err() {
            tracing::debug!("somebody holds what SSH writes to");
        }
        let said = lock(&self.said);
        failure::ended(place, status, &String::from_utf8_lossy(&said))
    }
}

fn lock(said: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn collect(mut stderr: ChildStderr, said: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 1024];
    loop {
        match stderr.read(&mut piece).await {
            Ok(0) => return,
            Ok(count) => {
                let mut said = lock(&said);
                let room = WORDS.saturating_sub(said.len());
                said.extend(piece.iter().take(count.min(room)));
            }
            Err(error) => return tracing::debug!("what SSH says can't be read: {error}"),
        }
    }
}

/// What a place was found to be.
#[derive(Clone, Debug, Default, Serialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// The version of Wakeflash that runs there; `None`: it can't be said.
    pub version: Option<String>,
    /// Why Wakeflash can't work there; `None`: it can.
    pub problem: Option<Problem>,
    /// The key that the host shows, when that is what isn't known.
    pub host_key: Option<HostKey>,
}

/// Connects, hears who is there, and goes.
pub async fn try_out(ssh: &Ssh, place: &Destination, scratch: &std::path::Path) -> Trial {
    match greeting(ssh, place).await {
        Ok(version) => Trial { version: Some(version), ..Trial::default() },
        Err(problem) => {
            let unknown = problem.code == "remote.host_key_unknown";
            let shown =
                if unknown { Some(host_key::shown(ssh, place, scratch).await) } else { None };
            match shown {
                Some(Ok(shown)) => {
                    Trial { problem: Some(problem), host_key: Some(shown.key), version: None }
                }
                Some(Err(problem)) => Trial { problem: Some(problem), ..Trial::default() },
                None => Trial { problem: Some(problem), ..Trial::default() },
            }
        }
    }
}

async fn greeting(ssh: &Ssh, place: &Destination) -> Result<String, Problem> {
    let mut child = attach(ssh, place).spawn().map_err(|error| failure::no_ssh(&error))?;
    // Closed at once, the service would have nothing more to say than its greeting.
    let (stdin, words) = (child.stdin.take(), Words::of(child.stderr.take()));
    let mut line = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = BufReader::new(stdout.take(GREETING_LIMIT));
        match timeout(GREETING, stdout.read_until(b'\n', &mut line)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!("what SSH says can't be read: {error}"),
            Err(_) => return Err(failure::silent(place)),
        }
    }
    drop(stdin);
    if line.is_empty() {
        return Err(words.why(place, child).await);
    }
    let theirs: Greeting = serde_json::from_slice(&line)
        .map_err(|_| failure::garbage(place, String::from_utf8_lossy(&line).into_owned()))?;
    failure::version(place, &theirs)?;
    Ok(theirs.version)
}

/// Starts the user's service at the other end.
///
/// # Errors
/// It can't be started, or nobody answers.
pub async fn start_service(ssh: &Ssh, place: &Destination) -> Result<(), Problem> {
    let remote = ["systemctl", "--user", "start", "wakeflash-headless"];
    let run = command(ssh, place, &[], &remote).output();
    let ended = timeout(STARTING, run).await.map_err(|_| failure::silent(place))?;
    let ended = ended.map_err(|error| failure::no_ssh(&error))?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    match ended.status.code() {
        Some(0) => Ok(()),
        Some(255) => Err(failure::ended(place, Some(255), &said)),
        Some(_) | None => {
            let problem = Problem::new(
                "remote.not_started",
                format!("The service can't be started on {place}."),
            )
            .with_help("docs/HEADLESS.md says how it is set up there: as your own service, or as that of the box.");
            let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
            Err(match last {
                Some(last) => problem.with_details(last),
                None => problem,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_place_comes_before_the_end_of_the_options() {
        let place = Destination::try_from("sam@box".to_owned()).unwrap();
        let command = attach(&Ssh::default(), &place);
        let arguments: Vec<_> =
            command.as_std().get_args().map(|argument| argument.to_string_lossy()).collect();
        let end = arguments.iter().position(|argument| argument == "--").unwrap();
        assert_eq!(&arguments[end + 1..], ["sam@box", "wakeflash-headless", "attach"]);
        for wanted in ALWAYS {
            assert!(arguments[..end].iter().any(|argument| argument == wanted), "{wanted}");
        }
    }
}
