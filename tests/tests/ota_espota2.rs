//! ESPHome's own uploader against the scripted device, so that the device is known to be right.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::path::PathBuf;
use std::process::Output;

use tokio::process::Command;
use wakeflash_tests::esphome::Esphome;
use wakeflash_tests::peer::{Auth, Fault, Features, Peer, Report, Script, Stage};

const UPLOAD: &str = "
import sys, logging
from pathlib import Path
from esphome import espota2
logging.basicConfig(level=logging.INFO)
code, _ = espota2.run_ota('127.0.0.1', int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
sys.exit(code)
";

/// The Python that lies beside ESPHome.
fn python() -> PathBuf {
    let python = Esphome::locate().unwrap().program().with_file_name("python");
    assert!(python.is_file(), "no python beside ESPHome: {}", python.display());
    python
}

fn firmware() -> Vec<u8> {
    (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> (8 + i % 16)) as u8).collect()
}

async fn upload(script: Script, password: &str) -> (Output, Report) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("firmware.bin");
    std::fs::write(&file, firmware()).unwrap();
    let peer = Peer::start(script).await.unwrap();
    let port = peer.address().port().to_string();
    let output = Command::new(python())
        .args(["-c", UPLOAD, &port, password])
        .arg(&file)
        .output()
        .await
        .unwrap();
    (output, peer.finish().await.unwrap())
}

#[tokio::test]
async fn the_reference_uploader_installs_on_every_kind_of_scripted_device() {
    let cases = [
        (2, Auth::Sha256, Features::DEFLATE),
        (2, Auth::Md5, Features::GZIP),
        (2, Auth::None, Features::RAW),
        (1, Auth::Md5, Features::Legacy { gzip: true }),
        (1, Auth::Sha256, Features::Legacy { gzip: false }),
    ];
    for (version, auth, features) in cases {
        let script = Script { version, auth, features, ..Script::default() };
        let (output, seen) = upload(script, "hunter2").await;
        assert!(output.status.success(), "{version} {auth:?} {features:?}: {output:?}");
        assert!(seen.image.as_deref() == Some(&firmware()[..]), "{features:?}");
        assert!(seen.goodbye);
    }
}

#[tokio::test]
async fn the_reference_uploader_understands_the_errors_of_a_scripted_device() {
    let (output, _) = upload(Script::default(), "wrong").await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("password correct"), "{output:?}");

    let script = Script::default().fault(Stage::Prepare, Fault::Error(0x89));
    let (output, _) = upload(script, "hunter2").await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("too small"), "{output:?}");
}
