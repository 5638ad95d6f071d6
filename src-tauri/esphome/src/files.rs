//! The files that ESPHome leaves below its data directory, read with tolerance for what is missing or new.

use std::collections::BTreeSet;

use serde_json::Value;

use wakeflash_core::device::ConfigHash;
use wakeflash_core::error::Problem;
use wakeflash_core::schedule::SleepPlan;
use wakeflash_core::update::{
    Api, BootCheck, BuildStamp, Encryption, OtaMethod, OtaParameters, Secret,
};

use crate::boot_check::boot_check_of;

/// `storage/FILE.json`: what the last compile (or `--only-generate`) recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// `name`.
    pub name: Option<String>,
    /// `friendly_name`.
    pub friendly_name: Option<String>,
    /// `core_platform`, lowercase. (`esp_platform` is the chip's variant; it stands in when there is none.)
    pub platform: Option<String>,
    /// `firmware_bin_path`: what an OTA sends. The file need not exist.
    pub firmware: Option<String>,
    /// `build_path`, where `build_info.json` lies.
    pub build_path: Option<String>,
    /// `loaded_integrations`.
    pub integrations: BTreeSet<String>,
    /// `loaded_platforms`, such as `ota/esphome`.
    pub platforms: BTreeSet<String>,
}

impl Storage {
    /// Whether the build has `deep_sleep:`.
    #[must_use]
    pub fn deep_sleep(&self) -> bool {
        self.integrations.contains("deep_sleep")
    }
}

/// `storage/FILE.validated.json`: the parts of the validated configuration that matter to an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// `esphome: name:`.
    pub name: Option<String>,
    /// How the device takes its firmware.
    pub ota: OtaParameters,
    /// `use_address` or static IP of the network.
    pub address: Option<String>,
    /// It has `deep_sleep:`.
    pub deep_sleep: bool,
    /// The durations of `deep_sleep:`.
    pub sleep_plan: Option<SleepPlan>,
    /// Its native API.
    pub api: Option<Api>,
    /// When a bootloader that can go back keeps the firmware.
    pub boot_check: Option<BootCheck>,
    /// It has `mdns:`, and not disabled.
    pub mdns: bool,
    /// The end of the device's MAC address is part of its name.
    pub mac_suffix: bool,
    /// The ESPHome that validated it.
    pub esphome_version: Option<String>,
}

/// `build_info.json` of a build directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildInfo {
    /// `config_hash`.
    pub config_hash: Option<ConfigHash>,
    /// `esphome_version`.
    pub esphome_version: Option<String>,
    /// `build_time`, in seconds since 1970.
    pub build_time: Option<i64>,
    /// `build_time_str`, which is in the firmware.
    pub stamp: Option<BuildStamp>,
}

