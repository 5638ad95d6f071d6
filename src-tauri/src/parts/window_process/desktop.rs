//! What is asked of the desktop: its dialogs, and the programs that open files.

use std::path::{Path, PathBuf};

use tauri::{AppHandle, Manager};
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::request::EngineRequest;
use wakeflash_core::update::UpdateId;
use wakeflash_core::view::BuiltImage;
use wakeflash_engine::configs;

use super::dialog::{Question, ask};
use super::remote::Remote;
use crate::means::paths::Paths;
use crate::messages::wire::ShellRequest;

/// The files that may be opened: text that the desktop shows in an editor, nothing that it would run.
const TEXTS: [&str; 4] = ["yaml", "yml", "log", "txt"];

/// How long the file manager has to open.
#[cfg(target_os = "linux")]
const FILE_MANAGER: std::time::Duration = std::time::Duration::from_secs(3);

/// How long a failure of the desktop's launcher is waited for. What opens a file may run on, so that there is nothing
/// to wait for when all is well; a shell script like `xdg-open` takes its time to fail.
const LAUNCHER: std::time::Duration = std::time::Duration::from_secs(3);

/// Lets the user choose a directory; `None`: they changed their mind.
///
/// # Errors
/// The chosen directory's name isn't text, or no dialog can be shown.
pub(crate) async fn choose_directory(
    app: &AppHandle,
    title: String,
) -> Result<Option<String>, Problem> {
    let Some(path) = ask(app, Question::Directory { title })
        .await
        .map_err(|problem| problem.with_help("Type the directory's path instead."))?
    else {
        return Ok(None);
    };
    let text = path.into_os_string().into_string().map_err(|_| {
        Problem::new("config.name", "The name of that directory contains bytes that aren't text.")
            .with_help("Rename it, or choose another one.")
    })?;
    Ok(Some(text))
}

/// Lets the user save a build log as plain text; where, or `None`: they changed their mind.
///
/// # Errors
/// There is no log, no dialog can be shown, or the file can't be written.
pub(crate) async fn save_log(app: &AppHandle, update: UpdateId) -> Result<Option<String>, Problem> {
    let text: Option<String> = app.state::<Remote>().ask(ShellRequest::LogText { update }).await?;
    let Some(text) = text else {
        return Err(Problem::new("log.none", "There is no log of this update any more."));
    };
    let name = format!("wakeflash-build-{update}.log");
    let Some(path) = ask(app, Question::Save { name }).await? else { return Ok(None) };
    let shown = path.display().to_string();
    let written = tokio::task::spawn_blocking(move || std::fs::write(path, text)).await;
    let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    written.map_err(|error| {
        Problem::new("log.not_saved", format!("The log can't be saved: {error}."))
            .with_help("Choose another place.")
    })?;
    Ok(Some(shown))
}

/// Lets the user save a copy of a built image; where, or `None`: they changed their mind.
///
/// # Errors
/// There is no image, no dialog can be shown, or the file can't be written.
pub(crate) async fn save_image(
    app: &AppHandle,
    device: DeviceId,
) -> Result<Option<String>, Problem> {
    let remote = app.state::<Remote>();
    let BuiltImage { path: source, name } =
        remote.ask(EngineRequest::BuiltImage { device }).await?;
    let Some(path) = ask(app, Question::Save { name }).await? else { return Ok(None) };
    let shown = path.display().to_string();
    tokio::fs::copy(source, path).await.map_err(|error| {
        Problem::new("image.not_saved", format!("The image can't be saved: {error}."))
            .with_help("Choose another place.")
    })?;
    Ok(Some(shown))
}

/// Lets the user save a table; where, or `None`: they changed their mind.
///
/// # Errors
/// No dialog can be shown, or the file can't be written.
pub(crate) async fn save_csv(app: &AppHandle, text: String) -> Result<Option<String>, Problem> {
    let name = "wakeflash-activity.csv".to_owned();
    let Some(path) = ask(app, Question::Save { name }).await? else { return Ok(None) };
    let shown = path.display().to_string();
    let written = tokio::task::spawn_blocking(move || std::fs::write(path, text)).await;
    let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    written.map_err(|error| {
        Problem::new("activity.not_saved", format!("The table can't be saved: {error}."))
            .with_help("Choose another place.")
    })?;
    Ok(Some(shown))
}

/// Opens a device's YAML file in the desktop's editor.
///
/// # Errors
/// The device has no file, it is gone, or the desktop has no program for it.
pub(crate) async fn open_yaml(app: &AppHandle, device: &DeviceId) -> Result<(), Problem> {
    let path = configs::config_path(&config_dir(app).await?, device)?;
    open(move || configuration(path)).await
}

/// Opens the config directory in the desktop's file manager, with a device at its file.
///
/// # Errors
/// There is no config directory, or the desktop has no program for it.
pub(crate) async fn open_folder(app: &AppHandle, device: Option<&DeviceId>) -> Result<(), Problem> {
    let dir = config_dir(app).await?;
    #[cfg(target_os = "linux")]
    if let Some(device) = device {
        let path = configs::config_path(&dir, device)?;
        match tokio::time::timeout(FILE_MANAGER, show_in_file_manager(&path)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => tracing::debug!("no file manager shows a file: {error}"),
            Err(_) => tracing::debug!("the file manager doesn't answer"),
        }
    }
    #[cfg(not(target_os = "linux"))]
    drop(device);
    open_path(app, dir).await
}

