//! Updates by HTTP: the real `esphome upload` as a child process, against a scripted web server.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::DeviceId;
use wakeflash_core::view::Progress;
use wakeflash_engine::flasher::{UPLOAD_LIMITS, UploadEnd, UploadRequest, upload};
use wakeflash_esphome::upload::UploadFailure;
use wakeflash_ota::FailureClass;
use wakeflash_tests::esphome::Esphome;
use wakeflash_tests::peer::{LiveReport, Report, WebFault, WebPeer, WebScript};
use wakeflash_tests::yaml::DeviceYaml;

/// Basic authentication with `admin` and `hunter2`.
const LOGIN: &str = "Basic YWRtaW46aHVudGVyMg==";

fn firmware() -> Vec<u8> {
    (0..700_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// More than fits into the buffers of this machine's network: what was handed to them has left the client.
fn large_firmware() -> Vec<u8> {
    firmware().repeat(24)
}

/// A config directory, and an image that lies elsewhere.
struct Scene {
    directory: TempDir,
    request: UploadRequest,
}

impl Scene {
    fn new(port: u16, password: &str, firmware: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config_dir = directory.path().join("config");
        let mut yaml = DeviceYaml::new("webby").with_web_server(port);
        yaml.api_port = None;
        // Anything that is merged into the block above.
        yaml.extra = format!(
            "packages:\n  login:\n    web_server:\n      auth:\n        username: admin\n        password: {password}\n"
        );
        yaml.write_to(&config_dir, "webby.yaml").unwrap();
        let image = directory.path().join("image");
        std::fs::write(&image, firmware).unwrap();
        let request = UploadRequest {
            esphome: Esphome::locate().unwrap().program().to_path_buf(),
            config_dir,
            device: DeviceId::of_file("webby.yaml"),
            peer: "127.0.0.1".parse().unwrap(),
            image,
            marker: directory.path().display().to_string(),
            limits: UPLOAD_LIMITS,
        };
        Self { directory, request }
    }

    /// Processes of the upload that run.
    fn processes(&self) -> Vec<PathBuf> {
        let mark = format!("WAKEFLASH_BUILD={}", self.directory.path().display());
        let of_it = |path: &PathBuf| {
            std::fs::read(path.join("environ"))
                .is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == mark.as_bytes()))
        };
        let all = std::fs::read_dir("/proc").unwrap();
        all.map(|entry| entry.unwrap().path()).filter(of_it).collect()
    }
}

struct Uploaded {
    result: Result<(), UploadEnd>,
    seen: Report,
    progress: Option<Progress>,
}

