//! How far `pip install` is, by what it says.
//!
//! An index that serves metadata on its own lets pip find out everything that is needed first; the packages are then
//! downloaded one after the other, in lines without indentation, and their number is known. Without it, each package
//! is downloaded to learn what it needs in turn: how many follow, nobody knows, and no percentage is made up.

use std::collections::BTreeSet;

use wakeflash_core::view::Progress;

/// What pip has said so far.
#[derive(Debug, Default)]
pub struct PipProgress {
    needed: BTreeSet<String>,
    /// Downloaded while it was found out what is needed.
    early: usize,
    /// Downloaded after that.
    late: usize,
    bytes: u64,
}

impl PipProgress {
    /// Takes a line as pip wrote it. `None`: it says nothing about how far it is.
    pub fn take(&mut self, line: &str) -> Option<Progress> {
        let indented = line.starts_with(' ');
        let said = line.trim();
        if let Some(rest) = said.strip_prefix("Collecting ") {
            let name = rest.split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
            // Dots, hyphens and underscores are the same in a package's name, and so are its capitals (PEP 503).
            let name = name.take(1).collect::<String>().to_ascii_lowercase();
            self.needed.insert(name.replace(['.', '_'], "-"));
            return Some(self.collecting());
        }
        if let Some(all) = said.strip_prefix("Installing collected packages: ") {
            let step = format!("Installing {}", packages(all.split(',').count()));
            return Some(Progress { percent: None, step });
        }
        let downloaded = said.strip_prefix("Downloading ");
        let fetched = downloaded.or(said.strip_prefix("Using cached "))?;
        if fetched.split(' ').next().is_some_and(|file| file.ends_with(".metadata")) {
            return None;
        }
        self.bytes = self.bytes.saturating_add(downloaded.and_then(size).unwrap_or(0));
        if indented {
            self.early += 1;
            return Some(self.collecting());
        }
        self.late += 1;
        let all = self.needed.len().saturating_sub(self.early).max(self.late);
        let step =
            format!("Downloading {} of {}, {} MB", self.late, packages(all), self.megabytes());
        // The one that is named is only beginning.
        let percent = u8::try_from((self.late - 1) * 100 / all).ok();
        Some(Progress { percent, step })
    }

    fn collecting(&self) -> Progress {
        let mut step = format!("Collecting what ESPHome needs: {}", packages(self.needed.len()));
        if self.megabytes() > 0 {
            step.push_str(&format!(", {} MB", self.megabytes()));
        }
        Progress { percent: None, step }
    }

    const fn megabytes(&self) -> u64 {
        self.bytes / 1_000_000
    }
}

fn packages(count: usize) -> String {
    format!("{count} {}", if count == 1 { "package" } else { "packages" })
}

/// The size in bytes that stands in brackets at the end: `(7.4 MB)`.
fn size(said: &str) -> Option<u64> {
    let (number, unit) = said.rsplit_once('(')?.1.strip_suffix(')')?.split_once(' ')?;
    let unit: u64 = match unit {
        "bytes" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        _ => return None,
    };
    // Tenths are all that pip writes, and all that is wanted.
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let tenths = whole.parse::<u64>().ok()? * 10 + tenths.get(..1)?.parse::<u64>().ok()?;
    tenths.checked_mul(unit).map(|tenths| tenths / 10)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A test of the window says these sentences in German.
    fn known(step: String) -> String {
        let steps: Vec<BTreeMap<String, String>> =
            serde_json::from_str(include_str!("../../core/src/words/pip_steps.json")).unwrap();
        assert!(steps.iter().any(|known| known["english"] == step), "it has no German: {step:?}");
        step
    }

    fn said(lines: &[&str]) -> Vec<(Option<u8>, String)> {
        let mut pip = PipProgress::default();
        let told = lines.iter().filter_map(|line| pip.take(line));
        told.map(|Progress { percent, step }| (percent, known(step))).collect()
    }

    #[test]
    fn with_metadata_the_downloads_are_counted_against_what_is_needed() {
        let told = said(&[
            "Collecting esphome",
            "  Downloading esphome-2026.10.0-py3-none-any.whl.metadata (4.1 kB)",
            "Collecting PyYAML==6.0.3 (from esphome)",
            "  Downloading pyyaml-6.0.3-cp313-manylinux_2_28_x86_64.whl.metadata (2.4 kB)",
            "Collecting paho-mqtt==1.6.1 (from esphome)",
            "  Using cached paho_mqtt-1.6.1.tar.gz (0.1 MB)",
            "  Preparing metadata (setup.py): finished with status 'done'",
            "Downloading esphome-2026.10.0-py3-none-any.whl (7.4 MB)",
            "Using cached pyyaml-6.0.3-cp313-manylinux_2_28_x86_64.whl (801 kB)",
            "Installing collected packages: paho-mqtt, PyYAML, esphome",
            "Successfully installed PyYAML-6.0.3 esphome-2026.10.0 paho-mqtt-1.6.1",
        ]);
        let steps: Vec<_> = told.iter().map(|(percent, step)| (*percent, step.as_str())).collect();
        assert_eq!(
            steps,
            [
                (None, "Collecting what ESPHome needs: 1 package"),
                (None, "Collecting what ESPHome needs: 2 packages"),
                (None, "Collecting what ESPHome needs: 3 packages"),
                (None, "Collecting what ESPHome needs: 3 packages"),
                (Some(0), "Downloading 1 of 2 packages, 7 MB"),
                (Some(50), "Downloading 2 of 2 packages, 7 MB"),
                (None, "Installing 3 packages"),
            ]
        );
    }

    #[test]
    fn without_metadata_nobody_knows_how_many_follow() {
        let told = said(&[
            "Collecting esphome",
            "  Downloading esphome-2026.10.0-py3-none-any.whl (7.4 MB)",
            "Collecting cryptography==50.0.2 (from esphome)",
            "  Downloading cryptography-50.0.2-cp311-abi3-manylinux_2_34_x86_64.whl (4.8 MB)",
            // A second look at the same package is no second package, however it is spelt.
            "Collecting cryptography>=40 (from esphome)",
            "Collecting ruamel.yaml>=0.18 (from esphome)",
            "Collecting Ruamel-YAML (from esphome)",
            "Requirement already satisfied: pip in ./lib",
        ]);
        assert!(told.iter().all(|(percent, _)| percent.is_none()));
        assert_eq!(told.last().unwrap().1, "Collecting what ESPHome needs: 3 packages, 12 MB");
    }

    #[test]
    fn nonsense_is_no_progress_and_no_panic() {
        for line in ["", " ", "Downloading", "Collecting", "Using cached x (1.é MB)"] {
            let mut pip = PipProgress::default();
            if let Some(told) = pip.take(line) {
                assert!(told.percent.unwrap_or(0) <= 100, "{line:?}");
            }
        }
        assert_eq!(size("x (1 GB)"), None);
        assert_eq!(size("x (99999999999999999999 MB)"), None);
    }
}
