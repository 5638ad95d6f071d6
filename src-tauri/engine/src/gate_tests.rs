use super::*;
use std::future::{pending, ready};
use wakeflash_core::device::{ConfigHash, SightingKind, Source};
use wakeflash_core::gate::LiteralAddress;
use wakeflash_core::identity::Identity;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::BuildStamp;

const LINK: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const WANTED: ConfigHash = ConfigHash(7);
const LIMITS: Limits = Limits { identity: ms(400), hash: ms(100), doubt: ms(200) };

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

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
        wanted_stamp: Some(BuildStamp("new".into())),
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
        stamp: None,
        friendly_name: None,
        platform: None,
    }
}

/// A device without an API.
fn silent() -> mpsc::Receiver<Told> {
    mpsc::channel(1).1
}

/// One that says this over its API after some time.
fn by_api(millis: u64, words: Vec<Told>) -> mpsc::Receiver<Told> {
    let (told, api) = mpsc::channel(4);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        for word in words {
            told.send(word).await.unwrap();
        }
    });
    api
}

fn compiled(time: &str) -> Told {
    let (version, stamp) = (Some("2026.10.0".into()), Some(BuildStamp(time.into())));
    Told::Says(Sighting { version, stamp, ..says("sleepy", None) })
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
    let decision =
        decide(&case(&expectation()), evidence, heard, |_| link, ask, silent(), pending()).await;
    (decision.judgement, decision.took.as_millis())
}

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
async fn the_wait_for_the_hash_counts_from_the_proof() {
    let (judgement, took) = decided(None, after(200, Some(says("sleepy", None)))).await;
    assert_eq!(judgement, Judgement::Pass);
    assert!((300..360).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn packets_that_arrive_meanwhile_count() {
    let (packets, heard) = broadcast::channel(4);
    let evidence = Evidence::about(peer(), Session::ProvesNothing);
    for last in [41, 40] {
        let source = Source::Packet(IpAddr::from([192, 168, 1, last]));
        packets.send(Sighting { source, ..says("sleepy", Some(ConfigHash(6))) }).unwrap();
    }
    drop(packets);
    let expected = expectation();
    let decision =
        decide(&case(&expected), evidence, heard, |_| None, pending(), silent(), pending()).await;
    assert_eq!((decision.judgement, decision.evidence.heard.len()), (Judgement::Pass, 1));
}

#[tokio::test(start_paused = true)]
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
    let decision =
        decide(&case(&expected), evidence, heard, neighbour, pending(), silent(), pending()).await;
    flood.abort();
    assert_eq!(decision.judgement, Judgement::Undecided);
    assert!(decision.evidence.heard.len() <= MAX_HEARD, "{}", decision.evidence.heard.len());
    assert!(looked.get() <= MAX_HEARD + 4, "the table was read {} times", looked.get());
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_in_this_wake_decides_without_a_question() {
    let (_open, heard) = broadcast::channel(4);
    let said = Sighting { source: Source::Packet(peer()), ..says("sleepy", Some(ConfigHash(6))) };
    let evidence =
        Evidence { heard: vec![said], ..Evidence::about(peer(), Session::ProvesNothing) };
    let decision =
        decide(&case(&expectation()), evidence, heard, |_| None, pending(), silent(), pending())
            .await;
    assert_eq!(decision.judgement, Judgement::Pass);
    assert!(decision.took < Duration::from_millis(20), "{:?}", decision.took);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_its_own_opens_the_gate_as_soon_as_the_handshake_is_over() {
    let decided = async |proved: Session, ask: Option<Sighting>| {
        let (_open, heard) = broadcast::channel(4);
        let evidence = Evidence::about(peer(), Session::ProvesNothing);
        let session = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            proved
        };
        let ask = after(60, ask);
        decide(&case(&expectation()), evidence, heard, |_| None, ask, silent(), session).await
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

#[tokio::test(start_paused = true)]
async fn the_standing_is_told_as_soon_as_it_is_known() {
    let (_open, heard) = broadcast::channel(4);
    let said = Sighting { source: Source::Packet(peer()), ..says("sleepy", Some(ConfigHash(6))) };
    let evidence =
        Evidence { heard: vec![said], ..Evidence::about(peer(), Session::ProvesNothing) };
    let expected = Expectation { least: Standing::Shown, ..expectation() };
    let case = case(&expected);
    let mut told = case.standing.subscribe();
    let answer = after(50, Some(says("sleepy", Some(ConfigHash(6)))));
    let decision = decide(&case, evidence, heard, |_| None, answer, silent(), pending());
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

async fn decided_by_api(link: Option<MacAddress>, api: mpsc::Receiver<Told>) -> (Judgement, u128) {
    let (_open, heard) = broadcast::channel(4);
    let evidence = Evidence::about(peer(), Session::ProvesNothing);
    let (expected, ask) = (expectation(), pending());
    let case = case(&expected);
    let decision = decide(&case, evidence, heard, |_| link, ask, api, pending()).await;
    (decision.judgement, decision.took.as_millis())
}

#[tokio::test(start_paused = true)]
async fn what_the_api_says_decides_at_once() {
    for link in [None, Some(LINK)] {
        for (words, judgement) in [
            (vec![compiled("old")], Judgement::Pass),
            (vec![compiled("new")], Judgement::AlreadyRunning),
        ] {
            assert_eq!(decided_by_api(link, by_api(30, words)).await, (judgement, 30));
        }
        let stranger = by_api(30, vec![Told::Says(says("kitchen", None))]);
        let (judgement, took) = decided_by_api(link, stranger).await;
        assert!(matches!(judgement, Judgement::Contradicted(_)), "{judgement:?}");
        assert_eq!(took, 30);
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_without_an_api_is_waited_for_as_before() {
    assert_eq!(decided_by_api(None, silent()).await, (Judgement::Undecided, 400));
    assert_eq!(decided_by_api(Some(LINK), silent()).await, (Judgement::Pass, 100));
    // One whose port drops what comes.
    assert_eq!(decided_by_api(None, by_api(5_000, Vec::new())).await, (Judgement::Undecided, 400));
    assert_eq!(decided_by_api(Some(LINK), by_api(5_000, Vec::new())).await, (Judgement::Pass, 100));
    // Who has greeted and not said more may still announce what it runs.
    let greeted = Told::Says(says("sleepy", None));
    assert_eq!(decided_by_api(None, by_api(30, vec![greeted])).await, (Judgement::Pass, 130));
}

#[tokio::test(start_paused = true)]
async fn no_hash_tells_and_the_api_does() {
    let expected = Expectation { wanted_hash: None, mac: Some(LINK), ..expectation() };
    for (api, took) in [(silent(), 0), (by_api(30, vec![compiled("old")]), 30)] {
        let (_open, heard) = broadcast::channel(4);
        let evidence = Evidence::about(peer(), Session::ProvesNothing);
        let case = case(&expected);
        let decision =
            decide(&case, evidence, heard, |_| Some(LINK), pending(), api, pending()).await;
        assert_eq!((decision.judgement, decision.took.as_millis()), (Judgement::Pass, took));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_its_own_shown_over_the_api_opens_the_gate() {
    // The handshake of the update proves nothing, before or after.
    for session in [10, 50] {
        let (_open, heard) = broadcast::channel(4);
        let evidence = Evidence::about(peer(), Session::ProvesNothing);
        let session = async move {
            tokio::time::sleep(Duration::from_millis(session)).await;
            Session::ProvesNothing
        };
        let api = by_api(30, vec![Told::OwnKey]);
        let expected = Expectation { wanted_hash: None, ..expectation() };
        let case = case(&expected);
        let decision = decide(&case, evidence, heard, |_| None, pending(), api, session).await;
        assert_eq!(decision.judgement, Judgement::Pass);
        assert_eq!(decision.evidence.session, Session::OwnKey);
    }
}

/// The gate of a device that was never proven, whose mDNS responder gives `MAC`, and that is behind `link`.
async fn never_proven(link: MacAddress, api: mpsc::Receiver<Told>) -> (Judgement, Standing, u128) {
    let expected = Expectation { mac: Some(LINK), link_address: None, ..expectation() };
    let (told, standing) = watch::channel(Standing::Unknown);
    let case = Case { standing: told, ..case(&expected) };
    let (_open, heard) = broadcast::channel(4);
    let words = Sighting { mac: Some(LINK), ..says("sleepy", Some(ConfigHash(6))) };
    let evidence =
        Evidence { heard: vec![words], ..Evidence::about(peer(), Session::ProvesNothing) };
    let decision = decide(&case, evidence, heard, |_| Some(link), pending(), api, pending()).await;
    (decision.judgement, *standing.borrow(), decision.took.as_millis())
}

#[tokio::test(start_paused = true)]
async fn what_the_api_says_is_waited_for_whatever_mdns_has_said() {
    let other = MacAddress([2, 0, 0, 0, 0, 3]);
    let liar = || vec![Told::Says(Sighting { mac: Some(other), ..says("sleepy", None) })];
    for link in [LINK, other] {
        let (judgement, standing, took) = never_proven(link, by_api(30, liar())).await;
        assert!(matches!(judgement, Judgement::Contradicted(_)), "{judgement:?}");
        assert_eq!((standing, took), (Standing::Unknown, 30), "it gets no answer to its challenge");
    }
    // Other network hardware than its MAC address has: it may take longer.
    let (judgement, standing, took) = never_proven(other, by_api(150, liar())).await;
    assert!(matches!(judgement, Judgement::Contradicted(_)), "{judgement:?}");
    assert_eq!((standing, took), (Standing::Unknown, 150));
    // One without an API, and one whose API never answers.
    let passes = |took| (Judgement::Pass, Standing::Shown, took);
    assert_eq!(never_proven(other, silent()).await, passes(0));
    assert_eq!(never_proven(other, by_api(5_000, Vec::new())).await, passes(200));
    assert_eq!(never_proven(LINK, by_api(5_000, Vec::new())).await, passes(100));
}

#[tokio::test(start_paused = true)]
async fn behind_a_repeater_a_board_has_time_to_say_who_it_is() {
    let own = MacAddress([2, 0, 0, 0, 0, 3]);
    let identity = Identity::stored(
        Some(own),
        vec![LINK],
        vec![peer()],
        None,
        Some(Timestamp::from_millis(0)),
    );
    let expected = Expectation { mac: Some(own), identity, wanted_hash: None, ..expectation() };
    let says = |mac| Sighting { mac: Some(mac), ..says("sleepy", None) };
    let other = MacAddress([2, 0, 0, 0, 0, 4]);
    for (answer, is_other, took) in
        [(Some(says(other)), true, 30), (Some(says(own)), false, 30), (None, false, 100)]
    {
        let (_open, heard) = broadcast::channel(4);
        let evidence = Evidence::about(peer(), Session::ProvesNothing);
        let (case, ask) = (case(&expected), after(30, answer));
        let decision =
            decide(&case, evidence, heard, |_| Some(LINK), ask, silent(), pending()).await;
        let contradicted = matches!(decision.judgement, Judgement::Contradicted(_));
        assert_eq!((contradicted, decision.took.as_millis()), (is_other, took));
    }
}

#[tokio::test(start_paused = true)]
async fn at_its_proven_hardware_a_device_is_not_kept_waiting_for_its_api() {
    let identity = Identity::stored(
        Some(LINK),
        vec![LINK],
        vec![peer()],
        None,
        Some(Timestamp::from_millis(0)),
    );
    let expected = Expectation { mac: Some(LINK), identity, ..expectation() };
    let (_open, heard) = broadcast::channel(4);
    let words = Sighting { mac: Some(LINK), ..says("sleepy", Some(ConfigHash(6))) };
    let evidence =
        Evidence { heard: vec![words], ..Evidence::about(peer(), Session::ProvesNothing) };
    let (api, case) = (by_api(5_000, Vec::new()), case(&expected));
    let decision = decide(&case, evidence, heard, |_| Some(LINK), pending(), api, pending()).await;
    assert_eq!((decision.judgement, decision.took.as_millis()), (Judgement::Pass, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_api_has_said_is_enough_before_its_goodbye() {
    let (told, api) = mpsc::channel(4);
    let words =
        Sighting { mac: Some(LINK), version: Some("2025.1.0".into()), ..says("sleepy", None) };
    told.send(Told::Says(words)).await.unwrap();
    assert_eq!(never_proven(LINK, api).await, (Judgement::Pass, Standing::Shown, 0));
    drop(told);
}
