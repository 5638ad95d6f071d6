//! The tray icon. What it shows is computed in the core; here it is drawn.

mod host;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tauri::image::Image;
use tauri::menu::{Menu, MenuBuilder, MenuEvent, MenuItem, MenuItemBuilder};
use tauri::tray::{TrayIcon, TrayIconBuilder, TrayIconEvent};
use tauri::{AppHandle, Manager, Wry};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use wakeflash_core::time::Timestamp;
use wakeflash_core::tray::{
    MenuChange, TrayAction, TrayIcon as Picture, TrayItem, TrayView, concerns_tray, holds_for,
    menu_change, tray_view,
};
use wakeflash_core::view::Envelope;
use wakeflash_engine::handle::{Asked, Handle};

use crate::means::language;
use crate::messages::events::OpenDevice;
use crate::messages::state::AppState;
use crate::messages::window::Message;

pub(crate) use host::watch;

/// How long changes are gathered before the tray is drawn again.
const GATHER: Duration = Duration::from_millis(200);

/// What the icon and its menu show.
struct Shown {
    view: TrayView,
    lines: Lines,
}

/// The tray icon.
struct Tray {
    icon: TrayIcon<Wry>,
    shown: Shared,
}

/// The menu's clicks are understood by it, too.
type Shared = Arc<Mutex<Shown>>;

fn lock(shown: &Shared) -> MutexGuard<'_, Shown> {
    match shown.lock() {
        Ok(shown) => shown,
        Err(poisoned) => poisoned.into_inner(),
    }
}

impl Shown {
    /// What a line of the menu does.
    fn action(&self, line: &str) -> Option<TrayAction> {
        self.view.menu.iter().find_map(|item| match item {
            TrayItem::Line(_, action) if key(action) == line => Some(action.clone()),
            TrayItem::Line(..) | TrayItem::Text(_) | TrayItem::Separator => None,
        })
    }
}

impl Tray {
    /// Draws what has changed. On the main thread only.
    fn show(&self, app: &AppHandle, view: TrayView) -> tauri::Result<()> {
        let mut shown = lock(&self.shown);
        if view.icon != shown.view.icon {
            self.icon.set_icon(Some(picture(view.icon)?))?;
        }
        if view.title != shown.view.title {
            // The label stands beside the icon, where the desktop shows labels at all.
            self.icon.set_title(Some(view.title.as_deref().unwrap_or_default()))?;
        }
        match menu_change(&shown.view.menu, &view.menu) {
            MenuChange::Texts(texts) => {
                for (place, text) in texts {
                    if let Some(Some(line)) = shown.lines.get(place) {
                        line.set_text(plain(&text))?;
                    }
                }
            }
            MenuChange::Rebuild => {
                let (menu, lines) = menu(app, &view)?;
                self.icon.set_menu(Some(menu))?;
                shown.lines = lines;
            }
        }
        shown.view.menu.clone_from(&view.menu);
        if view.tooltip != shown.view.tooltip {
            self.icon.set_tooltip(Some(&view.tooltip))?;
        }
        shown.view = view;
        Ok(())
    }
}

/// Builds the tray icon where that is possible, and says whether it is; on the main thread only. Without one the
/// application works.
pub(crate) fn build(app: &AppHandle, first: TrayView) -> bool {
    if let Err(reason) = host::usable() {
        tracing::warn!("there is no tray icon: {reason}");
        return false;
    }
    match try_build(app, first) {
        Ok(tray) => {
            app.state::<AppState>().set_tray_visible(host::ALWAYS_SHOWN);
            // Kept to the end: it may be dropped on the main thread only.
            app.manage(tray)
        }
        Err(error) => {
            tracing::warn!("there is no tray icon: {error}");
            false
        }
    }
}

fn try_build(app: &AppHandle, view: TrayView) -> tauri::Result<Tray> {
    let (menu, lines) = menu(app, &view)?;
    let builder = TrayIconBuilder::with_id("wakeflash")
        .icon(picture(view.icon)?)
        // Of this copy only: the pictures of two copies would overwrite each other.
        .temp_dir_path(app.state::<AppState>().paths.tray_dir())
        .title(view.title.as_deref().unwrap_or_default())
        .tooltip("Wakeflash")
        .menu(&menu)
        .show_menu_on_left_click(false);
    let shown = Arc::new(Mutex::new(Shown { view, lines }));
    let clicked = Arc::clone(&shown);
    let icon = builder
        .on_menu_event(move |app, event| chosen(app, &clicked, &event))
        .on_tray_icon_event(|icon, event| {
            if let TrayIconEvent::DoubleClick { .. } = event {
                icon.app_handle().state::<AppState>().window.show();
            }
        })
        .build(app)?;
    Ok(Tray { icon, shown })
}

fn chosen(app: &AppHandle, shown: &Shared, event: &MenuEvent) {
    let state = app.state::<AppState>();
    let action = lock(shown).action(event.id().as_ref());
    match action {
        Some(TrayAction::Open) => state.window.show(),
        Some(TrayAction::Quit) => state.window.quit(app),
        Some(TrayAction::OpenDevice(device)) => {
            let open = OpenDevice { device, show_log: false };
            state.window.tell(Message::Open(open));
        }
        Some(TrayAction::Pause) => set_paused(app, true),
        Some(TrayAction::Resume) => set_paused(app, false),
        // The line was there a moment ago.
        None => tracing::debug!("the tray menu has no line {:?} any more", event.id().as_ref()),
    }
}

