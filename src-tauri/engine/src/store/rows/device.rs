//! The row of what is remembered of a device.

use serde::{Deserialize, Serialize};
use wakeflash_core::device::{BeforeInstall, ConfiguredBy, DeviceId, DeviceMemory, InstalledBuild};
use wakeflash_core::device_log::LogWish;
use wakeflash_core::identity::{Claims, Identity, Rival, RunningBuild};
use wakeflash_core::schedule::SleepPlan;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{Build, BuildStamp, Encryption, Secret, Sha256, SourceFile};

use super::delivery::{BuildRow, EncryptionRow, SleepPlanRow, SourceRow};
use super::{Misread, read_all, read_some};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceRow {
    last_seen: Option<i64>,
    identity: IdentityRow,
    // What is claimed, by the names that it had when nothing was pinned.
    addresses: Vec<String>,
    mac: Option<String>,
    link_address: Option<String>,
    version: Option<String>,
    config_hash: Option<String>,
    claimed_hashes: Vec<String>,
    rival: Option<RivalRow>,
    hashes: Vec<String>,
    announces_hash: bool,
    friendly_name: Option<String>,
    platform: Option<String>,
    deep_sleep: bool,
    sleep_plan: Option<SleepPlanRow>,
    overdue_told: Option<i64>,
    installed_password: Option<String>,
    installed_sources: Option<InstalledBuildRow>,
    user_address: Option<String>,
    labels: Vec<String>,
    installed_encryption: Option<EncryptionRow>,
    configured_by: Option<ConfiguredByRow>,
    chosen: Option<ConfiguredByRow>,
    before_install: Option<BeforeInstallRow>,
    transfers: Vec<i64>,
    kept_builds: Vec<BuildRow>,
    record_log: Option<LogWishRow>,
}

impl From<&DeviceMemory> for DeviceRow {
    fn from(memory: &DeviceMemory) -> Self {
        let DeviceMemory {
            last_seen,
            identity,
            claims,
            rival,
            hashes,
            announces_hash,
            friendly_name,
            platform,
            deep_sleep,
            sleep_plan,
            overdue_told,
            installed_password,
            installed_sources,
            user_address,
            labels,
            installed_encryption,
            configured_by,
            chosen,
            before_install,
            transfers,
            kept_builds,
            record_log,
        } = memory;
        let Claims { mac, link_address, addresses, version, config_hash, hashes: claimed } = claims;
        Self {
            last_seen: last_seen.map(Timestamp::as_millis),
            identity: identity.into(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            mac: mac.map(|mac| mac.to_string()),
            link_address: link_address.map(|mac| mac.to_string()),
            version: version.clone(),
            config_hash: config_hash.map(|hash| hash.to_string()),
            claimed_hashes: claimed.iter().map(ToString::to_string).collect(),
            rival: rival.as_ref().map(RivalRow::from),
            hashes: hashes.iter().map(ToString::to_string).collect(),
            announces_hash: *announces_hash,
            friendly_name: friendly_name.clone(),
            platform: platform.clone(),
            deep_sleep: *deep_sleep,
            sleep_plan: sleep_plan.map(SleepPlanRow::from),
            overdue_told: overdue_told.map(Timestamp::as_millis),
            installed_password: installed_password.as_ref().map(|secret| secret.0.clone()),
            installed_sources: installed_sources.as_ref().map(InstalledBuildRow::from),
            user_address: user_address.clone(),
            labels: labels.iter().cloned().collect(),
            installed_encryption: installed_encryption.as_ref().map(EncryptionRow::from),
            configured_by: configured_by.as_ref().map(ConfiguredByRow::from),
            chosen: chosen.as_ref().map(ConfiguredByRow::from),
            before_install: before_install.as_ref().map(BeforeInstallRow::from),
            transfers: transfers.iter().map(|at| at.as_millis()).collect(),
            kept_builds: kept_builds.iter().map(BuildRow::from).collect(),
            record_log: record_log.as_ref().map(LogWishRow::from),
        }
    }
}

impl TryFrom<DeviceRow> for DeviceMemory {
    type Error = Misread;

