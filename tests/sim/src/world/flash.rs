//! Sessions: a connection to a device from its opening to its end, as the engine's flasher and a real device have it.

mod end;

use core::net::IpAddr;

use wakeflash_core::device::{ConfigHash, Sighting};
use wakeflash_core::dispatch::FlashOutcome;
use wakeflash_core::error::Problem;
use wakeflash_core::gate::{Api, Evidence, Limits, Patience};
use wakeflash_core::update::UpdateId;
use wakeflash_ota::FailureClass;

use super::gate::Pass;
use super::{Ev, Step, World};
use crate::house::{Event, FlashJob};
use crate::plan::{Ms, SECOND};

/// So much of the image may be unacknowledged.
const WINDOW: u64 = 128 * 1_024;
/// So long before the end it is stored that the image may be complete.
const NOTICE: u64 = 64 * 1_024;
/// How long a device waits for its image, and how long the flasher waits for its turn.
const DEVICE_PATIENCE: Ms = 105 * SECOND;
const TURN_PATIENCE: Ms = 95 * SECOND;
const STEP_DEADLINE: Ms = 20 * SECOND;
const ANSWER_DEADLINE: Ms = 110 * SECOND;
/// A device that speaks after nothing was acknowledged for so long has restarted.
const STANDSTILL: Ms = 2 * SECOND;
const LAST_STANDSTILL: Ms = 5 * SECOND;

/// What comes next in a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    HandshakeEnds,
    /// The peer answers the question who it is.
    Answers,
    /// It says so over its API.
    ApiTells,
    /// It has no API, or takes leave there.
    ApiIsOver,
    GateLooks,
    TurnIsOver,
    NearEnd,
    AllSent,
    AllThere,
    Acknowledged,
    Cut,
    PowerLost,
    Deadline(Stage),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Handshake,
    Held,
    Sending,
    /// All was sent; the device has yet to say that it took it.
    Last,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) life: u32,
    pub(super) job: FlashJob,
    /// Who is at the other end, in truth; `None`: nobody any more.
    pub(super) device: Option<usize>,
    pub(super) began: Ms,
    pub(super) stage: Stage,
    pub(super) evidence: Evidence,
    pub(super) patience: Patience,
    pub(super) api: Api,
    pub(super) pass: Option<Result<Pass, FlashOutcome>>,
    handshake: Option<Result<(), FlashOutcome>>,
    /// The device serves this connection, and no other.
    served: bool,
    granted: bool,
    recorded: bool,
    sending_since: Ms,
    /// Everything has left this computer, as far as it knows.
    pub(super) all_sent: bool,
    /// The device has it all.
    all_there: bool,
    moved: Ms,
    cut_at: Option<u64>,
    power_lost_at: Option<u64>,
}