/// Reads `storage/FILE.json`.
///
/// # Errors
/// It is no JSON object.
pub fn storage(bytes: &[u8]) -> Result<Storage, Problem> {
    let root = object(bytes, "storage file")?;
    let set = |name: &str| {
        let items = root.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Ok(Storage {
        name: text(root.get("name")),
        friendly_name: text(root.get("friendly_name")),
        platform: text(root.get("core_platform"))
            .or_else(|| text(root.get("esp_platform")))
            .map(|platform| platform.to_lowercase()),
        firmware: text(root.get("firmware_bin_path")),
        build_path: text(root.get("build_path")),
        integrations: set("loaded_integrations"),
        platforms: set("loaded_platforms"),
    })
}

/// Reads `build_info.json`.
///
/// # Errors
/// It is no JSON object.
pub fn build_info(bytes: &[u8]) -> Result<BuildInfo, Problem> {
    let root = object(bytes, "build information")?;
    let hash = root.get("config_hash").and_then(Value::as_u64);
    Ok(BuildInfo {
        config_hash: hash.and_then(|hash| u32::try_from(hash).ok()).map(ConfigHash),
        esphome_version: text(root.get("esphome_version")),
        build_time: root.get("build_time").and_then(Value::as_i64),
        stamp: text(root.get("build_time_str")).map(BuildStamp),
    })
}

/// Reads `storage/FILE.validated.json`; `platform` gives the default port.
///
/// # Errors
/// It is no JSON object with a configuration, or that takes no updates over the air.
pub fn validated(bytes: &[u8], platform: Option<&str>) -> Result<Validated, Problem> {
    let root = validated_config(bytes)?;
    let config = root.get("config").unwrap_or(&Value::Null);
    let at = |pointer: &str| config.pointer(pointer);
    Ok(Validated {
        name: text(at("/esphome/name")),
        ota: ota_parameters(config, platform)?,
        address: address_of(config),
        deep_sleep: at("/deep_sleep").is_some(),
        sleep_plan: sleep_plan_of(config),
        api: api_of(config),
        boot_check: boot_check_of(config),
        mdns: has_mdns(config),
        mac_suffix: has_mac_suffix(config),
        esphome_version: text(root.get("esphome")),
    })
}

/// Where a validated configuration says that its device is.
pub(crate) fn address_of(config: &Value) -> Option<String> {
    let at = |network: &str, pointer: &str| text(config.pointer(&format!("/{network}/{pointer}")));
    ["wifi", "ethernet", "openthread"].into_iter().find_map(|network| {
        at(network, "use_address").or_else(|| at(network, "manual_ip/static_ip"))
    })
}

pub(crate) fn sleep_plan_of(config: &Value) -> Option<SleepPlan> {
    let at = |pointer: &str| text(config.pointer(pointer));
    let (run, sleep) = (at("/deep_sleep/run_duration"), at("/deep_sleep/sleep_duration"));
    SleepPlan::read(run.as_deref(), sleep.as_deref())
}

pub(crate) fn has_mdns(config: &Value) -> bool {
    let disabled = config.pointer("/mdns/disabled");
    config.get("mdns").is_some() && disabled != Some(&Value::Bool(true))
}

/// The native API of a validated configuration.
pub(crate) fn api_of(config: &Value) -> Option<Api> {
    // Without any option it validates to null or to an object.
    let api = config.get("api")?;
    let port = api.get("port").and_then(number).and_then(|port| u16::try_from(port).ok());
    let key = text(config.pointer("/api/encryption/key")).map(Secret);
    Some(Api { port: port.filter(|port| *port != 0).unwrap_or(Api::PORT), key })
}

/// Whether the end of its MAC address is part of a device's name.
pub(crate) fn has_mac_suffix(config: &Value) -> bool {
    config.pointer("/esphome/name_add_mac_suffix") == Some(&Value::Bool(true))
}

/// `storage/FILE.validated.json`, in which there is an object `config`.
pub(crate) fn validated_config(bytes: &[u8]) -> Result<Value, Problem> {
    let root = object(bytes, "validated configuration")?;
    if root.get("config").is_some_and(Value::is_object) {
        Ok(root)
    } else {
        Err(unreadable("validated configuration"))
    }
}

/// Every encryption key in `storage/FILE.validated.json`.
///
/// # Errors
/// It is no JSON object with a configuration.
pub fn keys(bytes: &[u8]) -> Result<Vec<Secret>, Problem> {
    let root = validated_config(bytes)?;
    let config = root.get("config").unwrap_or(&Value::Null);
    let of_ota = ota_entries(config).into_iter().map(|entry| entry.pointer("/encryption/key"));
    let of_api = config.pointer("/api/encryption/key");
    Ok(of_ota.chain([of_api]).filter_map(text).map(Secret).collect())
}

fn ota_entries(config: &Value) -> Vec<&Value> {
    match config.get("ota") {
        Some(Value::Array(entries)) => entries.iter().collect(),
        Some(entry) => vec![entry],
        None => Vec::new(),
    }
}

pub(crate) fn ota_parameters(
    config: &Value,
    platform: Option<&str>,
) -> Result<OtaParameters, Problem> {
    let entries = ota_entries(config);
    let is =
        |entry: &&Value, name: &str| entry.get("platform").and_then(Value::as_str) == Some(name);
    let Some(ota) = entries.iter().find(|entry| is(entry, "esphome")) else {
        return web_server(config, entries.iter().any(|entry| is(entry, "web_server")));
    };
    let port = match ota.get("port").and_then(number) {
        Some(port) => u16::try_from(port).ok(),
        None => default_port(platform),
    };
    let port = port.filter(|port| *port != 0).ok_or_else(|| {
        Problem::new("ota.port", "The port of `ota: platform: esphome` can't be told.")
            .with_help("Set `port:` in the `ota:` section.")
    })?;
    Ok(OtaParameters {
        method: OtaMethod::Native,
        port,
        password: text(ota.get("password")).map(Secret),
        encryption: encryption(ota, config.pointer("/api/encryption/key"))?,
    })
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Without ESPHome's own protocol the web server has to take the image, if there is one: the platform alone
/// also serves a captive portal, which `esphome upload` can't use.
fn web_server(config: &Value, platform: bool) -> Result<OtaParameters, Problem> {
    let Some(block) = config.get("web_server").filter(|block| platform && block.is_object()) else {
        return Err(no_ota(platform));
    };
    let port = block.get("port").map_or(Some(80), number).and_then(|port| u16::try_from(port).ok());
    let port = port.filter(|port| *port != 0).ok_or_else(|| {
        Problem::new("ota.port", "The port of `web_server:` can't be told.")
            .with_help("Set `port:` in the `web_server:` section.")
    })?;
    let (password, encryption) = (None, Encryption::None);
    Ok(OtaParameters { method: OtaMethod::WebServer, port, password, encryption })
}

/// A key in `ota:` demands encryption; a key in `api:` alone makes it welcome. A demand whose key can't be told
/// must not become plaintext.
fn encryption(ota: &Value, api_key: Option<&Value>) -> Result<Encryption, Problem> {
    let api_key = text(api_key).map(Secret);
    let Some(block) = ota.get("encryption").filter(|block| !block.is_null()) else {
        return Ok(api_key.map_or(Encryption::None, |key| Encryption::Offered { key }));
    };
    let key = text(block.get("key")).map(Secret).or(api_key).ok_or_else(|| {
        Problem::new(
            "ota.key",
            "The configuration requires encrypted updates, and its key can't be told.",
        )
        .with_help("Set `key:` below `ota: encryption:` or `api: encryption:`.")
    })?;
    let allow_plaintext = block.get("allow_plaintext_upload") == Some(&Value::Bool(true));
    Ok(Encryption::Required { key, allow_plaintext })
}

fn no_ota(web_server: bool) -> Problem {
    let message = if web_server {
        "The configuration takes updates by `ota: platform: web_server` only, and has no `web_server:`."
    } else {
        "The configuration has no `ota: platform: esphome`, so the device takes no updates over the air."
    };
    Problem::new("ota.missing", message).with_help(
        "Add `- platform: esphome` under `ota:` in the YAML. When the firmware on the device lacks it too, \
         install it once by cable.",
    )
}

/// The port that ESPHome takes when a configuration names none.
#[must_use]
pub fn default_port(platform: Option<&str>) -> Option<u16> {
    match platform? {
        "esp32" => Some(3232),
        "esp8266" => Some(8266),
        "rp2040" | "rp2" => Some(2040),
        "bk72xx" | "rtl87xx" | "ln882x" | "libretiny" => Some(8892),
        "host" => Some(8082),
        _ => None,
    }
}

/// The parsed object. Its parse error names a line and a column, never a value: there are secrets in there.
fn object(bytes: &[u8], what: &str) -> Result<Value, Problem> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) | Err(_) => Err(unreadable(what)),
    }
}

