use super::*;
use crate::device::{ConfigHash, MacAddress};
use proptest::prelude::*;
use simple_dns::ResourceRecord;
use simple_dns::rdata::{A, PTR, SRV, TXT};

const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 40));
const ESPHOME: &str = "_esphomelib._tcp.local";
const HTTP: &str = "_http._tcp.local";

fn name(text: &str) -> Name<'_> {
    Name::new(text).unwrap()
}

fn record<'a>(owner: &'a str, ttl: u32, rdata: RData<'a>) -> ResourceRecord<'a> {
    ResourceRecord::new(name(owner), CLASS::IN, ttl, rdata)
}

fn ptr<'a>(service: &'a str, instance: &'a str, ttl: u32) -> ResourceRecord<'a> {
    record(service, ttl, RData::PTR(PTR(name(instance))))
}

fn srv<'a>(instance: &'a str, target: &'a str, ttl: u32) -> ResourceRecord<'a> {
    let srv = SRV { priority: 0, weight: 0, port: 6053, target: name(target) };
    record(instance, ttl, RData::SRV(srv))
}

fn txt<'a>(instance: &'a str, pairs: &[&'a str], ttl: u32) -> ResourceRecord<'a> {
    let mut txt = TXT::new();
    for pair in pairs {
        txt.add_string(pair).unwrap();
    }
    record(instance, ttl, RData::TXT(txt))
}

fn a(host: &str, address: [u8; 4], ttl: u32) -> ResourceRecord<'_> {
    record(host, ttl, RData::A(A::from(Ipv4Addr::from(address)))).with_cache_flush(true)
}

fn packet(records: Vec<ResourceRecord<'_>>) -> Vec<u8> {
    let mut packet = Packet::new_reply(0);
    packet.answers = records;
    packet.build_bytes_vec_compressed().unwrap()
}

fn seen(records: Vec<ResourceRecord<'_>>) -> Vec<Sighting> {
    sightings(&packet(records), Source::Packet(SENDER)).unwrap()
}

fn announcement(ttl: u32) -> Vec<ResourceRecord<'static>> {
    let instance = "sleepy._esphomelib._tcp.local";
    let pairs = [
        "version=2026.10.0",
        "config_hash=06b5fb73",
        "mac=983569abf679",
        "friendly_name=Sleepy Sensor",
        "platform=ESP32",
    ];
    vec![
        ptr(ESPHOME, instance, ttl),
        srv(instance, "sleepy.local", ttl),
        txt(instance, &pairs, ttl),
        a("sleepy.local", [192, 168, 1, 40], ttl),
    ]
}

#[test]
fn an_announcement_tells_everything() {
    let expected = Sighting {
        name: "sleepy".into(),
        source: Source::Packet(SENDER),
        kind: SightingKind::Alive,
        addresses: vec![SENDER],
        mac: Some(MacAddress([0x98, 0x35, 0x69, 0xAB, 0xF6, 0x79])),
        link_address: None,
        version: Some("2026.10.0".into()),
        config_hash: Some(ConfigHash(0x06b5_fb73)),
        stamp: None,
        friendly_name: Some("Sleepy Sensor".into()),
        platform: Some("ESP32".into()),
    };
    assert_eq!(seen(announcement(4500)), std::slice::from_ref(&expected));
    assert_eq!(seen(announcement(4500)), [expected], "the same words again are news again");
}

#[test]
fn questions_and_known_answers_do_not_count() {
    let mut query = Packet::new_query(0);
    query.answers = announcement(4500);
    let bytes = query.build_bytes_vec().unwrap();
    assert_eq!(sightings(&bytes, Source::Packet(SENDER)), Ok(vec![]));
    assert_eq!(response_id(&bytes), None);
    assert!(only_asks(&bytes));
    assert!(!only_asks(&packet(announcement(4500))));
    assert!(!only_asks(&bytes[..HEADER - 3]));
}

