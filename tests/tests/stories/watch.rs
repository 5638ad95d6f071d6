//! What the network watch makes of evidence, on a LAN: the watch alone on one host, and on another one a port and
//! packets as a device would send them. Both sides are this program again, inside their namespaces.

use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use simple_dns::rdata::{A, AAAA, PTR, RData, SRV};
use simple_dns::{CLASS, Name, Packet, ResourceRecord};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wakeflash_core::knock::{Purpose, Target, TargetAddress};
use wakeflash_core::update::UpdateId;
use wakeflash_engine::watch::{Feeds, Watch, WatchEvent};
use wakeflash_tests::lan::{Host, Lan};

const PORT: u16 = 3232;
const NOWHERE: &str = "10.77.0.99";
/// No knock by the clock comes in between.
const NEVER: Duration = Duration::from_secs(3600);
/// On an idle machine it takes 1 to 3 ms. Nothing else would lead to a connection.
const AT_ONCE: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(60);
/// How often a device says something that nobody hears yet: whoever watches has only just begun to.
const WORDS: u32 = 5;

/// One side of the scene. It ends when dropped.
struct Side {
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Side {
    async fn start(host: &Host, role: &str, env: &[(&str, String)]) -> Result<Self> {
        let mut command = host.command(std::env::current_exe()?);
        command.args(["--exact", &format!("watch::{role}"), "--ignored", "--nocapture"]);
        command.envs(env.iter().cloned()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        let lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let mut side = Self { _child: child, stdin, lines };
        ensure!(side.next(SOON).await? == "ready");
        Ok(side)
    }

    async fn tell(&mut self, command: &str) -> Result<()> {
        Ok(self.stdin.write_all(format!("{command}\n").as_bytes()).await?)
    }

    async fn next(&mut self, limit: Duration) -> Result<String> {
        loop {
            let line = timeout(limit, self.lines.next_line()).await.context("silence")??;
            let Some(line) = line else { bail!("it has ended") };
            // What the test harness prints doesn't count.
            if let Some((_, said)) = line.split_once("@ ") {
                return Ok(said.to_owned());
            }
        }
    }

    /// Says something until a connection comes, and how long after the last packet that was.
    async fn says_and_is_caught(&mut self, what: &str) -> Result<Duration> {
        // What the words before have led to.
        while self.next(Duration::from_millis(200)).await.is_ok() {}
        for _ in 1..WORDS {
            self.tell(what).await?;
            if let Ok(took) = self.caught(AT_ONCE).await {
                return Ok(took);
            }
        }
        self.tell(what).await?;
        self.caught(SOON).await
    }

    /// How long after the last packet a connection came.
    async fn caught(&mut self, limit: Duration) -> Result<Duration> {
        let micros = self.next(limit).await?.parse()?;
        Ok(Duration::from_micros(micros))
    }
}

fn say(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "@ {text}").and_then(|()| stdout.flush());
}

/// Watches for `sleepy`, whose last address and link-layer address the environment has.
#[tokio::test]
#[ignore = "one side of the other tests"]
async fn home_side() -> Result<()> {
    let var = |key: &str| std::env::var(key).unwrap_or_default();
    let link = var("LINK");
    let target = Target {
        claimed: Vec::new(),
        recognised: false,
        update: UpdateId(1),
        name: "sleepy".into(),
        other_name: None,
        link_addresses: if link.is_empty() { Vec::new() } else { vec![link.parse()?] },
        addresses: vec![TargetAddress::Ip(var("AT").parse()?)],
        avoid: Vec::new(),
        ports: vec![PORT],
        purpose: Purpose::Capture,
        period: Duration::from_millis(var("PERIOD").parse()?),
    };
    let list = vec![target];
    let (target_list, targets) = watch::channel(list.clone());
    let (_online, online) = watch::channel(Vec::new());
    let (_watching, watching) = watch::channel(false);
    let (events, mut received) = mpsc::channel(256);
    let cancel = CancellationToken::new();
    let (_, known) = watch::channel(Vec::new());
    let feeds = Feeds { targets, online, watching, known };
    let _watch = Watch::start(feeds, events, &cancel);
    tokio::time::sleep(Duration::from_millis(300)).await;
    say("ready");
    while let Some(event) = received.recv().await {
        if let WatchEvent::Connected { stream, .. } = event {
            drop(stream);
            if var("AT") == NOWHERE {
                // The next connection is that of the next evidence.
                target_list.send_replace(Vec::new());
                tokio::time::sleep(Duration::from_millis(100)).await;
                target_list.send_replace(list.clone());
            }
        }
    }
    Ok(())
}

/// A device's network: `listen ADDRESS`, `close`, `say announcement|probe|ipv6|goodbye`, `udp ADDRESS`, `mark`.
#[test]
#[ignore = "one side of the other tests"]
fn sensor_side() -> Result<()> {
    let mark = Arc::new(Mutex::new(Instant::now()));
    let set_mark = || *mark.lock().unwrap() = Instant::now();
    say("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("listen", at) => {
                let listener = TcpListener::bind(SocketAddr::new(at.parse()?, PORT))?;
                let mark = Arc::clone(&mark);
                std::thread::spawn(move || {
                    while listener.accept().is_ok() {
                        say(&mark.lock().unwrap().elapsed().as_micros().to_string());
                    }
                });
                say("listening");
            }
            ("say", what) => {
                let packet = packet(what)?;
                set_mark();
                multicast(&packet, what == "ipv6")?;
            }
            ("udp", to) => {
                set_mark();
                UdpSocket::bind("0.0.0.0:0")?.send_to(b"hello", SocketAddr::new(to.parse()?, 9))?;
            }
            ("mark", _) => set_mark(),
            (other, _) => bail!("what is {other}?"),
        }
    }
    Ok(())
}

