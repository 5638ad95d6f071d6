//! What is said with one client, whatever it is connected by: its commands are answered in their order, and between the
//! answers it is told what happens.
//!
//! A client has no queue of its own: it reads what happens from the one ring that all have in common. One that reads
//! too slowly loses what the ring forgets, and waits alone for what it is being written.

use std::io::{self, Cursor, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, broadcast};
use tokio_util::sync::CancellationToken;
use wakeflash_core::error::Problem;
use wakeflash_core::request::{EngineRequest, Greeting};
use wakeflash_core::view::{Envelope, Notification, StoreDamage};
use wakeflash_engine::handle::{Asked, Handle, Shell};
use wakeflash_engine::lines::{Line, read_line};

/// The longest command line, in bytes.
const LINE_LIMIT: usize = 64 * 1024;

/// How many notifications a client may be behind.
const NOTIFICATIONS_KEPT: usize = 256;

/// A request with the number that its reply repeats.
#[derive(Debug, Deserialize)]
struct Numbered {
    id: Option<u64>,
    #[serde(flatten)]
    request: Value,
}

/// A line to a client.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Said {
    Greeting(Greeting),
    Reply { id: Option<u64>, ok: Box<RawValue> },
    Refusal { id: Option<u64>, error: Problem },
    NoStart { id: Option<u64>, error: Problem, damage: Option<StoreDamage> },
    Event(Box<Envelope>),
    Notification { notification: Notification },
}

/// Desktop notifications, as lines of every client.
#[derive(Clone, Debug)]
pub(crate) struct Notices(broadcast::Sender<Notification>);

impl Notices {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(NOTIFICATIONS_KEPT).0)
    }
}

impl Shell for Notices {
    fn notify(&self, notification: Notification) {
        tracing::info!("{}: {}", notification.title, notification.body);
        // Without a client, the log has it and the history.
        let _ = self.0.send(notification);
    }
}

/// What all clients have in common.
#[derive(Clone, Debug)]
pub(crate) struct Hosted {
    handle: Handle,
    notices: Notices,
    /// How many clients look at the list.
    watchers: Arc<Mutex<usize>>,
    /// The engine has ended: nothing more is to be told.
    pub(crate) ended: CancellationToken,
}

impl Hosted {
    pub(crate) fn new(handle: Handle, notices: Notices) -> Self {
        Self { handle, notices, watchers: Arc::default(), ended: CancellationToken::new() }
    }

    /// What happens from now on.
    pub(crate) fn feed(&self) -> Feed {
        Feed { events: self.handle.subscribe(), notices: self.notices.0.subscribe() }
    }

    /// One client says whether it looks at the list: somebody does as long as any of them does. Whoever is told in
    /// between waits, so that the engine hears it in the order of the counting.
    async fn watch(&self, own: &mut bool, on: bool) -> Result<Box<RawValue>, Problem> {
        let mut watchers = self.watchers.lock().await;
        *watchers = (*watchers + usize::from(on)).saturating_sub(usize::from(*own));
        *own = on;
        let on = *watchers > 0;
        self.handle.ask(|reply| Asked::SetWatching { on, reply }).await?;
        Ok(RawValue::NULL.to_owned())
    }
}

/// What happens, for one client.
#[derive(Debug)]
pub(crate) struct Feed {
    events: broadcast::Receiver<Envelope>,
    notices: broadcast::Receiver<Notification>,
}

/// The way to a client.
#[derive(Debug)]
pub(crate) struct Output<W> {
    pen: Mutex<Pen<W>>,
    /// Who reads it.
    reader: Reader,
}

/// Who reads what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The one for whom the program runs: when it has gone, that is an error.
    Owner,
    /// One of many, which may take nothing of what waits for it for so long. When it has gone, it is told nothing more,
    /// and what it has asked is still done.
    Client { patience: Duration },
}

#[derive(Debug)]
struct Pen<W> {
    stream: W,
    /// What is left of a line. Whoever writes next completes it: no line is broken by a writer that was dropped.
    left: Cursor<Vec<u8>>,
    /// Nobody reads any more.
    unread: bool,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    pub(crate) fn new(stream: W, reader: Reader) -> Self {
        let pen = Pen { stream, left: Cursor::default(), unread: false };
        Self { pen: Mutex::new(pen), reader }
    }

    /// Writes a line; at the latest when the one before it is written.
    pub(crate) async fn say(&self, said: &Said) -> io::Result<()> {
        let mut line = serde_json::to_vec(said)?;
        line.push(b'\n');
        let mut pen = self.pen.lock().await;
        self.complete(&mut pen).await?;
        pen.left = Cursor::new(line);
        self.complete(&mut pen).await
    }

    /// Writes what is left of a line that was begun.
    pub(crate) async fn finish(&self) -> io::Result<()> {
        let mut pen = self.pen.lock().await;
        self.complete(&mut pen).await
    }

