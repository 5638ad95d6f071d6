//! What the window is told once it listens: a click on a notification may have to create it first.

use std::sync::Mutex;

use tauri::{AppHandle, Manager};
use tauri_specta::Event as _;

use crate::events::{OpenDevice, QuitRequested};
use crate::state::AppState;
use crate::window;

/// What the window is to be told.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// Show a device.
    Open(OpenDevice),
    /// Ask whether to quit.
    Quit(QuitRequested),
}

/// Whether the window's page listens, and what waits for it.
#[derive(Debug, Default)]
pub(crate) struct Page {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    listens: bool,
    waiting: Option<Message>,
}

impl Page {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        };
        change(&mut state)
    }

    /// The page is gone with its window; the next one has to listen anew.
    pub(crate) fn gone(&self) {
        self.with(|state| state.listens = false);
    }

    /// What is to be told at once; else it waits. The newest message replaces an older one.
    fn take_or_keep(&self, message: Message) -> Option<Message> {
        self.with(|state| {
            if state.listens {
                return Some(message);
            }
            state.waiting = Some(message);
            None
        })
    }

    /// The page listens from now on; what waited for that.
    fn listens(&self) -> Option<Message> {
        self.with(|state| {
            state.listens = true;
            state.waiting.take()
        })
    }
}

/// Shows the window and tells it something, as soon as it listens.
pub(crate) fn tell(app: &AppHandle, message: Message) {
    window::show(app);
    if let Some(message) = app.state::<AppState>().page.take_or_keep(message) {
        emit(app, message);
    }
}

/// The page has subscribed to its events: it asks for its first snapshot after that.
pub(crate) fn listens(app: &AppHandle) {
    if let Some(message) = app.state::<AppState>().page.listens() {
        emit(app, message);
    }
}

fn emit(app: &AppHandle, message: Message) {
    let emitted = match message {
        Message::Open(device) => device.emit(app),
        Message::Quit(question) => question.emit(app),
    };
    if let Err(error) = emitted {
        tracing::error!("the window wasn't told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use wakeflash_core::device::DeviceId;

    use super::*;

    fn open(name: &str) -> Message {
        Message::Open(OpenDevice { device: DeviceId::of_file(name), show_log: false })
    }

    fn device(message: Option<Message>) -> Option<String> {
        match message {
            Some(Message::Open(open)) => Some(open.device.to_string()),
            Some(Message::Quit(_)) | None => None,
        }
    }

    #[test]
    fn what_comes_too_early_waits_and_the_newest_counts() {
        let page = Page::default();
        assert_eq!(device(page.take_or_keep(open("a"))), None);
        assert_eq!(device(page.take_or_keep(open("b"))), None);
        assert_eq!(device(page.listens()).as_deref(), Some("b"));
        assert_eq!(device(page.listens()), None, "it is told once");
        assert_eq!(device(page.take_or_keep(open("c"))).as_deref(), Some("c"));
        page.gone();
        assert_eq!(device(page.take_or_keep(open("d"))), None);
    }
}
