//! What is asked of the desktop: its file chooser, and the programs that open files.

use std::path::{Path, PathBuf};

use tauri::{AppHandle, Manager};
use wakeflash_core::error::Problem;
use wakeflash_core::view::ConfigDirStatus;

use crate::state::AppState;

/// The files that may be opened: text that the desktop shows in an editor, nothing that it would run.
const TEXTS: [&str; 4] = ["yaml", "yml", "log", "txt"];

/// Lets the user choose a directory; `None`: they changed their mind.
///
/// # Errors
/// The chosen directory's name isn't text.
pub(crate) async fn choose_directory(
    app: &AppHandle,
    title: String,
) -> Result<Option<String>, Problem> {
    let mut dialog = rfd::AsyncFileDialog::new().set_title(title);
    if let Some(window) = app.get_webview_window("main") {
        dialog = dialog.set_parent(&window);
    }
    let Some(chosen) = dialog.pick_folder().await else { return Ok(None) };
    let text = chosen.path().to_str().ok_or_else(|| {
        Problem::new("config.name", "The name of that directory contains bytes that aren't text.")
            .with_help("Rename it, or choose another one.")
    })?;
    Ok(Some(text.to_owned()))
}

/// Opens the log directory, the config directory, or a text file in one of them.
///
/// # Errors
/// The path is none of these, or the desktop has no program for it.
pub(crate) async fn open_path(app: &AppState, path: PathBuf) -> Result<(), Problem> {
    let mut allowed = vec![app.paths.log_dir()];
    let status = app.engine()?.snapshot().await?.status.config_dir;
    match status {
        ConfigDirStatus::Unset => {}
        ConfigDirStatus::Reading { path }
        | ConfigDirStatus::Ready { path }
        | ConfigDirStatus::Unreadable { path, .. } => allowed.push(path.into()),
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
