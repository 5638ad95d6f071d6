use super::*;
use proptest::prelude::*;

const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const LINK: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
const STRANGE: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);
const WANTED: ConfigHash = ConfigHash(7);
const OLD: ConfigHash = ConfigHash(6);

fn peer() -> IpAddr {
    IpAddr::from([192, 168, 1, 40])
}

fn elsewhere() -> IpAddr {
    IpAddr::from([192, 168, 1, 41])
}

fn expectation() -> Expectation {
    Expectation {
        name: "sleepy".into(),
        other_name: None,
        mac: Some(MAC),
        link_address: Some(LINK),
        identity: Identity::default(),
        wanted_hash: Some(WANTED),
        wanted_version: Some("2026.10.0".into()),
        wanted_stamp: None,
        literal_address: LiteralAddress::None,
        least: Standing::Claimed,
        suffixed: false,
        unheard: false,
    }
}

fn heard(name: &str, mac: Option<MacAddress>, config_hash: Option<ConfigHash>) -> Sighting {
    Sighting {
        name: name.into(),
        source: Source::Packet(peer()),
        kind: SightingKind::Alive,
        addresses: vec![peer()],
        mac,
        link_address: None,
        version: None,
        config_hash,
        stamp: None,
        friendly_name: None,
        platform: None,
    }
}

fn answered(name: &str, mac: Option<MacAddress>, config_hash: Option<ConfigHash>) -> Sighting {
    Sighting { source: Source::Answer(peer()), ..heard(name, mac, config_hash) }
}

fn evidence(heard: impl IntoIterator<Item = Sighting>) -> Evidence {
    Evidence {
        heard: heard.into_iter().collect(),
        ..Evidence::about(peer(), Session::ProvesNothing)
    }
}

fn with(mut heard: Sighting, change: impl FnOnce(&mut Sighting)) -> Sighting {
    change(&mut heard);
    heard
}

#[derive(Debug, PartialEq)]
enum Short {
    Pass,
    Already,
    No,
    Open,
}

fn short(expected: &Expectation, evidence: &Evidence) -> Short {
    match judge(expected, evidence) {
        Judgement::Pass => Short::Pass,
        Judgement::AlreadyRunning => Short::Already,
        Judgement::Contradicted(sentence) => {
            assert!(sentence.ends_with('.') && sentence.contains("192.168.1.40"), "{sentence}");
            Short::No
        }
        Judgement::Undecided => Short::Open,
    }
}

#[test]
fn what_the_peer_says() {
    let packet = |sighting: fn(&mut Sighting)| {
        evidence([with(heard("sleepy", None, Some(WANTED)), sighting)])
    };
    let table = [
        ("silence", evidence([]), Short::Open),
        (
            "its name, as a probe or an address has it",
            evidence([heard("sleepy", None, None)]),
            Short::Open,
        ),
        ("its name in capitals", evidence([heard("SLEEPY", Some(MAC), None)]), Short::Pass),
        ("its name and MAC", evidence([heard("sleepy", Some(MAC), Some(OLD))]), Short::Pass),
        ("another name", evidence([answered("kitchen", None, None)]), Short::No),
        ("another name with its MAC", evidence([answered("kitchen", Some(MAC), None)]), Short::No),
        ("a wrong MAC", evidence([answered("sleepy", Some(STRANGE), None)]), Short::No),
        (
            "a wrong MAC with the hash",
            evidence([answered("sleepy", Some(STRANGE), Some(WANTED))]),
            Short::No,
        ),
        ("another name in a packet", evidence([heard("kitchen", None, None)]), Short::Open),
        (
            "a wrong MAC in a packet",
            evidence([heard("sleepy", Some(STRANGE), Some(WANTED))]),
            Short::Open,
        ),
        (
            "first right, then another",
            evidence([heard("sleepy", Some(MAC), None), heard("b", None, None)]),
            Short::Open,
        ),
        (
            "packets in its name, and its answer",
            evidence([
                heard("b", None, None),
                heard("sleepy", Some(STRANGE), Some(WANTED)),
                answered("sleepy", Some(MAC), Some(OLD)),
                heard("sleepy", Some(STRANGE), Some(WANTED)),
            ]),
            Short::Pass,
        ),
        (
            "packets that are right, and an answer of another",
            evidence([heard("sleepy", Some(MAC), None), answered("b", None, None)]),
            Short::No,
        ),
        ("the wanted hash", evidence([heard("sleepy", Some(MAC), Some(WANTED))]), Short::Already),
        (
            "the wanted hash first, then the old one",
            evidence([heard("sleepy", None, Some(WANTED)), heard("sleepy", None, Some(OLD))]),
            Short::Pass,
        ),
        ("another version", packet(|h| h.version = Some("2026.9.0".into())), Short::Pass),
        ("the same version", packet(|h| h.version = Some("2026.10.0".into())), Short::Already),
        ("out of a cache", packet(|h| h.source = Source::Browse), Short::Open),
        ("a goodbye", packet(|h| h.kind = SightingKind::Gone), Short::Open),
        ("from elsewhere", packet(|h| h.source = Source::Packet(elsewhere())), Short::Open),
        ("about another address", packet(|h| h.addresses = vec![elsewhere()]), Short::Open),
        (
            "an answer without its address",
            packet(|h| (h.source, h.addresses) = (Source::Answer(peer()), vec![])),
            Short::Already,
        ),
        (
            "a stranger elsewhere",
            evidence([with(heard("b", None, None), |h| h.source = Source::Packet(elsewhere()))]),
            Short::Open,
        ),
    ];
    for (case, evidence, wanted) in table {
        assert_eq!(short(&expectation(), &evidence), wanted, "{case}");
    }
}

