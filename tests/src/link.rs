//! A slow network between a client and a device on this machine: a TCP relay that delays what passes, lets
//! only so many bytes per second through, and only so many be under way to the device.
//!
//! It stands in for a kernel's network emulator, which isn't everywhere. It also is the stopwatch: what it
//! has seen of a connection ([`Trace`]) doesn't depend on what a client says about itself.
//!
//! It works with threads, not tasks: a thread wakes some 0.1 ms late, a timer of the runtime up to 2 ms.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What travels as one piece: a full TCP segment on a network with usual packets.
pub const SEGMENT: usize = 1436;

/// Bytes that may be under way when no smaller window is asked for: more than any client has under way.
const WIDE: usize = 1024 * 1024;

/// How a link behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkOptions {
    /// How long a byte travels and its acknowledgement travels back, together.
    pub round_trip: Duration,
    /// Bits per second in each direction; none is as fast as this machine.
    pub rate: Option<u64>,
    /// The receive window of the device: so many bytes may be under way to it, or be arrived while their
    /// acknowledgement is on its way back. None is more than a client makes use of.
    pub window: Option<usize>,
}

/// Who has said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client, which opened the connection.
    Client,
    Device,
}

/// Bytes of one side, at the moment when they left the client or reached it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// When.
    pub at: Instant,
    /// Who sent them.
    pub from: Side,
    pub bytes: Vec<u8>,
}

/// One connection, as its client has seen it.
#[derive(Clone, Debug)]
pub struct Trace {
    /// When the client connected.
    pub opened: Instant,
    /// What was said, in order of time.
    pub passages: Vec<Passage>,
}

impl Trace {
    /// When the client had sent more than this many bytes; `None` if it never did.
    #[must_use]
    pub fn sent_more_than(&self, bytes: usize) -> Option<Instant> {
        let mut sent = 0;
        self.of(Side::Client).find_map(|passage| {
            sent += passage.bytes.len();
            (sent > bytes).then_some(passage.at)
        })
    }

    /// When the last byte of the device reached the client, and which it was.
    #[must_use]
    pub fn last_word(&self) -> Option<(Instant, u8)> {
        let last = self.of(Side::Device).last()?;
        Some((last.at, *last.bytes.last()?))
    }

    /// How many bytes the client has sent.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.of(Side::Client).map(|passage| passage.bytes.len()).sum()
    }

    /// How often the client has waited for the device until `moment`: the opening of the connection, and
    /// each time that it spoke after the device had spoken, or for the first time.
    #[must_use]
    pub fn round_trips_until(&self, moment: Instant) -> usize {
        let before = self.passages.iter().take_while(|passage| passage.at < moment);
        let mut speaker = None;
        // Whoever answers ends a round trip, which began when the connection or the question did.
        let answers = before.filter(|passage| {
            let turned = speaker != Some(passage.from);
            speaker = Some(passage.from);
            turned && passage.from == Side::Device
        });
        1 + answers.count()
    }

    fn of(&self, side: Side) -> impl Iterator<Item = &Passage> {
        self.passages.iter().filter(move |passage| passage.from == side)
    }
}

/// A running link. Dropping it ends the connections that it carries.
pub struct Link {
    address: SocketAddr,
    traces: Receiver<Trace>,
    over: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    listening: Option<thread::JoinHandle<()>>,
}

