//! Which names are those of configurations, and what paths may be made of them.

use std::path::{Component, Path, PathBuf};

use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;

/// The file of secrets, in ESPHome's words.
pub(crate) const SECRETS: &str = "secrets.yaml";

/// Whether a file of this name is a configuration.
pub(super) fn is_config_name(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml"))
        && !name.starts_with('.')
        && name != SECRETS
        && name != "secrets.yml"
}

/// The path of a device's configuration. The identifier comes from a command, so it must be a plain file
/// name; whether there is such a file is another question.
///
/// # Errors
/// It is anything but the name of a YAML file.
pub fn config_path(config_dir: &Path, device: &DeviceId) -> Result<PathBuf, Problem> {
    let name = device.as_str();
    let plain = {
        let mut components = Path::new(name).components();
        matches!(
            (components.next(), components.next()),
            (Some(Component::Normal(only)), None) if only == name
        )
    };
    // The other system's separators are refused too, so that a name means the same everywhere.
    let clean = !name.contains(['/', '\\']) && !name.chars().any(char::is_control);
    if plain && clean && is_config_name(name) {
        Ok(config_dir.join(name))
    } else {
        Err(Problem::new("device.no_config", "This device has no configuration file.")
            .with_help("Name a YAML file of the config directory, such as `sleepy.yaml`."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_file_name_becomes_a_path() {
        let path = |name: &str| config_path(Path::new("/c"), &DeviceId::of_file(name));
        assert_eq!(path("a.yaml"), Ok("/c/a.yaml".into()));
        assert_eq!(path("Küche oben.yml"), Ok("/c/Küche oben.yml".into()));
        assert_eq!(path("a..b.yaml"), Ok("/c/a..b.yaml".into()));
        for wrong in [
            "",
            ".",
            "..",
            "a",
            "a.txt",
            ".a.yaml",
            "secrets.yaml",
            "/etc/a.yaml",
            "../a.yaml",
            "x/a.yaml",
            "x\\a.yaml",
            "./a.yaml",
            "a.yaml/",
            "a\0.yaml",
            "a.yaml\0",
            "a\n.yaml",
            "mdns/a.yaml",
            "..yaml",
            ".yaml",
        ] {
            assert_eq!(path(wrong).unwrap_err().code, "device.no_config", "{wrong:?}");
        }
    }
}
