//! Child processes in groups of their own: their output line by line, their limits, their certain end.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wakeflash_esphome::compile::Exit;

/// A longer line is cut; its end is not kept.
const MAX_LINE: usize = 8 << 10;
/// After the process has ended, how long its output may be held open by others.
const DRAIN: Duration = Duration::from_millis(500);
/// How long after SIGTERM the group is killed.
const GRACE: Duration = Duration::from_secs(1);

/// How long a process may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub total: Duration,
    /// Without a word.
    pub silence: Duration,
}

/// What a process did.
#[derive(Debug)]
pub(crate) enum Event {
    /// It said something, without line ends.
    Lines(Vec<String>),
    /// It is over, or has to be ended: then [`Process::end`] is to be called.
    Ended(Ended),
}

/// How it came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, or by a signal of somebody else.
    Exited(Exit),
    /// The caller cancelled it.
    Cancelled,
    /// It took longer than [`Limits::total`].
    Overdue,
    /// It said nothing for [`Limits::silence`].
    Silent,
}

fn exit_of(status: ExitStatus) -> Exit {
    match status.code() {
        Some(code) => Exit::Code(code),
        #[cfg(unix)]
        None => Exit::Signal(std::os::unix::process::ExitStatusExt::signal(&status)),
        #[cfg(not(unix))]
        None => Exit::Signal(None),
    }
}

/// A running process with everything that it has started. Dropping it kills them all.
pub(crate) struct Process {
    child: Box<dyn ChildWrapper>,
    group: Group,
    lines: LineReader,
    cancel: CancellationToken,
    limits: Limits,
    started: Instant,
    heard: Instant,
    exit: Option<(ExitStatus, Instant)>,
    at_end: bool,
}

