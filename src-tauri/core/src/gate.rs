//! The gate between the OTA handshake and the data phase: is the peer the device that this firmware is for,
//! and does it run the wanted build already?
//!
//! An image holds Wi-Fi credentials, and people give all their devices one OTA password. So the password
//! proves nothing, an address proves nothing by itself, and without proof nothing is sent. [`judge`] has no
//! memory and no clock: what counts as fresh is the business of whoever collects the [`Evidence`].

use core::net::IpAddr;

mod patience;

pub use patience::{Api, Limits, Look, Next, Patience};

use crate::configuration::is_suffixed;
use crate::device::{ConfigHash, MacAddress, Sighting, SightingKind, Source};
use crate::error::Problem;
use crate::identity::{Identity, Proof};
use crate::update::BuildStamp;

/// An address that stands in the device's own configuration as a number (`use_address`, static IP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiteralAddress {
    /// None stands there, or a name does.
    None,
    /// This one, and no other configuration has the same.
    Own(IpAddr),
    /// This one, and another configuration has the same: it tells nothing.
    Shared {
        address: IpAddr,
        /// The file of the other one.
        with: String,
    },
    /// This one, and nobody can tell whether another configuration has the same: it tells nothing either.
    Uncertain {
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
    /// The Noise handshake of the update or of the native API succeeded with a key that no other configuration has.
    OwnKey,
}

/// How sure it is that the peer is the device. The order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing tells, or it is another one.
    Unknown,
    /// A packet from its address says so: anybody on the network can send that.
    Claimed,
    /// More than a packet says so.
    Shown,
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
    /// Its MAC address: the pinned one, or, of a device that was never proven, the first that was claimed.
    pub mac: Option<MacAddress>,
    /// The link-layer address that shows it, and no other device.
    pub link_address: Option<MacAddress>,
    /// What is pinned of it.
    pub identity: Identity,
    /// The hash of what is to be installed.
    pub wanted_hash: Option<ConfigHash>,
    /// The ESPHome version of what is to be installed.
    pub wanted_version: Option<String>,
    /// The stamp of what is to be installed, where it has one of its own.
    pub wanted_stamp: Option<BuildStamp>,
    /// What its configuration says about its address.
    pub literal_address: LiteralAddress,
    /// What it takes to be the device.
    pub least: Standing,
    /// Nobody knows what it ran before, so that a hash would prove nothing after an unknown outcome: its word is
    /// worth the same wait as that of a device that may run the build already.
    pub unheard: bool,
}

impl Expectation {
    /// Whether the device goes by this name.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
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
    /// address, or when it is the answer to a question that was put to the sender. Anybody can send a packet in
    /// another's name: as soon as there is an answer, only answers count.
    fn own_words(&self) -> impl DoubleEndedIterator<Item = &Sighting> {
        let answered = self.is_answered();
        self.heard.iter().filter(move |sighting| {
            let own = match sighting.source {
                Source::Browse => false,
                Source::Packet(sender) => {
                    !answered && sender == self.peer && sighting.addresses.contains(&self.peer)
                }
                Source::Answer(sender) => sender == self.peer,
            };
            own && sighting.kind == SightingKind::Alive
        })
    }

