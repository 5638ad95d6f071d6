//! A small disk: a tmpfs in a mount namespace, which can be filled and emptied.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin};

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