impl Process {
    /// Starts it with its output and its errors in one stream.
    pub(crate) fn spawn(
        mut command: Command,
        limits: Limits,
        cancel: CancellationToken,
    ) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut command = CommandWrap::from(command);
        #[cfg(unix)]
        command.wrap(process_wrap::tokio::ProcessGroup::leader());
        #[cfg(windows)]
        command.wrap(process_wrap::tokio::JobObject);
        let child = command.spawn()?;
        // The command holds our ends of the pipe, and with them the end of the output would never come.
        drop(command);
        let group = Group::of(child.as_ref());
        let now = Instant::now();
        Ok(Self {
            child,
            group,
            lines: LineReader::new(reader)?,
            cancel,
            limits,
            started: now,
            heard: now,
            exit: None,
            at_end: false,
        })
    }

    /// The next thing that happens. Cancel safe.
    pub(crate) async fn next(&mut self) -> io::Result<Event> {
        loop {
            if self.at_end
                && let Some((status, _)) = self.exit
            {
                return Ok(Event::Ended(Ended::Exited(exit_of(status))));
            }
            let overdue = self.started + self.limits.total;
            let silent = self.heard + self.limits.silence;
            let drained = self.exit.map(|(_, at)| at + DRAIN);
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Ok(Event::Ended(Ended::Cancelled)),
                () = sleep_until(overdue) => return Ok(Event::Ended(Ended::Overdue)),
                lines = self.lines.next(), if !self.at_end => match lines? {
                    Some(lines) => {
                        self.heard = Instant::now();
                        if !lines.is_empty() {
                            return Ok(Event::Lines(lines));
                        }
                    }
                    None => self.at_end = true,
                },
                () = sleep_until(silent) => return Ok(Event::Ended(Ended::Silent)),
                status = self.child.wait(), if self.exit.is_none() => {
                    self.exit = Some((status?, Instant::now()));
                }
                // Something that it left behind holds the stream open.
                () = sleep_until(drained.unwrap_or(overdue)), if drained.is_some() => {
                    self.at_end = true;
                }
            }
        }
    }

    /// Ends the whole group: asks it to, then kills it. Takes less than two seconds.
    pub(crate) async fn end(mut self) {
        self.group.terminate(self.child.as_mut());
        let until = Instant::now() + GRACE;
        loop {
            if self.exit.is_none()
                && let Ok(Ok(status)) = timeout(Duration::from_millis(20), self.child.wait()).await
            {
                self.exit = Some((status, Instant::now()));
            }
            if self.exit.is_some() && !self.group.has_members() || Instant::now() >= until {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        self.group.kill(self.child.as_mut());
        if self.exit.is_none() {
            match timeout(GRACE / 2, self.child.wait()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a killed process can't be waited for"),
                Err(_) => tracing::warn!("a killed process hangs in the kernel"),
            }
        }
        // What was killed takes a moment to be gone, and may write until then.
        let until = Instant::now() + Duration::from_millis(300);
        while self.group.has_members() && Instant::now() < until {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The process group of a child, killed when dropped. Elsewhere than on Unix the job object does that.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

#[cfg(unix)]
impl Group {
    fn of(child: &dyn ChildWrapper) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: leader.and_then(rustix::process::Pid::from_raw) }
    }

    fn has_members(&self) -> bool {
        self.leader.is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
    }

    fn signal(&self, signal: rustix::process::Signal) {
        if let Some(group) = self.leader {
            match rustix::process::kill_process_group(group, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => tracing::warn!(?group, %error, "a process group can't be ended"),
            }
        }
    }

    fn terminate(&self, _child: &mut dyn ChildWrapper) {
        self.signal(rustix::process::Signal::TERM);
    }

    fn kill(&mut self, _child: &mut dyn ChildWrapper) {
        self.signal(rustix::process::Signal::KILL);
        self.leader = None;
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::KILL);
    }
}

#[cfg(not(unix))]
impl Group {
    fn of(_child: &dyn ChildWrapper) -> Self {
        Self {}
    }

    fn has_members(&self) -> bool {
        false
    }

    fn terminate(&self, child: &mut dyn ChildWrapper) {
        if let Err(error) = child.start_kill() {
            tracing::warn!(%error, "a process can't be ended");
        }
    }

    fn kill(&mut self, child: &mut dyn ChildWrapper) {
        self.terminate(child);
    }
}

#[cfg(unix)]
type PipeEnd = tokio::net::unix::pipe::Receiver;
#[cfg(not(unix))]
type PipeEnd = tokio::fs::File;

/// Lines out of a pipe. A carriage return ends a line too: progress bars overwrite themselves with it.
struct LineReader {
    pipe: PipeEnd,
    splitter: Splitter,
    buffer: Vec<u8>,
}

impl LineReader {
    fn new(pipe: io::PipeReader) -> io::Result<Self> {
        #[cfg(unix)]
        let pipe = PipeEnd::from_owned_fd(pipe.into())?;
        #[cfg(not(unix))]
        let pipe =
            PipeEnd::from_std(std::fs::File::from(std::os::windows::io::OwnedHandle::from(pipe)));
        Ok(Self { pipe, splitter: Splitter::default(), buffer: vec![0; 16 << 10] })
    }

    /// The lines that came, or none when they are incomplete; `None` at the end. Cancel safe.
    async fn next(&mut self) -> io::Result<Option<Vec<String>>> {
        let count = self.pipe.read(&mut self.buffer).await?;
        if count == 0 {
            let rest = self.splitter.finish();
            return Ok(if rest.is_empty() { None } else { Some(rest) });
        }
        Ok(Some(self.splitter.push(self.buffer.get(..count).unwrap_or_default())))
    }
}

/// Cuts bytes into lines.
#[derive(Default)]
struct Splitter {
    line: Vec<u8>,
    cut: usize,
    after_return: bool,
}

impl Splitter {
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => lines.push(self.take()),
                _ if self.line.len() < MAX_LINE => self.line.push(byte),
                _ => self.cut += 1,
            }
        }
        lines
    }

    fn finish(&mut self) -> Vec<String> {
        if self.line.is_empty() { Vec::new() } else { vec![self.take()] }
    }

    fn take(&mut self) -> String {
        let mut text = String::from_utf8_lossy(&self.line).into_owned();
        let cut = std::mem::take(&mut self.cut);
        if cut > 0 {
            text.push_str(&format!("… ({cut} more bytes)"));
        }
        self.line.clear();
        text
    }
}

