use super::*;
use simple_dns::rdata::{A, PTR, RData, TXT};
use simple_dns::{CLASS, Name, Packet as Dns, ResourceRecord};
use wakeflash_core::knock::{Purpose, TargetAddress};
use wakeflash_core::update::UpdateId;

const AT: [u8; 4] = [10, 0, 0, 7];

struct Bench {
    listener: Listener,
    nudger: Nudger,
    hearing: Hearing,
    doubted: mpsc::Receiver<String>,
}

/// A listener with one device that is waited for: `sleepy`, last seen at 10.0.0.7.
fn bench() -> Bench {
    let (events, _) = mpsc::channel(1);
    let (nudger, hearing) = (Nudger::default(), Hearing::default());
    let (doubts, doubted) = Doubts::new();
    let neighbours = Neighbours::new();
    let wiring =
        Wiring { events, nudger: nudger.clone(), hearing: hearing.clone(), neighbours, doubts };
    let target = Target {
        claimed: Vec::new(),
        recognised: false,
        update: UpdateId(1),
        name: "sleepy".into(),
        other_name: None,
        link_addresses: Vec::new(),
        addresses: vec![TargetAddress::Ip(AT.into())],
        avoid: Vec::new(),
        ports: vec![3232],
        purpose: Purpose::Capture,
        period: Duration::from_secs(2),
    };
    let mut listener = Listener::new(wiring, Interest::of(&[target]));
    listener.know(&["kitchen".to_owned(), "sleepy".to_owned()]);
    Bench { listener, nudger, hearing, doubted }
}

fn name(text: &str) -> Name<'_> {
    Name::new(text).unwrap()
}

fn record<'a>(owner: &'a str, ttl: u32, rdata: RData<'a>) -> ResourceRecord<'a> {
    ResourceRecord::new(name(owner), CLASS::IN, ttl, rdata)
}

fn response(records: Vec<ResourceRecord<'_>>) -> Vec<u8> {
    let mut packet = Dns::new_reply(0);
    packet.answers = records;
    packet.build_bytes_vec().unwrap()
}

fn address_of(host: &str, at: [u8; 4]) -> Vec<u8> {
    response(vec![record(host, 120, RData::A(A::from(Ipv4Addr::from(at))))])
}

fn service(instance: &str, service: &str, ttl: u32) -> Vec<u8> {
    let instance = format!("{instance}.{service}");
    response(vec![record(service, ttl, RData::PTR(PTR(name(&instance))))])
}

/// A whole announcement, with this version.
fn announces(device: &str, version: &str) -> Vec<u8> {
    let instance = format!("{device}.{NATIVE}");
    let version = format!("version={version}");
    let txt = TXT::new().with_string("mac=983569abf679").unwrap().with_string(&version).unwrap();
    response(vec![
        record(NATIVE, 4500, RData::PTR(PTR(name(&instance)))),
        record(&instance, 4500, RData::TXT(txt)),
    ])
}

fn probe() -> Vec<u8> {
    let mut packet = Dns::new_query(0);
    packet.name_servers = vec![record("sleepy.local", 120, RData::A(A::from(Ipv4Addr::from(AT))))];
    packet.build_bytes_vec().unwrap()
}

impl Bench {
    fn hear(&mut self, bytes: Vec<u8>, sender: [u8; 4]) {
        self.listener.hear(&Packet { bytes, sender: sender.into() });
    }

    /// The names that were nudged since the last call.
    async fn nudged(&self) -> Vec<String> {
        let taken = tokio::time::timeout(Duration::from_millis(1), self.nudger.take()).await;
        taken.map_or_else(|_| Vec::new(), |names| names.into_keys().collect())
    }
}

const NATIVE: &str = "_esphomelib._tcp.local";
const WEB: &str = "_http._tcp.local";

