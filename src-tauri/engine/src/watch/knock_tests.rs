use super::*;
use tokio::net::{TcpListener, TcpSocket};
use wakeflash_core::knock::HOT;
use wakeflash_core::network::Prefix;

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    targets: watch::Sender<Vec<Target>>,
    events: mpsc::Receiver<WatchEvent>,
    nudger: Nudger,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(targets: Vec<Target>) -> Self {
        let (targets, list) = watch::channel(targets);
        let (events_tx, events) = mpsc::channel(64);
        let (nudger, cancel) = (Nudger::default(), CancellationToken::new());
        let task = tokio::spawn(run(list, events_tx, nudger.clone(), ways(), cancel.clone()));
        Self { targets, events, nudger, cancel, task }
    }

    async fn next(&mut self) -> WatchEvent {
        timeout(60 * SECOND, self.events.recv()).await.expect("no event").unwrap()
    }

    async fn quiet(&mut self, time: Duration) {
        let event = timeout(time, self.events.recv()).await;
        assert!(event.is_err(), "{event:?}");
    }

    async fn end(self) {
        self.cancel.cancel();
        timeout(60 * SECOND, self.task).await.expect("it ends at once").unwrap();
    }
}

/// A port of a loopback address where nobody listens yet.
async fn closed_port(ip: &str) -> SocketAddr {
    TcpListener::bind((ip, 0)).await.unwrap().local_addr().unwrap()
}

/// On this computer, with 127.0.0.0/17 as the network that it is in.
fn ways() -> Ways {
    let prefixes = [Prefix::new([127, 0, 0, 1].into(), 17)].into();
    let (_, daemon) = watch::channel(None);
    let (_, network) = watch::channel(Network { prefixes, ..Network::default() });
    Ways { neighbours: Neighbours::new(), daemon, network }
}

fn target(at: SocketAddr, purpose: Purpose, period: Duration) -> Target {
    Target {
        claimed: Vec::new(),
        recognised: false,
        update: UpdateId(1),
        name: "sleepy".into(),
        other_name: None,
        link_addresses: Vec::new(),
        addresses: vec![TargetAddress::Ip(at.ip())],
        avoid: Vec::new(),
        ports: vec![at.port()],
        purpose,
        period,
    }
}

#[tokio::test]
async fn a_listener_that_opens_later_is_caught_within_the_period() {
    let at = closed_port("127.0.0.11").await;
    let later = closed_port("127.0.0.14").await;
    let often = target(at, Purpose::Capture, Duration::from_millis(200));
    let seldom = Target { update: UpdateId(2), ..target(later, Purpose::Capture, 600 * SECOND) };
    let mut bench = Bench::start(vec![often, Target { name: "other".into(), ..seldom }]);
    for _ in 0..2 {
        let first = bench.next().await;
        let WatchEvent::Unreachable { reason: Unreachable::Refused, .. } = first else {
            panic!("{first:?}")
        };
    }
    // Their refusals were signs of life.
    bench.quiet(HOT + SECOND).await;
    let opened = Instant::now();
    let _later = TcpListener::bind(later).await.unwrap();
    let listener = TcpListener::bind(at).await.unwrap();
    let WatchEvent::Connected { update, name, peer, stream } = bench.next().await else { panic!() };
    assert!(opened.elapsed() < 5 * SECOND, "{:?}", opened.elapsed());
    assert_eq!((update, name.as_str(), peer), (UpdateId(1), "sleepy", at));
    assert!(stream.nodelay().unwrap());
    let (_, from) = listener.accept().await.unwrap();
    assert_eq!(from, stream.local_addr().unwrap(), "the connection itself is handed over");
    bench.nudger.nudge("sleepy");
    bench.quiet(SECOND).await;
    bench.end().await;
}

#[tokio::test]
async fn a_nudge_knocks_at_once() {
    let at = closed_port("127.0.0.12").await;
    let mut bench = Bench::start(vec![target(at, Purpose::Capture, 60 * SECOND)]);
    bench.next().await;
    // Its refusal was a sign of life.
    bench.quiet(HOT + SECOND).await;
    let _listener = TcpListener::bind(at).await.unwrap();
    bench.quiet(SECOND / 2).await;
    let nudged = Instant::now();
    bench.nudger.nudge("sleepy");
    let WatchEvent::Connected { .. } = bench.next().await else { panic!() };
    assert!(nudged.elapsed() < 5 * SECOND, "{:?}", nudged.elapsed());
    bench.end().await;
}

