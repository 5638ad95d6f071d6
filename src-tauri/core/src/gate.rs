//! The gate between the OTA handshake and the data phase: is the peer the device that this firmware is for,
//! and does it run the wanted build already?
//!
//! An image holds Wi-Fi credentials, and people give all their devices one OTA password. So the password
//! proves nothing, an address proves nothing by itself, and without proof nothing is sent. [`judge`] has no
//! memory and no clock: what counts as fresh is the business of whoever collects the [`Evidence`].

use core::net::IpAddr;
use core::time::Duration;

use crate::device::{ConfigHash, MacAddress, Sighting, SightingKind, Source};
use crate::error::Problem;
use crate::word::is_suffixed;

/// An address that stands in the device's own configuration as a number (`use_address`, static IP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiteralAddress {
    /// None stands there, or a name does.
    None,
    /// This one, and no other configuration has the same.
    Own(IpAddr),
    /// This one, and another configuration has the same: it tells nothing.
    Shared {
        /// The address.
        address: IpAddr,
        /// The file of the other one.
        with: String,
    },
    /// This one, and nobody can tell whether another configuration has the same: it tells nothing either.
    Uncertain {
        /// The address.
        address: IpAddr,
        /// The file of the other one.
        with: String,
    },
}

/// What the session with the peer has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Nothing: plaintext, or encrypted with a key that another configuration has too.
    ProvesNothing,
    /// The Noise handshake succeeded with a key that no other configuration has.
    OwnKey,
}

/// Who the peer has to be, and what it must not run already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The name the device goes by.
    pub name: String,
    /// Another name it may go by: the one that the new firmware gives it.
    pub other_name: Option<String>,
    /// Its name ends with a part of its MAC address that isn't known yet.
    pub suffixed: bool,
    /// Its MAC address, from the TXT record of earlier sightings.
    pub mac: Option<MacAddress>,
    /// The link-layer address it had when it was last surely seen.
    pub link_address: Option<MacAddress>,
    /// The hash of what is to be installed.
    pub wanted_hash: Option<ConfigHash>,
    /// The ESPHome version of what is to be installed.
    pub wanted_version: Option<String>,
    /// What its configuration says about its address.
    pub literal_address: LiteralAddress,
    /// Nobody knows what it ran before, so that a hash would prove nothing after an unknown outcome: its word is
    /// worth the same wait as that of a device that may run the build already.
    pub unheard: bool,
}

impl Expectation {
    fn is_called(&self, name: &str) -> bool {
        let matches = |own: &str| own.eq_ignore_ascii_case(name);
        (self.suffixed && is_suffixed(&self.name, name))
            || matches(&self.name)
            || self.other_name.as_deref().is_some_and(matches)
    }
}

/// What is known about the peer in this wake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The address that the connection goes to.
    pub peer: IpAddr,
    /// What was heard in this wake, oldest first. What came from elsewhere, out of a cache, or says goodbye
    /// is ignored by [`judge`].
    pub heard: Vec<Sighting>,
    /// The link-layer address that the neighbour table has for the peer now.
    pub neighbour: Option<MacAddress>,
    /// What the session has proved.
    pub session: Session,
}

impl Evidence {
    /// Nothing known yet about a peer.
    #[must_use]
    pub fn about(peer: IpAddr, session: Session) -> Self {
        Self { peer, heard: Vec::new(), neighbour: None, session }
    }

    /// The fresh words of the peer about itself. A packet is about its sender when it gives the sender's
    /// address, or when it is the answer to a question that was put to the sender.
    fn own_words(&self) -> impl DoubleEndedIterator<Item = &Sighting> {
        self.heard.iter().filter(|sighting| {
            let own = match sighting.source {
                Source::Browse => false,
                Source::Packet(sender) => {
                    sender == self.peer && sighting.addresses.contains(&self.peer)
                }
                Source::Answer(sender) => sender == self.peer,
            };
            own && sighting.kind == SightingKind::Alive
        })
    }
}

/// What the gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is the device, and nothing says that it runs the wanted build.
    Pass,
    /// It is the device, and it runs the wanted build: nothing is to be sent.
    AlreadyRunning,
    /// It is another device, in a sentence for the user: nothing may be sent.
    Contradicted(String),
    /// Nothing tells yet. At the end of the wait: nothing may be sent.
    Undecided,
}

