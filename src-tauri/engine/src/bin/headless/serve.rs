//! The engine as a service: it ends when it is told to, whoever comes and goes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use wakeflash_core::error::Problem;
use wakeflash_core::request::Greeting;

use crate::arguments::Hosting;
use crate::failure::{Failure, words};
use crate::host::{Ends, LAST_WORDS, start};
use crate::session::{Ended, Hosted, Notices, Output, Reader, Said, converse};
use crate::{notify, socket};

/// How many clients are served at once.
const CLIENTS: usize = 64;

/// How many more are told that there are too many.
const TURNED_AWAY: usize = 16;

/// A client that takes nothing of what waits for it for so long has gone without a word.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long nobody is accepted when that failed: the files that may be open are used up.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until a signal, or a client's `shutdown`.
pub(crate) async fn serve(state_dir: PathBuf, hosting: Hosting) -> Result<(), Failure> {
    let mut ends = Ends::new()?;
    let started = tokio::select! {
        started = start(state_dir.clone(), hosting, Notices::new()) => started,
        // A disk that hangs holds up no end.
        () = ends.come() => return Ok(()),
    };
    let (mut engine, hosted) = started.map_err(|error| {
        let ways = match error.damage() {
            Some(_) => " On the command line those are --restore-backup and --start-empty.",
            None => "",
        };
        Failure::Refused(format!("{}{ways}", words(&error.problem())))
    })?;
    let result = match socket::listen(&state_dir) {
        Ok(listener) => {
            tracing::info!("clients are served on {}", socket::path(&state_dir).display());
            notify::ready();
            let mut door = Door::new(hosted.clone(), listener);
            let sound = tokio::select! {
                () = ends.come() => true,
                () = door.keep() => true,
                () = engine.broken() => false,
            };
            // While the lock is held: the next service finds no socket, and ours isn't its.
            let removed = socket::remove(&state_dir);
            engine.shutdown().await;
            hosted.ended.cancel();
            door.close().await;
            removed.and_then(|()| {
                ensure!(sound, "the engine has ended by a defect; the log has more");
                Ok(())
            })
        }
        Err(error) => {
            engine.shutdown().await;
            Err(error)
        }
    };
    Ok(result?)
}

/// Lets clients in.
struct Door {
    hosted: Hosted,
    listener: UnixListener,
    places: Arc<Semaphore>,
    /// For those that don't get one.
    benches: Arc<Semaphore>,
    sessions: JoinSet<Option<Ended>>,
}

impl Door {
    fn new(hosted: Hosted, listener: UnixListener) -> Self {
        let (places, benches) = (Semaphore::new(CLIENTS), Semaphore::new(TURNED_AWAY));
        let (places, benches) = (Arc::new(places), Arc::new(benches));
        Self { hosted, listener, places, benches, sessions: JoinSet::new() }
    }

    /// Serves whoever comes, until one of them wants the program to end.
    async fn keep(&mut self) {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((client, _)) => self.let_in(client),
                    Err(error) => {
                        tracing::error!("a client can't be accepted: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(ended) = self.sessions.join_next() => match ended {
                    Ok(Some(Ended::Shutdown)) => return,
                    Ok(Some(Ended::Input) | None) => {}
                    Err(error) => tracing::error!("a client's task ended badly: {error}"),
                },
            }
        }
    }

    fn let_in(&mut self, client: UnixStream) {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let hosted = self.hosted.clone();
            self.sessions.spawn(async move { look_after(hosted, client, place).await });
        } else if let Ok(bench) = Arc::clone(&self.benches).try_acquire_owned() {
            self.sessions.spawn(async move {
                let told = tokio::time::timeout(LAST_WORDS, turn_away(client)).await;
                tracing::warn!("a client was turned away, there are {CLIENTS}: {told:?}");
                drop(bench);
                None
            });
        } else {
            tracing::warn!("a client was turned away without a word");
        }
    }

    /// Waits until every client was told the last.
    async fn close(mut self) {
        drop(self.listener);
        let all = async { while self.sessions.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
            tracing::warn!("{} clients didn't read the last lines", self.sessions.len());
        }
    }
}

async fn look_after(
    hosted: Hosted,
    mut client: UnixStream,
    place: OwnedSemaphorePermit,
) -> Option<Ended> {
    let (input, output) = client.split();
    let ended =
        converse(hosted, input, Output::new(output, Reader::Client { patience: PATIENCE })).await;
    drop(place);
    match ended {
        Ok(ended) => Some(ended),
        Err(error) => {
            tracing::warn!("a client was given up: {error}");
            None
        }
    }
}

async fn turn_away(mut client: UnixStream) -> std::io::Result<()> {
    let (_, output) = client.split();
    let output = Output::new(output, Reader::Owner);
    output.say(&Said::Greeting(Greeting::own())).await?;
    let error = Problem::new("service.full", "Too many programs are connected to this Wakeflash.")
        .with_help("Close one of them and connect again.");
    output.say(&Said::Refusal { id: None, error }).await
}
