//! What the desktop's toolkit draws for the window (lists that fall open, dialogs, the frame) in the theme that the
//! user chose for the page: its styles don't reach there.

use tauri::AppHandle;
use wakeflash_core::settings::Theme;

/// Takes over the user's choice.
#[cfg(target_os = "linux")]
pub(crate) fn follow(app: &AppHandle, theme: Theme) {
    use std::sync::OnceLock;

    use gtk::prelude::GtkSettingsExt;

    /// What the desktop itself prefers: setting a theme overwrites it.
    static DESKTOP_IS_DARK: OnceLock<bool> = OnceLock::new();

    let asked = app.run_on_main_thread(move || {
        let Some(settings) = gtk::Settings::default() else { return };
        let desktop =
            *DESKTOP_IS_DARK.get_or_init(|| settings.is_gtk_application_prefer_dark_theme());
        let dark = match theme {
            Theme::System => desktop,
            Theme::Light => false,
            Theme::Dark => true,
        };
        if dark != settings.is_gtk_application_prefer_dark_theme() {
            settings.set_gtk_application_prefer_dark_theme(dark);
        }
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
