//! A thread of its own for commits, one at a time. Whoever hands one in needn't wait for it: a disk can take long.

use std::fs::File;
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Commit, Tail, write};

/// How long the end of a commit is waited for when the store is dropped.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// One commit, and what is written beside it.
const QUEUE: usize = 2;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The only one who writes into the database.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<Arc<mpsc::SyncSender<Job>>>,
    under_way: Option<UnderWay>,
    /// Nothing is ever sent: the thread drops its end when the database is closed and the lock given up.
    ended: oneshot::Receiver<()>,
}

/// A commit that was handed in.
#[derive(Debug)]
enum UnderWay {
    Given(oneshot::Receiver<anyhow::Result<()>>),
    /// The thread doesn't take it.
    Refused(anyhow::Error),
}

impl Writer {
    pub(super) fn start(
        mut connection: Connection,
        tail: Tail,
        lock: File,
    ) -> anyhow::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(QUEUE);
        let (ends, ended) = oneshot::channel::<()>();
        let work = move || {
            while let Ok(job) = queue.recv() {
                job(&mut connection);
                // What comes next is stored all the same.
                if let Err(error) = tail.note(&connection) {
                    tracing::warn!("the end of the log isn't noted: {error:#}");
                }
            }
            let closed = connection.close().map_err(|(_, error)| error.into());
            if let Err(error) = closed.and_then(|()| tail.closed()) {
                tracing::error!("the database can't be closed in order: {error:#}");
            }
            drop(lock);
            drop(ends);
        };
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(work)
            .context("starting the thread of the store")?;
        Ok(Self { jobs: Some(Arc::new(jobs)), under_way: None, ended })
    }

    fn give(&self, job: Job) -> anyhow::Result<()> {
        give(self.jobs.as_deref(), job)
    }

    /// Who else writes.
    pub(super) fn beside(&self) -> Beside {
        Beside(self.jobs.as_ref().map(Arc::downgrade).unwrap_or_default())
    }

    /// Hands in a commit; [`Self::stored`] says how it ended.
    pub(super) fn begin(&mut self, commit: Commit) {
        let (done, outcome) = oneshot::channel();
        let given = self.give(Box::new(move |connection| {
            // Whoever asked may be gone; it is written all the same.
            let _ = done.send(write(connection, &commit));
        }));
        self.under_way = Some(match given {
            Ok(()) => UnderWay::Given(outcome),
            Err(error) => UnderWay::Refused(error),
        });
    }

    pub(super) const fn is_storing(&self) -> bool {
        self.under_way.is_some()
    }

    pub(super) async fn stored(&mut self) -> anyhow::Result<()> {
        let outcome = match &mut self.under_way {
            Some(UnderWay::Given(done)) => {
                done.await.context("the thread of the store has ended").flatten()
            }
            Some(UnderWay::Refused(error)) => {
                Err(std::mem::replace(error, anyhow!("told already")))
            }
            None => std::future::pending().await,
        };
        self.under_way = None;
        outcome
    }

    /// Does something with the connection that writes, and waits for it.
    pub(super) fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (done, outcome) = mpsc::channel();
        self.give(Box::new(move |connection| {
            // It is waited for.
            let _ = done.send(work(connection));
        }))?;
        outcome.recv().context("the thread of the store has ended")
    }

    /// Closes the database after the commit that is under way; whether it ended within the limit. The thread goes on
    /// with it otherwise, and the lock stays until then.
    pub(super) async fn shutdown(&mut self, limit: Duration) -> bool {
        drop(self.jobs.take());
        tokio::time::timeout(limit, &mut self.ended).await.is_ok()
    }
}

fn give(jobs: Option<&mpsc::SyncSender<Job>>, job: Job) -> anyhow::Result<()> {
    match jobs.context("the store is closed")?.try_send(job) {
        Ok(()) => Ok(()),
        Err(mpsc::TrySendError::Full(_)) => bail!("the disk doesn't answer"),
        Err(mpsc::TrySendError::Disconnected(_)) => bail!("the thread of the store has ended"),
    }
}

/// Writes beside the commits, and keeps nobody from closing the database.
#[derive(Clone, Debug)]
pub(super) struct Beside(Weak<mpsc::SyncSender<Job>>);

impl Beside {
    /// Does something with the connection that writes. Whoever calls this has it end before the next.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (done, outcome) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may be gone; it is written all the same.
            let _ = done.send(work(connection));
        });
        give(self.0.upgrade().as_deref(), job)?;
        outcome.await.context("the thread of the store has ended")
    }
}

impl Drop for Writer {
    /// The last commit ends, and the database is closed, before the lock is given up.
    fn drop(&mut self) {
        let Some(jobs) = self.jobs.take() else { return };
        drop(jobs);
        let begun = Instant::now();
        while self.ended.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            if begun.elapsed() > LAST_WAIT {
                tracing::error!("the disk doesn't answer: the last change may not be stored");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
