//! When the gate has looked long enough: what is known may still change with what the peer says next.

use core::time::Duration;

use super::{
    Evidence, Expectation, Judgement, Standing, is_certain, is_doubtful, is_shown_by_a_repeater,
    judge, may_still_be_running, standing,
};

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a proof of identity. Without one nothing is sent, so this may be long.
    pub identity: Duration,
    /// For the hash, once the identity is known: see [`hash_wait`].
    pub hash: Duration,
    /// For the API's word about a peer that only its words show: a device that was never proven, on network hardware
    /// that its MAC address doesn't belong to.
    pub doubt: Duration,
}

impl Limits {
    /// The limits for a device that is known to stay awake for `window`.
    #[must_use]
    pub fn for_window(window: Option<Duration>) -> Self {
        let hash = hash_wait(window);
        let doubt = Duration::from_millis(2_500);
        let doubt = window.map_or(doubt, |window| doubt.min(window / 4)).max(hash);
        Self { identity: Duration::from_secs(5), hash, doubt }
    }
}

/// How long to wait for the hash of a device whose identity is known: an eighth of the time that it is known
/// to be awake, at most 1.5 s; 200 ms when that time isn't known, the price of one round trip to a device in
/// power save. A second flash of the same image harms nothing, a missed window does.
fn hash_wait(window: Option<Duration>) -> Duration {
    window.map_or(Duration::from_millis(200), |w| (w / 8).min(Duration::from_millis(1500)))
}

/// What the peer may still say over its native API. Its MAC address is the last of it, and may contradict what mDNS says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Its MAC address.
    MayTell,
    /// It has given its MAC address, and hasn't taken leave yet.
    Told,
    /// Nothing: it has none, or has taken leave.
    Over,
}

/// What follows from a look at the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// How sure it is that the peer is the device; `None`: its API has not had the time to say otherwise.
    pub standing: Option<Standing>,
    pub next: Next,
}

/// How it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This is the decision. [`Judgement::Undecided`]: the time for a proof is over, and nothing may be sent.
    Decided(Judgement),
    /// It is looked again when there is news, and at this time after the beginning.
    Again(Duration),
}

/// How long a gate waits for what. A contradiction ends it at once, and so does the news that the wanted build runs
/// already. Where its words could still show that the peer is another one, its API is waited for as long as
/// [`Limits::hash`], and as [`Limits::doubt`] where there is doubt. The hash, and any word of who is only shown by what
/// may be a repeater, is waited for as long as [`Limits::hash`] from when the identity was known.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    limits: Limits,
    /// After which time the identity was known.
    identified: Option<Duration>,
}

impl Patience {
    /// At the beginning.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, identified: None }
    }

    /// Looks at what is known after this time.
    pub fn look(
        &mut self,
        expected: &Expectation,
        evidence: &Evidence,
        api: Api,
        elapsed: Duration,
    ) -> Look {
        let limits = self.limits;
        let judgement = judge(expected, evidence);
        let may_run = may_still_be_running(expected, evidence, api != Api::Over);
        let doubtful = is_doubtful(expected, evidence);
        // Once it has the password's answer, a device serves nobody else until the session is over: so it isn't given
        // before the API had its time.
        let held_until = if doubtful { limits.doubt } else { limits.hash };
        let matters = may_run || !is_certain(expected, evidence);
        let held = api == Api::MayTell && matters && elapsed < held_until;
        let deadline = match judgement {
            Judgement::Contradicted(_) => Duration::ZERO,
            Judgement::AlreadyRunning if held && doubtful => held_until,
            Judgement::AlreadyRunning => Duration::ZERO,
            Judgement::Pass => {
                let since = *self.identified.get_or_insert(elapsed);
                let worth_it = may_run || is_shown_by_a_repeater(expected, evidence);
                let word_by = if worth_it { since + limits.hash } else { since };
                if held { word_by.max(held_until) } else { word_by }
            }
            Judgement::Undecided => limits.identity,
        };
        let next = if elapsed >= deadline {
            Next::Decided(judgement)
        } else {
            Next::Again(if held { deadline.min(held_until) } else { deadline })
        };
        Look { standing: (!held).then(|| standing(expected, evidence)), next }
    }
}
