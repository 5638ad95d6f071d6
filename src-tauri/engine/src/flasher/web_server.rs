//! Flashes one device by HTTP: `esphome upload --ota-platform web_server` as a child process.
//!
//! There is no gate in the child: whoever calls [`upload`] has identified the device, and has recorded that the
//! image may be complete on it, since nothing can hold the child up before the end.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::view::Progress;
use wakeflash_esphome::upload::{UploadFailure, UploadOutput};
use wakeflash_ota::FailureClass;

use crate::builder::MARKER;
use crate::process::{Ended, Event, Limits, Process, path_with};

/// One upload may take 20 min, as with ESPHome's own protocol. ESPHome waits 120 s for the device's answer,
/// and before the first byte it may have to validate the configuration.
pub const UPLOAD_LIMITS: Limits =
    Limits { total: Duration::from_secs(20 * 60), silence: Duration::from_secs(150) };

/// What to upload, to whom.
#[derive(Clone, Debug)]
pub struct UploadRequest {
    /// The `esphome` program.
    pub esphome: PathBuf,
    /// Where the configuration lies: ESPHome takes the port and the login from it.
    pub config_dir: PathBuf,
    /// Which one.
    pub device: DeviceId,
    /// The device's address.
    pub peer: IpAddr,
    pub image: PathBuf,
    /// The value of [`MARKER`], so that an upload that a killed application has left can be found.
    pub marker: String,
    /// How long it may take.
    pub limits: Limits,
}

/// An upload without the device's confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadEnd {
    /// The caller cancelled it; nothing of it runs any more.
    Cancelled,
    /// It failed.
    Failed(UploadFailure),
}

/// Uploads an image; `Ok` is the device's word that it took it. It ends within its limits, or two seconds after
/// a cancel, and leaves no process behind; dropped before its end, it kills it.
///
/// # Errors
/// See [`UploadEnd`].
pub async fn upload(
    request: &UploadRequest,
    progress: &watch::Sender<Option<Progress>>,
    cancel: CancellationToken,
) -> Result<(), UploadEnd> {
    let mut process = Process::spawn(command(request), request.limits, cancel)
        .map_err(|error| UploadEnd::Failed(not_started(request, &error)))?;
    let mut output = UploadOutput::default();
    let ended = loop {
        match process.next().await {
            Ok(Event::Lines(lines)) => {
                for line in lines {
                    match output.line(&line) {
                        Some(news) => drop(progress.send_replace(Some(news))),
                        None => tracing::debug!("upload to {}: {line}", request.peer),
                    }
                }
            }
            Ok(Event::Ended(ended)) => break Ok(ended),
            Err(error) => break Err(error),
        }
    };
    process.end().await;
    let failed = match ended {
        Ok(Ended::Exited(exit)) => {
            return output.ended(exit.code()).map_err(UploadEnd::Failed);
        }
        Ok(Ended::Cancelled) => return Err(UploadEnd::Cancelled),
        Ok(Ended::Overdue) => output.cut("The upload took too long and was ended"),
        Ok(Ended::Silent) => output.cut("The upload came to a halt and was ended"),
        Err(error) => output.cut(&format!("The output of ESPHome can't be read ({error})")),
    };
    Err(UploadEnd::Failed(failed))
}

fn command(request: &UploadRequest) -> Command {
    let name = request.device.as_str();
    // A name that begins with a dash would be taken for an option.
    let file = if name.starts_with('-') { format!("./{name}") } else { name.to_owned() };
    let mut command = Command::new(&request.esphome);
    // Without `--dashboard` ESPHome doesn't say into a pipe how far it is. `--file`: whatever lies in the build
    // folder by now isn't what was asked for.
    command.args(["--dashboard", "upload"]).arg(file);
    command.args(["--ota-platform", "web_server", "--device"]).arg(request.peer.to_string());
    command.arg("--file").arg(&request.image).current_dir(&request.config_dir);
    command.env(MARKER, &request.marker).env("PYTHONUNBUFFERED", "1").env("PYTHONUTF8", "1");
    // The device is in this network; a proxy of the environment would get the image and the login.
    command.env("NO_PROXY", "*").env("no_proxy", "*");
    if let Some(path) = path_with(request.esphome.parent()) {
        command.env("PATH", path);
    }
    command
}

fn not_started(request: &UploadRequest, error: &io::Error) -> UploadFailure {
    let message = format!("ESPHome ({}) can't be started: {error}.", request.esphome.display());
    let problem = Problem::new("web_server.not_started", message)
        .with_help("Choose another ESPHome in the settings, or let Wakeflash install one.");
    UploadFailure { class: FailureClass::NextWake, problem }
}