#[test]
fn a_name_alone_is_enough_where_no_mac_is_known() {
    let expected = Expectation { mac: None, ..expectation() };
    assert_eq!(short(&expected, &evidence([heard("sleepy", None, None)])), Short::Pass);
    let link = Evidence { neighbour: Some(LINK), ..evidence([heard("sleepy", None, None)]) };
    assert_eq!(short(&expectation(), &link), Short::Pass, "a probe from its own hardware");
    let strange = Evidence { neighbour: Some(STRANGE), ..evidence([heard("sleepy", None, None)]) };
    assert_eq!(short(&expectation(), &strange), Short::Open, "another board may claim the name");
}

#[test]
fn what_the_network_shows() {
    use LiteralAddress as Literal;
    use Session::{OwnKey, ProvesNothing};
    let with = || "other.yaml".to_owned();
    let shared = Literal::Shared { address: peer(), with: with() };
    let uncertain = Literal::Uncertain { address: peer(), with: with() };
    let table = [
        ("nothing", None, ProvesNothing, Literal::None, Short::Open),
        ("its link address", Some(LINK), ProvesNothing, Literal::None, Short::Pass),
        ("its MAC as link address", Some(MAC), ProvesNothing, Literal::None, Short::Pass),
        ("another link address", Some(STRANGE), ProvesNothing, Literal::None, Short::Open),
        ("its own key", None, OwnKey, Literal::None, Short::Pass),
        ("its own key through a repeater", Some(STRANGE), OwnKey, Literal::None, Short::Pass),
        ("its own address", None, ProvesNothing, Literal::Own(peer()), Short::Pass),
        (
            "its own address, other hardware",
            Some(STRANGE),
            ProvesNothing,
            Literal::Own(peer()),
            Short::Open,
        ),
        (
            "another address than its own",
            None,
            ProvesNothing,
            Literal::Own(elsewhere()),
            Short::Open,
        ),
        ("an address that two have", None, ProvesNothing, shared, Short::Open),
        ("an address that two may have", None, ProvesNothing, uncertain, Short::Open),
    ];
    for (case, neighbour, session, literal_address, wanted) in table {
        let expected = Expectation { literal_address, ..expectation() };
        let silent = Evidence { neighbour, session, ..evidence([]) };
        assert_eq!(short(&expected, &silent), wanted, "{case}");
        let stranger = Evidence { neighbour, session, ..evidence([answered("b", None, None)]) };
        assert_eq!(short(&expected, &stranger), Short::No, "{case}, and another name");
        // Who sends a packet in its name keeps no device from its update that has a key.
        let forged = Evidence { neighbour, session, ..evidence([heard("b", None, None)]) };
        let doubted = if session == OwnKey { Short::Pass } else { Short::Open };
        assert_eq!(short(&expected, &forged), doubted, "{case}, and a packet with another name");
    }
    let unknown = Expectation {
        mac: None,
        link_address: None,
        literal_address: Literal::Own(peer()),
        ..expectation()
    };
    let new = Evidence { neighbour: Some(STRANGE), ..evidence([]) };
    assert_eq!(short(&unknown, &new), Short::Pass, "nothing recorded that could differ");
}

