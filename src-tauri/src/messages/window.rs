//! What can be wished of the window.

use tauri::AppHandle;
use tokio::sync::{mpsc, oneshot};

use crate::messages::events::{OpenDevice, QuitRequested};
use crate::messages::wire::ToWindow;

/// How many wishes may wait; each is dealt with in no time.
const WISHES: usize = 64;

/// What the window's page is to be told.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// Show a device.
    Open(OpenDevice),
    /// Ask whether to quit.
    Quit(QuitRequested),
}

impl From<Message> for ToWindow {
    fn from(message: Message) -> Self {
        match message {
            Message::Open(device) => Self::Open(device),
            Message::Quit(question) => Self::Quit(question),
        }
    }
}

/// What is wanted of the window.
#[derive(Debug)]
pub(crate) enum Wish {
    /// It is shown.
    Show,
    /// Its page is told something.
    Tell(Message),
    /// The user wants to quit the application.
    Quit,
    /// The application ends; told when the window's process has.
    End(oneshot::Sender<()>),
}

#[derive(Clone, Debug)]
pub(crate) struct Window {
    wishes: mpsc::Sender<Wish>,
}

impl Window {
    /// The window, and the wishes that its keeper follows.
    #[must_use]
    pub(crate) fn new() -> (Self, mpsc::Receiver<Wish>) {
        let (wishes, wanted) = mpsc::channel(WISHES);
        (Self { wishes }, wanted)
    }

    /// Shows it, in front of others, whether it exists or not.
    pub(crate) fn show(&self) {
        self.wish(Wish::Show);
    }

    /// Shows it and tells its page something, as soon as that listens.
    pub(crate) fn tell(&self, message: Message) {
        self.wish(Wish::Tell(message));
    }

    /// Asks in it before the application ends, when there is something to ask and that isn't being asked yet.
    pub(crate) fn quit(&self, app: &AppHandle) {
        if let Err(error) = self.wishes.try_send(Wish::Quit) {
            tracing::error!("the window can't be asked: {error}");
            app.exit(0);
        }
    }

    /// Closes it and ends its process.
    pub(crate) async fn end(&self) {
        let (ended, end) = oneshot::channel();
        // Either way its keeper is gone then, and the process with it.
        if self.wishes.send(Wish::End(ended)).await.is_ok() && end.await.is_err() {
            tracing::debug!("the window's keeper ended before");
        }
    }

    fn wish(&self, wish: Wish) {
        if let Err(error) = self.wishes.try_send(wish) {
            tracing::error!("the window can't be shown: {error}");
        }
    }
}