    async fn complete(&self, pen: &mut Pen<W>) -> io::Result<()> {
        if pen.unread {
            return Ok(());
        }
        match (self.write(pen).await, self.reader) {
            (Err(error), Reader::Client { .. }) if has_gone(&error) => {
                tracing::debug!("a client has gone: {error}");
                pen.unread = true;
                Ok(())
            }
            (written, Reader::Client { .. } | Reader::Owner) => written,
        }
    }

    async fn write(&self, pen: &mut Pen<W>) -> io::Result<()> {
        while pen.left.position() < u64::try_from(pen.left.get_ref().len()).unwrap_or(u64::MAX) {
            let written = pen.stream.write_buf(&mut pen.left);
            let written = match self.reader {
                Reader::Client { patience } => tokio::time::timeout(patience, written)
                    .await
                    .map_err(|_| io::Error::new(ErrorKind::TimedOut, "it isn't read"))??,
                Reader::Owner => written.await?,
            };
            if written == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        pen.stream.flush().await
    }
}

fn has_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

/// What ended the commands of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It has no more.
    Input,
    /// It wants the program to end.
    Shutdown,
}

/// Serves one client from its greeting to its end, or the engine's.
pub(crate) async fn converse<R, W>(hosted: Hosted, input: R, output: Output<W>) -> io::Result<Ended>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let feed = hosted.feed();
    output.say(&Said::Greeting(Greeting::own())).await?;
    let mut watching = false;
    let ended = {
        let mut commands = pin!(take_commands(&hosted, input, &output, &mut watching));
        tokio::select! {
            ended = &mut commands => ended,
            told = tell(feed, &hosted.ended, &output) => match told {
                // The engine has ended. A command that is under way gets its answer, and what was read by then.
                Ok(()) => commands.await,
                Err(error) => Err(error),
            },
        }
    };
    // Also when the engine was never told: whoever was cut off may have been counted already.
    if let Err(problem) = hosted.watch(&mut watching, false).await {
        tracing::debug!(
            "a client went, and whether it looked at the list can't be told: {problem}"
        );
    }
    let ended = ended?;
    output.finish().await?;
    Ok(ended)
}

/// Tells a client what happens, until the engine has ended.
pub(crate) async fn tell<W: AsyncWrite + Unpin>(
    mut feed: Feed,
    ended: &CancellationToken,
    output: &Output<W>,
) -> io::Result<()> {
    loop {
        let said = tokio::select! {
            biased;
            notice = feed.notices.recv() => {
                notice.map(|notification| Said::Notification { notification })
            }
            event = feed.events.recv() => event.map(|event| Said::Event(Box::new(event))),
            () = ended.cancelled() => return Ok(()),
        };
        match said {
            Ok(said) => output.say(&said).await?,
            // The reader finds the gap in the revisions and asks for a snapshot.
            Err(RecvError::Lagged(count)) => {
                tracing::warn!("a client reads too slowly: it has lost {count} events");
            }
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

/// Takes commands until `shutdown`, the end of the input, or that of the engine.
pub(crate) async fn take_commands<W: AsyncWrite + Unpin>(
    hosted: &Hosted,
    input: impl AsyncRead + Unpin,
    output: &Output<W>,
    watching: &mut bool,
) -> io::Result<Ended> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        let read = tokio::select! {
            biased;
            read = read_line(&mut input, &mut line, LINE_LIMIT) => read,
            () = hosted.ended.cancelled() => return Ok(Ended::Input),
        };
        let read = match read {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(Ended::Input),
            // It didn't read all that it was told.
            Err(error) if has_gone(&error) => return Ok(Ended::Input),
            Err(error) => return Err(error),
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let (id, parsed) = match read {
            Line::Whole => parse(&line),
            Line::TooLong => (None, Err(too_long())),
        };
        let result = match parsed {
            Ok(EngineRequest::Shutdown {}) => {
                output.say(&Said::Reply { id, ok: RawValue::NULL.to_owned() }).await?;
                return Ok(Ended::Shutdown);
            }
            Ok(EngineRequest::SetWatching { on }) => hosted.watch(watching, on).await,
            Ok(request) => hosted.handle.answer(request).await,
            Err(problem) => Err(problem),
        };
        let reply = match result {
            Ok(ok) => Said::Reply { id, ok },
            Err(error) => Said::Refusal { id, error },
        };
        output.say(&reply).await?;
    }
}

fn too_long() -> Problem {
    Problem::new("command.unreadable", format!("This line is longer than {LINE_LIMIT} bytes."))
        .with_help("docs/API.md lists the commands.")
}

fn parse(line: &[u8]) -> (Option<u64>, Result<EngineRequest, Problem>) {
    let refused = |error: serde_json::Error| {
        Problem::new("command.unreadable", format!("This is not a command: {error}."))
            .with_help("docs/API.md lists the commands.")
    };
    match serde_json::from_slice::<Numbered>(line) {
        Ok(numbered) => (numbered.id, serde_json::from_value(numbered.request).map_err(refused)),
        Err(error) => (None, Err(refused(error))),
    }
}
