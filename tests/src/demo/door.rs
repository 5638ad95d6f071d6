//! One demo at a time: another start shows the window of the one that runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// How long the demo that runs may take to show its window: it may be compiling the device's firmware yet.
const PATIENCE: Duration = Duration::from_secs(120);
/// What it answers when it has.
const SHOWN: &[u8] = b"shown\n";

/// Where the demo that runs hears of another start.
#[derive(Debug)]
pub(super) struct Door {
    listener: UnixListener,
    place: PathBuf,
}

/// Of this user: in the session's own directory where there is one.
#[must_use]
pub(super) fn place() -> PathBuf {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match session.filter(|dir| dir.is_dir()) {
        Some(dir) => dir.join("wakeflash-demo"),
        None => {
            let user = rustix::process::getuid().as_raw();
            std::env::temp_dir().join(format!("wakeflash-demo-{user}"))
        }
    }
}

/// Asks the demo that runs to show its window; whether it did. `None`: none runs.
///
/// # Errors
/// It doesn't answer.
pub(super) async fn knock(place: &Path) -> Result<Option<bool>> {
    let Ok(mut stream) = UnixStream::connect(place).await else { return Ok(None) };
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .context("the demo that runs doesn't answer")??;
    Ok(Some(answer == SHOWN))
}

impl Door {
    /// Makes one; nobody has answered at the place.
    ///
    /// # Errors
    /// The place can't be taken.
    pub(super) fn open(place: PathBuf) -> Result<Self> {
        // What a demo left that was killed.
        match std::fs::remove_file(&place) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context("another demo's socket can't be removed");
            }
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&place)
            .with_context(|| format!("cannot listen at {}", place.display()))?;
        Ok(Self { listener, place })
    }

    /// Shows the window at each other start, until that can't be heard any more.
    ///
    /// # Errors
    /// Nobody can be heard.
    pub(super) async fn answer(&self, show: impl AsyncFn() -> bool) -> Result<()> {
        loop {
            let (mut stream, _) = self.listener.accept().await?;
            if show().await
                && let Err(error) = stream.write_all(SHOWN).await
            {
                tracing::debug!("the other start didn't wait: {error}");
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.place) {
            tracing::warn!("{} is left: {error}", self.place.display());
        }
    }
}
