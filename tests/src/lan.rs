//! A LAN on this machine: a bridge, and one network namespace per host; and, for those who want it, another network
//! behind a router.
//!
//! Namespaces are held by processes, not by names: they vanish with the last process in them, and
//! the holders end with whoever made them, even when that is by SIGKILL.

pub mod crowd;
pub mod fleet;
pub mod forger;
mod host;
pub mod sniffer;
pub mod storm;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

pub use host::Host;
pub(crate) use host::{address_script, gratuitous_arp_script, link_script};

/// The name of the interface in every host.
pub const INTERFACE: &str = "eth0";

/// The packet filter's table that counts.
const COUNTERS: &str = "lab_sent";

/// The length of the prefix of both networks, 10.77.0.0/24 and 10.78.0.0/24.
pub(crate) const PREFIX: u8 = 24;

/// One of the two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    Home,
    /// Behind the router: no multicast and no ARP comes from there.
    Elsewhere,
}

impl Network {
    const fn address(self, number: u8) -> Ipv4Addr {
        match self {
            Self::Home => Ipv4Addr::new(10, 77, 0, number),
            Self::Elsewhere => Ipv4Addr::new(10, 78, 0, number),
        }
    }

    const fn bridge(self) -> &'static str {
        match self {
            Self::Home => "br0",
            Self::Elsewhere => "br1",
        }
    }
}

/// The number of the router in both networks.
const ROUTER: u8 = 254;

/// This machine or this user can't have network namespaces: the reason.
#[derive(Debug)]
pub struct Unavailable(String);

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not available here: {}", self.0)
    }
}

impl std::error::Error for Unavailable {}

/// What we may do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    /// We may create network namespaces as we are.
    Own,
    /// Only inside a user namespace, in which we are root.
    UserNamespace,
}

/// A LAN. It is gone when this and its hosts are dropped.
pub struct Lan {
    power: Power,
    bridge: Arc<Holder>,
    hosts: u8,
    has_router: bool,
}

/// The process that keeps a namespace alive.
struct Holder {
    pid: u32,
    /// Its stdin: it ends when that is closed, should the death signal not have been set in time.
    _stdin: ChildStdin,
    _child: Child,
}

impl Lan {
    /// Makes an empty LAN.
    ///
    /// # Errors
    /// [`Unavailable`] when this machine or user can't have one.
    pub async fn new() -> Result<Self> {
        let power = probe().await?;
        let mut command = Command::new("unshare");
        if power == Power::UserNamespace {
            command.args(["--user", "--map-root-user"]);
        }
        let bridge = Holder::start(command).await?;
        let script = "ip link set lo up && ip link add br0 type bridge mcast_snooping 0 \
                      && ip link set br0 up";
        run(enter(power, bridge.pid, "sh").args(["-c", script])).await?;
        Ok(Self { power, bridge: Arc::new(bridge), hosts: 0, has_router: false })
    }

