//! Devices: what their configuration says, what the network says, what is remembered.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::device_log::LogWish;
use crate::identity::{Claims, Identity, Rival};
use crate::schedule::SleepPlan;
use crate::time::Timestamp;
use crate::update::{Build, BuildStamp, Sha256, SourceFile};

/// Names a row of the list: the file name of a configuration (`sleepy.yaml`), or `mdns/NAME` for a device
/// that was only seen on the network. A file name can't contain the slash, so the two can't be confused.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, specta::Type,
)]
#[serde(transparent)]
pub struct DeviceId(String);

impl DeviceId {
    /// The device configured by the file of this name in the config directory.
    pub fn of_file(file_name: impl Into<String>) -> Self {
        Self(file_name.into())
    }

    /// A device without configuration, known by its mDNS name.
    #[must_use]
    pub fn discovered(name: &str) -> Self {
        Self(format!("mdns/{name}"))
    }

    /// The mDNS name of a device without configuration.
    #[must_use]
    pub fn discovered_name(&self) -> Option<&str> {
        self.0.strip_prefix("mdns/")
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// ESPHome's hash of a configuration (FNV-1a, 32 bits), as devices announce it in their TXT record.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, specta::Type,
)]
#[serde(try_from = "String", into = "String")]
#[specta(type = String)]
pub struct ConfigHash(pub u32);

impl fmt::Display for ConfigHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for ConfigHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no config hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a config hash (1 to 8 hex digits)")]
pub struct NotAConfigHash;

impl FromStr for ConfigHash {
    type Err = NotAConfigHash;

    fn from_str(text: &str) -> Result<Self, NotAConfigHash> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NotAConfigHash);
        }
        u32::from_str_radix(digits, 16).map(Self).map_err(|_| NotAConfigHash)
    }
}

impl TryFrom<String> for ConfigHash {
    type Error = NotAConfigHash;

    fn try_from(text: String) -> Result<Self, NotAConfigHash> {
        text.parse()
    }
}

impl From<ConfigHash> for String {
    fn from(hash: ConfigHash) -> Self {
        hash.to_string()
    }
}

/// A link-layer address.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, specta::Type,
)]
#[serde(try_from = "String", into = "String")]
#[specta(type = String)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl MacAddress {
    /// Whether its last three bytes are these hex digits, as ESPHome puts them into a name.
    #[must_use]
    pub fn ends_with(self, digits: &str) -> bool {
        let [.., a, b, c] = self.0;
        digits.eq_ignore_ascii_case(&format!("{a:02x}{b:02x}{c:02x}"))
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address (12 hex digits)")]
pub struct NotAMacAddress;

impl FromStr for MacAddress {
    type Err = NotAMacAddress;

    /// Reads `98:35:69:AB:F6:79` and ESPHome's TXT form `983569abf679`.
    fn from_str(text: &str) -> Result<Self, NotAMacAddress> {
        let digits: String = text.chars().filter(|c| *c != ':' && *c != '-').collect();
        let mut bytes = [0; 6];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotAMacAddress)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for MacAddress {
    type Error = NotAMacAddress;

    fn try_from(text: String) -> Result<Self, NotAMacAddress> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(mac: MacAddress) -> Self {
        mac.to_string()
    }
}

/// How a sighting was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Out of the resolver's cache: its facts can be as old as their TTL allows, and nobody knows who said them.
    Browse,
    /// A packet that arrived just now from this address.
    Packet(IpAddr),
    /// The answer of this address to a question that was put to it just now.
    Answer(IpAddr),
}

impl Source {
    /// The address that said it.
    #[must_use]
    pub const fn sender(self) -> Option<IpAddr> {
        match self {
            Self::Browse => None,
            Self::Packet(sender) | Self::Answer(sender) => Some(sender),
        }
    }
}

/// Whether the sighting says that the device came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SightingKind {
    /// The device is there.
    Alive,
    /// It said goodbye, or its records have expired.
    Gone,
}

/// One piece of evidence about a device from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The name it goes by (the mDNS instance, which is `esphome: name:`).
    pub name: String,
    /// How we know.
    pub source: Source,
    /// Came or went.
    pub kind: SightingKind,
    /// Where it can be reached, best first.
    pub addresses: Vec<IpAddr>,
    /// TXT `mac`.
    pub mac: Option<MacAddress>,
    /// The link-layer address that the neighbour table has for the address that sent the packet.
    pub link_address: Option<MacAddress>,
    /// TXT `version`: the ESPHome version of the firmware that runs.
    pub version: Option<String>,
    /// TXT `config_hash` of the firmware that runs. Older firmware has none.
    pub config_hash: Option<ConfigHash>,
    /// When the firmware that runs was compiled, which only the native API says. Whoever says it there gives no hash,
    /// and that means nothing: the API has none.
    pub stamp: Option<BuildStamp>,
    /// TXT `friendly_name`.
    pub friendly_name: Option<String>,
    /// TXT `platform`.
    pub platform: Option<String>,
}