impl Link {
    /// Listens at `listen` on 127.0.0.1 (0: any port) and leads to `device`.
    ///
    /// # Errors
    /// When the port can't be had.
    pub fn start(options: LinkOptions, listen: u16, device: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, listen))
            .with_context(|| format!("cannot listen on port {listen}"))?;
        let address = listener.local_addr()?;
        let (report, traces) = mpsc::channel();
        let (over, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (ends, streams) = (Arc::clone(&over), Arc::clone(&open));
        let listening = thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let (report, streams) = (report.clone(), Arc::clone(&streams));
                thread::spawn(move || match carry(client, device, options, &streams) {
                    // Whoever started the link may no longer want to know.
                    Ok(trace) => drop(report.send(trace)),
                    Err(error) => tracing::warn!("the link carried nothing: {error:#}"),
                });
            }
        });
        Ok(Self { address, traces, over, open, listening: Some(listening) })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection that has ended. Blocks.
    ///
    /// # Errors
    /// When none ends within `timeout`.
    pub fn trace(&self, timeout: Duration) -> Result<Trace> {
        self.traces.recv_timeout(timeout).context("no connection over the link has ended")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the listening thread, so that it ends and the port is free again.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(listening) = self.listening.take().filter(|_| woken)
            && listening.join().is_err()
        {
            tracing::error!("a thread of the link has panicked");
        }
        for stream in locked(&self.open).drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Carries one connection until both sides have ended it.
fn carry(
    client: TcpStream,
    device: SocketAddr,
    options: LinkOptions,
    open: &Mutex<Vec<TcpStream>>,
) -> Result<Trace> {
    let opened = Instant::now();
    let one_way = options.round_trip / 2;
    thread::sleep(one_way);
    let device = TcpStream::connect(device).context("the device refuses the connection")?;
    for stream in [&client, &device] {
        stream.set_nodelay(true)?;
        locked(open).push(stream.try_clone()?);
    }
    let passages = Arc::new(Mutex::new(Vec::new()));
    let lane = |from, window: Option<usize>| Lane {
        from,
        one_way,
        rate: options.rate,
        // This machine has answered the client at once. A byte that it sends too early waits until the
        // answer would have reached it.
        free_at: opened + options.round_trip,
        credit: Arc::new(Credit::new(window.unwrap_or(WIDE))),
        passages: Arc::clone(&passages),
    };
    let there = lane(Side::Client, options.window);
    let back = lane(Side::Device, None);
    let (client_back, device_back) = (client.try_clone()?, device.try_clone()?);
    let there = thread::spawn(move || there.run(client, device));
    back.run(device_back, client_back);
    there.join().map_err(|_| anyhow::anyhow!("a lane of the link has panicked"))?;
    let mut passages = std::mem::take(&mut *locked(&passages));
    passages.sort_by_key(|passage| passage.at);
    Ok(Trace { opened, passages })
}

/// One direction of a connection.
struct Lane {
    from: Side,
    one_way: Duration,
    rate: Option<u64>,
    /// When the sender's end of the wire is free for the next piece.
    free_at: Instant,
    credit: Arc<Credit>,
    passages: Arc<Mutex<Vec<Passage>>>,
}

impl Lane {
    /// Reads pieces as the window allows, and gives each its time of arrival.
    fn run(mut self, mut source: TcpStream, sink: TcpStream) {
        let (pieces, arrivals) = mpsc::channel();
        let (acknowledge, acknowledgements) = mpsc::channel();
        let credit = Arc::clone(&self.credit);
        let returns = thread::spawn(move || return_credit(&acknowledgements, &credit));
        let (notes, from, one_way) = (Arc::clone(&self.passages), self.from, self.one_way);
        let delivery = thread::spawn(move || {
            deliver(&arrivals, sink, one_way, &acknowledge, |bytes| {
                if from == Side::Device {
                    note(&notes, from, bytes);
                }
            });
        });
        let mut buffer = [0; SEGMENT];
        loop {
            let allowed = self.credit.take(SEGMENT);
            let Some(room) = buffer.get_mut(..allowed) else { break };
            let count = match source.read(room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Ok(count @ 1..) => count,
                Ok(_) | Err(_) => break,
            };
            self.credit.give(allowed - count);
            if count == 0 {
                continue;
            }
            let bytes = buffer.get(..count).unwrap_or_default().to_vec();
            if self.from == Side::Client {
                note(&self.passages, self.from, &bytes);
            }
            let arrival = self.depart(count) + self.one_way;
            if pieces.send((arrival, bytes)).is_err() {
                break;
            }
        }
        drop(pieces);
        for thread in [delivery, returns] {
            if thread.join().is_err() {
                tracing::error!("a thread of the link has panicked");
            }
        }
    }

    /// When the last bit of a piece leaves the sender.
    fn depart(&mut self, bytes: usize) -> Instant {
        let on_wire = self.rate.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64)
        });
        self.free_at = self.free_at.max(Instant::now()) + on_wire;
        self.free_at
    }
}

fn note(passages: &Mutex<Vec<Passage>>, from: Side, bytes: &[u8]) {
    locked(passages).push(Passage { at: Instant::now(), from, bytes: bytes.to_vec() });
}

/// Hands pieces over when they arrive; their acknowledgement then travels back.
fn deliver(
    arrivals: &Receiver<(Instant, Vec<u8>)>,
    mut sink: TcpStream,
    one_way: Duration,
    acknowledge: &Sender<(Instant, usize)>,
    delivering: impl Fn(&[u8]),
) {
    for (arrival, bytes) in arrivals {
        sleep_until(arrival);
        delivering(&bytes);
        if sink.write_all(&bytes).is_err() {
            break;
        }
        // Its receiver lives until this sender is gone.
        let _ = acknowledge.send((Instant::now() + one_way, bytes.len()));
    }
    // The other side may have ended before.
    let _ = sink.shutdown(Shutdown::Write);
}

fn return_credit(acknowledgements: &Receiver<(Instant, usize)>, credit: &Credit) {
    for (arrival, bytes) in acknowledgements {
        sleep_until(arrival);
        credit.give(bytes);
    }
    // Whatever is still to be read is read, if only to learn that the connection is over.
    credit.give(WIDE);
}

fn sleep_until(moment: Instant) {
    let left = moment.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}

/// Bytes that may still be sent into the window.
struct Credit {
    bytes: Mutex<usize>,
    changed: Condvar,
}

impl Credit {
    fn new(bytes: usize) -> Self {
        Self { bytes: Mutex::new(bytes), changed: Condvar::new() }
    }

    /// Waits until there is some, and takes up to `most`.
    fn take(&self, most: usize) -> usize {
        let guard = locked(&self.bytes);
        let mut bytes = self
            .changed
            .wait_while(guard, |bytes| *bytes == 0)
            .unwrap_or_else(PoisonError::into_inner);
        let taken = most.min(*bytes);
        *bytes -= taken;
        taken
    }

    fn give(&self, bytes: usize) {
        *locked(&self.bytes) += bytes;
        self.changed.notify_one();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
