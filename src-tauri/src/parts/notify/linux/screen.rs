//! Which of this application's notifications are on the screen.

use std::collections::VecDeque;

use wakeflash_core::device::DeviceId;
use wakeflash_core::notification::{Button, Shown};

use crate::parts::notify::Click;

/// How many are remembered; older ones are hardly on the screen any more.
const REMEMBERED: usize = 64;

/// What a notification is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// One device.
    Device(DeviceId),
    /// Many of them.
    Group,
    /// The application itself.
    Application,
}

impl Key {
    pub(super) fn of(shown: &Shown) -> Self {
        match shown {
            Shown::One(told) => Self::Device(told.device.clone()),
            Shown::Many(_) => Self::Group,
        }
    }
}

/// Something happened to a notification, of this application or of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// It was clicked: here, on this action.
    Clicked(u32, String),
    /// It is gone.
    Closed(u32),
}

struct Entry {
    id: u32,
    /// `None`: nothing takes its place any more.
    key: Option<Key>,
    device: Option<DeviceId>,
    failed: bool,
}

/// The notifications on the screen.
#[derive(Default)]
pub(super) struct Screen {
    entries: VecDeque<Entry>,
}

impl Screen {
    /// The number of what is shown about something.
    pub(super) fn id(&self, key: &Key) -> Option<u32> {
        self.entries.iter().find(|entry| entry.key.as_ref() == Some(key)).map(|entry| entry.id)
    }

    /// Remembers a notification; `device` is what a click leads to.
    pub(super) fn shown(&mut self, key: Key, id: u32, device: Option<DeviceId>, failed: bool) {
        self.entries.retain(|entry| entry.id != id && entry.key.as_ref() != Some(&key));
        if self.entries.len() == REMEMBERED {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { id, key: Some(key), device, failed });
    }

    /// Forgets a notification; its number.
    pub(super) fn take(&mut self, key: &Key) -> Option<u32> {
        let id = self.id(key)?;
        self.entries.retain(|entry| entry.id != id);
        Some(id)
    }

    /// Nothing takes the group's place any more; a click on it still counts.
    pub(super) fn forget_group(&mut self) {
        for entry in &mut self.entries {
            if entry.key == Some(Key::Group) {
                entry.key = None;
            }
        }
    }

    /// Deals with a signal; what was clicked, when that was one of these.
    pub(super) fn signal(&mut self, signal: &Signal) -> Option<Click> {
        match signal {
            Signal::Clicked(id, action) => {
                let entry = self.entries.iter().find(|entry| entry.id == *id)?;
                let button = Button::of_key(action)?;
                Some(Click { button, device: entry.device.clone(), failed: entry.failed })
            }
            Signal::Closed(id) => {
                self.entries.retain(|entry| entry.id != *id);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> DeviceId {
        DeviceId::of_file(name)
    }

    fn clicked(screen: &mut Screen, id: u32, action: &str) -> Option<(Button, Option<DeviceId>)> {
        let click = screen.signal(&Signal::Clicked(id, action.to_owned()))?;
        Some((click.button, click.device))
    }

    #[test]
    fn clicks_find_their_device_and_those_of_others_do_not_count() {
        let mut screen = Screen::default();
        let a = Key::Device(device("a"));
        screen.shown(a.clone(), 7, Some(device("a")), true);
        assert_eq!(screen.id(&a), Some(7));
        assert_eq!(clicked(&mut screen, 7, "retry"), Some((Button::Retry, Some(device("a")))));
        assert_eq!(clicked(&mut screen, 7, "default"), Some((Button::Open, Some(device("a")))));
        assert_eq!(clicked(&mut screen, 7, "reply"), None);
        assert_eq!(clicked(&mut screen, 8, "retry"), None);
        screen.signal(&Signal::Closed(7));
        assert_eq!((clicked(&mut screen, 7, "retry"), screen.id(&a)), (None, None));
    }

    #[test]
    fn what_took_another_ones_place_is_one() {
        let mut screen = Screen::default();
        let (a, group) = (Key::Device(device("a")), Key::Group);
        screen.shown(a.clone(), 1, Some(device("a")), false);
        // The daemon gave another number than that of the one before, which it had closed.
        screen.shown(a.clone(), 2, Some(device("a")), false);
        assert_eq!((screen.id(&a), screen.entries.len()), (Some(2), 1));
        screen.shown(group.clone(), 3, None, false);
        screen.forget_group();
        assert_eq!(screen.id(&group), None);
        assert_eq!(clicked(&mut screen, 3, "open"), Some((Button::Open, None)));
        assert_eq!((screen.take(&a), screen.take(&a)), (Some(2), None));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut screen = Screen::default();
        for id in 0..1000 {
            screen.shown(Key::Device(device(&id.to_string())), id, None, false);
        }
        assert_eq!(screen.entries.len(), REMEMBERED);
    }
}
