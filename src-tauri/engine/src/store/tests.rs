use std::time::Duration;

use wakeflash_core::device::DeviceId;
use wakeflash_core::identity::Claims;
use wakeflash_core::schedule::Wake;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{StateKind, UpdateId, UpdateState};

use super::*;

fn update(id: u32, device: &str, state: UpdateState) -> Update {
    let mut update = Update {
        id: UpdateId(id),
        device: DeviceId::of_file(device),
        directory: Some("/config".to_owned()),
        name: device.trim_end_matches(".yaml").to_owned(),
        requested_at: Timestamp::from_millis(1),
        known_hashes: Vec::new(),
        mac: None,
        wire_size: None,
        ended_delivery: None,
        build_again: None,
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
    let claims = Claims { version: Some("2026.10.0".into()), ..Claims::default() };
    let memory = DeviceMemory { claims, ..DeviceMemory::default() };
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

/// The files of a directory with what is in them, but for SQLite's index of its own log.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_none_or(|ending| ending != "db-shm"));
    files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn a_newer_schema_is_refused_in_words_that_name_it_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let path = dir.path().join("wakeflash.db");
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.execute("UPDATE about SET written_by = '7.8.9'", []).unwrap();
    newer.execute_batch("CREATE TABLE of_tomorrow (x); DROP TABLE wakes").unwrap();
    // What it wrote last is still in its log, as after a crash.
    let crashed = tempfile::tempdir().unwrap();
    for (path, bytes) in content(dir.path()) {
        std::fs::write(crashed.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    std::fs::set_permissions(crashed.path().join("wakeflash.db"), Permissions::from_mode(0o640))
        .unwrap();
    let before = content(crashed.path());
    assert!(before.keys().any(|path| path.ends_with("wakeflash.db-wal")), "{:?}", before.keys());
    let problem = Store::open(crashed.path()).unwrap_err().problem();
    assert_eq!(problem.code, "store.newer");
    for part in ["Wakeflash 7.8.9", "format 99", OWN_VERSION, "format 3"] {
        assert!(problem.message.contains(part), "{}", problem.message);
    }
    assert!(content(crashed.path()) == before);
    let mode = crashed.path().join("wakeflash.db").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

/// A store with a device, its updates and settings, all known by what they say.
async fn store_with_rows(dir: &Path) -> Loaded {
    let store = Store::open(dir).unwrap();
    let memory = |version: &str| DeviceMemory {
        claims: Claims { version: Some(version.to_owned()), ..Claims::default() },
        ..DeviceMemory::default()
    };
    let commit = Commit {
        updates: vec![
            update(1, "a.yaml", cancelled()),
            update(2, "a.yaml", UpdateState::Queued),
            update(3, "b.yaml", UpdateState::Queued),
            update(4, "c.yaml", cancelled()),
        ],
        memories: vec![("a".into(), memory("one")), ("b".into(), memory("two"))],
        settings: Some(Settings { max_builds: 7, ..Settings::default() }),
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
    store.load().unwrap()
}

fn execute(dir: &Path, sql: &str) {
    let changed = Connection::open(dir.join("wakeflash.db")).unwrap().execute(sql, []).unwrap();
    assert_eq!(changed, 1, "{sql}");
}

fn set_aside_rows(dir: &Path) -> Vec<(String, String, Vec<u8>)> {
    let connection = Connection::open(dir.join("wakeflash.db")).unwrap();
    let sql = "SELECT source, key, CAST(body AS BLOB) FROM unreadable ORDER BY number";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_set_aside_and_everything_else_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let before = store_with_rows(dir.path()).await;
    execute(dir.path(), "UPDATE updates SET body = '{' WHERE id = 3");
    execute(dir.path(), "UPDATE updates SET body = CAST(x'ff' AS TEXT) WHERE id = 4");
    execute(dir.path(), "UPDATE devices SET body = '{\"version\":null}' WHERE name = 'a'");
    let store = Store::open(dir.path()).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.settings, before.settings);
    assert_eq!(loaded.memories.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(loaded.next_id, 5);
    // What was under way is shown at its device, with what to do.
    let [first, second] = &loaded.updates[..] else { panic!("{:?}", loaded.updates) };
    assert_eq!(*first, before.updates[0]);
    assert_eq!((second.id, second.device.as_str()), (UpdateId(3), "b.yaml"));
    let UpdateState::Failed { problem, may_have_arrived: true, .. } = &second.state else {
        panic!("{second:?}");
    };
    assert_eq!(problem.code, "store.update_set_aside");
    let [problem] = &loaded.problems[..] else { panic!("{:?}", loaded.problems) };
    assert_eq!(problem.code, "store.set_aside");
    assert!(problem.message.contains("a, b.yaml, c.yaml"), "{}", problem.message);
    let kept = [
        ("updates", "3", b"{".to_vec()),
        ("updates", "4", vec![0xff]),
        ("devices", "1", b"{\"version\":null}".to_vec()),
    ];
    let kept = kept.map(|(source, key, body)| (source.to_owned(), key.to_owned(), body));
    assert_eq!(set_aside_rows(dir.path()), kept);
    // Until something newer stands in its place, it is said at each start.
    let newer = Commit {
        updates: vec![update(5, "b.yaml", UpdateState::Queued), update(6, "c.yaml", cancelled())],
        memories: vec![("a".into(), DeviceMemory::default())],
        ..Commit::default()
    };
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.load().unwrap(), loaded);
    store.commit(newer).await.unwrap();
    assert_eq!(store.load().unwrap().problems, []);
    assert_eq!(set_aside_rows(dir.path()).len(), 3);
}

#[tokio::test]
async fn a_row_that_is_not_what_was_written_is_set_aside_though_it_could_be_read() {
    for (sql, updates) in [
        ("UPDATE updates SET body = replace(body, 'Install', 'Inst4ll') WHERE id = 2", 3),
        ("UPDATE updates SET device = 'z.yaml' WHERE id = 2", 4),
        ("UPDATE updates SET active = 0 WHERE id = 2", 3),
        ("UPDATE devices SET name = 'z' WHERE name = 'a'", 3),
        ("UPDATE settings SET body = replace(body, '7', '8')", 3),
        ("UPDATE settings SET seal = x''", 3),
    ] {
        let dir = tempfile::tempdir().unwrap();
        store_with_rows(dir.path()).await;
        execute(dir.path(), sql);
        let loaded = Store::open(dir.path()).unwrap().load().unwrap();
        assert_eq!(loaded.updates.len(), updates, "{sql}: {:?}", loaded.updates);
        assert_eq!(loaded.problems.len(), 1, "{sql}");
        assert_eq!(set_aside_rows(dir.path()).len(), 1, "{sql}");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_read_are_those_of_a_new_installation_until_some_are_chosen() {
    let dir = tempfile::tempdir().unwrap();
    store_with_rows(dir.path()).await;
    execute(dir.path(), "UPDATE settings SET body = '[]'");
    let store = Store::open(dir.path()).unwrap();
    for _ in 0..2 {
        let loaded = store.load().unwrap();
        assert_eq!(loaded.settings, Settings::default());
        assert_eq!(loaded.problems[0].code, "store.settings_set_aside");
    }
    let settings = Some(Settings::default());
    store.commit(Commit { settings, ..Commit::default() }).await.unwrap();
    assert_eq!(store.load().unwrap().problems, []);
}

#[tokio::test]
async fn an_unreadable_update_of_the_past_is_passed_over_in_the_history() {
    let dir = tempfile::tempdir().unwrap();
    store_with_rows(dir.path()).await;
    execute(dir.path(), "UPDATE updates SET body = '{' WHERE id = 1");
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.load().unwrap().problems, []);
    let device = DeviceId::of_file("a.yaml");
    let history = store.history(&device).await.unwrap();
    assert_eq!((history.updates.len(), history.unreadable), (1, 1));
    let message = history.problem(&device).unwrap().message;
    assert!(message.contains("a.yaml") && message.contains("1 of them"), "{message}");
    assert_eq!(set_aside_rows(dir.path()), []);
}

#[tokio::test]
async fn a_row_of_an_older_version_that_cannot_be_read_is_set_aside_when_it_is_brought_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wakeflash.db");
    let mut old = Connection::open(&path).unwrap();
    migrations::migrate_to(&mut old, 0, 2).unwrap();
    let insert = "INSERT INTO updates (id, device, active, body) VALUES (?1, ?2, 1, ?3)";
    old.execute(insert, (1, "a.yaml", "{\"id\":1")).unwrap();
    old.execute(insert, (2, "b.yaml", "{\"id\":2}")).unwrap();
    drop(old);
    let loaded = Store::open(dir.path()).unwrap().load().unwrap();
    assert_eq!(loaded.problems[0].code, "store.set_aside");
    let kinds: Vec<_> = loaded.updates.iter().map(|update| update.state.kind()).collect();
    assert_eq!(kinds, [StateKind::Failed; 2], "{:?}", loaded.updates);
    assert_eq!(set_aside_rows(dir.path()).len(), 2);
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
        updates.updates.iter().map(|update| update.id.0).collect()
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
