//! When many outcomes become one notification. Time is the [`Duration`] since any fixed moment, of a clock
//! that never goes back.
//!
//! An outcome waits for [`GATHER`], since others often follow at once. Then, when no more than
//! [`SINGLE_AT_MOST`] devices have ended within the last while, it is shown by itself; else all that ended in
//! that while are one notification, which takes the place of theirs and of the group's before. A while ends
//! with [`GROUP_MEMORY`] in which nothing ends.

use core::time::Duration;

use crate::device::DeviceId;
use crate::view::Notification;

/// How long it has to be quiet before what was gathered is shown.
pub const GATHER: Duration = Duration::from_millis(1_500);
/// The longest time that an outcome waits to be shown.
pub const GATHER_LONGEST: Duration = Duration::from_secs(6);
/// How many devices are told of one by one.
pub const SINGLE_AT_MOST: usize = 3;
/// How long the next outcome may take to be one of the same group.
pub const GROUP_MEMORY: Duration = Duration::from_secs(60);

/// A notification that is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// About one device. It takes the place of the one before about the same device.
    One(Notification),
    /// About all of these; it takes the place of the group's one before.
    Many(Vec<Notification>),
}

/// What is to be done with the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Showing {
    /// Show it.
    Show(Shown),
    /// Take back what is shown about this device alone: the group contains it.
    Close(DeviceId),
    /// The group is over: what follows is a notification beside it.
    Forget,
}

/// Gathers outcomes. One of each device, the newest.
#[derive(Debug, Default)]
pub struct Gatherer {
    waiting: Vec<Notification>,
    /// When the first and the last of those that wait arrived.
    since: Option<(Duration, Duration)>,
    /// What was shown in this while.
    recent: Vec<Notification>,
    last_shown: Option<Duration>,
    grouped: bool,
}

impl Gatherer {
    /// Takes an outcome in.
    pub fn add(&mut self, notification: Notification, now: Duration) {
        put(&mut self.waiting, notification);
        let first = self.since.map_or(now, |(first, _)| first);
        self.since = Some((first, now));
    }

    /// When [`Self::due`] has something to say next.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let (first, last) = self.since?;
        Some((last + GATHER).min(first + GATHER_LONGEST))
    }

    /// What is to be shown now; nothing before the deadline.
    pub fn due(&mut self, now: Duration) -> Vec<Showing> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        let mut showing = Vec::new();
        if self.last_shown.is_some_and(|last| now.saturating_sub(last) > GROUP_MEMORY) {
            self.recent.clear();
            if core::mem::take(&mut self.grouped) {
                showing.push(Showing::Forget);
            }
        }
        self.since = None;
        self.last_shown = Some(now);
        let before: Vec<DeviceId> = self.recent.iter().map(|told| told.device.clone()).collect();
        let new = core::mem::take(&mut self.waiting);
        for told in &new {
            put(&mut self.recent, told.clone());
        }
        if self.grouped || self.recent.len() > SINGLE_AT_MOST {
            if !self.grouped {
                showing.extend(before.into_iter().map(Showing::Close));
            }
            self.grouped = true;
            // From an earlier while there may be one about the same device.
            showing.extend(new.into_iter().map(|told| Showing::Close(told.device)));
            showing.push(Showing::Show(Shown::Many(self.recent.clone())));
        } else {
            showing.extend(new.into_iter().map(|told| Showing::Show(Shown::One(told))));
        }
        showing
    }
}