/// A device that was proven at its hardware, at the peer's address.
fn proven() -> Expectation {
    let mut identity = Identity::default();
    let words = answered("sleepy", Some(MAC), Some(OLD));
    let there = Proof::of_session(peer(), Some(LINK), None, core::iter::once(&words));
    identity.pin(there, crate::time::Timestamp::from_millis(0));
    Expectation { identity, ..expectation() }
}

#[test]
fn what_packets_say_is_not_pinned_with_a_session_that_passed_by_other_proof() {
    let at = crate::time::Timestamp::from_millis(1);
    let complete = |words: Sighting| Sighting { version: Some("2026.10.0".into()), ..words };
    let packet = complete(heard("sleepy", Some(STRANGE), Some(OLD)));
    for (session, neighbour) in [(Session::OwnKey, None), (Session::ProvesNothing, Some(LINK))] {
        // Its key or its hardware proved it, and it has never said which MAC address it has.
        let expected = Expectation { mac: None, ..expectation() };
        let mut evidence = Evidence { session, neighbour, ..evidence([packet.clone()]) };
        let pinned = |evidence: &Evidence| {
            let mut identity = Identity::default();
            identity.pin(proof(&expected, evidence).unwrap(), at);
            (identity.mac(), identity.build().cloned())
        };
        assert_eq!(pinned(&evidence), (None, None), "{session:?}");
        evidence.heard.push(complete(answered("sleepy", Some(MAC), Some(OLD))));
        let (mac, build) = pinned(&evidence);
        assert_eq!((mac, build.unwrap().config_hash), (Some(MAC), Some(OLD)), "{session:?}");
    }
}

#[test]
fn a_mac_address_that_others_claimed_is_not_pinned_where_the_peer_never_showed_it() {
    let claimed = Expectation {
        literal_address: LiteralAddress::Own(peer()),
        link_address: None,
        ..expectation()
    };
    let pinned = |evidence: &Evidence| {
        let mut identity = Identity::default();
        let proof = proof(&claimed, evidence).expect("its address proves it");
        identity.pin(proof, crate::time::Timestamp::from_millis(1));
        identity.mac()
    };
    let silent = evidence([heard("sleepy", None, None)]);
    assert_eq!(pinned(&silent), None, "it was claimed by whoever spoke first");
    assert_eq!(pinned(&evidence([heard("sleepy", Some(MAC), None)])), Some(MAC), "it says so");
    let shown = Evidence { neighbour: Some(MAC), ..silent };
    assert_eq!(pinned(&shown), Some(MAC), "its hardware shows it");
}

