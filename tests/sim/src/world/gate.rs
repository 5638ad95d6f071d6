//! What the engine does at the gate: evidence is collected while the handshake runs, `wakeflash_core::gate` judges.

use core::time::Duration;

use wakeflash_core::device::{MacAddress, Sighting, Source};
use wakeflash_core::dispatch::FlashOutcome;
use wakeflash_core::gate::{self, Api, Judgement, Next};
use wakeflash_core::update::{SourceTracking, UpdateId};

use super::flash::{Stage, What};
use super::{Step, World};
use crate::plan::Voice;

/// What the gate has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Open,
    AlreadyRunning,
}

impl World<'_> {
    /// The peer answers who it is, when it can.
    pub(super) fn peer_answers(&mut self, id: u32) -> Step {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let Some(device) = session.device else { return Ok(()) };
        let it = &self.devices[device];
        let Some(record) = it.record().filter(|_| it.voice() == Voice::Full) else { return Ok(()) };
        let sighting = Sighting { source: Source::Answer(session.job.peer), ..record };
        session.evidence.heard.push(sighting.clone());
        self.gate_looks(id)
    }

    /// Its API is asked beside the handshake.
    pub(super) fn api_is_asked(&mut self, id: u32, device: Option<usize>) {
        let Some(it) = device.map(|device| &self.devices[device]) else { return };
        let (what, pause) = match it.plan.api.filter(|_| !it.safe_mode) {
            Some(takes) => (What::ApiTells, takes + 2 * it.plan.rtt),
            None => (What::ApiIsOver, it.plan.rtt),
        };
        self.session_after(id, pause, what);
    }

    pub(super) fn api_tells(&mut self, id: u32) -> Step {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let Some(device) = session.device else { return Ok(()) };
        let it = &self.devices[device];
        let (words, rtt) = (it.over_api(), it.plan.rtt);
        session.api = Api::Told;
        session.evidence.heard.push(words);
        self.session_after(id, rtt, What::ApiIsOver);
        self.gate_looks(id)
    }

    pub(super) fn api_is_over(&mut self, id: u32) -> Step {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        session.api = Api::Over;
        self.gate_looks(id)
    }

    /// Whether whoever is at the other end of a session has given this MAC address there.
    pub(crate) fn has_said_who_it_is(&self, update: UpdateId, mac: MacAddress) -> bool {
        let session = self.session_of(update).and_then(|id| self.sessions.get(&id));
        session.is_some_and(|it| it.evidence.heard.iter().any(|said| said.mac == Some(mac)))
    }

    pub(super) fn gate_hears(&mut self, id: u32, sighting: &Sighting) -> Step {
        if let Some(session) = self.sessions.get_mut(&id)
            && session.evidence.heard.len() < 32
        {
            session.evidence.heard.push(sighting.clone());
        }
        self.gate_looks(id)
    }

    /// Judges by what is known so far; at the end of the wait that counts.
    pub(super) fn gate_looks(&mut self, id: u32) -> Step {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        if session.pass.is_some() || session.stage != Stage::Handshake {
            return Ok(());
        }
        let link = self.link_of(session.job.peer);
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        session.evidence.neighbour = session.evidence.neighbour.or(link);
        let elapsed = Duration::from_millis(now - session.began);
        let expected = &session.job.expectation;
        let look = session.patience.look(expected, &session.evidence, session.api, elapsed);
        match look.next {
            Next::Decided(judgement) => self.gate_decides(id, judgement),
            Next::Again(after) => {
                let at = session.began + super::network::ms(after);
                self.session_after(id, at.saturating_sub(now).max(1), What::GateLooks);
                Ok(())
            }
        }
    }

    fn gate_decides(&mut self, id: u32, judgement: Judgement) -> Step {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let job = &session.job;
        let tracked = job.delivery.tracking == SourceTracking::Tracked;
        let changes = job
            .dir
            .as_deref()
            .filter(|_| tracked)
            .and_then(|dir| self.files.changes(dir, &job.delivery.build.sources, self.now));
        self.judge.gate_looked(job.update, self.now);
        session.pass = Some(match (changes.unwrap_or_default(), judgement) {
            (changes, _) if !changes.is_empty() => Err(FlashOutcome::SourcesChanged(changes)),
            (_, Judgement::Pass) => Ok(Pass::Open),
            (_, Judgement::AlreadyRunning) => Ok(Pass::AlreadyRunning),
            (_, Judgement::Contradicted(sentence)) => Err(FlashOutcome::NotProven {
                another_device: true,
                problem: gate::refused(sentence),
            }),
            (_, Judgement::Undecided) => Err(FlashOutcome::NotProven {
                another_device: false,
                problem: gate::unidentified(&job.expectation, &session.evidence),
            }),
        });
        let proof = gate::proof(&job.expectation, &session.evidence);
        let update = job.update;
        let answers: Vec<Sighting> = gate::answers(&job.expectation, &session.evidence).collect();
        let life = session.life;
        for sighting in answers {
            let event = Box::new(crate::house::Event::Heard(sighting));
            self.after(0, super::Ev::Host { life, event });
        }
        if let Some(proof) = proof {
            self.say(crate::house::Event::Proven { update, proof })?;
        }
        self.gate_and_handshake(id)
    }
}
