//! The application, as its window's process sees it: requests with their answers, and what it says unasked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use wakeflash_core::error::Problem;

use crate::messages::wire::{self, Answer, AppRequest, ToApplication, ToWindow};

/// How long the application has to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many lines may wait to be written.
const WAITING: usize = 64;

#[derive(Clone)]
pub(crate) struct Remote {
    lines: mpsc::Sender<Vec<u8>>,
    asked: Arc<Asked>,
}

/// The requests that wait for their answers.
#[derive(Default)]
struct Asked(Mutex<Book>);

#[derive(Default)]
struct Book {
    last: u64,
    open: HashMap<u64, oneshot::Sender<Answer>>,
    /// The application is gone.
    over: bool,
}

impl Asked {
    fn book(&self) -> MutexGuard<'_, Book> {
        match self.0.lock() {
            Ok(book) => book,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    fn open(&self) -> Option<(u64, oneshot::Receiver<Answer>)> {
        let mut book = self.book();
        if book.over {
            return None;
        }
        book.last += 1;
        let (id, (answer, answered)) = (book.last, oneshot::channel());
        book.open.insert(id, answer);
        Some((id, answered))
    }

    fn close(&self, id: u64) -> Option<oneshot::Sender<Answer>> {
        self.book().open.remove(&id)
    }

    /// Nobody answers any more.
    fn over(&self) {
        let mut book = self.book();
        book.over = true;
        book.open.clear();
    }
}

impl Remote {
    /// The application, and the lines that [`speak`] takes to it.
    #[must_use]
    pub(crate) fn new() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (lines, spoken) = mpsc::channel(WAITING);
        (Self { lines, asked: Arc::default() }, spoken)
    }

    /// Asks the application, and reads its answer.
    ///
    /// # Errors
    /// As [`Self::answer`], or the answer is another one.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        request: impl Into<AppRequest>,
    ) -> Result<T, Problem> {
        read(&self.answer(request.into()).await?)
    }

    /// Asks the application.
    ///
    /// # Errors
    /// As it says, or it is gone, or it doesn't answer in a minute.
    pub(crate) async fn answer(&self, request: AppRequest) -> Answer {
        let (id, answered) = self.asked.open().ok_or_else(gone)?;
        let answer = tokio::time::timeout(PATIENCE, async {
            self.say(&ToApplication::Ask { id, request }).await?;
            answered.await.map_err(|_| gone())?
        });
        let answer = answer.await.unwrap_or_else(|_| Err(silent()));
        // One that comes too late is for nobody.
        drop(self.asked.close(id));
        answer
    }

    /// Tells the application that the window is there.
    pub(crate) async fn shown(&self) {
        if let Err(problem) = self.say(&ToApplication::Shown).await {
            tracing::debug!("nobody is told that the window is shown: {problem}");
        }
    }

    /// Tells the application that the user closes the window.
    pub(crate) async fn closing(&self) {
        if let Err(problem) = self.say(&ToApplication::Closing).await {
            tracing::debug!("nobody is told that the window is closed: {problem}");
        }
    }

    async fn say(&self, message: &ToApplication) -> Result<(), Problem> {
        let line = wire::line(message, wire::TO_APPLICATION).map_err(|error| {
            tracing::error!("a request can't be sent: {error}");
            Problem::new("window.request", "The window can't ask that much at once.")
                .with_help("Choose fewer devices.")
        })?;
        self.lines.send(line).await.map_err(|_| gone())
    }

    /// Takes what the application says, until it is gone. All but answers is handed on.
    pub(crate) async fn listen(
        &self,
        mut input: impl AsyncBufRead + Unpin,
        told: impl Fn(ToWindow),
    ) {
        let mut buffer = Vec::new();
        loop {
            match wire::next(&mut input, &mut buffer, wire::TO_WINDOW).await {
                Ok(Some(ToWindow::Answer { id, answer })) => {
                    let heard = self.asked.close(id).map(|asked| asked.send(answer).is_ok());
                    if heard != Some(true) {
                        tracing::warn!("an answer to request {id} is for nobody");
                    }
                }
                Ok(Some(message)) => told(message),
                Ok(None) => break,
                Err(error) => {
                    tracing::error!("the application can't be heard: {error}");
                    break;
                }
            }
        }
        self.asked.over();
    }
}

/// What an answer says.
///
/// # Errors
/// It is another one than it should be.
pub(crate) fn read<T: DeserializeOwned>(answer: &RawValue) -> Result<T, Problem> {
    serde_json::from_str(answer.get()).map_err(|error| {
        tracing::error!("an answer isn't what it should be: {error}");
        Problem::new("window.answer", "Wakeflash gave an answer that its window can't read.")
            .with_help("Close the window and open it again.")
    })
}

fn gone() -> Problem {
    Problem::new("engine.ended", "Wakeflash is shutting down.")
}

fn silent() -> Problem {
    Problem::new("window.silence", "Wakeflash doesn't answer its window.").with_help(
        "What you asked for may have been done all the same: look at the list before you do it again. If nothing \
         answers any more, quit Wakeflash and start it again.",
    )
}

