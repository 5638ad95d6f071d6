//! Configurations of lab devices: real ESPHome YAML for the `host` platform.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};

/// In the device's directory: while this file exists, the device wants to sleep.
pub const SLEEP_REQUEST: &str = "sleep.request";

/// What the firmware logs from its main loop when it goes to sleep.
pub const ASLEEP_MARK: &str = "lab: asleep";

/// What the firmware logs at boot when it obeys [`SLEEP_REQUEST`].
pub const SLEEPER_MARK: &str = "lab: sleeps on request";

/// What precedes the name that the firmware logs at boot.
pub const NAME_MARK: &str = "lab: name=";

/// What precedes the friendly name that the firmware logs at boot.
pub const FRIENDLY_NAME_MARK: &str = "lab: friendly_name=";

/// The directory, beside the YAML, of the component that lets host YAML say `deep_sleep:`.
pub const COMPONENTS_DIR: &str = "lab_components";

/// `deep_sleep:` does not validate for the host platform, and it is what tells a sleepy device from
/// others. A local component of that name takes its place: it has the two durations and no code,
/// since the lab itself decides when the device sleeps.
const DEEP_SLEEP_COMPONENT: &str = r#""""Lets firmware for the host platform say that it uses deep sleep; the lab makes it sleep."""

import esphome.codegen as cg
import esphome.config_validation as cv

CONFIG_SCHEMA = cv.Schema(
    {
        cv.Optional("run_duration"): cv.positive_time_period_milliseconds,
        cv.Optional("sleep_duration"): cv.positive_time_period_milliseconds,
    }
)


async def to_code(config):
    cg.add_define("USE_LAB_DEEP_SLEEP")
"#;

/// The host platform has no network component to say the address in; this one says nothing else.
const ETHERNET_COMPONENT: &str = r#""""Lets firmware for the host platform say where it is found; it uses the host's network."""

import esphome.codegen as cg
import esphome.config_validation as cv
from esphome.const import CONF_USE_ADDRESS

CONFIG_SCHEMA = cv.Schema({cv.Required(CONF_USE_ADDRESS): cv.string_strict})


async def to_code(config):
    cg.add_define("USE_LAB_ETHERNET")
"#;

/// `web_server:` doesn't validate for the host platform either. These have what an upload takes from the
/// configuration and no code: a scripted device plays the web server.
const WEB_SERVER_COMPONENT: &str = r#""""Lets firmware for the host platform say that it has a web server."""

import esphome.config_validation as cv

CONFIG_SCHEMA = cv.Schema(
    {
        cv.Optional("port", default=80): cv.port,
        cv.Optional("auth"): {
            cv.Required("username"): cv.string_strict,
            cv.Required("password"): cv.string_strict,
        },
    }
)


async def to_code(config):
    pass
"#;

const WEB_SERVER_OTA_COMPONENT: &str = r#""""Lets that web server take updates."""

import esphome.config_validation as cv

CONFIG_SCHEMA = cv.Schema({})


async def to_code(config):
    pass
"#;

/// Firmware for the host platform has the MAC address that it was compiled with. This one takes it from the
/// environment ([`MAC_VARIABLE`]), as firmware takes it from the board that it runs on: boards with the same firmware
/// have different ones.
const HARDWARE_COMPONENT: &str = r#""""Lets firmware for the host platform have the MAC address of its board."""

import esphome.codegen as cg
import esphome.config_validation as cv
from esphome.core import CORE
from esphome.coroutine import CoroPriority, coroutine_with_priority

CONFIG_SCHEMA = cv.Schema({})
ADDRESS = "USE_ESPHOME_HOST_MAC_ADDRESS"
BYTE = """([] {{
    unsigned byte = 0;
    if (const char *mac = getenv("@MAC@")) sscanf(mac + {at}, "%2x", &byte);
    return (uint8_t) byte;
  }}())"""