    /// A LAN, or none, with the reason printed, where there can't be one: the test is skipped.
    ///
    /// # Errors
    /// When it should have worked and did not; with `WAKEFLASH_REQUIRE_LAN` set, also where there
    /// can't be one, so that a machine that is known to have LANs never skips by mistake.
    pub async fn or_skip() -> Result<Option<Self>> {
        match Self::new().await {
            Ok(lan) => Ok(Some(lan)),
            Err(error) if error.is::<Unavailable>() && !required() => {
                use std::io::Write as _;
                writeln!(std::io::stderr(), "skipped: a LAN of network namespaces is {error}")?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Adds a host with the next free address.
    ///
    /// # Errors
    /// When its namespace or link can't be made.
    pub async fn host(&mut self, name: &str) -> Result<Host> {
        self.host_in(Network::Home, name).await
    }

    /// Adds a host with the next free address of the other network, behind a router that every host knows.
    ///
    /// # Errors
    /// When its namespace, its link or the router can't be made.
    pub async fn host_elsewhere(&mut self, name: &str) -> Result<Host> {
        if !self.has_router {
            let [home, elsewhere] = [Network::Home, Network::Elsewhere].map(|net| {
                let (address, bridge) = (net.address(ROUTER), net.bridge());
                format!("ip addr add {address}/{PREFIX} dev {bridge}")
            });
            let bridge = Network::Elsewhere.bridge();
            let script = format!(
                "ip link add {bridge} type bridge mcast_snooping 0 && ip link set {bridge} up && {home} && \
                 {elsewhere} && echo 1 > /proc/sys/net/ipv4/ip_forward"
            );
            run(self.admin("sh").args(["-c", &script])).await?;
            self.has_router = true;
        }
        self.host_in(Network::Elsewhere, name).await
    }

    async fn host_in(&mut self, network: Network, name: &str) -> Result<Host> {
        self.hosts = self.hosts.checked_add(1).context("the LAN is full")?;
        let number = self.hosts;
        let mut command = match self.power {
            Power::Own => Command::new("unshare"),
            Power::UserNamespace => enter(self.power, self.bridge.pid, "unshare"),
        };
        command.kill_on_drop(true);
        let host = Host {
            name: name.to_owned(),
            mac: format!("02:77:00:00:00:{number:02x}"),
            address: network.address(number),
            power: self.power,
            holder: Arc::new(Holder::start(command).await?),
            bridge: Arc::clone(&self.bridge),
            port: format!("port{number}"),
        };
        host.connect(network).await?;
        Ok(host)
    }

    /// Loses this share of the packets to and from a host, at random; 0: none any more.
    ///
    /// # Errors
    /// When `nft` fails.
    pub async fn lose(&self, host: &Host, percent: u8) -> Result<()> {
        let port = &host.port;
        let lost = format!("numgen random mod 100 < {percent} drop");
        self.filter(host, &format!("oifname {port} {lost}\niifname {port} {lost}\n")).await
    }

    /// Loses what a device says at the end of an update (`44`, and all after it in the connection), so that
    /// nobody learns of its success.
    ///
    /// # Errors
    /// When `nft` fails.
    pub async fn lose_final_word(&self, host: &Host, ota_port: u16) -> Result<()> {
        // The payload begins after a TCP header of 32 bytes: Linux always adds its timestamps.
        let port = &host.port;
        let word = "@th,256,8 0x44";
        self.filter(
            host,
            &format!("iifname {port} ip protocol tcp tcp sport {ota_port} {word} drop\n"),
        )
        .await
    }

    /// Slows a host's network down, to this many bits in a second towards it; 0: as fast as it goes.
    ///
    /// # Errors
    /// When `tc` fails.
    pub async fn slow_down(&self, host: &Host, bits: u32) -> Result<()> {
        let port = &host.port;
        let script = match bits {
            0 => format!("tc qdisc del dev {port} root"),
            _ => format!("tc qdisc replace dev {port} root tbf rate {bits} burst 1600 latency 1s"),
        };
        run(self.admin("sh").args(["-c", &script])).await
    }

    /// Counts from now on what is sent to a TCP port of each of these hosts; see [`Lan::sent`].
    ///
    /// # Errors
    /// When `nft` fails.
    pub async fn count(&self, hosts: &[&Host], tcp_port: u16) -> Result<()> {
        let mut rules = String::new();
        for host in hosts {
            let port = &host.port;
            rules += &format!(
                "oifname {port} ip protocol tcp tcp dport {tcp_port} counter comment \"{port}\"\n"
            );
        }
        self.chain(COUNTERS, &rules).await
    }

    /// How many bytes have been sent to each host since [`Lan::count`], by its [`Host::port`].
    ///
    /// # Errors
    /// When `nft` fails.
    pub async fn sent(&self) -> Result<BTreeMap<String, u64>> {
        let listed = self.admin("nft").args(["list", "table", "bridge", COUNTERS]).output().await?;
        ensure!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let listed = String::from_utf8(listed.stdout)?;
        // Not every nft can say it as JSON.
        let rules = listed.lines().filter_map(|line| {
            let (_, counted) = line.split_once(" bytes ")?;
            let (bytes, port) = counted.split_once(" comment ")?;
            Some((port.trim_matches('"').to_owned(), bytes.parse().ok()?))
        });
        Ok(rules.collect())
    }

    /// Puts rules in the place of those that a host has.
    async fn filter(&self, host: &Host, rules: &str) -> Result<()> {
        self.chain(&host.port, rules).await
    }

    /// Puts rules in the place of those of this name.
    async fn chain(&self, chain: &str, rules: &str) -> Result<()> {
        // Made and deleted first: then it needn't be known whether it exists.
        let script = format!(
            "table bridge {chain}\ndelete table bridge {chain}\n\
             table bridge {chain} {{\nchain lab {{\n\
             type filter hook forward priority 0\n{rules}}}\n}}\n"
        );
        run(self.admin("nft").arg(&script)).await
    }

    /// A command in the bridge's namespace, with the rights to administer it: packet filters on
    /// the ports (`port1` is the first host's) and captures belong here.
    #[must_use]
    pub fn admin(&self, program: impl AsRef<OsStr>) -> Command {
        enter(self.power, self.bridge.pid, program)
    }
}

impl Holder {
    /// Starts a holder with a command that lacks its last arguments: `… unshare`.
    async fn start(mut unshare: Command) -> Result<Self> {
        unshare
            .args(["--net", "setpriv", "--pdeathsig", "KILL"])
            .args(["sh", "-c", "echo ready; exec cat >/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal is for whoever made the LAN: it may have something to end before.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = unshare.spawn().context("cannot run unshare (util-linux)")?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let Some(pid) = child.id().filter(|_| line.trim() == "ready") else {
            let mut error = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                stderr.read_to_string(&mut error).await?;
            }
            bail!("cannot make a network namespace: {}", error.trim());
        };
        Ok(Self { pid, _stdin: stdin, _child: child })
    }
}

/// A command in the namespaces of a process, with the rights to administer them.
fn enter(power: Power, pid: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid.to_string()]);
    match power {
        Power::Own => command.arg("-n"),
        Power::UserNamespace => command.args(["-U", "-n", "--preserve-credentials"]),
    };
    command.arg(program).kill_on_drop(true);
    command
}

/// Runs a command to its end.
///
/// # Errors
/// When it fails; the error has what it said.
pub(crate) async fn run(command: &mut Command) -> Result<()> {
    // Ctrl-C in a terminal is for who waits for it: it isn't a failure of the command.
    let command = command.stdin(Stdio::null()).process_group(0);
    let output = command.output().await.context("cannot run a command")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{:?} failed ({}): {}", command.as_std(), output.status, said.trim());
    }
    Ok(())
}

fn required() -> bool {
    std::env::var_os("WAKEFLASH_REQUIRE_LAN").is_some_and(|value| !value.is_empty())
}

/// Finds out what we may do, by doing it.
async fn probe() -> Result<Power> {
    for tool in ["ip", "nsenter", "unshare", "setpriv"] {
        let found = Command::new(tool).arg("-V").stdout(Stdio::null()).status().await;
        if found.is_err() {
            return Err(Unavailable(format!("`{tool}` is not installed")).into());
        }
    }
    let script = "ip link add br0 type bridge && ip link add veth0 type veth peer name veth1";
    let own = run(Command::new("unshare").args(["--net", "sh", "-c", script])).await;
    let Err(own) = own else { return Ok(Power::Own) };
    let user = ["--user", "--map-root-user", "--net", "sh", "-c", script];
    match run(Command::new("unshare").args(user)).await {
        Ok(()) => Ok(Power::UserNamespace),
        Err(user) => Err(Unavailable(format!("{own:#}; in a user namespace: {user:#}")).into()),
    }
}
