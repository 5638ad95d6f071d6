//! What is asked of the desktop: its file chooser, and the programs that open files.

use std::path::{Path, PathBuf};

use gtk::prelude::{FileChooserExt, NativeDialogExt, NativeDialogExtManual};
use tauri::{AppHandle, Manager};
use tokio::sync::oneshot;
use wakeflash_core::error::Problem;
use wakeflash_core::view::ConfigDirStatus;

use crate::state::AppState;

/// The files that may be opened: text that the desktop shows in an editor, nothing that it would run.
const TEXTS: [&str; 4] = ["yaml", "yml", "log", "txt"];

/// Lets the user choose a directory; `None`: they changed their mind.
///
/// # Errors
/// The chosen directory's name isn't text, or no dialog can be shown.
pub(crate) async fn choose_directory(
    app: &AppHandle,
    title: String,
) -> Result<Option<String>, Problem> {
    let (answer, chosen) = oneshot::channel();
    let on_main = app.clone();
    app.run_on_main_thread(move || {
        gtk::glib::MainContext::default().spawn_local(ask_for_directory(on_main, title, answer));
    })
    .map_err(|error| {
        tracing::error!("no dialog can be shown: {error}");
        Problem::new("window.dialog", "The desktop shows no dialog.")
            .with_help("Type the directory's path instead.")
    })?;
    // The sender goes unused when the window is closed meanwhile.
    let Ok(Some(path)) = chosen.await else { return Ok(None) };
    let text = path.into_os_string().into_string().map_err(|_| {
        Problem::new("config.name", "The name of that directory contains bytes that aren't text.")
            .with_help("Rename it, or choose another one.")
    })?;
    Ok(Some(text))
}

/// On the main thread: GTK may be used from one thread only, and the window is on that one.
async fn ask_for_directory(
    app: AppHandle,
    title: String,
    answer: oneshot::Sender<Option<PathBuf>>,
) {
    let parent = app.get_webview_window("main").and_then(|window| window.gtk_window().ok());
    let dialog = gtk::FileChooserNative::new(
        Some(&title),
        parent.as_ref(),
        gtk::FileChooserAction::SelectFolder,
        None,
        None,
    );
    dialog.set_modal(true);
    let accepted = dialog.run_future().await == gtk::ResponseType::Accept;
    let chosen = if accepted { dialog.filename() } else { None };
    dialog.destroy();
    if answer.send(chosen).is_err() {
        tracing::debug!("nobody waits for the chosen directory any more");
    }
}

/// Opens the log directory, the config directory, or a text file in one of them.
///
/// # Errors
/// The path is none of these, or the desktop has no program for it.
pub(crate) async fn open_path(app: &AppState, path: PathBuf) -> Result<(), Problem> {
    let mut allowed = vec![app.paths.log_dir()];
    // The log says why when the engine didn't start; nothing else is to be opened then.
    if let Ok(engine) = app.engine() {
        match engine.snapshot().await?.status.config_dir {
            ConfigDirStatus::Unset => {}
            ConfigDirStatus::Reading { path }
            | ConfigDirStatus::Ready { path }
            | ConfigDirStatus::Unreadable { path, .. } => allowed.push(path.into()),
        }
    }
    let path = tokio::task::spawn_blocking(move || openable(&path, &allowed))
        .await
        .map_err(|error| cannot_open(&error))??;
    open::that_detached(path).map_err(|error| cannot_open(&error))
}

fn cannot_open(error: &dyn std::error::Error) -> Problem {
    tracing::error!("opening a file failed: {error}");
    Problem::new("open.failed", "The desktop has no program that opens this.")
}

/// The real path, when it may be opened. Symbolic links are followed before it is compared.
fn openable(path: &Path, allowed: &[PathBuf]) -> Result<PathBuf, Problem> {
    let refused = || Problem::new("open.refused", "Wakeflash doesn't open that path.");
    let path = path
        .canonicalize()
        .map_err(|_| Problem::new("open.missing", "That file or directory is gone."))?;
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
    fn a_link_does_not_lead_out() {
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
    }
}