impl World<'_> {
    /// The application uses an open connection.
    pub(super) fn flash_begins(&mut self, job: FlashJob) -> Step {
        self.judge.work_begins("a flash", self.now)?;
        let peer = job.peer;
        self.connected.remove(&job.update);
        let at_peer = self.lan.holders.get(&peer).copied();
        let device = at_peer.filter(|device| self.devices[*device].listens);
        self.session_number += 1;
        let id = self.session_number;
        let lately = self.lan.lately.get(&peer).map_or(&[][..], Vec::as_slice);
        let heard = lately.iter().filter(|(at, _)| at + super::network::LATELY > self.now);
        let evidence = Evidence {
            heard: heard.map(|(_, heard)| heard.clone()).collect(),
            ..Evidence::about(peer, wakeflash_core::gate::Session::ProvesNothing)
        };
        let limits = Limits::for_window(job.window);
        let session = Session {
            life: self.life,
            job,
            device,
            began: self.now,
            stage: Stage::Handshake,
            evidence,
            patience: Patience::new(limits),
            api: Api::MayTell,
            pass: None,
            handshake: None,
            served: false,
            granted: false,
            recorded: false,
            sending_since: 0,
            all_sent: false,
            all_there: false,
            moved: self.now,
            cut_at: None,
            power_lost_at: None,
        };
        self.sessions.insert(id, session);
        self.handshake_begins(id, device);
        self.api_is_asked(id, device);
        self.gate_looks(id)
    }

    fn handshake_begins(&mut self, id: u32, device: Option<usize>) {
        let now = self.now;
        let free = device.filter(|device| {
            let it = &self.devices[*device];
            it.session.is_none() && it.other_client_until <= now
        });
        match free {
            Some(device) => {
                self.devices[device].session = Some(id);
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.served = true;
                }
                let rtt = self.devices[device].plan.rtt;
                self.session_after(id, 3 * rtt + 5, What::HandshakeEnds);
                if !self.rng.chance(20) {
                    self.session_after(id, rtt + 2, What::Answers);
                }
            }
            None => {
                if device.is_some() {
                    self.cover.struck("another client has the device's session");
                }
            }
        }
        self.session_after(id, STEP_DEADLINE, What::Deadline(Stage::Handshake));
    }

    pub(super) fn session_after(&mut self, session: u32, pause: Ms, what: What) {
        self.after(pause, Ev::Session { session, what });
    }

    pub(super) fn session_step(&mut self, id: u32, what: What) -> Step {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        if self.is_suspended() && session.life == self.life {
            // Everything that this computer would have done comes later, and too late.
            self.at(self.resumes_at, Ev::Session { session: id, what: What::Cut });
            return Ok(());
        }
        match what {
            What::HandshakeEnds => self.handshake_ends(id),
            What::Answers => self.peer_answers(id),
            What::ApiTells => self.api_tells(id),
            What::ApiIsOver => self.api_is_over(id),
            What::GateLooks => self.gate_looks(id),
            What::TurnIsOver if !session.granted && session.stage == Stage::Held => {
                let outcome = failed(FailureClass::RetryNow, "flash.refused", "Too many others.");
                self.session_ends(id, outcome)
            }
            What::TurnIsOver => Ok(()),
            What::NearEnd => self.near_end(id),
            What::AllSent => self.all_sent(id),
            What::AllThere => self.all_there(id),
            What::Acknowledged => self.session_ends(id, FlashOutcome::Acknowledged),
            What::Cut => self.session_is_cut(id),
            What::PowerLost => self.power_lost(id),
            What::Deadline(stage) if session.stage == stage => {
                let class = match stage {
                    Stage::Handshake if !session.served => FailureClass::Busy,
                    Stage::Handshake | Stage::Held | Stage::Sending => FailureClass::RetryNow,
                    Stage::Last => FailureClass::OutcomeUnknown,
                };
                self.session_ends(id, failed(class, "ota.timeout", "The device fell silent."))
            }
            What::Deadline(_) => Ok(()),
        }
    }

    /// The device knows the password, or says that it is wrong.
    fn handshake_ends(&mut self, id: u32) -> Step {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let Some(device) = session.device else { return Ok(()) };
        let it = &mut self.devices[device];
        let wrong = it.firmware.password.is_some() && it.firmware.password != session.job.password;
        let key = super::builder::key(&it.plan);
        let has_key = key.is_some() && session.job.own_key.is_some();
        let other_key = has_key && key != session.job.own_key;
        if has_key && !other_key {
            session.evidence.session = wakeflash_core::gate::Session::OwnKey;
        }
        session.handshake = Some(if wrong || other_key {
            Err(failed(FailureClass::WrongPassword, "ota.auth_invalid", "The password is wrong."))
        } else if it.trouble.refuses_for_good {
            Err(failed(FailureClass::Permanent, "ota.no_space", "There is no room for it."))
        } else {
            it.held = true;
            Ok(())
        });
        if wrong || other_key {
            self.cover.struck("the device has another password");
        } else if self.devices[device].trouble.refuses_for_good {
            self.cover.struck("the device refuses the image for good");
        }
        self.gate_looks(id)?;
        self.gate_and_handshake(id)
    }

    /// Both must be over before anything is sent.
    pub(super) fn gate_and_handshake(&mut self, id: u32) -> Step {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        if session.stage != Stage::Handshake {
            return Ok(());
        }
        let Some(pass) = session.pass.clone() else { return Ok(()) };
        match pass {
            Err(refused) => self.session_ends(id, refused),
            Ok(Pass::AlreadyRunning) => self.session_ends(id, FlashOutcome::AlreadyRunning),
            Ok(Pass::Open) => match session.handshake.clone() {
                None => Ok(()),
                Some(Err(outcome)) => {
                    if let FlashOutcome::Failed { class: FailureClass::Permanent, .. } = outcome {
                        self.judge.may_fail(session.job.update, "the device refuses it for good");
                    }
                    self.session_ends(id, outcome)
                }
                Some(Ok(())) => {
                    session.stage = Stage::Held;
                    let update = session.job.update;
                    self.session_after(id, TURN_PATIENCE, What::TurnIsOver);
                    self.session_after(id, DEVICE_PATIENCE, What::Deadline(Stage::Held));
                    self.say(Event::Captured { update })
                }
            },
        }
    }

    /// The image may be sent.
    pub(super) fn granted(&mut self, update: UpdateId) -> Step {
        let Some(id) = self.session_of(update) else { return Ok(()) };
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        if session.granted || session.stage != Stage::Held {
            return Ok(());
        }
        let Some(device) = session.device else { return Ok(()) };
        session.granted = true;
        session.stage = Stage::Sending;
        (session.sending_since, session.moved) = (self.now, self.now);
        let job = session.job.clone();
        self.cover.row("Flashing: granted");
        let it = &mut self.devices[device];
        let trouble = &mut it.trouble;
        session.cut_at = match (trouble.cut, trouble.cut_always) {
            (_, Some((at, until))) if until > self.now => Some(at),
            (Some((at, times)), _) if times > 0 => {
                trouble.cut = Some((at, times - 1));
                Some(at)
            }
            (Some(_) | None, _) => None,
        };
        session.power_lost_at = trouble.power_loss.take();
        self.plan_transfer(id, device);
        let sending = |it: &&Session| it.stage >= Stage::Sending && it.life == self.life;
        let transfers = self.sessions.values().filter(sending).count();
        self.judge.work_runs(0, transfers, self.now)?;
        self.judge_image_begins(&job, device)
    }

    fn plan_transfer(&mut self, id: u32, device: usize) {
        let Some(session) = self.sessions.get(&id) else { return };
        let size = self.images.get(&session.job.delivery.build.image).map_or(1, |it| it.size);
        let (cut, lost) = (session.cut_at, session.power_lost_at);
        let plan = &self.devices[device].plan;
        let speed = plan.bytes_per_ms.max(1);
        let rtt = plan.rtt;
        let whole = size / speed;
        let part = |permille: u64| 2 * rtt + whole * permille / 1_000;
        self.session_after(
            id,
            2 * rtt + size.saturating_sub(WINDOW + NOTICE) / speed,
            What::NearEnd,
        );
        self.session_after(id, 2 * rtt + whole + 5, What::AllThere);
        if let Some(at) = cut {
            self.session_after(id, part(at.min(999)), What::Cut);
        }
        if let Some(at) = lost {
            self.session_after(id, part(at.min(999)), What::PowerLost);
        }
        if let Some((key, at)) = self.cancels_at(device) {
            self.after(part(at), Ev::Over(super::faults::Over::Cancel { key }));
        }
        self.session_after(id, whole + ANSWER_DEADLINE, What::Deadline(Stage::Sending));
    }

    fn near_end(&mut self, id: u32) -> Step {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        if session.stage != Stage::Sending || session.device.is_none() {
            return Ok(());
        }
        let (update, device) = (session.job.update, session.device);
        let image = session.job.delivery.build.image.clone();
        let size = self.images.get(&image).map_or(1, |it| it.size);
        let speed = device.map_or(1, |device| self.devices[device].plan.bytes_per_ms.max(1));
        self.session_after(id, NOTICE.min(size) / speed, What::AllSent);
        if let Some(device) = device {
            self.judge.almost_sent(device, update, image);
        }
        self.say(Event::AboutToComplete { update, encrypted: false })
    }

    pub(super) fn recorded(&mut self, update: UpdateId, stored: bool) -> Step {
        let Some(id) = self.session_of(update) else { return Ok(()) };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.recorded = stored;
        }
        if stored {
            return self.all_sent(id);
        }
        let outcome = failed(FailureClass::RetryNow, "flash.not_recorded", "It can't be stored.");
        self.session_ends(id, outcome)
    }

    fn all_sent(&mut self, id: u32) -> Step {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let Some(device) = session.device else { return Ok(()) };
        let size = self.images.get(&session.job.delivery.build.image).map_or(1, |it| it.size);
        let speed = self.devices[device].plan.bytes_per_ms.max(1);
        let enough = size.saturating_sub(WINDOW) / speed;
        let sent = self.now >= session.sending_since + enough;
        if session.recorded && sent && !session.all_sent {
            session.all_sent = true;
            session.stage = Stage::Last;
            session.moved = self.now;
            self.session_after(id, ANSWER_DEADLINE, What::Deadline(Stage::Last));
        }
        Ok(())
    }

    /// The last byte reaches the device, unless it was never sent.
    fn all_there(&mut self, id: u32) -> Step {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let Some(device) = session.device else { return Ok(()) };
        if !session.all_sent {
            // It waits for it.
            self.session_after(id, 50, What::AllThere);
            return Ok(());
        }
        let update = session.job.update;
        self.judge_still_wanted(update)?;
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        session.all_there = true;
        let rtt = self.devices[device].plan.rtt;
        let refuses = self.devices[device].trouble.refuses;
        if refuses > 0 {
            self.devices[device].trouble.refuses = refuses - 1;
            self.cover.struck("the device fails an attempt");
            self.judge.device_failed(session.job.update);
            (session.all_there, session.all_sent) = (false, false);
            let outcome = failed(FailureClass::NextWake, "ota.md5", "The device failed it.");
            return self.session_ends(id, outcome);
        }
        let image = session.job.delivery.build.image.clone();
        self.device_commits(device, &image, update);
        if std::mem::take(&mut self.devices[device].trouble.acknowledgement_lost) {
            self.cover.struck("the acknowledgement is lost");
            let pause = self.rng.between(500, 4_000);
            self.session_after(id, pause, What::Cut);
        } else {
            self.session_after(id, rtt / 2 + 1, What::Acknowledged);
        }
        Ok(())
    }

    /// The device has the whole image, and runs it from its next start on.
    pub(super) fn device_commits(
        &mut self,
        device: usize,
        image: &wakeflash_core::update::Sha256,
        update: UpdateId,
    ) {
        let Some(image) = self.images.get(image) else { return };
        let firmware = image.firmware.clone();
        let image = firmware.image.clone();
        let it = &mut self.devices[device];
        let name = it.firmware.name.clone();
        it.previous = Some(it.firmware.clone());
        it.takes(firmware);
        (it.on_trial, it.trial_begun) = (true, false);
        self.judge.image_arrived(update, image, self.now);
        self.tell(|| format!("{name} has the whole image of update {update}"));
        self.reboots(device);
    }

    /// The device speaks: a transfer that stands still has lost it.
    pub(super) fn sessions_hear(&mut self, sender: IpAddr, sighting: &Sighting) -> Step {
        let found = self.sessions.iter().find(|(_, session)| session.job.peer == sender);
        let Some((id, session)) = found else { return Ok(()) };
        let id = *id;
        let patience = match session.stage {
            Stage::Sending => STANDSTILL,
            Stage::Last => LAST_STANDSTILL,
            Stage::Handshake | Stage::Held => return self.gate_hears(id, sighting),
        };
        let shows: Option<ConfigHash> = session.job.expectation.wanted_hash;
        let shown = shows.is_some() && sighting.config_hash == shows;
        let named = session.job.expectation.name == sighting.name
            || session.job.expectation.other_name.as_deref() == Some(&sighting.name);
        let still = session.device.is_none() && self.now >= session.moved + patience;
        if named && (shown || still) {
            return self.session_is_cut(id);
        }
        Ok(())
    }

    /// Whether the device of an open connection is gone, and this computer doesn't know yet.
    pub(crate) fn has_lost_its_device(&self, update: UpdateId) -> bool {
        let session = self.session_of(update).and_then(|id| self.sessions.get(&id));
        session.is_some_and(|session| session.device.is_none())
    }

    pub(super) fn session_of(&self, update: UpdateId) -> Option<u32> {
        let own = |session: &Session| session.job.update == update && session.life == self.life;
        self.sessions.iter().find(|(_, session)| own(session)).map(|(id, _)| *id)
    }
}

pub(super) fn failed(class: FailureClass, code: &str, message: &str) -> FlashOutcome {
    FlashOutcome::Failed { class, problem: Problem::new(code, message) }
}
