//! Where the user says that a device is.

use core::net::{IpAddr, Ipv6Addr};

use crate::error::Problem;
use crate::knock::TargetAddress;

/// The longest name of the DNS, and the longest part of one.
const NAME_LIMIT: usize = 253;
const LABEL_LIMIT: usize = 63;

/// Reads an address that the user entered: an IP address (IPv6 also in brackets) or a name. The text of the
/// answer is the address in its usual spelling.
///
/// # Errors
/// It is neither, or an IPv6 address that is valid on one link only: what was seen of devices is kept without
/// the interface, so nothing could be proven at such an address.
pub fn read(entered: &str) -> Result<String, Problem> {
    let text = entered.trim();
    let text = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let (unscoped, _) = text.split_once('%').unwrap_or((text, ""));
    if unscoped.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_unicast_link_local()) {
        return Err(link_local(entered));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return if can_be_a_device(ip) { Ok(ip.to_string()) } else { Err(wrong(entered)) };
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if is_name(&name) { Ok(name) } else { Err(wrong(entered)) }
}

/// An address of the user as a place to knock at.
#[must_use]
pub fn target(address: &str) -> TargetAddress {
    address.parse().map_or_else(|_| TargetAddress::Name(address.to_owned()), TargetAddress::Ip)
}

fn can_be_a_device(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || broadcast)
}

fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=LABEL_LIMIT).contains(&label.len())
            && label.chars().all(letters)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // Digits and dots only: an IP address with a mistake in it.
    let numeric = name.chars().all(|c| c.is_ascii_digit() || c == '.');
    name.len() <= NAME_LIMIT && !numeric && name.split('.').all(label)
}

fn wrong(entered: &str) -> Problem {
    Problem::new("address.unreadable", format!("{entered:?} is neither an IP address nor a name."))
        .with_help("Enter something like 192.168.1.20, 2001:db8::20 or sensor.example.org.")
}

fn link_local(entered: &str) -> Problem {
    let what =
        format!("{entered:?} is an address within one link only; Wakeflash can't use it yet.");
    Problem::new("address.link_local", what).with_help(
        "Enter the device's IPv4 address, another IPv6 address that it has, or its name.",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_and_names_are_read() {
        for (entered, read_as) in [
            (" 192.168.1.20 ", "192.168.1.20"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("Sensor.Example.org.", "sensor.example.org"),
            ("sleepy_2.local", "sleepy_2.local"),
        ] {
            assert_eq!(read(entered).as_deref(), Ok(read_as));
        }
    }

    #[test]
    fn anything_else_is_refused_in_words() {
        let long = "a".repeat(64);
        for entered in [
            "",
            " ",
            "192.168.1",
            "300.1.1.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.251",
            "::",
            "2001:db8::1%eth0",
            "1.2.3.4%eth0",
            "a b",
            "-a.local",
            "a..b",
            "http://a",
            "a:6053",
            "ä.local",
            &long,
        ] {
            assert_eq!(read(entered).unwrap_err().code, "address.unreadable", "{entered:?}");
        }
    }

    #[test]
    fn an_address_within_one_link_is_refused_as_such() {
        for entered in ["fe80::1", "[fe80::1]", "FE80::1%eth0", "febf::2%3", "fe80::1%"] {
            assert_eq!(read(entered).unwrap_err().code, "address.link_local", "{entered:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_read_reads_as_itself(entered in ".{0,80}") {
            if let Ok(address) = read(&entered) {
                prop_assert_eq!(read(&address).unwrap(), address.clone());
                prop_assert!(!address.contains(char::is_whitespace));
            }
        }
    }
}