/// The PATH with a directory in front of it: ESPHome wants the tools of its own environment.
pub(crate) fn path_with(first: Option<&Path>) -> Option<std::ffi::OsString> {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: VecDeque<_> = std::env::split_paths(&inherited).collect();
    if let Some(first) = first {
        dirs.push_front(first.to_owned());
    }
    std::env::join_paths(dirs).ok()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { total: Duration::from_secs(20), silence: Duration::from_secs(20) };

    fn shell(script: &str, limits: Limits, cancel: &CancellationToken) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn(command, limits, cancel.clone()).unwrap()
    }

    async fn all(process: &mut Process) -> (Vec<String>, Ended) {
        let mut said = Vec::new();
        loop {
            match process.next().await.unwrap() {
                Event::Lines(lines) => said.extend(lines),
                Event::Ended(ended) => return (said, ended),
            }
        }
    }

    #[test]
    fn lines_are_cut_everywhere() {
        let mut splitter = Splitter::default();
        let mut lines = splitter.push(b"a\r");
        lines.extend(splitter.push(b"\nb\r\rc\xFF\n"));
        lines.extend(splitter.push(&vec![b'x'; MAX_LINE + 5]));
        lines.extend(splitter.push(b"\n\nend"));
        lines.extend(splitter.finish());
        assert_eq!(lines[..4], ["a", "b", "", "c\u{FFFD}"]);
        assert!(lines[4].ends_with("x… (5 more bytes)"));
        assert_eq!(lines[5..], ["", "end"]);
    }

    #[tokio::test]
    async fn output_and_errors_keep_their_order() {
        let cancel = CancellationToken::new();
        let mut process = shell("echo a; echo b >&2; echo c; exit 3", LIMITS, &cancel);
        let (said, ended) = all(&mut process).await;
        assert_eq!(said, ["a", "b", "c"]);
        assert_eq!(ended, Ended::Exited(Exit::Code(3)));
    }

    #[tokio::test]
    async fn limits_hold() {
        let cancel = CancellationToken::new();
        let silence = Duration::from_millis(200);
        let mut process = shell("sleep 30", Limits { silence, ..LIMITS }, &cancel);
        assert_eq!(all(&mut process).await.1, Ended::Silent);
        process.end().await;
        let limits = Limits { total: Duration::from_millis(300), ..LIMITS };
        let mut process = shell("while :; do echo x; sleep 0.05; done", limits, &cancel);
        assert_eq!(all(&mut process).await.1, Ended::Overdue);
        process.end().await;
    }

    /// The grandchild writes its own id and ignores SIGTERM.
    const STUBBORN: &str = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' & wait; sleep 60";

    async fn grandchild(process: &mut Process) -> rustix::process::Pid {
        let Event::Lines(lines) = process.next().await.unwrap() else { panic!("no line") };
        rustix::process::Pid::from_raw(lines[0].parse().unwrap()).unwrap()
    }

    fn is_gone(pid: rustix::process::Pid) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        stat.map_or(true, |stat| stat.contains(") Z "))
    }

    /// What was killed takes a moment to be gone.
    async fn until_gone(pid: rustix::process::Pid) {
        let gone = async {
            while !is_gone(pid) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.expect("it is still there");
    }

    #[tokio::test]
    async fn a_cancel_ends_the_stubborn_too() {
        let cancel = CancellationToken::new();
        let mut process = shell(STUBBORN, LIMITS, &cancel);
        let grandchild = grandchild(&mut process).await;
        cancel.cancel();
        let start = Instant::now();
        assert_eq!(all(&mut process).await.1, Ended::Cancelled);
        process.end().await;
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        until_gone(grandchild).await;
    }

    #[tokio::test]
    async fn dropping_kills_the_group() {
        let mut process = shell(STUBBORN, LIMITS, &CancellationToken::new());
        let grandchild = grandchild(&mut process).await;
        drop(process);
        until_gone(grandchild).await;
    }

    #[tokio::test]
    async fn a_straggler_does_not_hold_up_the_end() {
        let mut process = shell("sleep 30 & echo done", LIMITS, &CancellationToken::new());
        let start = Instant::now();
        assert_eq!(
            all(&mut process).await,
            (vec!["done".to_owned()], Ended::Exited(Exit::Code(0)))
        );
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