#[test]
fn a_device_that_was_proven_is_recognised_by_its_hardware_or_where_it_was() {
    let at = |last: u8| IpAddr::from([192, 168, 1, last]);
    let words = |at: IpAddr| {
        let said = answered("sleepy", Some(MAC), Some(OLD));
        Sighting { source: Source::Answer(at), addresses: vec![at], ..said }
    };
    use LiteralAddress::{None as No, Own};
    for (case, last, neighbour, literal, passes) in [
        ("at its address, hardware unknown", 40, None, No, true),
        ("at its address and hardware", 40, Some(LINK), No, true),
        ("elsewhere at its hardware", 41, Some(LINK), No, true),
        ("elsewhere, its MAC address as hardware", 41, Some(MAC), No, true),
        ("elsewhere, hardware unknown", 41, None, No, false),
        ("elsewhere at other hardware", 41, Some(STRANGE), No, false),
        ("at its address and other hardware", 40, Some(STRANGE), No, false),
        ("the same, which its configuration names", 40, Some(STRANGE), Own(at(40)), false),
        ("elsewhere, which its configuration names", 41, None, Own(at(41)), true),
    ] {
        let peer = at(last);
        let expected = Expectation { literal_address: literal, ..proven() };
        let mut evidence = Evidence { neighbour, ..Evidence::about(peer, Session::ProvesNothing) };
        evidence.heard.push(words(peer));
        let passed = judge(&expected, &evidence) == Judgement::Pass;
        assert_eq!(passed, passes, "{case}");
        assert_eq!(proof(&expected, &evidence).is_some(), passes, "{case}");
        evidence.session = Session::OwnKey;
        assert_eq!(judge(&expected, &evidence), Judgement::Pass, "{case}, with its key");
    }
    let strange = Evidence { neighbour: Some(STRANGE), ..evidence([words(peer())]) };
    assert_eq!(unidentified(&proven(), &strange).code, "gate.other_hardware");
    assert_eq!(unidentified(&proven(), &evidence([])).code, "gate.unidentified");
}

#[test]
fn what_passed_is_pinned_with_what_it_said() {
    let said = with(answered("sleepy", Some(MAC), Some(OLD)), |words| {
        words.version = Some("2026.9.0".into());
    });
    let forged = with(heard("sleepy", Some(STRANGE), Some(WANTED)), |words| {
        words.version = Some("1.0".into());
    });
    let evidence = Evidence { neighbour: Some(LINK), ..evidence([forged, said]) };
    let mut identity = Identity::default();
    let proof = proof(&expectation(), &evidence).expect("it passed");
    identity.pin(proof, crate::time::Timestamp::from_millis(5));
    assert_eq!((identity.mac(), identity.addresses()), (Some(MAC), &[peer()][..]));
    assert_eq!(identity.link_addresses(), [LINK]);
    let build = identity.build().expect("it said so");
    assert_eq!((build.version.as_deref(), build.config_hash), (Some("2026.9.0"), Some(OLD)));
}

#[test]
fn a_device_that_is_being_renamed_has_two_names() {
    let expected = Expectation { other_name: Some("porch".into()), ..expectation() };
    assert_eq!(
        short(&expected, &evidence([heard("porch", Some(MAC), Some(WANTED))])),
        Short::Already
    );
    assert_eq!(short(&expected, &evidence([answered("porch", Some(STRANGE), None)])), Short::No);
}

fn waits(expected: &Expectation, evidence: &Evidence) -> bool {
    may_still_be_running(expected, evidence, false)
}

#[test]
fn the_wait_for_a_hash_is_short() {
    let ms = core::time::Duration::from_millis;
    for (window, wait) in
        [(None, 200), (Some(2000), 250), (Some(12_000), 1500), (Some(60_000), 1500)]
    {
        assert_eq!(Limits::for_window(window.map(ms)).hash, ms(wait));
    }
    let silent = evidence([]);
    assert!(waits(&expectation(), &silent));
    assert!(!waits(&Expectation { wanted_hash: None, ..expectation() }, &silent));
    let unheard = Expectation { wanted_hash: None, unheard: true, ..expectation() };
    assert!(waits(&unheard, &silent), "its word is worth waiting for");
    assert!(!waits(&unheard, &evidence([heard("sleepy", None, Some(OLD))])));
    assert!(waits(&expectation(), &evidence([heard("sleepy", None, None)])));
    assert!(!waits(&expectation(), &evidence([heard("sleepy", None, Some(OLD))])));
    let old = with(heard("sleepy", None, None), |h| h.version = Some("2024.6.0".into()));
    assert!(!waits(&expectation(), &evidence([old])), "it has no hash to give");
}

fn stamp(text: &str) -> Option<BuildStamp> {
    Some(BuildStamp(text.into()))
}

/// What the device says over its native API.
fn told(stamp: Option<BuildStamp>) -> Sighting {
    with(answered("sleepy", Some(MAC), None), |told| {
        (told.version, told.stamp) = (Some("2026.10.0".into()), stamp);
    })
}

