//! The loop with a real store, one step at a time.

use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use wakeflash_core::configuration::ConfigFile;
use wakeflash_core::update::{StateKind, Update};
use wakeflash_core::view::{Action, EsphomeStatus, Notification};

use super::assembly::{Queues, assemble};
use super::*;
use crate::configs::ConfigsEvent;
use crate::handle::Asked;
use crate::store::Commit;

struct Silent;

impl Shell for Silent {
    fn notify(&self, _: Notification) {}
}

pub(super) fn update(id: u32, name: &str, state: UpdateState) -> Update {
    // Built from JSON as a stored one is, so that fields that were added later have their defaults.
    let mut update: Update = serde_json::from_value(serde_json::json!({
        "id": id, "device": format!("{name}.yaml"), "name": name, "requested_at": 1,
        "known_hashes": [], "state": {"state": "queued"}, "timeline": [],
    }))
    .unwrap();
    update.state = state;
    update
}

pub(super) fn waiting(name: &str) -> UpdateState {
    serde_json::from_value(serde_json::json!({
        "state": "waiting", "retry_at": null,
        "delivery": {
            "build": {
                "image": "ab".repeat(32), "size": 1, "config_hash": null, "esphome_version": null,
                "built_at": 1, "name": name, "sources": [], "address": null, "deep_sleep": true,
                "mdns": true, "ota": {"port": 3232, "password": null, "encryption": "none"},
            },
            "tracking": "tracked", "password": "of_build", "attempts": 0, "device_errors": 0,
            "repeated_blindly": false, "last_attempt": null,
        },
    }))
    .unwrap()
}

/// The loop over a store with these updates, before anything has happened.
async fn runtime(dir: &Path, updates: Vec<Update>) -> (Runtime, Queues) {
    let (runtime, queues, _) = runtime_over(Store::open(dir).unwrap(), dir, updates).await;
    (runtime, queues)
}

pub(super) async fn runtime_over(
    mut store: Store,
    dir: &Path,
    updates: Vec<Update>,
) -> (Runtime, Queues, Handle) {
    store.commit(Commit { updates, ..Commit::default() }).await.unwrap();
    let loaded = store.load().unwrap();
    let options = EngineOptions { state_dir: dir.to_owned(), config_dir: None, esphome: None };
    let (mut runtime, queues, handle) = assemble(options, Arc::new(Silent), store, loaded);
    // Nothing here needs the network.
    runtime.cancel.cancel();
    runtime.cancel = CancellationToken::new();
    (runtime, queues, handle)
}

/// Waits for the commit that is under way, and for those that follow.
pub(super) async fn stored(runtime: &mut Runtime) {
    while runtime.store.is_storing() {
        let outcome = runtime.store.stored().await;
        runtime.committed(outcome);
    }
}

fn kind(runtime: &Runtime, id: u32) -> StateKind {
    runtime.conductor.state().update(UpdateId(id)).unwrap().state.kind()
}

#[tokio::test]
async fn what_waits_is_shown_at_a_start_without_a_config_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (mut runtime, _queues) = runtime(dir.path(), vec![update(1, "a", waiting("a"))]).await;
    runtime.recover();
    let shown = runtime.publisher.snapshot();
    assert_eq!(shown.devices.len(), 1);
    assert_eq!(shown.devices[0].id, DeviceId::of_file("a.yaml"));
    assert_eq!(shown.devices[0].primary, Action::Cancel);
    assert_eq!(shown.status.counts.waiting, 1);
}