impl Uploaded {
    fn failure(&self) -> &UploadFailure {
        match &self.result {
            Err(UploadEnd::Failed(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }
}

async fn uploaded(fault: WebFault, password: &str, firmware: &[u8]) -> Uploaded {
    let script = WebScript { authorization: Some(LOGIN.to_owned()), fault };
    let mut peer = WebPeer::start(script).await.unwrap();
    let scene = Scene::new(peer.address().port(), password, firmware);
    let (progress, shown) = watch::channel(None);
    let upload = upload(&scene.request, &progress, CancellationToken::new());
    let result = tokio::time::timeout(Duration::from_secs(300), upload).await.unwrap();
    let report = peer.client().await.unwrap();
    until_gone(&scene).await;
    let progress = shown.borrow().clone();
    Uploaded { result, seen: report.now(), progress }
}

#[tokio::test]
async fn an_image_arrives_as_it_is_stored() {
    let uploaded = uploaded(WebFault::None, "hunter2", &firmware()).await;
    assert_eq!(uploaded.result, Ok(()));
    assert!(uploaded.seen.image == Some(firmware()));
    assert_eq!(uploaded.progress.unwrap().percent, Some(100));
}

#[tokio::test]
async fn what_the_device_refuses_has_surely_failed() {
    let cases = [
        (WebFault::Refuse, "hunter2", FailureClass::NextWake, "web_server.refused"),
        (WebFault::Status(500), "hunter2", FailureClass::NextWake, "web_server.http"),
        (WebFault::None, "another", FailureClass::Permanent, "web_server.auth"),
    ];
    for (fault, password, class, code) in cases {
        let uploaded = uploaded(fault, password, &firmware()).await;
        let failure = uploaded.failure();
        assert_eq!((failure.class, failure.problem.code.as_str()), (class, code));
        assert!(uploaded.seen.image.is_none(), "{code}");
        println!("{}", failure.problem);
    }
}

#[tokio::test]
async fn a_cut_after_the_last_byte_leaves_the_outcome_unknown_and_an_earlier_one_does_not() {
    let late = uploaded(WebFault::CloseAtEnd, "hunter2", &firmware()).await;
    assert_eq!(late.failure().class, FailureClass::OutcomeUnknown, "{:?}", late.failure());
    assert_eq!(late.seen.wire.len(), firmware().len());
    let early = uploaded(WebFault::CloseAfter(50_000), "hunter2", &large_firmware()).await;
    assert_eq!(early.failure().class, FailureClass::RetryNow, "{:?}", early.failure());
    assert!(early.seen.wire.len() < large_firmware().len());
}

#[tokio::test]
async fn nobody_there_is_a_reason_to_try_again() {
    // A port that was free a moment ago.
    let port = WebPeer::start(WebScript::default()).await.unwrap().address().port();
    let scene = Scene::new(port, "hunter2", &firmware());
    let progress = watch::Sender::new(None);
    let result = upload(&scene.request, &progress, CancellationToken::new()).await;
    let Err(UploadEnd::Failed(failure)) = result else { panic!("{result:?}") };
    assert_eq!(
        (failure.class, failure.problem.code.as_str()),
        (FailureClass::RetryNow, "web_server.unreachable")
    );
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_sends_nothing() {
    let peer = WebPeer::start(WebScript::default()).await.unwrap();
    let scene = Scene::new(peer.address().port(), "hunter2", &firmware());
    std::fs::write(scene.request.config_dir.join("webby.yaml"), "esphome: [").unwrap();
    let progress = watch::Sender::new(None);
    let result = upload(&scene.request, &progress, CancellationToken::new()).await;
    let Err(UploadEnd::Failed(failure)) = result else { panic!("{result:?}") };
    assert_eq!(
        (failure.class, failure.problem.code.as_str()),
        (FailureClass::NextWake, "web_server.not_begun")
    );
}

/// Waits until nothing of an upload runs any more: what was killed takes a moment to be gone.
async fn until_gone(scene: &Scene) {
    let waiting = async {
        while !scene.processes().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), waiting).await.unwrap();
}

/// Waits until this much of the image has come.
async fn came(report: &LiveReport, bytes: usize) {
    let waiting = async {
        while report.now().wire.len() < bytes {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), waiting).await.unwrap();
}

async fn stalled() -> (WebPeer, Scene) {
    let script = WebScript { authorization: None, fault: WebFault::StallAfter(50_000) };
    let peer = WebPeer::start(script).await.unwrap();
    let scene = Scene::new(peer.address().port(), "hunter2", &large_firmware());
    (peer, scene)
}

#[tokio::test]
async fn a_cancel_ends_the_process_in_the_middle_of_the_upload() {
    let (mut peer, scene) = stalled().await;
    let (cancel, progress) = (CancellationToken::new(), watch::Sender::new(None));
    let trigger = async {
        let report = peer.client().await.unwrap();
        came(&report, 50_000).await;
        assert!(!scene.processes().is_empty());
        cancel.cancel();
    };
    let upload = upload(&scene.request, &progress, cancel.clone());
    let (result, ()) = tokio::join!(upload, trigger);
    assert_eq!(result, Err(UploadEnd::Cancelled));
    until_gone(&scene).await;
}

#[tokio::test]
async fn an_upload_that_comes_to_a_halt_is_ended() {
    let (mut peer, mut scene) = stalled().await;
    // Longer than a busy machine takes to begin.
    scene.request.limits.silence = Duration::from_secs(30);
    let progress = watch::Sender::new(None);
    let result = upload(&scene.request, &progress, CancellationToken::new()).await;
    let Err(UploadEnd::Failed(failure)) = result else { panic!("{result:?}") };
    assert_eq!(failure.class, FailureClass::RetryNow, "{failure:?}");
    came(&peer.client().await.unwrap(), 50_000).await;
    until_gone(&scene).await;
}