fn unreadable(what: &str) -> Problem {
    Problem::new("esphome.files", format!("The {what} that ESPHome left can't be understood."))
        .with_help("Build again. If it stays so, this ESPHome may be newer than Wakeflash knows.")
}

/// A text that says something; numbers count as text.
pub(crate) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ota(json: &str) -> Result<OtaParameters, Problem> {
        validated(format!("{{\"config\":{json}}}").as_bytes(), Some("esp32")).map(|v| v.ota)
    }

    #[test]
    fn a_real_storage_file_is_read() {
        let storage = storage(
            br#"{"storage_version":1,"name":"sleepy","friendly_name":"Sleepy Sensor","address":null,
            "esp_platform":"ESP32S3","core_platform":"esp32","build_path":"/c/.esphome/build/sleepy",
            "firmware_bin_path":"/c/f.bin","loaded_integrations":["api","deep_sleep"],
            "loaded_platforms":["ota/esphome"],"no_mdns":false,"new_key":{"x":[1]}}"#,
        )
        .unwrap();
        assert_eq!(storage.platform.as_deref(), Some("esp32"));
        assert_eq!(storage.firmware.as_deref(), Some("/c/f.bin"));
        assert!(storage.deep_sleep());
        assert!(storage.platforms.contains("ota/esphome"));
    }

    #[test]
    fn a_storage_file_may_lack_everything_but_not_be_nonsense() {
        assert_eq!(super::storage(b"{}").unwrap(), Storage::default());
        assert_eq!(super::storage(b"[]").unwrap_err().code, "esphome.files");
        assert_eq!(super::storage(b"").unwrap_err().code, "esphome.files");
    }

    #[test]
    fn the_config_hash_is_a_decimal_number() {
        let info =
            build_info(br#"{"config_hash":729016268,"esphome_version":"2026.10.0"}"#).unwrap();
        assert_eq!(info.config_hash, Some(ConfigHash(0x2b73_e7cc)));
        assert_eq!(build_info(br#"{"config_hash":-1}"#).unwrap().config_hash, None);
    }

    #[test]
    fn the_stamp_is_what_the_device_says() {
        let info = build_info(br#"{"build_time":1,"build_time_str":"2026-11-30 09:46:06 +0000"}"#);
        assert_eq!(info.unwrap().stamp, Some(BuildStamp("2026-11-30 09:46:06 +0000".into())));
        assert_eq!(build_info(b"{}").unwrap().stamp, None);
    }

    #[test]
    fn a_validated_configuration_gives_the_parameters() {
        let v = validated(
            br#"{"esphome":"2026.10.0","config":{"esphome":{"name":"s"},"wifi":{"use_address":"s.local",
            "manual_ip":{"static_ip":"192.0.2.1"}},"deep_sleep":{"run_duration":"10s","sleep_duration":"5min"},"mdns":{"disabled":false},
            "ota":[{"platform":"web_server"},{"platform":"esphome","port":13232,"password":"hunter2"}]}}"#,
            Some("esp32"),
        )
        .unwrap();
        assert_eq!(v.ota.port, 13232);
        assert_eq!(v.ota.password, Some(Secret("hunter2".into())));
        assert_eq!(v.ota.encryption, Encryption::None);
        assert_eq!(v.address.as_deref(), Some("s.local"));
        assert!(v.deep_sleep && v.mdns);
        assert_eq!(v.sleep_plan, SleepPlan::read(Some("10s"), Some("5min")));
    }

    #[test]
    fn the_api_of_a_configuration_is_known() {
        let api = |json: &str| {
            let config = format!(r#"{{"config":{{"ota":{{"platform":"esphome"}}{json}}}}}"#);
            validated(config.as_bytes(), Some("esp32")).unwrap().api
        };
        assert_eq!(api(""), None);
        for plain in [r#","api":{}"#, r#","api":null"#, r#","api":{"encryption":{}}"#] {
            assert_eq!(api(plain), Some(Api { port: 6053, key: None }), "{plain}");
        }
        let own = api(r#","api":{"port":6054,"encryption":{"key":"k"}}"#);
        assert_eq!(own, Some(Api { port: 6054, key: Some(Secret("k".into())) }));
    }

    #[test]
    fn encryption_follows_the_keys() {
        let key = || Secret("k".into());
        let cases = [
            (r#"{"ota":[{"platform":"esphome"}],"api":{}}"#, Encryption::None),
            (
                r#"{"ota":[{"platform":"esphome"}],"api":{"encryption":{"key":"k"}}}"#,
                Encryption::Offered { key: key() },
            ),
            (r#"{"ota":[{"platform":"esphome"}],"api":{"encryption":{}}}"#, Encryption::None),
            (
                r#"{"ota":[{"platform":"esphome","encryption":{"key":"k"}}]}"#,
                Encryption::Required { key: key(), allow_plaintext: false },
            ),
            (
                r#"{"ota":[{"platform":"esphome","encryption":{"key":"k","allow_plaintext_upload":true}}],
                "api":{"encryption":{"key":"k"}}}"#,
                Encryption::Required { key: key(), allow_plaintext: true },
            ),
            (
                r#"{"ota":[{"platform":"esphome","encryption":{}}],"api":{"encryption":{"key":"k"}}}"#,
                Encryption::Required { key: key(), allow_plaintext: false },
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(ota(json).unwrap().encryption, expected, "{json}");
        }
    }

    #[test]
    fn encryption_without_a_key_that_can_be_read_is_a_problem_and_not_plaintext() {
        for json in [
            r#"{"ota":[{"platform":"esphome","encryption":{}}],"api":{}}"#,
            r#"{"ota":[{"platform":"esphome","encryption":{"key":""}}]}"#,
            r#"{"ota":[{"platform":"esphome","encryption":{"key":null}}],"api":{"encryption":{}}}"#,
            r#"{"ota":[{"platform":"esphome","encryption":{"allow_plaintext_upload":true}}]}"#,
            r#"{"ota":[{"platform":"esphome","encryption":true}]}"#,
        ] {
            assert_eq!(ota(json).unwrap_err().code, "ota.key", "{json}");
        }
    }

    #[test]
    fn every_key_of_a_configuration_is_found() {
        let of = |json: &str| keys(format!("{{\"config\":{json}}}").as_bytes()).unwrap();
        let both = r#"{"ota":[{"platform":"esphome","encryption":{"key":"o"}}],"api":{"encryption":{"key":"a"}}}"#;
        assert_eq!(of(both), [Secret("o".into()), Secret("a".into())]);
        assert_eq!(of(r#"{"ota":{"platform":"esphome"},"api":{"encryption":{}}}"#), []);
        assert!(keys(b"{}").is_err());
    }

    #[test]
    fn a_missing_port_is_the_platforms_own_and_a_missing_platform_is_a_problem() {
        assert_eq!(ota(r#"{"ota":[{"platform":"esphome"}]}"#).unwrap().port, 3232);
        assert_eq!(
            ota(r#"{"ota":[{"platform":"esphome","port":99999}]}"#).unwrap_err().code,
            "ota.port"
        );
        let missing = ota("{}").unwrap_err();
        assert_eq!(missing.code, "ota.missing");
        assert!(missing.help.is_some());
        let web = ota(r#"{"ota":[{"platform":"web_server"}],"captive_portal":{}}"#).unwrap_err();
        assert!(web.message.contains("web_server"));
    }

    #[test]
    fn the_web_server_takes_the_image_when_nothing_better_does() {
        let by = |json| ota(json).map(|ota| (ota.method, ota.port));
        let web = r#"{"ota":[{"platform":"web_server"}],"web_server":{"port":8080},
            "api":{"encryption":{"key":"k"}}}"#;
        assert_eq!(by(web), Ok((OtaMethod::WebServer, 8080)));
        assert_eq!(ota(web).unwrap().encryption, Encryption::None);
        let usual = r#"{"ota":[{"platform":"web_server"}],"web_server":{}}"#;
        assert_eq!(by(usual), Ok((OtaMethod::WebServer, 80)));
        let zero = r#"{"ota":[{"platform":"web_server"}],"web_server":{"port":0}}"#;
        assert_eq!(by(zero).unwrap_err().code, "ota.port");
        assert_eq!(by(r#"{"web_server":{"port":80}}"#).unwrap_err().code, "ota.missing");
        let both = r#"{"ota":[{"platform":"web_server"},{"platform":"esphome"}],"web_server":{}}"#;
        assert_eq!(by(both), Ok((OtaMethod::Native, 3232)));
    }

    #[test]
    fn parameters_that_were_stored_before_there_were_two_methods_are_read() {
        let before = r#"{"port":3232,"password":null,"encryption":"none"}"#;
        let parameters: OtaParameters = serde_json::from_str(before).unwrap();
        assert_eq!(parameters.method, OtaMethod::Native);
    }

    #[test]
    fn no_problem_shows_a_secret() {
        let broken = br#"{"config":{"ota":[{"password":"hunter2","#;
        assert!(!format!("{:?}", validated(broken, None).unwrap_err()).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = super::storage(&bytes);
            let _ = validated(&bytes, None);
            let _ = build_info(&bytes);
        }
    }
}