#[tokio::test]
async fn while_an_outcome_cannot_be_stored_no_connection_is_used_and_no_image_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let building = UpdateState::Building { started_at: Timestamp::from_millis(1) };
    let updates = vec![update(1, "a", building), update(2, "b", waiting("b"))];
    let (mut runtime, mut queues) = runtime(dir.path(), updates).await;
    let image = runtime.artifacts.put(b"an image that nobody needs").unwrap();
    let image = dir.path().join("artifacts").join(&image.sha256.0);

    // Somebody else writes into the database and takes long.
    let other = rusqlite::Connection::open(dir.path().join("wakeflash.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let result = Err(Problem::new("test.problem", "It went wrong.").into());
    runtime.happened(Input::BuildEnded { update: UpdateId(1), result });
    stored(&mut runtime).await;
    assert_eq!(kind(&runtime, 1), StateKind::Building, "it isn't stored");
    assert!(runtime.publisher.snapshot().status.store.is_some());
    runtime.collect_garbage();
    assert!(image.exists(), "what is to be stored may need it");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut device, peer) = listener.accept().await.unwrap();
    let (update, name) = (UpdateId(2), "b".to_owned());
    let connected = WatchEvent::Connected { update, name, peer, stream };
    runtime.take_watch_event(connected);
    assert_eq!(kind(&runtime, 2), StateKind::Waiting);
    assert_eq!(device.read(&mut [0]).await.unwrap(), 0, "the connection is closed");

    other.execute_batch("ROLLBACK").unwrap();
    tokio::time::sleep(wakeflash_core::conductor::COMMIT_AGAIN).await;
    runtime.conduct(Event::Due);
    stored(&mut runtime).await;
    assert_eq!(kind(&runtime, 1), StateKind::Failed);
    assert_eq!(
        kind(&runtime, 2),
        StateKind::Waiting,
        "the connection isn't used afterwards either"
    );
    assert!(runtime.connections.is_empty() && !runtime.conductor.owes());
    assert_eq!(runtime.publisher.snapshot().status.store, None);
    runtime.collect_garbage();
    while image.exists() {
        let report = queues.reports.recv().await.unwrap();
        runtime.take_report(report);
    }
}

#[tokio::test]
async fn a_late_word_about_an_earlier_directory_or_search_is_not_heard() {
    let dir = tempfile::tempdir().unwrap();
    let (mut runtime, _queues) = runtime(dir.path(), Vec::new()).await;
    for config_dir in ["one", "two"] {
        let path = dir.path().join(config_dir);
        std::fs::create_dir(&path).unwrap();
        let mut settings = runtime.conductor.state().settings().clone();
        settings.config_dir = Some(path.to_string_lossy().into_owned());
        runtime.happened(Input::Settings(settings));
        stored(&mut runtime).await;
        runtime.find_esphome();
    }
    let scan = |name: &str| {
        let problem = Problem::new("test.problem", "It can't be read.");
        ConfigsEvent::Scanned(vec![ConfigFile {
            id: DeviceId::of_file(name),
            content: Err(problem),
            sources: Default::default(),
        }])
    };
    runtime.take_report(Report::Configs(2, scan("two.yaml")));
    runtime.take_report(Report::Configs(1, scan("one.yaml")));
    stored(&mut runtime).await;
    assert_eq!(runtime.conductor.state().rows(), [DeviceId::of_file("two.yaml")]);

    let ready = |path: &str| EsphomeStatus::Ready {
        path: path.into(),
        version: "2026.10.0".into(),
        problem: None,
    };
    runtime.take_report(Report::Located(2, ready("/two")));
    runtime.take_report(Report::Located(1, ready("/one")));
    assert_eq!(runtime.publisher.snapshot().status.esphome, ready("/two"));
}

#[tokio::test]
async fn a_change_of_some_settings_undoes_no_other_one_that_came_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut runtime, _queues) = runtime(dir.path(), Vec::new()).await;
    // The page knows nothing of the pause in the tray, nor of our own ESPHome that was just installed.
    let change = serde_json::from_str(r#"{"theme":"dark","maxBuilds":2}"#).unwrap();
    let (reply, _answer) = tokio::sync::oneshot::channel();
    runtime.take_request(Asked::SetPaused { paused: true, reply });
    let installed =
        EsphomeStatus::Ready { path: "/own".into(), version: "1".into(), problem: None };
    runtime.take_report(Report::InstallEnded(installed));
    let (reply, answer) = tokio::sync::oneshot::channel();
    runtime.take_request(Asked::ChangeSettings { change, reply });
    stored(&mut runtime).await;
    let answered = answer.await.unwrap().unwrap();
    let settings = runtime.conductor.state().settings();
    assert_eq!(answered, *settings);
    assert!(settings.paused && settings.own_esphome && settings.max_builds == 2, "{settings:?}");
    assert_eq!(runtime.store.load().unwrap().settings, *settings);
}