/// Asks whatever file manager there is to show a file in its folder.
#[cfg(target_os = "linux")]
async fn show_in_file_manager(path: &Path) -> zbus::Result<()> {
    const NAME: &str = "org.freedesktop.FileManager1";
    let uri = tauri::Url::from_file_path(path)
        .map_err(|()| zbus::Error::Failure("the path isn't absolute".to_owned()))?;
    let connection = zbus::Connection::session().await?;
    let arguments = (vec![uri.as_str()], "");
    let path = "/org/freedesktop/FileManager1";
    connection.call_method(Some(NAME), path, Some(NAME), "ShowItems", &arguments).await.map(drop)
}

async fn config_dir(app: &AppHandle) -> Result<PathBuf, Problem> {
    let dir: Option<PathBuf> = app.state::<Remote>().ask(ShellRequest::ConfigDir {}).await?;
    dir.ok_or_else(|| {
        Problem::new("config_dir.unset", "No config directory is chosen yet.")
            .with_help("Choose the directory that your YAML files lie in.")
    })
}

/// Opens the log directory, the config directory, or a text file in one of them.
///
/// # Errors
/// The path is none of these, or the desktop has no program for it.
pub(crate) async fn open_path(app: &AppHandle, path: PathBuf) -> Result<(), Problem> {
    let mut allowed = vec![app.state::<Paths>().log_dir()];
    match config_dir(app).await {
        Ok(dir) => allowed.push(dir),
        // The log says why when the engine didn't start; nothing else is to be opened then.
        Err(problem) => tracing::debug!("there is no config directory: {problem}"),
    }
    open(move || openable(&path, &allowed)).await
}

/// Opens what may be opened with the desktop's program for it.
async fn open(
    allowed: impl FnOnce() -> Result<PathBuf, Problem> + Send + 'static,
) -> Result<(), Problem> {
    let opened = tokio::task::spawn_blocking(move || {
        open::that_detached_with_timeout(allowed()?, LAUNCHER).map_err(|error| cannot_open(&error))
    });
    opened.await.map_err(|error| cannot_open(&error))?
}

fn cannot_open(error: &dyn std::error::Error) -> Problem {
    tracing::error!("opening a file failed: {error}");
    Problem::new("open.failed", "The desktop has no program that opens this.")
}

fn gone() -> Problem {
    Problem::new("open.missing", "That file or directory is gone.")
}

/// The path of a device's configuration, as the user sees it in the directory: a link there is the user's own, wherever
/// it leads, and listed and built like a file. What it leads to is shown as what its name in the directory says.
fn configuration(path: PathBuf) -> Result<PathBuf, Problem> {
    if path.is_file() { Ok(path) } else { Err(gone()) }
}

/// The real path, when it may be opened. Symbolic links are followed before it is compared.
fn openable(path: &Path, allowed: &[PathBuf]) -> Result<PathBuf, Problem> {
    let refused = || Problem::new("open.refused", "Wakeflash doesn't open that path.");
    let path = path.canonicalize().map_err(|_| gone())?;
    let inside = allowed
        .iter()
        .filter_map(|dir| dir.canonicalize().ok())
        .any(|dir| if path.is_dir() { path == dir } else { path.starts_with(&dir) });
    let harmless = path.is_dir()
        || (path.is_file()
            && path.extension().is_some_and(|end| TEXTS.iter().any(|text| end == *text)));
    if inside && harmless { Ok(path) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directories_and_texts_in_them_are_opened() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        let allowed = base.join("config");
        std::fs::create_dir_all(allowed.join("sub")).unwrap();
        for file in ["config/a.yaml", "config/run.desktop", "config/run.sh", "secret.yaml"] {
            std::fs::write(base.join(file), "").unwrap();
        }
        let open = |path: &str| openable(&base.join(path), std::slice::from_ref(&allowed)).is_ok();
        assert!(open("config"));
        assert!(open("config/a.yaml"));
        for refused in [
            "config/run.desktop",
            "config/run.sh",
            "secret.yaml",
            "",
            "config/../secret.yaml",
            "config/sub",
            "config/gone.yaml",
        ] {
            assert!(!open(refused), "{refused:?}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_link_does_not_lead_out_unless_it_is_a_device_s_configuration() {
        let base = tempfile::tempdir().unwrap();
        let allowed = base.path().join("config");
        std::fs::create_dir(&allowed).unwrap();
        std::fs::write(base.path().join("secret.yaml"), "").unwrap();
        std::os::unix::fs::symlink(base.path().join("secret.yaml"), allowed.join("a.yaml"))
            .unwrap();
        assert_eq!(
            openable(&allowed.join("a.yaml"), std::slice::from_ref(&allowed)).unwrap_err().code,
            "open.refused"
        );
        // A device's own configuration may lie anywhere.
        let listed = configs::config_path(&allowed, &DeviceId::of_file("a.yaml")).unwrap();
        assert_eq!(configuration(listed), Ok(allowed.join("a.yaml")));
        let gone = configs::config_path(&allowed, &DeviceId::of_file("b.yaml")).unwrap();
        assert_eq!(configuration(gone).unwrap_err().code, "open.missing");
    }
}
