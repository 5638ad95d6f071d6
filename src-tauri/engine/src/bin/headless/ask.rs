//! A client of the service that asks and waits for the answer.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use wakeflash_core::error::Problem;
use wakeflash_core::request::{EngineRequest, Greeting, PROTOCOL};

use crate::failure::Failure;
use crate::socket;

/// How long an answer may take. The engine itself refuses what it can't store in time.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest line that is read.
const LINE_LIMIT: u64 = 64 << 20;

/// Connects to the service of a state directory.
pub(crate) fn connect(state: &Path) -> Result<UnixStream, Failure> {
    let path = socket::path(state);
    UnixStream::connect(&path).map_err(|error| {
        if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) {
            let whose = state.display();
            return Failure::NoService(format!(
                "No service runs for {whose}. `wakeflash-headless serve` starts one."
            ));
        }
        Failure::Refused(format!("The service at {} can't be reached: {error}.", path.display()))
    })
}

/// A line of the service, as far as it answers.
#[derive(Debug, Deserialize)]
struct Answer<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    ok: Option<&'a RawValue>,
    error: Option<Problem>,
}

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    stream: BufReader<UnixStream>,
    line: Vec<u8>,
    asked: u64,
}

impl Service {
    /// Connects, and hears whether it speaks the same protocol.
    pub(crate) fn of(state: &Path) -> Result<Self, Failure> {
        let stream = connect(state)?;
        let mut service = Self { stream: BufReader::new(stream), line: Vec::new(), asked: 0 };
        service.hear(Instant::now() + PATIENCE)?;
        let theirs: Greeting =
            serde_json::from_slice(&service.line).context("It greets as nobody does")?;
        if theirs.protocol != PROTOCOL {
            return Err(Failure::Refused(format!(
                "The service is Wakeflash {}, which speaks version {} of its protocol; this is {}, which speaks \
                 version {PROTOCOL}. Restart the service after an upgrade.",
                theirs.version,
                theirs.protocol,
                Greeting::own().version
            )));
        }
        Ok(service)
    }

    /// Asks; the answer as it came.
    pub(crate) fn ask_raw(&mut self, request: &EngineRequest) -> Result<Box<RawValue>, Failure> {
        self.asked += 1;
        let mut command = serde_json::to_value(request).context("The command can't be written")?;
        if let Some(fields) = command.as_object_mut() {
            fields.insert("id".to_owned(), self.asked.into());
        }
        if let Err(error) = writeln!(self.stream.get_mut(), "{command}") {
            // One that has closed may have said why before.
            let closed = matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
            if !closed {
                return Err(Failure::Refused(format!("The service can't be asked: {error}.")));
            }
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.hear(deadline)?;
            // Events have neither of them.
            let Ok(answer) = serde_json::from_slice::<Answer<'_>>(&self.line) else { continue };
            match (answer.ok, answer.error) {
                // What nobody has asked is about the connection.
                (_, Some(problem)) if answer.id.is_none_or(|id| id == self.asked) => {
                    return Err(problem.into());
                }
                (Some(ok), _) if answer.id == Some(self.asked) => return Ok(ok.to_owned()),
                (_, None) if answer.id == Some(self.asked) => return Ok(RawValue::NULL.to_owned()),
                _ => {}
            }
        }
    }

    /// Asks; the answer as what it is.
    pub(crate) fn ask<T: DeserializeOwned>(
        &mut self,
        request: &EngineRequest,
    ) -> Result<T, Failure> {
        let answer = self.ask_raw(request)?;
        Ok(serde_json::from_str(answer.get()).context("The answer can't be read")?)
    }

    /// Reads the next line.
    fn hear(&mut self, deadline: Instant) -> Result<(), Failure> {
        let gone = || Failure::NoService("The service has ended.".to_owned());
        let late = || Failure::Refused(format!("The service didn't answer within {PATIENCE:?}."));
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        let left = left.ok_or_else(late)?;
        self.stream
            .get_ref()
            .set_read_timeout(Some(left))
            .context("The connection can't be used")?;
        self.line.clear();
        let mut limited = (&mut self.stream).take(LINE_LIMIT);
        match limited.read_until(b'\n', &mut self.line) {
            Ok(_) if self.line.ends_with(b"\n") => Ok(()),
            Ok(_) => Err(gone()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(gone()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(late())
            }
            Err(error) => Err(Failure::Refused(format!("The service can't be read: {error}."))),
        }
    }
}
