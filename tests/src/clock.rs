//! A wall clock that can be set, for one program and what it starts. No namespace has one: a time namespace
//! shifts the other clocks only, and not while somebody is in it. So `clock_gettime` is answered by a library
//! that is loaded before libc.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// The seconds to add are in a file that is mapped into the program.
const LIBRARY: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile long long none, *ahead = &none;

__attribute__((constructor)) static void find(void) {
    const char *path = getenv("LAB_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(0, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) ahead = mapped;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += *ahead;
    return result;
}
"#;

/// A clock. Those who are started with [`LabClock::prefix`] look at it.
pub struct LabClock {
    library: PathBuf,
    file: PathBuf,
    ahead: std::sync::Mutex<i64>,
}

impl LabClock {
    /// A clock that is right.
    ///
    /// # Errors
    /// When there is no C compiler.
    pub async fn new(dir: &Path) -> Result<Self> {
        let (source, library, file) =
            (dir.join("clock.c"), dir.join("clock.so"), dir.join("clock"));
        fs::write(&source, LIBRARY)?;
        fs::write(&file, 0_i64.to_ne_bytes())?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source);
        let compiled = compiler.output().await.context("cannot run cc")?;
        ensure!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Ok(Self { library, file, ahead: std::sync::Mutex::new(0) })
    }

    /// What a program has to be started with to look at this clock.
    #[must_use]
    pub fn prefix(&self) -> Vec<String> {
        let preload = format!("LD_PRELOAD={}", self.library.display());
        vec!["env".to_owned(), preload, format!("LAB_CLOCK={}", self.file.display())]
    }

    /// Sets the clock forward by this time.
    ///
    /// # Errors
    /// When its file can't be written.
    pub fn set_forward(&self, by: Duration) -> Result<()> {
        self.add(i64::try_from(by.as_secs())?)
    }

    /// Sets the clock back by this time.
    ///
    /// # Errors
    /// When its file can't be written.
    pub fn set_back(&self, by: Duration) -> Result<()> {
        self.add(-i64::try_from(by.as_secs())?)
    }

    fn add(&self, seconds: i64) -> Result<()> {
        let mut ahead = self.ahead.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *ahead += seconds;
        // In place: a new file wouldn't be the one that is mapped.
        let file = fs::OpenOptions::new().write(true).open(&self.file)?;
        file.write_all_at(&ahead.to_ne_bytes(), 0).context("cannot set the clock")
    }
}