#[test]
fn when_its_firmware_was_compiled_tells_which_build_runs() {
    let expected = Expectation { wanted_stamp: stamp("new"), ..expectation() };
    let with_hash = |hash| answered("sleepy", Some(MAC), Some(hash));
    for (words, wanted) in [
        (vec![told(stamp("new"))], Short::Already),
        (vec![told(stamp("old"))], Short::Pass),
        // The hash is the same where only the code of a component differs.
        (vec![told(stamp("old")), with_hash(WANTED)], Short::Pass),
        (vec![with_hash(WANTED), told(stamp("old"))], Short::Pass),
        (vec![told(stamp("new")), with_hash(OLD)], Short::Already),
        (vec![with(told(stamp("new")), |told| told.mac = Some(STRANGE))], Short::No),
        (vec![with(told(stamp("new")), |told| told.name = "kitchen".into())], Short::No),
    ] {
        assert_eq!(short(&expected, &evidence(words.clone())), wanted, "{words:?}");
        let no_hash = Expectation { wanted_hash: None, ..expected.clone() };
        assert_eq!(short(&no_hash, &evidence(words.clone())), wanted, "{words:?}");
    }
    // A build without a stamp of its own: only the hash can tell, and the API has none.
    assert_eq!(short(&expectation(), &evidence([told(stamp("old"))])), Short::Pass);
    let both = [told(stamp("old")), with_hash(WANTED)];
    assert_eq!(short(&expectation(), &evidence(both)), Short::Already);
}

#[test]
fn an_answer_over_the_api_announces_no_lack_of_a_hash() {
    let by_api = evidence([told(stamp("old"))]);
    assert!(waits(&expectation(), &by_api), "its record may still come");
    let expected = Expectation { wanted_stamp: stamp("new"), ..expectation() };
    assert!(!waits(&expected, &by_api), "the stamp has told");
    assert!(waits(&expected, &evidence([])));
    let no_hash = Expectation { wanted_hash: None, ..expected.clone() };
    assert!(may_still_be_running(&no_hash, &evidence([]), true), "it is being asked");
    assert!(!may_still_be_running(&no_hash, &evidence([]), false));
    assert!(!may_still_be_running(&no_hash, &by_api, true));
    let record = evidence([answered("sleepy", Some(MAC), Some(OLD))]);
    assert!(!may_still_be_running(&expected, &record, true), "its hash is another one");
    assert!(may_still_be_running(&no_hash, &record, true), "no hash tells");
}

#[test]
fn the_hardware_of_a_repeater_is_neither_proof_nor_contradiction() {
    // It was recorded, and others are behind it.
    let expected = Expectation { link_address: None, ..proven() };
    let behind = |heard| Evidence { neighbour: Some(LINK), ..evidence(heard) };
    assert_eq!(short(&expected, &behind(Vec::new())), Short::Open);
    let says = answered("sleepy", Some(MAC), Some(OLD));
    assert_eq!(short(&expected, &behind(vec![says])), Short::Pass);
}

fn any_mac() -> impl Strategy<Value = Option<MacAddress>> {
    prop::option::of(prop::sample::select(vec![MAC, LINK, STRANGE]))
}

#[test]
fn a_packet_claims_and_an_answer_shows() {
    let says = |source| {
        let words = with(heard("sleepy", Some(MAC), None), |h| h.source = source);
        evidence([words])
    };
    let near = |link| Evidence { neighbour: Some(link), ..says(Source::Packet(peer())) };
    let key = Evidence::about(peer(), Session::OwnKey);
    let cases = [
        (evidence([]), Standing::Unknown),
        (says(Source::Browse), Standing::Unknown),
        (says(Source::Packet(peer())), Standing::Claimed),
        (near(STRANGE), Standing::Unknown),
        (near(LINK), Standing::Shown),
        (says(Source::Answer(peer())), Standing::Shown),
        (key, Standing::Shown),
        (evidence([heard("sleepy", Some(STRANGE), None)]), Standing::Unknown),
        (
            Evidence { neighbour: Some(LINK), ..evidence([heard("b", None, None)]) },
            Standing::Unknown,
        ),
    ];
    for (evidence, expected) in cases {
        assert_eq!(standing(&expectation(), &evidence), expected, "{evidence:?}");
    }
    let unseen = Expectation { link_address: None, ..expectation() };
    assert_eq!(standing(&unseen, &near(STRANGE)), Standing::Claimed, "no hardware was claimed");
    let clone = Evidence { neighbour: Some(STRANGE), ..says(Source::Answer(peer())) };
    assert_eq!(short(&expectation(), &clone), Short::Open, "its MAC address is public");
    let more = Expectation { least: Standing::Shown, ..expectation() };
    assert_eq!(short(&more, &says(Source::Packet(peer()))), Short::Open);
    assert_eq!(short(&more, &says(Source::Answer(peer()))), Short::Pass);
}

