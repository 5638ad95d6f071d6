//! The log file of a build. A build doesn't fail because its log can't be written.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::task::spawn_blocking;

use crate::artifacts::{create_private_dir, create_private_file};

/// What goes beyond is left out.
const MAX_LOG: u64 = 64 << 20;

/// How many logs are kept, and how many bytes all of them may have.
const LOGS_KEPT: usize = 200;
const BYTES_KEPT: u64 = 256 << 20;

/// Deletes the logs of all but the newest builds. Blocks.
pub(crate) fn delete_old(state_dir: &Path) {
    delete_beyond(&state_dir.join("logs"), LOGS_KEPT, BYTES_KEPT);
}

fn delete_beyond(dir: &Path, kept: usize, bytes: u64) {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "old build logs can't be looked for");
            return;
        }
    };
    let number = |name: &str| -> Option<u32> {
        name.strip_prefix("build-")?.strip_suffix(".log")?.parse().ok()
    };
    let mut logs: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            Some((number(entry.file_name().to_str()?)?, entry.path(), size))
        })
        .collect();
    logs.sort_by(|one, other| other.cmp(one));
    let mut before = 0;
    let too_many = logs.into_iter().enumerate().filter(|(at, (_, _, size))| {
        before += size;
        // The newest one is kept, whatever its size: it has a limit of its own.
        *at >= kept || (*at > 0 && before > bytes)
    });
    for (_, (_, path, _)) in too_many {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "an old build log can't be deleted");
        }
    }
}

/// An open log, or none.
#[derive(Default)]
pub(super) struct Log {
    file: Option<BufWriter<File>>,
    written: u64,
}

impl Log {
    pub(super) async fn create(path: &Path) -> Self {
        let path = path.to_owned();
        let file = spawn_blocking(move || {
            if let Some(dir) = path.parent() {
                create_private_dir(dir).with_context(|| format!("creating {}", dir.display()))?;
            }
            create_private_file(&path).with_context(|| format!("creating {}", path.display()))
        });
        let file = match file.await.context("the task died").and_then(|file| file) {
            Ok(file) => Some(BufWriter::new(File::from_std(file))),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "a build has no log file");
                None
            }
        };
        Self { file, written: 0 }
    }

    pub(super) async fn write(&mut self, lines: &[String]) {
        let Some(file) = &mut self.file else { return };
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        self.written += bytes.len() as u64;
        let full = self.written > MAX_LOG;
        if full {
            bytes.clear();
            // Writing to a vector doesn't fail.
            let _ = writeln!(bytes, "… The log ends here: it is longer than {} MB.", MAX_LOG >> 20);
        }
        let mut result = file.write_all(&bytes).await;
        if result.is_ok() {
            result = file.flush().await;
        }
        if let Err(error) = &result {
            tracing::warn!(%error, "the log of a build ends early");
        }
        if full || result.is_err() {
            self.file = None;
        }
    }

    pub(super) async fn close(mut self) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.shutdown().await
        {
            tracing::warn!(%error, "the end of a build's log is missing");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_logs_are_kept_and_nothing_else_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["build-9.log", "build-10.log", "build-11.log", "build-x.log", "app.log"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        delete_beyond(dir.path(), 2, 100);
        let mut left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["app.log", "build-10.log", "build-11.log", "build-x.log"]);
    }

    #[test]
    fn all_logs_together_have_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        for (number, size) in [(7, 10), (8, 10), (9, 60), (10, 30)] {
            std::fs::write(dir.path().join(format!("build-{number}.log")), vec![b'x'; size])
                .unwrap();
        }
        let left = |bytes| {
            delete_beyond(dir.path(), 200, bytes);
            let entries = std::fs::read_dir(dir.path()).unwrap();
            let mut left: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            left.sort();
            left
        };
        assert_eq!(left(100), ["build-10.log", "build-8.log", "build-9.log"]);
        assert_eq!(left(20), ["build-10.log"], "the newest is kept");
    }
}
