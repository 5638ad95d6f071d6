//! Diagnostics for a bug report, without secrets. Everything here blocks.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use wakeflash_core::update::Secret;
use wakeflash_core::view::{ConfigDirStatus, EsphomeStatus, Snapshot};
use wakeflash_esphome::compile::plain;
use wakeflash_esphome::scrub::Secrets;

/// How many of the log's last lines are shown.
const LOG_LINES: usize = 200;
/// Where secrets are looked for: this deep below the config directory, in this many files at most.
const DEPTH: usize = 6;
const FILES: usize = 20_000;
/// A larger YAML file isn't read.
const MAX_YAML: u64 = 8 << 20;

/// What the report is made of.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) snapshot: Snapshot,
    pub(crate) state_dir: PathBuf,
    /// The passwords and keys of the queue.
    pub(crate) known_secrets: Vec<Secret>,
}

/// Writes the report.
pub(crate) fn compose(facts: &Facts) -> String {
    let mut secrets = Secrets::default();
    for secret in &facts.known_secrets {
        secrets.add(&secret.0);
    }
    let dir = config_dir(&facts.snapshot.status.config_dir);
    if let Some(dir) = dir {
        let mut left = FILES;
        collect(Path::new(dir), 0, &mut left, &mut secrets);
    }
    let mut text = String::new();
    // Writing to a string doesn't fail.
    let _ = head(&mut text, facts);
    let _ = writeln!(text, "\nLog:\n{}", last_lines(&facts.state_dir.join("logs")));
    without_home(&secrets.scrub(&text))
}

fn head(text: &mut String, facts: &Facts) -> std::fmt::Result {
    let Snapshot { devices, status, settings, .. } = &facts.snapshot;
    writeln!(text, "Wakeflash {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(text, "System: {}", system())?;
    writeln!(text, "Desktop: {}", desktop())?;
    writeln!(text, "ESPHome: {}", esphome(&status.esphome))?;
    let configured = devices.iter().filter(|device| device.file.is_some()).count();
    let sleepers = devices.iter().filter(|device| device.deep_sleep).count();
    let broken = devices.iter().filter(|device| device.problem.is_some()).count();
    let found = devices.len() - configured;
    writeln!(
        text,
        "Devices: {configured} configured ({broken} broken, {sleepers} sleep), {found} discovered"
    )?;
    let counts = status.counts;
    writeln!(
        text,
        "Updates: {} waiting, {} working, {} need attention{}",
        counts.waiting,
        counts.working,
        counts.attention,
        if status.paused { "; paused" } else { "" }
    )?;
    let (state, problem) = match &status.config_dir {
        ConfigDirStatus::Unset => ("not chosen", None),
        ConfigDirStatus::Reading { .. } => ("being read", None),
        ConfigDirStatus::Ready { .. } => ("ready", None),
        ConfigDirStatus::Unreadable { problem, .. } => ("unreadable", Some(problem)),
    };
    writeln!(text, "Config directory: {state}")?;
    for problem in problem
        .into_iter()
        .chain(&status.store)
        .chain(&status.store_warnings)
        .chain(&status.network)
    {
        writeln!(text, "Problem {}: {}", problem.code, problem.message)?;
    }
    writeln!(
        text,
        "Settings: changed sources {:?}, {} builds, {} transfers at once",
        settings.changed_sources, settings.max_builds, settings.max_flashes
    )
}

const fn config_dir(status: &ConfigDirStatus) -> Option<&String> {
    match status {
        ConfigDirStatus::Unset => None,
        ConfigDirStatus::Reading { path }
        | ConfigDirStatus::Ready { path }
        | ConfigDirStatus::Unreadable { path, .. } => Some(path),
    }
}

fn esphome(status: &EsphomeStatus) -> String {
    match status {
        EsphomeStatus::Searching => "being looked for".to_owned(),
        EsphomeStatus::Ready { version, problem: None, .. } => version.clone(),
        EsphomeStatus::Ready { version, problem: Some(problem), .. } => {
            format!("{version} ({})", problem.code)
        }
        EsphomeStatus::Missing { problem } => format!("none ({})", problem.code),
        EsphomeStatus::Installing { .. } => "being installed".to_owned(),
    }
}

fn system() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map_or(std::env::consts::OS, |name| name.trim_matches('"'));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{name}, kernel {}, {}", kernel.trim(), std::env::consts::ARCH)
}