@coroutine_with_priority(CoroPriority.FINAL)
async def to_code(config):
    CORE.defines.discard(next(define for define in CORE.defines if define.name == ADDRESS))
    parts = ",".join(BYTE.format(at=3 * part) for part in range(6))
    cg.add_define(ADDRESS, cg.RawExpression("{" + " ".join(parts.split()) + "}"))
"#;

/// The variable that has the MAC address of the board that firmware of the lab runs on.
pub const MAC_VARIABLE: &str = "LAB_MAC";

/// The durations of a `deep_sleep:` block, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeepSleep {
    /// `run_duration`: how long a wake lasts.
    pub run: u32,
    /// `sleep_duration`: how long the device sleeps between wakes.
    pub sleep: u32,
}

/// The configuration of one lab device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceYaml {
    /// `esphome: name:`, also the mDNS instance and host name.
    pub name: String,
    /// `esphome: friendly_name:`; changing it changes the config hash.
    pub friendly_name: String,
    /// The port of `ota: platform: esphome`.
    pub ota_port: u16,
    /// The port of `api:`; none leaves the block out.
    pub api_port: Option<u16>,
    /// The OTA password; none leaves it out.
    pub password: Option<String>,
    /// The version of the OTA protocol; none leaves it to ESPHome.
    pub ota_version: Option<u8>,
    /// The port of `web_server:`, which then takes the firmware in place of `ota: platform: esphome` (see
    /// [`COMPONENTS_DIR`]).
    pub web_server: Option<u16>,
    /// Writes a `deep_sleep:` block (see [`COMPONENTS_DIR`]).
    pub deep_sleep: Option<DeepSleep>,
    /// `use_address`: where its uploads go (see [`COMPONENTS_DIR`]).
    pub address: Option<Ipv4Addr>,
    /// More YAML, appended as it is.
    pub extra: String,
}

