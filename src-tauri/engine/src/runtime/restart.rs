//! A device that restarts in the middle of its transfer: notice it before TCP does.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::{Sighting, SightingKind, Source};
use wakeflash_core::dispatch::FlashOutcome;
use wakeflash_core::error::Problem;
use wakeflash_core::gate::Expectation;
use wakeflash_ota::{FailureClass, Progress, Step};

use crate::flasher::FlashError;
use crate::watch::Hearing;

/// A device that speaks after it has acknowledged nothing for so long has restarted: its connection died with its
/// power, and TCP might take a minute to find out. Devices announce themselves for some seconds after they woke,
/// so a word alone says nothing.
const STANDSTILL: Duration = Duration::from_secs(2);

/// The same before the first acknowledgement and after the last: how long this device takes isn't known yet, and it
/// checks the image at the end.
const FIRST_STANDSTILL: Duration = Duration::from_secs(5);

/// A device that has needed so long for an acknowledgement may need it again, and longer on a lossy network.
const TIMES_THE_LONGEST: u32 = 3;

/// How a transfer goes on.
#[derive(Debug)]
struct Pace {
    /// What the device itself has shown to have taken; what is merely sent, of a device that acknowledges nothing.
    mark: (Step, u32),
    moved: Instant,
    /// The longest wait for an acknowledgement that came.
    longest: Option<Duration>,
}

impl Pace {
    fn new(progress: &Progress) -> Self {
        Self { mark: mark(progress), moved: Instant::now(), longest: None }
    }

    fn note(&mut self, progress: &Progress) {
        let mark = mark(progress);
        if mark == self.mark {
            return;
        }
        if progress.acknowledged > 0 {
            self.longest = self.longest.max(Some(self.moved.elapsed()));
        }
        (self.mark, self.moved) = (mark, Instant::now());
    }

    fn stands_still(&self) -> bool {
        let patience = match (self.mark.0, self.longest) {
            (Step::Transfer, Some(longest)) => STANDSTILL.max(longest * TIMES_THE_LONGEST),
            (_, longest) => FIRST_STANDSTILL.max(longest.unwrap_or_default() * TIMES_THE_LONGEST),
        };
        self.moved.elapsed() >= patience
    }
}

fn mark(progress: &Progress) -> (Step, u32) {
    let taken = if progress.acknowledged > 0 { progress.acknowledged } else { progress.sent };
    (progress.step, taken)
}

/// Listens for the restart of a device that is being flashed.
pub(super) struct RestartWatch<'a> {
    pub(super) hearing: &'a Hearing,
    pub(super) peer: IpAddr,
    pub(super) expectation: &'a Expectation,
}

impl RestartWatch<'_> {
    /// Drives the flash; cancels `restarted` when the device turns out to have lost the transfer.
    pub(super) async fn until_restart<T>(
        &self,
        flash: impl Future<Output = T>,
        mut shown: watch::Receiver<Progress>,
        restarted: &CancellationToken,
    ) -> T {
        let mut flash = std::pin::pin!(flash);
        let (_, mut heard) = self.hearing.listen(self.peer);
        let mut pace = Pace::new(&shown.borrow_and_update());
        loop {
            tokio::select! {
                // What the device has acknowledged comes before what it says.
                biased;
                result = &mut flash => return result,
                Ok(()) = shown.changed() => pace.note(&shown.borrow_and_update()),
                // Missed packets are no harm: the next one comes soon.
                Ok(packet) = heard.recv() => {
                    let sending = shown.borrow().step >= Step::Transfer;
                    if sending && self.is_of_the_device(&packet)
                        && (self.shows_the_build(&packet) || pace.stands_still())
                    {
                        tracing::info!("{} has restarted in its transfer", self.expectation.name);
                        restarted.cancel();
                    }
                }
            }
        }
    }

    fn is_of_the_device(&self, sighting: &Sighting) -> bool {
        let Source::Packet(sender) = sighting.source else { return false };
        let here = sender == self.peer || sighting.addresses.contains(&self.peer);
        let names = [Some(&self.expectation.name), self.expectation.other_name.as_ref()];
        let named =
            names.into_iter().flatten().any(|name| name.eq_ignore_ascii_case(&sighting.name));
        here && named && sighting.kind == SightingKind::Alive
    }

    /// It runs what is being sent, so it has all of it: its last words were lost.
    fn shows_the_build(&self, packet: &Sighting) -> bool {
        let wanted = self.expectation.wanted_hash;
        wanted.is_some() && packet.config_hash == wanted
    }
}

/// What came of a flash whose device has restarted in the middle.
pub(super) fn outcome(error: &FlashError) -> FlashOutcome {
    let unknown = matches!(error, FlashError::Ota(ota) if ota.outcome_unknown());
    let class = if unknown { FailureClass::OutcomeUnknown } else { FailureClass::RetryNow };
    let message = "The device has restarted in the middle of the transfer.";
    FlashOutcome::Failed { class, problem: Problem::new("flash.restarted", message) }
}

#[cfg(test)]
#[path = "restart_tests.rs"]
mod tests;
