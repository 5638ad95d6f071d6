//! One connection: what is said to the other side, and what it says. Every line has a limit, every wait a deadline.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use wakeflash_core::error::Problem;
use wakeflash_core::request::Greeting;
use wakeflash_core::view::{Envelope, Notification, Snapshot};
use wakeflash_engine::lines::{Line, read_line};

use crate::failure;
use crate::place::Destination;
use crate::ssh::{GREETING, Ssh, Words, attach};

/// The longest line from the other side, in bytes: a snapshot of thousands of devices, or a build log.
const FROM_THERE: usize = 16 << 20;
/// The longest line that the service reads.
pub(crate) const TO_THERE: usize = 64 << 10;
/// How long the other side may take nothing while something is written for it.
const WRITING: Duration = Duration::from_secs(30);
/// How many lines may wait to be written, and how many words to be heard.
const WAITING: usize = 256;

/// The number of the request for everything, which opens the connection.
const FIRST: u64 = 0;

/// What the other side says.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It has greeted, and this is all there is to see.
    Opened(Box<Snapshot>),
    Event(Box<Envelope>),
    Answer(u64, Result<Box<RawValue>, Problem>),
    Notification(Box<Notification>),
    /// Nothing more comes.
    Ended(Problem),
}

/// A connection; it ends when it is dropped.
pub(crate) struct Talk {
    pub(crate) heard: mpsc::Receiver<Heard>,
    lines: mpsc::Sender<Vec<u8>>,
    _task: JoinSet<()>,
}

impl Talk {
    pub(crate) fn begin(ssh: &Ssh, place: &Destination) -> Self {
        let (lines, spoken) = mpsc::channel(WAITING);
        let (tell, heard) = mpsc::channel(WAITING);
        let (ssh, place) = (ssh.clone(), place.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let problem = converse(&ssh, &place, spoken, &tell).await;
            if tell.send(Heard::Ended(problem)).await.is_err() {
                tracing::debug!("a connection that ended was left before");
            }
        });
        let talk = Self { heard, lines, _task: task };
        talk.say(format!("{{\"id\":{FIRST},\"cmd\":\"snapshot\"}}\n").into_bytes());
        talk
    }

    /// Whether a line will be written.
    pub(crate) fn say(&self, line: Vec<u8>) -> bool {
        self.lines.try_send(line).is_ok()
    }
}

async fn converse(
    ssh: &Ssh,
    place: &Destination,
    lines: mpsc::Receiver<Vec<u8>>,
    tell: &mpsc::Sender<Heard>,
) -> Problem {
    let mut child = match attach(ssh, place).spawn() {
        Ok(child) => child,
        Err(error) => return failure::no_ssh(&error),
    };
    let words = Words::of(child.stderr.take());
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return failure::cut(place);
    };
    let ended = tokio::select! {
        ended = hear(place, BufReader::new(stdout), tell) => ended,
        ended = speak(place, stdin, lines) => ended,
    };
    match ended {
        Some(problem) => problem,
        None => words.why(place, child).await,
    }
}

/// Writes lines until nobody takes them. `None`: SSH says why.
async fn speak(
    place: &Destination,
    mut output: impl AsyncWrite + Unpin,
    mut lines: mpsc::Receiver<Vec<u8>>,
) -> Option<Problem> {
    while let Some(line) = lines.recv().await {
        let written = async {
            output.write_all(&line).await?;
            output.flush().await
        };
        match timeout(WRITING, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!("{place} doesn't listen: {error}");
                return None;
            }
            Err(_) => return Some(failure::silent(place)),
        }
    }
    None
}

#[derive(Deserialize)]
struct Said<'line> {
    id: Option<u64>,
    #[serde(borrow)]
    ok: Option<&'line RawValue>,
    error: Option<Problem>,
    #[serde(borrow)]
    event: Option<&'line RawValue>,
    #[serde(borrow)]
    notification: Option<&'line RawValue>,
}

/// Hears what is said, until there is no more. `None`: SSH says why.
async fn hear(
    place: &Destination,
    mut input: impl AsyncBufRead + Unpin,
    tell: &mpsc::Sender<Heard>,
) -> Option<Problem> {
    let opening = Instant::now() + GREETING;
    let (mut line, mut greeted, mut opened) = (Vec::new(), false, false);
    loop {
        let reading = read_line(&mut input, &mut line, FROM_THERE);
        let read = match opened {
            true => reading.await,
            false => match timeout_at(opening, reading).await {
                Ok(read) => read,
                Err(_) => return Some(failure::silent(place)),
            },
        };
        match read {
            Ok(Some(Line::Whole)) => {}
            Ok(Some(Line::TooLong)) => {
                return Some(failure::garbage(
                    place,
                    format!("a line of more than {FROM_THERE} bytes"),
                ));
            }
            Ok(None) => return None,
            Err(error) => {
                tracing::debug!("{place} can't be heard: {error}");
                return None;
            }
        }
        if !greeted {
            let theirs: Greeting = match serde_json::from_slice(&line) {
                Ok(theirs) => theirs,
                Err(_) => return Some(failure::garbage(place, beginning(&line))),
            };
            if let Err(problem) = failure::version(place, &theirs) {
                return Some(problem);
            }
            greeted = true;
            continue;
        }
        match understood(&line) {
            Ok(Some(heard)) => {
                opened |= matches!(heard, Heard::Opened(_));
                if tell.send(heard).await.is_err() {
                    return Some(failure::cut(place));
                }
            }
            Ok(None) => {}
            Err(Wrong::Told(problem)) => return Some(*problem),
            Err(Wrong::Unreadable(why)) => return Some(failure::garbage(place, why)),
        }
    }
}