impl Sighting {
    /// Whether it is a TXT record, which is complete: what it doesn't have, the firmware that runs doesn't announce.
    #[must_use]
    pub const fn is_record(&self) -> bool {
        self.version.is_some() && self.stamp.is_none()
    }

    /// An address answers nothing, and the neighbour table shows a device's own network hardware there.
    #[must_use]
    pub fn of_hardware(name: &str, address: IpAddr, link_address: MacAddress) -> Self {
        Self {
            name: name.to_owned(),
            source: Source::Answer(address),
            kind: SightingKind::Alive,
            addresses: vec![address],
            mac: None,
            link_address: Some(link_address),
            version: None,
            config_hash: None,
            stamp: None,
            friendly_name: None,
            platform: None,
        }
    }
}

/// What is remembered about a device over a restart, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceMemory {
    /// The last evidence of life.
    pub last_seen: Option<Timestamp>,
    /// What is pinned of it.
    pub identity: Identity,
    /// What is said about it.
    #[serde(flatten)]
    pub claims: Claims,
    /// Who else claims its name.
    pub rival: Option<Rival>,
    /// The hashes that it has announced, or that may have arrived on it; the newest ones, oldest first.
    pub hashes: Vec<ConfigHash>,
    /// The device itself announces its hash: its last TXT record had one.
    pub announces_hash: bool,
    /// TXT `friendly_name`.
    pub friendly_name: Option<String>,
    /// TXT `platform`.
    pub platform: Option<String>,
    /// Its last build or configuration used deep sleep.
    pub deep_sleep: bool,
    /// How long it sleeps and is awake, by its last build.
    pub sleep_plan: Option<SleepPlan>,
    /// When the user was last told that it hasn't woken for long.
    pub overdue_told: Option<Timestamp>,
    /// The OTA password of the last build that was installed from here.
    pub installed_password: Option<crate::update::Secret>,
    /// The last build that was installed from here.
    pub installed_sources: Option<InstalledBuild>,
    /// Where the user says that it is, as [`crate::address::read`] gives it.
    pub user_address: Option<String>,
    /// What the user calls it together with others.
    pub labels: BTreeSet<String>,
    /// What that build said about encryption; `None`: nothing was installed from here.
    pub installed_encryption: Option<crate::update::Encryption>,
    /// The configuration whose device goes by this name.
    pub configured_by: Option<ConfiguredBy>,
    /// Of several configurations that name their device so, the one that the user says it is of.
    pub chosen: Option<ConfiguredBy>,
    /// What was installed before that build, as long as the device may go back to it.
    pub before_install: Option<BeforeInstall>,
    /// When the last transfers to it began since something was installed on it; oldest first, and no more than may
    /// begin in an hour.
    pub transfers: Vec<Timestamp>,
    /// The last builds that were installed from here, oldest first: their images are kept.
    pub kept_builds: Vec<Build>,
    /// Its log is to be recorded at its next wake.
    pub record_log: Option<LogWish>,
}

/// A configuration, wherever the config directory of the settings is meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfiguredBy {
    /// The config directory.
    pub directory: Option<String>,
    /// The file in it.
    pub file: DeviceId,
}

/// What is remembered of the build that the last installed one replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BeforeInstall {
    /// See [`DeviceMemory::installed_password`].
    pub password: Option<crate::update::Secret>,
    /// See [`DeviceMemory::installed_encryption`].
    pub encryption: Option<crate::update::Encryption>,
    /// See [`DeviceMemory::installed_sources`].
    pub sources: Option<InstalledBuild>,
}

/// What is remembered of a build that was installed from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledBuild {
    /// Of all its sources together ([`crate::update::sources_digest`]).
    pub digest: Sha256,
    /// Its sources; empty: they aren't known.
    #[serde(default)]
    pub files: Vec<SourceFile>,
    pub config_hash: Option<ConfigHash>,
    /// The ESPHome that built it.
    #[serde(default)]
    pub version: Option<String>,
    /// Its stamp, where it has one of its own.
    #[serde(default)]
    pub stamp: Option<BuildStamp>,
    /// On which port it takes updates.
    #[serde(default)]
    pub port: Option<u16>,
    /// The address that its configuration names.
    #[serde(default)]
    pub address: Option<String>,
}

impl DeviceMemory {
    /// How many hashes are kept.
    const HASHES_KEPT: usize = 16;

    /// How many builds are kept.
    const BUILDS_KEPT: usize = 2;

