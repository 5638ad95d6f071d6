//! A scripted device on the LAN: it announces itself as a real one does, and its OTA port is played by
//! [`crate::peer`]. For what no real device on this machine can be made to do.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;

use crate::announcer::{Announcer, Identity, Voice};
use crate::esphome::Firmware;
use crate::jsonl::JsonProcess;
use crate::lan::Host;
use crate::paths;
use crate::peer::{self, LiveReport, Script, WebScript};

/// A device as `wakeflash-lab scripted` takes it.
#[derive(Clone, Debug, clap::Args)]
pub struct ScriptedOptions {
    #[arg(long)]
    name: String,
    /// Its address; it announces nothing before it is told to.
    #[arg(long)]
    address: Ipv4Addr,
    /// Its hardware address.
    #[arg(long)]
    mac: String,
    /// The ESPHome version that it announces.
    #[arg(long)]
    version: String,
    /// Its OTA port.
    #[arg(long)]
    port: u16,
    /// That port is the one of its web server.
    #[arg(long)]
    web: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
enum Command {
    /// How the next sessions go.
    Script { script: Script },
    /// How its web server takes uploads from now on.
    Web { script: WebScript },
    /// Announce oneself, with a config hash or without.
    Announce { hash: Option<u32> },
    /// Say goodbye.
    Goodbye,
    /// What happened.
    Status,
}

/// What the device has seen of one client.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SessionReport {
    /// Bytes of the image that came over the wire.
    pub wire_bytes: usize,
    /// Whether the client has answered the password challenge.
    pub answered: bool,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// Whether the client announced the size of an image.
    pub prepared: bool,
    /// The MD5 of the image that arrived as a whole and was right.
    pub image_md5: Option<String>,
    /// Whether the fault of the script was reached.
    pub faulted: bool,
    /// Why the session ended before its end.
    pub ended: Option<String>,
}

#[derive(Default)]
struct Shared {
    script: Script,
    web: WebScript,
    sessions: Vec<LiveReport>,
    announcer: Option<Arc<Announcer>>,
}

impl Shared {
    /// Who has taken an image restarts, and says nothing before it is told to. The old firmware's words would be taken
    /// for those of the new one after a while.
    fn ended(&mut self, report: &LiveReport) {
        if report.now().image.is_some() {
            self.announcer = None;
        }
    }
}

type State = Arc<Mutex<Shared>>;

/// Runs a scripted device until stdin ends.
///
/// # Errors
/// When its port can't be opened.
pub async fn run(options: ScriptedOptions) -> Result<()> {
    let state = State::default();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, options.port)).await?;
    let (shared, web) = (Arc::clone(&state), options.web);
    let serving = async {
        if web { serve_web(listener, shared).await } else { serve(listener, shared).await }
    };
    tokio::select! {
        ended = serving => ended,
        ended = obey(options, state) => ended,
    }
}

/// One client after the other, as a device does.
async fn serve(listener: TcpListener, state: State) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let report = LiveReport::default();
        let script = {
            let mut shared = state.lock().unwrap_or_else(PoisonError::into_inner);
            shared.sessions.push(report.clone());
            shared.script.clone()
        };
        let reset = script.faults.iter().any(|(_, fault)| *fault == peer::Fault::Reset);
        if reset {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
        peer::play(stream, script, report.clone()).await;
        state.lock().unwrap_or_else(PoisonError::into_inner).ended(&report);
    }
}

/// Any number of clients at once, as a web server does.
async fn serve_web(listener: TcpListener, state: State) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let report = LiveReport::default();
        let script = {
            let mut shared = state.lock().unwrap_or_else(PoisonError::into_inner);
            shared.sessions.push(report.clone());
            shared.web.clone()
        };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            peer::play_web(stream, &script, &report).await;
            state.lock().unwrap_or_else(PoisonError::into_inner).ended(&report);
        });
    }
}

async fn obey(options: ScriptedOptions, state: State) -> Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let mut line: Value = serde_json::from_str(&line)?;
        let id = line["id"].take();
        let mut reply = Value::Null;
        match serde_json::from_value(line)? {
            Command::Script { script } => {
                state.lock().unwrap_or_else(PoisonError::into_inner).script = script;
            }
            Command::Web { script } => {
                state.lock().unwrap_or_else(PoisonError::into_inner).web = script;
            }
            Command::Announce { hash } => {
                let identity = identity(&options, hash);
                let announcer =
                    state.lock().unwrap_or_else(PoisonError::into_inner).announcer.clone();
                match announcer {
                    Some(announcer) => announcer.become_identity(identity).await,
                    None => {
                        let announcer = Some(Arc::new(Announcer::start(identity, Voice::Full)?));
                        state.lock().unwrap_or_else(PoisonError::into_inner).announcer = announcer;
                    }
                }
            }
            Command::Goodbye => {
                let announcer =
                    state.lock().unwrap_or_else(PoisonError::into_inner).announcer.take();
                if let Some(announcer) = announcer {
                    announcer.goodbye().await;
                }
            }
            Command::Status => {
                let shared = state.lock().unwrap_or_else(PoisonError::into_inner);
                let sessions: Vec<_> = shared.sessions.iter().map(summary).collect();
                reply = serde_json::to_value(sessions)?;
            }
        }
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{}", json!({"id": id, "ok": reply}))?;
        stdout.flush()?;
    }
    Ok(())
}

