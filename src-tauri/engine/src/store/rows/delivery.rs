//! A build on its way to a device, within the row of its update.

use serde::{Deserialize, Serialize};
use wakeflash_core::error::Problem;
use wakeflash_core::schedule::SleepPlan;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{
    Api, AttemptReport, AvoidedAddress, Before, BootCheck, Build, BuildStamp, Counts, Cuts,
    Delivery, Encryption, OtaMethod, OtaParameters, PasswordChoice, Secret, Sha256, SourceFile,
    SourceTracking,
};

use super::{Misread, read, read_some};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProblemRow {
    code: String,
    message: String,
    help: Option<String>,
    details: Option<String>,
}

impl From<&Problem> for ProblemRow {
    fn from(problem: &Problem) -> Self {
        let Problem { code, message, help, details } = problem.clone();
        Self { code, message, help, details }
    }
}

impl From<ProblemRow> for Problem {
    fn from(ProblemRow { code, message, help, details }: ProblemRow) -> Self {
        Self { code, message, help, details }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveryRow {
    build: BuildRow,
    tracking: TrackingRow,
    password: PasswordRow,
    attempts: u32,
    device_errors: u32,
    cuts: CutsRow,
    repeated_blindly: bool,
    last_attempt: Option<AttemptRow>,
    warning: Option<ProblemRow>,
    encrypted: Option<bool>,
    avoided: Vec<AvoidedRow>,
}

impl From<&Delivery> for DeliveryRow {
    fn from(delivery: &Delivery) -> Self {
        let Delivery {
            build,
            tracking,
            password,
            attempts,
            device_errors,
            cuts,
            repeated_blindly,
            last_attempt,
            warning,
            encrypted,
            avoided,
        } = delivery;
        Self {
            build: build.into(),
            tracking: (*tracking).into(),
            password: (*password).into(),
            attempts: *attempts,
            device_errors: *device_errors,
            cuts: (*cuts).into(),
            repeated_blindly: *repeated_blindly,
            last_attempt: last_attempt.as_ref().map(AttemptRow::from),
            warning: warning.as_ref().map(ProblemRow::from),
            encrypted: *encrypted,
            avoided: avoided.iter().map(AvoidedRow::from).collect(),
        }
    }
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = Misread;

    fn try_from(row: DeliveryRow) -> Result<Self, Misread> {
        Ok(Self {
            build: row.build.try_into()?,
            tracking: row.tracking.into(),
            password: row.password.into(),
            attempts: row.attempts,
            device_errors: row.device_errors,
            cuts: row.cuts.into(),
            repeated_blindly: row.repeated_blindly,
            last_attempt: row.last_attempt.map(AttemptReport::from),
            warning: row.warning.map(Problem::from),
            encrypted: row.encrypted,
            avoided: row
                .avoided
                .into_iter()
                .map(AvoidedAddress::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

mirror! { TrackingRow of SourceTracking {
    Tracked = "tracked",
    Waived = "waived",
} }

mirror! { PasswordRow of PasswordChoice {
    OfBuild = "of_build",
    LastInstalled = "last_installed",
} }

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CutsRow {
    in_all: u32,
    in_wake: u32,
    wake: Option<u32>,
}

impl From<Cuts> for CutsRow {
    fn from(Cuts { in_all, in_wake, wake }: Cuts) -> Self {
        Self { in_all, in_wake, wake }
    }
}

impl From<CutsRow> for Cuts {
    fn from(CutsRow { in_all, in_wake, wake }: CutsRow) -> Self {
        Self { in_all, in_wake, wake }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttemptRow {
    at: i64,
    problem: ProblemRow,
}

impl From<&AttemptReport> for AttemptRow {
    fn from(AttemptReport { at, problem }: &AttemptReport) -> Self {
        Self { at: at.as_millis(), problem: problem.into() }
    }
}

impl From<AttemptRow> for AttemptReport {
    fn from(AttemptRow { at, problem }: AttemptRow) -> Self {
        Self { at: Timestamp::from_millis(at), problem: problem.into() }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AvoidedRow {
    address: String,
    until: i64,
}

impl From<&AvoidedAddress> for AvoidedRow {
    fn from(AvoidedAddress { address, until }: &AvoidedAddress) -> Self {
        Self { address: address.to_string(), until: until.as_millis() }
    }
}

impl TryFrom<AvoidedRow> for AvoidedAddress {
    type Error = Misread;

    fn try_from(AvoidedRow { address, until }: AvoidedRow) -> Result<Self, Misread> {
        Ok(Self { address: read("the address", address)?, until: Timestamp::from_millis(until) })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BuildRow {
    image: String,
    size: u64,
    config_hash: Option<String>,
    esphome_version: Option<String>,
    stamp: Option<String>,
    built_at: i64,
    name: String,
    mac_suffix: bool,
    sources: Vec<SourceRow>,
    ota: OtaRow,
    credentials_changed: bool,
    address: Option<String>,
    before: BeforeRow,
    deep_sleep: bool,
    sleep_plan: Option<SleepPlanRow>,
    api: Option<ApiRow>,
    boot_check: Option<BootCheckRow>,
    mdns: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiRow {
    port: u16,
    key: Option<String>,
}

impl From<&Api> for ApiRow {
    fn from(Api { port, key }: &Api) -> Self {
        Self { port: *port, key: key.as_ref().map(|key| key.0.clone()) }
    }
}

impl From<ApiRow> for Api {
    fn from(ApiRow { port, key }: ApiRow) -> Self {
        Self { port, key: key.map(Secret) }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BootCheckRow {
    after_ms: u64,
    at_sleep: bool,
}

impl From<BootCheck> for BootCheckRow {
    fn from(BootCheck { after_ms, at_sleep }: BootCheck) -> Self {
        Self { after_ms, at_sleep }
    }
}

impl From<BootCheckRow> for BootCheck {
    fn from(BootCheckRow { after_ms, at_sleep }: BootCheckRow) -> Self {
        Self { after_ms, at_sleep }
    }
}

/// Where an earlier compile's device takes updates.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BeforeRow {
    port: Option<u16>,
    address: Option<String>,
}

impl From<&Build> for BuildRow {
    fn from(build: &Build) -> Self {
        let Build {
            image,
            size,
            config_hash,
            esphome_version,
            stamp,
            built_at,
            name,
            mac_suffix,
            sources,
            ota,
            credentials_changed,
            address,
            before: Before { port, address: address_before },
            deep_sleep,
            sleep_plan,
            api,
            boot_check,
            mdns,
        } = build;
        Self {
            image: image.0.clone(),
            size: *size,
            config_hash: config_hash.map(|hash| hash.to_string()),
            esphome_version: esphome_version.clone(),
            stamp: stamp.as_ref().map(|stamp| stamp.0.clone()),
            built_at: built_at.as_millis(),
            name: name.clone(),
            mac_suffix: *mac_suffix,
            sources: sources.iter().map(SourceRow::from).collect(),
            ota: ota.into(),
            credentials_changed: *credentials_changed,
            address: address.clone(),
            before: BeforeRow { port: *port, address: address_before.clone() },
            deep_sleep: *deep_sleep,
            sleep_plan: sleep_plan.map(SleepPlanRow::from),
            api: api.as_ref().map(ApiRow::from),
            boot_check: boot_check.map(BootCheckRow::from),
            mdns: *mdns,
        }
    }
}

impl TryFrom<BuildRow> for Build {
    type Error = Misread;

    fn try_from(row: BuildRow) -> Result<Self, Misread> {
        Ok(Self {
            image: Sha256(row.image),
            size: row.size,
            config_hash: read_some("the config hash", row.config_hash)?,
            esphome_version: row.esphome_version,
            stamp: row.stamp.map(BuildStamp),
            built_at: Timestamp::from_millis(row.built_at),
            name: row.name,
            mac_suffix: row.mac_suffix,
            sources: row.sources.into_iter().map(SourceFile::from).collect(),
            ota: row.ota.into(),
            credentials_changed: row.credentials_changed,
            address: row.address,
            before: Before { port: row.before.port, address: row.before.address },
            deep_sleep: row.deep_sleep,
            sleep_plan: row.sleep_plan.map(SleepPlan::from),
            api: row.api.map(Api::from),
            boot_check: row.boot_check.map(BootCheck::from),
            mdns: row.mdns,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceRow {
    path: String,
    sha256: Option<String>,
    counts: CountsRow,
}

impl From<&SourceFile> for SourceRow {
    fn from(SourceFile { path, sha256, counts }: &SourceFile) -> Self {
        let sha256 = sha256.as_ref().map(|sha256| sha256.0.clone());
        Self { path: path.clone(), sha256, counts: counts.into() }
    }
}

impl From<SourceRow> for SourceFile {
    fn from(SourceRow { path, sha256, counts }: SourceRow) -> Self {
        Self { path, sha256: sha256.map(Sha256), counts: counts.into() }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum CountsRow {
    Content,
    Secrets { names: Vec<String>, values: String },
    Names(Vec<String>),
    Commit,
}

impl From<&Counts> for CountsRow {
    fn from(counts: &Counts) -> Self {
        match counts {
            Counts::Content => Self::Content,
            Counts::Secrets { names, values } => {
                Self::Secrets { names: names.clone(), values: values.0.clone() }
            }
            Counts::Names(names) => Self::Names(names.clone()),
            Counts::Commit => Self::Commit,
        }
    }
}

impl From<CountsRow> for Counts {
    fn from(row: CountsRow) -> Self {
        match row {
            CountsRow::Content => Self::Content,
            CountsRow::Secrets { names, values } => Self::Secrets { names, values: Sha256(values) },
            CountsRow::Names(names) => Self::Names(names),
            CountsRow::Commit => Self::Commit,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SleepPlanRow {
    run_ms: Option<u64>,
    sleep_ms: Option<u64>,
}

impl From<SleepPlan> for SleepPlanRow {
    fn from(SleepPlan { run_ms, sleep_ms }: SleepPlan) -> Self {
        Self { run_ms, sleep_ms }
    }
}

impl From<SleepPlanRow> for SleepPlan {
    fn from(SleepPlanRow { run_ms, sleep_ms }: SleepPlanRow) -> Self {
        Self { run_ms, sleep_ms }
    }
}

mirror! { MethodRow of OtaMethod {
    Native = "native",
    WebServer = "web_server",
} }

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OtaRow {
    method: MethodRow,
    port: u16,
    password: Option<String>,
    encryption: EncryptionRow,
}

impl From<&OtaParameters> for OtaRow {
    fn from(OtaParameters { method, port, password, encryption }: &OtaParameters) -> Self {
        Self {
            method: (*method).into(),
            port: *port,
            password: password.as_ref().map(|password| password.0.clone()),
            encryption: encryption.into(),
        }
    }
}

impl From<OtaRow> for OtaParameters {
    fn from(OtaRow { method, port, password, encryption }: OtaRow) -> Self {
        Self {
            method: method.into(),
            port,
            password: password.map(Secret),
            encryption: encryption.into(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum EncryptionRow {
    None,
    Offered { key: String },
    Required { key: String, allow_plaintext: bool },
}

impl From<&Encryption> for EncryptionRow {
    fn from(encryption: &Encryption) -> Self {
        match encryption {
            Encryption::None => Self::None,
            Encryption::Offered { key } => Self::Offered { key: key.0.clone() },
            Encryption::Required { key, allow_plaintext } => {
                Self::Required { key: key.0.clone(), allow_plaintext: *allow_plaintext }
            }
        }
    }
}

impl From<EncryptionRow> for Encryption {
    fn from(row: EncryptionRow) -> Self {
        match row {
            EncryptionRow::None => Self::None,
            EncryptionRow::Offered { key } => Self::Offered { key: Secret(key) },
            EncryptionRow::Required { key, allow_plaintext } => {
                Self::Required { key: Secret(key), allow_plaintext }
            }
        }
    }
}
