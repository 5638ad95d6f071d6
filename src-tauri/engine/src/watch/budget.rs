//! How much of something strangers may cause.

use std::time::Duration;

use tokio::time::Instant;

/// So many in a second, and so many at once after a pause.
#[derive(Debug)]
pub(super) struct Budget {
    pause: Duration,
    ahead: Duration,
    /// When the next one would be due if they came evenly.
    due: Instant,
}

impl Budget {
    pub(super) fn new(per_second: u32, at_once: u32) -> Self {
        let pause = Duration::from_secs(1) / per_second.max(1);
        Self { pause, ahead: pause * at_once.saturating_sub(1), due: Instant::now() }
    }

    /// Whether there is room for one more.
    pub(super) fn take(&mut self) -> bool {
        let now = Instant::now();
        let due = self.due.max(now);
        let room = due.duration_since(now) <= self.ahead;
        if room {
            self.due = due + self.pause;
        }
        room
    }
}

/// What is left out, told once a minute and not for each packet: a flood would else fill the log.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    count: u64,
    told: Option<Instant>,
}

impl LeftOut {
    const AGAIN: Duration = Duration::from_secs(60);

    /// One more is left out; how many since it was told last, when it is time to tell.
    pub(super) fn one_more(&mut self) -> Option<u64> {
        self.count += 1;
        let due = self.told.is_none_or(|told| told.elapsed() >= Self::AGAIN);
        due.then(|| {
            self.told = Some(Instant::now());
            std::mem::take(&mut self.count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_budget_allows_a_burst_and_then_its_pace() {
        let mut budget = Budget::new(10, 5);
        let mut taken = |times: u32| (0..times).filter(|_| budget.take()).count();
        assert_eq!(taken(100), 5);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(taken(100), 5, "no more than a burst is saved up");
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(taken(100), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_out_is_told_once_a_minute() {
        let mut left_out = LeftOut::default();
        let told: Vec<u64> = (0..1_000).filter_map(|_| left_out.one_more()).collect();
        assert_eq!(told, [1]);
        tokio::time::advance(LeftOut::AGAIN).await;
        assert_eq!(left_out.one_more(), Some(1_000));
    }
}
