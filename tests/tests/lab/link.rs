//! The slow link: what it says about delay, rate and window is so.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wakeflash_tests::link::{Link, LinkOptions, Side};

/// What a busy machine may add. The link must never be faster than it says.
const LATE: Duration = Duration::from_secs(20);

fn link(options: LinkOptions, device: SocketAddr) -> (Link, TcpStream) {
    let link = Link::start(options, 0, device).unwrap();
    let client = TcpStream::connect(link.address()).unwrap();
    client.set_nodelay(true).unwrap();
    (link, client)
}

/// Answers each byte with the next one.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut byte = [0];
        while stream.read(&mut byte).unwrap() == 1 {
            stream.write_all(&[byte[0] + 1]).unwrap();
        }
    });
    address
}

/// Takes everything, and says when how much of it had come.
fn sink() -> (SocketAddr, JoinHandle<Vec<(Instant, usize)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arrivals = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut buffer, mut total, mut arrivals) = ([0; 65_536], 0, Vec::new());
        loop {
            let count = stream.read(&mut buffer).unwrap();
            if count == 0 {
                return arrivals;
            }
            total += count;
            arrivals.push((Instant::now(), total));
        }
    });
    (address, arrivals)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_question_takes_a_round_trip_and_the_first_one_two() {
    for round_trip in [0, 20, 100].map(Duration::from_millis) {
        let (link, mut client) = link(LinkOptions { round_trip, ..LinkOptions::default() }, echo());
        let mut times = Vec::new();
        for question in 0..9 {
            let asked = Instant::now();
            client.write_all(&[question]).unwrap();
            let mut answer = [0];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [question + 1]);
            times.push(asked.elapsed());
        }
        assert!(times[0] < 2 * round_trip + LATE, "{times:?}");
        assert!(times[1..].iter().all(|time| *time >= round_trip), "{times:?}");
        assert!(median(times.clone()) < round_trip + LATE, "{times:?}");
        drop(client);
        let trace = link.trace(Duration::from_secs(60)).unwrap();
        // The first one waits for the connection, which this machine opened at once.
        let first = trace.passages[1].at - trace.opened;
        assert!(first >= 2 * round_trip, "{first:?}");
        let words: Vec<_> = trace.passages.iter().map(|word| (word.from, word.bytes[0])).collect();
        let expected = (0..9).flat_map(|word| [(Side::Client, word), (Side::Device, word + 1)]);
        assert_eq!(words, expected.collect::<Vec<_>>());
        let last_question = trace.sent_more_than(8).unwrap();
        assert_eq!(trace.round_trips_until(last_question), 9);
        assert_eq!((trace.sent(), trace.last_word().unwrap().1), (9, 9));
    }
}

#[test]
fn no_more_than_the_window_is_under_way() {
    const WINDOW: usize = 5744;
    let round_trip = Duration::from_millis(100);
    let (device, arrivals) = sink();
    let options = LinkOptions { round_trip, rate: None, window: Some(WINDOW) };
    let (link, mut client) = link(options, device);
    client.write_all(&vec![7; 10 * WINDOW]).unwrap();
    drop(client);
    let arrivals = arrivals.join().unwrap();
    // The first byte is sent when the connection is open, and travels for half a round trip.
    let first = link.trace(Duration::from_secs(60)).unwrap().opened + round_trip * 3 / 2;
    assert_eq!(arrivals.last().unwrap().1, 10 * WINDOW);
    for (at, total) in &arrivals {
        let windows = total.div_ceil(WINDOW) as u32 - 1;
        assert!(*at >= first + round_trip * windows, "{total} bytes after {:?}", *at - first);
    }
    let whole = arrivals.last().unwrap().0 - first;
    assert!(whole < round_trip * 9 + LATE, "{whole:?}");
}

#[test]
fn no_more_than_the_rate_comes_through() {
    let (device, arrivals) = sink();
    let options = LinkOptions { rate: Some(300_000), ..LinkOptions::default() };
    let (link, mut client) = link(options, device);
    client.write_all(&vec![7; 37_500]).unwrap();
    drop(client);
    let arrivals = arrivals.join().unwrap();
    let (last, total) = *arrivals.last().unwrap();
    assert_eq!(total, 37_500);
    let whole = last - link.trace(Duration::from_secs(60)).unwrap().opened;
    // Each piece's time is rounded to nanoseconds.
    let expected = Duration::from_secs(1) - Duration::from_micros(1);
    assert!(whole >= expected && whole < expected + LATE, "{whole:?}");
}
