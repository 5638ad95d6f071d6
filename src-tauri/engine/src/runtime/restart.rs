//! A device that restarts in the middle of its transfer: notice it before TCP does.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::{SightingKind, Source};
use wakeflash_core::dispatch::FlashOutcome;
use wakeflash_core::error::Problem;
use wakeflash_core::gate::Heard;
use wakeflash_core::ota::{FailureClass, Progress, Step};

use super::flash::Job;
use crate::flasher::FlashError;

/// A device that speaks after its transfer stood still for so long has restarted: its connection died with its
/// power, and TCP might take a minute to find out. A device that is only hard to reach would have to be heard and
/// take nothing meanwhile; to begin its transfer again does no harm.
const STANDSTILL: Duration = Duration::from_secs(2);

impl Job {
    /// Drives the flash; cancels `restarted` when the device turns out to have lost the transfer.
    pub(super) async fn until_restart<T>(
        &self,
        flash: impl Future<Output = T>,
        mut shown: watch::Receiver<Progress>,
        restarted: &CancellationToken,
    ) -> T {
        let mut flash = std::pin::pin!(flash);
        let (_, mut heard) = self.hearing.listen(self.peer);
        let mut moved = Instant::now();
        loop {
            tokio::select! {
                result = &mut flash => return result,
                Ok(()) = shown.changed() => moved = Instant::now(),
                // Missed packets are no harm: the next one comes soon.
                Ok(packet) = heard.recv() => {
                    let sending = shown.borrow().step >= Step::Transfer;
                    if sending && self.is_of_the_device(&packet)
                        && (self.shows_the_build(&packet) || moved.elapsed() >= STANDSTILL)
                    {
                        tracing::info!("{} has restarted in its transfer", self.device);
                        restarted.cancel();
                    }
                }
            }
        }
    }

    fn is_of_the_device(&self, packet: &Heard) -> bool {
        let sighting = &packet.sighting;
        let here = packet.sender == self.peer || sighting.addresses.contains(&self.peer);
        let names = [Some(&self.expectation.name), self.expectation.other_name.as_ref()];
        let named =
            names.into_iter().flatten().any(|name| name.eq_ignore_ascii_case(&sighting.name));
        here && named && sighting.kind == SightingKind::Alive && sighting.source == Source::Packet
    }

    /// It runs what is being sent, so it has all of it: its last words were lost.
    fn shows_the_build(&self, packet: &Heard) -> bool {
        let wanted = self.expectation.wanted_hash;
        wanted.is_some() && packet.sighting.config_hash == wanted
    }
}

/// What came of a flash whose device has restarted in the middle.
pub(super) fn outcome(error: &FlashError) -> FlashOutcome {
    let unknown = matches!(error, FlashError::Ota(ota) if ota.outcome_unknown());
    let class = if unknown { FailureClass::OutcomeUnknown } else { FailureClass::RetryNow };
    let message = "The device has restarted in the middle of the transfer.";
    FlashOutcome::Failed { class, problem: Problem::new("flash.restarted", message) }
}
