//! What the engine does at the gate: evidence is collected while the handshake runs, `wakeflash_core::gate` judges.

use wakeflash_core::device::{Sighting, Source};
use wakeflash_core::dispatch::FlashOutcome;
use wakeflash_core::gate::{self, Judgement};
use wakeflash_core::update::SourceTracking;

use super::flash::{Stage, What};
use super::{Step, World};
use crate::plan::{Ms, SECOND, Voice};

/// What the gate has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Open,
    AlreadyRunning,
}

const IDENTITY: Ms = 5 * SECOND;

impl World<'_> {
    /// The peer answers who it is, when it can.
    pub(super) fn peer_answers(&mut self, id: u32) -> Step {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let Some(device) = session.device else { return Ok(()) };
        let it = &self.devices[device];
        let Some(record) = it.record().filter(|_| it.voice() == Voice::Full) else { return Ok(()) };
        let sighting = Sighting { source: Source::Answer(session.job.peer), ..record };
        session.evidence.heard.push(sighting.clone());
        self.judge.heard_from(device, &sighting, &self.devices[device], self.now);
        self.gate_looks(id)
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
        let expected = &session.job.expectation;
        let judgement = gate::judge(expected, &session.evidence);
        let deadline = match judgement {
            Judgement::AlreadyRunning | Judgement::Contradicted(_) => now,
            Judgement::Pass => {
                let since = *session.identified.get_or_insert(now);
                if gate::may_still_be_running(expected, &session.evidence, false) {
                    since + super::network::ms(gate::hash_wait(session.job.window))
                } else {
                    now
                }
            }
            Judgement::Undecided => session.began + IDENTITY,
        };
        if deadline > now {
            self.session_after(id, deadline - now, What::GateLooks);
            return Ok(());
        }
        self.gate_decides(id, judgement)
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
        let answers: Vec<Sighting> = session
            .evidence
            .heard
            .iter()
            .filter(|heard| matches!(heard.source, Source::Answer(_)))
            .cloned()
            .collect();
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
