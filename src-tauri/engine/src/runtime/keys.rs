//! Whether an encrypted connection proves who the device is: only when nobody else has its key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio::sync::{Semaphore, watch};
use wakeflash_core::device::DeviceId;
use wakeflash_core::gate::Session;
use wakeflash_core::update::Update;
use wakeflash_esphome::files;
use wakeflash_ota::EncryptionKey;

use super::Runtime;
use crate::configs::storage_path;

/// How many may look into other configurations at once: a thread that waits for a share can't be ended. Who waits
/// for a place is bounded by the gate.
static LOOKS: Semaphore = Semaphore::const_new(8);

/// Where else the key of a connection may be in use.
#[derive(Debug, Clone)]
pub(super) enum KeyElsewhere {
    /// There is no key, or another device is known to have it: it proves nothing.
    Certain,
    /// What was last compiled of these configurations has to be looked at.
    LookInto { key: EncryptionKey, config_dir: PathBuf, others: BTreeSet<DeviceId> },
}

impl Runtime {
    pub(super) fn key_elsewhere(
        &self,
        update: &Update,
        key: Option<&EncryptionKey>,
        config_dir: Option<PathBuf>,
    ) -> KeyElsewhere {
        let (Some(key), Some(config_dir)) = (key, config_dir) else {
            return KeyElsewhere::Certain;
        };
        if self.conductor.state().another_device_has(key, update) {
            return KeyElsewhere::Certain;
        }
        let rows = self.conductor.state().rows().into_iter();
        let others =
            rows.filter(|id| *id != update.device && id.discovered_name().is_none()).collect();
        KeyElsewhere::LookInto { key: key.clone(), config_dir, others }
    }
}

/// What the session proves, once its handshake is over.
pub(super) async fn proof_of_key(
    mut progress: watch::Receiver<wakeflash_ota::Progress>,
    elsewhere: &KeyElsewhere,
) -> Session {
    match elsewhere {
        KeyElsewhere::Certain => Session::ProvesNothing,
        KeyElsewhere::LookInto { .. } => {
            if progress.wait_for(|progress| progress.encrypted).await.is_err() {
                return Session::ProvesNothing;
            }
            is_own(elsewhere).await
        }
    }
}

/// What it proves that somebody has the key.
pub(super) async fn is_own(elsewhere: &KeyElsewhere) -> Session {
    let KeyElsewhere::LookInto { key, config_dir, others } = elsewhere.clone() else {
        return Session::ProvesNothing;
    };
    let Ok(place) = LOOKS.acquire().await else { return Session::ProvesNothing };
    let look = move || {
        let _place = place;
        others.iter().all(|other| surely_has_another(other, &config_dir, &key))
    };
    match tokio::task::spawn_blocking(look).await {
        Ok(true) => Session::OwnKey,
        Ok(false) => Session::ProvesNothing,
        Err(error) => {
            tracing::error!("comparing keys: {error}");
            Session::ProvesNothing
        }
    }
}

/// Whether the firmware that was last compiled from a configuration has another key, or none. Of one that was
/// never compiled here nobody knows.
fn surely_has_another(device: &DeviceId, config_dir: &Path, key: &EncryptionKey) -> bool {
    let path = storage_path(config_dir, device.as_str(), "validated.json");
    let keys = std::fs::read(path).ok().and_then(|bytes| files::keys(&bytes).ok());
    let same = |other: &str| EncryptionKey::from_base64(other).as_ref() == Some(key);
    keys.is_some_and(|keys| !keys.iter().any(|other| same(&other.0)))
}

#[cfg(test)]
mod tests {
    use wakeflash_ota::Step;

    use super::*;

    const OWN: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    const OTHER: &str = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q=";

    /// What the handshake proves when the firmware of another configuration has these keys.
    async fn proof(encrypted: bool, validated: Option<&str>) -> Session {
        let dir = tempfile::tempdir().unwrap();
        let other = DeviceId::of_file("other.yaml");
        if let Some(config) = validated {
            let path = storage_path(dir.path(), other.as_str(), "validated.json");
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{{\"config\":{config}}}")).unwrap();
        }
        let progress = wakeflash_ota::Progress {
            step: Step::Gate,
            encrypted,
            sent: 0,
            acknowledged: 0,
            total: 0,
        };
        let (said, seen) = watch::channel(progress);
        drop(said);
        let look = KeyElsewhere::LookInto {
            key: EncryptionKey::from_base64(OWN).unwrap(),
            config_dir: dir.path().to_owned(),
            others: BTreeSet::from([other]),
        };
        proof_of_key(seen, &look).await
    }

    fn threads() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Threads:"));
        line.unwrap().trim().parse().unwrap()
    }

    #[tokio::test]
    async fn a_share_that_does_not_answer_takes_few_threads() {
        let dir = tempfile::tempdir().unwrap();
        let other = DeviceId::of_file("other.yaml");
        let path = storage_path(dir.path(), other.as_str(), "validated.json");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Whoever opens it waits for somebody who writes.
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let progress = wakeflash_ota::Progress {
            step: Step::Gate,
            encrypted: true,
            sent: 0,
            acknowledged: 0,
            total: 0,
        };
        let look = KeyElsewhere::LookInto {
            key: EncryptionKey::from_base64(OWN).unwrap(),
            config_dir: dir.path().to_owned(),
            others: BTreeSet::from([other]),
        };
        let before = threads();
        for _ in 0..60 {
            let (_said, seen) = watch::channel(progress);
            let proof = proof_of_key(seen, &look);
            let patience = std::time::Duration::from_millis(5);
            assert!(tokio::time::timeout(patience, proof).await.is_err(), "nobody can tell");
        }
        let more = threads().saturating_sub(before);
        std::fs::write(&path, "{}").unwrap();
        // Other tests start threads as well.
        assert!(more < 40, "{more} threads wait");
    }

    #[tokio::test]
    async fn a_key_proves_something_when_nobody_else_can_have_it() {
        let with = |key: &str| {
            format!(
                r#"{{"ota":[{{"platform":"esphome"}}],"api":{{"encryption":{{"key":"{key}"}}}}}}"#
            )
        };
        assert_eq!(proof(true, Some(&with(OTHER))).await, Session::OwnKey);
        assert_eq!(proof(true, Some(r#"{"api":{}}"#)).await, Session::OwnKey);
        assert_eq!(proof(true, Some(&with(OWN))).await, Session::ProvesNothing);
        assert_eq!(proof(true, None).await, Session::ProvesNothing, "it was never compiled");
        assert_eq!(proof(true, Some("7")).await, Session::ProvesNothing);
        assert_eq!(proof(false, Some(&with(OTHER))).await, Session::ProvesNothing);
    }
}
