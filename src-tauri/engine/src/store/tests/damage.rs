//! A damaged database, its backups, and what the user can do.

use std::os::unix::fs::PermissionsExt;

use wakeflash_core::view::StoreChoice;

use super::*;
use crate::store::backup::{self, Reason};

fn backups(dir: &Path) -> Vec<backup::Backup> {
    backup::all(dir).unwrap()
}

/// A store with rows and a backup of them, in which more happened since.
async fn with_backup(dir: &Path) -> Loaded {
    let before = store_with_rows(dir).await;
    let mut store = Store::open(dir).unwrap();
    assert!(store.backups().make_if_due().unwrap());
    store
        .commit(Commit {
            updates: vec![update(5, "later.yaml", UpdateState::Queued)],
            ..Commit::default()
        })
        .await
        .unwrap();
    before
}

fn break_it(dir: &Path) {
    let path = dir.join(DATABASE);
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0x55);
    std::fs::write(&path, bytes).unwrap();
}

fn damage(dir: &Path) -> Damage {
    match Store::open(dir).and_then(|store| store.load()) {
        Err(OpenError::Damaged(damage)) => *damage,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_daily_backup_is_made_once_a_day_and_private() {
    let dir = tempfile::tempdir().unwrap();
    store_with_rows(dir.path()).await;
    let store = Store::open(dir.path()).unwrap();
    assert!(store.backups().make_if_due().unwrap());
    assert!(!store.backups().make_if_due().unwrap(), "there is one of today");
    let [backup] = &backups(dir.path())[..] else { panic!("{:?}", backups(dir.path())) };
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&backup.path), 0o600);
    assert_eq!(mode(backup.path.parent().unwrap()), 0o700);
    // It is complete, and one file.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(&backup.path, copy.path().join(DATABASE)).unwrap();
    assert_eq!(Store::open(copy.path()).unwrap().load().unwrap(), store.load().unwrap());
    assert_eq!(std::fs::read_dir(backup.path.parent().unwrap()).unwrap().count(), 1);
}

#[tokio::test]
async fn old_backups_go_each_kind_for_itself_and_what_is_half_done_with_them() {
    let dir = tempfile::tempdir().unwrap();
    store_with_rows(dir.path()).await;
    let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
    for reason in [Reason::Schema, Reason::Day, Reason::Day] {
        for _ in 0..3 {
            // Their names have milliseconds.
            std::thread::sleep(Duration::from_millis(2));
            backup::make(dir.path(), &connection, reason).unwrap();
            std::fs::write(dir.path().join("backups/daily-7.partial"), "half").unwrap();
        }
    }
    let kept: Vec<_> = backups(dir.path());
    assert_eq!(kept.len(), 6, "{kept:?}");
    assert!(kept.is_sorted_by(|one, other| one.at >= other.at));
    backup::make(dir.path(), &connection, Reason::Day).unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("backups")).unwrap().count(), 6);
}

#[tokio::test]
async fn before_an_older_database_is_brought_up_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    crate::store::rows::tests::database(&dir.path().join(DATABASE), 2);
    let loaded = Store::open(dir.path()).unwrap().load().unwrap();
    let [backup] = &backups(dir.path())[..] else { panic!("{:?}", backups(dir.path())) };
    let connection = Connection::open(&backup.path).unwrap();
    assert_eq!(migrations::version(&connection).unwrap(), 2);
    // Restored, it is brought up again.
    break_it(dir.path());
    assert_eq!(damage(dir.path()).backup.unwrap().under_way.len(), 9);
    mend(dir.path(), StoreChoice::RestoreBackup).unwrap();
    let restored = Store::open(dir.path()).unwrap().load().unwrap();
    assert_eq!(restored.updates, loaded.updates);
}

#[tokio::test]
async fn a_damaged_database_offers_the_last_backup_with_what_is_lost_and_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let before = with_backup(dir.path()).await;
    // A later one that is no use.
    std::fs::write(dir.path().join("backups/daily-9999999999999.db"), "no backup").unwrap();
    break_it(dir.path());
    let broken = std::fs::read(dir.path().join(DATABASE)).unwrap();
    let damage = damage(dir.path());
    let offer = damage.backup.clone().unwrap();
    assert_eq!((offer.devices, offer.under_way), (2, vec!["a.yaml".into(), "b.yaml".into()]));
    assert!(std::fs::read(dir.path().join(DATABASE)).unwrap() == broken, "it was changed");
    let help = damage.problem().help.unwrap();
    assert!(help.contains("Restore the last backup"), "{help}");

    mend(dir.path(), StoreChoice::RestoreBackup).unwrap();
    let kept = std::fs::read_dir(dir.path().join("damaged")).unwrap().next().unwrap().unwrap();
    assert!(std::fs::read(kept.path().join(DATABASE)).unwrap() == broken);
    let store = Store::open(dir.path()).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!((&loaded.updates, &loaded.memories), (&before.updates, &before.memories));
    assert!(loaded.settings.paused, "nothing begins before the user has seen it");
    let problem = &loaded.problems[0];
    assert_eq!(problem.code, "store.restored");
    assert!(problem.message.contains(&offer.at.to_utc()), "{}", problem.message);
    // A sound one is left as it is.
    drop(store);
    mend(dir.path(), StoreChoice::StartEmpty).unwrap();
    assert_eq!(Store::open(dir.path()).unwrap().load().unwrap(), loaded);
}

