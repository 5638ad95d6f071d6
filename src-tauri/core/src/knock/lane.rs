//! What is due, and how much of it may begin.

use core::time::Duration;
use std::collections::BTreeSet;

/// Slots in the order in which they are due, and a leaky bucket that bounds how many of them begin.
#[derive(Clone, Debug)]
pub(super) struct Lane<Id> {
    due: BTreeSet<(Duration, Id)>,
    /// So many attempts of the whole plan may be under way when one of these begins.
    under_way: usize,
    /// How far ahead of the rate the beginnings may run.
    burst: Duration,
    cost: Duration,
    /// When everything that has begun is paid for.
    paid_at: Duration,
}

impl<Id: Copy + Ord> Lane<Id> {
    /// At most `rate` beginnings in a second, and the worth of `burst` at once.
    pub(super) fn new(under_way: usize, rate: u32, burst: Duration) -> Self {
        let cost = Duration::from_secs(1) / rate.max(1);
        Self { due: BTreeSet::new(), under_way, burst, cost, paid_at: Duration::ZERO }
    }

    pub(super) fn add(&mut self, due: Duration, id: Id) {
        self.due.insert((due, id));
    }

    /// Returns whether it was here.
    pub(super) fn remove(&mut self, due: Duration, id: Id) -> bool {
        self.due.remove(&(due, id))
    }

    /// When the next one may begin; none when there is none, or no room for it.
    pub(super) fn next_at(&self, under_way: usize) -> Option<Duration> {
        let (due, _) = self.due.first().filter(|_| under_way < self.under_way)?;
        Some((*due).max(self.paid_at.saturating_sub(self.burst)))
    }

    /// Takes out the next one, when it may begin now.
    pub(super) fn take(&mut self, now: Duration, under_way: usize) -> Option<Id> {
        self.next_at(under_way).filter(|at| *at <= now)?;
        self.due.pop_first().map(|(_, id)| id)
    }

    /// One has begun.
    pub(super) fn spend(&mut self, now: Duration) {
        self.paid_at = self.paid_at.max(now).saturating_add(self.cost);
    }
}