fn identity(options: &ScriptedOptions, config_hash: Option<u32>) -> Identity {
    Identity {
        only_name: false,
        name: options.name.clone(),
        friendly_name: None,
        mac: options.mac.replace(':', ""),
        version: options.version.clone(),
        config_hash,
        api_port: Some(6053),
        address: Some(options.address),
        ipv6: None,
    }
}

fn summary(report: &LiveReport) -> SessionReport {
    let report = report.now();
    SessionReport {
        wire_bytes: report.wire.len(),
        answered: report.answered,
        encrypted: report.encrypted,
        prepared: report.wire_size.is_some(),
        image_md5: report.image.is_some().then_some(report.md5).flatten(),
        faulted: report.faulted,
        ended: report.ended,
    }
}

/// A scripted device in a host of the LAN. It ends when dropped.
pub struct ScriptedDevice {
    process: JsonProcess,
}

impl ScriptedDevice {
    /// Starts `wakeflash-lab scripted` in a host, with the name and the version of a real firmware. It does
    /// everything right and announces nothing before it is told otherwise.
    ///
    /// # Errors
    /// When it has not been built or doesn't start.
    pub async fn start(host: &Host, name: &str, port: u16, firmware: &Firmware) -> Result<Self> {
        Self::spawn(host, name, port, firmware, &[]).await
    }

    /// The same, where the port is the one of a web server.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_web(
        host: &Host,
        name: &str,
        port: u16,
        firmware: &Firmware,
    ) -> Result<Self> {
        Self::spawn(host, name, port, firmware, &["--web"]).await
    }

    async fn spawn(
        host: &Host,
        name: &str,
        port: u16,
        firmware: &Firmware,
        more: &[&str],
    ) -> Result<Self> {
        let program: PathBuf = paths::binary("wakeflash-lab")?;
        let mut command = host.admin(program);
        command.args(["scripted", "--name", name, "--mac", host.mac()]);
        command.args(["--address", &host.address().to_string(), "--port", &port.to_string()]);
        command.args(["--version", &firmware.esphome_version]).args(more).stderr(Stdio::inherit());
        let process = JsonProcess::spawn(name, command)?;
        let device = Self { process };
        device.sessions().await?;
        Ok(device)
    }

    async fn tell(&self, command: &Command) -> Result<Value> {
        self.process.request(serde_json::to_value(command)?).await
    }

    /// How the sessions go from now on.
    ///
    /// # Errors
    /// When the device has ended.
    pub async fn play(&self, script: Script) -> Result<()> {
        self.tell(&Command::Script { script }).await.map(|_| ())
    }

    /// How its web server takes uploads from now on.
    ///
    /// # Errors
    /// When the device has ended.
    pub async fn serve_uploads(&self, script: WebScript) -> Result<()> {
        self.tell(&Command::Web { script }).await.map(|_| ())
    }

    /// It wakes, or has restarted, and announces this.
    ///
    /// # Errors
    /// When the device has ended.
    pub async fn announce(&self, hash: Option<u32>) -> Result<()> {
        self.tell(&Command::Announce { hash }).await.map(|_| ())
    }

    /// It says goodbye; its port stays open.
    ///
    /// # Errors
    /// When the device has ended.
    pub async fn goodbye(&self) -> Result<()> {
        self.tell(&Command::Goodbye).await.map(|_| ())
    }

    /// It is gone, and its port is free.
    ///
    /// # Errors
    /// When it can't be ended.
    pub async fn end(self) -> Result<()> {
        self.process.kill().await
    }

    /// What it has seen of each of its clients.
    ///
    /// # Errors
    /// When the device has ended.
    pub async fn sessions(&self) -> Result<Vec<SessionReport>> {
        let sessions = self.tell(&Command::Status).await?;
        serde_json::from_value(sessions).context("the scripted device answers nonsense")
    }

    /// Waits until its sessions satisfy a condition.
    ///
    /// # Errors
    /// When they don't within `timeout`.
    pub async fn until(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&[SessionReport]) -> bool,
    ) -> Result<Vec<SessionReport>> {
        let give_up = tokio::time::Instant::now() + timeout;
        loop {
            let sessions = self.sessions().await?;
            if wanted(&sessions) {
                return Ok(sessions);
            }
            if tokio::time::Instant::now() > give_up {
                bail!("not within {timeout:?}: {what}; {sessions:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