/// What ESP-IDF's responder sends three times before it announces: the names as questions, and in the authority
/// section the records that it is going to have.
fn probe() -> Vec<u8> {
    let instance = "sleepy._esphomelib._tcp.local";
    let mut query = Packet::new_query(0);
    for asked in [instance, "sleepy.local"] {
        let class = QCLASS::CLASS(CLASS::IN);
        query.questions.push(Question::new(name(asked), QTYPE::ANY, class, true));
    }
    query.name_servers =
        vec![srv(instance, "sleepy.local", 120), a("sleepy.local", [192, 168, 1, 40], 120)];
    query.build_bytes_vec_compressed().unwrap()
}

#[test]
fn a_probe_names_the_device_before_it_announces_itself() {
    let bytes = probe();
    assert!(!only_asks(&bytes));
    let found = sightings(&bytes, Source::Packet(SENDER)).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.as_str(), found[0].kind), ("sleepy", SightingKind::Alive));
    assert_eq!(found[0].addresses, [SENDER]);
    assert!(!announces_esphome(&found[0]), "whether it is a device, its TXT record will say");
}

#[test]
fn an_announcement_by_ipv6_alone_is_one() {
    let instance = "sleepy._esphomelib._tcp.local";
    let address: Ipv6Addr = "fd00::40".parse().unwrap();
    let aaaa = RData::AAAA(simple_dns::rdata::AAAA { address: address.into() });
    let records = vec![
        ptr(ESPHOME, instance, 4500),
        srv(instance, "sleepy.local", 120),
        record("sleepy.local", 120, aaaa),
    ];
    let sender = "fe80::1".parse().unwrap();
    let found = sightings(&packet(records), Source::Packet(sender)).unwrap();
    assert_eq!(found[0].addresses, [IpAddr::V6(address)]);
}

#[test]
fn a_packet_that_is_cut_off_anywhere_does_no_harm() {
    for whole in [packet(announcement(4500)), packet(announcement(0)), probe()] {
        for length in 0..whole.len() {
            let cut = &whole[..length];
            let _ = (only_asks(cut), response_id(cut));
            let found = sightings(cut, Source::Packet(SENDER));
            assert!(found.is_err(), "{length} of {} bytes: {found:?}", whole.len());
        }
    }
}

#[test]
fn an_address_record_alone_gives_a_name() {
    let found = seen(vec![a("Sleepy.local", [192, 168, 1, 41], 120)]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, "sleepy");
    assert_eq!(found[0].addresses, [IpAddr::from([192, 168, 1, 41])]);
    assert!(!announces_esphome(&found[0]));
}

#[test]
fn a_goodbye_is_one_of_the_service_and_not_of_an_address() {
    let found = seen(announcement(0));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].kind, found[0].name.as_str()), (SightingKind::Gone, "sleepy"));
    assert!(found[0].addresses.is_empty() && !announces_esphome(&found[0]));

    let instance = "sleepy._esphomelib._tcp.local";
    assert_eq!(seen(vec![ptr(ESPHOME, instance, 0)])[0].kind, SightingKind::Gone);
    assert_eq!(seen(vec![a("sleepy.local", [192, 168, 1, 40], 0)]), []);
    let mut moved = announcement(4500);
    moved.push(a("sleepy.local", [192, 168, 1, 9], 0));
    moved.push(srv(instance, "old.local", 0));
    let found = seen(moved);
    assert_eq!((found.len(), found[0].kind), (1, SightingKind::Alive));
    assert_eq!(found[0].addresses, [SENDER]);
}

#[test]
fn http_counts_with_the_keys_of_esphome_only() {
    let instance = "lamp._http._tcp.local";
    let records = |pairs: &[&'static str]| {
        vec![
            ptr(HTTP, instance, 4500),
            srv(instance, "lamp.local", 120),
            txt(instance, pairs, 4500),
        ]
    };
    assert_eq!(seen(records(&["path=/"])), []);
    let found = seen(records(&["version=2026.10.0", "mac=983569abf679"]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].addresses, [SENDER], "without an address record the sender is the device");
    assert_eq!(seen(vec![ptr(HTTP, instance, 0)])[0].kind, SightingKind::Gone);
}

