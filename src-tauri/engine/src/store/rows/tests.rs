//! Rows of every version: `fixtures/v<version>.jsonl` has what each version wrote of the same samples.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use wakeflash_core::settings::NotifyKinds;
use wakeflash_core::update::{Cleaning, Cuts, RollbackWatch, StateKind, Update, UpdateState};

use super::Stored as _;
use super::samples::samples;
use crate::store::migrations::{RELEASED, VERSION, migrate_to};
use crate::store::seal::{seal_device, seal_settings, seal_update};
use crate::store::{Commit, Loaded, Store};

fn fixture(version: u32) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/fixtures");
    dir.join(format!("v{version}.jsonl"))
}

/// A row as a line of a fixture.
fn line(table: &str, key: Value, body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    format!("{}\n", json!({"table": table, "key": key, "body": body}))
}

fn as_written(samples: &Commit) -> String {
    let mut lines = String::new();
    for update in &samples.updates {
        lines += &line("updates", json!(update.id.0), &update.to_body().unwrap());
    }
    for (name, memory) in &samples.memories {
        lines += &line("devices", json!(name), &memory.to_body().unwrap());
    }
    lines + &line("settings", json!(1), &samples.settings.as_ref().unwrap().to_body().unwrap())
}

#[test]
fn this_version_writes_rows_as_it_always_did() {
    let (path, now) = (fixture(VERSION), as_written(&samples()));
    if std::env::var_os("WAKEFLASH_WRITE_ROWS").is_some() && VERSION > RELEASED {
        std::fs::write(&path, &now).unwrap();
    }
    let then = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        then == now,
        "The rows are written otherwise than in {}: see \"The store\" in docs/ARCHITECTURE.md.",
        path.display()
    );
}

/// A database of a version with the rows of its fixture, and with some wakes.
pub(in crate::store) fn database(path: &Path, version: u32) {
    let mut connection = Connection::open(path).unwrap();
    migrate_to(&mut connection, 0, version).unwrap();
    for line in std::fs::read_to_string(fixture(version)).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let (key, body) = (&row["key"], row["body"].to_string());
        insert(&connection, version, row["table"].as_str().unwrap(), key, &body);
    }
    if version > 1 {
        connection.execute("INSERT INTO wakes VALUES ('sleepy', 1, 7, 1500, 1)", []).unwrap();
    }
}

fn insert(connection: &Connection, version: u32, table: &str, key: &Value, body: &str) {
    let sealed = version >= 3;
    match table {
        "updates" => {
            let (id, row): (i64, Value) =
                (key.as_i64().unwrap(), serde_json::from_str(body).unwrap());
            let device = row["device"].as_str().unwrap();
            let state = row["state"]["state"].as_str().unwrap();
            let active = !["installed", "failed", "cancelled", "superseded"].contains(&state);
            connection
                .execute(
                    "INSERT INTO updates (id, device, active, body) VALUES (?1, ?2, ?3, ?4)",
                    params![id, device, active, body],
                )
                .unwrap();
            let seal = seal_update(id, device, active, body);
            put_seal(connection, sealed, "updates", id, &seal);
        }
        "devices" => {
            let name = key.as_str().unwrap();
            connection
                .execute("INSERT INTO devices (name, body) VALUES (?1, ?2)", [name, body])
                .unwrap();
            let seal = seal_device(name, body);
            put_seal(connection, sealed, "devices", connection.last_insert_rowid(), &seal);
        }
        "settings" => {
            connection.execute("INSERT INTO settings (only, body) VALUES (1, ?1)", [body]).unwrap();
            put_seal(connection, sealed, "settings", 1, &seal_settings(body));
        }
        other => panic!("{other}"),
    }
}

fn put_seal(connection: &Connection, sealed: bool, table: &str, number: i64, seal: &[u8]) {
    if sealed {
        let sql = format!("UPDATE {table} SET seal = ?2 WHERE rowid = ?1");
        connection.execute(&sql, params![number, seal]).unwrap();
    }
}