impl DeviceYaml {
    /// A device with a password, an API, and the ports that the lab uses by default.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            friendly_name: name.to_owned(),
            ota_port: 13_232,
            api_port: Some(6053),
            password: Some("hunter2".to_owned()),
            ota_version: None,
            web_server: None,
            deep_sleep: None,
            address: None,
            extra: String::new(),
        }
    }

    /// The same device with another friendly name, hence another config hash.
    #[must_use]
    pub fn with_friendly_name(mut self, friendly_name: &str) -> Self {
        friendly_name.clone_into(&mut self.friendly_name);
        self
    }

    /// The same device with another password.
    #[must_use]
    pub fn with_password(mut self, password: Option<&str>) -> Self {
        self.password = password.map(ToOwned::to_owned);
        self
    }

    /// The same device, which takes its firmware by HTTP only.
    #[must_use]
    pub fn with_web_server(mut self, port: u16) -> Self {
        self.web_server = Some(port);
        self
    }

    /// The same device, using deep sleep.
    #[must_use]
    pub fn with_deep_sleep(mut self, run: u32, sleep: u32) -> Self {
        self.deep_sleep = Some(DeepSleep { run, sleep });
        self
    }

    /// The same device, whose configuration says its address.
    #[must_use]
    pub fn with_address(mut self, address: Ipv4Addr) -> Self {
        self.address = Some(address);
        self
    }

    /// The same device, with an API or without.
    #[must_use]
    pub fn with_api(mut self, api: bool) -> Self {
        self.api_port = self.api_port.filter(|_| api);
        self
    }

    /// The same device under another name.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The same device with firmware that is this much larger, also when it is compressed: its transfer has
    /// a middle.
    #[must_use]
    pub fn with_ballast(mut self, kib: u32) -> Self {
        let _ = write!(
            self.extra,
            r#"script:
  - id: ballast
    then:
      - lambda: |-
          asm(".pushsection .rodata.ballast,\"aR\",@progbits\n.set noise,1\n.rept {}\n"
              ".set noise,(noise*1103515245+12345)&0xffffffff\n.long noise\n.endr\n.popsection");
"#,
            kib * 256
        );
        self
    }

    /// The YAML text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = self.head();
        if let Some(port) = self.api_port {
            let _ = writeln!(text, "api:\n  port: {port}\nlab_hardware:");
        }
        if let Some(port) = self.web_server {
            let _ = writeln!(text, "web_server:\n  port: {port}\nota:\n  - platform: web_server");
        } else {
            let _ = writeln!(text, "ota:\n  - platform: esphome\n    port: {}", self.ota_port);
            if let Some(password) = &self.password {
                let _ = writeln!(text, "    password: {}", quoted(password));
            }
            if let Some(version) = self.ota_version {
                let _ = writeln!(text, "    version: {version}");
            }
        }
        text.push_str("logger:\nmdns:\n");
        if self.has_components() {
            let _ = writeln!(
                text,
                "external_components:\n  - source: {{type: local, path: {COMPONENTS_DIR}}}"
            );
        }
        if let Some(deep_sleep) = self.deep_sleep {
            let _ = writeln!(
                text,
                "deep_sleep:\n  run_duration: {}s\n  sleep_duration: {}s",
                deep_sleep.run, deep_sleep.sleep
            );
        }
        if let Some(address) = self.address {
            let _ = writeln!(text, "ethernet:\n  use_address: {address}");
        }
        text.push_str(&self.extra);
        text
    }

    /// Whether it uses components of the lab.
    fn has_components(&self) -> bool {
        let told = self.deep_sleep.is_some() || self.address.is_some();
        told || self.web_server.is_some() || self.api_port.is_some()
    }

    /// The part that makes the firmware say what it is, and sleep when its main loop gets to it.
    ///
    /// A device can't fall asleep while a data phase blocks its main loop, so the main loop is what
    /// must decide. It then stands still instead of exiting: the lab takes the link down first, so
    /// that no FIN or RST betrays the sleep, as with a radio that is switched off.
    ///
    /// Safe mode is off: ten power cuts in a row would start it, and it says no config hash.
    fn head(&self) -> String {
        format!(
            r#"esphome:
  name: {name}
  friendly_name: {friendly_name}
  on_boot:
    - logger.log: {{level: INFO, format: "config_hash=%08x", args: ["App.get_config_hash()"]}}
    - logger.log: {{level: INFO, format: "{NAME_MARK}%s", args: ["App.get_name().c_str()"]}}
    - logger.log:
        level: INFO
        format: "{FRIENDLY_NAME_MARK}%s"
        args: ["App.get_friendly_name().c_str()"]
    - logger.log: {{level: INFO, format: "{SLEEPER_MARK}"}}
host:
safe_mode:
  disabled: true
interval:
  - interval: 20ms
    then:
      - lambda: |-
          if (::access("{SLEEP_REQUEST}", F_OK) == 0) {{
            App.run_safe_shutdown_hooks();
            ESP_LOGI("lab", "{ASLEEP_MARK}");
            while (true) delay(1000);
          }}
"#,
            name = self.name,
            friendly_name = quoted(&self.friendly_name),
        )
    }

    /// Writes the YAML, and what it refers to, into a directory.
    ///
    /// # Errors
    /// When files can't be written.
    pub fn write_to(&self, directory: &Path, file_name: &str) -> Result<()> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let component = |name: &str, text: &str| {
            let component = directory.join(COMPONENTS_DIR).join(name);
            std::fs::create_dir_all(&component)
                .with_context(|| format!("cannot create {}", component.display()))?;
            write(&component.join("__init__.py"), text)
        };
        if self.deep_sleep.is_some() {
            component("deep_sleep", DEEP_SLEEP_COMPONENT)?;
        }
        if self.api_port.is_some() {
            component("lab_hardware", &HARDWARE_COMPONENT.replace("@MAC@", MAC_VARIABLE))?;
        }
        if self.address.is_some() {
            component("ethernet", ETHERNET_COMPONENT)?;
        }
        if self.web_server.is_some() {
            component("web_server", WEB_SERVER_COMPONENT)?;
            component("web_server/ota", WEB_SERVER_OTA_COMPONENT)?;
        }
        write(&directory.join(file_name), &self.render())
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A double-quoted YAML scalar; JSON strings are a subset of those.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
