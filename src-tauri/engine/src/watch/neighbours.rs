//! The neighbour table of the operating system: which link-layer address an IP address has right now.

use std::net::IpAddr;

use wakeflash_core::device::MacAddress;

/// The link-layer address that the system has for `address`, when it is on the same link and has answered.
///
/// Linux: `/proc/net/arp`, so IPv4 only. Other systems: always `None`; the gate then needs another proof.
/// The file is made by the kernel at the read, so this doesn't wait for a disk.
#[must_use]
pub fn link_address(address: IpAddr) -> Option<MacAddress> {
    #[cfg(target_os = "linux")]
    return linux(address);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = address;
        None
    }
}

#[cfg(target_os = "linux")]
fn linux(address: IpAddr) -> Option<MacAddress> {
    match std::fs::read_to_string("/proc/net/arp") {
        Ok(table) => in_arp_table(&table, address),
        Err(error) => {
            tracing::debug!(%error, "the neighbour table can't be read");
            None
        }
    }
}

/// Finds an address in the text of `/proc/net/arp`. Only complete entries count (`ATF_COM`, 0x2, proc_net(5)).
#[cfg(any(target_os = "linux", test))]
fn in_arp_table(table: &str, address: IpAddr) -> Option<MacAddress> {
    const COMPLETE: u32 = 0x2;
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let ip: IpAddr = fields.next()?.parse().ok()?;
        let (_type, flags, mac) = (fields.next()?, fields.next()?, fields.next()?);
        let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
        let mac: MacAddress = mac.parse().ok()?;
        (ip == address && flags & COMPLETE != 0 && mac != MacAddress([0; 6])).then_some(mac)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_entries_count() {
        let table = "\
IP address       HW type     Flags       HW address            Mask     Device
192.168.1.40     0x1         0x0         00:00:00:00:00:00     *        wlan0
192.168.1.41     0x1         0x2         98:35:69:ab:f6:79     *        wlan0
192.168.1.42     0x1         0x6         98:35:69:ab:f6:7a     *        wlan0
nonsense
192.168.1.40     0x1         0x2         98:35:69:ab:f6:7b     *        eth0
";
        let find = |last| in_arp_table(table, IpAddr::from([192, 168, 1, last]));
        let mac = |last| Some(MacAddress([0x98, 0x35, 0x69, 0xab, 0xf6, last]));
        assert_eq!(find(40), mac(0x7b), "the other interface knows it");
        assert_eq!((find(41), find(42), find(43)), (mac(0x79), mac(0x7a), None));
        assert_eq!(in_arp_table("", IpAddr::from([127, 0, 0, 1])), None);
    }
}