#[tokio::test]
async fn an_installed_esphome_is_chosen_once_that_can_be_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (mut runtime, _queues) = runtime(dir.path(), Vec::new()).await;
    let other = rusqlite::Connection::open(dir.path().join("wakeflash.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let installed =
        EsphomeStatus::Ready { path: "/own".into(), version: "1".into(), problem: None };
    runtime.take_report(Report::InstallEnded(installed.clone()));
    stored(&mut runtime).await;
    assert_eq!(runtime.publisher.snapshot().status.esphome, installed);
    assert!(!runtime.conductor.state().settings().own_esphome);
    other.execute_batch("ROLLBACK").unwrap();
    tokio::time::sleep(wakeflash_core::conductor::COMMIT_AGAIN).await;
    runtime.conduct(Event::Due);
    stored(&mut runtime).await;
    assert!(runtime.store.load().unwrap().settings.own_esphome);
}

#[tokio::test]
async fn the_image_of_what_waits_is_told_as_long_as_it_is_what_was_built() {
    let dir = tempfile::tempdir().unwrap();
    let image = Artifacts::new(dir.path()).put(b"firmware").unwrap();
    let mut waits = waiting("a");
    let UpdateState::Waiting { delivery, .. } = &mut waits else { panic!("{waits:?}") };
    delivery.build.image = image.sha256;
    let updates = vec![update(1, "a", waits), update(2, "b", UpdateState::Queued)];
    let (mut runtime, _queues) = runtime(dir.path(), updates).await;
    let ask = |runtime: &mut Runtime, file: &str| {
        let (reply, answer) = tokio::sync::oneshot::channel();
        runtime.take_request(Asked::BuiltImage { device: DeviceId::of_file(file), reply });
        answer
    };
    let found = ask(&mut runtime, "a.yaml").await.unwrap().unwrap();
    assert_eq!(found.name, "a.ota.bin");
    assert_eq!(std::fs::read(&found.path).unwrap(), b"firmware");
    std::fs::write(&found.path, b"Firmware").unwrap();
    let damaged = ask(&mut runtime, "a.yaml").await.unwrap().unwrap_err();
    assert_eq!(damaged.code, "artifact.damaged");
    for none in ["b.yaml", "c.yaml"] {
        assert_eq!(ask(&mut runtime, none).await.unwrap().unwrap_err().code, "update.none");
    }
}

#[tokio::test]
async fn clients_that_ask_without_end_leave_the_network_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (runtime, mut queues, handle) = runtime_over(store, dir.path(), Vec::new()).await;
    let (network, watched) = mpsc::channel(1);
    queues.watched = watched;
    let problem = Problem::new("network.watch", "The network can't be watched.");
    network.try_send(WatchEvent::Network(Some(problem))).unwrap();
    // All of them wait when the loop begins: it finds their queue empty only after the last one.
    let mut asked = JoinSet::new();
    for _ in 0..64 {
        let handle = handle.clone();
        asked.spawn(async move { handle.snapshot().await });
    }
    tokio::task::yield_now().await;
    let ends = runtime.cancel.clone();
    let answers = async move {
        let answers = asked.join_all().await;
        ends.cancel();
        answers
    };
    let (answers, ()) = tokio::join!(answers, runtime.run(queues));
    let before = answers.iter().filter(|it| it.as_ref().unwrap().status.network.is_none());
    let before = u32::try_from(before.count()).unwrap();
    assert!(before <= REQUESTS_IN_A_ROW, "{before} were answered before the network was heard");
}

#[tokio::test]
async fn a_build_that_waits_until_images_are_deleted_begins_once_and_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (mut runtime, _queues) = runtime(dir.path(), Vec::new()).await;
    runtime.work.collecting = true;
    let device = || DeviceId::of_file("sleepy.yaml");
    runtime.start_build(UpdateId(1), device());
    runtime.work.stop_build(UpdateId(1));
    assert!(runtime.work.builds_after.is_empty(), "it was stopped");
    runtime.start_build(UpdateId(1), device());
    runtime.start_build(UpdateId(1), device());
    assert_eq!(runtime.work.builds_after.len(), 1);
}
