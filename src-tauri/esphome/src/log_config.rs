//! What the configuration that was last compiled says about a device's log.

use serde_json::Value;

use wakeflash_core::error::Problem;
use wakeflash_core::update::Api;

use crate::files::{api_of, validated_config};

/// What there is to know before a device's log is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// Its native API; `None`: it has none.
    pub api: Option<Api>,
    /// `logger: level:`, such as `DEBUG`; `NONE`: there is no `logger:`.
    pub level: String,
}

/// The longest name of a level that is taken.
const LONGEST_LEVEL: usize = 16;

/// Reads `storage/FILE.validated.json`.
///
/// # Errors
/// It is no JSON object with a configuration.
pub fn log_config(bytes: &[u8]) -> Result<LogConfig, Problem> {
    let root = validated_config(bytes)?;
    let config = root.get("config").unwrap_or(&Value::Null);
    let named = config.pointer("/logger/level").and_then(Value::as_str);
    let named = named.filter(|name| name.len() <= LONGEST_LEVEL);
    let level = match config.get("logger") {
        // ESPHome's own default.
        Some(_) => named.unwrap_or("DEBUG"),
        None => "NONE",
    };
    Ok(LogConfig { api: api_of(config), level: level.to_owned() })
}

#[cfg(test)]
mod tests {
    use wakeflash_core::update::Secret;

    use super::*;

    fn of(config: &str) -> LogConfig {
        log_config(format!("{{\"config\":{config}}}").as_bytes()).unwrap()
    }

    #[test]
    fn a_log_has_a_level_and_a_way() {
        let said =
            of(r#"{"logger":{"level":"VERBOSE"},"api":{"port":6054,"encryption":{"key":"k"}}}"#);
        assert_eq!(said.level, "VERBOSE");
        assert_eq!(said.api, Some(Api { port: 6054, key: Some(Secret("k".into())) }));
        assert_eq!(of(r#"{"logger":null,"api":null}"#).level, "DEBUG");
        let silent = of("{}");
        assert_eq!((silent.level.as_str(), silent.api), ("NONE", None));
        assert!(log_config(b"{}").is_err());
    }
}
