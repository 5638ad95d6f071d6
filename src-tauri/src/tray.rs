//! The tray icon. What it shows is computed in the core; here it is drawn.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tauri::image::Image;
use tauri::menu::{Menu, MenuBuilder, MenuEvent, MenuItemBuilder};
use tauri::tray::{TrayIcon, TrayIconBuilder, TrayIconEvent};
use tauri::{AppHandle, Manager, Wry};
use tokio::sync::broadcast::error::RecvError;
use wakeflash_core::tray::{TrayIcon as Picture, TrayView, concerns_tray, tray_view};
use wakeflash_engine::handle::Handle;

use crate::state::AppState;
use crate::{tray_host, window};

const OPEN: &str = "open";
const QUIT: &str = "quit";
/// How long changes are gathered before the tray is drawn again.
const GATHER: Duration = Duration::from_millis(200);

/// The tray icon.
pub(crate) struct Tray {
    icon: TrayIcon<Wry>,
    shown: Mutex<TrayView>,
    hosted: AtomicBool,
}

impl Tray {
    /// Whether the desktop shows it.
    pub(crate) fn visible(&self) -> bool {
        self.hosted.load(Ordering::Relaxed)
    }

    /// Remembers whether the desktop shows it.
    pub(crate) fn set_visible(&self, visible: bool) {
        self.hosted.store(visible, Ordering::Relaxed);
    }

    /// Draws what has changed. On the main thread only.
    fn show(&self, app: &AppHandle, view: TrayView) -> tauri::Result<()> {
        let mut shown = match self.shown.lock() {
            Ok(shown) => shown,
            Err(poisoned) => poisoned.into_inner(),
        };
        if view.icon != shown.icon {
            self.icon.set_icon(Some(picture(view.icon)?))?;
        }
        if view.title != shown.title {
            // The label stands beside the icon, where the desktop shows labels at all.
            self.icon.set_title(Some(view.title.as_deref().unwrap_or_default()))?;
        }
        if (&view.summary, &view.waiting) != (&shown.summary, &shown.waiting) {
            self.icon.set_menu(Some(menu(app, &view)?))?;
        }
        if view != *shown {
            self.icon.set_tooltip(Some(format!("Wakeflash: {}", view.summary)))?;
        }
        *shown = view;
        Ok(())
    }
}

/// Builds the tray icon where that is possible; on the main thread only. Without one the application works.
pub(crate) fn build(app: &AppHandle, first: TrayView) -> Option<Tray> {
    if let Err(reason) = tray_host::usable() {
        tracing::warn!("there is no tray icon: {reason}");
        return None;
    }
    match try_build(app, &first) {
        Ok(icon) => Some(Tray {
            icon,
            shown: Mutex::new(first),
            hosted: AtomicBool::new(tray_host::ALWAYS_SHOWN),
        }),
        Err(error) => {
            tracing::warn!("there is no tray icon: {error}");
            None
        }
    }
}

fn try_build(app: &AppHandle, view: &TrayView) -> tauri::Result<TrayIcon<Wry>> {
    TrayIconBuilder::with_id("wakeflash")
        .icon(picture(view.icon)?)
        // Of this copy only: the pictures of two copies would overwrite each other.
        .temp_dir_path(app.state::<AppState>().paths.tray_dir())
        .title(view.title.as_deref().unwrap_or_default())
        .tooltip("Wakeflash")
        .menu(&menu(app, view)?)
        .show_menu_on_left_click(false)
        .on_menu_event(chosen)
        .on_tray_icon_event(|icon, event| {
            if let TrayIconEvent::DoubleClick { .. } = event {
                window::show(icon.app_handle());
            }
        })
        .build(app)
}

fn chosen(app: &AppHandle, event: MenuEvent) {
    match event.id().as_ref() {
        OPEN => window::show(app),
        QUIT => app.exit(0),
        other => tracing::warn!("the tray menu has no item {other:?}"),
    }
}

fn menu(app: &AppHandle, view: &TrayView) -> tauri::Result<Menu<Wry>> {
    let mut menu = MenuBuilder::new(app);
    for line in std::iter::once(&view.summary).chain(&view.waiting) {
        // An ampersand would mark the next letter as the item's shortcut.
        let line = line.replace('&', "&&");
        menu = menu.item(&MenuItemBuilder::new(line).enabled(false).build(app)?);
    }
    menu.separator().text(OPEN, "Open Wakeflash").text(QUIT, "Quit").build()
}

fn picture(which: Picture) -> tauri::Result<Image<'static>> {
    Image::from_bytes(match which {
        Picture::Idle => include_bytes!("../../icons/tray-idle.png"),
        Picture::Waiting => include_bytes!("../../icons/tray-waiting.png"),
        Picture::Working => include_bytes!("../../icons/tray-working.png"),
        Picture::Attention => include_bytes!("../../icons/tray-attention.png"),
    })
}

/// Keeps the tray icon up to date until the engine ends.
pub(crate) async fn follow(app: AppHandle, engine: Handle) {
    let mut events = engine.subscribe();
    loop {
        match engine.snapshot().await {
            Ok(snapshot) => draw(&app, tray_view(&snapshot)),
            Err(problem) => return tracing::debug!("the tray icon stays as it is: {problem}"),
        }
        loop {
            match events.recv().await {
                Ok(envelope) if !concerns_tray(&envelope.event) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return,
            }
        }
        tokio::time::sleep(GATHER).await;
        // What happened meanwhile is in the snapshot that is asked for next.
        events = engine.subscribe();
    }
}

fn draw(app: &AppHandle, view: TrayView) {
    let on_main = app.clone();
    let asked = app.run_on_main_thread(move || {
        let state = on_main.state::<AppState>();
        let Some(tray) = state.tray() else { return };
        if let Err(error) = tray.show(&on_main, view) {
            tracing::error!("the tray icon can't be drawn: {error}");
        }
    });
    if let Err(error) = asked {
        tracing::error!("the tray icon can't be drawn: {error}");
    }
}
