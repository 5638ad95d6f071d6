//! The loop over a disk that is slow, and its backups.

use tokio_util::sync::CancellationToken;
use wakeflash_core::view::Event as Told;

use super::tests::runtime_over;
use super::*;
use crate::handle::Asked;
use crate::store::tests::disk::Disk;

async fn pause(engine: Handle, paused: bool) -> Result<(), Problem> {
    engine.ask(|reply| Asked::SetPaused { paused, reply }).await
}

/// An engine over this disk.
async fn engine(dir: &std::path::Path, disk: &str) -> Engine {
    let store = Store::open_on(dir, disk).unwrap();
    let (runtime, queues, handle) = runtime_over(store, dir, Vec::new()).await;
    let cancel = runtime.cancel.clone();
    let task = tokio::spawn(runtime.run(queues));
    let engine = Engine { handle, log_dir: dir.join("logs"), cancel, task: Some(task) };
    // It has stored what there is to store at a start.
    pause(engine.handle.clone(), false).await.unwrap();
    engine
}

#[tokio::test]
async fn a_change_that_takes_long_to_store_is_told_until_it_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::register("told");
    let engine = engine(dir.path(), "told").await;
    let mut events = engine.handle.subscribe();
    disk.hold(true);
    let handle = engine.handle.clone();
    let asked = tokio::spawn(pause(handle, true));
    let mut told = Vec::new();
    while told.len() < 2 {
        if let Told::Status { status } = events.recv().await.unwrap().event {
            let code = status.store.map(|problem| problem.code);
            if code != told.last().cloned().flatten() {
                told.push(code);
                disk.hold(false);
            }
        }
    }
    assert_eq!(told, [Some("store.slow".to_owned()), None]);
    asked.await.unwrap().unwrap();
    engine.shutdown().await;
}

#[tokio::test]
async fn a_disk_that_does_not_answer_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::register("no_end");
    let engine = engine(dir.path(), "no_end").await;
    disk.hold(true);
    let handle = engine.handle.clone();
    let asked = tokio::spawn(pause(handle, true));
    // Questions are answered meanwhile.
    engine.handle.snapshot().await.unwrap();
    let device = DeviceId::of_file("a.yaml");
    let history = engine.handle.ask(|reply| Asked::History { device, reply }).await;
    assert_eq!(history.unwrap(), []);
    engine.shutdown().await;
    asked.await.unwrap().unwrap_err();
    disk.hold(false);
}

#[tokio::test]
async fn a_backup_is_made_when_it_is_due_and_nothing_is_flashed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (mut runtime, mut queues, _handle) = runtime_over(store, dir.path(), Vec::new()).await;
    let made = |dir: &std::path::Path| dir.join("backups").exists();
    runtime.back_up();
    assert!(runtime.tasks.is_empty(), "the start has other things to do");
    runtime.backups.look_now();
    runtime.work.flashes.insert(UpdateId(1), CancellationToken::new());
    runtime.back_up();
    assert!(runtime.tasks.is_empty(), "a device is being flashed");
    runtime.work.flashes.clear();
    runtime.back_up();
    let report = queues.reports.recv().await.unwrap();
    runtime.take_report(report);
    assert!(made(dir.path()));
    assert_eq!(runtime.publisher.snapshot().status.store_warnings, []);
    // The next one can't be made, which is told until one can be.
    std::fs::remove_dir_all(dir.path().join("backups")).unwrap();
    std::fs::write(dir.path().join("backups"), "in the way").unwrap();
    for code in [Some("store.no_backup"), None] {
        runtime.backups.look_now();
        runtime.back_up();
        let report = queues.reports.recv().await.unwrap();
        runtime.take_report(report);
        let warnings = runtime.publisher.snapshot().status.store_warnings;
        assert_eq!(warnings.first().map(|problem| problem.code.as_str()), code);
        std::fs::remove_file(dir.path().join("backups")).unwrap_or_default();
    }
}
