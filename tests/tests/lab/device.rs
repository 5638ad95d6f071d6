//! The lab itself: what other tests rely on.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use wakeflash_tests::device::Device;
use wakeflash_tests::esphome::{Esphome, Firmware, firmware};
use wakeflash_tests::jsonl::JsonProcess;
use wakeflash_tests::lan::{Host, Lan};
use wakeflash_tests::supervisor::{DeviceOptions, LabDevice, Mdns, Wake};
use wakeflash_tests::yaml::DeviceYaml;

/// Set for this program when a test starts it as a helper.
const HELPER: &str = "WAKEFLASH_LAB_HELPER";

const SOON: Duration = Duration::from_secs(90);

fn yaml() -> DeviceYaml {
    DeviceYaml::new("sleepy").with_friendly_name("Sleepy")
}

async fn two_firmwares() -> Result<(Firmware, Firmware)> {
    let old = firmware(&yaml()).await?;
    let new = firmware(&yaml().with_friendly_name("Sleepy, but newer")).await?;
    ensure!(old.config_hash != new.config_hash, "the friendly name is part of the config hash");
    Ok((old, new))
}

struct Stage {
    lan: Lan,
    home: Host,
    device: LabDevice,
    device_host: Host,
    dir: TempDir,
}

async fn stage(firmware: &Firmware) -> Result<Option<Stage>> {
    let Some(mut lan) = Lan::or_skip().await? else { return Ok(None) };
    let dir = tempfile::tempdir()?;
    let (home, device_host) = (lan.host("home").await?, lan.host("sleepy").await?);
    let options = DeviceOptions::new("sleepy", &firmware.program, &dir.path().join("device"));
    let device = device_host.device(&options).await?;
    Ok(Some(Stage { lan, home, device, device_host, dir }))
}

/// A browser in another host: this test's own program, as [`browse`].
fn browser(host: &Host) -> Result<JsonProcess> {
    let mut command = host.command(std::env::current_exe()?);
    command.args(["--exact", "--nocapture", "device::browse"]).env(HELPER, "1");
    JsonProcess::spawn("browser", command)
}

/// No test: what runs in another host as the browser.
#[test]
fn browse() -> Result<()> {
    use mdns_sd::{ServiceDaemon, ServiceEvent};
    if std::env::var_os(HELPER).is_none() {
        return Ok(());
    }
    let daemon = ServiceDaemon::new()?;
    let events = daemon.browse("_esphomelib._tcp.local.")?;
    println!();
    while let Ok(event) = events.recv() {
        let line = if let ServiceEvent::ServiceResolved(service) = event {
            json!({
                "event": "resolved",
                "name": service.get_fullname(),
                "hash": service.get_property_val_str("config_hash"),
                "friendly_name": service.get_property_val_str("friendly_name"),
                "mac": service.get_property_val_str("mac"),
                "port": service.get_port(),
            })
        } else if let ServiceEvent::ServiceRemoved(_, name) = event {
            json!({"event": "removed", "name": name})
        } else {
            continue;
        };
        println!("{line}");
    }
    Ok(())
}

#[tokio::test]
async fn a_device_without_a_network_says_what_it_runs() -> Result<()> {
    let (old, _) = two_firmwares().await?;
    let dir = tempfile::tempdir()?;
    // Its own loopback is all it needs, so that its ports meet nobody else's.
    let Some(mut lan) = Lan::or_skip().await? else { return Ok(()) };
    let host = lan.host("alone").await?;
    let options = DeviceOptions::new("sleepy", &old.program, dir.path());
    let device = host.device(&options).await?;
    assert_eq!(device.running_hash().await?, None);
    assert_eq!(device.wake_fully().await?, old.config_hash);
    device.sleep(false).await?;
    let state = device.state().await?;
    assert_eq!((state.running, state.boots, state.running_hash), (false, 1, None));
    Ok(())
}

