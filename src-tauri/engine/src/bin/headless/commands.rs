//! What the command line asks of the service.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use wakeflash_core::device::DeviceId;
use wakeflash_core::request::EngineRequest;
use wakeflash_core::settings::Settings;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::UpdateId;
use wakeflash_core::view::{DeviceView, Snapshot, UpdateDetails};
use wakeflash_esphome::compile::plain as without_colours;

use crate::arguments::{Command, Devices};
use crate::ask::Service;
use crate::failure::Failure;
use crate::status::{list, plain, screen};

/// Carries out a command by asking the service.
pub(crate) fn carry_out(state: &Path, command: Command) -> Result<(), Failure> {
    let mut service = Service::of(state)?;
    let service = &mut service;
    match command {
        Command::Status { json: true } => {
            let snapshot = service.ask_raw(&EngineRequest::Snapshot {})?;
            print(format!("{snapshot}\n").as_bytes())
        }
        Command::Status { json: false } => {
            let snapshot: Snapshot = service.ask(&EngineRequest::Snapshot {})?;
            print(screen(&snapshot, now()).as_bytes())
        }
        Command::Install(devices) => {
            begin(service, &devices, |device| EngineRequest::Install { device })
        }
        Command::List => {
            let devices: Vec<DeviceView> = service.ask(&EngineRequest::List {})?;
            print(list(&devices, now()).as_bytes())
        }
        Command::Log { device } => {
            let known: Vec<Named> = service.ask(&EngineRequest::List {})?;
            let device = pick(&known, &device)?;
            let details: UpdateDetails = service.ask(&EngineRequest::Details { device })?;
            let lines = details.log.lines.iter().map(|line| format!("{}\n", without_colours(line)));
            print(plain(&lines.collect::<String>()).as_bytes())
        }
        Command::Retry { devices, clean: false } => {
            begin(service, &devices, |device| EngineRequest::Retry { device })
        }
        Command::Retry { devices, clean: true } => {
            begin(service, &devices, |device| EngineRequest::RetryClean { device })
        }
        Command::InstallPrevious(devices) => {
            begin(service, &devices, |device| EngineRequest::InstallPrevious { device })
        }
        Command::Cancel(devices) => {
            change(service, &devices, "cancelled", |device| EngineRequest::Cancel { device })
        }
        Command::Rebuild(devices) => {
            change(service, &devices, "is built again", |device| EngineRequest::Rebuild { device })
        }
        Command::FlashAnyway(devices) => {
            change(service, &devices, "goes on as it was built", |device| {
                EngineRequest::FlashAnyway { device }
            })
        }
        Command::Dismiss(devices) => {
            change(service, &devices, "put aside", |device| EngineRequest::Dismiss { device })
        }
        Command::Pause => service.ask(&EngineRequest::SetPaused { paused: true }),
        Command::Resume => service.ask(&EngineRequest::SetPaused { paused: false }),
        Command::ConfigDir { dir } => {
            change_settings(service, json!({ "configDir": named(&dir)? }))
        }
        Command::Esphome { program } => change_settings(
            service,
            json!({ "esphomePath": named(&program)?, "ownEsphome": false }),
        ),
        Command::InstallEsphome => service.ask(&EngineRequest::InstallEsphome {}),
        Command::Serve(_) | Command::Attach | Command::Completions { .. } | Command::Man => {
            Err(Failure::Usage("The service isn't asked for this.".to_owned()))
        }
    }
}

fn change_settings(service: &mut Service, change: Value) -> Result<(), Failure> {
    let change = serde_json::from_value(change).context("The command can't be written")?;
    service.ask::<Settings>(&EngineRequest::ChangeSettings { change }).map(drop)
}

/// A path that means the same to the service.
fn named(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path).context("The path can't be named")?;
    Ok(path.to_str().context("Its name is no UTF-8")?.to_owned())
}

/// Begins an update of each device.
fn begin(
    service: &mut Service,
    devices: &Devices,
    request: impl Fn(DeviceId) -> EngineRequest,
) -> Result<(), Failure> {
    for_each(service, devices, |service, device| {
        let update: UpdateId = service.ask(&request(device))?;
        Ok(format!("update {update}"))
    })
}

/// Changes the update of each device.
fn change(
    service: &mut Service,
    devices: &Devices,
    done: &str,
    request: impl Fn(DeviceId) -> EngineRequest,
) -> Result<(), Failure> {
    for_each(service, devices, |service, device| {
        service.ask::<()>(&request(device))?;
        Ok(done.to_owned())
    })
}

/// Does something with each device, also when it was refused for another one.
fn for_each(
    service: &mut Service,
    devices: &Devices,
    mut does: impl FnMut(&mut Service, DeviceId) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let known: Vec<Named> = service.ask(&EngineRequest::List {})?;
    let mut refused = Vec::new();
    for word in &devices.devices {
        let done = pick(&known, word).and_then(|device| {
            let done = does(service, device.clone())?;
            print(plain(&format!("{}: {done}\n", device.as_str())).as_bytes())
        });
        match done {
            Ok(()) => {}
            Err(Failure::Refused(why)) => refused.push(plain(&format!("{word}: {why}"))),
            Err(other @ (Failure::Usage(_) | Failure::NoService(_))) => return Err(other),
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(Failure::Refused(refused.join("\n"))) }
}

/// What a device is called. The service may be of another version: nothing else of it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    id: DeviceId,
    name: String,
    #[serde(default)]
    friendly_name: Option<String>,
}

/// The device that a word means. One that nobody knows is for the service to refuse.
fn pick(known: &[Named], word: &str) -> Result<DeviceId, Failure> {
    let by_file = |device: &&Named| {
        let id = device.id.as_str();
        id == word || [".yaml", ".yml"].iter().any(|end| id.strip_suffix(end) == Some(word))
    };
    let by_name =
        |device: &&Named| device.name == word || device.friendly_name.as_deref() == Some(word);
    if let Some(exact) = known.iter().find(|device| device.id.as_str() == word) {
        return Ok(exact.id.clone());
    }
    let mut meant: Vec<_> = known.iter().filter(by_file).collect();
    if meant.is_empty() {
        meant = known.iter().filter(by_name).collect();
    }
    match meant.as_slice() {
        [] => Ok(DeviceId::of_file(word)),
        [one] => Ok(one.id.clone()),
        several => {
            let ids: Vec<_> = several.iter().map(|device| device.id.as_str()).collect();
            Err(Failure::Refused(format!("Several devices are called so: {}.", ids.join(", "))))
        }
    }
}

/// Writes to standard output.
pub(crate) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    let written = output.write_all(text).and_then(|()| output.flush());
    Ok(written.context("Standard output can't be written")?)
}

fn now() -> Timestamp {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(passed.as_millis().try_into().unwrap_or(i64::MAX))
}
