//! Asking devices who they are and what they run.

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use wakeflash_core::device::Sighting;
use wakeflash_core::dispatch::Input;
use wakeflash_core::update::{OtaMethod, UpdateId};

use super::Runtime;
use super::api::WORDS;
use super::report::Report;
use crate::api;
use crate::flasher;
use crate::gate::Told;
use crate::watch::neighbours::link_address;
use crate::watch::question;

/// How long a device has to answer what it runs.
const WORD_DEADLINE: Duration = Duration::from_secs(2);

/// How many questions which device is where are under way at once; and how many when one is about a device that is
/// waited for.
const ASKED_AT_ONCE: usize = 64;
const ASKED_AT_ONCE_WAITED: usize = 96;

/// What came of one way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Something,
    Nothing,
    /// The device couldn't be asked.
    Unknown,
}

/// Whether what is asked has accepted a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opens {
    Yes,
    Unknown,
}

impl Runtime {
    /// Asks addresses which device they are. Many claims may come at once, and each question takes a socket.
    pub(super) fn ask_who(&mut self, name: String, addresses: Vec<IpAddr>, opens: Opens) {
        let limit = if self.conductor.state().is_waited_for(&name) {
            ASKED_AT_ONCE_WAITED
        } else {
            ASKED_AT_ONCE
        };
        for address in addresses {
            let full = self.work.asking.len() >= limit;
            if full || !self.work.asking.insert((name.clone(), address)) {
                continue;
            }
            let (name, cancel) = (name.clone(), self.cancel.child_token());
            self.spawn(async move {
                let answer = tokio::select! {
                    () = cancel.cancelled() => return None,
                    answer = question::ask(&name, address, WORD_DEADLINE) => answer,
                };
                let answer = answer.unwrap_or_else(|error| {
                    tracing::debug!("asking {name} at {address}: {error:#}");
                    None
                });
                Some(Report::Asked { name, address, opens, answer })
            });
        }
    }

    /// A device that has answered its name: whether it refuses its API while it takes updates.
    pub(super) fn look_at_api(&mut self, name: String, peer: IpAddr, (api, ota): (u16, u16)) {
        let cancel = self.cancel.child_token();
        self.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => None,
                refused = api::is_refused(peer, (api, ota), WORD_DEADLINE) => {
                    Some(Report::LookedAtApi { name, peer, refused })
                }
            }
        });
    }

    /// Where somebody accepts connections and says nothing, the neighbour table may show the device's own network
    /// hardware. Where nobody does, it is no sign of life: it keeps those that have gone, and we hold them in it.
    pub(super) fn asked(
        &mut self,
        name: String,
        address: IpAddr,
        opens: Opens,
        answer: Option<Sighting>,
    ) {
        self.work.asking.remove(&(name.clone(), address));
        let shown = || {
            let link = link_address(address)?;
            let identity = &self.conductor.state().memory(&name)?.identity;
            let own = identity.is_proven() && identity.has_link(link);
            own.then(|| Sighting::of_hardware(&name, address, link))
        };
        match (answer, opens) {
            (Some(sighting), Opens::Yes | Opens::Unknown) => {
                self.heard(Input::Sighted(sighting));
            }
            (None, Opens::Yes) => self.heard(
                shown()
                    .map_or(Input::Stranger { name: name.clone(), peer: address }, Input::Sighted),
            ),
            (None, Opens::Unknown) => {}
        }
    }

    /// Asks whoever accepts connections again who it is and what it runs. Silence means that the device is
    /// back, when it is where it was flashed. What it says counts for more when it has greeted us before.
    pub(super) fn ask_for_word(
        &mut self,
        update: UpdateId,
        name: String,
        peer: IpAddr,
        stream: TcpStream,
    ) {
        let cancel = self.cancel.child_token();
        let reports = self.reports.clone();
        let speaks_ota = self.conductor.state().update(update).is_some_and(|update| {
            let delivery = update.state.delivery();
            delivery.is_some_and(|delivery| delivery.build.ota.method == OtaMethod::Native)
        });
        let (told, mut words) = mpsc::channel(WORDS);
        if let Some(asked) = self.question_for_word(update, peer) {
            self.ask_api(asked, WORD_DEADLINE, told);
        }
        self.spawn(async move {
            let greeted = async {
                if speaks_ota && flasher::serves(stream, WORD_DEADLINE).await {
                    // The loop outlives its tasks, unless they are cut off at the end.
                    let _ = reports.send(Report::ServesAgain { update, peer }).await;
                }
            };
            let by_mdns = async {
                match question::ask(&name, peer, WORD_DEADLINE).await {
                    Ok(Some(sighting)) => {
                        let _ = reports.send(Report::Answered(sighting)).await;
                        Said::Something
                    }
                    Ok(None) => Said::Nothing,
                    Err(error) => {
                        tracing::warn!("asking {name} at {peer}: {error:#}");
                        Said::Unknown
                    }
                }
            };
            let by_api = async {
                let mut said = Said::Nothing;
                while let Some(word) = words.recv().await {
                    match word {
                        Told::Says(sighting) => {
                            said = Said::Something;
                            let _ = reports.send(Report::Answered(sighting)).await;
                        }
                        // What it says is weighed like any other answer.
                        Told::OwnKey => {}
                    }
                }
                said
            };
            tokio::select! {
                () = cancel.cancelled() => None,
                ((), by_mdns, by_api) = async { tokio::join!(greeted, by_mdns, by_api) } => {
                    let silent = (by_mdns, by_api) == (Said::Nothing, Said::Nothing);
                    silent.then_some(Report::Returned { update, peer })
                }
            }
        });
    }
}
