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
    /// Not told yet, or told to a window that may be about to end. The newest replaces an older one.
    device: Option<OpenDevice>,
    /// Asked, and not answered yet; nothing but an answer takes its place.
    question: Option<QuitRequested>,
    /// This page was told the question.
    asked: bool,
}

impl Page {
    /// The page is gone with its window; the next one has to listen anew, and is told the question once more.
    pub(crate) fn gone(&mut self) {
        (self.listens, self.asked) = (false, false);
    }

    /// No window follows: the user doesn't want to see any more what waits, or can't.
    pub(crate) fn forget(&mut self) {
        self.device = None;
        self.answered();
    }

    /// The question before quitting has been answered.
    pub(crate) fn answered(&mut self) {
        (self.question, self.asked) = (None, false);
    }

    /// What is to be told at once; else it waits.
    pub(crate) fn tell(&mut self, message: Message) -> Option<Message> {
        match &message {
            Message::Open(device) => self.device = Some(device.clone()),
            Message::Quit(question) => {
                self.question = Some(*question);
                self.asked = self.listens;
            }
        }
        Some(message).filter(|_| self.listens)
    }

    /// The window has come to the front: it isn't about to end, and hears what it is told.
    pub(crate) fn heard(&mut self) {
        if self.listens {
            self.device = None;
        }
    }

    /// The page listens from now on; what waited for that.
    pub(crate) fn listens(&mut self) -> Vec<Message> {
        self.listens = true;
        let question = self.question.filter(|_| !self.asked);
        self.asked = self.question.is_some();
        let device = self.device.take().map(Message::Open);
        device.into_iter().chain(question.map(Message::Quit)).collect()
    }
}

#[cfg(test)]
mod tests {
    use wakeflash_core::device::DeviceId;

    use super::*;

    fn open(name: &str) -> Message {
        Message::Open(OpenDevice { device: DeviceId::of_file(name), show_log: false })
    }

    fn quit() -> Message {
        Message::Quit(QuitRequested { flashing: 1 })
    }

    /// Devices by their names, the question as `?`.
    fn said(messages: impl IntoIterator<Item = Message>) -> Vec<String> {
        let name = |message| match message {
            Message::Open(open) => open.device.to_string(),
            Message::Quit(_) => "?".to_owned(),
        };
        messages.into_iter().map(name).collect()
    }

    #[test]
    fn what_comes_too_early_waits_and_the_newest_counts() {
        let mut page = Page::default();
        assert!(page.tell(open("a")).is_none());
        assert!(page.tell(open("b")).is_none());
        page.heard();
        assert_eq!(said(page.listens()), ["b"], "shown is not heard");
        assert!(page.listens().is_empty(), "it is told once");
        assert_eq!(said(page.tell(open("c"))), ["c"]);
        page.heard();
        page.gone();
        assert!(page.listens().is_empty(), "it was heard");
    }

    #[test]
    fn what_a_window_was_told_that_ended_before_it_was_shown_is_told_the_next_one() {
        let mut page = Page::default();
        assert!(page.listens().is_empty());
        assert_eq!(said(page.tell(open("a"))), ["a"]);
        page.gone();
        assert_eq!(said(page.listens()), ["a"]);
    }

    #[test]
    fn a_device_does_not_take_the_questions_place() {
        let mut page = Page::default();
        assert!(page.tell(quit()).is_none());
        assert!(page.tell(open("a")).is_none());
        assert_eq!(said(page.listens()), ["a", "?"]);
        assert!(page.listens().is_empty(), "it is asked once");
    }

    #[test]
    fn the_question_is_asked_by_each_window_until_it_is_answered() {
        let mut page = Page::default();
        assert!(page.listens().is_empty());
        assert_eq!(said(page.tell(quit())), ["?"]);
        page.heard();
        assert!(page.listens().is_empty(), "it is asked once");
        page.gone();
        assert_eq!(said(page.listens()), ["?"]);
        page.answered();
        page.gone();
        assert!(page.listens().is_empty());
        assert_eq!(said(page.tell(quit())), ["?"]);
        page.gone();
        page.forget();
        assert!(page.listens().is_empty());
    }
}
