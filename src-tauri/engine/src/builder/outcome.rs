//! What a successful compile left, put together so that image, hash and parameters belong to each other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wakeflash_core::credentials;
use wakeflash_core::device::ConfigHash;
use wakeflash_core::error::Problem;
use wakeflash_core::time::Timestamp;
use wakeflash_core::update::{Build, BuildStamp, OtaParameters, Sha256, SourceFile};
use wakeflash_esphome::files::{self, BuildInfo, Validated};
use wakeflash_esphome::image;

use super::BuildRequest;
use super::reads::Reading;
use crate::artifacts::Artifacts;
use crate::configs::{KeptSources, left_at, storage_path};
use crate::kill::{self, Point};

/// How coarse the times of a file system may be.
const COARSE: Duration = Duration::from_secs(2);

/// When the files that a compile writes were last written before it. Times are only compared with times of
/// the same file system: a share has a clock of its own.
#[derive(Debug)]
pub(super) struct Before {
    validated: Option<SystemTime>,
    /// Where the image lay, and its time.
    image: Option<(PathBuf, Option<SystemTime>)>,
    /// How the firmware of the last compile takes updates, and where it says that it is.
    ota: Option<OtaParameters>,
    /// The stamp of the build before.
    stamp: Option<BuildStamp>,
    address: Option<String>,
    /// When the compile began, by this computer's clock.
    began: SystemTime,
}

impl Before {
    /// Looks, and takes the build information away: without it, ESPHome gives the build a time stamp of its own. It
    /// would keep the one from before for a changed header, and for a build that changes nothing.
    pub(super) fn look(request: &BuildRequest) -> Self {
        let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let id = request.device.as_str();
        let storage = fs::read(storage_path(&request.config_dir, id, "json"))
            .ok()
            .and_then(|bytes| files::storage(&bytes).ok())
            .unwrap_or_default();
        let validated = storage_path(&request.config_dir, id, "validated.json");
        let ota = fs::read(&validated)
            .ok()
            .and_then(|bytes| files::validated(&bytes, storage.platform.as_deref()).ok());
        let address = ota.as_ref().and_then(|validated| validated.address.clone());
        let ota = ota.map(|validated| validated.ota);
        let image = storage
            .firmware
            .map(|path| left_at(&request.config_dir, &path))
            .map(|path| (path.clone(), time(&path)));
        let stamp = storage.build_path.map(|path| left_at(&request.config_dir, &path));
        let stamp = stamp.and_then(|path| take_stamp(&path.join("build_info.json")));
        let (validated, began) = (time(&validated), SystemTime::now());
        Self { validated, image, ota, stamp, address, began }
    }

    /// Where the device of the last compile is, as far as that is another place.
    fn elsewhere(&self, now: &Validated) -> wakeflash_core::update::Before {
        let port = self.ota.as_ref().map(|ota| ota.port).filter(|port| *port != now.ota.port);
        let address = self.address.clone().filter(|_| self.address != now.address);
        wakeflash_core::update::Before { port, address }
    }

    /// Whether the password or the key is another one than that of the last compile.
    fn credentials_differ(&self, ota: &OtaParameters) -> bool {
        let key = |ota: &OtaParameters| credentials::key_of(&ota.encryption).cloned();
        self.ota
            .as_ref()
            .is_some_and(|before| before.password != ota.password || key(before) != key(ota))
    }

    /// Whether the image was written since. `validated` is when this compile began to write.
    fn image_is_new(&self, path: &Path, time: SystemTime, validated: SystemTime) -> bool {
        match &self.image {
            Some((before, written)) if before == path => *written != Some(time),
            Some(_) | None => time + COARSE >= validated,
        }
    }
}

/// Takes the build information of an earlier build away; its stamp.
fn take_stamp(info: &Path) -> Option<BuildStamp> {
    let stamp = fs::read(info).ok().and_then(|bytes| files::build_info(&bytes).ok()?.stamp);
    if let Err(error) = fs::remove_file(info)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %info.display(), %error, "the build may get the stamp of the one before");
    }
    stamp
}