/// Writes lines until there are no more.
pub(crate) async fn speak(mut lines: mpsc::Receiver<Vec<u8>>, mut output: impl AsyncWrite + Unpin) {
    while let Some(line) = lines.recv().await {
        let written = async {
            output.write_all(&line).await?;
            output.flush().await
        };
        if let Err(error) = written.await {
            return tracing::debug!("the application doesn't listen: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{BufReader, DuplexStream, duplex};
    use wakeflash_core::device::DeviceId;
    use wakeflash_core::request::EngineRequest;

    use super::*;
    use crate::messages::events::OpenDevice;

    /// The window's side, and the two pipes' ends of the application.
    fn pair() -> (Remote, BufReader<DuplexStream>, DuplexStream, mpsc::UnboundedReceiver<ToWindow>)
    {
        let (remote, lines) = Remote::new();
        let (out, requests) = duplex(256);
        let (answers, input) = duplex(256);
        let (told, hears) = mpsc::unbounded_channel();
        tokio::spawn(speak(lines, out));
        let listens = remote.clone();
        tokio::spawn(async move {
            listens.listen(BufReader::new(input), |message| drop(told.send(message))).await;
        });
        (remote, BufReader::new(requests), answers, hears)
    }

    async fn heard(requests: &mut BufReader<DuplexStream>) -> (u64, AppRequest) {
        let mut buffer = Vec::new();
        match wire::next(requests, &mut buffer, wire::TO_APPLICATION).await.unwrap() {
            Some(ToApplication::Ask { id, request }) => (id, request),
            other => panic!("{other:?}"),
        }
    }

    async fn answer(answers: &mut DuplexStream, id: u64, json: &str) {
        let answer = Ok(RawValue::from_string(json.to_owned()).unwrap());
        let line = wire::line(&ToWindow::Answer { id, answer }, wire::TO_WINDOW).unwrap();
        answers.write_all(&line).await.unwrap();
    }

    async fn paused(remote: &Remote, paused: bool) -> Result<bool, Problem> {
        remote.ask(EngineRequest::SetPaused { paused }).await
    }

    #[tokio::test]
    async fn answers_find_their_requests_in_any_order() {
        let (remote, mut requests, mut answers, _hears) = pair();
        let (first, second, ()) =
            tokio::join!(paused(&remote, true), paused(&remote, false), async {
                let (one, two) = (heard(&mut requests).await, heard(&mut requests).await);
                let pause = AppRequest::from(EngineRequest::SetPaused { paused: true });
                for (id, request) in [two, one] {
                    answer(&mut answers, id, if request == pause { "true" } else { "false" }).await;
                }
            });
        assert_eq!((first, second), (Ok(true), Ok(false)));
    }

    #[tokio::test]
    async fn an_answer_that_nobody_asked_for_and_noise_disturb_nothing() {
        let (remote, mut requests, mut answers, mut hears) = pair();
        let (done, ()) = tokio::join!(paused(&remote, true), async {
            let (id, _) = heard(&mut requests).await;
            answer(&mut answers, id + 1, "false").await;
            answers.write_all(b"noise\n{\"Show\":3}\n").await.unwrap();
            let device = DeviceId::of_file("a.yaml");
            let open = ToWindow::Open(OpenDevice { device, show_log: true });
            answers.write_all(&wire::line(&open, wire::TO_WINDOW).unwrap()).await.unwrap();
            answer(&mut answers, id, "true").await;
            answer(&mut answers, id, "false").await;
        });
        assert_eq!(done, Ok(true));
        assert!(matches!(hears.recv().await, Some(ToWindow::Open(open)) if open.show_log));
    }

    #[tokio::test]
    async fn another_answer_than_asked_for_is_a_problem_in_words() {
        let (remote, mut requests, mut answers, _hears) = pair();
        let (done, ()) = tokio::join!(paused(&remote, true), async {
            let (id, _) = heard(&mut requests).await;
            answer(&mut answers, id, "{\"what\":1}").await;
        });
        assert_eq!(done.unwrap_err().code, "window.answer");
    }

    #[tokio::test]
    async fn what_is_too_long_is_refused_and_not_sent() {
        let (remote, _requests, _answers, _hears) = pair();
        let devices = vec![DeviceId::of_file("x".repeat(wire::TO_APPLICATION))];
        let refused: Result<(), Problem> = remote.ask(EngineRequest::CancelMany { devices }).await;
        assert_eq!(refused.unwrap_err().code, "window.request");
    }

    #[tokio::test]
    async fn when_the_application_is_gone_everybody_hears_it() {
        let (remote, mut requests, answers, _hears) = pair();
        let (waiting, ()) = tokio::join!(paused(&remote, true), async {
            heard(&mut requests).await;
            drop(answers);
        });
        assert_eq!(waiting.unwrap_err().code, "engine.ended");
        assert_eq!(paused(&remote, true).await.unwrap_err().code, "engine.ended");
    }

    #[tokio::test(start_paused = true)]
    async fn an_application_that_is_silent_is_not_waited_for_forever() {
        let (remote, _requests, _answers, _hears) = pair();
        assert_eq!(paused(&remote, true).await.unwrap_err().code, "window.silence");
        assert!(remote.asked.book().open.is_empty());
    }
}