#[tokio::test]
async fn what_was_asked_for_since_the_backup_is_named_where_it_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    with_backup(dir.path()).await;
    // A table that is only read at the start of everything is broken.
    let path = dir.path().join(DATABASE);
    let connection = Connection::open(&path).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'wakes'";
    let root: u32 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    let root = root as usize;
    drop(connection);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[(root - 1) * 4096..root * 4096].fill(0x55);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(damage(dir.path()).lost, ["later.yaml"]);
}

#[tokio::test]
async fn a_damaged_database_can_be_put_aside_for_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    store_with_rows(dir.path()).await;
    break_it(dir.path());
    let damage = damage(dir.path());
    assert_eq!(damage.backup, None);
    assert!(damage.problem().help.unwrap().contains("no backup"));
    let refused = mend(dir.path(), StoreChoice::RestoreBackup).unwrap_err();
    assert_eq!(refused.problem().code, "store.damaged");
    mend(dir.path(), StoreChoice::StartEmpty).unwrap();
    let loaded = Store::open(dir.path()).unwrap().load().unwrap();
    assert_eq!((loaded.updates.len(), loaded.settings), (0, Settings::default()));
    assert!(dir.path().join("damaged").exists());
}

#[tokio::test]
async fn a_database_that_is_gone_or_empty_is_not_taken_for_a_first_start() {
    let dir = tempfile::tempdir().unwrap();
    let before = with_backup(dir.path()).await;
    std::fs::write(dir.path().join(DATABASE), "").unwrap();
    assert_eq!(damage(dir.path()).reason, "the file is empty");
    std::fs::remove_file(dir.path().join(DATABASE)).unwrap();
    assert_eq!(damage(dir.path()).reason, "the file is gone");
    mend(dir.path(), StoreChoice::RestoreBackup).unwrap();
    assert_eq!(Store::open(dir.path()).unwrap().load().unwrap().updates, before.updates);
}

/// Whatever of the change of files was done when it was killed, the next start does the rest.
#[tokio::test]
async fn an_end_in_the_middle_of_the_restoring_is_finished_by_the_next_start() {
    for done in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let before = with_backup(dir.path()).await;
        let [backup] = &backups(dir.path())[..] else { panic!() };
        let at = |name: &str| dir.path().join(name);
        std::fs::copy(&backup.path, at("wakeflash.db.next")).unwrap();
        break_it(dir.path());
        // The log of the damaged one, which must not get beside the other.
        std::fs::write(at("wakeflash.db-wal"), "not its log").unwrap();
        let changed = std::fs::metadata(at("wakeflash.db.next")).unwrap().modified().unwrap();
        let kept = dir.path().join("damaged").join(time_of(changed).as_millis().to_string());
        std::fs::create_dir_all(&kept).unwrap();
        for file in ["wakeflash.db-wal", "wakeflash.db"].into_iter().take(done) {
            std::fs::rename(at(file), kept.join(file)).unwrap();
        }
        if done == 3 {
            std::fs::rename(at("wakeflash.db.next"), at("wakeflash.db")).unwrap();
        }
        let loaded = Store::open(dir.path()).unwrap().load().unwrap();
        assert_eq!(loaded.updates, before.updates, "{done}");
        assert!(kept.join("wakeflash.db").exists() && kept.join("wakeflash.db-wal").exists());
        assert!(!at("wakeflash.db.next").exists());
    }
}

#[tokio::test]
async fn a_database_that_breaks_while_it_is_used_is_told_and_no_backup_is_lost_to_it() {
    let dir = tempfile::tempdir().unwrap();
    with_backup(dir.path()).await;
    let [good] = &backups(dir.path())[..] else { panic!() };
    let store = Store::open(dir.path()).unwrap();
    break_it(dir.path());
    // It is due again.
    let old = good.path.with_file_name("daily-7.db");
    std::fs::rename(&good.path, &old).unwrap();
    let error = store.backups().make_if_due().unwrap_err();
    assert_eq!(no_backup(&error).code, "store.damaged_now", "{error:#}");
    assert_eq!(backups(dir.path()).len(), 1);
    assert_eq!(std::fs::read_dir(dir.path().join("backups")).unwrap().count(), 1);
}

/// After a power cut, which is what breaks most databases, it is noted how far the log was written.
#[tokio::test]
async fn what_is_noted_of_the_damaged_database_is_not_said_of_the_one_in_its_place() {
    for choice in [StoreChoice::RestoreBackup, StoreChoice::StartEmpty] {
        let (alive, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        with_backup(alive.path()).await;
        let mut store = Store::open(alive.path()).unwrap();
        let settings = Some(Settings { max_builds: 2, ..Settings::default() });
        store.commit(Commit { settings, ..Commit::default() }).await.unwrap();
        let copied = std::process::Command::new("cp")
            .args(["-a", "--", &format!("{}/.", alive.path().display())])
            .arg(cut.path())
            .status();
        assert!(copied.unwrap().success());
        assert!(
            cut.path().join(format!("{DATABASE}-end")).exists(),
            "it is the note that matters here"
        );
        break_it(cut.path());
        mend(cut.path(), choice).unwrap();
        let loaded = Store::open(cut.path()).unwrap().load().unwrap();
        let codes: Vec<_> = loaded.problems.iter().map(|problem| &*problem.code).collect();
        match choice {
            StoreChoice::RestoreBackup => assert_eq!(codes, ["store.restored"]),
            StoreChoice::StartEmpty => {
                assert!(codes.is_empty() && !loaded.settings.paused, "{codes:?}")
            }
        }
    }
}