/// Judges the peer by what is known so far.
///
/// The first rule that applies decides:
/// 1. The peer's own fresh words name another device → contradicted.
/// 2. They name this device, with a MAC address that isn't the known one → contradicted.
/// 3. They name this device and its wanted hash (and, where both are known, the wanted version); the latest
///    words that give a hash count → already running.
/// 4. They name this device → pass. When its MAC address is known, the words have to be those of a TXT record.
/// 5. The neighbour table has the recorded link-layer address for the peer, or the known MAC (they are the
///    same on Wi-Fi) → pass.
/// 6. The session proves a key that only this device has → pass.
/// 7. The peer's address is literal in this configuration and in no other → pass, unless the neighbour table
///    shows a link-layer address that is neither the recorded nor the known one: then DHCP may have given the
///    address away, and the device has to say its name.
/// 8. Otherwise undecided.
///
/// A link-layer address that differs is no contradiction by itself: repeaters and routers put their own.
#[must_use]
pub fn judge(expected: &Expectation, evidence: &Evidence) -> Judgement {
    if let Some(sentence) = contradiction(expected, evidence) {
        return Judgement::Contradicted(sentence);
    }
    let named = evidence.own_words().any(|words| expected.mac.is_none() || is_complete(words));
    if named && runs_wanted(expected, evidence) {
        return Judgement::AlreadyRunning;
    }
    let link = link_says(expected, evidence);
    let literal = expected.literal_address == LiteralAddress::Own(evidence.peer);
    let proven = named
        || link == Link::Same
        || evidence.session == Session::OwnKey
        || (literal && link != Link::Different);
    if proven { Judgement::Pass } else { Judgement::Undecided }
}

/// Whether more can still be learnt that would spare this flash, or one after it: a hash is wanted, or nothing is
/// known of the device, and it hasn't said yet what it runs. Firmware that announces its version and no hash has said all it can.
#[must_use]
pub fn may_still_be_running(expected: &Expectation, evidence: &Evidence) -> bool {
    (expected.wanted_hash.is_some() || expected.unheard)
        && !evidence.own_words().any(|words| words.config_hash.is_some() || words.version.is_some())
}

/// How long to wait for the hash of a device whose identity is known: an eighth of the time that it is known
/// to be awake, at most 1.5 s; 200 ms when that time isn't known, the price of one round trip to a device in
/// power save. A second flash of the same image harms nothing, a missed window does.
#[must_use]
pub fn hash_wait(window: Option<Duration>) -> Duration {
    window.map_or(Duration::from_millis(200), |w| (w / 8).min(Duration::from_millis(1500)))
}

/// What the user reads when the peer is another device, with the judge's sentence.
#[must_use]
pub fn refused(sentence: String) -> Problem {
    Problem::new("gate.other_device", sentence).with_help(
        "Nothing was sent. The update waits for the right device. If you have replaced the board, cancel the \
         update and install it again: that accepts the board that is there now.",
    )
}

/// What the user reads when nothing has told which device the peer is.
#[must_use]
pub fn unidentified(expected: &Expectation, peer: IpAddr) -> Problem {
    let name = &expected.name;
    let message = match &expected.literal_address {
        LiteralAddress::Shared { address, with } if *address == peer => {
            format!(
                "Something answered at {peer}, but whether it is “{name}” can't be told: {with} has the same address."
            )
        }
        LiteralAddress::Uncertain { address, with } if *address == peer => format!(
            "Something answered at {peer}, but whether it is “{name}” can't be told: {with} may have the same address."
        ),
        LiteralAddress::None
        | LiteralAddress::Own(_)
        | LiteralAddress::Shared { .. }
        | LiteralAddress::Uncertain { .. } => {
            format!("Something answered at {peer}, but it did not prove that it is “{name}”.")
        }
    };
    Problem::new("gate.unidentified", message).with_help(
        "Nothing was sent, because the firmware holds your Wi-Fi credentials. Let the device announce itself \
         by mDNS, give it an encryption key of its own, or give it a static address in its configuration.",
    )
}

fn contradiction(expected: &Expectation, evidence: &Evidence) -> Option<String> {
    let (peer, name) = (evidence.peer, &expected.name);
    if let Some(other) = evidence.own_words().find(|words| !expected.is_called(&words.name)) {
        return Some(format!("At {peer} answers “{}” and not “{name}”.", other.name));
    }
    let known = expected.mac?;
    let other = evidence.own_words().find_map(|words| words.mac.filter(|mac| *mac != known))?;
    Some(format!(
        "The device at {peer} calls itself “{name}”, but its MAC address is {other} and not {known}."
    ))
}

/// Whether the words come from a TXT record, which has the MAC address. A probe or an address record alone
/// shows a name, and two boards can claim one name.
fn is_complete(words: &Sighting) -> bool {
    words.mac.is_some() || words.version.is_some() || words.config_hash.is_some()
}

fn runs_wanted(expected: &Expectation, evidence: &Evidence) -> bool {
    let latest = evidence.own_words().rev().find(|words| words.config_hash.is_some());
    let Some((wanted, latest)) = expected.wanted_hash.zip(latest) else { return false };
    let same_version = match (&expected.wanted_version, &latest.version) {
        (Some(wanted), Some(running)) => wanted == running,
        (None, _) | (_, None) => true,
    };
    latest.config_hash == Some(wanted) && same_version
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Same,
    Different,
    Unknown,
}

fn link_says(expected: &Expectation, evidence: &Evidence) -> Link {
    let Some(now) = evidence.neighbour else { return Link::Unknown };
    let known = [expected.link_address, expected.mac];
    if known.contains(&Some(now)) {
        Link::Same
    } else if known.iter().any(Option::is_some) {
        Link::Different
    } else {
        Link::Unknown
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
