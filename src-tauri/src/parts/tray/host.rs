//! Whether this desktop can show a tray icon, and does.

#[cfg(target_os = "linux")]
pub(crate) use linux::{ALWAYS_SHOWN, usable, watch};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{ALWAYS_SHOWN, usable, watch};

#[cfg(target_os = "linux")]
mod linux {
    use futures_util::StreamExt;
    use tauri::{AppHandle, Manager};
    use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
    use zbus::names::BusName;

    use crate::messages::state::AppState;

    /// A desktop without a watcher shows no icon.
    pub(crate) const ALWAYS_SHOWN: bool = false;

    const WATCHER: &str = "org.kde.StatusNotifierWatcher";
    /// As the tray library looks for them, which panics when it finds none.
    const LIBRARIES: [&str; 2] = ["libayatana-appindicator3.so.1", "libappindicator3.so.1"];

    /// Whether an icon can be built at all.
    ///
    /// # Errors
    /// In words why not.
    pub(crate) fn usable() -> Result<(), String> {
        if LIBRARIES.iter().any(|name| loads(name)) {
            return Ok(());
        }
        Err(format!("neither {} nor {} is installed", LIBRARIES[0], LIBRARIES[1]))
    }

    #[allow(unsafe_code)]
    fn loads(library: &str) -> bool {
        // SAFETY: the initialisers of these libraries only register GObject types; the very same load
        // follows when the icon is built.
        unsafe { libloading::Library::new(library) }.is_ok()
    }

    /// Follows whether there is something on the session bus that shows icons.
    pub(crate) async fn watch(app: AppHandle) {
        if let Err(error) = try_watch(&app).await {
            tracing::warn!("whether the tray icon is shown is unknown: {error}");
        }
    }

    async fn try_watch(app: &AppHandle) -> zbus::Result<()> {
        let connection = zbus::Connection::session().await?;
        let bus = DBusProxy::new(&connection).await?;
        // First the subscription, then the question: nothing is missed between the two.
        let mut changes: NameOwnerChangedStream =
            bus.receive_name_owner_changed_with_args(&[(0, WATCHER)]).await?;
        let there = bus.name_has_owner(BusName::try_from(WATCHER)?).await?;
        set(app, there);
        if !there {
            tracing::info!(
                "this desktop shows no tray icons; closing the window asks whether to quit"
            );
        }
        while let Some(change) = changes.next().await {
            set(app, change.args()?.new_owner().is_some());
        }
        Ok(())
    }

    fn set(app: &AppHandle, there: bool) {
        app.state::<AppState>().set_tray_visible(there);
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use tauri::AppHandle;

    /// These desktops always have a place for it.
    pub(crate) const ALWAYS_SHOWN: bool = true;

    /// It can always be built.
    pub(crate) fn usable() -> Result<(), String> {
        Ok(())
    }

    /// Nothing changes.
    pub(crate) async fn watch(_app: AppHandle) {}
}
