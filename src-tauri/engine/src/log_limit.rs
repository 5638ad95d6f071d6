//! A limit for the log: what strangers on the network can cause must not fill the disk, nor bury what matters, and
//! nobody who logs waits for it to be written.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::Metadata;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

/// How many lines the same place in the code may write in [`PERIOD`].
const LINES: u32 = 120;
const PERIOD: Duration = Duration::from_secs(60);

/// What a file may get in a day.
const BYTES_A_DAY: u64 = 8 << 20;

/// How many lines wait to be written. Those that come when so many do are lost.
const LINES_WAITING: usize = 4_096;

/// Hands lines to a thread that writes them: a disk that hangs, or a reader that doesn't read, keeps nobody from working.
#[derive(Debug)]
pub struct Aside {
    to: NonBlocking,
    lost_and_said: AtomicUsize,
}

/// What writes to `inner`, and what writes the last lines when it is dropped, which takes a second at most.
pub fn aside(inner: impl Write + Send + 'static) -> (Aside, WorkerGuard) {
    let builder = NonBlockingBuilder::default().thread_name("log");
    let (to, guard) = builder.buffered_lines_limit(LINES_WAITING).finish(inner);
    (Aside { to, lost_and_said: AtomicUsize::new(0) }, guard)
}

impl<'a> MakeWriter<'a> for Aside {
    type Writer = NonBlocking;

    fn make_writer(&'a self) -> Self::Writer {
        let mut to = self.to.clone();
        let lost = to.error_counter().dropped_lines();
        let said = self.lost_and_said.swap(lost, Ordering::AcqRel);
        if lost > said {
            let many = lost - said;
            // What can't be taken is counted again.
            let _ = writeln!(to, "({many} lines were lost: the log could not be written)");
        }
        to
    }
}

/// Writes at most so many lines a minute for each place in the code, and says how many it has left out.
#[derive(Debug)]
pub struct Sparing<M> {
    inner: M,
    windows: Mutex<BTreeMap<&'static str, Window>>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl<M> Sparing<M> {
    /// Limits what goes to `inner`.
    #[must_use]
    pub const fn new(inner: M) -> Self {
        Self { inner, windows: Mutex::new(BTreeMap::new()) }
    }

    /// Whether one more line may be written; with how many that were left out before it.
    fn admit(&self, place: &'static str, now: Instant) -> Option<u64> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Window { since: now, lines: 0, left_out: 0 };
        let window = windows.entry(place).or_insert_with(new);
        if now.duration_since(window.since) >= PERIOD {
            (window.since, window.lines) = (now, 0);
        }
        if window.lines >= LINES {
            window.left_out += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Sparing<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { to: Some(self.inner.make_writer()), left_out: 0 }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        match self.admit(meta.name(), Instant::now()) {
            Some(left_out) => Line { to: Some(self.inner.make_writer_for(meta)), left_out },
            None => Line { to: None, left_out: 0 },
        }
    }
}

/// One line, or none.
#[derive(Debug)]
pub struct Line<W> {
    to: Option<W>,
    left_out: u64,
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(to) = &mut self.to else { return Ok(bytes.len()) };
        if self.left_out > 0 {
            writeln!(to, "({} lines like the next one were left out)", self.left_out)?;
            self.left_out = 0;
        }
        to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// Writes so much in a day, and then nothing until the next: for a file that begins anew each day (UTC).
#[derive(Debug)]
pub struct Daily<M> {
    inner: M,
    today: Mutex<Today>,
}

#[derive(Clone, Copy, Debug)]
struct Today {
    day: u64,
    written: u64,
}

impl<M> Daily<M> {
    /// Limits what goes to `inner`; `written` was written today already.
    #[must_use]
    pub fn new(inner: M, written: u64) -> Self {
        Self { inner, today: Mutex::new(Today { day: day_of(SystemTime::now()), written }) }
    }

    /// How much of a line of this length may be written.
    fn admit(&self, length: usize, day: u64) -> Room {
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if today.day != day {
            *today = Today { day, written: 0 };
        }
        let before = today.written;
        today.written = before.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if before > BYTES_A_DAY {
            Room::None
        } else if today.written > BYTES_A_DAY {
            Room::LastWord
        } else {
            Room::Enough
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Enough,
    LastWord,
    None,
}

fn day_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400
}

impl<'a, M: MakeWriter<'a> + 'a> MakeWriter<'a> for Daily<M> {
    type Writer = OfToday<'a, M>;

    fn make_writer(&'a self) -> Self::Writer {
        OfToday(self)
    }
}

/// A line of today.
#[derive(Debug)]
pub struct OfToday<'a, M>(&'a Daily<M>);

impl<'a, M: MakeWriter<'a>> Write for OfToday<'a, M> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.admit(bytes.len(), day_of(SystemTime::now())) {
            Room::Enough => self.0.inner.make_writer().write_all(bytes)?,
            Room::LastWord => {
                let limit = BYTES_A_DAY >> 20;
                writeln!(
                    self.0.inner.make_writer(),
                    "(the log of this day ends here: it has {limit} MB)"
                )?;
            }
            Room::None => {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.inner.make_writer().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_place_that_writes_without_end_leaves_room_for_the_others() {
        let page = Page::default();
        let to = page.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(Sparing::new(move || to.clone()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            for n in 0..10_000 {
                tracing::warn!("a stranger says {n}");
            }
            tracing::warn!("this matters");
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), usize::try_from(LINES).unwrap() + 1);
        assert!(text.lines().last().unwrap().ends_with("this matters"));
    }

    #[test]
    fn what_was_left_out_is_said() {
        let sparing = Sparing::new(io::sink);
        let start = Instant::now();
        let admitted = (0..1_000).filter(|_| sparing.admit("here", start).is_some()).count();
        assert_eq!(admitted, usize::try_from(LINES).unwrap());
        assert_eq!(sparing.admit("there", start), Some(0));
        let left_out = u64::from(1_000 - LINES);
        assert_eq!(sparing.admit("here", start + PERIOD), Some(left_out));
        assert_eq!(sparing.admit("here", start + PERIOD), Some(0));
        let mut line = Line { to: Some(Vec::new()), left_out: 7 };
        line.write_all(b"next\n").unwrap();
        let text = String::from_utf8(line.to.unwrap()).unwrap();
        assert_eq!(text, "(7 lines like the next one were left out)\nnext\n");
    }

    #[test]
    fn a_file_gets_so_much_in_a_day() {
        let daily = Daily::new(io::sink, BYTES_A_DAY - 10);
        let today = daily.today.lock().unwrap().day;
        assert_eq!(daily.admit(10, today), Room::Enough);
        assert_eq!(daily.admit(1, today), Room::LastWord);
        assert_eq!(daily.admit(1, today), Room::None);
        assert_eq!(daily.admit(1, today + 1), Room::Enough);
    }

    #[test]
    fn what_hangs_keeps_nobody_and_what_is_lost_is_said() {
        let page = Page::default();
        let (aside, guard) = aside(page.clone());
        let hangs = page.0.lock().unwrap();
        for n in 0..2 * LINES_WAITING {
            writeln!(aside.make_writer(), "{n}").unwrap();
        }
        drop(hangs);
        // It has caught up when it takes this line; those before it may have been lost as well.
        let text = || String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        while !text().contains("the last word") {
            writeln!(aside.make_writer(), "the last word").unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(guard);
        assert!(text().starts_with("0\n1\n"));
        assert!(text().contains("lines were lost: the log could not be written)"), "{}", text());
    }
}
