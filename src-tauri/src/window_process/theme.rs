//! What the desktop's toolkit draws for the window (lists that fall open, dialogs, the frame) in the theme that the
//! user chose for the page: its styles don't reach there.

use tauri::AppHandle;
use wakeflash_core::settings::Theme;

/// Takes over the user's choice.
#[cfg(target_os = "linux")]
pub(crate) fn follow(app: &AppHandle, theme: Theme) {
    use std::cell::Cell;

    use gtk::prelude::GtkSettingsExt;

    thread_local! {
        /// Whether the desktop prefers dark, which setting a theme overwrites, and what was set here.
        static DESKTOP_AND_OURS: Cell<Option<(bool, bool)>> = const { Cell::new(None) };
    }

    let asked = app.run_on_main_thread(move || {
        let Some(settings) = gtk::Settings::default() else { return };
        let current = settings.is_gtk_application_prefer_dark_theme();
        // The toolkit follows the desktop: what wasn't set here is what the desktop prefers by now.
        let desktop = DESKTOP_AND_OURS
            .get()
            .filter(|(_, ours)| *ours == current)
            .map_or(current, |(desktop, _)| desktop);
        let dark = match theme {
            Theme::System => desktop,
            Theme::Light => false,
            Theme::Dark => true,
        };
        if dark != current {
            settings.set_gtk_application_prefer_dark_theme(dark);
        }
        DESKTOP_AND_OURS.set(Some((desktop, dark)));
    });
    if let Err(error) = asked {
        tracing::error!("the theme of the window stays as it is: {error}");
    }
}

/// Takes over the user's choice.
#[cfg(not(target_os = "linux"))]
pub(crate) fn follow(app: &AppHandle, theme: Theme) {
    app.set_theme(match theme {
        Theme::System => None,
        Theme::Light => Some(tauri::Theme::Light),
        Theme::Dark => Some(tauri::Theme::Dark),
    });
}
