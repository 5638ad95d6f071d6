//! Speaks mDNS on behalf of a device, with the timing of a real one.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use simple_dns::rdata::{A, AAAA, PTR, RData, SRV, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::lan::PREFIX;

const PORT: u16 = 5353;
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
const SERVICES: &str = "_services._dns-sd._udp.local";
/// TTL of what seldom changes.
const LONG_TTL: u32 = 4500;
/// TTL of what depends on the address.
const SHORT_TTL: u32 = 120;
/// The longest TTL that a resolver without mDNS is given.
const LEGACY_TTL: u32 = 10;
/// The first probe comes after a random time of at most this (RFC 6762, section 8.1).
const START_WITHIN: Duration = Duration::from_millis(250);
const PROBES: u32 = 3;
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
const ANNOUNCEMENTS: u32 = 3;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);

/// What a device says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The device's name: instance and host name.
    pub name: String,
    /// `friendly_name`.
    pub friendly_name: Option<String>,
    /// `mac`, 12 hex digits.
    pub mac: String,
    /// `version`, as the device's own log says it.
    pub version: String,
    /// `config_hash`, as the device's own log says it; none for firmware that lacks it.
    pub config_hash: Option<u32>,
    /// The API port; without one the device is announced as a web server on port 80.
    pub api_port: Option<u16>,
    /// It says its host name and nothing else, as in safe mode.
    pub only_name: bool,
    /// Its IPv4 address.
    pub address: Option<Ipv4Addr>,
    /// Its IPv6 address; link-local ones are not announced.
    pub ipv6: Option<Ipv6>,
}

/// An IPv6 address, and the index of the interface that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    pub address: Ipv6Addr,
    pub interface: u32,
}

/// How much of what the device says reaches the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Voice {
    /// Probes, announces, answers.
    #[default]
    Full,
    /// Every probe and announcement is lost; questions are answered once the probing is over.
    AnswersOnly,
    /// No mDNS at all.
    Silent,
}

/// A responder for one device on one interface. It falls silent, without a goodbye, when dropped.
pub struct Announcer {
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

enum Order {
    Become(Box<Identity>),
    Goodbye(oneshot::Sender<()>),
}

impl Announcer {
    /// Starts as a device does when its network comes up: probes, announces, then answers.
    ///
    /// # Errors
    /// When an address is on no interface, or port 5353 can't be shared.
    pub fn start(identity: Identity, voice: Voice) -> Result<Self> {
        let ipv4 = identity.address.map(multicast_socket).transpose()?;
        let ipv6 = identity.ipv6.map(|own| multicast_socket_v6(own.interface)).transpose()?;
        let (orders, inbox) = mpsc::channel(8);
        let (stage, due) = (Stage::Probe(0), None);
        let responder = Responder { ipv4, ipv6, identity, voice, stage, due };
        Ok(Self { orders, task: tokio::spawn(responder.run(inbox)) })
    }

    /// The device is another now (new firmware, another address): probe and announce again.
    pub async fn become_identity(&self, identity: Identity) {
        let _ = self.orders.send(Order::Become(Box::new(identity))).await;
    }

    /// Says goodbye (TTL 0) and falls silent; returns when the packet is out.
    pub async fn goodbye(&self) {
        let (done, is_done) = oneshot::channel();
        if self.orders.send(Order::Goodbye(done)).await.is_ok() {
            let _ = is_done.await;
        }
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn shared_socket(domain: Domain) -> Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn multicast_socket(address: Ipv4Addr) -> Result<UdpSocket> {
    let socket = shared_socket(Domain::IPV4)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT).into())?;
    socket
        .join_multicast_v4(&GROUP, &address)
        .with_context(|| format!("no multicast on the interface of {address}"))?;
    socket.set_multicast_if_v4(&address)?;
    socket.set_multicast_ttl_v4(255)?;
    socket.set_ttl_v4(255)?;
    UdpSocket::from_std(socket.into()).context("cannot use the mDNS socket")
}

fn multicast_socket_v6(interface: u32) -> Result<UdpSocket> {
    let socket = shared_socket(Domain::IPV6)?;
    socket.set_only_v6(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)).into())?;
    socket.join_multicast_v6(&GROUP_V6, interface).context("no IPv6 multicast")?;
    socket.set_multicast_if_v6(interface)?;
    socket.set_multicast_hops_v6(255)?;
    socket.set_unicast_hops_v6(255)?;
    UdpSocket::from_std(socket.into()).context("cannot use the mDNS socket for IPv6")
}

