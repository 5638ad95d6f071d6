//! The headless host as a service: any number of clients on its socket, and the commands that ask it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Long enough for anything on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// More than what the kernel and the ring of events keep for a client, told by so many changes.
const MANY: usize = 1_000;

fn program(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wakeflash-headless"));
    command.arg("--state").arg(state).stdin(Stdio::null()).env("RUST_LOG", "warn");
    command
}

/// A service in a directory of its own. It is killed when it is dropped.
struct Service {
    state: PathBuf,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let child = served(&state);
        Self { state, child, _dir: dir }
    }

    fn socket(&self) -> PathBuf {
        self.state.join("service/socket")
    }

    fn client(&self) -> Client {
        Client::new(UnixStream::connect(self.socket()).unwrap())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        program(&self.state).args(arguments).output().unwrap()
    }

    fn terminate(&mut self) -> ExitStatus {
        send(&self.child, rustix::process::Signal::TERM);
        ended(&mut self.child)
    }
}

/// Starts one and waits until it says, as systemd would hear it, that it serves clients.
fn served(state: &Path) -> Child {
    served_by(program(state))
}

fn served_by(mut program: Command) -> Child {
    let told = tempfile::tempdir().unwrap();
    let path = told.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let child = program.arg("serve").env("NOTIFY_SOCKET", &path).spawn().unwrap();
    let mut word = [0; 64];
    let length = socket.recv(&mut word).unwrap();
    assert_eq!(&word[..length], b"READY=1");
    child
}

/// The end of a pipe that is full, and whose other end nobody reads.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (unread, full) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&full, true).unwrap();
    while (&full).write(&[b'.'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&full, false).unwrap();
    (unread, full)
}

fn send(child: &Child, signal: rustix::process::Signal) {
    let id = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, signal).unwrap();
}

fn ended(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < SOON, "it still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A client on the socket.
struct Client {
    lines: BufReader<UnixStream>,
    asked: u64,
    /// The revisions of the events so far.
    revisions: Vec<u64>,
}

impl Client {
    fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut client = Self { lines: BufReader::new(stream), asked: 0, revisions: Vec::new() };
        let greeting = client.line().unwrap();
        assert_eq!(greeting["hello"], "wakeflash", "{greeting}");
        client
    }

    /// The next line; `None` when the service has closed.
    fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        if self.lines.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        let line: Value = serde_json::from_str(&line).unwrap();
        self.revisions.extend(line["revision"].as_u64());
        Some(line)
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.lines.get_mut(), "{line}").unwrap();
    }

    /// Asks; the whole reply.
    fn ask(&mut self, mut command: Value) -> Value {
        self.asked += 1;
        command["id"] = self.asked.into();
        self.tell(&command.to_string());
        loop {
            let line = self.line().expect("it has ended");
            if line["id"] == self.asked {
                return line;
            }
        }
    }

    fn pause(&mut self, paused: bool) {
        let reply = self.ask(json!({ "cmd": "set_paused", "paused": paused }));
        assert_eq!(reply["ok"], Value::Null, "{reply}");
        assert!(reply.get("error").is_none(), "{reply}");
    }

    fn snapshot(&mut self) -> Value {
        self.ask(json!({ "cmd": "snapshot" }))["ok"].take()
    }
}

fn have_a_gap(revisions: &[u64]) -> bool {
    revisions.windows(2).any(|pair| pair[1] != pair[0] + 1)
}

#[test]
fn two_clients_are_told_the_same_and_each_is_answered_alone() {
    let service = Service::start();
    let (mut one, mut other) = (service.client(), service.client());
    // Both ask with the same numbers.
    let (before, theirs) = (one.snapshot(), other.snapshot());
    assert_eq!(before["settings"], theirs["settings"]);
    one.pause(true);
    one.pause(false);
    let told = |client: &mut Client| {
        let mut paused = Vec::new();
        while paused != [true, false] {
            let line = client.line().unwrap();
            assert!(line.get("id").is_none(), "a reply to somebody else: {line}");
            if line["event"]["kind"] == "settings" {
                paused.push(line["event"]["settings"]["paused"].as_bool().unwrap());
            }
        }
        client.revisions.clone()
    };
    let theirs = told(&mut other);
    assert!(!have_a_gap(&theirs), "{theirs:?}");
    let last = one.snapshot()["revision"].as_u64().unwrap();
    assert!(theirs.last() <= Some(&last), "{theirs:?} {last}");
    assert!(!have_a_gap(&one.revisions), "{:?}", one.revisions);
}

