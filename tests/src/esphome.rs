//! Real firmware: finds ESPHome, compiles configurations, keeps the results.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::paths;
use crate::yaml::DeviceYaml;

/// The variable that names the `esphome` executable.
pub const ESPHOME_VARIABLE: &str = "WAKEFLASH_TEST_ESPHOME";

/// An ESPHome installation.
#[derive(Clone, Debug)]
pub struct Esphome {
    program: PathBuf,
}

/// Compiled firmware of a real device, and the configuration it was compiled from.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// A program that is a device; copy it before running it, an OTA replaces it.
    pub program: PathBuf,
    /// The config hash that the build recorded.
    pub config_hash: u32,
    /// The ESPHome version that built it.
    pub esphome_version: String,
    /// The configuration directory, with everything the compile left.
    pub config_dir: PathBuf,
    /// The YAML file in it.
    pub yaml_file: PathBuf,
}

/// What is kept beside the program; its presence says that the entry is complete.
#[derive(Serialize, Deserialize)]
struct Entry {
    config_hash: u32,
    esphome_version: String,
}

impl Entry {
    fn of_build(build: &Path) -> Result<Self> {
        let info = fs::read_to_string(build.join("build_info.json"))
            .context("the compile left no build_info.json")?;
        serde_json::from_str(&info).context("build_info.json is unexpected")
    }
}

/// The config hash that the last compile of a device in a config directory has recorded.
///
/// # Errors
/// When it was never compiled there.
pub fn recorded_hash(config_dir: &Path, name: &str) -> Result<u32> {
    Ok(Entry::of_build(&config_dir.join(".esphome/build").join(name))?.config_hash)
}

impl Esphome {
    /// Finds ESPHome where `WAKEFLASH_TEST_ESPHOME` says, else where `make setup` puts it.
    ///
    /// # Errors
    /// When there is none.
    pub fn locate() -> Result<Self> {
        let program = std::env::var_os(ESPHOME_VARIABLE).map_or_else(
            || paths::workspace_root().join(".cache/esphome/bin/esphome"),
            PathBuf::from,
        );
        if !program.is_file() {
            bail!(
                "no ESPHome at {}: run `make setup`, or set {ESPHOME_VARIABLE}",
                program.display()
            );
        }
        Ok(Self { program })
    }

    /// The `esphome` executable.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The Python that ESPHome runs in: it has ESPHome's modules and those that ESPHome depends on.
    ///
    /// # Errors
    /// When there is none beside ESPHome.
    pub fn python(&self) -> Result<PathBuf> {
        let python = self.program.with_file_name("python");
        if !python.is_file() {
            bail!("no Python beside ESPHome: {}", python.display());
        }
        Ok(python)
    }

    /// A PATH on which the tools that came with ESPHome (`ninja`) are found first.
    ///
    /// # Errors
    /// When a directory name can't be part of a PATH.
    pub fn search_path(&self) -> Result<std::ffi::OsString> {
        let own = self.program.parent().map(Path::to_path_buf);
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let all = own.into_iter().chain(std::env::split_paths(&inherited));
        std::env::join_paths(all).context("cannot extend PATH")
    }

    /// The version that it says it has.
    ///
    /// # Errors
    /// When it can't be run.
    pub fn version(&self) -> Result<String> {
        // Starting Python takes a while; nobody exchanges ESPHome in the middle of a test.
        static KNOWN: Mutex<Option<(PathBuf, String)>> = Mutex::new(None);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((program, version)) = known.as_ref()
            && *program == self.program
        {
            return Ok(version.clone());
        }
        let version = self.ask_version()?;
        *known = Some((self.program.clone(), version.clone()));
        Ok(version)
    }

    fn ask_version(&self) -> Result<String> {
        let output = self.run(Path::new("/"), &["version"])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.trim().rsplit(' ').next().unwrap_or_default();
        Ok(version.to_owned())
    }

    /// Runs ESPHome in a directory and collects its output.
    ///
    /// # Errors
    /// When it can't be run or fails; the error has what it said.
    pub fn run(&self, directory: &Path, arguments: &[&str]) -> Result<Output> {
        let output = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&self.program)
            .args(arguments)
            .current_dir(directory)
            .env("PATH", self.search_path()?)
            .output()
            .context("cannot run setpriv (util-linux)")?;
        if !output.status.success() {
            bail!(
                "esphome {} failed ({}):\n{}{}",
                arguments.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(output)
    }

    /// Compiles a configuration, or takes the result of an earlier run. Blocks.
    ///
    /// # Errors
    /// When it doesn't compile, or files can't be written.
    pub fn build(&self, yaml: &DeviceYaml) -> Result<Firmware> {
        let version = self.version()?;
        let mut key = Sha256::new();
        key.update(yaml.render());
        key.update(&version);
        key.update(env!("CARGO_PKG_VERSION"));
        let directory = paths::cache_dir().join("firmware").join(hex::encode(key.finalize()));
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        // Test processes run in parallel; each firmware is built by one of them.
        let lock = File::create(directory.join("lock")).context("cannot create a lock file")?;
        lock.lock().context("cannot lock the firmware cache")?;
        match Firmware::load(&directory, yaml) {
            Ok(firmware) => Ok(firmware),
            Err(_absent) => self.compile(&directory, yaml),
        }
    }

    fn compile(&self, directory: &Path, yaml: &DeviceYaml) -> Result<Firmware> {
        let config_dir = directory.join("config");
        let file_name = format!("{}.yaml", yaml.name);
        yaml.write_to(&config_dir, &file_name)?;
        self.run(&config_dir, &["compile", &file_name])?;
        let build = config_dir.join(".esphome/build").join(&yaml.name);
        let entry = Entry::of_build(&build)?;
        fs::copy(
            build.join(".pioenvs").join(&yaml.name).join("program"),
            directory.join("program"),
        )
        .context("the compile left no program")?;
        // Written last and moved into place: a killed build never looks complete.
        let unfinished = directory.join("entry.json.new");
        fs::write(&unfinished, serde_json::to_vec(&entry)?)?;
        fs::rename(unfinished, directory.join("entry.json"))?;
        Firmware::load(directory, yaml)
    }
}

impl Firmware {
    fn load(directory: &Path, yaml: &DeviceYaml) -> Result<Self> {
        let entry: Entry = serde_json::from_slice(&fs::read(directory.join("entry.json"))?)?;
        let config_dir = directory.join("config");
        Ok(Self {
            program: directory.join("program"),
            config_hash: entry.config_hash,
            esphome_version: entry.esphome_version,
            yaml_file: config_dir.join(format!("{}.yaml", yaml.name)),
            config_dir,
        })
    }
}

/// Compiles a configuration, or takes the result of an earlier run, without blocking the caller.
///
/// # Errors
/// When there is no ESPHome, or the configuration doesn't compile.
pub async fn firmware(yaml: &DeviceYaml) -> Result<Firmware> {
    let yaml = yaml.clone();
    tokio::task::spawn_blocking(move || Esphome::locate()?.build(&yaml))
        .await
        .map_err(|error| anyhow!("the build did not end: {error}"))?
}