fn multicast(packet: &[u8], v6: bool) -> Result<()> {
    if v6 {
        let table = std::fs::read_to_string("/proc/net/if_inet6")?;
        let line = table.lines().find(|line| line.ends_with("eth0")).context("no IPv6 on eth0")?;
        let index = line.split_ascii_whitespace().nth(1).context("no index")?;
        let index = u32::from_str_radix(index, 16)?;
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
        let to = std::net::SocketAddrV6::new(group, 5353, 0, index);
        UdpSocket::bind("[::]:0")?.send_to(packet, to)?;
    } else {
        UdpSocket::bind("0.0.0.0:0")?.send_to(packet, (Ipv4Addr::new(224, 0, 0, 251), 5353))?;
    }
    Ok(())
}

fn packet(what: &str) -> Result<Vec<u8>> {
    const INSTANCE: &str = "sleepy._esphomelib._tcp.local";
    const SERVICE: &str = "_esphomelib._tcp.local";
    let name = |text: &'static str| Name::new_unchecked(text);
    let ttl = if what == "goodbye" { 0 } else { 4500 };
    let record = |owner, rdata| ResourceRecord::new(name(owner), CLASS::IN, ttl, rdata);
    let srv = SRV { priority: 0, weight: 0, port: 6053, target: name("sleepy.local") };
    let srv = record(INSTANCE, RData::SRV(srv));
    let a = record("sleepy.local", RData::A(A::from(Ipv4Addr::new(10, 77, 0, 2))));
    let ptr = record(SERVICE, RData::PTR(PTR(name(INSTANCE))));
    let mut packet = match what {
        "probe" => Packet::new_query(0),
        _ => Packet::new_reply(0),
    };
    match what {
        "probe" => packet.name_servers = vec![srv, a],
        "announcement" | "goodbye" => packet.answers = vec![ptr, srv, a],
        "ipv6" => {
            let address: Ipv6Addr = "fd77::2".parse()?;
            let aaaa = record("sleepy.local", RData::AAAA(AAAA { address: address.into() }));
            packet.answers = vec![ptr, srv, aaaa];
        }
        other => bail!("what is {other}?"),
    }
    Ok(packet.build_bytes_vec_compressed()?)
}

/// Two hosts, `home` with 10.77.0.1 and the device with 10.77.0.2.
async fn hosts() -> Result<Option<(Lan, Host, Host)>> {
    let Some(mut lan) = Lan::or_skip().await? else { return Ok(None) };
    let (home, sensor) = (lan.host("home").await?, lan.host("sensor").await?);
    Ok(Some((lan, home, sensor)))
}

async fn ip(host: &Host, arguments: &str) -> Result<()> {
    let status = host.admin("ip").args(arguments.split(' ')).status().await?;
    ensure!(status.success(), "ip {arguments}");
    Ok(())
}

async fn home(host: &Host, at: &str, link: &str, period: Duration) -> Result<Side> {
    let period = period.as_millis().to_string();
    let env = [("AT", at.to_owned()), ("LINK", link.to_owned()), ("PERIOD", period)];
    Side::start(host, "home_side", &env).await
}

#[tokio::test]
async fn an_identical_announcement_leads_to_a_connection_at_once() -> Result<()> {
    let Some((_lan, home_host, sensor_host)) = hosts().await? else { return Ok(()) };
    let _home = home(&home_host, NOWHERE, "", NEVER).await?;
    let mut sensor = Side::start(&sensor_host, "sensor_side", &[]).await?;
    // The first one is news to every cache. The port is closed yet, which is a sign of life for a while.
    sensor.tell("say announcement").await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    sensor.tell("listen 10.77.0.2").await?;
    ensure!(sensor.next(SOON).await? == "listening");
    ensure!(sensor.next(Duration::from_secs(1)).await.is_err(), "nothing has happened");
    let took = sensor.says_and_is_caught("say announcement").await?;
    ensure!(took < AT_ONCE, "{took:?}");
    Ok(())
}

