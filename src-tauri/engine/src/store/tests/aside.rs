//! Rows that can't be read.

use super::*;

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
    let mut store = Store::open(dir.path()).unwrap();
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
    let mut store = Store::open(dir.path()).unwrap();
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
    let history = store.reader().history(&device).await.unwrap();
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
