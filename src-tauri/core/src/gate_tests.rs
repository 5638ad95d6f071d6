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
        wanted_hash: Some(WANTED),
        wanted_version: Some("2026.10.0".into()),
        literal_address: LiteralAddress::None,
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
        friendly_name: None,
        platform: None,
    }
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
        ("another name", evidence([heard("kitchen", None, None)]), Short::No),
        ("another name with its MAC", evidence([heard("kitchen", Some(MAC), None)]), Short::No),
        ("a wrong MAC", evidence([heard("sleepy", Some(STRANGE), None)]), Short::No),
        (
            "a wrong MAC with the hash",
            evidence([heard("sleepy", Some(STRANGE), Some(WANTED))]),
            Short::No,
        ),
        (
            "first right, then another",
            evidence([heard("sleepy", None, None), heard("b", None, None)]),
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
        let stranger = Evidence { neighbour, session, ..evidence([heard("b", None, None)]) };
        assert_eq!(short(&expected, &stranger), Short::No, "{case}, and another name");
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

#[test]
fn a_device_that_is_being_renamed_has_two_names() {
    let expected = Expectation { other_name: Some("porch".into()), ..expectation() };
    assert_eq!(
        short(&expected, &evidence([heard("porch", Some(MAC), Some(WANTED))])),
        Short::Already
    );
    assert_eq!(short(&expected, &evidence([heard("porch", Some(STRANGE), None)])), Short::No);
}

#[test]
fn the_wait_for_a_hash_is_short() {
    let ms = Duration::from_millis;
    for (window, wait) in
        [(None, 200), (Some(2000), 250), (Some(12_000), 1500), (Some(60_000), 1500)]
    {
        assert_eq!(hash_wait(window.map(ms)), ms(wait));
    }
    let silent = evidence([]);
    assert!(may_still_be_running(&expectation(), &silent));
    assert!(!may_still_be_running(&Expectation { wanted_hash: None, ..expectation() }, &silent));
    let unheard = Expectation { wanted_hash: None, unheard: true, ..expectation() };
    assert!(may_still_be_running(&unheard, &silent), "its word is worth waiting for");
    assert!(!may_still_be_running(&unheard, &evidence([heard("sleepy", None, Some(OLD))])));
    assert!(may_still_be_running(&expectation(), &evidence([heard("sleepy", None, None)])));
    assert!(!may_still_be_running(&expectation(), &evidence([heard("sleepy", None, Some(OLD))])));
    let old = with(heard("sleepy", None, None), |h| h.version = Some("2024.6.0".into()));
    assert!(!may_still_be_running(&expectation(), &evidence([old])), "it has no hash to give");
}

fn any_mac() -> impl Strategy<Value = Option<MacAddress>> {
    prop::option::of(prop::sample::select(vec![MAC, LINK, STRANGE]))
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
        heard.insert(at.index(heard.len() + 1), super::tests::heard(name, mac, Some(WANTED)));
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