    fn try_from(row: DeviceRow) -> Result<Self, Misread> {
        Ok(Self {
            last_seen: row.last_seen.map(Timestamp::from_millis),
            identity: row.identity.try_into()?,
            claims: Claims {
                mac: read_some("the MAC address", row.mac)?,
                link_address: read_some("the link-layer address", row.link_address)?,
                addresses: read_all("the address", row.addresses)?,
                version: row.version,
                config_hash: read_some("the config hash", row.config_hash)?,
                hashes: read_all("the config hash", row.claimed_hashes)?,
            },
            rival: row.rival.map(Rival::try_from).transpose()?,
            hashes: read_all("the config hash", row.hashes)?,
            announces_hash: row.announces_hash,
            friendly_name: row.friendly_name,
            platform: row.platform,
            deep_sleep: row.deep_sleep,
            sleep_plan: row.sleep_plan.map(SleepPlan::from),
            overdue_told: row.overdue_told.map(Timestamp::from_millis),
            installed_password: row.installed_password.map(Secret),
            installed_sources: row.installed_sources.map(InstalledBuild::try_from).transpose()?,
            user_address: row.user_address,
            labels: row.labels.into_iter().collect(),
            installed_encryption: row.installed_encryption.map(Encryption::from),
            configured_by: row.configured_by.map(ConfiguredBy::from),
            chosen: row.chosen.map(ConfiguredBy::from),
            before_install: row.before_install.map(BeforeInstall::try_from).transpose()?,
            transfers: row.transfers.into_iter().map(Timestamp::from_millis).collect(),
            kept_builds: row
                .kept_builds
                .into_iter()
                .map(Build::try_from)
                .collect::<Result<_, _>>()?,
            record_log: row.record_log.map(LogWish::from),
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogWishRow {
    asked_at: i64,
    while_awake: bool,
    wake: Option<u32>,
}

impl From<&LogWish> for LogWishRow {
    fn from(LogWish { asked_at, while_awake, wake }: &LogWish) -> Self {
        Self { asked_at: asked_at.as_millis(), while_awake: *while_awake, wake: *wake }
    }
}

impl From<LogWishRow> for LogWish {
    fn from(LogWishRow { asked_at, while_awake, wake }: LogWishRow) -> Self {
        Self { asked_at: Timestamp::from_millis(asked_at), while_awake, wake }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunningRow {
    version: Option<String>,
    config_hash: Option<String>,
    stamp: Option<String>,
}

impl From<&RunningBuild> for RunningRow {
    fn from(RunningBuild { version, config_hash, stamp }: &RunningBuild) -> Self {
        Self {
            version: version.clone(),
            config_hash: config_hash.map(|hash| hash.to_string()),
            stamp: stamp.as_ref().map(|stamp| stamp.0.clone()),
        }
    }
}

impl TryFrom<RunningRow> for RunningBuild {
    type Error = Misread;

    fn try_from(RunningRow { version, config_hash, stamp }: RunningRow) -> Result<Self, Misread> {
        let config_hash = read_some("the config hash", config_hash)?;
        Ok(Self { version, config_hash, stamp: stamp.map(BuildStamp) })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityRow {
    mac: Option<String>,
    link_addresses: Vec<String>,
    addresses: Vec<String>,
    build: Option<RunningRow>,
    proven_at: Option<i64>,
}

impl From<&Identity> for IdentityRow {
    fn from(identity: &Identity) -> Self {
        Self {
            mac: identity.mac().map(|mac| mac.to_string()),
            link_addresses: identity.link_addresses().iter().map(ToString::to_string).collect(),
            addresses: identity.addresses().iter().map(ToString::to_string).collect(),
            build: identity.build().map(RunningRow::from),
            proven_at: identity.proven_at().map(Timestamp::as_millis),
        }
    }
}

impl TryFrom<IdentityRow> for Identity {
    type Error = Misread;

    fn try_from(row: IdentityRow) -> Result<Self, Misread> {
        Ok(Self::stored(
            read_some("the MAC address", row.mac)?,
            read_all("the link-layer address", row.link_addresses)?,
            read_all("the address", row.addresses)?,
            row.build.map(RunningBuild::try_from).transpose()?,
            row.proven_at.map(Timestamp::from_millis),
        ))
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RivalRow {
    mac: Option<String>,
    link_address: Option<String>,
    address: Option<String>,
    build: Option<RunningRow>,
    at: i64,
}

impl From<&Rival> for RivalRow {
    fn from(Rival { mac, link_address, address, build, at }: &Rival) -> Self {
        Self {
            mac: mac.map(|mac| mac.to_string()),
            link_address: link_address.map(|mac| mac.to_string()),
            address: address.map(|address| address.to_string()),
            build: build.as_ref().map(RunningRow::from),
            at: at.as_millis(),
        }
    }
}

impl TryFrom<RivalRow> for Rival {
    type Error = Misread;

    fn try_from(row: RivalRow) -> Result<Self, Misread> {
        Ok(Self {
            mac: read_some("the MAC address", row.mac)?,
            link_address: read_some("the link-layer address", row.link_address)?,
            address: read_some("the address", row.address)?,
            build: row.build.map(RunningBuild::try_from).transpose()?,
            at: Timestamp::from_millis(row.at),
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstalledBuildRow {
    digest: String,
    files: Vec<SourceRow>,
    config_hash: Option<String>,
    version: Option<String>,
    stamp: Option<String>,
    port: Option<u16>,
    address: Option<String>,
}

impl From<&InstalledBuild> for InstalledBuildRow {
    fn from(build: &InstalledBuild) -> Self {
        let InstalledBuild { digest, files, config_hash, version, stamp, port, address } = build;
        Self {
            digest: digest.0.clone(),
            files: files.iter().map(SourceRow::from).collect(),
            config_hash: config_hash.map(|hash| hash.to_string()),
            version: version.clone(),
            stamp: stamp.as_ref().map(|stamp| stamp.0.clone()),
            port: *port,
            address: address.clone(),
        }
    }
}

impl TryFrom<InstalledBuildRow> for InstalledBuild {
    type Error = Misread;

    fn try_from(row: InstalledBuildRow) -> Result<Self, Misread> {
        let InstalledBuildRow { digest, files, config_hash, version, stamp, port, address } = row;
        let config_hash = read_some("the config hash", config_hash)?;
        let files = files.into_iter().map(SourceFile::from).collect();
        let (digest, stamp) = (Sha256(digest), stamp.map(BuildStamp));
        Ok(Self { digest, files, config_hash, version, stamp, port, address })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfiguredByRow {
    directory: Option<String>,
    file: String,
}

impl From<&ConfiguredBy> for ConfiguredByRow {
    fn from(ConfiguredBy { directory, file }: &ConfiguredBy) -> Self {
        Self { directory: directory.clone(), file: file.to_string() }
    }
}

impl From<ConfiguredByRow> for ConfiguredBy {
    fn from(ConfiguredByRow { directory, file }: ConfiguredByRow) -> Self {
        Self { directory, file: DeviceId::of_file(file) }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BeforeInstallRow {
    password: Option<String>,
    encryption: Option<EncryptionRow>,
    sources: Option<InstalledBuildRow>,
}

impl From<&BeforeInstall> for BeforeInstallRow {
    fn from(BeforeInstall { password, encryption, sources }: &BeforeInstall) -> Self {
        Self {
            password: password.as_ref().map(|secret| secret.0.clone()),
            encryption: encryption.as_ref().map(EncryptionRow::from),
            sources: sources.as_ref().map(InstalledBuildRow::from),
        }
    }
}

impl TryFrom<BeforeInstallRow> for BeforeInstall {
    type Error = Misread;

    fn try_from(row: BeforeInstallRow) -> Result<Self, Misread> {
        Ok(Self {
            password: row.password.map(Secret),
            encryption: row.encryption.map(Encryption::from),
            sources: row.sources.map(InstalledBuild::try_from).transpose()?,
        })
    }
}
