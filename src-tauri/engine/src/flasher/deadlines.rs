//! How long a session waits for what.

use std::time::Duration;

use tokio::time::Instant;
use wakeflash_ota::Step;

/// The deadlines of one session. The defaults follow from the device's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For each answer of the handshake: 20 s, the device's own limit for the whole of it.
    pub step: Duration,
    /// For the whole handshake: 40 s, as a connection may wait 20 s behind another one before
    /// the device's clock starts for it.
    pub handshake: Duration,
    /// For the gate's verdict once the device waits for it, which includes the wait for a transfer
    /// slot: 100 s. The device waits 105 s.
    pub gate: Duration,
    /// For any sign of progress from the sizes to the final confirmation: 110 s. A device gives
    /// up a silent transfer after 105 s; giving up later finds it free for the next attempt.
    pub answer: Duration,
    /// For the whole session: 20 min, so that a trickle of acknowledgements can't hold a place
    /// for ever.
    pub whole: Duration,
    /// For what a broken connection may still have to say, and for the last byte to be written
    /// after the device has confirmed: 1 s.
    pub farewell: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            step: Duration::from_secs(20),
            handshake: Duration::from_secs(40),
            gate: Duration::from_secs(100),
            answer: Duration::from_secs(110),
            whole: Duration::from_secs(20 * 60),
            farewell: Duration::from_secs(1),
        }
    }
}

impl Deadlines {
    /// When to give up in the given step, for a session that began at `start` and last got
    /// anywhere at `moved`.
    pub(super) fn expiry(&self, step: Step, start: Instant, moved: Instant) -> Instant {
        match step {
            Step::Greeting
            | Step::Version
            | Step::Features
            | Step::Encryption
            | Step::Auth
            | Step::Identity
            | Step::AuthResult => (moved + self.step).min(start + self.handshake),
            Step::Gate => moved + self.gate,
            Step::Prepare | Step::Checksum | Step::Transfer | Step::Commit => {
                (moved + self.answer).min(start + self.whole)
            }
        }
    }
}
