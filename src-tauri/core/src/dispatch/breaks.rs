//! Breaks: the computer slept, its clock was set, it had no network. What was not heard meanwhile says nothing
//! about any device.

use core::time::Duration;

use crate::build_failure::Lack;
use crate::time::Timestamp;

use super::device::Liveness;
use super::{Dispatch, Input};

/// The engine looks at the time at least every minute. When more has passed, the computer has slept, or its
/// clock was set.
const BREAK: Duration = Duration::from_secs(180);

impl Dispatch {
    /// Notices when time has not gone on as usual.
    pub(super) fn follow_time(&mut self, input: &Input, now: Timestamp) {
        if input.is_asked() {
            return;
        }
        let last = core::mem::replace(&mut self.last_input_at, now);
        if now < last || now.since(last) > BREAK {
            self.begin_listening(now);
        }
    }

    /// From now on what isn't heard counts; nothing that was missed until now does.
    fn begin_listening(&mut self, now: Timestamp) {
        self.listening_since = now;
        for name in self.devices.keys_where(|_, heard| heard.doubted_since.is_some()) {
            self.devices.entry(&name).doubted_since = Some(now);
        }
        for name in self.devices.keys().cloned().collect::<Vec<_>>() {
            self.touch(&name);
        }
    }

    /// The computer has a network, or has none any more.
    pub(super) fn network_changed(&mut self, connected: bool, now: Timestamp) {
        if self.connected == connected {
            return;
        }
        self.connected = connected;
        self.begin_listening(now);
        if connected {
            self.is_back_for_builds(Lack::Network);
        }
        for name in self.devices.keys_where(|_, heard| heard.expired) {
            let heard = self.devices.entry(&name);
            let expired = core::mem::take(&mut heard.expired);
            if heard.liveness == Liveness::Alive && connected && expired {
                // It has to say that it is still there.
                heard.doubted_since = Some(now);
            }
        }
    }
}
