//! Desktop notifications: what the engine tells is gathered, shown in the user's language, and answered by
//! the buttons.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

use std::time::Duration;

use tauri::{AppHandle, Manager};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use wakeflash_core::device::DeviceId;
use wakeflash_core::notification::{Button, Gatherer, Showing, Shown, Text, no_window};
use wakeflash_core::settings::Language;
use wakeflash_core::words::Lang;
use wakeflash_engine::handle::{Asked, Handle};

use crate::means::language;
use crate::messages::events::OpenDevice;
use crate::messages::notifier::Told;
use crate::messages::state::AppState;
use crate::messages::window::Message;

#[cfg(target_os = "linux")]
use linux::Daemon;
#[cfg(not(target_os = "linux"))]
use other::Daemon;

const APP_NAME: &str = "Wakeflash";
/// Longer than anything waits.
const FAR: Duration = Duration::from_secs(3_600);

/// A button that was clicked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Click {
    button: Button,
    /// `None`: the notification was about many.
    device: Option<DeviceId>,
    /// The device's update ended badly: what its log says is of interest.
    failed: bool,
}

/// Shows what arrives, until the application ends.
pub(crate) async fn deliver(app: AppHandle, engine: Handle, mut waiting: mpsc::Receiver<Told>) {
    let mut gatherer = Gatherer::default();
    let mut daemon = Daemon::connect().await;
    let began = Instant::now();
    loop {
        let due = gatherer.deadline().map_or(Instant::now() + FAR, |deadline| began + deadline);
        tokio::select! {
            told = waiting.recv() => match told {
                Some(Told::Engine(notification)) => gatherer.add(notification, began.elapsed()),
                Some(Told::Meanwhile(what)) => {
                    let lang = spoken(&engine).await;
                    if let Some(text) = what.text(lang) {
                        tracing::info!("notification: {}: {}", text.title, text.body);
                        // Where nothing shows it, the window does.
                        daemon.say(&text, lang).await;
                    }
                }
                Some(Told::NoWindow(why, answer)) => {
                    let text = |lang, tray, log_dir: &str| no_window(why, tray, lang, log_dir);
                    say(&app, &mut daemon, &engine, text, answer).await;
                }
                Some(Told::Defect(defect, answer)) => {
                    let text = |lang, _, log_dir: &str| defect.text(lang, log_dir);
                    say(&app, &mut daemon, &engine, text, answer).await;
                }
                None => return,
            },
            () = tokio::time::sleep_until(due) => {
                let showing = gatherer.due(began.elapsed());
                if !showing.is_empty() {
                    show(&mut daemon, &engine, showing).await;
                }
            }
            click = daemon.clicked() => answer(&app, &engine, click).await,
        }
    }
}

async fn show(daemon: &mut Daemon, engine: &Handle, showing: Vec<Showing>) {
    let lang = spoken(engine).await;
    for step in showing {
        match step {
            Showing::Show(shown) => {
                log(&shown, lang);
                daemon.show(&shown, lang).await;
            }
            Showing::Close(device) => daemon.close(&device).await,
            Showing::Forget => daemon.forget_group(),
        }
    }
}

/// Says something of the application's own; answers whether it is shown.
async fn say(
    app: &AppHandle,
    daemon: &mut Daemon,
    engine: &Handle,
    text: impl FnOnce(Lang, bool, &str) -> Text,
    answer: oneshot::Sender<bool>,
) {
    let lang = spoken(engine).await;
    let state = app.state::<AppState>();
    let log_dir = state.paths.log_dir().display().to_string();
    let shown = daemon.say(&text(lang, state.tray_visible(), &log_dir), lang).await;
    if answer.send(shown).is_err() {
        tracing::debug!("nobody waits for whether it was shown");
    }
}

async fn spoken(engine: &Handle) -> Lang {
    match engine.snapshot().await {
        Ok(snapshot) => language::of(snapshot.settings.language),
        // It is ending; what is to be said is said.
        Err(_) => language::of(Language::System),
    }
}

fn log(shown: &Shown, lang: Lang) {
    let text = shown.text(lang, true);
    tracing::info!("notification: {}", text.title);
}

async fn answer(app: &AppHandle, engine: &Handle, click: Click) {
    let Some(device) = click.device else { return app.state::<AppState>().window.show() };
    let done = match click.button {
        Button::Open => return open(app, device, click.failed),
        Button::ShowLog => return open(app, device, true),
        Button::Retry => {
            let device = device.clone();
            engine.ask(|reply| Asked::Retry { device, reply }).await.map(drop)
        }
        Button::Rebuild => {
            let device = device.clone();
            engine.ask(|reply| Asked::Rebuild { device, reply }).await
        }
    };
    if let Err(problem) = done {
        tracing::warn!("{:?} of {device} by a notification: {problem}", click.button);
        // The window shows how it stands.
        open(app, device, false);
    }
}

fn open(app: &AppHandle, device: DeviceId, show_log: bool) {
    let open = Message::Open(OpenDevice { device, show_log });
    app.state::<AppState>().window.tell(open);
}

/// Says once that there are no notifications, not at each of them.
#[derive(Default)]
struct Failures {
    said: bool,
}

impl Failures {
    fn log(&mut self, error: &dyn std::error::Error) {
        if self.said {
            tracing::debug!("a notification wasn't shown: {error}");
        } else {
            tracing::warn!("this desktop shows no notifications: {error}");
            self.said = true;
        }
    }

    fn over(&mut self) {
        self.said = false;
    }
}
