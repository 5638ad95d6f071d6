//! A disk that is full or broken at every write, and one that is slow.

use super::crash::{changes, checkpoint_often};
use super::disk::{Disk, Fault};
use super::*;

/// Stores changes on a disk that fails after so many operations; whether it came to that.
async fn fails_after(disk: &'static Disk, vfs: &str, fault: Fault) -> bool {
    let dir = scratch();
    drop(Store::open(dir.path()).unwrap());
    let mut store = Store::open_on(dir.path(), vfs).unwrap();
    checkpoint_often(&store);
    disk.set_fault(Some(fault));
    let mut state = store.load().unwrap();
    for change in changes() {
        match store.commit(change.clone()).await {
            Ok(()) => {}
            Err(error) => {
                let problem = unwritable(&error);
                assert_eq!(problem.code, "store.unwritable", "{fault:?}: {error:#}");
                assert!(disk.has_failed(), "{fault:?}: {error:#}");
                assert_eq!(store.load().unwrap(), state, "{fault:?}: half of a change");
                // It can be stored once there is room again.
                disk.set_fault(None);
                store.commit(change).await.unwrap();
            }
        }
        state = store.load().unwrap();
    }
    let failed = disk.has_failed();
    disk.set_fault(None);
    drop(store);
    assert_eq!(Store::open(dir.path()).unwrap().load().unwrap(), state, "{fault:?}");
    failed
}

#[tokio::test]
async fn a_disk_that_is_full_at_any_write_refuses_a_change_as_a_whole() {
    let disk = Disk::register("full");
    let mut count = 0;
    // A fault that has been cleared has come up, too.
    while count < 120 {
        fails_after(disk, "full", Fault::FullAfter(count)).await;
        count += 1;
    }
    assert!(!fails_after(disk, "full", Fault::FullAfter(100_000)).await);
}

#[tokio::test]
async fn a_disk_that_fails_at_any_sync_refuses_a_change_as_a_whole() {
    let disk = Disk::register("unsynced");
    for count in 0..20 {
        fails_after(disk, "unsynced", Fault::UnsyncedAfter(count)).await;
    }
}

#[tokio::test]
async fn an_older_database_is_brought_up_as_a_whole_or_stays_as_it_is_on_a_full_disk() {
    let disk = Disk::register("full_at_start");
    let (mut refused, mut count) = (0, 0);
    loop {
        let dir = scratch();
        crate::store::rows::tests::database(&dir.path().join(DATABASE), 2);
        disk.set_fault(Some(Fault::FullAfter(count)));
        let opened = Store::open_on(dir.path(), "full_at_start");
        disk.set_fault(None);
        if opened.is_ok() && refused > 0 {
            break;
        }
        let Err(error) = opened else { panic!("write {count} isn't needed") };
        assert_eq!(error.problem().code, "store.unusable", "{error:#}");
        refused += 1;
        count += 1;
        let version = migrations::version(&Connection::open(dir.path().join(DATABASE)).unwrap());
        assert!([2, migrations::VERSION].contains(&version.unwrap()));
        let loaded = Store::open(dir.path()).unwrap().load().unwrap();
        assert_eq!((loaded.updates.len(), loaded.problems.len()), (16, 0));
    }
    assert!(refused > 5, "{refused}");
}