/// A random time up to [`START_WITHIN`].
fn start_delay() -> Duration {
    let noise = RandomState::new().build_hasher().finish();
    START_WITHIN.mul_f64(f64::from((noise & 0xff) as u8) / 255.0)
}

/// The next packet at a socket; never, where there is none.
async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    if let Some(socket) = socket {
        loop {
            if let Ok(received) = socket.recv_from(buffer).await {
                return received;
            }
        }
    }
    std::future::pending().await
}

#[derive(Clone, Copy)]
enum Stage {
    Probe(u32),
    Announce(u32),
    Settled,
}

struct Responder {
    ipv4: Option<UdpSocket>,
    ipv6: Option<UdpSocket>,
    identity: Identity,
    voice: Voice,
    stage: Stage,
    due: Option<Instant>,
}

impl Responder {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        self.due = Some(Instant::now() + start_delay());
        let (mut buffer, mut buffer_v6) = (vec![0_u8; 9000], vec![0_u8; 9000]);
        loop {
            let due = self.due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            let (packet, from) = tokio::select! {
                order = inbox.recv() => match order {
                    None => return,
                    Some(Order::Become(identity)) => {
                        self.identity = *identity;
                        self.stage = Stage::Probe(0);
                        self.due = Some(Instant::now() + start_delay());
                        continue;
                    }
                    Some(Order::Goodbye(done)) => {
                        self.leave().await;
                        let _ = done.send(());
                        return;
                    }
                },
                () = sleep_until(due) => {
                    self.advance().await;
                    continue;
                }
                (length, from) = receive(self.ipv4.as_ref(), &mut buffer) => {
                    (buffer.get(..length), from)
                }
                (length, from) = receive(self.ipv6.as_ref(), &mut buffer_v6) => {
                    (buffer_v6.get(..length), from)
                }
            };
            if let Some(packet) = packet
                && let Err(error) = self.answer(packet, from).await
            {
                tracing::debug!("no answer to {from}: {error:#}");
            }
        }
    }

    /// The next step of coming up.
    async fn advance(&mut self) {
        let now = Instant::now();
        (self.stage, self.due) = match self.stage {
            Stage::Probe(sent) if sent < PROBES => {
                self.say(probe(&self.identity)).await;
                (Stage::Probe(sent + 1), Some(now + PROBE_INTERVAL))
            }
            Stage::Probe(_) => (Stage::Announce(0), Some(now)),
            Stage::Announce(sent) if sent < ANNOUNCEMENTS => {
                self.say(announcement(&self.identity, false)).await;
                (Stage::Announce(sent + 1), Some(now + ANNOUNCE_INTERVAL))
            }
            Stage::Announce(_) | Stage::Settled => (Stage::Settled, None),
        };
    }

    async fn leave(&self) {
        self.say(announcement(&self.identity, true)).await;
    }

    /// Multicasts something that nobody asked for.
    async fn say(&self, packet: Result<Vec<u8>>) {
        if self.voice != Voice::Full {
            return;
        }
        let sent = match packet {
            Ok(packet) => self.multicast(&packet).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            // As with a real device whose network has just gone.
            tracing::debug!("cannot announce: {error:#}");
        }
    }

    async fn multicast(&self, packet: &[u8]) -> Result<()> {
        if let Some(socket) = &self.ipv4 {
            socket.send_to(packet, (GROUP, PORT)).await?;
        }
        if let (Some(socket), Some(own)) = (&self.ipv6, self.identity.ipv6) {
            let group = SocketAddrV6::new(GROUP_V6, PORT, 0, own.interface);
            socket.send_to(packet, group).await?;
        }
        Ok(())
    }

    /// Whether a packet comes from another network: ESP32's responder drops it (RFC 6762, section 11), also when it was
    /// sent to the device alone.
    fn is_elsewhere(&self, from: SocketAddr) -> bool {
        let network = |address: Ipv4Addr| address.to_bits() >> (32 - PREFIX);
        match (from.ip(), self.identity.address) {
            (IpAddr::V4(from), Some(own)) => network(from) != network(own),
            (IpAddr::V4(_) | IpAddr::V6(_), _) => false,
        }
    }

    async fn answer(&self, bytes: &[u8], from: SocketAddr) -> Result<()> {
        let query = Packet::parse(bytes)?;
        // As long as it probes, the name is not the device's yet: the responder of ESP-IDF too
        // answers nothing in the first three quarters of a second of a wake.
        let probing = matches!(self.stage, Stage::Probe(_));
        if self.is_elsewhere(from) {
            return Ok(());
        }
        if query.has_flags(PacketFlag::RESPONSE) || probing || self.voice == Voice::Silent {
            return Ok(());
        }
        let Some((reply, shared)) = reply_to(&query, &self.identity, from)? else {
            return Ok(());
        };
        let wants_unicast = query.questions.iter().all(|question| question.unicast_response);
        if from.port() != PORT || wants_unicast {
            let socket = if from.is_ipv4() { &self.ipv4 } else { &self.ipv6 };
            if let Some(socket) = socket {
                socket.send_to(&reply, from).await?;
            }
            return Ok(());
        }
        if shared {
            // Others may have the same kind of service: responders wait 20 to 120 ms, so as not
            // to answer all at once.
            tokio::time::sleep(Duration::from_millis(20 + u64::from(bytes_sum(bytes)) % 60)).await;
        }
        self.multicast(&reply).await
    }
}

