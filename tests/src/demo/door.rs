//! One demo at a time: another start shows the window of the one that runs. Who has the lock runs, and listens at
//! the socket until it ends; the others ask there, until they were answered or have the lock.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// How long the demo that runs may take to show its window, or to end: it may be compiling the device's firmware yet.
const PATIENCE: Duration = Duration::from_secs(120);
/// After how long one that can't be asked, since it just begins or ends, is asked again.
const AGAIN: Duration = Duration::from_millis(100);
/// What it answers when its window is shown, and when that can't be. One that ends answers nothing.
const SHOWN: &[u8] = b"shown\n";
const NOT_SHOWN: &[u8] = b"not shown\n";

/// Where the demo that runs hears of another start.
#[derive(Debug)]
pub(super) struct Door {
    listener: Option<UnixListener>,
    place: PathBuf,
    /// Nobody else has it.
    _lock: File,
}

/// What another start came to.
#[derive(Debug)]
pub(super) enum Entered {
    /// No demo runs: this one does.
    First(Door),
    /// One runs. Whether it has shown its window.
    Another { shown: bool },
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

/// Has the demo that runs show its window; is the one that runs when there is none, or when it has ended.
///
/// # Errors
/// The one that runs neither answers nor ends, or the place can't be taken.
pub(super) async fn enter(place: &Path) -> Result<Entered> {
    let entered = async {
        loop {
            if let Some(lock) = lock(place)? {
                return Ok(Entered::First(Door::open(place, lock)?));
            }
            match knock(place).await {
                Some(shown) => return Ok(Entered::Another { shown }),
                None => tokio::time::sleep(AGAIN).await,
            }
        }
    };
    let entered = tokio::time::timeout(PATIENCE, entered).await;
    entered.context("another demo runs that neither shows its window nor ends")?
}

fn lock_at(place: &Path) -> PathBuf {
    place.with_extension("lock")
}

/// Who has the lock runs. `None`: somebody else has it, or has just ended.
fn lock(place: &Path) -> Result<Option<File>> {
    let path = lock_at(place);
    let what = || format!("{} can't be locked", path.display());
    let file = File::options().create(true).append(true).open(&path).with_context(what)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error).with_context(what),
    }
    // Who ends removes the file, perhaps after it was opened here: then the lock is one that nobody else asks for.
    let mine = file.metadata().with_context(what)?;
    let same = std::fs::metadata(&path)
        .is_ok_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino()));
    Ok(same.then_some(file))
}

/// Asks the demo that runs to show its window; whether it did. `None`: it begins or ends, and can't be asked.
async fn knock(place: &Path) -> Option<bool> {
    let mut stream = UnixStream::connect(place).await.ok()?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Ok(_) if answer == SHOWN => Some(true),
        Ok(_) if answer == NOT_SHOWN => Some(false),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!("the demo that runs doesn't answer: {error}");
            None
        }
    }
}

impl Door {
    fn open(place: &Path, lock: File) -> Result<Self> {
        remove(place).context("the socket of a demo that was killed can't be removed")?;
        let listener = UnixListener::bind(place)
            .with_context(|| format!("cannot listen at {}", place.display()))?;
        Ok(Self { listener: Some(listener), place: place.to_owned(), _lock: lock })
    }

    /// Shows the window at each other start, until that can't be heard any more.
    ///
    /// # Errors
    /// Nobody can be heard.
    pub(super) async fn answer(&self, show: impl AsyncFn() -> bool) -> Result<()> {
        let listener = self.listener.as_ref().context("the door is closed")?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            let answer = if show().await { SHOWN } else { NOT_SHOWN };
            if let Err(error) = stream.write_all(answer).await {
                tracing::debug!("the other start didn't wait: {error}");
            }
        }
    }

    /// Hears nobody any more: who waits for an answer waits for the end instead.
    pub(super) fn close(&mut self) {
        self.listener = None;
    }

    /// Lets another demo run.
    ///
    /// # Errors
    /// The socket or the lock's file is left.
    pub(super) fn leave(self) -> Result<()> {
        // The lock last: it keeps the next one from making its socket before.
        for path in [&self.place, &lock_at(&self.place)] {
            remove(path).with_context(|| format!("{} is left", path.display()))?;
        }
        Ok(())
    }
}

/// Removes a file that may be gone.
fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
