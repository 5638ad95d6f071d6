//! The headless host as a process: it ends when it is told to.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(90);

fn spawn(state: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_wakeflash-headless"))
        .arg("--state")
        .arg(state)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Starts it and waits for its reply to a first command, so that it surely listens.
fn start(state: &Path, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = spawn(state, arguments);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    ask(&mut child, &mut output, r#"{"id":1,"cmd":"snapshot"}"#);
    (child, output)
}

fn ask(child: &mut Child, output: &mut impl std::io::BufRead, command: &str) -> String {
    writeln!(child.stdin.as_mut().unwrap(), "{command}").unwrap();
    let mut line = String::new();
    while !line.starts_with(r#"{"id""#) {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "it has ended");
    }
    line
}

fn send(child: &Child, signal: rustix::process::Signal) {
    let id = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, signal).unwrap();
}

fn ended_within(child: &mut Child, limit: Duration) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it still ran after {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_greets_first_and_refuses_a_client_of_another_version() {
    let state = tempfile::tempdir().unwrap();
    let mut child = spawn(state.path(), &[]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let greeting: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(greeting["hello"], "wakeflash");
    assert_eq!(greeting["version"], env!("CARGO_PKG_VERSION"));
    let own = greeting["protocol"].as_u64().unwrap();
    let mut hello = |protocol| {
        let command = serde_json::json!({ "id": 1, "cmd": "hello", "protocol": protocol });
        let reply = ask(&mut child, &mut output, &command.to_string());
        serde_json::from_str::<serde_json::Value>(&reply).unwrap()
    };
    assert_eq!(hello(own)["ok"], greeting);
    assert_eq!(hello(own + 1)["error"]["code"], "protocol.version");
    drop(child.stdin.take());
    assert_eq!(ended_within(&mut child, SOON).code(), Some(0));
}

#[test]
fn a_signal_ends_it_while_its_input_is_open() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let state = tempfile::tempdir().unwrap();
        let (mut child, _output) = start(state.path(), &["--detached"]);
        send(&child, signal);
        let status = ended_within(&mut child, SOON);
        assert_eq!(status.code(), Some(0), "{signal:?}");
    }
}

#[test]
fn it_ends_when_nobody_reads_its_output() {
    let state = tempfile::tempdir().unwrap();
    let (mut child, output) = start(state.path(), &[]);
    drop(output);
    writeln!(child.stdin.as_mut().unwrap(), r#"{{"id":2,"cmd":"snapshot"}}"#).unwrap();
    let status = ended_within(&mut child, SOON);
    assert_eq!(status.code(), Some(1));
    // The queue is free for the next one.
    let (mut next, _output) = start(state.path(), &[]);
    drop(next.stdin.take());
    assert_eq!(ended_within(&mut next, SOON).code(), Some(0));
}

#[test]
fn what_the_command_line_says_is_used_and_not_stored() {
    let state = tempfile::tempdir().unwrap();
    let config = tempfile::tempdir().unwrap();
    let given = config.path().to_str().unwrap();
    let (mut child, mut output) = start(state.path(), &["--config", given]);
    let snapshot = ask(&mut child, &mut output, r#"{"id":2,"cmd":"snapshot"}"#);
    let mut settings: serde_json::Value = serde_json::from_str(&snapshot).unwrap();
    let mut settings = settings["ok"]["settings"].take();
    assert_eq!(settings["configDir"], given);
    settings["maxBuilds"] = 3.into();
    let command = serde_json::json!({ "id": 3, "cmd": "set_settings", "settings": settings });
    let reply = ask(&mut child, &mut output, &command.to_string());
    assert!(reply.contains("\"ok\""), "{reply}");
    drop(child.stdin.take());
    assert_eq!(ended_within(&mut child, SOON).code(), Some(0));

    let (mut child, mut output) = start(state.path(), &[]);
    let snapshot = ask(&mut child, &mut output, r#"{"id":2,"cmd":"snapshot"}"#);
    let snapshot: serde_json::Value = serde_json::from_str(&snapshot).unwrap();
    let settings = &snapshot["ok"]["settings"];
    assert_eq!(settings["maxBuilds"], 3);
    assert_eq!(settings["configDir"], serde_json::Value::Null);
    drop(child.stdin.take());
    ended_within(&mut child, SOON);
}
