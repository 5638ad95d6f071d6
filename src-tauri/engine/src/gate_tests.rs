use super::*;
use std::future::{pending, ready};
use wakeflash_core::device::{ConfigHash, SightingKind, Source};
use wakeflash_core::gate::LiteralAddress;

const LINK: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const WANTED: ConfigHash = ConfigHash(7);
const LIMITS: Limits =
    Limits { identity: Duration::from_millis(400), hash: Duration::from_millis(100) };

fn peer() -> IpAddr {
    IpAddr::from([192, 168, 1, 40])
}

fn expectation() -> Expectation {
    Expectation {
        name: "sleepy".into(),
        other_name: None,
        mac: None,
        link_address: Some(LINK),
        identity: Default::default(),
        wanted_hash: Some(WANTED),
        wanted_version: None,
        literal_address: LiteralAddress::None,
        least: Standing::Claimed,
        suffixed: false,
        unheard: false,
    }
}

fn says(name: &str, config_hash: Option<ConfigHash>) -> Sighting {
    Sighting {
        name: name.into(),
        source: Source::Answer(peer()),
        kind: SightingKind::Alive,
        addresses: vec![peer()],
        mac: None,
        link_address: None,
        version: None,
        config_hash,
        friendly_name: None,
        platform: None,
    }
}

fn case(expected: &Expectation) -> Case<'_> {
    Case { expected, limits: LIMITS, standing: watch::channel(Standing::Unknown).0 }
}

async fn after(millis: u64, answer: Option<Sighting>) -> io::Result<Option<Sighting>> {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    Ok(answer)
}

async fn decided(
    link: Option<MacAddress>,
    ask: impl Future<Output = io::Result<Option<Sighting>>>,
) -> (Judgement, u128) {
    let (_open, heard) = broadcast::channel(4);
    let evidence = Evidence::about(peer(), Session::ProvesNothing);
    let decision = decide(&case(&expectation()), evidence, heard, |_| link, ask, pending()).await;
    (decision.judgement, decision.took.as_millis())
}

#[tokio::test]
async fn without_a_proof_the_whole_time_is_waited_and_nothing_passes() {
    let silence = (Judgement::Undecided, 400..450);
    for (judgement, took) in [
        decided(None, pending()).await,
        decided(None, after(50, None)).await,
        decided(None, ready(Err(io::Error::other("no socket")))).await,
    ] {
        assert_eq!(judgement, silence.0);
        assert!(silence.1.contains(&took), "{took}");
    }
}

#[tokio::test]
async fn an_answer_decides_at_once() {
    let cases = [
        (None, says("sleepy", Some(ConfigHash(6))), Judgement::Pass),
        (None, says("sleepy", Some(WANTED)), Judgement::AlreadyRunning),
        (Some(LINK), says("sleepy", Some(WANTED)), Judgement::AlreadyRunning),
    ];
    for (link, answer, wanted) in cases {
        let (judgement, took) = decided(link, after(30, Some(answer))).await;
        assert_eq!(judgement, wanted);
        assert!((30..80).contains(&took), "{took}");
    }
    let (judgement, took) = decided(Some(LINK), after(30, Some(says("kitchen", None)))).await;
    assert!(matches!(judgement, Judgement::Contradicted(_)) && took < 80, "{judgement:?}");
}

#[tokio::test]
async fn a_known_device_waits_shortly_for_its_hash() {
    let (judgement, took) = decided(Some(LINK), pending()).await;
    assert_eq!(judgement, Judgement::Pass);
    assert!((100..150).contains(&took), "{took}");
    let (judgement, took) = decided(Some(LINK), after(300, Some(says("sleepy", None)))).await;
    assert!(
        judgement == Judgement::Pass && took < 150,
        "an answer in time is not waited for longer"
    );
}

#[tokio::test]
async fn the_wait_for_the_hash_counts_from_the_proof() {
    let (judgement, took) = decided(None, after(200, Some(says("sleepy", None)))).await;
    assert_eq!(judgement, Judgement::Pass);
    assert!((300..360).contains(&took), "{took}");
}

#[tokio::test]
async fn packets_that_arrive_meanwhile_count() {
    let (packets, heard) = broadcast::channel(4);
    let evidence = Evidence::about(peer(), Session::ProvesNothing);
    for last in [41, 40] {
        let source = Source::Packet(IpAddr::from([192, 168, 1, last]));
        packets.send(Sighting { source, ..says("sleepy", Some(ConfigHash(6))) }).unwrap();
    }
    drop(packets);
    let expected = expectation();
    let decision = decide(&case(&expected), evidence, heard, |_| None, pending(), pending()).await;
    assert_eq!((decision.judgement, decision.evidence.heard.len()), (Judgement::Pass, 1));
}