fn count(path: &Path, table: &str) -> u32 {
    let sql = format!("SELECT count(*) FROM {table}");
    Connection::open(path).unwrap().query_row(&sql, [], |row| row.get(0)).unwrap()
}

fn loaded(dir: &Path) -> Loaded {
    Store::open(dir).unwrap().load().unwrap()
}

fn of(commit: Commit) -> Loaded {
    let next_id = 1 + commit.updates.iter().map(|update| update.id.0).max().unwrap();
    Loaded {
        next_id,
        updates: commit.updates,
        memories: commit.memories.into_iter().collect(),
        wakes: commit.wakes.into_iter().collect(),
        settings: commit.settings.unwrap(),
        problems: Vec::new(),
    }
}

#[tokio::test]
async fn rows_of_every_version_are_read_and_stay_readable() {
    for version in 1..=VERSION {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wakeflash.db");
        database(&path, version);
        let mut store = Store::open(dir.path()).unwrap();
        let first = store.load().unwrap();
        assert_eq!(first.problems, [], "version {version}");
        assert!(first.updates.len() >= StateKind::ALL.len(), "version {version}");
        assert_eq!(first.wakes.len(), usize::from(version > 1), "version {version}");
        let again = Commit {
            updates: first.updates.clone(),
            memories: first.memories.clone().into_iter().collect(),
            settings: Some(first.settings.clone()),
            ..Commit::default()
        };
        store.commit(again).await.unwrap();
        drop(store);
        assert_eq!(loaded(dir.path()), first, "version {version}");
        assert_eq!(count(&path, "unreadable"), 0, "version {version}");
    }
}

#[tokio::test]
async fn what_is_written_is_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path()).unwrap().commit(samples()).await.unwrap();
    assert_eq!(loaded(dir.path()), of(samples()));
}

#[tokio::test]
async fn the_details_of_a_problem_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut update = samples().updates.into_iter().find(is_failed).unwrap();
    if let UpdateState::Failed { problem, .. } = &mut update.state {
        *problem = problem.clone().with_details("Reset.");
    }
    let updates = vec![update];
    Store::open(dir.path())
        .unwrap()
        .commit(Commit { updates: updates.clone(), ..Commit::default() })
        .await
        .unwrap();
    assert_eq!(loaded(dir.path()).updates, updates);
}

fn is_failed(update: &Update) -> bool {
    matches!(update.state, UpdateState::Failed { .. })
}

