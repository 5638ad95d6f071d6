//! The usual places of ESPHome configurations.

use std::path::{Path, PathBuf};

use wakeflash_core::view::ConfigDirCandidate;

/// Below the user's home: where people, ESPHome Desktop and Home Assistant keep them.
const IN_HOME: [&str; 7] = [
    "esphome",
    "ESPHome",
    "config/esphome",
    ".homeassistant/esphome",
    "homeassistant/esphome",
    "Documents/ESPHome",
    "Documents/esphome",
];
/// Where Home Assistant and ESPHome's container keep them.
const ABSOLUTE: [&str; 3] = ["/config/esphome", "/homeassistant/esphome", "/config"];

/// The usual places that exist here, those with the most YAML files first.
#[must_use]
pub fn candidates() -> Vec<ConfigDirCandidate> {
    candidates_in(std::env::home_dir().as_deref(), &ABSOLUTE)
}

fn candidates_in(home: Option<&Path>, absolute: &[&str]) -> Vec<ConfigDirCandidate> {
    let in_home = home.into_iter().flat_map(|home| IN_HOME.iter().map(|dir| home.join(dir)));
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut found = Vec::new();
    for dir in in_home.chain(absolute.iter().map(PathBuf::from)) {
        // Two spellings can be one directory, on file systems that don't tell their case apart.
        let (Ok(real), Some(path)) = (dir.canonicalize(), dir.to_str()) else { continue };
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        if let Ok(files) = super::yaml_files(&dir) {
            let devices = u32::try_from(files.len()).unwrap_or(u32::MAX);
            found.push(ConfigDirCandidate { path: path.to_owned(), devices });
        }
    }
    found.sort_by_key(|candidate| core::cmp::Reverse(candidate.devices));
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn places_that_exist_are_found_with_their_files() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("esphome")).unwrap();
        fs::create_dir_all(home.path().join("homeassistant/esphome")).unwrap();
        for file in ["a.yaml", "b.yml", "secrets.yaml", ".c.yaml", "d.txt"] {
            fs::write(home.path().join("homeassistant/esphome").join(file), "").unwrap();
        }
        let found = candidates_in(Some(home.path()), &["/nowhere/at/all"]);
        let devices: Vec<_> = found.iter().map(|candidate| candidate.devices).collect();
        assert_eq!(devices, [2, 0]);
        assert!(found[0].path.ends_with("homeassistant/esphome"));
    }
}
