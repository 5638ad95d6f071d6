//! The store, and what becomes of it when things break.

mod aside;
mod crash;
mod damage;
pub(crate) mod disk;
mod faults;
mod opening;
mod pages;
mod slow;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use wakeflash_core::device::{DeviceId, DeviceMemory};
use wakeflash_core::identity::Claims;
use wakeflash_core::schedule::Wake;
use wakeflash_core::settings::Settings;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{Cleaning, StateKind, Update, UpdateId, UpdateState};

use super::*;

/// A directory for a test that opens databases by the thousand: in memory, where that is possible.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

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
        changed_in_builds: Vec::new(),
        cleaning: Cleaning::No,
        earlier_may_have_arrived: false,
        from_version: None,
        previous_stamp: None,
        state,
        timeline: Vec::new(),
    };
    update.note(Timestamp::from_millis(1), "Install requested.");
    update
}

fn cancelled() -> UpdateState {
    UpdateState::Cancelled { at: Timestamp::from_millis(2), may_have_arrived: false }
}

/// A store with a device, its updates and settings, all known by what they say.
async fn store_with_rows(dir: &Path) -> Loaded {
    let mut store = Store::open(dir).unwrap();
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

/// The files of a directory with what is in them, but for SQLite's index of its own log.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_none_or(|ending| ending != "db-shm"));
    files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let queued = update(1, "a.yaml", UpdateState::Queued);
    let settings = Settings { config_dir: Some("/somewhere".into()), ..Settings::default() };
    let claims = Claims { version: Some("2026.10.0".into()), ..Claims::default() };
    let memory = DeviceMemory { claims, ..DeviceMemory::default() };
    let mut store = Store::open(dir.path()).unwrap();
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
    let mut store = Store::open(dir.path()).unwrap();
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
    let mut store = Store::open(dir.path()).unwrap();
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
    let mut store = Store::open(dir.path()).unwrap();
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
    let mut store = Store::open(dir.path()).unwrap();
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
async fn a_wake_that_cannot_be_read_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let wake = |number| Wake { number, at: Timestamp::from_millis(7), awake: None, flashed: false };
    let mut store = Store::open(dir.path()).unwrap();
    let wakes = vec![("a".to_owned(), (0..3).map(wake).collect())];
    store.commit(Commit { wakes, ..Commit::default() }).await.unwrap();
    drop(store);
    let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
    for (number, change) in [(0, "name = CAST(x'ff' AS TEXT)"), (1, "awake = -1")] {
        let change = format!("UPDATE wakes SET {change} WHERE number = {number}");
        connection.execute(&change, []).unwrap();
    }
    drop(connection);
    let loaded = Store::open(dir.path()).unwrap().load().unwrap().wakes;
    assert_eq!(loaded.into_iter().collect::<Vec<_>>(), [("a".to_owned(), vec![wake(2)])]);
}

#[tokio::test]
async fn what_has_ended_comes_by_its_end_a_page_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let ended = |at: i64| UpdateState::Cancelled {
        at: Timestamp::from_millis(at),
        may_have_arrived: false,
    };
    // The one that was asked for first ended last; two ended at the same moment; one is under way.
    let updates = vec![
        update(1, "a.yaml", ended(90)),
        update(2, "b.yaml", ended(20)),
        update(3, "c.yaml", ended(50)),
        update(4, "d.yaml", ended(50)),
        update(5, "e.yaml", UpdateState::Queued),
    ];
    store.commit(Commit { updates, ..Commit::default() }).await.unwrap();
    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let page = store.reader().activity(before, 2).await.unwrap();
        pages.push(page.updates.iter().map(|update| update.id.0).collect::<Vec<_>>());
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec![1, 4], vec![3, 2]], "and no page without anything");
    // One that is taken up again hasn't ended.
    let again = update(1, "a.yaml", UpdateState::Queued);
    store.commit(Commit { updates: vec![again], ..Commit::default() }).await.unwrap();
    let page = store.reader().activity(None, 9).await.unwrap();
    let ids: Vec<u32> = page.updates.iter().map(|update| update.id.0).collect();
    assert_eq!((ids, page.next), (vec![4, 3, 2], None));
}

#[tokio::test]
async fn what_an_older_version_has_stored_is_in_the_order_of_its_end() {
    let dir = tempfile::tempdir().unwrap();
    rows::tests::database(&dir.path().join(DATABASE), migrations::RELEASED);
    let store = Store::open(dir.path()).unwrap();
    let loaded = store.load().unwrap();
    let ended = |update: &&Update| update.state.kind().is_final();
    let expected = loaded.updates.iter().filter(ended).count();
    assert!(expected > 2);
    let page = store.reader().activity(None, 99).await.unwrap();
    assert_eq!(page.updates.len(), expected);
    assert!(page.updates.is_sorted_by_key(|update| core::cmp::Reverse(update.state.ended_at())));
}

#[tokio::test]
async fn the_history_is_newest_first_and_bounded_for_each_device() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let keep = history::KEPT;
    let other = update(1, "b.yaml", cancelled());
    store.commit(Commit { updates: vec![other], ..Commit::default() }).await.unwrap();
    for id in 2..keep + 12 {
        let update = update(id, "a.yaml", cancelled());
        store.commit(Commit { updates: vec![update], ..Commit::default() }).await.unwrap();
    }
    let ids = async |device: &str| -> Vec<u32> {
        let updates = store.reader().history(&DeviceId::of_file(device)).await.unwrap();
        updates.updates.iter().map(|update| update.id.0).collect()
    };
    assert_eq!(ids("a.yaml").await, (12..keep + 12).rev().collect::<Vec<_>>());
    assert_eq!(ids("b.yaml").await, [1]);
    assert!(ids("c.yaml").await.is_empty());
    let mut there = Vec::new();
    for id in [1, 2, 12] {
        there.push(store.reader().has_update(UpdateId(id)).await.unwrap());
    }
    assert_eq!(there, [true, false, true]);
    assert_eq!(store.load().unwrap().next_id, keep + 12, "numbers are never given twice");
}