/// The second version knew less of sources, of what is installed, and of transfers.
fn forget_newer<T: super::Stored>(row: &mut T) {
    fn forget(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                if fields.contains_key("digest") {
                    fields.insert("files".into(), json!([]));
                    fields.insert("port".into(), Value::Null);
                    fields.insert("address".into(), Value::Null);
                }
                if fields.contains_key("chosen") {
                    fields.insert("chosen".into(), Value::Null);
                }
                if fields.contains_key("mac_suffix") {
                    fields.insert("mac_suffix".into(), json!(false));
                    fields.insert("before".into(), json!({"port": null, "address": null}));
                }
                let newer = [
                    ("from_version", Value::Null),
                    ("transfers", json!([])),
                    ("labels", json!([])),
                    ("kept_builds", json!([])),
                    ("stamp", Value::Null),
                    ("previous_stamp", Value::Null),
                    ("api", Value::Null),
                    ("cuts", json!({"in_all": 0, "in_wake": 0, "wake": null})),
                    ("changed_in_builds", json!([])),
                    ("cleaning", json!("no")),
                    ("earlier_may_have_arrived", json!(false)),
                ];
                for (name, value) in newer {
                    if let Some(field) = fields.get_mut(name) {
                        *field = value;
                    }
                }
                fields.values_mut().for_each(forget);
            }
            Value::Array(items) => {
                items.retain(|item| item.get("counts").is_none_or(|counts| counts == "content"));
                items.iter_mut().for_each(forget);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut body = serde_json::from_str(&row.to_body().unwrap()).unwrap();
    forget(&mut body);
    *row = T::of_body(&body.to_string()).unwrap();
}

#[test]
fn the_second_version_wrote_the_same_with_other_words() {
    let dir = tempfile::tempdir().unwrap();
    database(&dir.path().join("wakeflash.db"), 2);
    let mut expected = of(samples());
    for update in &mut expected.updates {
        // Nor had its builds a stamp.
        (update.directory, update.build_again) = (None, None);
        (update.changed_in_builds, update.earlier_may_have_arrived) = (Vec::new(), false);
        update.cleaning = Cleaning::No;
        if let UpdateState::Waiting { delivery, .. }
        | UpdateState::Held { delivery, .. }
        | UpdateState::Flashing { delivery, .. }
        | UpdateState::Confirming { delivery, .. }
        | UpdateState::Installed { delivery, .. } = &mut update.state
        {
            (delivery.build.stamp, delivery.build.boot_check) = (None, None);
            delivery.cuts = Cuts::default();
        }
    }
    for memory in expected.memories.values_mut() {
        memory.transfers.clear();
        memory.kept_builds.clear();
        memory.record_log = None;
    }
    expected.settings.compiler_cache = None;
    // No older version knew of these.
    expected.memories.remove("contested");
    expected
        .updates
        .retain(|update| !matches!(update.state, UpdateState::Failed { taken_back: Some(_), .. }));
    expected.next_id -= 1;
    expected.wakes = BTreeMap::from([("sleepy".into(), expected.wakes["sleepy"][..1].to_vec())]);
    expected.updates.iter_mut().for_each(forget_newer);
    expected.memories.values_mut().for_each(forget_newer);
    assert_eq!(loaded(dir.path()), expected);
}

#[test]
fn what_the_first_version_did_not_say_is_what_it_meant() {
    let dir = tempfile::tempdir().unwrap();
    database(&dir.path().join("wakeflash.db"), 1);
    let loaded = loaded(dir.path());
    let kinds: Vec<StateKind> = loaded.updates.iter().map(|update| update.state.kind()).collect();
    assert_eq!(kinds, StateKind::ALL);
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
    let memory = &loaded.memories["sleepy"];
    assert_eq!(memory.installed_password.as_ref().map(|p| p.0.as_str()), Some("old"));
    assert_eq!((&memory.installed_encryption, &memory.before_install), (&None, &None));
    // It was installed there, so the gate had let it pass.
    assert!(memory.identity.is_proven() && memory.identity.mac() == memory.claims.mac);
    assert_eq!(memory.identity.addresses(), memory.claims.addresses);
    assert_eq!(loaded.settings.notify, NotifyKinds::all(false));
    assert_eq!((loaded.settings.max_flashes, loaded.settings.paused), (3, false));
}

/// Every body that is the given one with something unknown in one of its objects.
fn with_something_unknown(body: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match body {
        Value::Object(fields) => {
            let mut more = fields.clone();
            more.insert("of_tomorrow".to_owned(), json!(1));
            all.push(Value::Object(more));
            for (name, value) in fields {
                for changed in with_something_unknown(value) {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), changed);
                    all.push(Value::Object(fields));
                }
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                for changed in with_something_unknown(value) {
                    let mut values = values.clone();
                    values[index] = changed;
                    all.push(Value::Array(values));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all
}

#[test]
fn a_row_that_says_more_than_this_version_knows_is_not_read_as_if_it_did_not() {
    let mut tried = 0;
    for line in as_written(&samples()).lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        for body in with_something_unknown(&row["body"]) {
            let body = body.to_string();
            let read = match row["table"].as_str().unwrap() {
                "updates" => wakeflash_core::update::Update::of_body(&body).map(drop),
                "devices" => wakeflash_core::device::DeviceMemory::of_body(&body).map(drop),
                "settings" => wakeflash_core::settings::Settings::of_body(&body).map(drop),
                other => panic!("{other}"),
            };
            assert!(read.is_err(), "{body}");
            tried += 1;
        }
    }
    assert!(tried > 300, "{tried}");
}