#[test]
fn a_client_that_never_reads_slows_nobody_and_loses_what_is_not_kept_for_it() {
    let service = Service::start();
    let (mut slow, mut quick) = (service.client(), service.client());
    for turn in 0..MANY {
        quick.pause(turn % 2 == 0);
    }
    assert!(!have_a_gap(&quick.revisions), "the one that reads has lost something");
    assert!(quick.revisions.len() >= MANY, "{}", quick.revisions.len());
    // It is served all the same, and sees in the revisions that it must ask for a snapshot.
    slow.snapshot();
    quick.pause(true);
    while slow.line().unwrap()["event"]["settings"]["paused"] != true {}
    assert!(have_a_gap(&slow.revisions), "everything was kept for it");
}

#[test]
fn a_line_without_end_is_refused_and_costs_nothing() {
    let service = Service::start();
    let mut client = service.client();
    client.tell(&"x".repeat(1 << 20));
    let mut refusal = client.line().unwrap();
    while refusal.get("error").is_none() {
        refusal = client.line().unwrap();
    }
    assert_eq!(refusal["error"]["code"], "command.unreadable");
    assert_eq!(refusal["id"], Value::Null);
    assert!(client.snapshot()["revision"].is_number());
}

#[test]
fn so_many_clients_and_no_more() {
    let service = Service::start();
    let mut served: Vec<Client> = (0..64).map(|_| service.client()).collect();
    let mut too_many = service.client();
    let refusal = too_many.line().unwrap();
    assert_eq!(refusal["error"]["code"], "service.full");
    assert_eq!(too_many.line(), None);
    let refused = service.run(&["status"]);
    assert_eq!(refused.status.code(), Some(1));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("Too many programs"), "{words}");
    // Those that are there are served, and a place that is left is for the next.
    served[63].pause(true);
    drop(served.pop());
    let start = Instant::now();
    while service.run(&["status"]).status.code() != Some(0) {
        assert!(start.elapsed() < SOON, "the place stays taken");
    }
}

#[test]
fn nobody_else_can_reach_it() {
    let service = Service::start();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&service.socket()), 0o600);
    assert_eq!(mode(&service.state.join("service")), 0o700);
    assert_eq!(mode(&service.state), 0o700);
}

#[test]
fn a_socket_that_was_left_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let mut killed = served(&state);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = state.join("service/socket");
    assert!(left.exists());
    let nobody = program(&state).arg("status").output().unwrap();
    assert_eq!(nobody.status.code(), Some(3));
    let service = Service { child: served(&state), state, _dir: dir };
    assert!(service.client().snapshot()["revision"].is_number());
}

#[test]
fn what_is_no_socket_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("service/socket");
    std::fs::create_dir(dir.path().join("service")).unwrap();
    std::fs::write(&file, "mine").unwrap();
    let refused = program(dir.path()).arg("serve").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("is no socket"), "{words}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "mine");
}

#[test]
fn a_second_service_is_refused_in_words_and_takes_nothing_away() {
    let service = Service::start();
    let second = service.run(&["serve"]);
    assert_eq!(second.status.code(), Some(1));
    let words = String::from_utf8(second.stderr).unwrap();
    assert!(words.contains("Another copy of Wakeflash is running with the same data."), "{words}");
    assert!(service.client().snapshot()["revision"].is_number());
}

#[test]
fn a_signal_ends_it_and_takes_its_socket_away() {
    let mut service = Service::start();
    let mut client = service.client();
    client.snapshot();
    assert_eq!(service.terminate().code(), Some(0));
    while client.line().is_some() {}
    assert!(!service.socket().exists());
    let status = service.run(&["status"]);
    assert_eq!(status.status.code(), Some(3));
    let words = String::from_utf8(status.stderr).unwrap();
    assert!(words.contains("No service runs for"), "{words}");
    assert!(status.stdout.is_empty());
    // What it kept is free for the next one.
    service.child = served(&service.state);
    assert_eq!(service.run(&["status"]).status.code(), Some(0));
}

#[test]
fn a_client_can_end_it() {
    let mut service = Service::start();
    let mut client = service.client();
    assert_eq!(client.ask(json!({ "cmd": "shutdown" }))["ok"], Value::Null);
    assert_eq!(ended(&mut service.child).code(), Some(0));
}

#[test]
fn what_a_client_has_asked_is_done_though_it_has_gone() {
    let mut service = Service::start();
    let mut other = service.client();
    // It doesn't read as much as the greeting.
    let leave = |service: &Service, lines: &str| {
        let mut gone = UnixStream::connect(service.socket()).unwrap();
        gone.write_all(lines.as_bytes()).unwrap();
    };
    for paused in [true, false, true] {
        let pause = json!({ "cmd": "set_paused", "paused": paused });
        leave(&service, &format!("{}\n{pause}\n", json!({ "cmd": "list" })));
        while other.line().unwrap()["event"]["settings"]["paused"] != paused {}
    }
    leave(&service, "{\"cmd\":\"shutdown\"}\n");
    assert_eq!(ended(&mut service.child).code(), Some(0));
}

