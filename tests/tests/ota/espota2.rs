//! ESPHome's own uploader against the scripted device, so that the device is known to be right.

use std::process::Output;

use tokio::process::Command;
use wakeflash_tests::esphome::Esphome;
use wakeflash_tests::peer::{Auth, Fault, Features, Peer, Report, Script, Stage};

const UPLOAD: &str = "
import sys, logging
from pathlib import Path
from esphome import espota2
logging.basicConfig(level=logging.INFO)
key = sys.argv[4] if len(sys.argv) > 4 else None
code, _ = espota2.run_ota('127.0.0.1', int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), noise_psk=key)
sys.exit(code)
";

fn firmware() -> Vec<u8> {
    (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> (8 + i % 16)) as u8).collect()
}

async fn upload(script: Script, password: &str) -> (Output, Report) {
    upload_with(script, password, None).await
}

async fn upload_with(script: Script, password: &str, key: Option<&str>) -> (Output, Report) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("firmware.bin");
    std::fs::write(&file, firmware()).unwrap();
    let peer = Peer::start(script).await.unwrap();
    let port = peer.address().port().to_string();
    let output = Command::new(Esphome::locate().unwrap().python().unwrap())
        .args(["-c", UPLOAD, &port, password])
        .arg(&file)
        .args(key)
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

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const OTHER_KEY: &str = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q=";

#[tokio::test]
async fn the_reference_uploader_installs_encrypted_on_a_scripted_device() {
    let key = || Some(KEY.to_owned());
    for (version, features) in [(2, Features::DEFLATE), (2, Features::RAW), (1, Features::GZIP)] {
        let script =
            Script { version, features, key: key(), requires_key: true, ..Script::default() };
        let (output, seen) = upload_with(script, "", Some(KEY)).await;
        assert!(output.status.success(), "{version} {features:?}: {output:?}");
        assert!(seen.encrypted && seen.goodbye);
        assert!(seen.image.as_deref() == Some(&firmware()[..]), "{features:?}");
    }
}

#[tokio::test]
async fn the_reference_uploader_understands_how_a_scripted_device_refuses_it() {
    let device = || Script { key: Some(KEY.to_owned()), requires_key: true, ..Script::default() };
    let (output, seen) = upload_with(device(), "", Some(OTHER_KEY)).await;
    assert!(!output.status.success() && !seen.encrypted);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is the OTA encryption key correct"));

    let (output, _) = upload(device(), "hunter2").await;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("requires an encrypted OTA connection"), "{said}");
}
