//! What the window's page is told once it listens: a click on a notification may have to open the window first.

use crate::messages::events::{OpenDevice, QuitRequested};
use crate::messages::window::Message;

/// Whether the window's page listens, and what it is to be told.
#[derive(Debug, Default)]
pub(crate) struct Page {
    listens: bool,
    /// Not told yet, or told to a window that may be about to end. The newest replaces an older one.
    device: Option<OpenDevice>,
    question: Question,
}

/// How it stands with the question before quitting.
#[derive(Clone, Copy, Debug, Default)]
enum Question {
    #[default]
    None,
    /// The user wants to quit; whether there is something to ask isn't known yet.
    Weighed,
    /// Asked, and not answered yet. `told`: this page knows it.
    Asked { question: QuitRequested, told: bool },
}

impl Page {
    /// The page is gone with its window; the next one has to listen anew, and is told the question once more.
    pub(crate) fn gone(&mut self) {
        self.listens = false;
        if let Question::Asked { told, .. } = &mut self.question {
            *told = false;
        }
    }

    /// No window follows: the user doesn't want to see any more what waits, or can't.
    pub(crate) fn forget(&mut self) {
        self.device = None;
        self.answered();
    }

    /// The user wants to quit. Whether that isn't being asked yet: who wants it again isn't asked again.
    pub(crate) fn quits(&mut self) -> bool {
        match self.question {
            Question::None => {
                self.question = Question::Weighed;
                true
            }
            Question::Weighed | Question::Asked { .. } => false,
        }
    }

    /// The question before quitting has been answered.
    pub(crate) fn answered(&mut self) {
        match self.question {
            Question::Asked { .. } => self.question = Question::None,
            // It is no answer to what wasn't asked yet.
            Question::None | Question::Weighed => {}
        }
    }

    /// What is to be told at once; else it waits.
    pub(crate) fn tell(&mut self, message: Message) -> Option<Message> {
        match &message {
            Message::Open(device) => self.device = Some(device.clone()),
            Message::Quit(question) => {
                self.question = Question::Asked { question: *question, told: self.listens };
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

    /// Whether the page listens.
    pub(crate) fn is_listening(&self) -> bool {
        self.listens
    }

    /// The page listens from now on; what waited for that.
    pub(crate) fn listens(&mut self) -> Vec<Message> {
        self.listens = true;
        let mut waited: Vec<Message> = self.device.take().map(Message::Open).into_iter().collect();
        if let Question::Asked { question, told } = &mut self.question
            && !std::mem::replace(told, true)
        {
            waited.push(Message::Quit(*question));
        }
        waited
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

    #[test]
    fn who_wants_to_quit_again_before_the_answer_is_not_asked_again() {
        let mut page = Page::default();
        assert!(page.quits());
        assert!(!page.quits(), "it is being weighed");
        // A window that closes meanwhile, or an answer to an older question, settles nothing.
        page.gone();
        page.forget();
        page.answered();
        assert!(!page.quits());
        assert!(page.tell(quit()).is_none());
        assert!(!page.quits(), "it is open");
        assert_eq!(said(page.listens()), ["?"]);
        assert!(!page.quits());
        page.answered();
        assert!(page.quits(), "it was answered");
        assert!(page.tell(quit()).is_some());
        page.gone();
        page.forget();
        assert!(page.quits(), "nobody can answer it");
    }
}