#[test]
fn attach_passes_the_protocol_on() {
    let mut service = Service::start();
    let attached = |service: &Service| {
        let mut command = program(&service.state);
        command.arg("attach").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut child = attached(&service);
    child.stdin.take().unwrap().write_all(b"{\"id\":7,\"cmd\":\"list\"}\n").unwrap();
    // Its input has ended: it is answered all the same, and ends.
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(r#"{"hello":"wakeflash""#), "{text}");
    assert!(text.contains(r#"{"id":7,"ok":["#), "{text}");

    let mut child = attached(&service);
    let input = child.stdin.take();
    let mut greeting = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut greeting).unwrap();
    assert_eq!(service.terminate().code(), Some(0));
    // The service is gone while its input is open.
    let gone = child.wait_with_output().unwrap();
    drop(input);
    assert_eq!(gone.status.code(), Some(3));
    assert!(
        String::from_utf8(gone.stderr).unwrap().contains("The service has closed the connection.")
    );

    let nobody = service.run(&["attach"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("No service runs for"));
}

#[test]
fn the_command_line_asks_it() {
    let service = Service::start();
    let said = |arguments: &[&str]| {
        let Output { status, stdout, stderr } = service.run(arguments);
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    };
    let (code, text, words) = said(&["status"]);
    assert_eq!((code, words.as_str()), (Some(0), ""));
    assert!(text.starts_with("Wakeflash: No updates waiting\n"), "{text}");
    assert!(text.contains("config-dir DIR"), "{text}");

    let silent = (Some(0), String::new(), String::new());
    assert_eq!(said(&["pause"]), silent);
    assert!(said(&["status"]).1.starts_with("Wakeflash: Paused: "));
    assert_eq!(said(&["resume"]), silent);
    let config = service.state.join("configurations");
    std::fs::create_dir(&config).unwrap();
    assert_eq!(said(&["config-dir", config.to_str().unwrap()]), silent);
    let (_, json, _) = said(&["status", "--json"]);
    let snapshot: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(snapshot["settings"]["configDir"], config.to_str().unwrap());
    assert_eq!(snapshot["settings"]["paused"], false);

    std::fs::write(config.join("garden.yaml"), "esphome:\n  name: garden\nhost:\n").unwrap();
    let start = Instant::now();
    while !said(&["list"]).1.contains("garden (garden.yaml)") {
        assert!(start.elapsed() < SOON, "{:?}", said(&["list"]));
        std::thread::sleep(Duration::from_millis(50));
    }
    let program = config.join("esphome");
    assert_eq!(said(&["esphome", program.to_str().unwrap()]), silent);
    assert!(said(&["status", "--json"]).1.contains(r#""ownEsphome":false"#));

    for command in ["install", "cancel", "retry", "rebuild", "dismiss", "flash-anyway", "log"] {
        let (code, text, words) = said(&[command, "nobody.yaml"]);
        if command == "log" {
            assert_eq!((code, text.as_str()), (Some(1), ""), "{words}");
            continue;
        }
        assert_eq!((code, text.as_str()), (Some(1), ""), "{command}");
        assert!(words.starts_with("wakeflash-headless: nobody.yaml: "), "{command}: {words}");
        assert!(words.len() > "wakeflash-headless: nobody.yaml: ".len() + 10, "{command}: {words}");
    }
    for wrong in
        [&["install"][..], &["explode"], &["--detached", "status"], &["--config", "/", "pause"]]
    {
        let (code, _, words) = said(wrong);
        assert_eq!(code, Some(2), "{wrong:?}");
        assert!(words.contains("error: "), "{words}");
    }
}

#[test]
fn a_service_of_another_version_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("service")).unwrap();
    let listener = UnixListener::bind(dir.path().join("service/socket")).unwrap();
    let other = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let written =
            writeln!(client, r#"{{"hello":"wakeflash","protocol":99,"version":"9.0.0"}}"#);
        // It may have gone by then.
        assert!(written.is_ok() || written.unwrap_err().kind() == ErrorKind::BrokenPipe);
    });
    let refused = program(dir.path()).arg("pause").output().unwrap();
    other.join().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("Wakeflash 9.0.0") && words.contains("version 99"), "{words}");
}

#[test]
fn it_completes_and_explains_itself() {
    let said = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_wakeflash-headless")).args(arguments).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(said(&["completions", shell]).contains("flash-anyway"), "{shell}");
    }
    let page = said(&["man"]);
    assert!(page.contains(".TH wakeflash-headless 1") && page.contains("flash\\-anyway"), "{page}");
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (_unread, full) = full_pipe();
    let mut command = program(&state);
    command.env("RUST_LOG", "trace").stderr(full);
    let child = served_by(command);
    let mut service = Service { state, child, _dir: dir };
    let answer = service.run(&["status", "--json"]);
    assert!(answer.status.success(), "{answer:?}");
    assert!(service.terminate().success());
}