#[tokio::test]
async fn a_probe_and_an_announcement_by_ipv6_lead_to_a_connection_at_once() -> Result<()> {
    let Some((_lan, home_host, sensor_host)) = hosts().await? else { return Ok(()) };
    for (host, address) in [(&home_host, "fd77::1/64"), (&sensor_host, "fd77::2/64")] {
        ip(host, &format!("addr add {address} dev eth0 nodad")).await?;
    }
    for (what, at) in [("probe", "10.77.0.2"), ("announcement", "10.77.0.2"), ("ipv6", "fd77::2")] {
        let _home = home(&home_host, NOWHERE, "", NEVER).await?;
        let mut sensor = Side::start(&sensor_host, "sensor_side", &[]).await?;
        sensor.tell(&format!("listen {at}")).await?;
        ensure!(sensor.next(SOON).await? == "listening");
        let took = sensor.says_and_is_caught(&format!("say {what}")).await;
        let took = took.with_context(|| what.to_owned())?;
        ensure!(took < AT_ONCE, "{what}: {took:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_known_device_at_another_address_is_found_by_its_hardware() -> Result<()> {
    let Some((_lan, home_host, mut sensor_host)) = hosts().await? else { return Ok(()) };
    sensor_host.set_address(Ipv4Addr::new(10, 77, 0, 55)).await?;
    let _home = home(&home_host, "10.77.0.2", sensor_host.mac(), NEVER).await?;
    let mut sensor = Side::start(&sensor_host, "sensor_side", &[]).await?;
    sensor.tell("listen 10.77.0.55").await?;
    ensure!(sensor.next(SOON).await? == "listening");
    // It says nothing about itself, but to say something to this computer it asks for it by ARP.
    let took = sensor.says_and_is_caught("udp 10.77.0.1").await?;
    ensure!(took < AT_ONCE, "{took:?}");
    Ok(())
}

#[tokio::test]
async fn an_interface_that_comes_later_is_listened_on() -> Result<()> {
    let Some((_lan, home_host, sensor_host)) = hosts().await? else { return Ok(()) };
    // Without an interface the watch has nothing to listen on.
    home_host.link(false).await?;
    ip(&home_host, "addr flush dev eth0").await?;
    let _home = home(&home_host, NOWHERE, "", NEVER).await?;
    let mut sensor = Side::start(&sensor_host, "sensor_side", &[]).await?;
    sensor.tell("listen 10.77.0.2").await?;
    ensure!(sensor.next(SOON).await? == "listening");
    for address in ["10.77.0.1", "10.77.0.3"] {
        home_host.link(false).await?;
        ip(&home_host, "addr flush dev eth0").await?;
        ip(&home_host, &format!("addr add {address}/24 dev eth0")).await?;
        home_host.link(true).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let took = sensor.says_and_is_caught("say announcement").await?;
        ensure!(took < AT_ONCE, "{took:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_device_whose_wake_is_expected_is_reached_without_a_word() -> Result<()> {
    let Some((_lan, home_host, sensor_host)) = hosts().await? else { return Ok(()) };
    // Not even its address is announced.
    let quiet = ["-c", "echo 0 > /proc/sys/net/ipv4/conf/eth0/arp_notify"];
    ensure!(sensor_host.admin("sh").args(quiet).status().await?.success());
    let link = sensor_host.mac().to_owned();
    let mut sensor = Side::start(&sensor_host, "sensor_side", &[]).await?;
    sensor.tell("listen 10.77.0.2").await?;
    ensure!(sensor.next(SOON).await? == "listening");
    let _home = home(&home_host, "10.77.0.2", &link, Duration::from_millis(250)).await?;
    sensor.caught(SOON).await?;
    let (mut times, mut soon) = (Vec::new(), 0);
    // Knocks come every 250 ms, ARP alone would take up to a second. A busy machine is late now and then.
    for sleep in [11, 4, 5, 6, 7].into_iter().chain(std::iter::repeat_n(4, 20)) {
        if times.len() >= 5 && soon >= 3 {
            break;
        }
        sensor_host.link(false).await?;
        // Long enough for the kernel to forget the device, were it not held.
        tokio::time::sleep(Duration::from_millis(sleep * 1000 + 130)).await;
        sensor.tell("mark").await?;
        sensor_host.link(true).await?;
        let took = sensor.caught(SOON).await?;
        soon += u32::from(took < Duration::from_millis(600));
        times.push(took);
        // Before the watch has rested.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    say(&format!("from link-up to the connection: {times:?}"));
    ensure!(soon >= 3, "{times:?}");
    Ok(())
}
