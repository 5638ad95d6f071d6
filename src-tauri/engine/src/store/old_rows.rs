//! What the first version of the application has stored, as it wrote it: every state, every kind of credentials.

use serde_json::{Value, json};
use wakeflash_core::update::{RollbackWatch, StateKind, UpdateState};

use super::*;

/// Its schema.
const SCHEMA: &str = "CREATE TABLE updates (id INTEGER PRIMARY KEY, device TEXT NOT NULL,
    active INTEGER NOT NULL CHECK (active IN (0, 1)), body TEXT NOT NULL) STRICT;
    CREATE UNIQUE INDEX one_active_update ON updates (device) WHERE active = 1;
    CREATE INDEX updates_by_device ON updates (device, id);
    CREATE TABLE devices (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
    CREATE TABLE settings (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL) STRICT;
    PRAGMA user_version = 1;";

fn delivery(encryption: Value) -> Value {
    json!({
        "build": {
            "image": "ab".repeat(32), "size": 500_000, "config_hash": "0000bbbb",
            "esphome_version": "2026.10.0", "built_at": 1_000, "name": "sleepy",
            "sources": [{"path": "sleepy.yaml", "sha256": "cd".repeat(32)}, {"path": "secrets.yaml", "sha256": null}],
            "ota": {"port": 3232, "password": "hunter2", "encryption": encryption},
            "address": "sleepy.local", "deep_sleep": true, "mdns": true
        },
        "tracking": "tracked", "password": "last_installed", "attempts": 2, "device_errors": 1,
        "repeated_blindly": true,
        "last_attempt": {"at": 5, "problem": {"code": "ota.closed", "message": "It broke.", "help": null}},
        "avoided": [{"address": "192.0.2.7", "until": 9_000}]
    })
}

fn states() -> Vec<(StateKind, Value)> {
    let plain = || delivery(json!("none"));
    vec![
        (StateKind::Queued, json!({"state": "queued"})),
        (StateKind::Building, json!({"state": "building", "started_at": 7})),
        (StateKind::Waiting, json!({"state": "waiting", "retry_at": 8, "delivery": plain()})),
        (
            StateKind::Held,
            json!({"state": "held", "changes": [{"path": "sleepy.yaml", "kind": "edited"}],
                   "delivery": delivery(json!({"offered": {"key": "k"}}))}),
        ),
        (
            StateKind::Flashing,
            json!({"state": "flashing", "started_at": 7, "peer": "192.0.2.7", "previous_hash": "0000aaaa",
                   "stage": "may_be_complete",
                   "delivery": delivery(json!({"required": {"key": "k", "allow_plaintext": true}}))}),
        ),
        (
            StateKind::Confirming,
            json!({"state": "confirming", "acknowledgement": "unknown", "since": 7, "previous_hash": null,
                   "peer": "fd00::7", "returned_at": 8, "delivery": plain()}),
        ),
        (
            StateKind::Installed,
            json!({"state": "installed", "at": 9, "how": "confirmed", "delivery": plain()}),
        ),
        (
            StateKind::Failed,
            json!({"state": "failed", "at": 9, "rolled_back": false,
                   "problem": {"code": "ota.auth_invalid", "message": "No.", "help": "Yes."}}),
        ),
        (StateKind::Cancelled, json!({"state": "cancelled", "at": 9, "may_have_arrived": true})),
        (StateKind::Superseded, json!({"state": "superseded", "at": 9, "by": 3})),
    ]
}

fn update(id: i64, state: &Value) -> Value {
    json!({
        "id": id, "device": format!("d{id}.yaml"), "name": format!("d{id}"), "requested_at": 1,
        "known_hashes": ["0000aaaa"], "mac": "02:00:00:00:00:07", "state": state,
        "timeline": [{"at": 1, "state": "queued", "text": "Install requested."}]
    })
}

fn old_database(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    connection.execute_batch(SCHEMA)?;
    for (index, (kind, state)) in states().iter().enumerate() {
        let (id, active) = (index as i64 + 1, !kind.is_final());
        let body = update(id, state).to_string();
        connection.execute(
            "INSERT INTO updates (id, device, active, body) VALUES (?1, ?2, ?3, ?4)",
            (id, format!("d{id}.yaml"), active, body),
        )?;
    }
    let memory = json!({
        "last_seen": 5, "addresses": ["192.0.2.7", "fd00::7"], "mac": "02:00:00:00:00:07",
        "link_address": "02:00:00:00:00:08", "version": "2026.9.0", "config_hash": "0000aaaa",
        "hashes": ["0000aaaa"], "announces_hash": true, "friendly_name": "Sleepy", "platform": "ESP32",
        "deep_sleep": true, "installed_password": "old"
    });
    connection.execute("INSERT INTO devices VALUES ('sleepy', ?1)", [memory.to_string()])?;
    let settings = json!({
        "configDir": "/config", "esphomePath": "/bin/esphome", "changedSources": "flash",
        "maxBuilds": 2, "maxFlashes": 3, "notifications": false
    });
    connection.execute("INSERT INTO settings VALUES (1, ?1)", [settings.to_string()])?;
    Ok(())
}

#[tokio::test]
async fn what_the_first_version_has_stored_is_read_and_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    old_database(&dir.path().join("wakeflash.db")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let loaded = store.load().unwrap();
    let kinds: Vec<StateKind> = loaded.updates.iter().map(|update| update.state.kind()).collect();
    assert_eq!(kinds, states().into_iter().map(|(kind, _)| kind).collect::<Vec<_>>());
    for update in &loaded.updates {
        let Some(delivery) = update.state.delivery() else { continue };
        assert_eq!(delivery.build.ota.password.as_ref().map(|p| p.0.as_str()), Some("hunter2"));
        assert_eq!((delivery.attempts, delivery.avoided.len()), (2, 1));
        assert_eq!((delivery.encrypted, &delivery.warning), (None, &None));
        // What was installed before anybody watched isn't watched now.
        if let UpdateState::Installed { watch, .. } = &update.state {
            assert_eq!(*watch, RollbackWatch::Over);
        }
    }
    let memory = loaded.memories["sleepy"].clone();
    assert_eq!(memory.installed_password.as_ref().map(|p| p.0.as_str()), Some("old"));
    assert_eq!((&memory.installed_encryption, &memory.before_install), (&None, &None));
    assert!(!loaded.settings.notify.installed && loaded.settings.max_flashes == 3);
    assert_eq!(loaded.wakes.len(), 0);
    assert_eq!(loaded.next_id as usize, states().len() + 1);
    let commit = Commit {
        updates: loaded.updates.clone(),
        memories: vec![("sleepy".into(), memory)],
        wakes: Vec::new(),
        settings: Some(loaded.settings.clone()),
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
    drop(store);
    let again = Store::open(dir.path()).unwrap().load().unwrap();
    assert_eq!((again.updates, again.settings), (loaded.updates, loaded.settings));
}
