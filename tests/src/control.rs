//! The loop of `wakeflash-lab device`: commands, the device's own events, and time.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use crate::device::DeviceEvent;
use crate::supervisor::{DeviceOptions, Supervisor, Wake};

/// When the device wakes and sleeps by itself.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// How long it sleeps.
    pub sleep: Duration,
    /// How each wake goes; `for_ms` is its length.
    pub wake: Wake,
}

/// One line on stdin.
#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Value,
    #[serde(flatten)]
    command: Command,
}

#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
enum Command {
    Wake {
        #[serde(flatten)]
        wake: FlatWake,
    },
    Sleep {
        #[serde(default = "yes")]
        goodbye: bool,
    },
    PowerCut,
    Goodbye,
    Announce,
    Address {
        address: Ipv4Addr,
    },
    Link {
        up: bool,
    },
    Status,
    Quit,
}

/// [`Wake`], which can't both deny unknown fields and be flattened.
type FlatWake = serde_json::Map<String, Value>;

fn yes() -> bool {
    true
}

/// A sleep that waits for the device's main loop.
struct Pending {
    goodbye: bool,
    /// The command that waits for it; none when time has asked.
    id: Option<Value>,
}

struct Control {
    supervisor: Supervisor,
    schedule: Option<Schedule>,
    pending: Option<Pending>,
    /// When the device goes to sleep by itself, or wakes by itself.
    due: Option<Instant>,
}

/// Runs a device until stdin ends (when it is `controlled`) or this process is ended.
///
/// # Errors
/// When the device can't be run.
pub async fn run(
    options: DeviceOptions,
    schedule: Option<Schedule>,
    controlled: bool,
) -> Result<()> {
    let (supervisor, mut events) = Supervisor::new(options).await?;
    let due = schedule.map(|schedule| Instant::now() + schedule.sleep);
    let mut control = Control { supervisor, schedule, pending: None, due };
    let mut lines = controlled.then(|| BufReader::new(tokio::io::stdin()).lines());
    while control.step(&mut events, &mut lines).await? {}
    if control.supervisor.awake() {
        control.supervisor.switch_off(false).await?;
    }
    Ok(())
}

impl Control {
    /// Handles whatever comes next. Returns whether to go on.
    async fn step(
        &mut self,
        events: &mut UnboundedReceiver<DeviceEvent>,
        lines: &mut Option<Lines<BufReader<Stdin>>>,
    ) -> Result<bool> {
        let due = self.due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        let due_is_set = self.due.is_some();
        tokio::select! {
            Some(event) = events.recv() => self.on_event(event).await?,
            line = next_line(lines) => match line? {
                None => return Ok(false),
                Some(line) => return self.on_line(&line).await,
            },
            () = sleep_until(due), if due_is_set => self.on_due().await?,
        }
        Ok(true)
    }

    async fn on_event(&mut self, event: DeviceEvent) -> Result<()> {
        print(&serde_json::to_value(&event)?)?;
        match event {
            DeviceEvent::Boot { .. } => self.on_boot().await,
            DeviceEvent::OtaDone => {
                // The end of this window counts no more: the restart begins another one.
                self.due = None;
                self.pending = self.pending.take().filter(|pending| pending.id.is_some());
                self.supervisor.withdraw_sleep().await
            }
            DeviceEvent::Slept => self.finish_sleep().await,
            DeviceEvent::OtaFailed => match self.pending.take() {
                // Firmware that isn't the lab's was spared because of its data phase.
                Some(pending) => self.begin_sleep(pending).await,
                None => Ok(()),
            },
            DeviceEvent::OtaHandshake | DeviceEvent::OtaStarted | DeviceEvent::Ended => Ok(()),
        }
    }

    /// A boot begins a new wake, also when it is the restart into new firmware.
    async fn on_boot(&mut self) -> Result<()> {
        let awake_for = self.supervisor.wake_options().for_ms.map(Duration::from_millis);
        self.due = awake_for.map(|awake_for| Instant::now() + awake_for);
        self.supervisor.booted().await?;
        match self.pending.take() {
            Some(pending) => self.begin_sleep(pending).await,
            None => Ok(()),
        }
    }

    async fn on_due(&mut self) -> Result<()> {
        self.due = None;
        if self.supervisor.awake() {
            let goodbye = !self.supervisor.wake_options().no_goodbye;
            return self.begin_sleep(Pending { goodbye, id: None }).await;
        }
        match self.schedule {
            Some(schedule) => self.wake(schedule.wake).await,
            None => Ok(()),
        }
    }