fn set_paused(app: &AppHandle, paused: bool) {
    let Ok(engine) = app.state::<AppState>().engine().cloned() else { return };
    tauri::async_runtime::spawn(async move {
        if let Err(problem) = engine.ask(|reply| Asked::SetPaused { paused, reply }).await {
            tracing::error!("pausing by the tray's menu: {problem}");
        }
    });
}

/// Names a line of the menu; a menu that was opened before a change still means what it said.
fn key(action: &TrayAction) -> String {
    match action {
        TrayAction::Open => "open".to_owned(),
        TrayAction::Quit => "quit".to_owned(),
        TrayAction::Pause => "pause".to_owned(),
        TrayAction::Resume => "resume".to_owned(),
        TrayAction::OpenDevice(device) => format!("device:{device}"),
    }
}

/// The items of a menu in its order; `None`: a line without a text.
type Lines = Vec<Option<MenuItem<Wry>>>;

fn menu(app: &AppHandle, view: &TrayView) -> tauri::Result<(Menu<Wry>, Lines)> {
    let (mut menu, mut lines) = (MenuBuilder::new(app), Lines::new());
    for item in &view.menu {
        let line = match item {
            TrayItem::Text(text) => Some(MenuItemBuilder::new(plain(text)).enabled(false)),
            // Two lines may lead to the same place; Tauri wants other names for them, which nobody reads.
            TrayItem::Line(text, action) => {
                Some(MenuItemBuilder::with_id(key(action), plain(text)))
            }
            TrayItem::Separator => None,
        };
        let line = line.map(|line| line.build(app)).transpose()?;
        menu = match &line {
            Some(line) => menu.item(line),
            None => menu.separator(),
        };
        lines.push(line);
    }
    Ok((menu.build()?, lines))
}

/// An ampersand would mark the next letter as the item's shortcut.
fn plain(text: &str) -> String {
    text.replace('&', "&&")
}

fn picture(which: Picture) -> tauri::Result<Image<'static>> {
    Image::from_bytes(match which {
        Picture::Idle => include_bytes!("../../../icons/tray/idle.png"),
        Picture::Waiting(count) => match count {
            0 | 1 => include_bytes!("../../../icons/tray/waiting-1.png"),
            2 => include_bytes!("../../../icons/tray/waiting-2.png"),
            3 => include_bytes!("../../../icons/tray/waiting-3.png"),
            4 => include_bytes!("../../../icons/tray/waiting-4.png"),
            5 => include_bytes!("../../../icons/tray/waiting-5.png"),
            6 => include_bytes!("../../../icons/tray/waiting-6.png"),
            7 => include_bytes!("../../../icons/tray/waiting-7.png"),
            8 => include_bytes!("../../../icons/tray/waiting-8.png"),
            9 => include_bytes!("../../../icons/tray/waiting-9.png"),
            10.. => include_bytes!("../../../icons/tray/waiting-more.png"),
        },
        Picture::Working => include_bytes!("../../../icons/tray/working.png"),
        Picture::Attention => include_bytes!("../../../icons/tray/attention.png"),
    })
}

/// Keeps the tray icon up to date until the engine ends.
pub(crate) async fn follow(app: AppHandle, engine: Handle) {
    let mut events = engine.subscribe();
    loop {
        let holds = match engine.snapshot().await {
            Ok(snapshot) => {
                let (lang, now) = (language::of(snapshot.settings.language), now());
                draw(&app, tray_view(&snapshot, lang, now));
                holds_for(&snapshot, now)
            }
            Err(problem) => return tracing::debug!("the tray icon stays as it is: {problem}"),
        };
        if !changed(&mut events, holds).await {
            return;
        }
        tokio::time::sleep(GATHER).await;
        // What happened meanwhile is in the snapshot that is asked for next.
        events = engine.subscribe();
    }
}

/// Waits for a reason to draw again: something changed, or the next wakes came nearer. `false`: it is over.
async fn changed(events: &mut Receiver<Envelope>, holds: Duration) -> bool {
    let later = tokio::time::sleep(holds);
    tokio::pin!(later);
    loop {
        tokio::select! {
            () = &mut later => return true,
            event = events.recv() => match event {
                Ok(envelope) if !concerns_tray(&envelope.event) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return true,
                Err(RecvError::Closed) => return false,
            },
        }
    }
}

fn now() -> Timestamp {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(passed.as_millis().try_into().unwrap_or(i64::MAX))
}

fn draw(app: &AppHandle, view: TrayView) {
    let on_main = app.clone();
    let asked = app.run_on_main_thread(move || {
        if let Err(error) = on_main.state::<Tray>().show(&on_main, view) {
            tracing::error!("the tray icon can't be drawn: {error}");
        }
    });
    if let Err(error) = asked {
        tracing::error!("the tray icon can't be drawn: {error}");
    }
}
