//! Desktop notifications, and the window that a click on one opens.

use notify_rust::Notification as Desktop;
use tauri::AppHandle;
use tokio::sync::mpsc;
use wakeflash_core::view::Notification;
use wakeflash_engine::handle::Shell;

#[cfg(target_os = "linux")]
use crate::clicks::{Clicks, listen};
use crate::commands::NotificationServer;
use crate::window;

/// How many notifications may wait for a slow daemon.
const WAITING: usize = 64;
const APP_NAME: &str = "Wakeflash";
/// How long the notification daemon has to say what it can.
#[cfg(target_os = "linux")]
const ASKING: std::time::Duration = std::time::Duration::from_secs(1);

/// What the engine hands its notifications to.
pub(crate) struct Notifier {
    queue: mpsc::Sender<Notification>,
}

impl Notifier {
    /// The notifier, and what its task ([`deliver`]) takes the notifications from.
    #[must_use]
    pub(crate) fn new() -> (Self, mpsc::Receiver<Notification>) {
        let (queue, waiting) = mpsc::channel(WAITING);
        (Self { queue }, waiting)
    }
}

impl Shell for Notifier {
    fn notify(&self, notification: Notification) {
        if let Err(error) = self.queue.try_send(notification) {
            tracing::warn!("a notification is left out: {error}");
        }
    }
}

/// Shows what arrives, until the engine is gone.
#[cfg(target_os = "linux")]
pub(crate) async fn deliver(app: AppHandle, mut waiting: mpsc::Receiver<Notification>) {
    let mut failures = Failures::default();
    let mut clicks = Clicks::default();
    let mut signals = listen().await;
    loop {
        tokio::select! {
            notification = waiting.recv() => {
                let Some(notification) = notification else { return };
                tracing::info!("notification: {}", notification.title);
                match desktop(&notification).show_async().await {
                    Ok(handle) => {
                        failures.over();
                        if clicks.shown(handle) {
                            window::show(&app);
                        }
                    }
                    Err(error) => failures.log(&error),
                }
            }
            signal = signals.next() => {
                if clicks.signal(signal) {
                    window::show(&app);
                }
            }
        }
    }
}

/// Shows what arrives, until the engine is gone.
#[cfg(not(target_os = "linux"))]
pub(crate) async fn deliver(_app: AppHandle, mut waiting: mpsc::Receiver<Notification>) {
    let mut failures = Failures::default();
    while let Some(notification) = waiting.recv().await {
        tracing::info!("notification: {}", notification.title);
        let shown = tokio::task::spawn_blocking(move || desktop(&notification).show()).await;
        match shown {
            Ok(Ok(_)) => failures.over(),
            Ok(Err(error)) => failures.log(&error),
            Err(error) => failures.log(&error),
        }
    }
}

/// What shows notifications here.
#[cfg(target_os = "linux")]
pub(crate) async fn server() -> NotificationServer {
    let asked = tokio::time::timeout(ASKING, capabilities()).await;
    match asked.unwrap_or_else(|_| Err(zbus::Error::Failure("no answer".to_owned()))) {
        Ok(capabilities) => NotificationServer {
            present: true,
            actions: capabilities.iter().any(|capability| capability == "actions"),
        },
        Err(error) => {
            tracing::debug!("nothing shows notifications: {error}");
            NotificationServer::default()
        }
    }
}

#[cfg(target_os = "linux")]
async fn capabilities() -> zbus::Result<Vec<String>> {
    const NAME: &str = "org.freedesktop.Notifications";
    let connection = zbus::Connection::session().await?;
    let path = "/org/freedesktop/Notifications";
    let reply =
        connection.call_method(Some(NAME), path, Some(NAME), "GetCapabilities", &()).await?;
    reply.body().deserialize()
}

/// What shows notifications here.
#[cfg(not(target_os = "linux"))]
pub(crate) async fn server() -> NotificationServer {
    NotificationServer { present: true, actions: false }
}

fn desktop(notification: &Notification) -> Desktop {
    let mut shown = Desktop::new();
    shown
        .appname(APP_NAME)
        .summary(&notification.title)
        .body(&plain(&notification.body))
        .icon("wakeflash");
    #[cfg(target_os = "linux")]
    shown
        .action("default", "Open Wakeflash")
        .hint(notify_rust::Hint::DesktopEntry(APP_NAME.to_owned()));
    shown
}

/// The body as it is meant: daemons read it as markup, and names of devices can hold anything.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
