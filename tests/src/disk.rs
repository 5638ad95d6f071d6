//! Disks that aren't as they should be: a small one (a tmpfs in a mount namespace, which can be filled and emptied), and one
//! that takes its time.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::lan::Lan;

/// What fills it up.
const FILLER: &str = "filler";

/// A disk that lasts as long as this.
pub struct Disk {
    pid: u32,
    at: PathBuf,
    _stdin: ChildStdin,
    _child: Child,
}

impl Disk {
    /// Mounts a new disk at a directory, for the processes that are started with [`Disk::prefix`] only.
    ///
    /// # Errors
    /// When it can't be mounted.
    pub async fn new(lan: &Lan, at: &Path, kib: u32) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let script =
            format!("mount -t tmpfs -o size={kib}k tmpfs \"$0\" && echo ready && exec cat");
        let mut command = lan.admin("unshare");
        command.args(["--mount", "setpriv", "--pdeathsig", "KILL", "sh", "-c", &script]).arg(at);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot run unshare (util-linux)")?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let Some(pid) = child.id().filter(|_| line.trim() == "ready") else {
            bail!("cannot mount a small disk at {}", at.display());
        };
        Ok(Self { pid, at: at.to_owned(), _stdin: stdin, _child: child })
    }

    /// What a program has to be started with to see the disk.
    #[must_use]
    pub fn prefix(&self) -> Vec<String> {
        ["nsenter", "-t", &self.pid.to_string(), "-m"].map(str::to_owned).to_vec()
    }

    /// A path on the disk, as it is reached from outside.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        let at = self.at.strip_prefix("/").unwrap_or(&self.at);
        PathBuf::from(format!("/proc/{}/root", self.pid)).join(at).join(path)
    }

    /// Fills the disk to the last byte.
    ///
    /// # Errors
    /// When it can't be written for another reason than that it is full.
    pub fn fill(&self) -> Result<()> {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.path(FILLER))?;
        for size in [64 * 1024, 4096, 1] {
            let piece = vec![0; size];
            loop {
                match file.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("cannot fill the disk"),
                }
            }
        }
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When it wasn't full.
    pub fn free(&self) -> Result<()> {
        std::fs::remove_file(self.path(FILLER)).context("cannot empty the disk")
    }
}

/// What waits before everything that is put on the disk.
const SLOW: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wait(void) {
    const char *ms = getenv("LAB_SYNC_MS");
    long long time = ms ? atoll(ms) : 0;
    struct timespec pause = {time / 1000, time % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

int fsync(int file) { wait(); return syscall(SYS_fsync, file); }
int fdatasync(int file) { wait(); return syscall(SYS_fdatasync, file); }
"#;

/// What a program has to be started with so that each `fsync` takes this much longer, as on an SD card.
///
/// # Errors
/// When there is no C compiler.
pub async fn slow(dir: &Path, by: Duration) -> Result<Vec<String>> {
    let (source, library) = (dir.join("slow.c"), dir.join("slow.so"));
    std::fs::write(&source, SLOW)?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source);
    let compiled = compiler.output().await.context("cannot run cc")?;
    ensure!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let preload = format!("LD_PRELOAD={}", library.display());
    Ok(vec!["env".to_owned(), preload, format!("LAB_SYNC_MS={}", by.as_millis())])
}