#[tokio::test]
async fn a_flood_of_packets_costs_neither_room_nor_time() {
    let (packets, heard) = broadcast::channel(64);
    let flood = tokio::spawn(async move {
        for n in 0..200_000_u32 {
            // Of others; the same again and again; always something else.
            let (sender, name) = match n % 3 {
                0 => (IpAddr::from(n.to_be_bytes()), "kitchen".to_owned()),
                1 => (peer(), "sleepy".to_owned()),
                _ => (peer(), format!("s{n}")),
            };
            // It doesn't give its address: nothing tells whose words these are.
            let source = Source::Packet(sender);
            let said = Sighting { source, addresses: Vec::new(), ..says(&name, None) };
            let _ = packets.send(said);
            if n % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    let looked = std::cell::Cell::new(0_usize);
    let neighbour = |_| {
        looked.set(looked.get() + 1);
        None
    };
    let evidence = Evidence::about(peer(), Session::ProvesNothing);
    let expected = expectation();
    let decision = decide(&case(&expected), evidence, heard, neighbour, pending(), pending()).await;
    flood.abort();
    assert_eq!(decision.judgement, Judgement::Undecided);
    assert!(decision.evidence.heard.len() <= MAX_HEARD, "{}", decision.evidence.heard.len());
    assert!(looked.get() <= MAX_HEARD + 4, "the table was read {} times", looked.get());
}

#[tokio::test]
async fn what_was_heard_in_this_wake_decides_without_a_question() {
    let (_open, heard) = broadcast::channel(4);
    let said = Sighting { source: Source::Packet(peer()), ..says("sleepy", Some(ConfigHash(6))) };
    let evidence =
        Evidence { heard: vec![said], ..Evidence::about(peer(), Session::ProvesNothing) };
    let decision =
        decide(&case(&expectation()), evidence, heard, |_| None, pending(), pending()).await;
    assert_eq!(decision.judgement, Judgement::Pass);
    assert!(decision.took < Duration::from_millis(20), "{:?}", decision.took);
}

#[tokio::test]
async fn a_key_of_its_own_opens_the_gate_as_soon_as_the_handshake_is_over() {
    let decided = async |proved: Session, ask: Option<Sighting>| {
        let (_open, heard) = broadcast::channel(4);
        let evidence = Evidence::about(peer(), Session::ProvesNothing);
        let session = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            proved
        };
        let ask = after(60, ask);
        decide(&case(&expectation()), evidence, heard, |_| None, ask, session).await
    };
    let decision = decided(Session::OwnKey, None).await;
    assert_eq!(decision.judgement, Judgement::Pass);
    // The hash is waited for like after any other proof.
    let took = decision.took.as_millis();
    assert!((130..190).contains(&took), "{took}");
    let decision = decided(Session::ProvesNothing, None).await;
    assert_eq!(decision.judgement, Judgement::Undecided);
    // What the peer says about itself weighs more.
    let decision = decided(Session::OwnKey, Some(says("kitchen", None))).await;
    assert!(matches!(decision.judgement, Judgement::Contradicted(_)));
    let decision = decided(Session::OwnKey, Some(says("sleepy", Some(WANTED)))).await;
    assert_eq!(decision.judgement, Judgement::AlreadyRunning);
}

#[tokio::test]
async fn the_standing_is_told_as_soon_as_it_is_known() {
    let (_open, heard) = broadcast::channel(4);
    let said = Sighting { source: Source::Packet(peer()), ..says("sleepy", Some(ConfigHash(6))) };
    let evidence =
        Evidence { heard: vec![said], ..Evidence::about(peer(), Session::ProvesNothing) };
    let expected = Expectation { least: Standing::Shown, ..expectation() };
    let case = case(&expected);
    let mut told = case.standing.subscribe();
    let answer = after(50, Some(says("sleepy", Some(ConfigHash(6)))));
    let decision = decide(&case, evidence, heard, |_| None, answer, pending());
    let start = Instant::now();
    let watched = async {
        let mut seen = Vec::new();
        while let Ok(()) = told.changed().await {
            seen.push(*told.borrow_and_update());
            if seen.len() == 2 {
                break;
            }
        }
        seen
    };
    let (decision, seen) = tokio::join!(decision, watched);
    assert_eq!(seen, [Standing::Claimed, Standing::Shown]);
    assert_eq!(decision.judgement, Judgement::Pass);
    assert!(start.elapsed() >= Duration::from_millis(50), "a claim alone was not enough");
}