prop_compose! {
    fn any_heard()(
        name in prop::sample::select(vec!["sleepy", "kitchen"]),
        mac in any_mac(),
        hash in prop::option::of(prop::sample::select(vec![WANTED, OLD])),
        here in any::<bool>(),
        about in any::<bool>(),
        alive in any::<bool>(),
        source in 0..3,
    ) -> Sighting {
        with(heard(name, mac, hash), |h| {
            let sender = if here { peer() } else { elsewhere() };
            h.addresses = vec![if about { peer() } else { elsewhere() }];
            h.kind = if alive { SightingKind::Alive } else { SightingKind::Gone };
            h.source = match source {
                0 => Source::Browse,
                1 => Source::Packet(sender),
                _ => Source::Answer(sender),
            };
        })
    }
}

proptest! {
    #[test]
    fn a_contradiction_never_passes(
        mut heard in prop::collection::vec(any_heard(), 0..6),
        at in any::<prop::sample::Index>(),
        wrong_name in any::<bool>(),
        neighbour in any_mac(),
        own_key in any::<bool>(),
    ) {
        let (name, mac) = if wrong_name { ("kitchen", Some(MAC)) } else { ("sleepy", Some(STRANGE)) };
        heard.insert(at.index(heard.len() + 1), answered(name, mac, Some(WANTED)));
        let session = if own_key { Session::OwnKey } else { Session::ProvesNothing };
        let expected = Expectation { literal_address: LiteralAddress::Own(peer()), ..expectation() };
        let evidence = Evidence { peer: peer(), heard, neighbour, session };
        prop_assert!(matches!(judge(&expected, &evidence), Judgement::Contradicted(_)));
    }

    #[test]
    fn nothing_passes_without_a_proof(heard in prop::collection::vec(any_heard(), 0..6)) {
        let proof = heard.iter().any(|h| {
            let fresh = h.source == Source::Answer(peer())
                || (h.source == Source::Packet(peer()) && h.addresses == [peer()]);
            let txt = h.mac.is_some() || h.config_hash.is_some();
            let named = h.kind == SightingKind::Alive && h.name == "sleepy";
            fresh && named && txt
        });
        let judgement = judge(&expectation(), &evidence(heard));
        if !proof {
            prop_assert!(!matches!(judgement, Judgement::Pass | Judgement::AlreadyRunning));
        }
    }
}

#[test]
fn who_is_refused_for_its_hardware_proves_nothing_with_what_it_answered() {
    let claims = crate::identity::Claims {
        mac: Some(MAC),
        link_address: Some(MAC),
        ..crate::identity::Claims::default()
    };
    let expected = Expectation { link_address: Some(MAC), ..expectation() };
    // The table had no entry when it answered, and has one at the end.
    let evidence = Evidence {
        neighbour: Some(STRANGE),
        ..evidence([answered("sleepy", Some(MAC), Some(OLD))])
    };
    assert_eq!(short(&expected, &evidence), Short::Open);
    let passed_on: Vec<_> = answers(&expected, &evidence).collect();
    let now = crate::time::Timestamp::from_millis(0);
    let worth: Vec<_> =
        passed_on.iter().map(|words| Identity::default().weigh(&claims, words, now)).collect();
    let [crate::identity::Worth::Rival(rival)] = &*worth else { panic!("{worth:?}") };
    assert_eq!(rival.link_address, Some(STRANGE));
}
