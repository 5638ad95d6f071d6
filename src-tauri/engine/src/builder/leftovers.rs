//! Builds of an earlier run of the application that was killed and couldn't end them.
//!
//! A signal at the parent's death would need code between fork and exec, which this project doesn't write
//! (it would be unsafe); so what was left is found by its environment at the next start.

/// Ends every process whose environment says that a build with this marker started it. Returns how many.
/// To be called at the start, before the first build. It blocks for up to two seconds.
#[cfg(target_os = "linux")]
#[must_use]
pub fn end_leftovers(marker: &str) -> usize {
    use std::time::{Duration, Instant};

    use rustix::process::{Signal, kill_process};

    let all = marked(marker);
    for pid in &all {
        tracing::info!(
            pid = pid.as_raw_nonzero(),
            "ending a build that an earlier run left behind"
        );
    }
    let start = Instant::now();
    // Also what was killed takes a moment to be gone, and may write until then.
    while start.elapsed() < Duration::from_secs(2) {
        let left = marked(marker);
        if left.is_empty() {
            break;
        }
        let asked_long_enough = start.elapsed() >= Duration::from_secs(1);
        let signal = if asked_long_enough { Signal::KILL } else { Signal::TERM };
        for pid in left {
            match kill_process(pid, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => tracing::warn!(?pid, %error, "a left build can't be ended"),
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    all.len()
}

/// Elsewhere there is no way to read another process's environment. On Windows the job object ends builds
/// with the application; on macOS a build that was left runs to its end, and harms nobody.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn end_leftovers(_marker: &str) -> usize {
    0
}

/// The processes of our own user that carry the marker.
#[cfg(target_os = "linux")]
pub(super) fn marked(marker: &str) -> Vec<rustix::process::Pid> {
    use std::os::unix::fs::MetadataExt as _;

    let wanted = format!("{}={marker}", super::MARKER);
    let user = rustix::process::getuid().as_raw();
    let entries = match std::fs::read_dir("/proc") {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(%error, "builds that an earlier run left can't be looked for");
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { continue };
        if pid == rustix::process::getpid() || !entry.metadata().is_ok_and(|m| m.uid() == user) {
            continue;
        }
        // A process that has just ended, or that hides its environment, is none of ours.
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            found.push(pid);
        }
    }
    found
}
