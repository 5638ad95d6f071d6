//! What the user is to be notified of.

use tokio::sync::{mpsc, oneshot};
use wakeflash_core::notification::{Defect, Meanwhile, NoWindow};
use wakeflash_core::view::Notification;
use wakeflash_engine::handle::Shell;
use wakeflash_remote::Watcher;

/// How many notifications may wait for a slow daemon.
const WAITING: usize = 1_024;

/// What is to be shown.
#[derive(Debug)]
pub(crate) enum Told {
    /// By the engine.
    Engine(Notification),
    /// What happened while there was no connection to where Wakeflash works.
    Meanwhile(Meanwhile),
    /// There is no window, though one was asked for; answered with whether something shows that.
    NoWindow(NoWindow, oneshot::Sender<bool>),
    /// The engine had a defect; answered when that is shown, or can't be.
    Defect(Defect, oneshot::Sender<bool>),
}

/// What the engine and the window's keeper hand their notifications to.
#[derive(Clone)]
pub(crate) struct Notifier {
    queue: mpsc::Sender<Told>,
}

impl Notifier {
    /// The notifier, and what its task takes the notifications from.
    #[must_use]
    pub(crate) fn new() -> (Self, mpsc::Receiver<Told>) {
        let (queue, waiting) = mpsc::channel(WAITING);
        (Self { queue }, waiting)
    }

    /// Says that there is no window; whether something shows that.
    pub(crate) async fn no_window(&self, why: NoWindow) -> bool {
        self.shown(|answer| Told::NoWindow(why, answer)).await
    }

    /// Says that the engine had a defect; whether something shows that.
    pub(crate) async fn defect(&self, defect: Defect) -> bool {
        self.shown(|answer| Told::Defect(defect, answer)).await
    }

    async fn shown(&self, told: impl FnOnce(oneshot::Sender<bool>) -> Told) -> bool {
        let (shown, answer) = oneshot::channel();
        // It is shown only when it is said to be.
        self.queue.send(told(shown)).await.is_ok() && answer.await.unwrap_or(false)
    }
}

impl Notifier {
    fn queue(&self, told: Told) {
        if let Err(error) = self.queue.try_send(told) {
            tracing::warn!("a notification is left out: {error}");
        }
    }
}

impl Shell for Notifier {
    fn notify(&self, notification: Notification) {
        self.queue(Told::Engine(notification));
    }
}

impl Watcher for Notifier {
    fn meanwhile(&self, what: Meanwhile) {
        self.queue(Told::Meanwhile(what));
    }
}
