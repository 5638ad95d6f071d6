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

    use rustix::process::{Signal, pidfd_send_signal};

    let all = marked(marker);
    for left in &all {
        tracing::info!(
            pid = left.pid.as_raw_nonzero(),
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
        for Leftover { pid, process } in left {
            match pidfd_send_signal(process, signal) {
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

/// A process that an earlier run left. Its number may be given anew as soon as it is gone; what is held of it is
/// always itself.
#[cfg(target_os = "linux")]
pub(super) struct Leftover {
    pub(super) pid: rustix::process::Pid,
    process: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Leftover {
    /// The process with this number, if it is our own user's and its environment says this.
    fn of(pid: rustix::process::Pid, wanted: &str) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;

        // First held, then looked at: what has the number by then is what is held, or nothing.
        let process =
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()?;
        let path = std::path::PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
        let user = rustix::process::getuid().as_raw();
        if !path.metadata().is_ok_and(|metadata| metadata.uid() == user) {
            return None;
        }
        // A process that has just ended, or that hides its environment, is none of ours.
        let environment = std::fs::read(path.join("environ")).ok()?;
        let is_wanted = |variable: &[u8]| variable == wanted.as_bytes();
        environment.split(|byte| *byte == 0).any(is_wanted).then_some(Self { pid, process })
    }
}

/// The processes of our own user that carry the marker.
#[cfg(target_os = "linux")]
pub(super) fn marked(marker: &str) -> Vec<Leftover> {
    let wanted = format!("{}={marker}", super::MARKER);
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
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        let pid = pid.filter(|pid| *pid != rustix::process::getpid());
        found.extend(pid.and_then(|pid| Leftover::of(pid, &wanted)));
    }
    found
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{Pid, Signal, pidfd_send_signal};

    use super::Leftover;

    #[test]
    fn what_is_held_of_a_process_is_always_itself() {
        let mut child = std::process::Command::new("sleep").arg("600").env("MARK", "1").spawn();
        let child = child.as_mut().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(Leftover::of(pid, "MARK=2").is_none(), "it is somebody else's");
        // Between fork and exec it has the environment of the test.
        let found = std::iter::repeat_with(|| {
            std::thread::yield_now();
            Leftover::of(pid, "MARK=1")
        });
        let left = found.flatten().next().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // Whoever has its number by now.
        let hit = pidfd_send_signal(&left.process, Signal::KILL);
        assert_eq!(hit, Err(rustix::io::Errno::SRCH));
    }
}
