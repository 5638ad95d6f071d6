//! What the window's page is told once it listens: a click on a notification may have to open the window first.

use crate::events::{OpenDevice, QuitRequested};
use crate::wire::ToWindow;

/// What the page is to be told.
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

/// Whether the window's page listens, and what it is to be told.
#[derive(Debug, Default)]
pub(crate) struct Page {
    listens: bool,
    /// Not told yet, or told to a window that may be about to end.
    waiting: Option<Message>,
}

impl Page {
    /// The page is gone with its window; the next one has to listen anew.
    pub(crate) fn gone(&mut self) {
        self.listens = false;
    }

    /// The user doesn't want to see any more what waits.
    pub(crate) fn forget(&mut self) {
        self.waiting = None;
    }

    /// What is to be told at once; else it waits. The newest message replaces an older one.
    pub(crate) fn tell(&mut self, message: Message) -> Option<Message> {
        self.waiting = Some(message);
        self.waiting.clone().filter(|_| self.listens)
    }

    /// The window has come to the front: it isn't about to end, and hears what it is told.
    pub(crate) fn heard(&mut self) {
        if self.listens {
            self.waiting = None;
        }
    }

    /// The page listens from now on; what waited for that.
    pub(crate) fn listens(&mut self) -> Option<Message> {
        self.listens = true;
        self.waiting.take()
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
        let mut page = Page::default();
        assert_eq!(device(page.tell(open("a"))), None);
        assert_eq!(device(page.tell(open("b"))), None);
        page.heard();
        assert_eq!(device(page.listens()).as_deref(), Some("b"), "shown is not heard");
        assert_eq!(device(page.listens()), None, "it is told once");
        assert_eq!(device(page.tell(open("c"))).as_deref(), Some("c"));
        page.heard();
        page.gone();
        assert_eq!(device(page.listens()), None, "it was heard");
    }

    #[test]
    fn what_a_window_was_told_that_ended_before_it_was_shown_is_told_the_next_one() {
        let mut page = Page::default();
        assert_eq!(device(page.listens()), None);
        assert_eq!(device(page.tell(open("a"))).as_deref(), Some("a"));
        page.gone();
        assert_eq!(device(page.listens()).as_deref(), Some("a"));
    }
}
