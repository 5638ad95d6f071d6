//! What a device says of itself.

use core::fmt;

use crate::error::Violation;
use crate::message::DeviceInfoResponse;

/// The longest name that is taken; ESPHome's own limit is 31 characters.
const LONGEST_NAME: usize = 63;
/// The longest text that is kept of versions, times and projects; ESPHome's own limit is 127 bytes.
pub(crate) const LONGEST_TEXT: usize = 128;

/// The name of a device, as its host name and mDNS instance have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceName(String);

impl DeviceName {
    /// `None`: it is none. Letters, digits, hyphens and underscores make one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=LONGEST_NAME).contains(&text.len());
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (fits && plain).then(|| Self(text.to_owned()))
    }

    pub(crate) fn from_wire(bytes: &[u8]) -> Option<Self> {
        Self::new(core::str::from_utf8(bytes).ok()?)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A MAC address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Twelve hexadecimal digits, in pairs with colons between them or without.
    pub(crate) fn from_wire(bytes: &[u8]) -> Option<Self> {
        let digits: Vec<u8> = match bytes.len() {
            12 => bytes.to_vec(),
            17 if bytes.iter().skip(2).step_by(3).all(|b| *b == b':') => {
                bytes.iter().enumerate().filter(|(i, _)| i % 3 != 2).map(|(_, b)| *b).collect()
            }
            _ => return None,
        };
        let mut mac = [0; 6];
        for (byte, pair) in mac.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16)?;
                *byte = *byte << 4 | u8::try_from(value).ok()?;
            }
        }
        Some(Self(mac))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

/// What a device's word is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// Whoever answers at that address says so.
    Claim,
    /// Whoever says so has the key that the session was given. Whose key that is, is for the
    /// caller to know.
    Proof,
}

/// What a device says of itself before any encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Its name.
    pub name: DeviceName,
    /// Its MAC address, since ESPHome 2025.4.
    pub mac: Option<Mac>,
}

impl Greeting {
    /// Reads what follows the byte for the protocol: the name and the MAC address, each ended by a
    /// zero. Before ESPHome 2022.2 there was nothing.
    pub(crate) fn from_wire(bytes: &[u8]) -> Result<Option<Self>, Violation> {
        let mut fields = bytes.split(|byte| *byte == 0);
        // What no zero ends is no field: the last piece.
        let (Some(name), Some(after)) = (fields.next(), fields.next()) else { return Ok(None) };
        let name = DeviceName::from_wire(name).ok_or(Violation::BadName)?;
        let mac = match fields.next() {
            Some(_) => Some(Mac::from_wire(after).ok_or(Violation::BadMac)?),
            None => None,
        };
        Ok(Some(Self { name, mac }))
    }
}

/// The project that a firmware belongs to (`esphome: project:`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its name, such as `vendor.product`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The firmware that a device runs. Texts are without control characters, and cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// The ESPHome version that built it.
    pub esphome_version: String,
    /// When it was compiled, as the build wrote it into the firmware (`build_time_str` of its
    /// `build_info.json`).
    pub compilation_time: String,
    /// The project that it belongs to.
    pub project: Option<Project>,
    /// Whether it has the component `deep_sleep`.
    pub has_deep_sleep: bool,
}

/// Who a device is and what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    name: DeviceName,
    mac: Mac,
    friendly_name: Option<String>,
    firmware: Firmware,
    worth: Worth,
}

impl Answer {
    pub(crate) fn new(info: &DeviceInfoResponse, worth: Worth) -> Result<Self, Violation> {
        let project = text(&info.project_name)
            .map(|name| Project { name, version: text(&info.project_version).unwrap_or_default() });
        Ok(Self {
            name: DeviceName::from_wire(&info.name).ok_or(Violation::BadName)?,
            mac: Mac::from_wire(&info.mac_address).ok_or(Violation::BadMac)?,
            friendly_name: text(&info.friendly_name),
            firmware: Firmware {
                esphome_version: text(&info.esphome_version).unwrap_or_default(),
                compilation_time: text(&info.compilation_time).unwrap_or_default(),
                project,
                has_deep_sleep: info.has_deep_sleep,
            },
            worth,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// Its MAC address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// The name for people.
    #[must_use]
    pub fn friendly_name(&self) -> Option<&str> {
        self.friendly_name.as_deref()
    }

    /// What it runs.
    #[must_use]
    pub fn firmware(&self) -> &Firmware {
        &self.firmware
    }

    /// What all of this is worth.
    #[must_use]
    pub fn worth(&self) -> Worth {
        self.worth
    }
}

/// A text without control characters, and cut; `None` when nothing is left.
pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    let kept = bytes.get(..LONGEST_TEXT).unwrap_or(bytes);
    let text: String = String::from_utf8_lossy(kept).chars().filter(|c| !c.is_control()).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_host() {
        for name in ["sleepy", "a", "old_name-2", "UPPER"] {
            assert_eq!(DeviceName::new(name).unwrap().as_str(), name);
        }
        for wrong in ["", "a b", "a.b", "küche", "a\0", "a\n", &"x".repeat(64)] {
            assert_eq!(DeviceName::new(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_mac_address_has_two_forms() {
        let mac = Mac([0x98, 0x35, 0x69, 0xAB, 0xF6, 0x79]);
        assert_eq!(Mac::from_wire(b"98:35:69:AB:F6:79"), Some(mac));
        assert_eq!(Mac::from_wire(b"983569abf679"), Some(mac));
        assert_eq!(mac.to_string(), "98:35:69:AB:F6:79");
        for wrong in
            [&b""[..], b"983569abf67", b"98-35-69-AB-F6-79", b"9835:9ab:f679:00:", b"98+569abf679"]
        {
            assert_eq!(Mac::from_wire(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_greeting_has_grown_over_the_years() {
        let name = DeviceName::new("sleepy").unwrap();
        let read = Greeting::from_wire;
        assert_eq!(read(b""), Ok(None));
        assert_eq!(read(b"sleepy\0"), Ok(Some(Greeting { name: name.clone(), mac: None })));
        let mac = Some(Mac([2, 0, 0, 0, 0, 0xAB]));
        assert_eq!(
            read(b"sleepy\x000200000000aB\x00"),
            Ok(Some(Greeting { name: name.clone(), mac }))
        );
        // What comes with a later version.
        assert_eq!(read(b"sleepy\x000200000000ab\x00more\x00"), Ok(Some(Greeting { name, mac })));
        assert_eq!(read(b"\x000200000000ab\x00"), Err(Violation::BadName));
        assert_eq!(read(b"sleepy\0nonsense\0"), Err(Violation::BadMac));
    }

    #[test]
    fn texts_are_cleaned_and_cut() {
        assert_eq!(text(b""), None);
        assert_eq!(text(b"\n\0"), None);
        assert_eq!(text(b"2026.10.0\x1b[0m").as_deref(), Some("2026.10.0[0m"));
        assert_eq!(text(&[b'x'; 4_000]).unwrap().len(), LONGEST_TEXT);
        assert!(text(&[0xC3; 4_000]).unwrap().chars().count() <= LONGEST_TEXT);
    }
}