    /// Its MAC address; of a device that was never proven, the first that was claimed.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddress> {
        if self.identity.is_proven() { self.identity.mac() } else { self.claims.mac }
    }

    /// The build that was installed from here, unless the device is known to run another one.
    #[must_use]
    pub fn installed(&self) -> Option<&InstalledBuild> {
        let installed = self.installed_sources.as_ref()?;
        let stamp = self.identity.build().and_then(|build| build.stamp.as_ref());
        let other = match stamp.zip(installed.stamp.as_ref()) {
            Some((runs, is)) => runs != is,
            None => {
                self.config_hash().zip(installed.config_hash).is_some_and(|(runs, is)| runs != is)
            }
        };
        (!other).then_some(installed)
    }

    /// Keeps a build that was installed from here, beside the one before.
    pub fn keep_build(&mut self, build: &Build) {
        self.kept_builds.retain(|kept| kept.image != build.image);
        self.kept_builds.push(build.clone());
        let many = self.kept_builds.len().saturating_sub(Self::BUILDS_KEPT);
        self.kept_builds.drain(..many);
    }

    /// The build that the device can go back to: the one before the installed one; the installed one itself, when
    /// the device runs what somebody else has brought.
    #[must_use]
    pub fn previous_build(&self) -> Option<&Build> {
        let newer = usize::from(self.installed().is_some());
        self.kept_builds.iter().rev().nth(newer)
    }

    /// Another board that claims its name, and not merely its own behind other network hardware.
    #[must_use]
    pub fn rival_board(&self) -> Option<&Rival> {
        self.rival.as_ref().filter(|rival| rival.mac.is_some() && rival.mac != self.mac())
    }

    /// Its link-layer addresses, as far as they are known.
    pub fn link_addresses(&self) -> impl Iterator<Item = MacAddress> {
        let claimed = self.claims.link_address.filter(|_| !self.identity.is_proven());
        self.identity.link_addresses().iter().copied().chain(claimed).chain(self.mac())
    }

    /// Where it may be, best first: where it was proven, then where it is said to be.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let proven = self.identity.addresses();
        let claimed = self.claims.addresses.iter().filter(|address| !proven.contains(address));
        proven.iter().chain(claimed).copied()
    }

    /// The ESPHome version that runs; of a device that never proved what it runs, the one that is claimed.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match self.identity.build() {
            Some(build) => build.version.as_deref(),
            None => self.claims.version.as_deref(),
        }
    }

    /// The config hash that runs, or that is claimed.
    #[must_use]
    pub fn config_hash(&self) -> Option<ConfigHash> {
        match self.identity.build() {
            Some(build) => build.config_hash,
            None => self.claims.config_hash,
        }
    }

    /// The hashes that it may have announced or got: of those, none proves a new build. Empty: nothing is known of it.
    #[must_use]
    pub fn known_hashes(&self) -> Vec<ConfigHash> {
        let claimed = self.claims.hashes.iter().filter(|hash| !self.hashes.contains(hash));
        let surely_known = !self.hashes.is_empty();
        self.hashes.iter().chain(claimed.filter(|_| surely_known)).copied().collect()
    }

    /// Whether something is remembered that the device took, or that the user said.
    #[must_use]
    pub fn is_of_use(&self) -> bool {
        self.configured_by.is_some()
            || self.installed_password.is_some()
            || self.installed_sources.is_some()
            || self.installed_encryption.is_some()
            || self.user_address.is_some()
            || !self.labels.is_empty()
            || self.record_log.is_some()
    }

    /// Remembers a hash that the device has announced, or that may have arrived on it.
    pub fn note_hash(&mut self, hash: ConfigHash) {
        self.hashes.retain(|known| *known != hash);
        self.hashes.push(hash);
        if self.hashes.len() > Self::HASHES_KEPT {
            self.hashes.remove(0);
        }
    }
}

/// Whether a device is thought to be there. It decides what is shown, never whether to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    /// There is evidence of life and nothing against it.
    Online,
    /// Gone, and known to use deep sleep.
    Asleep,
    /// Gone, and not known to sleep.
    Offline,
    /// Never heard of, or too early to say.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_hash_is_read_in_both_spellings() {
        assert_eq!("06b5fb73".parse(), Ok(ConfigHash(0x06b5_fb73)));
        assert_eq!("0x06b5fb73".parse(), Ok(ConfigHash(0x06b5_fb73)));
        for wrong in ["", "0x", "+6b5fb73", "123456789", "zz"] {
            assert_eq!(wrong.parse::<ConfigHash>(), Err(NotAConfigHash), "{wrong:?}");
        }
    }

    #[test]
    fn a_mac_is_read_in_both_spellings() {
        let mac = MacAddress([0x98, 0x35, 0x69, 0xAB, 0xF6, 0x79]);
        assert_eq!("983569abf679".parse(), Ok(mac));
        assert_eq!("98:35:69:AB:F6:79".parse(), Ok(mac));
        assert_eq!(mac.to_string(), "98:35:69:AB:F6:79");
        assert_eq!("98:35:69:AB:F6".parse::<MacAddress>(), Err(NotAMacAddress));
    }
}
