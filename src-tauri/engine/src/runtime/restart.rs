//! A device that restarts in the middle of its transfer: notice it before TCP does.
//!
//! Nothing that is merely heard ends a session, since anybody on the network can say anything. It gives a reason to
//! look: a device serves one client at a time, so one that greets another has lost this session.

use std::future::{Future, pending};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wakeflash_core::device::{Sighting, SightingKind, Source};
use wakeflash_core::dispatch::FlashOutcome;
use wakeflash_core::error::Problem;
use wakeflash_core::gate::Expectation;
use wakeflash_ota::{FailureClass, Progress, Step};

use crate::flasher::{self, FlashError};
use crate::ota_socket;
use crate::watch::Hearing;

/// A device that speaks after it has acknowledged nothing for so long may have restarted: its connection died with its
/// power, and TCP might take a minute to find out. Devices announce themselves for some seconds after they woke,
/// so a word alone says nothing.
const STANDSTILL: Duration = Duration::from_secs(2);

/// The same before the first acknowledgement and after the last: how long this device takes isn't known yet, and it
/// checks the image at the end. After so long it is looked at as well when nothing is heard.
const FIRST_STANDSTILL: Duration = Duration::from_secs(5);

/// How long after one look the next one begins at the earliest.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long a look may take.
const LOOK: Duration = Duration::from_secs(3);

/// The port of a device that boots is closed for some milliseconds.
const PORT_OPENS: Duration = Duration::from_millis(100);

/// How a transfer goes on.
#[derive(Debug)]
struct Pace {
    /// What the device itself has shown to have taken; what is merely sent, of a device that acknowledges nothing.
    mark: (Step, u32),
    moved: Instant,
    /// Something was acknowledged.
    going: bool,
}

impl Pace {
    fn new(progress: &Progress) -> Self {
        Self { mark: mark(progress), moved: Instant::now(), going: false }
    }

    /// Returns whether it goes on.
    fn note(&mut self, progress: &Progress) -> bool {
        let mark = mark(progress);
        if mark == self.mark {
            return false;
        }
        self.going = progress.acknowledged > 0;
        (self.mark, self.moved) = (mark, Instant::now());
        true
    }

    /// When it will have stood still for so long that a word of the device counts.
    fn patience_ends(&self) -> Instant {
        let going = self.going && self.mark.0 == Step::Transfer;
        self.moved + if going { STANDSTILL } else { FIRST_STANDSTILL }
    }

    /// The same for its silence.
    fn silence_ends(&self) -> Instant {
        self.moved + FIRST_STANDSTILL
    }
}

fn mark(progress: &Progress) -> (Step, u32) {
    let taken = if progress.acknowledged > 0 { progress.acknowledged } else { progress.sent };
    (progress.step, taken)
}

/// Notices the restart of a device that is being flashed.
pub(super) struct RestartWatch<'a, L> {
    pub(super) hearing: &'a Hearing,
    pub(super) peer: IpAddr,
    pub(super) expectation: &'a Expectation,
    /// Looks whether the device serves another client.
    pub(super) look: L,
}

impl<L, F> RestartWatch<'_, L>
where
    L: Fn() -> F,
    F: Future<Output = bool>,
{
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
        let mut look = std::pin::pin!(None);
        let mut next_look = Instant::now();
        loop {
            let looks = look.is_some();
            let sending = shown.borrow().step >= Step::Transfer && !restarted.is_cancelled();
            let doubtful = tokio::select! {
                // What the device has acknowledged comes before what it says.
                biased;
                result = &mut flash => return result,
                Ok(()) = shown.changed() => {
                    if pace.note(&shown.borrow_and_update()) {
                        look.set(None);
                    }
                    false
                }
                served = end_of(look.as_mut()), if looks => {
                    look.set(None);
                    if served {
                        tracing::info!("{} has restarted in its transfer", self.expectation.name);
                        restarted.cancel();
                    }
                    false
                }
                // Missed packets are no harm: the next one comes soon.
                Ok(packet) = heard.recv() => {
                    let surprising = self.shows_the_build(&packet);
                    self.is_of_the_device(&packet)
                        && (surprising || Instant::now() >= pace.patience_ends())
                }
                () = sleep_until(pace.silence_ends().max(next_look)), if sending && !looks => true,
            };
            // One that was begun before the device started anew may never end.
            if doubtful && sending && Instant::now() >= next_look {
                look.set(Some((self.look)()));
                next_look = Instant::now() + LOOK_AGAIN;
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

async fn end_of<T>(look: Pin<&mut Option<impl Future<Output = T>>>) -> T {
    match look.as_pin_mut() {
        Some(look) => look.await,
        None => pending().await,
    }
}

/// Looks whether the device serves another client.
pub(super) async fn serves_another(device: SocketAddr) -> bool {
    let looks = async {
        loop {
            match ota_socket::connect(device).await {
                Ok(stream) => return flasher::serves(stream, LOOK).await,
                Err(error) => tracing::debug!(%device, %error, "it can't be looked at now"),
            }
            sleep(PORT_OPENS).await;
        }
    };
    timeout(LOOK, looks).await.unwrap_or(false)
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
