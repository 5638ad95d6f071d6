//! Reading files for somebody who asked: with an end, whatever their disk does.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use wakeflash_core::error::Problem;

/// A share that has gone may answer never.
const DEADLINE: Duration = Duration::from_secs(10);

/// So many threads may hang on files. Whoever asks then gets the same word.
static THREADS: Semaphore = Semaphore::const_new(16);

/// Does work on files that may never end. The thread that hangs is let go of, and keeps its place among those that may.
pub(super) async fn read<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let reading = async {
        let permit = THREADS.acquire().await.map_err(|error| unread(&error))?;
        let thread = spawn_blocking(move || {
            let _held_while_it_hangs = permit;
            work()
        });
        thread.await.map_err(|error| unread(&error))
    };
    match tokio::time::timeout(DEADLINE, reading).await {
        Ok(read) => read,
        Err(_) => Err(Problem::new(
            "files.silent",
            "It can't be read: the disk that it lies on doesn't answer.",
        )
        .with_help("Check the drive or the network share, and ask once more.")),
    }
}

fn unread(error: &dyn std::error::Error) -> Problem {
    Problem::new("engine.defect", format!("It can't be read: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_what_hangs_gets_a_word() {
        let (release, hangs) = std::sync::mpsc::channel::<()>();
        let asked = tokio::spawn(read(move || hangs.recv().is_ok()));
        tokio::task::yield_now().await;
        tokio::time::advance(DEADLINE).await;
        assert_eq!(asked.await.unwrap().unwrap_err().code, "files.silent");
        assert_eq!(read(|| 7).await.unwrap(), 7, "others are read");
        drop(release);
    }
}