/// Something that varies from packet to packet; good enough to spread answers.
fn bytes_sum(bytes: &[u8]) -> u32 {
    bytes.iter().map(|byte| u32::from(*byte)).sum()
}

/// The answer to a query, and whether it is about something that others may answer too.
fn reply_to(
    query: &Packet<'_>,
    identity: &Identity,
    from: SocketAddr,
) -> Result<Option<(Vec<u8>, bool)>> {
    let names = Names::of(identity)?;
    let records = names.records(identity)?;
    let legacy = from.port() != PORT;
    let wanted = |record: &&ResourceRecord<'_>| {
        query.questions.iter().any(|question| asks(question, record))
            && !query.answers.iter().any(|known| is_known(known, record))
    };
    let answers: Vec<_> = records.iter().filter(wanted).cloned().collect();
    if answers.is_empty() {
        return Ok(None);
    }
    let shared = answers.iter().any(|record| matches!(record.rdata, RData::PTR(_)));
    let mut reply = Packet::new_reply(if legacy { query.id() } else { 0 });
    reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    if legacy {
        reply.questions.clone_from(&query.questions);
    }
    let is_other = |record: &&ResourceRecord<'_>| !answers.contains(record);
    let mut additional: Vec<_> = records.iter().filter(is_other).cloned().collect();
    additional.retain(|record| !matches!(record.rdata, RData::PTR(_)));
    reply.answers = answers;
    reply.additional_records = additional;
    if legacy {
        // Resolvers without mDNS know neither the flush bit nor such long lives.
        for record in reply.answers.iter_mut().chain(&mut reply.additional_records) {
            record.ttl = record.ttl.min(LEGACY_TTL);
            record.cache_flush = false;
        }
    }
    Ok(Some((reply.build_bytes_vec_compressed()?, shared)))
}

fn asks(question: &Question<'_>, record: &ResourceRecord<'_>) -> bool {
    question.qname == record.name
        && record.match_qclass(question.qclass)
        && record.match_qtype(question.qtype)
}

/// Whether the asker says that it knows this record and will for a while.
fn is_known(known: &ResourceRecord<'_>, record: &ResourceRecord<'_>) -> bool {
    known.name == record.name && known.rdata == record.rdata && known.ttl >= record.ttl / 2
}