fn desktop() -> String {
    let said = |variable| std::env::var(variable).unwrap_or_else(|_| "unknown".to_owned());
    format!("{} ({})", said("XDG_CURRENT_DESKTOP"), said("XDG_SESSION_TYPE"))
}

/// The secrets of every YAML file below a directory. A link isn't followed out of it.
fn collect(dir: &Path, depth: usize, left: &mut usize, secrets: &mut Secrets) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        // ESPHome's own data is no source, and large.
        if metadata.is_dir() {
            if depth < DEPTH && !is_link && !name.to_string_lossy().starts_with('.') {
                collect(&path, depth + 1, left, secrets);
            }
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_yaml = matches!(extension, Some("yaml" | "yml"));
        if !is_yaml || !metadata.is_file() || metadata.len() > MAX_YAML || *left == 0 {
            continue;
        }
        *left -= 1;
        if let Ok(bytes) = fs::read(&path) {
            let all = name.to_string_lossy().starts_with("secrets.");
            secrets.add_yaml(&String::from_utf8_lossy(&bytes), all);
        }
    }
}

/// The last lines of the application's newest log, without colours.
fn last_lines(dir: &Path) -> String {
    let Ok(entries) = fs::read_dir(dir) else { return "(none)".to_owned() };
    let names = entries.flatten().map(|entry| entry.path());
    let own = names.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("wakeflash") && name.ends_with(".log")
    });
    // The names contain the day.
    let Some(newest) = own.max() else { return "(none)".to_owned() };
    let bytes = fs::read(newest).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().map(|line| plain(line).to_string()).collect();
    lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
}

/// The user's name is nobody's business.
fn without_home(text: &str) -> String {
    match std::env::home_dir().as_deref().and_then(Path::to_str).filter(|home| home.len() > 1) {
        Some(home) => text.replace(home, "~"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use wakeflash_core::settings::Settings;
    use wakeflash_core::view::{Counts, Status};

    use super::*;

    #[test]
    fn the_report_has_no_secret_of_the_configurations_or_the_queue() {
        let dir = tempfile::tempdir().unwrap();
        let (config, state) = (dir.path().join("config"), dir.path().join("state"));
        fs::create_dir_all(config.join("packages")).unwrap();
        fs::create_dir_all(state.join("logs")).unwrap();
        fs::write(config.join("secrets.yaml"), "wifi_password: topsecret1\n").unwrap();
        fs::write(config.join("a.yaml"), "wifi:\n  ssid: MyHomeNet\n").unwrap();
        fs::write(config.join("packages/b.yaml"), "ota:\n  password: topsecret2\n").unwrap();
        let log = "MyHomeNet topsecret1 topsecret2 topsecret3 is all that is said\n";
        fs::write(state.join("logs/wakeflash.2026-01-02.log"), log).unwrap();
        fs::write(state.join("logs/build-1.log"), "not of interest").unwrap();
        let status = Status {
            place: None,
            config_dir: ConfigDirStatus::Ready { path: config.to_string_lossy().into_owned() },
            esphome: EsphomeStatus::Searching,
            store: None,
            store_warnings: Vec::new(),
            network: None,
            other_tools: Vec::new(),
            paused: true,
            counts: Counts::default(),
        };
        let settings = Settings::default();
        let snapshot = Snapshot { revision: 1, devices: Vec::new(), status, settings };
        let known_secrets = vec![Secret("topsecret3".into())];
        let text = compose(&Facts { snapshot, state_dir: state, known_secrets });
        assert!(text.contains("••• ••• ••• ••• is all that is said"), "{text}");
        assert!(text.contains("paused") && text.contains(env!("CARGO_PKG_VERSION")), "{text}");
        for secret in ["topsecret", "MyHomeNet", "not of interest"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}
