//! The loop between a session and a stream.

use std::fmt::Display;
use std::future::Future;
use std::pin::pin;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wakeflash_ota::{OtaError, PasswordCheck, Progress, Session, SessionEvent, Step};

use crate::kill::{self, Point};

use super::{Deadlines, FlashError, FlashHooks, FlashReport, GateVerdict};

/// Answers are single bytes, encrypted ones 20, and the longest is a nonce: there is never much to
/// read.
const READ_BUFFER: usize = 256;

pub(super) struct Driver<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    session: Session,
    deadlines: Deadlines,
    start: Instant,
    /// When a byte was last read or written, or the gate began to be waited for.
    moved: Instant,
    handshake_end: Option<Instant>,
    /// Set when writing has failed: when, and why. What the device said just before it closed
    /// the connection may still be there to be read.
    broken: Option<(Instant, String)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(stream: S, session: Session, deadlines: Deadlines) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let start = Instant::now();
        Self {
            reader,
            writer,
            session,
            deadlines,
            start,
            moved: start,
            handshake_end: None,
            broken: None,
        }
    }

    pub(super) async fn run<C, G, B, F, E>(
        mut self,
        hooks: FlashHooks<C, G, B>,
        cancel: CancellationToken,
    ) -> Result<FlashReport, FlashError>
    where
        C: Future<Output = PasswordCheck>,
        G: Future<Output = GateVerdict>,
        B: FnOnce() -> F,
        F: Future<Output = Result<(), E>>,
        E: Display,
    {
        let (announce, announced) = oneshot::channel();
        let mut announce = Some(announce);
        let mut challenge = pin!(hooks.challenge);
        let mut challenge_pending = true;
        let mut gate = pin!(hooks.gate);
        let mut gate_pending = true;
        let mut record = pin!(record_when_told(announced, hooks.before_completion));
        let mut record_pending = true;
        let mut buffer = [0; READ_BUFFER];
        loop {
            if let Some(error) = self.session.failure() {
                return Err(error.into());
            }
            self.pass_points();
            if self.take_events() == Completion::Near
                && let Some(announce) = announce.take()
            {
                // The receiver lives in the pinned future above.
                let _ = announce.send(());
            }
            self.publish(&hooks.progress);
            if self.session.accepted() {
                return Ok(self.finish().await);
            }
            let expiry = self.expiry();
            let output = if self.broken.is_none() { self.session.transmit() } else { &[] };
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(self.session.cancelled().into()),
                check = &mut challenge, if challenge_pending => {
                    challenge_pending = false;
                    self.session.answer_challenge(check)?;
                    self.moved = Instant::now();
                }
                verdict = &mut gate, if gate_pending => {
                    gate_pending = false;
                    self.on_verdict(verdict)?;
                }
                result = &mut record, if record_pending => {
                    record_pending = false;
                    self.on_recorded(result)?;
                }
                result = self.reader.read(&mut buffer) => {
                    let count = self.on_read(result)?;
                    self.session.receive(buffer.get(..count).unwrap_or_default())?;
                }
                result = self.writer.write(output), if !output.is_empty() => {
                    self.on_written(result);
                }
                () = sleep_until(expiry) => {
                    return Err(self.on_expiry(record_pending && announce.is_none()));
                }
            }
        }
    }

    fn pass_points(&self) {
        let now = self.session.progress();
        if now.total > 0 && now.acknowledged >= now.total / 2 {
            kill::here(Point::Half);
        }
        if now.total > 0 && now.sent == now.total {
            kill::here(Point::LastByteSent);
        }
    }

    fn take_events(&mut self) -> Completion {
        let mut completion = Completion::Far;
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Authenticated => {
                    self.moved = Instant::now();
                    self.handshake_end = Some(self.moved);
                }
                SessionEvent::AboutToComplete => completion = Completion::Near,
                SessionEvent::Accepted => {}
            }
        }
        completion
    }

    fn publish(&self, progress: &watch::Sender<Progress>) {
        let now = self.session.progress();
        progress.send_if_modified(|last| {
            let changed = *last != now;
            *last = now;
            changed
        });
    }

    fn expiry(&self) -> Instant {
        let usual = self.deadlines.expiry(self.session.step(), self.start, self.moved);
        match &self.broken {
            Some((since, _)) => usual.min(*since + self.deadlines.farewell),
            None => usual,
        }
    }

    fn on_verdict(&mut self, verdict: GateVerdict) -> Result<(), FlashError> {
        match verdict {
            GateVerdict::Open(image) => {
                kill::here(Point::GatePassed);
                self.session.open_gate(image);
                self.moved = Instant::now();
                Ok(())
            }
            GateVerdict::AlreadyRunning => Err(FlashError::AlreadyRunning),
            GateVerdict::Refuse(reason) => Err(FlashError::Refused { reason }),
        }
    }

    fn on_recorded<E: Display>(&mut self, result: Result<(), E>) -> Result<(), FlashError> {
        result.map_err(|error| FlashError::NotRecorded { reason: error.to_string() })?;
        kill::here(Point::CompletionStored);
        self.session.allow_completion();
        self.moved = Instant::now();
        Ok(())
    }

    fn on_read(&mut self, result: std::io::Result<usize>) -> Result<usize, OtaError> {
        match result {
            Ok(0) => Err(self.session.closed("the device closed the connection")),
            Ok(count) => {
                self.moved = Instant::now();
                Ok(count)
            }
            Err(error) => Err(self.session.closed(error.to_string())),
        }
    }

    fn on_written(&mut self, result: std::io::Result<usize>) {
        let now = Instant::now();
        match result {
            Ok(0) => self.broken = Some((now, "the connection takes no more data".to_owned())),
            Ok(count) => {
                self.moved = now;
                self.session.transmitted(count);
            }
            Err(error) => self.broken = Some((now, error.to_string())),
        }
    }

    fn on_expiry(&self, recording: bool) -> FlashError {
        if let Some((_, reason)) = &self.broken {
            return self.session.closed(reason.clone()).into();
        }
        let step = self.session.step();
        // Three waits are for the application itself, and the device is not to blame for them.
        if matches!(step, Step::Identity | Step::Gate) {
            let reason = "Wakeflash could not make sure in time that this is the right device, so \
                          nothing was sent. It will be tried again.";
            return FlashError::Refused { reason: reason.to_owned() };
        }
        if recording && step < Step::Commit {
            return FlashError::NotRecorded { reason: "saving took too long".to_owned() };
        }
        self.session.timed_out().into()
    }

    /// The device has confirmed: say goodbye, which it doesn't insist on.
    async fn finish(mut self) -> FlashReport {
        kill::here(Point::Acknowledged);
        let end = Instant::now();
        let goodbye = self.session.transmit().to_vec();
        // The update is done whether or not this arrives.
        let _ = timeout(self.deadlines.farewell, self.writer.write_all(&goodbye)).await;
        FlashReport {
            bytes: u64::from(self.session.progress().total),
            duration: end - self.start,
            handshake: self.handshake_end.unwrap_or(end) - self.start,
            encrypted: self.session.encrypted(),
            compression: self.session.compression(),
            handshake_round_trips: self.session.handshake_round_trips(),
        }
    }
}

/// Runs the hook when the end of the image is near.
async fn record_when_told<B, F, E>(told: oneshot::Receiver<()>, record: B) -> Result<(), E>
where
    B: FnOnce() -> F,
    F: Future<Output = Result<(), E>>,
{
    if told.await.is_err() {
        // Never told, so never recorded, and completion is never allowed.
        std::future::pending::<()>().await;
    }
    record().await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Completion {
    Far,
    Near,
}
