//! A disk that doesn't answer.

use super::disk::Disk;
use super::*;

fn change(id: u32) -> Commit {
    let updates = vec![update(id, &format!("{id}.yaml"), UpdateState::Queued)];
    Commit { updates, ..Commit::default() }
}

#[tokio::test]
async fn who_hands_in_a_change_can_do_other_things_and_ask_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::register("slow");
    let mut store = Store::open_on(dir.path(), "slow").unwrap();
    store.commit(change(1)).await.unwrap();
    assert!(!store.is_storing());
    disk.hold(true);
    store.begin(change(2));
    for _ in 0..3 {
        let waited = tokio::time::timeout(Duration::from_millis(20), store.stored()).await;
        assert!(waited.is_err(), "it is still under way");
        assert!(store.is_storing());
    }
    // Questions don't wait for it.
    let reader = store.reader();
    assert_eq!(reader.history(&DeviceId::of_file("1.yaml")).await.unwrap().updates.len(), 1);
    assert!(reader.has_update(UpdateId(1)).await.unwrap());
    disk.hold(false);
    store.stored().await.unwrap();
    store.commit(change(3)).await.unwrap();
    assert_eq!(store.load().unwrap().updates.len(), 3);
}

#[tokio::test]
async fn a_disk_that_does_not_answer_holds_up_no_end_and_keeps_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::register("stuck");
    let mut store = Store::open_on(dir.path(), "stuck").unwrap();
    disk.hold(true);
    store.begin(change(1));
    assert!(!store.shutdown(Duration::from_millis(50)).await);
    drop(store);
    // Whoever comes next must not work with it meanwhile.
    let error = Store::open(dir.path()).unwrap_err();
    assert_eq!(error.problem().code, "store.in_use");
    disk.hold(false);
    let store = loop {
        match Store::open(dir.path()) {
            Ok(store) => break store,
            Err(OpenError::InUse(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error:?}"),
        }
    };
    assert_eq!(store.load().unwrap().updates.len(), 1, "it was stored all the same");
}

#[tokio::test]
async fn a_closed_store_takes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.begin(change(1));
    assert!(store.shutdown(Duration::from_secs(60)).await);
    let next = Store::open(dir.path()).unwrap();
    assert_eq!(next.load().unwrap().updates.len(), 1, "what was under way was stored");
    store.commit(change(2)).await.unwrap_err();
}
