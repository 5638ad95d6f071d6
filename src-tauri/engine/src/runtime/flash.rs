//! One flash: the gate beside the handshake, the commit before the last bytes, and what came of it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use wakeflash_core::credentials::Credentials;
use wakeflash_core::device::DeviceId;
use wakeflash_core::dispatch::FlashOutcome;
use wakeflash_core::error::Problem;
use wakeflash_core::gate::{
    self as core_gate, Evidence, Expectation, Judgement, Limits, Session, Standing,
};
use wakeflash_core::update::{
    Delivery, OtaMethod, PasswordChoice, SourceChange, SourceTracking, UpdateId, UpdateState,
};
use wakeflash_core::view::Progress;
use wakeflash_ota::{FailureClass, PreparedImage, Step};

use super::Runtime;
use super::api::{ApiQuestion, WORDS};
use super::challenge::{Challenger, OnClaim};
use super::flash_web::Uploader;
use super::images::load_image;
use super::keys::{KeyElsewhere, proof_of_key};
use super::report::Report;
use super::restart::{self, RestartWatch};
use super::sources::compare_sources;
use super::work::ReadyImage;
use crate::artifacts::{Artifacts, LoadError};
use crate::flasher::{self, Deadlines, FlashError, FlashHooks, FlashRequest, GateVerdict};
use crate::gate::{self, Case};
use crate::watch::Hearing;

/// How often the window hears how far a transfer is.
const PROGRESS_PERIOD: Duration = Duration::from_millis(200);

/// How long a device is held at most until its image is sent: it gives up itself after 105 s.
const TURN_PATIENCE: Duration = Duration::from_secs(95);

/// Why a device was let go again.
pub(super) const TOO_MANY: &str =
    "too many other devices were taking their updates at the same time";

/// What the gate has found.
#[derive(Clone, Copy)]
pub(super) enum Pass {
    /// It is the device, and it needs the image.
    Open,
    /// It is the device, and it runs the image's firmware.
    AlreadyRunning,
}

/// Everything a flash needs to know; it has no other access to the state.
pub(super) struct Job {
    pub(super) update: UpdateId,
    pub(super) device: DeviceId,
    pub(super) delivery: Delivery,
    credentials: Credentials,
    key_elsewhere: KeyElsewhere,
    api: ApiQuestion,
    on_claim: OnClaim,
    /// The ESPHome that it is known to run.
    running_version: Option<String>,
    pub(super) peer: IpAddr,
    pub(super) expectation: Expectation,
    /// How long the device is usually awake.
    window: Option<Duration>,
    pub(super) config_dir: Option<PathBuf>,
    pub(super) artifacts: Artifacts,
    pub(super) uploader: Uploader,
    pub(super) hearing: Hearing,
    reports: mpsc::Sender<Report>,
}

impl Runtime {
    /// Uses the open connection of an update for its flash.
    pub(super) fn start_flash(&mut self, id: UpdateId, password: PasswordChoice) {
        let stream = self.connections.remove(&id);
        let closed = || FlashOutcome::Failed {
            class: FailureClass::RetryNow,
            problem: Problem::new(
                "flash.no_connection",
                "The connection was closed before it could be used.",
            ),
        };
        let started = stream.ok_or_else(closed).and_then(|stream| {
            let job = self.flash_job(id, password);
            Ok((job.unwrap_or_else(|| Err(closed()))?, stream))
        });
        let (job, stream) = match started {
            Ok(started) => started,
            Err(outcome) => {
                self.spawn(async move { Some(Report::FlashEnded { update: id, outcome }) });
                return;
            }
        };
        let cancel = self.cancel.child_token();
        self.work.flashes.insert(id, cancel.clone());
        let fault = Report::FlashEnded { update: id, outcome: defect() };
        self.spawn_guarded(fault, async move {
            let outcome = job.run(stream, cancel).await?;
            Some(Report::FlashEnded { update: id, outcome })
        });
    }

    /// `None`: the update isn't flashed any more.
    fn flash_job(
        &mut self,
        id: UpdateId,
        password: PasswordChoice,
    ) -> Option<Result<Job, FlashOutcome>> {
        let uploader = self.uploader(id)?;
        let update = self.conductor.state().update(id)?;
        let UpdateState::Flashing { delivery, peer, .. } = &update.state else { return None };
        let credentials = match self.conductor.state().credentials(update, delivery, password) {
            Ok(credentials) => credentials,
            Err(problem) => {
                let class = FailureClass::Permanent;
                return Some(Err(FlashOutcome::Failed { class, problem }));
            }
        };
        let config_dir = self.conductor.state().directory_of(update).map(PathBuf::from);
        let expectation = self.expectation(update, delivery, *peer);
        Some(Ok(Job {
            update: id,
            device: update.device.clone(),
            delivery: delivery.clone(),
            key_elsewhere: self.key_elsewhere(
                update,
                credentials.encryption.key(),
                config_dir.clone(),
            ),
            api: self.api_question(update, delivery, *peer, &expectation),
            credentials,
            on_claim: self.work.on_claim.clone(),
            running_version: self
                .conductor
                .state()
                .memory_of(update)
                .and_then(|memory| memory.version().map(str::to_owned)),
            peer: *peer,
            expectation,
            window: self.conductor.state().window(&update.name),
            config_dir,
            artifacts: self.artifacts.clone(),
            uploader,
            hearing: self.watch.hearing().clone(),
            reports: self.reports.clone(),
        }))
    }