#[tokio::test]
async fn a_wake_is_resolved_and_a_goodbye_removes_it() -> Result<()> {
    let (old, _) = two_firmwares().await?;
    let Some(stage) = stage(&old).await? else { return Ok(()) };
    let browser = browser(&stage.home)?;
    stage.device.wake_fully().await?;
    let found = browser.wait_for("resolution", SOON, |line| line["event"] == "resolved").await?;
    assert_eq!(found["hash"], format!("{:08x}", old.config_hash));
    assert_eq!(found["mac"], stage.device_host.mac().replace(':', ""));
    assert_eq!(found["port"], 6053);
    assert_eq!(found["friendly_name"], "Sleepy");
    stage.device.sleep(true).await?;
    browser.wait_for("removal", SOON, |line| line["event"] == "removed").await?;
    Ok(())
}

#[tokio::test]
async fn esphome_flashes_it_and_the_announcement_follows() -> Result<()> {
    let (old, new) = two_firmwares().await?;
    let Some(stage) = stage(&old).await? else { return Ok(()) };
    let browser = browser(&stage.home)?;
    assert_eq!(stage.device.wake_fully().await?, old.config_hash);
    upload(&stage, &new).await?;
    let is_new =
        |state: &wakeflash_tests::device::DeviceState| state.running_hash == Some(new.config_hash);
    let state = stage.device.wait("new firmware", SOON, is_new).await?;
    assert_eq!((state.boots, state.ota_started, state.ota_done, state.ota_failed), (2, 1, 1, 0));
    let hash = json!(format!("{:08x}", new.config_hash));
    browser.wait_for("the new hash", SOON, |line| line["hash"] == hash).await?;
    // It is in its flash, not only in its memory.
    stage.device.sleep(true).await?;
    assert_eq!(stage.device.wake_fully().await?, new.config_hash);
    Ok(())
}

async fn upload(stage: &Stage, firmware: &Firmware) -> Result<()> {
    let esphome = Esphome::locate()?;
    let mut command = stage.home.command(esphome.program());
    command
        .args(["upload", "--device", &stage.device_host.address().to_string(), "--file"])
        .args([&firmware.program, &firmware.yaml_file])
        .env("PATH", esphome.search_path()?);
    let output = command.output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// Prints every packet to the mDNS group: time, whether it is an answer, counts, the last TTL.
const LISTEN: &str = r#"
import json, socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 5353))
member = socket.inet_aton("224.0.0.251") + socket.inet_aton(sys.argv[1])
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
s.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS: when it came, whenever this program gets to it
print("{}", flush=True)
while True:
    packet, ((_, _, came),), _, peer = s.recvmsg(9000, 100)
    seconds, nanoseconds = struct.unpack("qq", came)
    _, flags, questions, answers, authority, _ = struct.unpack(">6H", packet[:12])
    goodbye = answers > 0 and b"\0\x78" not in packet  # TTL 120 is in no goodbye
    print(json.dumps({"at": seconds + nanoseconds / 1e9, "answer": flags >> 15, "questions": questions,
        "answers": answers, "authority": authority, "goodbye": goodbye, "from": peer[0]}), flush=True)
"#;

#[tokio::test]
async fn it_probes_announces_and_takes_its_leave_in_time() -> Result<()> {
    let (old, _) = two_firmwares().await?;
    let Some(stage) = stage(&old).await? else { return Ok(()) };
    let mut command = stage.home.command("python3");
    command.args(["-c", LISTEN, &stage.home.address().to_string()]);
    let listener = JsonProcess::spawn("listener", command)?;
    listener.wait_for("readiness", SOON, |_| true).await?;
    stage.device.wake_fully().await?;
    let mut at = Vec::new();
    for number in 0..6 {
        let packet = listener.wait_for("packet", SOON, |_| true).await?;
        at.push(packet["at"].as_f64().context("no time")?);
        let counts = [&packet["answer"], &packet["questions"], &packet["answers"]];
        let expected = if number < 3 { [0, 2, 0] } else { [1, 0, 5] };
        assert_eq!(counts, expected.map(|count| json!(count)).each_ref(), "packet {number}");
        assert_eq!(packet["from"], stage.device_host.address().to_string());
        assert_eq!(packet["goodbye"], false);
    }
    // On a busy machine some are late, and the next one isn't.
    let gaps: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (probes, announcements) = gaps.split_at(3);
    assert!(probes.iter().sum::<f64>() > 0.5, "three pauses of 0.25 s: {gaps:?}");
    assert!(announcements.iter().sum::<f64>() > 1.5, "two pauses of 1 s: {gaps:?}");
    stage.device.sleep(true).await?;
    let goodbye = listener.wait_for("goodbye", SOON, |_| true).await?;
    assert_eq!(goodbye["goodbye"], true);
    Ok(())
}

