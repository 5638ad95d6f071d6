//! Multicast DNS (RFC 6762) and service discovery (RFC 6763), as far as ESPHome devices speak them: a packet
//! becomes [`Sighting`]s, and a device's name becomes a question.
//!
//! A device with `api:` announces `_esphomelib._tcp.local`; one without it announces `_http._tcp.local` with
//! ESPHome's keys in the TXT record. The instance is the device's name, and so is its host name.
//!
//! What a packet says is the word of a stranger. Everything here is bounded by [`MAX_PACKET`] and the limits
//! below, and nothing here decides whether a device gets firmware: that is [`crate::gate`].

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::{BTreeMap, BTreeSet};

use simple_dns::rdata::RData;
use simple_dns::{
    CLASS, Label, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE,
};

use crate::device::{Sighting, SightingKind, Source};

/// The port of multicast DNS (RFC 6762, section 3).
pub const PORT: u16 = 5353;

/// The longest packet that is read, in bytes (RFC 6762, section 17).
pub const MAX_PACKET: usize = 9000;

/// The service type of devices with `api:`, as `mdns-sd` spells it.
pub const ESPHOME_SERVICE: &str = "_esphomelib._tcp.local.";

/// The service type of devices without `api:`, as `mdns-sd` spells it.
pub const HTTP_SERVICE: &str = "_http._tcp.local.";

const MAX_RECORDS: usize = 512;
const MAX_DEVICES: usize = 64;
const MAX_ADDRESSES: usize = 8;

const HEADER: usize = 12;

/// A packet that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPacket {
    /// It is longer than [`MAX_PACKET`].
    #[error("a packet of {0} bytes is longer than multicast DNS allows")]
    TooLong(usize),
    /// It claims more records than it has room for, or more than are read.
    #[error("a packet of {length} bytes claims {records} records")]
    TooManyRecords {
        /// The packet's length in bytes.
        length: usize,
        /// How many questions and records its header claims.
        records: usize,
    },
    /// It breaks the rules of RFC 1035.
    #[error("not a DNS packet: {0}")]
    NotDns(String),
}

/// A device name that can't be asked for: it makes no DNS label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} can't be a device's name on the network")]
pub struct BadName(pub String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Esphome,
    Http,
}

impl Service {
    fn labels(self) -> [&'static [u8]; 3] {
        match self {
            Self::Esphome => [b"_esphomelib", b"_tcp", b"local"],
            Self::Http => [b"_http", b"_tcp", b"local"],
        }
    }