    fn uploader(&mut self, id: UpdateId) -> Option<Uploader> {
        let device = self.conductor.state().update(id)?.device.clone();
        Some(Uploader {
            esphome: self.surroundings.esphome.clone(),
            marker: self.marker.clone(),
            folder: self.work.build_folder(device),
        })
    }
}

impl Job {
    /// Flashes; `None` when it was cancelled, since whoever did that has settled the state.
    async fn run(self, stream: TcpStream, cancel: CancellationToken) -> Option<FlashOutcome> {
        match self.delivery.build.ota.method {
            OtaMethod::Native => self.run_native(stream, cancel).await,
            OtaMethod::WebServer => {
                // ESPHome opens its own.
                drop(stream);
                self.run_upload(cancel).await
            }
        }
    }

    async fn run_native(
        self,
        stream: TcpStream,
        cancel: CancellationToken,
    ) -> Option<FlashOutcome> {
        let (said, lost) = (OnceLock::new(), OnceLock::new());
        let (progress, shown) = watch::channel(flasher::no_progress());
        let went = shown.clone();
        let (standing, known) = watch::channel(Standing::Unknown);
        let challenger = self.challenger();
        let hooks = FlashHooks {
            challenge: challenger.known(known, shown.clone(), || self.heard_version()),
            gate: self.verdict(shown.clone(), standing, &said, &lost),
            before_completion: || self.record_completion(went.borrow().encrypted),
            progress,
        };
        // What runs on the device may listen on another port than what is sent.
        let configured = SocketAddr::new(self.peer, self.delivery.build.ota.port);
        let device = stream.peer_addr().unwrap_or(configured);
        let shown = shown.clone();
        let restarted = cancel.child_token();
        let flash = flasher::flash(stream, self.request(), hooks, restarted.clone());
        let restart = RestartWatch {
            hearing: &self.hearing,
            peer: self.peer,
            expectation: &self.expectation,
            look: || restart::serves_another(device),
        };
        let flash = restart.until_restart(flash, shown.clone(), &restarted);
        let shown_progress = |now: &wakeflash_ota::Progress| Some(shown_progress(now));
        let error = match self.while_showing(flash, shown.clone(), shown_progress).await {
            Ok(report) => {
                tracing::info!("update {} of {}: {report:?}", self.update, self.device);
                return Some(FlashOutcome::Acknowledged);
            }
            Err(error) => error,
        };
        tracing::info!("update {} of {}: {error}", self.update, self.device);
        if let Some(lost) = lost.into_inner() {
            return Some(lost);
        }
        let word = match said.into_inner() {
            // What something at this address says counts for the update only if it is the device.
            None if is_word_of_the_peer(&error) => {
                self.gate(std::future::pending(), nobody_waits()).await
            }
            None => Ok(Pass::Open),
            Some(word) => word,
        };
        match word {
            Err(refused) => Some(refused),
            Ok(Pass::AlreadyRunning) => Some(FlashOutcome::AlreadyRunning),
            Ok(Pass::Open) if restarted.is_cancelled() && !cancel.is_cancelled() => {
                Some(restart::outcome(&error))
            }
            Ok(Pass::Open) => failed(&error),
        }
    }

    fn request(&self) -> FlashRequest {
        let secret = self.credentials.password.as_ref();
        FlashRequest {
            password: secret.map(|secret| wakeflash_ota::Password::new(secret.0.clone())),
            encryption: self.credentials.encryption.clone(),
            deadlines: Deadlines::default(),
        }
    }

    /// What the gate lets happen, with the image when its turn has come. `said` is what it has found, and `lost` what
    /// comes of the flash when the image can't be had.
    async fn verdict(
        &self,
        shown: watch::Receiver<wakeflash_ota::Progress>,
        standing: watch::Sender<Standing>,
        said: &OnceLock<Result<Pass, FlashOutcome>>,
        lost: &OnceLock<FlashOutcome>,
    ) -> GateVerdict {
        let word = self.gate(proof_of_key(shown.clone(), &self.key_elsewhere), standing).await;
        let pass = word.as_ref().ok().copied();
        // There is one verdict.
        let _ = said.set(word);
        match pass {
            None => GateVerdict::Refuse("refused at the gate".to_owned()),
            Some(Pass::AlreadyRunning) => GateVerdict::AlreadyRunning,
            Some(Pass::Open) => match self.turn(shown).await {
                None => GateVerdict::Refuse(TOO_MANY.to_owned()),
                Some(Ok(image)) => GateVerdict::Open(image),
                Some(Err(error)) => {
                    let _ = lost.set(lost_image(error));
                    GateVerdict::Refuse("its image can't be had".to_owned())
                }
            },
        }
    }