/// Why a connection can't go on.
enum Wrong {
    /// The other side says so.
    Told(Box<Problem>),
    Unreadable(String),
}

impl From<serde_json::Error> for Wrong {
    fn from(error: serde_json::Error) -> Self {
        // Its content stays out of what is shown and logged.
        Self::Unreadable(format!(
            "line {}, column {}: {:?}",
            error.line(),
            error.column(),
            error.classify()
        ))
    }
}

fn understood(line: &[u8]) -> Result<Option<Heard>, Wrong> {
    let said: Said<'_> = serde_json::from_slice(line)?;
    if said.event.is_some() {
        return Ok(Some(Heard::Event(Box::new(serde_json::from_slice::<Envelope>(line)?))));
    }
    if let Some(notification) = said.notification {
        // A newer one may tell more kinds of them; what they are about is in the list as well.
        return Ok(serde_json::from_str(notification.get())
            .inspect_err(|_| tracing::warn!("a notification of an unknown kind is left out"))
            .map(Heard::Notification)
            .ok());
    }
    match (said.id, said.error) {
        (None | Some(FIRST), Some(problem)) => Err(Wrong::Told(Box::new(problem))),
        (Some(id), Some(problem)) => Ok(Some(Heard::Answer(id, Err(problem)))),
        (Some(FIRST), None) => {
            let snapshot = said.ok.map(RawValue::get).unwrap_or_default();
            Ok(Some(Heard::Opened(Box::new(serde_json::from_str(snapshot)?))))
        }
        (Some(id), None) => {
            Ok(Some(Heard::Answer(id, Ok(said.ok.unwrap_or(RawValue::NULL).to_owned()))))
        }
        (None, None) => Err(Wrong::Unreadable("neither an answer nor an event".to_owned())),
    }
}

fn beginning(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().filter(|letter| !letter.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Destination {
        Destination::try_from("box".to_owned()).unwrap()
    }

    async fn heard(lines: &[u8]) -> (Vec<Heard>, Option<Problem>) {
        let (tell, mut heard) = mpsc::channel(64);
        let ended = hear(&place(), lines, &tell).await;
        drop(tell);
        let mut all = Vec::new();
        while let Some(one) = heard.recv().await {
            all.push(one);
        }
        (all, ended)
    }

    fn hello() -> String {
        serde_json::to_string(&Greeting::own()).unwrap() + "\n"
    }

    #[tokio::test]
    async fn whatever_a_hostile_engine_says_ends_the_connection_in_words() {
        let long = format!("{}{{\"x\":\"{}\"}}\n", hello(), "x".repeat(FROM_THERE));
        let deep = format!("{}{}\n", hello(), "[".repeat(100_000));
        for (said, wanted) in [
            ("Welcome to the box!\n".to_owned(), "remote.garbage"),
            (
                "{\"hello\":\"wakeflash\",\"protocol\":99,\"version\":\"9\"}\n".to_owned(),
                "remote.version",
            ),
            (hello() + "noise\n", "remote.garbage"),
            (hello() + "{}\n", "remote.garbage"),
            (hello() + "{\"id\":0,\"ok\":{}}\n", "remote.garbage"),
            (hello() + "{\"revision\":1,\"event\":{\"kind\":\"explode\"}}\n", "remote.garbage"),
            (long, "remote.garbage"),
            (deep, "remote.garbage"),
            (
                hello()
                    + "{\"id\":null,\"error\":{\"code\":\"service.full\",\"message\":\"Full.\",\"help\":null}}\n",
                "service.full",
            ),
        ] {
            let (_, ended) = heard(said.as_bytes()).await;
            assert_eq!(ended.unwrap().code, wanted, "{}", &said[..said.len().min(200)]);
        }
        let (all, ended) = heard(
            (hello() + "{\"id\":7,\"ok\":null}\n{\"notification\":{\"kind\":\"x\"}}\n").as_bytes(),
        )
        .await;
        assert!(matches!(all.as_slice(), [Heard::Answer(7, Ok(_))]), "{all:?}");
        assert!(ended.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_without_end() {
        let (tell, _heard) = mpsc::channel(1);
        let (silent, _open) = tokio::io::duplex(64);
        let ended = hear(&place(), BufReader::new(silent), &tell).await;
        assert_eq!(ended.unwrap().code, "remote.silent");
        let (full, _unread) = tokio::io::duplex(1);
        let (lines, spoken) = mpsc::channel(1);
        lines.send(vec![0; 64]).await.unwrap();
        assert_eq!(speak(&place(), full, spoken).await.unwrap().code, "remote.silent");
    }
}
