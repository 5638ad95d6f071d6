//! Other tools that are about to update the same devices.

use std::collections::BTreeSet;

use crate::device::DeviceId;
use crate::error::Problem;
use serde_json::Value;

use super::Dispatch;

/// The devices that ESPHome Device Builder is to flash when they come back, from its
/// `.device-builder-devices.json`: an object by file name, with `queued_update`. Nothing of it is documented, so
/// what isn't understood says nothing.
#[must_use]
pub fn queued_in_device_builder(bytes: &[u8]) -> BTreeSet<DeviceId> {
    let Ok(Value::Object(devices)) = serde_json::from_slice(bytes) else { return BTreeSet::new() };
    let queued = devices
        .iter()
        .filter(|(_, device)| device.get("queued_update") == Some(&Value::Bool(true)));
    queued.map(|(file, _)| DeviceId::of_file(file.clone())).collect()
}

impl Dispatch {
    /// What the user should know about these devices, which another tool is to flash at their next wake.
    #[must_use]
    pub fn other_tools(&self, queued: &BTreeSet<DeviceId>) -> Vec<Problem> {
        let both = queued.iter().filter_map(|device| self.active(device));
        let both = both.filter(|update| self.is_here(update));
        both.map(|update| {
            let name = self.display_name(update);
            Problem::new(
                "other_tools.device_builder",
                format!("ESPHome Device Builder has an update of its own queued for {name}."),
            )
            .with_help("Both would flash it at its next wake. Cancel one of the two.")
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_queued_updates_are_read() {
        let file =
            br#"{"a.yaml":{"queued_update":true,"ip":"192.0.2.1"},"b.yaml":{"queued_update":false},
            "c.yaml":{},"d.yaml":7,"e.yaml":{"queued_update":"true"}}"#;
        assert_eq!(queued_in_device_builder(file), BTreeSet::from([DeviceId::of_file("a.yaml")]));
        for strange in [&b""[..], b"[]", b"{", b"null", b"\xFF"] {
            assert_eq!(queued_in_device_builder(strange), BTreeSet::new());
        }
    }
}
