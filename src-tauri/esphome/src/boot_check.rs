//! When the bootloader of a device keeps a new firmware.

use serde_json::Value;
use wakeflash_core::schedule::duration;
use wakeflash_core::update::BootCheck;

use crate::files::text;

/// When the bootloader keeps a firmware; `None`: it doesn't go back, as ESPHome says, or nobody knows.
pub(crate) fn boot_check_of(config: &Value) -> Option<BootCheck> {
    let able = ["esp32", "nrf52"].into_iter().any(|platform| {
        let told = config.pointer(&format!("/{platform}/framework/advanced/enable_ota_rollback"));
        told == Some(&Value::Bool(true))
    });
    let safe_mode = config.get("safe_mode").filter(|_| able)?;
    let is = |option: &str| safe_mode.get(option) == Some(&Value::Bool(true));
    if is("disabled") {
        return None;
    }
    let after = duration(&text(safe_mode.get("boot_is_good_after"))?)?;
    // Firmware before 2026.8 has no such option.
    let at_sleep = is("boot_is_good_on_shutdown");
    Some(BootCheck { after_ms: u64::try_from(after.as_millis()).ok()?, at_sleep })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &str) -> Option<BootCheck> {
        boot_check_of(&serde_json::from_str(config).unwrap())
    }

    #[test]
    fn what_esphome_says_is_read() {
        let rollback = r#""framework": {"advanced": {"enable_ota_rollback": true}}"#;
        for platform in ["esp32", "nrf52"] {
            let with = |safe_mode: &str| {
                of(&format!(r#"{{"{platform}": {{{rollback}}}, "safe_mode": {safe_mode}}}"#))
            };
            let today = r#"{"boot_is_good_after": "1min", "boot_is_good_on_shutdown": true, "disabled": false}"#;
            assert_eq!(with(today), Some(BootCheck { after_ms: 60_000, at_sleep: true }));
            let off = today.replace("n\": true", "n\": false");
            assert_eq!(with(&off), Some(BootCheck { after_ms: 60_000, at_sleep: false }));
            let before_2026_8 = r#"{"boot_is_good_after": "90s", "disabled": false}"#;
            assert_eq!(with(before_2026_8), Some(BootCheck { after_ms: 90_000, at_sleep: false }));
            assert_eq!(with(r#"{"disabled": true}"#), None);
            assert_eq!(with("null"), None);
        }
        assert_eq!(of(r#"{"esp32": {}, "safe_mode": {"boot_is_good_after": "1min"}}"#), None);
        assert_eq!(of(r#"{"esp8266": {}, "safe_mode": {"boot_is_good_after": "1min"}}"#), None);
    }
}