    /// Whether the peer has answered a question that was put to it.
    fn is_answered(&self) -> bool {
        self.heard.iter().any(|words| {
            words.source == Source::Answer(self.peer) && words.kind == SightingKind::Alive
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
/// 1. The peer answers with another name, or with a MAC address that isn't the device's → contradicted. Packets that
///    say so may be forged: they leave it undecided until the peer has answered, unless the session has proved a key.
/// 2. It is the device, and its words name the wanted hash (and, where both are known, the wanted version); the
///    latest words that give a hash count → already running. Where it says when its firmware was compiled, that alone
///    decides: each build has a stamp of its own.
/// 3. It is the device → pass. It is, when
///    - the session proves a key that only this device has; or
///    - the neighbour table has its own link-layer address for the peer, or its MAC address (they are the same on
///      Wi-Fi); or
///    - the peer names itself like the device, with words of a TXT record when its MAC address is known, and what is
///      pinned lets it be there ([`Identity::may_be_at`]); or
///    - the peer's address is literal in this configuration and in no other, unless the neighbour table shows a
///      link-layer address that isn't the device's: then DHCP may have given the address away.
/// 4. Otherwise undecided.
///
/// Where [`Expectation::least`] is more than a claim, the words of rule 3 have to be the answer to a question that
/// was put to the peer.
///
/// A link-layer address that differs is no contradiction by itself, since repeaters put their own; but a device that
/// was proven with one isn't recognised by words alone behind another, nor is one that was never proven and came with
/// one when its MAC address was claimed first.
#[must_use]
pub fn judge(expected: &Expectation, evidence: &Evidence) -> Judgement {
    let contradiction = contradiction(expected, evidence);
    if let Some(sentence) = &contradiction
        && evidence.is_answered()
    {
        return Judgement::Contradicted(sentence.clone());
    }
    if standing(expected, evidence) < expected.least.max(Standing::Claimed) {
        Judgement::Undecided
    } else if contradiction.is_none()
        && names_itself(expected, evidence)
        && runs_wanted(expected, evidence)
    {
        Judgement::AlreadyRunning
    } else {
        Judgement::Pass
    }
}

/// How sure it is by what is known so far that the peer is the device: see [`judge`].
#[must_use]
pub fn standing(expected: &Expectation, evidence: &Evidence) -> Standing {
    if evidence.session == Session::OwnKey {
        return Standing::Shown;
    }
    if contradiction(expected, evidence).is_some() {
        return Standing::Unknown;
    }
    let link = link_says(expected, evidence);
    let says_mac = evidence.own_words().any(|words| words.mac.is_some());
    let as_claimed =
        expected.identity.is_proven() || expected.link_address.is_none() || link != Link::Different;
    let may_be_here =
        as_claimed && expected.identity.may_be_at(evidence.peer, evidence.neighbour, says_mac);
    let literal = expected.literal_address == LiteralAddress::Own(evidence.peer);
    let named = names_itself(expected, evidence) && may_be_here;
    if link == Link::Same
        || (literal && link != Link::Different)
        || (named && evidence.is_answered())
    {
        Standing::Shown
    } else if named {
        Standing::Claimed
    } else {
        Standing::Unknown
    }
}

/// Whether only its words say that a peer is a device which was never proven, and its network hardware isn't the one
/// that its MAC address would have: a repeater's, an Ethernet interface's, or another board's.
fn is_doubtful(expected: &Expectation, evidence: &Evidence) -> bool {
    !expected.identity.is_proven()
        && evidence.session != Session::OwnKey
        && link_says(expected, evidence) == Link::Different
}

/// Whether a peer is shown in a way that nothing it says could change: by a key of its own, or by network hardware that
/// was proven before. A repeater's shows only that it is behind it.
fn is_certain(expected: &Expectation, evidence: &Evidence) -> bool {
    let identity = &expected.identity;
    let own = |link| identity.mac() == Some(link) && identity.has_link(link);
    evidence.session == Session::OwnKey
        || (identity.is_proven()
            && evidence.neighbour.is_some_and(own)
            && link_says(expected, evidence) == Link::Same)
}

/// Whether only network hardware shows a peer whose MAC address is another one, or isn't known, and it has said nothing
/// yet: another board behind the same repeater would say so.
fn is_shown_by_a_repeater(expected: &Expectation, evidence: &Evidence) -> bool {
    link_says(expected, evidence) == Link::Same
        && evidence.neighbour != expected.mac
        && evidence.own_words().next().is_none()
}

/// What the peer has answered and is worth remembering, with the network hardware that it turned out to be behind: of
/// another device only what shows that it is one.
pub fn answers<'a>(
    expected: &'a Expectation,
    evidence: &'a Evidence,
) -> impl Iterator<Item = Sighting> + 'a {
    let contradicted = contradiction(expected, evidence).is_some();
    let worth = move |words: &&Sighting| {
        matches!(words.source, Source::Answer(_)) && (!contradicted || contradicts(expected, words))
    };
    evidence.own_words().filter(worth).map(|words| {
        let link_address = words.link_address.or(evidence.neighbour);
        Sighting { link_address, ..words.clone() }
    })
}

/// What a session that the gate let pass has proved; `None`: it didn't let it pass.
#[must_use]
pub fn proof(expected: &Expectation, evidence: &Evidence) -> Option<Proof> {
    match judge(expected, evidence) {
        Judgement::Pass | Judgement::AlreadyRunning => {
            // What packets say may be forged, whoever the peer is. The MAC address that was claimed first is pinned with
            // the first proof, when the peer shows it: anybody may have claimed it.
            let doubted = contradiction(expected, evidence).is_some();
            let answers = evidence.own_words().filter(|_| !doubted && evidence.is_answered());
            let shows = |mac: &MacAddress| {
                evidence.neighbour == Some(*mac)
                    || evidence.own_words().any(|words| words.mac == Some(*mac))
            };
            let claimed = expected.mac.filter(|mac| !doubted && shows(mac));
            Some(Proof::of_session(evidence.peer, evidence.neighbour, claimed, answers))
        }
        Judgement::Contradicted(_) | Judgement::Undecided => None,
    }
}

/// Whether more can still be learnt that would spare this flash, or one after it: a hash is wanted, or nothing is
/// known of the device, and it hasn't said yet what it runs. Firmware that announces its version and no hash has said
/// all it can by mDNS. `asked`: a question over its native API, whose answer tells for any build with a stamp, is still
/// open.
fn may_still_be_running(expected: &Expectation, evidence: &Evidence, asked: bool) -> bool {
    let by_hash = expected.wanted_hash.is_some() || expected.unheard;
    let by_stamp = expected.wanted_stamp.is_some();
    let told_hash = by_hash
        && evidence.own_words().any(|words| words.config_hash.is_some() || words.is_record());
    let told_stamp = by_stamp && evidence.own_words().any(|words| words.stamp.is_some());
    !told_hash && !told_stamp && (by_hash || (by_stamp && asked))
}

/// What the user reads when the peer is another device, with the judge's sentence.
#[must_use]
pub fn refused(sentence: String) -> Problem {
    Problem::new("gate.other_device", sentence).with_help(
        "Nothing was sent. The update waits for the right device. If you have replaced the board, accept the new \
         one in the device's details.",
    )
}

/// What the user reads when nothing has told which device the peer is.
#[must_use]
pub fn unidentified(expected: &Expectation, evidence: &Evidence) -> Problem {
    let (peer, name) = (evidence.peer, &expected.name);
    let named = evidence.own_words().any(|words| expected.is_called(&words.name));
    if named && link_says(expected, evidence) == Link::Different {
        let message =
            format!("“{name}” answers at {peer}, but from other network hardware than before.");
        return Problem::new("gate.other_hardware", message).with_help(
            "Nothing was sent. If it is your device, behind another repeater for instance, accept it in its details. \
             With an encryption key of its own it would be recognised.",
        );
    }
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
        | LiteralAddress::Uncertain { .. } => return stranger(name, peer),
    };
    Problem::new("gate.unidentified", message).with_help(PROOFS)
}

/// What the user reads when whoever accepts connections at a device's address isn't known to be that device.
#[must_use]
pub fn stranger(name: &str, peer: IpAddr) -> Problem {
    let message =
        format!("Something answered at {peer}, but it did not prove that it is “{name}”.");
    Problem::new("gate.unidentified", message).with_help(PROOFS)
}

const PROOFS: &str = "\
    Nothing was sent, because the firmware holds your Wi-Fi credentials. Let the device announce itself by mDNS, give \
    it an encryption key of its own, or give it a static address in its configuration.";

/// Whether these words are another device's.
fn contradicts(expected: &Expectation, words: &Sighting) -> bool {
    !expected.is_called(&words.name)
        || words.mac.zip(expected.mac).is_some_and(|(said, known)| said != known)
}

fn contradiction(expected: &Expectation, evidence: &Evidence) -> Option<String> {
    let (peer, name) = (evidence.peer, &expected.name);
    let other = evidence.own_words().find(|words| contradicts(expected, words))?;
    if !expected.is_called(&other.name) {
        return Some(format!("At {peer} answers “{}” and not “{name}”.", other.name));
    }
    let (other, known) = other.mac.zip(expected.mac)?;
    Some(format!(
        "The device at {peer} calls itself “{name}”, but its MAC address is {other} and not {known}."
    ))
}

fn names_itself(expected: &Expectation, evidence: &Evidence) -> bool {
    evidence.own_words().any(|words| expected.mac.is_none() || is_complete(words))
}

/// Whether the words come from a TXT record, which has the MAC address. A probe or an address record alone
/// shows a name, and two boards can claim one name.
fn is_complete(words: &Sighting) -> bool {
    words.mac.is_some() || words.version.is_some() || words.config_hash.is_some()
}

fn runs_wanted(expected: &Expectation, evidence: &Evidence) -> bool {
    let stamp = evidence.own_words().rev().find_map(|words| words.stamp.as_ref());
    if let Some((wanted, said)) = expected.wanted_stamp.as_ref().zip(stamp) {
        return wanted == said;
    }
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
    } else if expected.identity.has_link(now) {
        // A repeater's: it tells nothing.
        Link::Unknown
    } else if known.iter().any(Option::is_some) || !expected.identity.link_addresses().is_empty() {
        Link::Different
    } else {
        Link::Unknown
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