/// Adds an outcome; an older one of the same device gives way.
fn put(all: &mut Vec<Notification>, new: Notification) {
    all.retain(|told| told.device != new.device);
    all.push(new);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::notification::tests::told;
    use crate::view::NotificationKind;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn installed(name: &str) -> Notification {
        told(name, NotificationKind::Installed)
    }

    #[test]
    fn few_are_shown_one_by_one_and_the_newest_outcome_counts() {
        let mut gatherer = Gatherer::default();
        gatherer.add(told("a", NotificationKind::Failed), ms(0));
        gatherer.add(installed("b"), ms(100));
        gatherer.add(installed("a"), ms(200));
        assert_eq!(gatherer.due(ms(1_699)), []);
        let shown = gatherer.due(ms(1_700));
        let expected = [installed("b"), installed("a")].map(|t| Showing::Show(Shown::One(t)));
        assert_eq!(shown, expected);
        assert_eq!((gatherer.due(ms(90_000)), gatherer.deadline()), (Vec::new(), None));
    }

    #[test]
    fn many_become_one_that_grows_and_later_ones_begin_anew() {
        let mut gatherer = Gatherer::default();
        gatherer.add(installed("a"), ms(0));
        gatherer.due(ms(2_000));
        for name in ["b", "c", "d"] {
            gatherer.add(installed(name), ms(3_000));
        }
        let shown = gatherer.due(ms(5_000));
        assert_eq!(shown[0], Showing::Close(installed("a").device));
        let all = ["a", "b", "c", "d"].map(installed).to_vec();
        assert_eq!(shown.last(), Some(&Showing::Show(Shown::Many(all))));
        gatherer.add(installed("e"), ms(50_000));
        let shown = gatherer.due(ms(52_000));
        let Some(Showing::Show(Shown::Many(all))) = shown.last() else { panic!("{shown:?}") };
        assert_eq!(all.len(), 5);
        gatherer.add(installed("f"), ms(120_000));
        let expected = vec![Showing::Forget, Showing::Show(Shown::One(installed("f")))];
        assert_eq!(gatherer.due(ms(122_000)), expected);
    }

    #[test]
    fn a_stream_without_a_pause_is_shown_all_the_same() {
        let mut gatherer = Gatherer::default();
        for n in 0..60 {
            gatherer.add(installed(&n.to_string()), ms(n * 1_000));
            if n < 6 {
                assert_eq!(gatherer.due(ms(n * 1_000)), [], "{n}");
            }
            if n == 6 {
                assert_eq!(gatherer.deadline(), Some(GATHER_LONGEST));
            }
        }
    }

    /// The screen, as a daemon keeps it.
    #[derive(Default)]
    struct Screen {
        single: BTreeMap<DeviceId, Notification>,
        groups: Vec<Vec<Notification>>,
        group_is_open: bool,
    }

    impl Screen {
        fn take(&mut self, showing: Vec<Showing>) {
            for showing in showing {
                match showing {
                    Showing::Show(Shown::One(told)) => {
                        self.single.insert(told.device.clone(), told);
                    }
                    Showing::Show(Shown::Many(all)) => {
                        if core::mem::replace(&mut self.group_is_open, true) {
                            self.groups.pop();
                        }
                        self.groups.push(all);
                    }
                    Showing::Close(device) => drop(self.single.remove(&device)),
                    Showing::Forget => self.group_is_open = false,
                }
            }
        }

        fn tells(&self, told: &Notification) -> bool {
            self.single.get(&told.device) == Some(told)
                || self.groups.last().is_some_and(|group| group.contains(told))
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_nothing_is_late_and_nothing_stacks(
            outcomes in prop::collection::vec((0..8_u8, any::<bool>(), 0..20_000_u64), 1..80),
        ) {
            let (mut gatherer, mut screen) = (Gatherer::default(), Screen::default());
            let mut now = Duration::ZERO;
            for (device, good, pause) in outcomes {
                let next = now + ms(pause);
                while let Some(deadline) = gatherer.deadline().filter(|at| *at <= next) {
                    let shown = gatherer.due(deadline);
                    prop_assert!(!shown.is_empty());
                    screen.take(shown);
                }
                now = next;
                let kind = if good { NotificationKind::Installed } else { NotificationKind::Failed };
                let told = told(&device.to_string(), kind);
                gatherer.add(told.clone(), now);
                let deadline = gatherer.deadline().unwrap();
                prop_assert!(deadline > now && deadline <= now + GATHER_LONGEST);
                // Looked at after its deadline, the newest outcome of the device is on the screen, once.
                let mut later = Gatherer {
                    waiting: gatherer.waiting.clone(),
                    recent: gatherer.recent.clone(),
                    ..gatherer
                };
                let mut seen = Screen {
                    single: screen.single.clone(),
                    groups: screen.groups.clone(),
                    group_is_open: screen.group_is_open,
                };
                seen.take(later.due(deadline));
                prop_assert!(seen.tells(&told), "{told:?} isn't shown");
                let group = seen.groups.last().filter(|_| seen.group_is_open);
                let both = group.is_some_and(|g| g.iter().any(|t| seen.single.contains_key(&t.device)));
                prop_assert!(!both, "a device is shown twice");
            }
        }
    }
}
