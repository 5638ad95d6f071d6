//! Where this program is.

use std::io;
use std::path::PathBuf;

/// What Linux adds to the path of a program that runs and isn't there any more.
#[cfg(target_os = "linux")]
const DELETED: &str = " (deleted)";

/// The program that runs, also when an upgrade has put another one in its place: both ends of the pipes must be of
/// the same version.
#[cfg(target_os = "linux")]
#[allow(clippy::unnecessary_wraps, reason = "the same signature as elsewhere")]
pub(crate) fn running() -> io::Result<PathBuf> {
    Ok("/proc/self/exe".into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn running() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// The program that the next start runs: where this one was installed, also when an upgrade has put another one there.
///
/// # Errors
/// The system doesn't say where this one is.
pub(crate) fn installed() -> io::Result<PathBuf> {
    let here = std::env::current_exe()?;
    // An AppImage runs from a mount point that is another one each time. Whatever it starts inherits the variables.
    match (std::env::var_os("APPIMAGE"), std::env::var_os("APPDIR")) {
        (Some(image), Some(mounted)) if here.starts_with(&mounted) => Ok(image.into()),
        _ => Ok(as_installed(here)),
    }
}

#[cfg(target_os = "linux")]
fn as_installed(path: PathBuf) -> PathBuf {
    let installed = path.to_str().and_then(|path| path.strip_suffix(DELETED)).map(PathBuf::from);
    installed.filter(|_| !path.exists()).unwrap_or(path)
}

#[cfg(not(target_os = "linux"))]
fn as_installed(path: PathBuf) -> PathBuf {
    path
}

/// Whether another start of the application shows its window: the two meet on the session bus.
#[cfg(target_os = "linux")]
pub(crate) async fn told_of_other_starts() -> bool {
    zbus::Connection::session().await.is_ok()
}

/// Whether another start of the application shows its window.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unused_async, reason = "the same signature as on Linux")]
pub(crate) async fn told_of_other_starts() -> bool {
    true
}

/// What `tauri.conf.json` says, and the files of the page.
pub(crate) fn context() -> tauri::Context {
    tauri::generate_context!()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("wakeflash (deleted)");
        assert_eq!(as_installed(odd.clone()), dir.path().join("wakeflash"));
        std::fs::write(&odd, "").unwrap();
        assert_eq!(as_installed(odd.clone()), odd, "that is its name");
        assert_eq!(as_installed("/usr/bin/wakeflash".into()), PathBuf::from("/usr/bin/wakeflash"));
    }
}
