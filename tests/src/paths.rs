//! Where things are: the workspace, the programs under test, the lab's caches.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

/// The root of the workspace this crate was built from.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The lab's own cache; survives between runs, `cargo clean` removes it. The variable
/// `WAKEFLASH_LAB_CACHE` points elsewhere.
#[must_use]
pub fn cache_dir() -> PathBuf {
    std::env::var_os("WAKEFLASH_LAB_CACHE")
        .map_or_else(|| workspace_root().join("target").join("lab"), PathBuf::from)
}

/// A binary of this workspace, built into the same profile directory as the running test.
///
/// The variable `WAKEFLASH_BIN_DIR` points elsewhere, for example at a release build.
///
/// # Errors
/// When the binary has not been built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let directory = match std::env::var_os("WAKEFLASH_BIN_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => profile_dir()?,
    };
    let path = directory.join(name);
    if !path.is_file() {
        bail!("{} has not been built: run `cargo build --bin {name}`", path.display());
    }
    Ok(path)
}

fn profile_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("cannot tell where this program is")?;
    let directory = exe.parent().context("this program is in no directory")?;
    // Tests are built into `deps` (or `examples`), one below the binaries.
    let below = directory.ends_with("deps") || directory.ends_with("examples");
    let directory = if below { directory.parent().unwrap_or(directory) } else { directory };
    Ok(directory.to_path_buf())
}

/// A command that ends with its parent, whatever the parent dies of; to be exact: with the thread that
/// starts it.
pub(crate) fn contained(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program).kill_on_drop(true);
    command
}

/// A program on PATH.
///
/// # Errors
/// When there is none of that name.
pub(crate) fn on_path(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed: run `make setup`"))
}

/// Writes a program by another process. Were it open for writing in this one, so it would be in a process that another test
/// is just starting, and nobody could run it before that has become another program ("Text file busy").
///
/// # Errors
/// When it can't be written.
pub fn write_program(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let write = "cat >\"$1\" && chmod 755 \"$1\"";
    let mut writer = std::process::Command::new("sh")
        .args(["-c", write, "sh"])
        .arg(path)
        .stdin(std::process::Stdio::piped())
        .spawn()?;
    writer.stdin.take().context("no stdin")?.write_all(text.as_bytes())?;
    ensure!(writer.wait()?.success(), "cannot write {}", path.display());
    Ok(())
}
