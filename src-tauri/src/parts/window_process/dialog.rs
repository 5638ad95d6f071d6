//! The desktop's own dialogs for files and directories.

#[cfg(target_os = "linux")]
pub(super) use linux::ask;
#[cfg(not(target_os = "linux"))]
pub(super) use other::ask;

/// What a dialog asks for.
pub(super) enum Question {
    Directory { title: String },
    Save { name: String },
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::PathBuf;

    use gtk::prelude::{FileChooserExt, NativeDialogExt, NativeDialogExtManual};
    use tauri::{AppHandle, Manager};
    use tokio::sync::oneshot;
    use wakeflash_core::error::Problem;

    use super::Question;
    use crate::parts::window_process::MAIN;

    /// Asks with the desktop's own dialog; `None`: the user changed their mind.
    pub(crate) async fn ask(
        app: &AppHandle,
        question: Question,
    ) -> Result<Option<PathBuf>, Problem> {
        let (answer, chosen) = oneshot::channel();
        let on_main = app.clone();
        app.run_on_main_thread(move || {
            gtk::glib::MainContext::default().spawn_local(ask_on_main(on_main, question, answer));
        })
        .map_err(|error| {
            tracing::error!("no dialog can be shown: {error}");
            Problem::new("window.dialog", "The desktop shows no dialog.")
        })?;
        // The sender goes unused when the window is closed meanwhile.
        Ok(chosen.await.unwrap_or_default())
    }

    /// On the main thread: GTK may be used from one thread only, and the window is on that one.
    async fn ask_on_main(
        app: AppHandle,
        question: Question,
        answer: oneshot::Sender<Option<PathBuf>>,
    ) {
        let parent = app.get_webview_window(MAIN).and_then(|window| window.gtk_window().ok());
        let (title, action) = match &question {
            Question::Directory { title } => {
                (Some(title.as_str()), gtk::FileChooserAction::SelectFolder)
            }
            Question::Save { .. } => (None, gtk::FileChooserAction::Save),
        };
        let dialog = gtk::FileChooserNative::new(title, parent.as_ref(), action, None, None);
        if let Question::Save { name } = &question {
            dialog.set_current_name(name);
            dialog.set_do_overwrite_confirmation(true);
        }
        dialog.set_modal(true);
        let accepted = dialog.run_future().await == gtk::ResponseType::Accept;
        let chosen = if accepted { dialog.filename() } else { None };
        dialog.destroy();
        if answer.send(chosen).is_err() {
            tracing::debug!("nobody waits for what was chosen any more");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::path::PathBuf;

    use tauri::AppHandle;
    use wakeflash_core::error::Problem;

    use super::Question;

    /// There is none yet: paths are typed.
    pub(crate) async fn ask(_app: &AppHandle, _: Question) -> Result<Option<PathBuf>, Problem> {
        Err(Problem::new("window.dialog", "The desktop shows no dialog."))
    }
}
