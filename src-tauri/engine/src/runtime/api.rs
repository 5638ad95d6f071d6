//! Asking a device over its native API, beside its handshake and when it is back.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use wakeflash_api::{Event, Wish, Worth};
use wakeflash_core::device::DeviceMemory;
use wakeflash_core::gate::{Expectation, Session};
use wakeflash_core::update::{Api, Delivery, Encryption, StateKind, Update, UpdateId};
use wakeflash_ota::EncryptionKey;

use super::Runtime;
use super::keys::{KeyElsewhere, is_own};
use crate::api::{self, Question};
use crate::gate::Told;
use crate::watch::neighbours::link_address;

/// How long a device has to answer at the gate, which waits no longer.
pub(super) const AT_THE_GATE: Duration = Duration::from_secs(5);

/// More than a device says.
pub(super) const WORDS: usize = 4;

/// A device that is asked.
#[derive(Clone, Debug)]
pub(super) struct ApiQuestion {
    question: Question,
    /// Nobody says that its API is at this port: what has another name there may be another device of that host.
    guessed: Option<Box<Expectation>>,
    key_elsewhere: KeyElsewhere,
}

impl Runtime {
    /// Who the device of an update has to be.
    pub(super) fn expectation(
        &self,
        update: &Update,
        delivery: &Delivery,
        peer: IpAddr,
    ) -> Expectation {
        let memory = self.conductor.state().memory_of(update);
        Expectation {
            name: update.name.clone(),
            mac: update.mac.or_else(|| memory?.mac()),
            identity: memory.map(|memory| memory.identity.clone()).unwrap_or_default(),
            link_address: self.conductor.state().own_link_address(update),
            wanted_hash: update.new_hash(),
            wanted_version: delivery.build.esphome_version.clone(),
            wanted_stamp: delivery.build.stamp.clone(),
            least: self.work.on_claim.least(&update.device),
            unheard: delivery.build.mdns
                && delivery.build.config_hash.is_some()
                && update.known_hashes.is_empty()
                && update.state.previous_hash().is_none(),
            other_name: (delivery.build.name != update.name).then(|| delivery.build.name.clone()),
            literal_address: self.conductor.state().literal_address(update, &delivery.build, peer),
            suffixed: delivery.build.mac_suffix && delivery.build.name == update.name,
        }
    }

    /// The question to the device of an update: at the port of its build, with the key that what runs should have.
    pub(super) fn api_question(
        &self,
        update: &Update,
        delivery: &Delivery,
        peer: IpAddr,
        expected: &Expectation,
    ) -> ApiQuestion {
        let own = delivery.build.api.as_ref();
        let key = match update.state.kind() {
            StateKind::Confirming => own.and_then(|api| api.key.as_ref()),
            StateKind::Queued
            | StateKind::Building
            | StateKind::Waiting
            | StateKind::Held
            | StateKind::Flashing
            | StateKind::Installed
            | StateKind::Failed
            | StateKind::Cancelled
            | StateKind::Superseded => {
                let memory = self.conductor.state().memory_of(update);
                match memory.and_then(running_encryption) {
                    Some(Encryption::None) => None,
                    Some(Encryption::Offered { key }) => Some(key),
                    Some(Encryption::Required { .. }) | None => own.and_then(|it| it.key.as_ref()),
                }
            }
        };
        let key = key.and_then(|key| EncryptionKey::from_base64(&key.0));
        let config_dir = self.conductor.state().directory_of(update).map(Into::into);
        let port = own.map_or(Api::PORT, |api| api.port);
        ApiQuestion {
            key_elsewhere: self.key_elsewhere(update, key.as_ref(), config_dir),
            question: Question { address: SocketAddr::new(peer, port), key, wish: Wish::Identity },
            guessed: own.is_none().then(|| Box::new(expected.clone())),
        }
    }

    /// The question to a device that is back, which its API can answer.
    pub(super) fn question_for_word(&self, id: UpdateId, peer: IpAddr) -> Option<ApiQuestion> {
        let update = self.conductor.state().update(id)?;
        let delivery = update.state.delivery()?;
        (delivery.build.api.is_some() && delivery.build.stamp.is_some()).then(|| {
            let expected = self.expectation(update, delivery, peer);
            self.api_question(update, delivery, peer, &expected)
        })
    }

    /// Asks; what the device says is told at once. The connection outlives whoever waits for it: a device that loses
    /// a client in the middle of its goodbye writes a warning into its log.
    pub(super) fn ask_api(
        &mut self,
        asked: ApiQuestion,
        limit: Duration,
        told: mpsc::Sender<Told>,
    ) {
        let cancel = self.cancel.child_token();
        self.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = asked.ask(limit, told) => {}
            }
            None
        });
    }
}

/// What the firmware that runs says about its key, as far as it was installed from here.
fn running_encryption(memory: &DeviceMemory) -> Option<&Encryption> {
    memory.installed().and(memory.installed_encryption.as_ref())
}

impl ApiQuestion {
    async fn ask(self, limit: Duration, told: mpsc::Sender<Told>) {
        let Self { question, guessed, key_elsewhere } = self;
        let peer = question.address.ip();
        let (proved, proof) = oneshot::channel();
        let (mut proved, says) = (Some(proved), told.clone());
        let hear = move |event: Event| {
            let Some(mut sighting) = api::sighting(peer, &event) else { return };
            if guessed.as_ref().is_some_and(|expected| !expected.is_called(&sighting.name)) {
                return;
            }
            sighting.link_address = link_address(peer);
            if says.try_send(Told::Says(sighting)).is_err() {
                tracing::debug!(%peer, "nobody waits for what it says any more");
            }
            let proves = matches!(&event, Event::Answered(it) if it.worth() == Worth::Proof);
            if proves && let Some(proved) = proved.take() {
                // Whoever waits for it does so until the end of the question.
                let _ = proved.send(());
            }
        };
        let proves = async {
            if proof.await.is_ok() && is_own(&key_elsewhere).await == Session::OwnKey {
                // The gate may have decided already.
                let _ = told.send(Told::OwnKey).await;
            }
        };
        tokio::join!(api::ask(&question, Instant::now() + limit, hear), proves);
    }
}
