//! The key of a host that isn't known yet: shown with its fingerprint, and kept only when the user says so.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;
use tokio::time::timeout;
use wakeflash_core::error::Problem;

use crate::failure;
use crate::place::Destination;
use crate::ssh::{Ssh, command};

/// How long it may take to be told a key.
const PATIENCE: Duration = Duration::from_secs(15);

/// A key as the user compares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub struct HostKey {
    /// `SHA256:…`
    pub fingerprint: String,
    /// Such as `ED25519`.
    pub kind: String,
}

/// A key, and the line of it in a file of known hosts.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) key: HostKey,
    line: String,
}

/// The key that a host shows now. Nothing is proven by it, nothing is kept, and nobody logs in.
pub(crate) async fn shown(
    ssh: &Ssh,
    place: &Destination,
    scratch: &Path,
) -> Result<Shown, Problem> {
    let file = scratch.join("host-key");
    let read = look(ssh, place, &file).await;
    if let Err(error) = tokio::fs::remove_file(&file).await {
        tracing::debug!("no key of {place} was left: {error}");
    }
    read
}

async fn look(ssh: &Ssh, place: &Destination, file: &Path) -> Result<Shown, Problem> {
    let into = format!("UserKnownHostsFile=\"{}\"", file.display());
    let options = [
        "StrictHostKeyChecking=accept-new",
        "GlobalKnownHostsFile=/dev/null",
        "HashKnownHosts=no",
        "ControlPath=none",
        "PreferredAuthentications=none",
        &into,
    ];
    // That it isn't let in is its way to end.
    let asked = timeout(PATIENCE, command(ssh, place, &options, &["true"]).output()).await;
    let asked = asked.map_err(|_| failure::silent(place))?;
    let said = asked.map_err(|error| failure::no_ssh(&error))?.stderr;
    let line = tokio::fs::read_to_string(file).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let line = line.lines().next().ok_or_else(|| failure::ended(place, Some(255), &said))?;
    let mut listing = Command::new("ssh-keygen");
    listing.args(["-l", "-f"]).arg(file).stdin(Stdio::null()).kill_on_drop(true);
    let listed = timeout(PATIENCE, listing.output()).await.map_err(|_| failure::silent(place))?;
    let listed = listed.map_err(|error| failure::no_ssh(&error))?.stdout;
    let key = read(&String::from_utf8_lossy(&listed))
        .ok_or_else(|| failure::garbage(place, "ssh-keygen can't read the key"))?;
    Ok(Shown { key, line: line.to_owned() })
}

/// A line of `ssh-keygen -l`: `256 SHA256:… box (ED25519)`.
fn read(listed: &str) -> Option<HostKey> {
    let line = listed.lines().next()?;
    let fingerprint = line.split(' ').nth(1)?.to_owned();
    let kind = line.rsplit_once('(')?.1.strip_suffix(')')?.to_owned();
    Some(HostKey { fingerprint, kind })
}

/// Keeps the key of a host in the user's file of known hosts, when it is still the one that they have seen.
///
/// # Errors
/// The host shows another key by now, or the file can't be written.
pub async fn trust(
    ssh: &Ssh,
    place: &Destination,
    fingerprint: &str,
    scratch: &Path,
) -> Result<(), Problem> {
    let shown = shown(ssh, place, scratch).await?;
    if shown.key.fingerprint != fingerprint {
        return Err(Problem::new(
            "remote.host_key_other",
            format!("{place} shows another host key now than a moment ago. It was not accepted."),
        )
        .with_help("Somebody may stand between. Try it once more, and compare the fingerprint."));
    }
    let file = known_hosts(ssh, place).await?;
    let shown_file = file.display().to_string();
    let kept = tokio::task::spawn_blocking(move || append(&file, &shown.line)).await;
    kept.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(|error| {
        Problem::new(
            "remote.known_hosts",
            format!("The key can't be kept in {shown_file}: {error}."),
        )
    })
}

/// Where SSH keeps the keys of known hosts for this place.
async fn known_hosts(ssh: &Ssh, place: &Destination) -> Result<PathBuf, Problem> {
    let mut asking = Command::new(&ssh.0);
    asking.args(["-G", "--", place.as_str()]).stdin(Stdio::null()).kill_on_drop(true);
    let told = timeout(PATIENCE, asking.output()).await.map_err(|_| failure::silent(place))?;
    let told = told.map_err(|error| failure::no_ssh(&error))?.stdout;
    let told = String::from_utf8_lossy(&told).into_owned();
    let file = told.lines().find_map(|line| line.strip_prefix("userknownhostsfile "));
    let file = file.and_then(|files| files.split(' ').next()).unwrap_or("~/.ssh/known_hosts");
    Ok(match (file.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(below), Some(home)) => Path::new(&home).join(below),
        (_, _) => PathBuf::from(file),
    })
}

fn append(file: &Path, line: &str) -> std::io::Result<()> {
    if let Some(dir) = file.parent() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)?;
    }
    let before = match std::fs::read(file) {
        Ok(before) => before,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    let start = if before.last().is_none_or(|last| *last == b'\n') { "" } else { "\n" };
    file.write_all(format!("{start}{line}\n").as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_and_kept_beside_those_that_are_there() {
        let key = read("256 SHA256:abc/+ box.local (ED25519)\n").unwrap();
        assert_eq!((key.fingerprint.as_str(), key.kind.as_str()), ("SHA256:abc/+", "ED25519"));
        assert_eq!(read("nothing"), None);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".ssh/known_hosts");
        append(&file, "one key").unwrap();
        std::fs::write(&file, "one key").unwrap();
        append(&file, "two key").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one key\ntwo key\n");
    }
}