    async fn wake(&mut self, wake: Wake) -> Result<()> {
        let link_up = micros(self.supervisor.wake(wake).await?)?;
        print(&json!({"event": "woke", "for_ms": wake.for_ms, "link_up_us": link_up}))
    }

    async fn begin_sleep(&mut self, pending: Pending) -> Result<()> {
        self.due = None;
        self.pending = Some(pending);
        if self.supervisor.request_sleep().await? { self.finish_sleep().await } else { Ok(()) }
    }

    async fn finish_sleep(&mut self) -> Result<()> {
        if !self.supervisor.awake() {
            return Ok(());
        }
        // On a busy machine a restarted device may still find a request that was being withdrawn: it has
        // stopped all the same.
        let by_time = || Pending { goodbye: !self.supervisor.wake_options().no_goodbye, id: None };
        let pending = self.pending.take().unwrap_or_else(by_time);
        self.due = None;
        self.supervisor.switch_off(pending.goodbye).await?;
        self.fell_asleep(json!({"event": "asleep", "goodbye": pending.goodbye}))?;
        match pending.id {
            Some(id) => reply(&id, Ok(Value::Null)),
            None => Ok(()),
        }
    }

    fn fell_asleep(&mut self, mut event: Value) -> Result<()> {
        self.due = self.schedule.map(|schedule| Instant::now() + schedule.sleep);
        event["next_wake_ms"] =
            json!(self.schedule.map(|schedule| schedule.sleep.as_millis() as u64));
        print(&event)
    }

    async fn on_line(&mut self, line: &str) -> Result<bool> {
        let request: Request = match serde_json::from_str(line) {
            Ok(request) => request,
            Err(error) => {
                let id = serde_json::from_str::<Value>(line).map(|mut line| line["id"].take());
                reply(&id.unwrap_or_default(), Err(error.into()))?;
                return Ok(true);
            }
        };
        if matches!(request.command, Command::Quit) {
            reply(&request.id, Ok(Value::Null))?;
            return Ok(false);
        }
        if let Some(outcome) = self.obey(request.command, &request.id).await.transpose() {
            reply(&request.id, outcome)?;
        }
        Ok(true)
    }

    /// Does as told. Returns nothing when the reply comes later.
    async fn obey(&mut self, command: Command, id: &Value) -> Result<Option<Value>> {
        match command {
            Command::Wake { wake } => {
                let wake = serde_json::from_value(Value::Object(wake))?;
                self.wake(wake).await?;
            }
            Command::Sleep { goodbye } => {
                if !self.supervisor.awake() {
                    bail!("the device is asleep already");
                }
                if self.pending.as_ref().is_some_and(|pending| pending.id.is_some()) {
                    bail!("the device is going to sleep already");
                }
                self.begin_sleep(Pending { goodbye, id: Some(id.clone()) }).await?;
                return Ok(None);
            }
            Command::PowerCut => {
                if let Some(id) = self.pending.take().and_then(|pending| pending.id) {
                    reply(&id, Err(anyhow::anyhow!("the power was cut before")))?;
                }
                self.supervisor.switch_off(false).await?;
                self.fell_asleep(json!({"event": "power_cut"}))?;
            }
            Command::Goodbye => self.supervisor.goodbye().await,
            Command::Announce => self.supervisor.booted().await?,
            Command::Address { address } => self.supervisor.set_address(address).await?,
            Command::Link { up } => self.supervisor.link(up).await?,
            Command::Status => return Ok(Some(self.supervisor.status())),
            Command::Quit => {}
        }
        Ok(Some(Value::Null))
    }
}

/// The next line of stdin; never, when stdin isn't listened to.
async fn next_line(lines: &mut Option<Lines<BufReader<Stdin>>>) -> Result<Option<String>> {
    match lines {
        Some(lines) => lines.next_line().await.context("cannot read stdin"),
        None => std::future::pending().await,
    }
}

fn reply(id: &Value, outcome: Result<Value>) -> Result<()> {
    print(&match outcome {
        Ok(value) => json!({"id": id, "ok": value}),
        Err(error) => json!({"id": id, "error": format!("{error:#}")}),
    })
}

fn micros(time: SystemTime) -> Result<u64> {
    Ok(u64::try_from(time.duration_since(UNIX_EPOCH)?.as_micros())?)
}

/// Prints a line; events get the time, comparable among the processes of this machine.
fn print(line: &Value) -> Result<()> {
    let mut line = line.clone();
    if line.get("event").is_some() {
        line["at_us"] = json!(micros(SystemTime::now())?);
    }
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush().context("nobody listens")
}