#[tokio::test(start_paused = true)]
async fn everything_that_shows_a_waiting_device_is_evidence() {
    let query = Dns::new_query(0).build_bytes_vec().unwrap();
    for (case, bytes, sender, evidence) in [
        ("its announcement", service("sleepy", NATIVE, 4500), AT, true),
        ("its address", address_of("sleepy.local", [10, 0, 0, 8]), [10, 0, 0, 8], true),
        ("its probe", probe(), AT, true),
        ("any packet from its address", query.clone(), AT, true),
        ("noise from its address", vec![0xff; 7], AT, true),
        ("its goodbye", service("sleepy", NATIVE, 0), AT, false),
        ("somebody's question", query, [10, 0, 0, 8], false),
        ("another device", service("kitchen", NATIVE, 4500), [10, 0, 0, 8], false),
    ] {
        let mut bench = bench();
        for again in 0..2 {
            bench.hear(bytes.clone(), sender);
            assert_eq!(!bench.nudged().await.is_empty(), evidence, "{case}, {again}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn evidence_brings_its_address_along() {
    let mut bench = bench();
    bench.hear(address_of("SLEEPY.local", [10, 0, 0, 9]), [10, 0, 0, 9]);
    let names = bench.nudger.take().await;
    assert_eq!(names["sleepy"], [IpAddr::from([10, 0, 0, 9])].into());
}

#[tokio::test(start_paused = true)]
async fn the_same_words_are_told_once_a_minute_unless_it_is_waited_for() {
    let mut bench = bench();
    for _ in 0..100 {
        bench.hear(service("kitchen", NATIVE, 4500), [10, 0, 0, 8]);
    }
    assert_eq!(bench.listener.pending.len(), 1);
    assert!(bench.hearing.last_heard("kitchen").is_some(), "but it is there");
    bench.hear(service("kitchen", NATIVE, 0), [10, 0, 0, 8]);
    bench.hear(service("kitchen", NATIVE, 4500), [10, 0, 0, 8]);
    let kinds: Vec<_> = bench.listener.pending.iter().map(|seen| seen.kind).collect();
    assert_eq!(kinds, [SightingKind::Alive, SightingKind::Gone, SightingKind::Alive]);
    bench.listener.pending.clear();
    tokio::time::advance(AGAIN).await;
    bench.hear(service("kitchen", NATIVE, 4500), [10, 0, 0, 8]);
    for _ in 0..3 {
        bench.hear(service("sleepy", NATIVE, 4500), AT);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(bench.listener.pending.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_web_server_that_goes_takes_no_device_along_that_has_its_api() {
    let mut bench = bench();
    bench.hear(service("sleepy", NATIVE, 4500), AT);
    bench.listener.pending.clear();
    bench.hear(service("sleepy", WEB, 0), AT);
    assert!(bench.listener.pending.is_empty());
    assert_eq!(bench.doubted.try_recv().unwrap(), "sleepy");
    for service_type in [NATIVE, WEB] {
        tokio::time::advance(Duration::from_secs(1)).await;
        bench.hear(service("sleepy", service_type, 0), AT);
        assert_eq!(bench.listener.pending.pop_front().unwrap().kind, SightingKind::Gone);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_names_takes_no_more_room() {
    let mut bench = bench();
    for n in 0..10_000 {
        bench.hear(address_of(&format!("n{n}.local"), [10, 0, 0, 8]), [10, 0, 0, 8]);
    }
    assert!(bench.listener.pending.is_empty(), "nobody needs to know of a printer");
    let mut told = 0;
    for n in 0..10_000 {
        bench.hear(announces(&format!("n{n}"), "1"), [10, 0, 0, 8]);
        told += std::mem::take(&mut bench.listener.pending).len();
    }
    assert_eq!(told, usize::try_from(STRANGERS_AT_ONCE).unwrap());
    assert!(bench.listener.told.len() <= MAX_TOLD);
    for n in 0..10_000 {
        // In the name of a device that is waited for, from somewhere else.
        bench.hear(announces("sleepy", &n.to_string()), [10, 0, 0, 8]);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert!(bench.listener.pending.len() <= 10_000 / 20 + 1);
    assert_eq!(bench.nudged().await, ["sleepy"]);
    bench.hear(service("sleepy", NATIVE, 4500), AT);
    assert_eq!(bench.listener.pending.back().unwrap().name, "sleepy", "it is heard all the same");
    assert_eq!(bench.nudged().await, ["sleepy"]);
}