#[test]
fn a_word_tells_which_service_it_is_about() {
    let native =
        |records| service_sightings(&packet(records), Source::Packet(SENDER)).unwrap()[0].native;
    assert!(native(announcement(4500)) && native(announcement(0)));
    assert!(!native(vec![ptr(HTTP, "sleepy._http._tcp.local", 0)]));
    assert!(!native(vec![a("sleepy.local", [192, 168, 1, 41], 120)]));
}

#[test]
fn several_devices_in_one_packet_keep_their_addresses() {
    let (one, two) = ("one._esphomelib._tcp.local", "two._esphomelib._tcp.local");
    let found = seen(vec![
        ptr(ESPHOME, one, 4500),
        ptr(ESPHOME, two, 4500),
        srv(one, "one.local", 120),
        srv(two, "second.local", 120),
        a("one.local", [192, 168, 1, 1], 120),
        a("second.local", [192, 168, 1, 2], 120),
    ]);
    let summary: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.addresses.clone())).collect();
    assert_eq!(
        summary,
        [
            ("one", vec![IpAddr::from([192, 168, 1, 1])]),
            ("two", vec![IpAddr::from([192, 168, 1, 2])])
        ]
    );
}

#[test]
fn the_senders_own_address_comes_first() {
    let mut records = announcement(4500);
    records.insert(0, a("sleepy.local", [10, 0, 0, 1], 120));
    records.insert(0, a("sleepy.local", [0, 0, 0, 0], 120));
    assert_eq!(seen(records)[0].addresses, [SENDER, IpAddr::from([10, 0, 0, 1])]);
}

#[test]
fn a_resolver_s_words_become_a_sighting() {
    let txt = |key: &str| match key {
        "version" => Some("2026.10.0"),
        "mac" => Some("not a mac"),
        _ => None,
    };
    let found = resolved("Sleepy._esphomelib._tcp.local.", [SENDER], txt).unwrap();
    assert_eq!((found.name.as_str(), found.source), ("sleepy", Source::Browse));
    assert_eq!((found.mac, found.version.as_deref()), (None, Some("2026.10.0")));
    assert!(resolved("lamp._http._tcp.local.", [SENDER], |_| None).is_none());
    assert!(resolved("_http._tcp.local.", [SENDER], txt).is_none());
    assert_eq!(removed("Lamp._http._tcp.local.").as_deref(), Some("lamp"));
    assert!(removed("lamp._ipp._tcp.local.").is_none());
}

#[test]
fn a_question_asks_for_both_services() {
    let bytes = question("sleepy", 7).unwrap();
    let packet = Packet::parse(&bytes).unwrap();
    let asked: Vec<_> =
        packet.questions.iter().map(|q| format!("{} {:?}", q.qname, q.qtype)).collect();
    assert_eq!(packet.id(), 7);
    assert_eq!(asked.len(), 6);
    assert!(packet.questions.iter().all(|q| q.unicast_response));
    assert_eq!(asked[2], "sleepy._esphomelib._tcp.local TYPE(TXT)");
    for bad in ["", "a\n", &"x".repeat(64)] {
        assert_eq!(question(bad, 7), Err(BadName(bad.into())));
    }
}

#[test]
fn claims_are_checked_before_memory_is_reserved() {
    let mut bytes = packet(announcement(4500));
    bytes[6] = 0xff;
    let refused = sightings(&bytes, Source::Packet(SENDER));
    assert!(matches!(refused, Err(MalformedPacket::TooManyRecords { .. })), "{refused:?}");
    let long = vec![0; MAX_PACKET + 1];
    assert_eq!(
        sightings(&long, Source::Packet(SENDER)),
        Err(MalformedPacket::TooLong(MAX_PACKET + 1))
    );
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = sightings(&bytes, Source::Packet(SENDER));
    }

    #[test]
    fn damaged_packets_do_no_harm(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = packet(announcement(4500));
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(found) = sightings(&bytes, Source::Packet(SENDER)) {
            for sighting in found {
                prop_assert!(sighting.name.len() <= 63 && !sighting.name.is_empty());
                prop_assert!(sighting.addresses.len() <= MAX_ADDRESSES + 1);
            }
        }
    }
}
