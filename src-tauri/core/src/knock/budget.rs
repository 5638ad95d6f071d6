//! How many attempts may begin in a second.

use core::time::Duration;

/// A leaky bucket: attempts at a steady rate, and a burst that is a fifth of a second's worth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    cost: Duration,
    /// When everything that has begun is paid for.
    paid_at: Duration,
}

/// How far ahead of the rate the beginnings may run.
const BURST: Duration = Duration::from_millis(200);

impl Budget {
    pub(super) fn per_second(rate: u32) -> Self {
        Self { cost: Duration::from_secs(1) / rate.max(1), paid_at: Duration::ZERO }
    }

    /// When the next attempt may begin.
    pub(super) fn ready_at(&self) -> Duration {
        self.paid_at.saturating_sub(BURST)
    }

    pub(super) fn spend(&mut self, now: Duration) {
        self.paid_at = self.paid_at.max(now).saturating_add(self.cost);
    }
}