fn probe(identity: &Identity) -> Result<Vec<u8>> {
    let names = Names::of(identity)?;
    let mut packet = Packet::new_query(0);
    for name in [&names.host, &names.instance] {
        let any = Question::new(name.clone(), QTYPE::ANY, QCLASS::CLASS(CLASS::IN), true);
        packet.questions.push(any);
    }
    let proposed = names.records(identity)?.into_iter();
    let unique = [TYPE::SRV, TYPE::A, TYPE::AAAA];
    packet.name_servers = proposed
        .filter(|record| unique.iter().any(|kind| record.match_qtype((*kind).into())))
        .map(|record| record.with_cache_flush(false))
        .collect();
    Ok(packet.build_bytes_vec_compressed()?)
}

/// What a device multicasts when it comes up, or when it goes.
///
/// # Errors
/// When the identity can't be told in a packet.
pub(crate) fn announcement(identity: &Identity, goodbye: bool) -> Result<Vec<u8>> {
    let names = Names::of(identity)?;
    let mut packet = Packet::new_reply(0);
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    packet.answers = names.records(identity)?;
    if goodbye {
        for record in &mut packet.answers {
            record.ttl = 0;
        }
        // The kind of service may well go on existing elsewhere.
        packet.answers.retain(|record| record.name != names.services);
    }
    Ok(packet.build_bytes_vec_compressed()?)
}

struct Names {
    host: Name<'static>,
    instance: Name<'static>,
    service: Name<'static>,
    services: Name<'static>,
    port: u16,
}

impl Names {
    fn of(identity: &Identity) -> Result<Self> {
        if identity.name.is_empty() || identity.name.contains('.') {
            bail!("{:?} can't be a device's name", identity.name);
        }
        let (service, port) = match identity.api_port {
            Some(port) => ("_esphomelib._tcp.local", port),
            None => ("_http._tcp.local", 80),
        };
        Ok(Self {
            host: name(&format!("{}.local", identity.name))?,
            instance: name(&format!("{}.{service}", identity.name))?,
            service: name(service)?,
            services: name(SERVICES)?,
            port,
        })
    }

    fn records(&self, identity: &Identity) -> Result<Vec<ResourceRecord<'static>>> {
        let record = |name: &Name<'static>, ttl, rdata| {
            ResourceRecord::new(name.clone(), CLASS::IN, ttl, rdata)
        };
        let srv = SRV { priority: 0, weight: 0, port: self.port, target: self.host.clone() };
        let services = vec![
            record(&self.services, LONG_TTL, RData::PTR(PTR(self.service.clone()))),
            record(&self.service, LONG_TTL, RData::PTR(PTR(self.instance.clone()))),
            record(&self.instance, SHORT_TTL, RData::SRV(srv)).with_cache_flush(true),
            record(&self.instance, LONG_TTL, RData::TXT(txt(identity)?)).with_cache_flush(true),
        ];
        let mut records = if identity.only_name { Vec::new() } else { services };
        let ipv4 = identity.address.map(|address| RData::A(A { address: address.into() }));
        let ipv6 = identity.ipv6.map(|own| RData::AAAA(AAAA { address: own.address.into() }));
        let addresses = [ipv4, ipv6].into_iter().flatten();
        records.extend(
            addresses.map(|rdata| record(&self.host, SHORT_TTL, rdata).with_cache_flush(true)),
        );
        Ok(records)
    }
}

fn name(text: &str) -> Result<Name<'static>> {
    Name::new(text).map(Name::into_owned).map_err(|error| anyhow!("{text}: {error}"))
}

fn txt(identity: &Identity) -> Result<TXT<'static>> {
    let mut txt = TXT::new();
    let hash = identity.config_hash.map(|hash| format!("{hash:08x}"));
    let pairs = [
        ("friendly_name", identity.friendly_name.as_deref()),
        ("version", Some(identity.version.as_str())),
        ("config_hash", hash.as_deref()),
        ("mac", Some(identity.mac.as_str())),
        ("platform", Some("HOST")),
        ("board", Some("host")),
        ("network", Some("wifi")),
    ];
    for (key, value) in pairs {
        if let Some(value) = value {
            txt.add_attribute(key, Some(value.as_bytes()))?;
        }
    }
    Ok(txt.into_owned())
}
