//! Who can open it, and which databases are refused.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_newer_schema_is_refused_in_words_that_name_it_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let path = dir.path().join("wakeflash.db");
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.execute("UPDATE about SET written_by = '7.8.9', schema = 99", []).unwrap();
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

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wakeflash.db");
    std::fs::write(&path, "a poem, at least a page long, about batteries".repeat(100)).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert_eq!(error.problem().code, "store.damaged");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("a poem"));
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
