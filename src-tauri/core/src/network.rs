//! The networks that this computer is in.

use core::net::IpAddr;

/// The addresses that an interface reaches without a router: those that share its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of this length that an address is in.
    #[must_use]
    pub const fn new(address: IpAddr, length: u8) -> Self {
        Self { address, length }
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.leading_zeros() >= u32::from(self.length)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.length)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_what_shares_its_bits() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let lan = Prefix::new(ip("192.168.7.4"), 22);
        for (address, inside) in
            [("192.168.4.0", true), ("192.168.7.255", true), ("192.168.8.0", false), ("::1", false)]
        {
            assert_eq!(lan.contains(ip(address)), inside, "{address}");
        }
        let v6 = Prefix::new(ip("fd77::4"), 64);
        assert!(v6.contains(ip("fd77::ffff:0:0:1")) && !v6.contains(ip("fd77:0:0:1::4")));
        assert!(Prefix::new(ip("10.0.0.1"), 32).contains(ip("10.0.0.1")));
        assert!(!Prefix::new(ip("10.0.0.1"), 32).contains(ip("10.0.0.2")));
        assert!(Prefix::new(ip("10.0.0.1"), 0).contains(ip("203.0.113.9")));
    }
}
