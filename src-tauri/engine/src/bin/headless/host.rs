//! The engine, started, and its one client on standard input and output.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use wakeflash_core::request::Greeting;
use wakeflash_engine::runtime::{self, Engine, EngineOptions, StartError};

use crate::absolute;
use crate::arguments::Hosting;
use crate::failure::Failure;
use crate::session::{Ended, Hosted, Notices, Output, Reader, Said, take_commands, tell};

/// How long what is left of the output may take to be written when everything has ended.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(2);

/// The signals that end the program in order.
pub(crate) struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let followed = |kind| signal(kind).context("signals can't be followed");
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: followed(terminate)?, interrupt: followed(interrupt)? })
    }

    pub(crate) async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Starts the engine, after the database was mended if it is damaged and the user has said how.
pub(crate) async fn start(
    state_dir: PathBuf,
    hosting: Hosting,
    notices: Notices,
) -> Result<(Engine, Hosted), StartError> {
    if let Some(choice) = hosting.choice() {
        runtime::mend_store(state_dir.clone(), choice).await?;
    }
    let (config_dir, esphome) = (absolute(hosting.config)?, absolute(hosting.esphome)?);
    let options = EngineOptions { state_dir, config_dir, esphome };
    let engine = runtime::start(options, Arc::new(notices.clone())).await?;
    let hosted = Hosted::new(engine.handle.clone(), notices);
    Ok((engine, hosted))
}

/// Serves one client on standard input and output.
pub(crate) async fn over_standard_streams(
    state_dir: PathBuf,
    hosting: Hosting,
    detached: bool,
) -> Result<(), Failure> {
    let mut ends = Ends::new()?;
    let output = Output::new(tokio::io::stdout(), Reader::Owner);
    let unread = |error: std::io::Error| {
        Failure::Refused(format!("Standard input and output can't be used: {error}."))
    };
    output.say(&Said::Greeting(Greeting::own())).await.map_err(unread)?;
    let started = tokio::select! {
        started = start(state_dir, hosting, Notices::new()) => started,
        // A disk that hangs holds up no end.
        () = ends.come() => return Ok(()),
    };
    let (mut engine, hosted) = match started {
        Ok(started) => started,
        Err(error) => {
            let (problem, damage) = (error.problem(), error.damage());
            let said = Said::NoStart { id: None, error: problem.clone(), damage };
            within_last_words(output.say(&said)).await.map_err(unread)?;
            return Err(problem.into());
        }
    };
    let mut told = pin!(tell(hosted.feed(), &hosted.ended, &output));
    let commands = async {
        let mut watching = false;
        let ended = take_commands(&hosted, tokio::io::stdin(), &output, &mut watching).await?;
        if ended == Ended::Input && detached {
            std::future::pending::<()>().await;
        }
        Ok::<(), std::io::Error>(())
    };
    let result = tokio::select! {
        ended = commands => ended.map_err(unread),
        () = ends.come() => Ok(()),
        () = engine.broken() => Err(Failure::Refused(
            "The engine has ended because of a fault in Wakeflash. The queue is kept; the log has more.".to_owned(),
        )),
        // Nobody reads what happens any more.
        told = &mut told => Err(unread(told.err().unwrap_or_else(|| std::io::ErrorKind::BrokenPipe.into()))),
    };
    engine.shutdown().await;
    hosted.ended.cancel();
    if result.is_ok() {
        let words = async {
            told.await?;
            output.finish().await
        };
        within_last_words(words).await.map_err(unread)?;
    }
    result
}

async fn within_last_words(
    words: impl Future<Output = std::io::Result<()>>,
) -> std::io::Result<()> {
    tokio::time::timeout(LAST_WORDS, words).await.unwrap_or_else(|_| {
        tracing::warn!("the last lines were not printed: standard output isn't read");
        Ok(())
    })
}
