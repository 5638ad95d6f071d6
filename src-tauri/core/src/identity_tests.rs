use super::*;

const OWN: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
const LINK: MacAddress = MacAddress([2, 0, 0, 0, 0, 7]);
const STRANGE: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);

fn at(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn now(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// Words about a device at `.7` with its MAC address.
fn says(source: Source) -> Sighting {
    Sighting {
        mac: Some(OWN),
        version: Some("2026.10.0".into()),
        config_hash: Some(ConfigHash(6)),
        ..Sighting::of_hardware("sleepy", at(7), LINK)
    }
    .from(source)
}

trait From {
    fn from(self, source: Source) -> Self;
}

impl From for Sighting {
    fn from(self, source: Source) -> Self {
        let link_address = self.link_address.filter(|_| source != Source::Browse);
        Self { source, link_address, ..self }
    }
}

fn proven() -> Identity {
    let mut identity = Identity::default();
    let Worth::Proof(proof) =
        identity.weigh(&Claims::default(), &says(Source::Answer(at(7))), now(0))
    else {
        panic!("its first answer pins it");
    };
    identity.pin(proof, now(0));
    identity
}

#[derive(Debug, PartialEq)]
enum Short {
    Proof,
    Own,
    Claim,
    Rival,
}

fn short(identity: &Identity, claims: &Claims, sighting: &Sighting) -> Short {
    match identity.weigh(claims, sighting, now(1)) {
        Worth::Proof(_) => Short::Proof,
        Worth::OwnWord => Short::Own,
        Worth::Claim => Short::Claim,
        Worth::Rival(_) => Short::Rival,
    }
}

#[test]
fn what_is_said_of_a_proven_device_is_worth_what_its_sender_is() {
    let packet = |from| says(Source::Packet(at(from)));
    let answer = |from| Sighting { addresses: vec![at(from)], ..says(Source::Answer(at(from))) };
    let strange = |sighting: Sighting| Sighting { link_address: Some(STRANGE), ..sighting };
    let unseen = |sighting: Sighting| Sighting { link_address: None, ..sighting };
    let other = |sighting: Sighting| Sighting { mac: Some(OTHER), ..sighting };
    let here = |sighting: Sighting, from| Sighting { addresses: vec![at(from)], ..sighting };
    let mute = |sighting: Sighting| Sighting { mac: None, version: None, ..sighting };
    for (case, sighting, worth) in [
        ("its packet", packet(7), Short::Own),
        ("its packet, link address unknown", unseen(packet(7)), Short::Own),
        ("its probe", mute(packet(7)), Short::Own),
        ("its record, repeated by another host", packet(9), Short::Claim),
        ("its record out of a cache", says(Source::Browse), Short::Claim),
        ("another board's record out of a cache", other(says(Source::Browse)), Short::Claim),
        ("a packet from another address", here(packet(9), 9), Short::Claim),
        ("a packet from its address and other hardware", strange(packet(7)), Short::Claim),
        ("another MAC address", other(here(packet(9), 9)), Short::Rival),
        ("another MAC address from its own address", other(packet(7)), Short::Rival),
        ("another MAC address, repeated", other(packet(9)), Short::Claim),
        ("its answer", answer(7), Short::Proof),
        ("its answer, link address unknown", unseen(answer(7)), Short::Proof),
        ("its answer at another address", answer(8), Short::Proof),
        ("an answer elsewhere, link address unknown", unseen(answer(8)), Short::Claim),
        ("an answer of other hardware with its MAC address", strange(answer(8)), Short::Rival),
        ("the same at its address", strange(answer(7)), Short::Rival),
        ("an answer with another MAC address", other(answer(7)), Short::Rival),
        ("its hardware, which answers nothing", mute(answer(8)), Short::Proof),
        ("a bare name elsewhere", mute(unseen(answer(7))), Short::Claim),
    ] {
        assert_eq!(short(&proven(), &Claims::default(), &sighting), worth, "{case}");
    }
}

#[test]
fn of_a_device_that_was_never_proven_the_first_claim_binds() {
    let mut claims = Claims::default();
    claims.take(&says(Source::Packet(at(7))));
    let fresh = Identity::default();
    let other = Sighting {
        mac: Some(OTHER),
        addresses: vec![at(9)],
        link_address: Some(STRANGE),
        ..says(Source::Answer(at(9)))
    };
    assert_eq!(short(&fresh, &claims, &says(Source::Packet(at(7)))), Short::Claim, "no proof");
    assert_eq!(short(&fresh, &claims, &other), Short::Rival);
    assert_eq!(short(&fresh, &claims, &says(Source::Answer(at(7)))), Short::Proof);
    assert_eq!(short(&fresh, &Claims::default(), &other), Short::Proof, "whoever comes first");
    claims.take(&other);
    assert_eq!(claims.mac, Some(OWN), "later claims don't take its place");
}

#[test]
fn of_a_device_that_was_never_proven_the_hardware_of_the_first_claim_binds() {
    let mut claims = Claims::default();
    claims.take(&says(Source::Packet(at(7))));
    let fresh = Identity::default();
    let clone_at =
        |source| Sighting { addresses: vec![at(9)], link_address: Some(STRANGE), ..says(source) };
    claims.take(&clone_at(Source::Packet(at(9))));
    assert_eq!(claims.link_address, Some(LINK), "later claims don't take its place");
    let (own, clone) = (says(Source::Answer(at(7))), clone_at(Source::Answer(at(9))));
    assert_eq!(short(&fresh, &claims, &clone), Short::Rival, "its MAC address is public");
    assert_eq!(short(&fresh, &claims, &own), Short::Proof);
    let unseen = Sighting { link_address: None, ..clone };
    assert_eq!(short(&fresh, &claims, &unseen), Short::Proof, "no neighbour table tells");

    // Whoever was first may have been a repeater, or may have lied: the device's own hardware speaks for itself.
    let near = |source| Sighting { link_address: Some(OWN), ..says(source) };
    assert_eq!(short(&fresh, &claims, &near(Source::Answer(at(7)))), Short::Proof);
    claims.take(&near(Source::Packet(at(7))));
    claims.take(&clone_at(Source::Packet(at(9))));
    assert_eq!(claims.link_address, Some(OWN));
}

#[test]
fn what_was_proven_through_a_router_is_not_believed_of_hardware_that_is_near() {
    let mut identity = Identity::default();
    let far = Sighting { link_address: None, ..says(Source::Answer(at(7))) };
    let Worth::Proof(proof) = identity.weigh(&Claims::default(), &far, now(0)) else { panic!() };
    identity.pin(proof, now(0));
    let near = Sighting { addresses: vec![at(8)], ..says(Source::Answer(at(8))) };
    assert_eq!(short(&identity, &Claims::default(), &near), Short::Rival);
    let same = Sighting { link_address: Some(OWN), ..near.clone() };
    assert_eq!(short(&identity, &Claims::default(), &same), Short::Proof, "its MAC address");
    let unknown = Sighting { link_address: None, ..near };
    assert_eq!(short(&identity, &Claims::default(), &unknown), Short::Proof, "as it was before");
}

#[test]
fn a_goodbye_counts_from_where_the_device_is() {
    let goodbye = |from| Sighting {
        kind: SightingKind::Gone,
        addresses: Vec::new(),
        ..says(Source::Packet(at(from)))
    };
    assert_eq!(short(&proven(), &Claims::default(), &goodbye(7)), Short::Own);
    assert_eq!(short(&proven(), &Claims::default(), &goodbye(9)), Short::Claim);
}

#[test]
fn the_user_decides_between_two_boards() {
    let other = Sighting {
        mac: Some(OTHER),
        addresses: vec![at(9)],
        link_address: Some(STRANGE),
        config_hash: Some(ConfigHash(8)),
        ..says(Source::Answer(at(9)))
    };
    let mut identity = proven();
    let Worth::Rival(rival) = identity.weigh(&Claims::default(), &other, now(1)) else { panic!() };
    identity.accept(&rival, now(2));
    assert_eq!((identity.mac(), identity.addresses()), (Some(OTHER), &[at(9)][..]));
    assert!(identity.has_link(STRANGE) && !identity.has_link(LINK));
    assert_eq!(identity.build().and_then(|build| build.config_hash), Some(ConfigHash(8)));

    // The same board behind a repeater: both ways stay known.
    let mut identity = proven();
    let repeated = Sighting { link_address: Some(STRANGE), ..says(Source::Answer(at(7))) };
    let Worth::Rival(rival) = identity.weigh(&Claims::default(), &repeated, now(1)) else {
        panic!()
    };
    identity.accept(&rival, now(2));
    assert!(identity.has_link(STRANGE) && identity.has_link(LINK) && identity.is_at(at(7)));
    assert_eq!(short(&identity, &Claims::default(), &repeated), Short::Proof);
}

#[test]
fn claims_are_bounded_and_push_out_nothing_that_was_proven() {
    let mut identity = proven();
    let mut claims = Claims::default();
    for n in 0..=255 {
        let forged = Sighting {
            addresses: vec![at(n)],
            config_hash: Some(ConfigHash(u32::from(n))),
            ..says(Source::Packet(at(n)))
        };
        assert!(!matches!(identity.weigh(&claims, &forged, now(1)), Worth::Proof(_)));
        claims.take(&forged);
    }
    assert_eq!((claims.addresses.len(), claims.hashes.len()), (4, 8));
    assert_eq!(identity, proven());
    for n in 0..=255 {
        let answer = Sighting { addresses: vec![at(n)], ..says(Source::Answer(at(n))) };
        let Worth::Proof(proof) = identity.weigh(&claims, &answer, now(1)) else { panic!() };
        identity.pin(proof, now(2));
    }
    assert_eq!((identity.addresses().len(), identity.link_addresses().len()), (4, 1));
}