/// Asks the device's port 5353 directly, as a resolver without mDNS would.
const ASK: &str = r#"
import socket, struct, sys
address, name = sys.argv[1], sys.argv[2]
query = struct.pack(">6H", 0x1234, 0, 1, 0, 0, 0)
query += b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0" + struct.pack(">2H", 16, 1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.3)
for attempt in range(100):  # nothing is answered while the device probes
    s.sendto(query, (address, 5353))
    try:
        reply, peer = s.recvfrom(9000)
        break
    except TimeoutError:
        pass
assert reply[:2] == b"\x12\x34" and peer[0] == address
print(reply.decode("latin-1"))
"#;

async fn ask(from: &Host, device: &Host) -> Result<String> {
    let name = "sleepy._esphomelib._tcp.local";
    python(from, &["-c", ASK, &device.address().to_string(), name]).await
}

/// Asks the device over its API who it is.
const WHO: &str = r#"
import socket, sys
s = socket.create_connection((sys.argv[1], 6053), timeout=60)
s.sendall(bytes([0, 0, 1, 0, 0, 9]))
said = b""
while b"2026" not in said or len(said) < 60:
    said += s.recv(500)
print(said.decode("latin-1"))
"#;

async fn python(host: &Host, arguments: &[&str]) -> Result<String> {
    let output = host.command("python3").args(arguments).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn a_legacy_unicast_question_is_answered_unless_silent() -> Result<()> {
    let (old, _) = two_firmwares().await?;
    let Some(stage) = stage(&old).await? else { return Ok(()) };
    for (mdns, answers) in [(Mdns::AnswersOnly, true), (Mdns::Silent, false)] {
        stage.device.wake(Wake { mdns, ..Wake::default() }).await?;
        stage.device.event("boot", SOON).await?;
        let hash = format!("config_hash={:08x}", old.config_hash);
        let answered =
            ask(&stage.home, &stage.device_host).await.is_ok_and(|answer| answer.contains(&hash));
        assert_eq!(answered, answers, "{mdns:?}");
        stage.device.sleep(false).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_device_behind_a_router_answers_no_mdns_and_says_its_own_mac_address() -> Result<()> {
    let (old, _) = two_firmwares().await?;
    let Some(mut lan) = Lan::or_skip().await? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (home, sensor) = (lan.host("home").await?, lan.host_elsewhere("sensor").await?);
    let neighbour = lan.host_elsewhere("neighbour").await?;
    let options = DeviceOptions::new("sleepy", &old.program, &dir.path().join("device"));
    let device = sensor.device(&options).await?;
    for _ in 0..2 {
        device.wake_fully().await?;
        assert!(ask(&neighbour, &sensor).await?.contains("config_hash"), "in its own network");
        ask(&home, &sensor).await.expect_err("it drops what comes from another network");
        let said = python(&home, &["-c", WHO, &sensor.address().to_string()]).await?;
        assert!(said.contains(&sensor.mac().to_uppercase()), "{said:?}");
        device.sleep(true).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_window_ends_by_itself() -> Result<()> {
    let (old, _) = two_firmwares().await?;
    let Some(stage) = stage(&old).await? else { return Ok(()) };
    stage.device.wake(Wake { for_ms: Some(1000), ..Wake::default() }).await?;
    let boot = stage.device.event("boot", SOON).await?;
    let asleep = stage.device.event("asleep", SOON).await?;
    let awake_us = asleep["at_us"].as_u64().zip(boot["at_us"].as_u64()).map(|(a, b)| a - b);
    let awake_us = awake_us.context("events have no time")?;
    assert!(awake_us >= 1_000_000, "awake for {awake_us} us");
    Ok(())
}

/// Opens a data phase (no password) and holds it: the device can't sleep until it is let go.
const HOLD: &str = r#"
import socket, sys
s = socket.create_connection((sys.argv[1], 13232), 60)
s.sendall(bytes.fromhex("6c26f75c45")); assert s.recv(2) == b"\0\2"
s.sendall(b"\0"); assert s.recv(1) == b"\x40"
assert s.recv(1) == b"\x41"
print("{}", flush=True)
sys.stdin.read()
"#;

#[tokio::test]
async fn a_data_phase_keeps_it_awake() -> Result<()> {
    let open = firmware(&yaml().with_password(None)).await?;
    let Some(stage) = stage(&open).await? else { return Ok(()) };
    stage.device.wake_fully().await?;
    let mut command = stage.home.command("python3");
    command.args(["-c", HOLD, &stage.device_host.address().to_string()]);
    let holder = JsonProcess::spawn("holder", command)?;
    holder.wait_for("data phase", SOON, |_| true).await?;
    let slept = stage.device.sleep(false);
    tokio::pin!(slept);
    let held = tokio::time::timeout(Duration::from_secs(2), &mut slept).await;
    assert!(held.is_err(), "slept in a data phase");
    holder.close_stdin().await;
    slept.await?;
    Ok(())
}

/// Begins an update (no password) and breaks it off.
const CUT: &str = r#"
import socket, sys
s = socket.create_connection((sys.argv[1], 13232), 60)
s.sendall(bytes.fromhex("6c26f75c45")); assert s.recv(2) == b"\0\2"
s.sendall(b"\0"); assert s.recv(1) == b"\x40"
assert s.recv(1) == b"\x41"
s.sendall(bytes([0, 0, 0x80, 0])); assert s.recv(1) == b"\x42"
s.sendall(b"0" * 32); assert s.recv(1) == b"\x43"
s.sendall(b"\x7fELF" * 100)
"#;

#[tokio::test]
async fn an_update_that_is_cut_is_counted_as_failed() -> Result<()> {
    let open = firmware(&yaml().with_password(None)).await?;
    let Some(stage) = stage(&open).await? else { return Ok(()) };
    stage.device.wake_fully().await?;
    let mut command = stage.home.command("python3");
    let output = command.args(["-c", CUT, &stage.device_host.address().to_string()]).output();
    let output = output.await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let state = stage.device.wait("failure", SOON, |state| state.ota_failed == 1).await?;
    assert_eq!((state.ota_sessions, state.ota_started, state.ota_done), (1, 1, 0));
    assert_eq!((state.running_hash, state.in_data_phase), (Some(open.config_hash), false));
    Ok(())
}

#[tokio::test]
async fn neither_many_wakes_nor_many_power_cuts_lead_to_safe_mode() -> Result<()> {
    let (old, _) = two_firmwares().await?;
    let Some(stage) = stage(&old).await? else { return Ok(()) };
    for wake in 0..24 {
        assert_eq!(stage.device.wake_fully().await?, old.config_hash, "wake {wake}");
        if wake < 12 { stage.device.sleep(false).await? } else { stage.device.power_cut().await? }
    }
    Ok(())
}

#[tokio::test]
async fn a_power_cut_and_another_address() -> Result<()> {
    let (old, _) = two_firmwares().await?;
    let Some(mut stage) = stage(&old).await? else { return Ok(()) };
    stage.device.wake_fully().await?;
    stage.device.power_cut().await?;
    assert!(!stage.device.state().await?.running);
    // Before the wake: a device that finds its address gone for a moment announces none.
    stage.device_host.set_address("10.77.0.77".parse()?).await?;
    stage.device.wake_fully().await?;
    assert!(ask(&stage.home, &stage.device_host).await?.contains("config_hash"));
    Ok(())
}

/// The processes that have this path in their command line.
fn processes_with(path: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let command = std::fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&*path.to_string_lossy()) {
            found.push(command);
        }
    }
    Ok(found)
}

#[tokio::test]
async fn nothing_remains_after_the_supervisor_is_killed() -> Result<()> {
    let (old, _) = two_firmwares().await?;
    let Some(stage) = stage(&old).await? else { return Ok(()) };
    stage.device.wake_fully().await?;
    // And whatever the supervisor is just starting: that has its command line until it is another program.
    assert!(processes_with(stage.dir.path())?.len() >= 2, "a supervisor and a device");
    stage.device.process().kill().await?;
    until_none(|| processes_with(stage.dir.path())).await?;
    drop(stage.lan);
    Ok(())
}

#[tokio::test]
async fn nothing_remains_after_the_test_is_killed() -> Result<()> {
    if Lan::or_skip().await?.is_none() {
        return Ok(());
    }
    let (old, _) = two_firmwares().await?;
    let dir = tempfile::tempdir()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "--nocapture", "device::be_killed"]).env(HELPER, "1");
    command.env("LAB_DIR", dir.path()).env("LAB_PROGRAM", &old.program);
    let victim = JsonProcess::spawn("victim", command)?;
    let ready = victim.wait_for("a running lab", SOON, |line| line["ready"] == true).await?;
    let namespace = ready["namespace"].as_str().context("no namespace")?.to_owned();
    assert!(processes_with(dir.path())?.len() >= 2, "a supervisor and a device");
    assert!(!processes_in(&namespace)?.is_empty());
    victim.kill().await?;
    until_none(|| processes_with(dir.path())).await?;
    until_none(|| processes_in(&namespace)).await
}

/// Waits until no process is found any more: what was killed takes a moment to be gone.
async fn until_none(found: impl Fn() -> Result<Vec<String>>) -> Result<()> {
    let give_up = tokio::time::Instant::now() + SOON;
    loop {
        let left = found()?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(tokio::time::Instant::now() < give_up, "they still run: {left:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn processes_in(namespace: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let link = std::fs::read_link(path.join("ns/net")).unwrap_or_default();
        if link.to_string_lossy() == namespace {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}

/// No test: the process that another test kills.
#[tokio::test]
async fn be_killed() -> Result<()> {
    if std::env::var_os(HELPER).is_none() {
        return Ok(());
    }
    let mut lan = Lan::new().await?;
    let host = lan.host("victim").await?;
    let dir = std::env::var("LAB_DIR")?;
    let program = std::env::var("LAB_PROGRAM")?;
    let options = DeviceOptions::new("sleepy", program.as_ref(), dir.as_ref());
    let device = host.device(&options).await?;
    device.wake_fully().await?;
    let namespace = host.command("readlink").arg("/proc/self/ns/net").output().await?;
    let namespace = String::from_utf8(namespace.stdout)?;
    println!("\n{}", json!({"ready": true, "namespace": namespace.trim()}));
    tokio::time::sleep(Duration::from_secs(60)).await;
    Ok(())
}

#[tokio::test]
async fn the_user_stays_the_same() -> Result<()> {
    let Some(mut lan) = Lan::or_skip().await? else { return Ok(()) };
    let host = lan.host("home").await?;
    let inside = host.command("id").arg("-u").output().await?;
    let outside = Command::new("id").arg("-u").output().await?;
    assert_eq!(inside.stdout, outside.stdout);
    Ok(())
}

#[tokio::test]
async fn deep_sleep_in_the_configuration_shows_in_what_the_compile_leaves() -> Result<()> {
    let sleepy = firmware(&yaml().with_deep_sleep(15, 30)).await?;
    let storage = sleepy.config_dir.join(".esphome/storage/sleepy.yaml.json");
    let storage: serde_json::Value = serde_json::from_slice(&std::fs::read(storage)?)?;
    let integrations = storage["loaded_integrations"].as_array().context("no integrations")?;
    assert!(integrations.contains(&json!("deep_sleep")));
    let validated = sleepy.config_dir.join(".esphome/storage/sleepy.yaml.validated.json");
    let validated = std::fs::read_to_string(validated)?;
    assert!(validated.contains("run_duration"), "{validated}");
    Ok(())
}

#[tokio::test]
async fn a_device_can_be_held_in_the_hand() -> Result<()> {
    // Without a supervisor: only where its ports are free of others, hence on ports of its own.
    let mut yaml = DeviceYaml::new("handheld");
    (yaml.ota_port, yaml.api_port) = (13_299, Some(16_099));
    let firmware = firmware(&yaml).await?;
    let dir = tempfile::tempdir()?;
    let (mut device, _events) = Device::new(dir.path(), &firmware.program, "02:77:00:00:00:2A")?;
    device.start().await?;
    let booted = device.wait("booted", SOON, |state| state.version.is_some()).await?;
    assert_eq!(booted.running_hash, Some(firmware.config_hash));
    device.power_off().await?;
    assert_eq!(device.running_hash(), None);
    Ok(())
}