/// Reads what the compile left and stores its image.
pub(super) fn collect(
    request: &BuildRequest,
    reading: Reading,
    said: Option<ConfigHash>,
    before: &Before,
) -> Result<Build, Problem> {
    let id = request.device.as_str();
    let left = |extension| storage_path(&request.config_dir, id, extension);
    let storage = files::storage(&read(&left("json"))?)?;
    let platform = storage.platform.as_deref();
    let validated_path = left("validated.json");
    // Every compile writes it, unless it can't; one from before has the password of before.
    let validated_at = modified(&validated_path)?;
    if before.validated == Some(validated_at) {
        return Err(incomplete("ESPHome didn't write down the validated configuration."));
    }
    let validated = files::validated(&read(&validated_path)?, platform)?;
    // Better said now than at the one wake that everybody waits for.
    credentials::encryption(&validated.ota.encryption, validated.esphome_version.as_deref())?;
    let left_at = |path: &str| left_at(&request.config_dir, path);
    let Some(firmware) = storage.firmware.as_deref().map(left_at) else {
        return Err(incomplete("ESPHome doesn't say where the firmware is."));
    };
    let build_path = storage.build_path.as_deref().map(left_at);
    let sources = reading.sources(request, build_path.as_deref(), before.began)?;
    let info = build_path.map(|path| path.join("build_info.json"));
    let image_time = modified(&firmware)?;
    let is_new = before.image_is_new(&firmware, image_time, validated_at);
    let info = BuildLeft::read(info)?;
    let config_hash = info.matching_hash(said, image_time, is_new)?;
    let bytes = Artifacts::read_image(&firmware)?;
    image::check(platform, &bytes)?;
    let stored = Artifacts::new(&request.state_dir).put(&bytes)?;
    keep_sources(request, &stored.sha256, &sources);
    kill::here(Point::ImageStored);
    let elsewhere = before.elsewhere(&validated);
    Ok(Build {
        image: stored.sha256,
        size: stored.size,
        config_hash,
        esphome_version: validated.esphome_version,
        stamp: info.said.stamp.filter(|stamp| before.stamp.as_ref() != Some(stamp)),
        built_at: now(),
        name: validated
            .name
            .or(storage.name)
            .ok_or_else(|| incomplete("ESPHome doesn't say the device's name."))?,
        mac_suffix: validated.mac_suffix,
        before: elsewhere,
        sources,
        credentials_changed: before.credentials_differ(&validated.ota),
        ota: validated.ota,
        address: validated.address,
        deep_sleep: validated.deep_sleep,
        sleep_plan: validated.sleep_plan,
        api: validated.api,
        boot_check: validated.boot_check,
        mdns: validated.mdns,
    })
}

/// Keeps what the sources are, so that it can be shown later what has changed in them. Nothing else hangs on it.
fn keep_sources(request: &BuildRequest, image: &Sha256, sources: &[SourceFile]) {
    let kept = KeptSources::take(&request.config_dir, sources)
        .and_then(|kept| serde_json::to_vec(&kept).map_err(io::Error::other))
        .and_then(|kept| Artifacts::new(&request.state_dir).put_sources(image, &kept));
    if let Err(error) = kept {
        tracing::warn!(%error, "what has changed in the sources of a build won't be shown");
    }
}

/// The build information that a compile left.
struct BuildLeft {
    said: BuildInfo,
    written: Option<SystemTime>,
}

impl BuildLeft {
    fn read(path: Option<PathBuf>) -> Result<Self, Problem> {
        match path {
            Some(path) if path.exists() => Ok(Self {
                said: files::build_info(&read(&path)?)?,
                written: Some(modified(&path)?),
            }),
            Some(_) | None => Ok(Self { said: BuildInfo::default(), written: None }),
        }
    }

    /// The hash of the image, when image and hash surely belong together.
    ///
    /// `build_info.json` is also written by `--only-generate`, which builds nothing; and when nothing has to be
    /// done, a build leaves an older image as it is. So the image must be of this build, or newer than a build
    /// information that says what the compile said.
    fn matching_hash(
        &self,
        said: Option<ConfigHash>,
        image_time: SystemTime,
        of_this_build: bool,
    ) -> Result<Option<ConfigHash>, Problem> {
        let recorded = self.said.config_hash;
        if let (Some(said), Some(recorded)) = (said, recorded)
            && said != recorded
        {
            tracing::warn!(%said, %recorded, "two config hashes for one build");
            return Err(incomplete("Something else built this configuration at the same time."));
        }
        let still_right =
            said.is_some() && recorded == said && self.written.is_some_and(|at| image_time >= at);
        if of_this_build || still_right {
            Ok(said.or(recorded))
        } else {
            Err(incomplete("The firmware is from an earlier build."))
        }
    }
}

fn incomplete(message: &str) -> Problem {
    Problem::new("build.incomplete", message).with_help(
        "Clean the build files (`esphome clean`), update ESPHome if it is old, and retry.",
    )
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| absent(path, &error))
}

fn modified(path: &Path) -> Result<SystemTime, Problem> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .map_err(|error| absent(path, &error))
}

fn absent(path: &Path, error: &io::Error) -> Problem {
    tracing::warn!(path = %path.display(), %error, "a file of the compile can't be read");
    let name: PathBuf = path.file_name().map(PathBuf::from).unwrap_or_default();
    let name = name.display();
    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) {
        return incomplete(&format!("The compile left no readable {name}."));
    }
    // Its file system has a fault, or the system has too little of something.
    Problem::new("build.unreadable", format!("{name} can't be read: {error}.")).with_help(
        "Look at the drive or the network share of the build files. The build is made again by itself.",
    )
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
