//! One host of the LAN.

use super::*;
use crate::supervisor::{DeviceOptions, LabDevice};

/// One machine on the LAN, with the interface `eth0`.
#[derive(Clone)]
pub struct Host {
    pub(super) name: String,
    pub(super) mac: String,
    pub(super) address: Ipv4Addr,
    pub(super) power: Power,
    pub(super) holder: Arc<Holder>,
    pub(super) bridge: Arc<Holder>,
    pub(super) port: String,
}

impl Host {
    pub(super) async fn connect(&self, network: Network) -> Result<()> {
        let pid = self.holder.pid;
        let port = &self.port;
        let script = format!(
            "ip link add {port} type veth peer name {INTERFACE} netns {pid} \
             && ip link set {port} master {} up",
            network.bridge()
        );
        run(enter(self.power, self.bridge.pid, "sh").args(["-c", &script])).await?;
        // No duplicate address detection: it would keep IPv6 silent for a second. Like the network stack of
        // devices, and unlike Linux by itself, a host announces its address by ARP when its link comes up.
        let script = format!(
            "echo 0 > /proc/sys/net/ipv6/conf/{INTERFACE}/accept_dad; \
             echo 1 > /proc/sys/net/ipv4/conf/{INTERFACE}/arp_notify; ip link set lo up \
             && ip link set {INTERFACE} address {} && ip addr add {}/{PREFIX} dev {INTERFACE} \
             && ip link set {INTERFACE} up && {}",
            self.mac,
            self.address,
            routes(INTERFACE)
        );
        run(self.admin("sh").args(["-c", &script])).await
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address it was given first.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The hardware address that `eth0` was given first.
    #[must_use]
    pub fn mac(&self) -> &str {
        &self.mac
    }

    /// The bridge's end of its cable, for packet filters and captures; see [`Lan::admin`].
    #[must_use]
    pub fn port(&self) -> &str {
        &self.port
    }

    /// A command in this host, as the user that we are. It ends with us, to be exact: with the
    /// thread that starts it, so start it on a thread that lasts (not in `spawn_blocking`).
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self.power {
            Power::Own => enter(self.power, self.holder.pid, "setpriv"),
            // Inside the LAN's user namespace we are root. A session bus asks for the user id
            // that it knows, hence a second one that maps it back.
            Power::UserNamespace => {
                let mut command = enter(self.power, self.holder.pid, "unshare");
                command
                    .arg("--user")
                    .arg(format!("--map-user={}", rustix::process::getuid().as_raw()))
                    .arg(format!("--map-group={}", rustix::process::getgid().as_raw()))
                    .arg("setpriv");
                command
            }
        };
        command.args(["--pdeathsig", "KILL"]).arg(program);
        command
    }

    /// A command in this host with the rights to administer its network. It ends with us.
    #[must_use]
    pub fn admin(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = enter(self.power, self.holder.pid, "setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program);
        command
    }

    /// Takes the link up or down.
    ///
    /// # Errors
    /// When `ip` fails.
    pub async fn link(&self, up: bool) -> Result<()> {
        run(self.admin("sh").args(["-c", &link_script(INTERFACE, up)])).await
    }

    /// Gives the host another address; the old one is gone.
    ///
    /// # Errors
    /// When `ip` fails.
    pub async fn set_address(&mut self, address: Ipv4Addr) -> Result<()> {
        run(self.admin("sh").args(["-c", &address_script(INTERFACE, address)])).await?;
        self.address = address;
        Ok(())
    }

    /// Says by ARP which address the host has, as lwIP does.
    ///
    /// # Errors
    /// When `ip` fails.
    pub async fn announce_address(&self) -> Result<()> {
        run(self.admin("sh").args(["-c", &gratuitous_arp_script(INTERFACE, &self.mac)])).await
    }

    /// Gives the host an IPv6 address beside the link-local one, `fd77::` and its number.
    ///
    /// # Errors
    /// When `ip` fails.
    pub async fn add_ipv6(&self) -> Result<Ipv6Addr> {
        let number = u16::from(self.address.octets()[3]);
        let address = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number);
        // A link that goes down would lose it.
        let script = format!(
            "echo 1 > /proc/sys/net/ipv6/conf/{INTERFACE}/keep_addr_on_down; \
             ip addr add {address}/64 dev {INTERFACE} nodad"
        );
        run(self.admin("sh").args(["-c", &script])).await?;
        Ok(address)
    }

    /// Takes the host's IPv4 address away.
    ///
    /// # Errors
    /// When `ip` fails.
    pub async fn remove_ipv4(&self) -> Result<()> {
        run(self.admin("ip").args(["-4", "addr", "flush", "dev", INTERFACE])).await
    }

    /// Puts a sleeping device into this host; see [`DeviceOptions`].
    ///
    /// # Errors
    /// When `wakeflash-lab` has not been built or doesn't start.
    pub async fn device(&self, options: &DeviceOptions) -> Result<LabDevice> {
        LabDevice::start(self, options).await
    }
}

/// The script that takes an interface up or down. Going down loses the routes, so they come back.
pub(crate) fn link_script(interface: &str, up: bool) -> String {
    if up {
        format!("ip link set {interface} up && {}", routes(interface))
    } else {
        format!("ip link set {interface} down")
    }
}

/// The script that makes the kernel announce an interface's addresses by ARP: it does so when the hardware address is
/// set, also to what it was. When the link comes up it would too, but the bridge drops that packet; on a busy machine
/// it may not forward yet for some milliseconds more. lwIP announces more than once, too: when the link is up, and when
/// it has its address.
pub(crate) fn gratuitous_arp_script(interface: &str, mac: &str) -> String {
    format!(
        "until grep -q up /sys/class/net/{interface}/operstate; do sleep 0.005; done; \
         echo 1 >/proc/sys/net/ipv4/conf/{interface}/arp_notify || exit; \
         for pause in 0.02 0.04 0; do \
         ip link set {interface} address {mac} || exit; sleep $pause; done"
    )
}

/// The script that gives an interface another IPv4 address instead of those it has.
pub(crate) fn address_script(interface: &str, address: Ipv4Addr) -> String {
    format!(
        "ip -4 addr flush dev {interface} && ip addr add {address}/{PREFIX} dev {interface} \
         && ({} || true)",
        // Refused while the link is down; it comes with the link then.
        routes(interface)
    )
}

/// The script that gives an interface a further IPv4 address.
pub(super) fn add_address_script(interface: &str, address: Ipv4Addr) -> String {
    format!("ip addr add {address}/{PREFIX} dev {interface}")
}

/// Multicast goes out here, and what is meant for the other network to the router, whether there is one or not.
pub(super) fn routes(interface: &str) -> String {
    let (home, elsewhere) = (Network::Home.address(0), Network::Elsewhere.address(0));
    let (near, far) = (Network::Home.address(ROUTER), Network::Elsewhere.address(ROUTER));
    format!(
        "case $(ip -4 -o addr show dev {interface}) in \
         *' 10.78.0.'*) ip route replace {home}/{PREFIX} via {far} ;; \
         *' 10.77.0.'*) ip route replace {elsewhere}/{PREFIX} via {near} ;; esac 2>/dev/null; \
         ip route replace 224.0.0.0/4 dev {interface} 2>/dev/null"
    )
}
