use std::time::Duration;

use wakeflash_core::device::DeviceId;
use wakeflash_core::schedule::Wake;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{UpdateId, UpdateState};

use super::*;

fn update(id: u32, device: &str, state: UpdateState) -> Update {
    let mut update = Update {
        id: UpdateId(id),
        device: DeviceId::of_file(device),
        name: device.trim_end_matches(".yaml").to_owned(),
        requested_at: Timestamp::from_millis(1),
        known_hashes: Vec::new(),
        mac: None,
        wire_size: None,
        ended_delivery: None,
        state,
        timeline: Vec::new(),
    };
    update.note(Timestamp::from_millis(1), "Install requested.");
    update
}

fn cancelled() -> UpdateState {
    UpdateState::Cancelled { at: Timestamp::from_millis(2), may_have_arrived: false }
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let queued = update(1, "a.yaml", UpdateState::Queued);
    let settings = Settings { config_dir: Some("/somewhere".into()), ..Settings::default() };
    let memory = DeviceMemory { version: Some("2026.10.0".into()), ..DeviceMemory::default() };
    let store = Store::open(dir.path()).unwrap();
    let commit = Commit {
        updates: vec![queued.clone()],
        forgotten: Vec::new(),
        memories: vec![("a".into(), memory.clone())],
        wakes: Vec::new(),
        settings: Some(settings.clone()),
    };
    store.commit(commit).await.unwrap();
    drop(store);
    let loaded = Store::open(dir.path()).unwrap().load().unwrap();
    assert_eq!(loaded.updates, vec![queued]);
    assert_eq!(loaded.memories.get("a"), Some(&memory));
    assert_eq!(loaded.settings, settings);
    assert_eq!(loaded.next_id, 2);
}

#[tokio::test]
async fn a_newer_update_takes_the_place_of_the_active_one_in_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let first = update(1, "a.yaml", UpdateState::Queued);
    store.commit(Commit { updates: vec![first], ..Commit::default() }).await.unwrap();
    let ended = update(1, "a.yaml", cancelled());
    let second = update(2, "a.yaml", UpdateState::Queued);
    store
        .commit(Commit { updates: vec![second.clone(), ended], ..Commit::default() })
        .await
        .unwrap();
    assert_eq!(
        store.load().unwrap().updates,
        vec![second],
        "only the last one of a device is loaded"
    );
}

#[tokio::test]
async fn a_second_active_update_is_refused_and_nothing_of_the_commit_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let commit = Commit {
        updates: vec![
            update(1, "a.yaml", UpdateState::Queued),
            update(2, "a.yaml", UpdateState::Queued),
        ],
        ..Commit::default()
    };
    store.commit(commit).await.unwrap_err();
    assert_eq!(store.load().unwrap().updates, Vec::new());
}

#[test]
fn only_the_owner_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let _store = Store::open(&state).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for file in std::fs::read_dir(&state).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn the_rights_of_a_directory_that_was_there_stay() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let _store = Store::open(dir.path()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path()), 0o755);
    assert_eq!(mode(&dir.path().join("wakeflash.db")), 0o600);
}

#[test]
fn a_second_copy_is_refused_with_words() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Store::open(dir.path()).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert_eq!(error.problem().code, "store.in_use");
}

#[test]
fn a_newer_schema_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let path = dir.path().join("wakeflash.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert_eq!(error.problem().code, "store.newer");
    let version: u32 = Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wakeflash.db");
    std::fs::write(&path, "a poem, at least a page long, about batteries".repeat(100)).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert_eq!(error.problem().code, "store.unusable");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("a poem"));
}

#[test]
fn the_migrations_are_sound() {
    let mut connection = Connection::open_in_memory().unwrap();
    migrations::migrate(&mut connection).unwrap();
    migrations::migrate(&mut connection).unwrap();
}

#[tokio::test]
async fn what_is_forgotten_goes_before_what_is_stored_under_the_same_name() {
    let wake = |number| Wake { number, at: Timestamp::from_millis(7), awake: None, flashed: false };
    let memory = || DeviceMemory::default();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let both = |wakes: [Vec<Wake>; 2]| ["old", "new"].map(String::from).into_iter().zip(wakes);
    let before = Commit {
        memories: vec![("old".into(), memory()), ("new".into(), memory())],
        wakes: both([vec![wake(3), wake(4)], vec![wake(1)]]).collect(),
        ..Commit::default()
    };
    store.commit(before).await.unwrap();
    let renamed = Commit {
        forgotten: vec!["old".into(), "new".into()],
        memories: vec![("new".into(), memory())],
        wakes: vec![("new".into(), vec![wake(3), wake(4), wake(5)])],
        ..Commit::default()
    };
    store.commit(renamed).await.unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.memories.into_keys().collect::<Vec<_>>(), ["new"]);
    assert_eq!(
        loaded.wakes.into_iter().collect::<Vec<_>>(),
        [("new".to_owned(), vec![wake(3), wake(4), wake(5)])]
    );
}

#[tokio::test]
async fn the_newest_wakes_of_each_device_are_kept() {
    let wake = |number: u32| Wake {
        number,
        at: Timestamp::from_millis(1_000 * i64::from(number)),
        awake: number.is_multiple_of(2).then_some(Duration::from_millis(1_500)),
        flashed: number.is_multiple_of(3),
    };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let first: Vec<Wake> = (0..150).map(wake).collect();
    let wakes = vec![("a".to_owned(), first), ("b".to_owned(), vec![wake(7)])];
    store.commit(Commit { wakes, ..Commit::default() }).await.unwrap();
    let mut second: Vec<Wake> = (149..260).map(wake).collect();
    second[0].awake = Some(Duration::from_secs(9));
    let wakes = vec![("a".to_owned(), second.clone())];
    store.commit(Commit { wakes, ..Commit::default() }).await.unwrap();
    drop(store);
    let loaded = Store::open(dir.path()).unwrap().load().unwrap().wakes;
    assert_eq!(loaded["b"], [wake(7)]);
    assert_eq!(loaded["a"].len(), 200);
    assert_eq!(loaded["a"][0], wake(60));
    assert_eq!(loaded["a"][89..], second);
}

#[tokio::test]
async fn the_history_is_newest_first_and_bounded_for_each_device() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let keep = history::KEPT;
    let other = update(1, "b.yaml", cancelled());
    store.commit(Commit { updates: vec![other], ..Commit::default() }).await.unwrap();
    for id in 2..keep + 12 {
        let update = update(id, "a.yaml", cancelled());
        store.commit(Commit { updates: vec![update], ..Commit::default() }).await.unwrap();
    }
    let ids = async |device: &str| -> Vec<u32> {
        let updates = store.history(&DeviceId::of_file(device)).await.unwrap();
        updates.iter().map(|update| update.id.0).collect()
    };
    assert_eq!(ids("a.yaml").await, (12..keep + 12).rev().collect::<Vec<_>>());
    assert_eq!(ids("b.yaml").await, [1]);
    assert!(ids("c.yaml").await.is_empty());
    let mut there = Vec::new();
    for id in [1, 2, 12] {
        there.push(store.has_update(UpdateId(id)).await.unwrap());
    }
    assert_eq!(there, [true, false, true]);
    assert_eq!(store.load().unwrap().next_id, keep + 12, "numbers are never given twice");
}