    fn challenger(&self) -> Challenger<'_> {
        Challenger {
            device: &self.device,
            least: self.expectation.least,
            on_claim: &self.on_claim,
            version: self.running_version.as_deref(),
        }
    }

    /// What the peer has said lately that it runs.
    fn heard_version(&self) -> Option<String> {
        let (lately, _) = self.hearing.listen(self.peer);
        lately.into_iter().rev().find_map(|heard| heard.version)
    }

    /// Whether this device gets this image: the sources are still those of the build, it is the right
    /// device, and it doesn't run the build already. Otherwise, what comes of the flash.
    /// `session` is what the connection itself proves, once that is known; `standing` is told how sure it is.
    pub(super) async fn gate(
        &self,
        session: impl Future<Output = Session>,
        standing: watch::Sender<Standing>,
    ) -> Result<Pass, FlashOutcome> {
        let (lately, heard) = self.hearing.listen(self.peer);
        let evidence =
            Evidence { heard: lately, ..Evidence::about(self.peer, Session::ProvesNothing) };
        let limits = Limits::for_window(self.window);
        let case = Case { expected: &self.expectation, limits, standing };
        let (told, api) = mpsc::channel(WORDS);
        // The loop outlives its tasks, unless they are cut off at the end.
        let _ = self.reports.send(Report::AskApi { asked: self.api.clone(), told }).await;
        let (changes, decision) = tokio::join!(
            self.source_changes(),
            gate::decide_on_network(&case, evidence, heard, api, session),
        );
        let (judgement, took) = (decision.judgement, decision.took);
        tracing::info!("gate of {}: {judgement:?} after {took:?}", self.device);
        self.pass_on(&decision.evidence).await;
        if let Some(proof) = core_gate::proof(&self.expectation, &decision.evidence) {
            let _ = self.reports.send(Report::Proven { update: self.update, proof }).await;
        }
        if !changes.is_empty() {
            return Err(FlashOutcome::SourcesChanged(changes));
        }
        match judgement {
            Judgement::Pass => Ok(Pass::Open),
            Judgement::AlreadyRunning => Ok(Pass::AlreadyRunning),
            Judgement::Contradicted(sentence) => Err(FlashOutcome::NotProven {
                another_device: true,
                problem: core_gate::refused(sentence),
            }),
            Judgement::Undecided => Err(FlashOutcome::NotProven {
                another_device: false,
                problem: core_gate::unidentified(&self.expectation, &decision.evidence),
            }),
        }
    }

    /// Waits until the device is held, and then for the turn of its image, which only then has to be in memory: many
    /// can be held at once. `None`: it didn't come in time.
    async fn turn(
        &self,
        mut shown: watch::Receiver<wakeflash_ota::Progress>,
    ) -> Option<Result<Arc<PreparedImage>, LoadError>> {
        // The session outlives this, since it drives it.
        shown.wait_for(|progress| progress.step >= Step::Gate).await.ok()?;
        let ready = self.turn_within(TURN_PATIENCE).await?;
        let name = &self.delivery.build.image;
        // An update that was built again must not get the image of its earlier build.
        match ready.filter(|ready| ready.name == *name) {
            Some(ready) => Some(Ok(ready.image)),
            None => Some(load_image(self.artifacts.clone(), name.clone()).await),
        }
    }

    /// Waits for the turn of the image; the gate has opened. `None`: it didn't come in time. With it comes the image,
    /// if it is in memory.
    pub(super) async fn turn_within(&self, patience: Duration) -> Option<Option<ReadyImage>> {
        let (grant, granted) = oneshot::channel();
        self.reports.send(Report::Captured { update: self.update, grant }).await.ok()?;
        let mut granted = std::pin::pin!(tokio::time::timeout(patience, granted));
        tokio::select! {
            biased;
            turn = &mut granted => return turn.ok()?.ok(),
            () = tokio::time::sleep(PROGRESS_PERIOD) => {}
        }
        let progress = Progress { percent: None, step: "Waiting for its turn".to_owned() };
        let _ = self.reports.send(Report::FlashWent { update: self.update, progress }).await;
        granted.await.ok()?.ok()
    }

    /// What the device answered is worth remembering.
    async fn pass_on(&self, evidence: &Evidence) {
        for heard in core_gate::answers(&self.expectation, evidence) {
            // The loop outlives its tasks, unless they are cut off at the end.
            let _ = self.reports.send(Report::Answered(heard)).await;
        }
    }

    async fn source_changes(&self) -> Vec<SourceChange> {
        let (Some(dir), SourceTracking::Tracked) =
            (self.config_dir.clone(), self.delivery.tracking)
        else {
            return Vec::new();
        };
        let sources = self.delivery.build.sources.clone();
        match compare_sources(dir, self.device.clone(), sources).await {
            Ok(changes) => changes,
            Err(problem) => {
                tracing::warn!("the sources of {} can't be compared: {problem}", self.device);
                Vec::new()
            }
        }
    }

    pub(super) async fn record_completion(&self, encrypted: bool) -> Result<(), Problem> {
        let ended = || Problem::new("engine.ended", "Wakeflash is shutting down.");
        let (reply, recorded) = oneshot::channel();
        let report = Report::AboutToComplete { update: self.update, encrypted, reply };
        self.reports.send(report).await.map_err(|_| ended())?;
        recorded.await.map_err(|_| ended())?
    }

    pub(super) async fn while_showing<T, P>(
        &self,
        flash: impl Future<Output = T>,
        mut shown: watch::Receiver<P>,
        show: impl Fn(&P) -> Option<Progress>,
    ) -> T {
        let mut period = tokio::time::interval(PROGRESS_PERIOD);
        let mut flash = std::pin::pin!(flash);
        loop {
            tokio::select! {
                result = &mut flash => return result,
                _ = period.tick() => {
                    if shown.has_changed().unwrap_or(false)
                        && let Some(progress) = show(&shown.borrow_and_update())
                    {
                        // A full channel means that the loop has more important things to do.
                        let _ = self.reports.try_send(Report::FlashWent { update: self.update, progress });
                    }
                }
            }
        }
    }
}

