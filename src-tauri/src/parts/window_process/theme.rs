//! What the desktop's toolkit draws for the window (lists that fall open, dialogs, the frame) in the theme that the
//! user chose for the page: its styles don't reach there.

use std::cell::Cell;

use tauri::AppHandle;
use tauri::window::Color;
use wakeflash_core::settings::Theme;

thread_local! {
    /// The revision of the newest choice. An answer may be looked at after an event that is newer.
    static NEWEST: Cell<u32> = const { Cell::new(0) };
}

/// Takes over the user's choice as it was at a revision, unless a newer one is known.
pub(crate) fn follow(app: &AppHandle, theme: Theme, revision: u32) {
    let on_main = app.clone();
    let asked = app.run_on_main_thread(move || {
        if NEWEST.get() <= revision {
            NEWEST.set(revision);
            toolkit::draw_in(&on_main, theme);
        }
    });
    if let Err(error) = asked {
        tracing::error!("the theme of the window stays as it is: {error}");
    }
}

/// The page's ground (`--bg` in its `app.css`) in the desktop's theme, to be there before the page has drawn it: white
/// would flash up in the dark. `None`: it isn't known here.
pub(crate) fn ground() -> Option<Color> {
    const DARK: Color = Color(0x0e, 0x11, 0x17, 0xff);
    const LIGHT: Color = Color(0xf3, 0xf4, 0xf8, 0xff);
    toolkit::is_dark().map(|dark| if dark { DARK } else { LIGHT })
}

#[cfg(target_os = "linux")]
mod toolkit {
    use std::cell::Cell;

    use gtk::prelude::GtkSettingsExt;
    use tauri::AppHandle;
    use wakeflash_core::settings::Theme;

    /// One setting tells the desktop's theme, and is overwritten with the user's.
    #[derive(Clone, Copy)]
    struct Themes {
        chosen: Theme,
        is_desktop_dark: bool,
    }

    thread_local! {
        /// `None` also while the setting is written here: any other change of it is the desktop's.
        static THEMES: Cell<Option<Themes>> = const { Cell::new(None) };
    }

    pub(super) fn is_dark() -> Option<bool> {
        gtk::Settings::default().map(|settings| settings.is_gtk_application_prefer_dark_theme())
    }

    pub(super) fn draw_in(_app: &AppHandle, chosen: Theme) {
        let Some(settings) = gtk::Settings::default() else { return };
        let is_desktop_dark = THEMES.get().map_or_else(
            || {
                settings.connect_gtk_application_prefer_dark_theme_notify(desktop_changed);
                settings.is_gtk_application_prefer_dark_theme()
            },
            |themes| themes.is_desktop_dark,
        );
        apply(&settings, Themes { chosen, is_desktop_dark });
    }

    fn desktop_changed(settings: &gtk::Settings) {
        let Some(themes) = THEMES.get() else { return };
        let is_desktop_dark = settings.is_gtk_application_prefer_dark_theme();
        THEMES.set(Some(Themes { is_desktop_dark, ..themes }));
        let settings = settings.clone();
        // What is written in the midst of a change is told after it, as if the desktop had changed again.
        gtk::glib::idle_add_local_once(move || {
            if let Some(themes) = THEMES.get() {
                apply(&settings, themes);
            }
        });
    }

    fn apply(settings: &gtk::Settings, themes: Themes) {
        let dark = match themes.chosen {
            Theme::System => themes.is_desktop_dark,
            Theme::Light => false,
            Theme::Dark => true,
        };
        THEMES.set(None);
        if dark != settings.is_gtk_application_prefer_dark_theme() {
            settings.set_gtk_application_prefer_dark_theme(dark);
        }
        THEMES.set(Some(themes));
    }
}

#[cfg(not(target_os = "linux"))]
mod toolkit {
    use tauri::AppHandle;
    use wakeflash_core::settings::Theme;

    pub(super) fn is_dark() -> Option<bool> {
        None
    }

    pub(super) fn draw_in(app: &AppHandle, chosen: Theme) {
        app.set_theme(match chosen {
            Theme::System => None,
            Theme::Light => Some(tauri::Theme::Light),
            Theme::Dark => Some(tauri::Theme::Dark),
        });
    }
}