    fn of(labels: &[Label<'_>]) -> Option<Self> {
        [Self::Esphome, Self::Http].into_iter().find(|service| {
            labels.len() == 3
                && labels
                    .iter()
                    .zip(service.labels())
                    .all(|(have, want)| have.as_ref().eq_ignore_ascii_case(want))
        })
    }
}

/// What one packet says about one instance.
#[derive(Default)]
struct Instance {
    esphome: bool,
    alive: bool,
    goodbye: bool,
    host: Option<String>,
    txt: BTreeMap<String, String>,
}

impl Instance {
    /// `_http._tcp` is everybody's; only these keys make it ESPHome's. A goodbye carries the name alone.
    fn counts(&self) -> bool {
        self.esphome
            || (self.txt.contains_key("version") && self.txt.contains_key("mac"))
            || (self.goodbye && !self.alive)
    }
}

/// What one packet says, by device name and by host name.
#[derive(Default)]
struct Contents {
    instances: BTreeMap<String, Instance>,
    hosts: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// What a packet says about ESPHome devices; `source` is the caller's knowledge of where it came from, and why.
///
/// - In a response, the answers and the additional records count, whether or not they are news.
/// - Of a query only the authority section counts: with it a host probes for the names that it is about to use
///   (RFC 6762, section 8.1), so a device that wakes shows itself 0.75 s before it announces itself. What is
///   asked for, and the known answers, say nothing about who is there: everybody asks for everybody.
/// - PTR, SRV and TXT of both services count.
/// - An address record alone (`sleepy.local`) gives a sighting with a name and addresses only. It may come
///   from any host of the network, and so may the goodbye of an `_http._tcp` instance: both mean something
///   only for a name that is already known. [`announces_esphome`] tells.
/// - TTL 0 of a PTR or SRV record is a goodbye, unless the same packet has a living record of the instance.
///   TTL 0 of an address, or of a TXT record, is none: the device just changed it.
/// - Addresses that the sender doesn't have come after the one that it has. Without address records the
///   sender's address is the device's, when the packet is about one device.
///
/// # Errors
/// [`MalformedPacket`] when the packet can't be read.
pub fn sightings(packet: &[u8], source: Source) -> Result<Vec<Sighting>, MalformedPacket> {
    Ok(service_sightings(packet, source)?.into_iter().map(|word| word.sighting).collect())
}

/// A sighting, and whether it is about the device's native API service. The goodbye of a mere web server takes
/// no device along that has its API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSighting {
    /// What the packet says.
    pub sighting: Sighting,
    /// The packet has a record of the device's `_esphomelib._tcp` instance.
    pub native: bool,
}

/// [`sightings`], with the service that each is about.
///
/// # Errors
/// [`MalformedPacket`] when the packet can't be read.
pub fn service_sightings(
    packet: &[u8],
    source: Source,
) -> Result<Vec<ServiceSighting>, MalformedPacket> {
    let packet = parse(packet)?;
    let contents = if packet.has_flags(PacketFlag::RESPONSE) {
        read(packet.answers.iter().chain(&packet.additional_records))
    } else {
        read(packet.name_servers.iter())
    };
    Ok(service_sightings_of(contents, source))
}

/// The identifier of a response, for matching it with a question; `None` for anything else. An answer to
/// [`question`] carries the question's (RFC 6762, section 6.7); a multicast response carries 0.
#[must_use]
pub fn response_id(packet: &[u8]) -> Option<u16> {
    match packet {
        [high, low, flags, ..] if flags & 0x80 != 0 => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

/// Whether the packet is one that says nothing about who is there: a query without a probe. Cheap, for the many
/// of them; `false` for what is too short to tell.
#[must_use]
pub fn only_asks(packet: &[u8]) -> bool {
    matches!(packet, [_, _, flags, _, _, _, _, _, 0, 0, ..] if flags & 0x80 == 0)
}

/// Whether the sighting itself shows that it is about an ESPHome device. Others are evidence about a device
/// that is known already, and nothing else.
#[must_use]
pub fn announces_esphome(sighting: &Sighting) -> bool {
    sighting.kind == SightingKind::Alive && (sighting.mac.is_some() || sighting.version.is_some())
}

fn parse(bytes: &[u8]) -> Result<Packet<'_>, MalformedPacket> {
    if bytes.len() > MAX_PACKET {
        return Err(MalformedPacket::TooLong(bytes.len()));
    }
    // The parser reserves memory for as many records as the header claims, so the claim is checked first.
    let counts = bytes.get(4..HEADER).unwrap_or_default();
    let records: usize =
        counts.chunks_exact(2).map(|c| usize::from(c[0]) << 8 | usize::from(c[1])).sum();
    // A question, the smallest entry, has a one-byte name, a type and a class.
    if records > MAX_RECORDS || records.saturating_mul(5) > bytes.len() {
        return Err(MalformedPacket::TooManyRecords { length: bytes.len(), records });
    }
    Packet::parse(bytes).map_err(|error| MalformedPacket::NotDns(error.to_string()))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the DNS parser's enum of all record types")]
fn read<'r, 'p: 'r>(records: impl Iterator<Item = &'r ResourceRecord<'p>>) -> Contents {
    let mut contents = Contents::default();
    for record in records.filter(|record| record.class == CLASS::IN) {
        let owner = record.name.get_labels();
        let alive = record.ttl > 0;
        match &record.rdata {
            RData::PTR(target) if Service::of(owner).is_some() => {
                contents.instance(target.0.get_labels(), |instance| instance.lives(alive));
            }
            RData::SRV(srv) => contents.instance(owner, |instance| {
                instance.lives(alive);
                if alive {
                    instance.host = host_name(srv.target.get_labels());
                }
            }),
            RData::TXT(txt) => contents.instance(owner, |instance| {
                if alive {
                    instance.alive = true;
                }
                for (key, value) in txt.iter_raw() {
                    // The first of several equal keys counts (RFC 6763, section 6.4).
                    let (Ok(key), Some(value)) = (core::str::from_utf8(key), value) else {
                        continue;
                    };
                    let value = String::from_utf8_lossy(value).into_owned();
                    instance.txt.entry(key.to_ascii_lowercase()).or_insert(value);
                }
            }),
            RData::A(a) if alive => contents.address(owner, Ipv4Addr::from(a.address).into()),
            RData::AAAA(a) if alive => contents.address(owner, Ipv6Addr::from(a.address).into()),
            // Every other record type says nothing about a device's life.
            _ => {}
        }
    }
    contents
}

impl Instance {
    fn lives(&mut self, alive: bool) {
        if alive {
            self.alive = true;
        } else {
            self.goodbye = true;
        }
    }
}

impl Contents {
    fn instance(&mut self, name: &[Label<'_>], change: impl FnOnce(&mut Instance)) {
        let Some((first, rest)) = name.split_first() else { return };
        let (Some(service), Some(name)) = (Service::of(rest), device_name(first.as_ref())) else {
            return;
        };
        if self.instances.len() >= MAX_DEVICES && !self.instances.contains_key(&name) {
            return;
        }
        let instance = self.instances.entry(name).or_default();
        instance.esphome |= service == Service::Esphome;
        change(instance);
    }

    fn address(&mut self, owner: &[Label<'_>], address: IpAddr) {
        let Some(host) = host_name(owner) else { return };
        if !is_usable(address)
            || (self.hosts.len() >= MAX_DEVICES && !self.hosts.contains_key(&host))
        {
            return;
        }
        let addresses = self.hosts.entry(host).or_default();
        if addresses.len() < MAX_ADDRESSES {
            addresses.insert(address);
        }
    }
}

fn service_sightings_of(contents: Contents, source: Source) -> Vec<ServiceSighting> {
    let sender = source.sender();
    let Contents { instances, mut hosts } = contents;
    let living = instances.values().filter(|i| i.counts() && i.alive).count();
    let mut found = Vec::new();
    for (name, instance) in instances.into_iter().filter(|(_, instance)| instance.counts()) {
        let host = instance.host.clone().unwrap_or_else(|| name.clone());
        let mut sighting = blank(name, source);
        // The instance speaks for its host, which needs no sighting of its own then.
        sighting.addresses = ordered(hosts.remove(&host).unwrap_or_default(), sender);
        if instance.goodbye && !instance.alive {
            sighting.kind = SightingKind::Gone;
            sighting.addresses.clear();
        } else {
            if sighting.addresses.is_empty() && living == 1 {
                sighting.addresses.extend(sender.filter(|sender| is_usable(*sender)));
            }
            describe(&mut sighting, |key| instance.txt.get(key).map(String::as_str));
        }
        found.push(ServiceSighting { sighting, native: instance.esphome });
    }
    for (name, addresses) in hosts {
        let mut sighting = blank(name, source);
        sighting.addresses = ordered(addresses, sender);
        found.push(ServiceSighting { sighting, native: false });
    }
    found
}

/// Makes the sighting of a service that a resolver has put together.
///
/// `fullname` is the instance with its service type (`sleepy._esphomelib._tcp.local.`), `txt` looks up a key
/// of its TXT record. `None` when it is no ESPHome device.
pub fn resolved<'t>(
    fullname: &str,
    addresses: impl IntoIterator<Item = IpAddr>,
    txt: impl Fn(&str) -> Option<&'t str>,
) -> Option<Sighting> {
    let (name, service) = instance_of(fullname)?;
    if service == Service::Http && (txt("version").is_none() || txt("mac").is_none()) {
        return None;
    }
    let mut sighting = blank(name, Source::Browse);
    let addresses: BTreeSet<IpAddr> = addresses.into_iter().filter(|a| is_usable(*a)).collect();
    sighting.addresses = addresses.into_iter().take(MAX_ADDRESSES).collect();
    describe(&mut sighting, txt);
    Some(sighting)
}

/// The name of the device whose service a resolver has removed, because it said goodbye or because its records
/// have expired. `None` when it is of another service type.
#[must_use]
pub fn removed(fullname: &str) -> Option<String> {
    instance_of(fullname).map(|(name, _)| name)
}

/// The packet that asks a device for itself: what instances it has (another device gives itself away by
/// that), and its SRV and TXT records of both services. Sent from a port other than [`PORT`] it is a legacy
/// unicast query (RFC 6762, section 6.7), and it asks for a unicast response besides (section 5.4).
///
/// # Errors
/// [`BadName`] when the name makes no DNS label.
pub fn question(name: &str, id: u16) -> Result<Vec<u8>, BadName> {
    let bad = || BadName(name.to_owned());
    if device_name(name.as_bytes()).is_none() {
        return Err(bad());
    }
    let mut packet = Packet::new_query(id);
    for service in [Service::Esphome, Service::Http] {
        let service: Vec<Label<'_>> =
            service.labels().into_iter().map(Label::new_unchecked).collect();
        let mut instance = vec![Label::new(name.as_bytes()).map_err(|_| bad())?];
        instance.extend(service.iter().cloned());
        let asked = [(&service, TYPE::PTR), (&instance, TYPE::SRV), (&instance, TYPE::TXT)];
        for (labels, kind) in asked {
            let name = Name::new_with_labels(labels);
            let (kind, class) = (QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN));
            packet.questions.push(Question::new(name, kind, class, true));
        }
    }
    packet.build_bytes_vec_compressed().map_err(|_| bad())
}

fn blank(name: String, source: Source) -> Sighting {
    Sighting {
        name,
        source,
        kind: SightingKind::Alive,
        addresses: Vec::new(),
        mac: None,
        link_address: None,
        version: None,
        config_hash: None,
        stamp: None,
        friendly_name: None,
        platform: None,
    }
}

/// Fills in what ESPHome's TXT record says. A value that makes no sense is as good as none.
fn describe<'t>(sighting: &mut Sighting, txt: impl Fn(&str) -> Option<&'t str>) {
    let text = |key| {
        let clean: String = txt(key)?.chars().filter(|c| !c.is_control()).take(255).collect();
        Some(clean).filter(|clean| !clean.is_empty())
    };
    sighting.mac = text("mac").and_then(|mac| mac.parse().ok());
    sighting.config_hash = text("config_hash").and_then(|hash| hash.parse().ok());
    sighting.version = text("version");
    sighting.friendly_name = text("friendly_name");
    sighting.platform = text("platform");
}

/// The sender's own address first: it is the one that surely works. Then IPv4, which needs no scope.
fn ordered(addresses: BTreeSet<IpAddr>, sender: Option<IpAddr>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = addresses.into_iter().collect();
    addresses.sort_by_key(|address| (Some(*address) != sender, address.is_ipv6()));
    addresses
}

/// Whether something can be reached there. A link-local IPv6 address can't without its interface.
fn is_usable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()),
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local()),
    }
}

/// DNS compares without regard to case, and ESPHome's names are lowercase.
fn device_name(label: &[u8]) -> Option<String> {
    let name = core::str::from_utf8(label).ok()?;
    let fits = (1..=63).contains(&name.len()) && !name.chars().any(char::is_control);
    fits.then(|| name.to_ascii_lowercase())
}

fn host_name(labels: &[Label<'_>]) -> Option<String> {
    match labels {
        [host, local] if local.as_ref().eq_ignore_ascii_case(b"local") => {
            device_name(host.as_ref())
        }
        _ => None,
    }
}

fn instance_of(fullname: &str) -> Option<(String, Service)> {
    let lower = fullname.to_ascii_lowercase();
    [(ESPHOME_SERVICE, Service::Esphome), (HTTP_SERVICE, Service::Http)].into_iter().find_map(
        |(suffix, service)| {
            let name = lower.strip_suffix(suffix)?.strip_suffix('.')?;
            Some((device_name(name.as_bytes())?, service))
        },
    )
}

#[cfg(test)]
#[path = "mdns_tests.rs"]
mod tests;