/// For a gate beside which nobody waits for a word about the device's standing.
pub(super) fn nobody_waits() -> watch::Sender<Standing> {
    watch::channel(Standing::Unknown).0
}

/// What comes of a flash whose image can't be had.
pub(super) fn lost_image(error: LoadError) -> FlashOutcome {
    let class = match &error {
        LoadError::Lost(_) => FailureClass::Permanent,
        LoadError::Unreadable(_) => FailureClass::RetryNow,
    };
    FlashOutcome::Failed { class, problem: error.into_problem() }
}

fn shown_progress(progress: &wakeflash_ota::Progress) -> Progress {
    // What was handed to the socket is no measure: it fits into buffers on the way. Devices with version 1
    // of the protocol acknowledge nothing, so that nobody knows how far they are.
    let percent = (progress.total > 0 && progress.acknowledged > 0).then(|| {
        let percent = u64::from(progress.acknowledged) * 100 / u64::from(progress.total);
        u8::try_from(percent.min(100)).unwrap_or(100)
    });
    let step = match progress.step {
        Step::Greeting | Step::Version | Step::Features => "Connecting",
        Step::Encryption => "Agreeing on the encryption",
        Step::Auth | Step::AuthResult => "Checking the password",
        Step::Identity | Step::Gate => "Checking the device",
        Step::Prepare | Step::Checksum => "Preparing the device",
        Step::Transfer => "Sending",
        Step::Commit => "Finishing",
    };
    Progress { percent, step: step.to_owned() }
}

/// What came of a flash that panicked. It is no failure of the device: what has become of the image, the device
/// has to say.
pub(super) fn defect() -> FlashOutcome {
    FlashOutcome::Failed {
        class: FailureClass::OutcomeUnknown,
        problem: Problem::new("engine.defect", "The transfer ended by a defect of Wakeflash."),
    }
}

/// Whether the error is something that the peer said, before it was known who it is.
fn is_word_of_the_peer(error: &FlashError) -> bool {
    match error {
        FlashError::Ota(ota) => match ota.class() {
            FailureClass::NextWake | FailureClass::Permanent | FailureClass::WrongPassword => {
                !error.cancelled()
            }
            FailureClass::RetryNow | FailureClass::Busy | FailureClass::OutcomeUnknown => false,
        },
        FlashError::AlreadyRunning
        | FlashError::Refused { .. }
        | FlashError::NotRecorded { .. }
        | FlashError::Random(_) => false,
    }
}

/// What came of a flash that failed; `None` when it was cancelled: whoever did that has settled it.
fn failed(error: &FlashError) -> Option<FlashOutcome> {
    match error.class() {
        None => Some(FlashOutcome::AlreadyRunning),
        Some(_) if error.cancelled() && !error.outcome_unknown() => None,
        Some(class) => Some(FlashOutcome::Failed { class, problem: error.problem() }),
    }
}