#[tokio::test]
async fn a_device_that_confirms_is_only_looked_at() {
    let listener = TcpListener::bind("127.0.0.13:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut bench = Bench::start(vec![target(at, Purpose::Confirm, SECOND)]);
    let WatchEvent::Returned { peer, .. } = bench.next().await else { panic!() };
    assert_eq!(peer, at);
    let (stream, _) = listener.accept().await.unwrap();
    stream.readable().await.unwrap();
    assert_eq!(stream.try_read(&mut [0; 1]).unwrap(), 0, "closed");
    bench.end().await;
}

#[tokio::test]
async fn names_are_looked_up_and_lists_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut named = target(listener.local_addr().unwrap(), Purpose::Capture, SECOND);
    named.addresses = vec![TargetAddress::Name("localhost".into())];
    let mut bench = Bench::start(Vec::new());
    bench.quiet(SECOND / 5).await;
    bench.targets.send_replace(vec![named]);
    let mut event = bench.next().await;
    if let WatchEvent::Unreachable { .. } = event {
        event = bench.next().await;
    }
    let WatchEvent::Connected { peer, .. } = event else { panic!("{event:?}") };
    assert_eq!(peer.port(), listener.local_addr().unwrap().port());
    bench.end().await;
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_told_once() {
    let mut nowhere = target(closed_port("127.0.0.1").await, Purpose::Capture, SECOND);
    nowhere.addresses = vec![TargetAddress::Name("no-such-host.invalid".into())];
    let mut bench = Bench::start(vec![nowhere]);
    let event = bench.next().await;
    assert!(
        matches!(event, WatchEvent::Unreachable { reason: Unreachable::NameUnknown, .. }),
        "{event:?}"
    );
    bench.end().await;
}

#[tokio::test]
async fn a_fleet_that_does_not_answer_stays_bounded() {
    // A listener whose queue is full drops SYNs, as a sleeping device does.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.14:0".parse().unwrap()).unwrap();
    let silent = socket.listen(1).unwrap();
    let at = silent.local_addr().unwrap();
    let mut fillers = Vec::new();
    for _ in 0..4 {
        fillers.push(timeout(SECOND / 5, TcpStream::connect(at)).await);
    }
    let (tx, mut events) = mpsc::channel(1000);
    let mut knocker = Knocker::new(tx, ways());
    let targets = (0..200).map(|n| Target {
        update: UpdateId(n),
        addresses: vec![TargetAddress::Ip(at.ip())],
        // One address and port would be knocked by one update at a time.
        avoid: Vec::new(),
        ports: vec![if n == 0 { at.port() } else { u16::try_from(20_000 + n).unwrap() }],
        ..target(at, Purpose::Capture, SECOND)
    });
    knocker.set_targets(targets.collect());
    for _ in 0..10 {
        knocker.start_due();
        knocker.evidence(&[("sleepy".to_owned(), BTreeSet::new())].into());
        knocker.start_due();
        assert!(knocker.under_way.len() <= 2 * attempts_allowed());
    }
    knocker.attempts.shutdown().await;
    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn of_connections_that_open_at_once_the_oldest_is_used() {
    let listener = TcpListener::bind("127.0.0.15:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (tx, mut events) = mpsc::channel(8);
    let mut knocker = Knocker::new(tx, ways());
    knocker.set_targets(vec![target(at, Purpose::Capture, Duration::from_millis(1))]);
    for _ in 0..2 {
        knocker.start_due();
        // No attempt goes on meanwhile: this test has one thread.
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut both = Vec::new();
    while let Some(ended) = knocker.attempts.join_next().await {
        both.push(ended.unwrap());
    }
    both.sort_by_key(|(attempt, _)| attempt.id);
    let [(older, older_end), newer] = <[_; 2]>::try_from(both).ok().expect("two attempts");
    let Ended::Connected(stream, _) = &older_end else { panic!("it isn't connected") };
    let wanted = stream.local_addr().unwrap();
    knocker.attempts.spawn(async move { (older, older_end) });
    knocker.some_ended(Ok(newer)).await;
    let Ok(WatchEvent::Connected { stream, .. }) = events.try_recv() else { panic!() };
    assert_eq!(stream.local_addr().unwrap(), wanted);
    assert!(events.try_recv().is_err(), "the other one is closed");
}

/// Somebody listens there, and no connection of ours comes within some knocks.
async fn is_left_alone(listener: &TcpListener) -> bool {
    timeout(SECOND, listener.accept()).await.is_err()
}

/// One comes.
async fn is_knocked_at(listener: &TcpListener) -> bool {
    timeout(60 * SECOND, listener.accept()).await.is_ok()
}

#[tokio::test]
async fn where_it_is_said_to_be_a_device_is_tried_only_in_our_own_network() {
    let near = TcpListener::bind("127.0.0.16:0").await.unwrap();
    let port = near.local_addr().unwrap().port();
    let far = TcpListener::bind(("127.0.200.16", port)).await.unwrap();
    for claimed_by_packet in [false, true] {
        for (listener, knocked) in [(&near, true), (&far, false)] {
            let ip = listener.local_addr().unwrap().ip();
            let mut said = target(SocketAddr::new(ip, port), Purpose::Capture, SECOND / 10);
            said.addresses.clear();
            if !claimed_by_packet {
                said.claimed.push(ip);
            }
            let bench = Bench::start(vec![said]);
            if claimed_by_packet {
                bench.nudger.nudge_at("sleepy", &[ip]);
            }
            let as_wanted = match knocked {
                true => is_knocked_at(listener).await,
                false => is_left_alone(listener).await,
            };
            assert!(as_wanted, "{ip}, {claimed_by_packet}");
            bench.end().await;
        }
    }
    let given = target(far.local_addr().unwrap(), Purpose::Capture, SECOND / 10);
    let bench = Bench::start(vec![given]);
    assert!(is_knocked_at(&far).await, "the user has said so");
    bench.end().await;
}

#[tokio::test]
async fn other_hardware_where_a_proven_device_is_said_to_be_is_no_session_and_no_rest() {
    let own = TcpListener::bind("127.0.0.17:0").await.unwrap();
    let port = own.local_addr().unwrap().port();
    let forger = TcpListener::bind(("127.0.0.18", port)).await.unwrap();
    drop(own);
    let mut device =
        target(SocketAddr::new([127, 0, 0, 17].into(), port), Purpose::Capture, SECOND);
    device.claimed.push([127, 0, 0, 18].into());
    device.recognised = true;
    let mut bench = Bench::start(vec![device]);
    let (mut stranger, mut refused) = (false, false);
    while !(stranger && refused) {
        match bench.next().await {
            WatchEvent::Stranger { name, address } => {
                assert_eq!((name.as_str(), address), ("sleepy", [127, 0, 0, 18].into()));
                stranger = true;
            }
            WatchEvent::Unreachable { reason: Unreachable::Refused, .. } => refused = true,
            other @ (WatchEvent::Seen(_)
            | WatchEvent::Silent { .. }
            | WatchEvent::Network(_)
            | WatchEvent::Links(_)
            | WatchEvent::Connected { .. }
            | WatchEvent::Returned { .. }
            | WatchEvent::Unreachable { .. }) => panic!("{other:?}"),
        }
    }
    let (stream, _) = forger.accept().await.unwrap();
    stream.readable().await.unwrap();
    assert_eq!(stream.try_read(&mut [0; 1]).unwrap(), 0, "closed, and nothing was said");
    assert!(is_left_alone(&forger).await, "it is left alone for a while");
    // The device wakes.
    let _own = TcpListener::bind(("127.0.0.17", port)).await.unwrap();
    let WatchEvent::Connected { peer, .. } = bench.next().await else { panic!() };
    assert_eq!(peer.ip(), IpAddr::from([127, 0, 0, 17]));
    bench.end().await;
}
