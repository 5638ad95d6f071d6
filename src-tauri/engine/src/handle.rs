//! How the window, the tray and the headless host speak to the running engine.

use tokio::sync::{broadcast, mpsc, oneshot};
use wakeflash_core::device::DeviceId;
use wakeflash_core::error::Problem;
use wakeflash_core::settings::{Settings, SettingsChange};
use wakeflash_core::update::{Secret, UpdateId};
use wakeflash_core::view::{
    ActivityCursor, ActivityPage, BuildLog, ConfigDirCandidate, Envelope, InstallPlan,
    Notification, Refusal, Snapshot, UpdateDetails, UpdateRecord, WakeRecord,
};

/// What the engine needs from whatever shows it.
pub trait Shell: Send + Sync + 'static {
    /// Raises a desktop notification, or whatever stands for one. It must not block.
    fn notify(&self, notification: Notification);
}

/// A reply that arrives when the runtime has dealt with the request.
pub(crate) type ReplyTo<T> = oneshot::Sender<Result<T, Problem>>;

/// What can be asked of the runtime.
#[derive(Debug)]
pub(crate) enum Request {
    Install(DeviceId, ReplyTo<UpdateId>),
    Cancel(DeviceId, ReplyTo<()>),
    Retry(DeviceId, ReplyTo<UpdateId>),
    RetryWithPassword(DeviceId, Secret, ReplyTo<UpdateId>),
    Rebuild(DeviceId, ReplyTo<()>),
    FlashAnyway(DeviceId, ReplyTo<()>),
    Dismiss(DeviceId, ReplyTo<()>),
    ChooseConfig(DeviceId, ReplyTo<()>),
    InstallMany(Vec<DeviceId>, ReplyTo<Vec<Refusal>>),
    CancelMany(Vec<DeviceId>, ReplyTo<Vec<Refusal>>),
    Plan(Option<Vec<DeviceId>>, ReplyTo<InstallPlan>),
    History(DeviceId, ReplyTo<Vec<UpdateRecord>>),
    Activity(Option<ActivityCursor>, u32, ReplyTo<ActivityPage>),
    UndoCancel(Vec<DeviceId>, ReplyTo<Vec<Refusal>>),
    SetAddress(DeviceId, Option<String>, ReplyTo<()>),
    AcceptBoard(DeviceId, ReplyTo<()>),
    SetPaused(bool, ReplyTo<()>),
    BuildLog(UpdateId, ReplyTo<BuildLog>),
    Report(ReplyTo<String>),
    Snapshot(ReplyTo<Snapshot>),
    Details(DeviceId, ReplyTo<UpdateDetails>),
    Wakes(DeviceId, ReplyTo<Vec<WakeRecord>>),
    SetSettings(Box<Settings>, ReplyTo<()>),
    ChangeSettings(SettingsChange, ReplyTo<()>),
    ConfigDirCandidates(ReplyTo<Vec<ConfigDirCandidate>>),
    FindEsphome(ReplyTo<()>),
    InstallEsphome(ReplyTo<()>),
    SetWatching(bool, ReplyTo<()>),
}

/// A cloneable handle of the running engine.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    events: broadcast::Sender<Envelope>,
}

impl Handle {
    pub(crate) fn new(
        requests: mpsc::Sender<Request>,
        events: broadcast::Sender<Envelope>,
    ) -> Self {
        Self { requests, events }
    }

    /// The events from now on. A receiver that lags loses events and finds a gap in the revisions.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Envelope> {
        self.events.subscribe()
    }

    async fn ask<T>(&self, request: impl FnOnce(ReplyTo<T>) -> Request) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let ended = || Problem::new("engine.ended", "Wakeflash is shutting down.");
        self.requests.send(request(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Starts an update of a device; an active one of the same device is superseded.
    ///
    /// # Errors
    /// The device is unknown, has no readable configuration, or the store can't be written.
    pub async fn install(&self, device: DeviceId) -> Result<UpdateId, Problem> {
        self.ask(|reply| Request::Install(device, reply)).await
    }

    /// Ends the active update of a device.
    ///
    /// # Errors
    /// There is none, or the store can't be written.
    pub async fn cancel(&self, device: DeviceId) -> Result<(), Problem> {
        self.ask(|reply| Request::Cancel(device, reply)).await
    }

    /// Starts the failed or cancelled update of a device once more.
    ///
    /// # Errors
    /// As for [`Self::install`]; also when the device has an active update.
    pub async fn retry(&self, device: DeviceId) -> Result<UpdateId, Problem> {
        self.ask(|reply| Request::Retry(device, reply)).await
    }

    /// Builds the held update of a device again.
    ///
    /// # Errors
    /// Its update isn't held, or the store can't be written.
    pub async fn rebuild(&self, device: DeviceId) -> Result<(), Problem> {
        self.ask(|reply| Request::Rebuild(device, reply)).await
    }

    /// Lets the held update of a device go on as it was built.
    ///
    /// # Errors
    /// Its update isn't held, or the store can't be written.
    pub async fn flash_anyway(&self, device: DeviceId) -> Result<(), Problem> {
        self.ask(|reply| Request::FlashAnyway(device, reply)).await
    }

    /// Puts the failed update of a device aside.
    ///
    /// # Errors
    /// Its last update didn't fail, or the store can't be written.
    pub async fn dismiss(&self, device: DeviceId) -> Result<(), Problem> {
        self.ask(|reply| Request::Dismiss(device, reply)).await
    }

    /// Says that, of several configurations which name their device so, this one is the device's.
    ///
    /// # Errors
    /// There is no such configuration, or it can't be stored.
    pub async fn choose_config(&self, device: DeviceId) -> Result<(), Problem> {
        self.ask(|reply| Request::ChooseConfig(device, reply)).await
    }

    /// Starts an update of each device that can be built and has none under way; the others are answered
    /// with the reason.
    ///
    /// # Errors
    /// The store can't be written; nothing has been started then.
    pub async fn install_many(&self, devices: Vec<DeviceId>) -> Result<Vec<Refusal>, Problem> {
        self.ask(|reply| Request::InstallMany(devices, reply)).await
    }

    /// Ends the active updates of many devices; those that have none are answered with that.
    ///
    /// # Errors
    /// The store can't be written; nothing has been ended then.
    pub async fn cancel_many(&self, devices: Vec<DeviceId>) -> Result<Vec<Refusal>, Problem> {
        self.ask(|reply| Request::CancelMany(devices, reply)).await
    }

    /// What [`Self::install_many`] would do; `None`: with all that there is an update for.
    ///
    /// # Errors
    /// The engine is shutting down.
    pub async fn plan(&self, devices: Option<Vec<DeviceId>>) -> Result<InstallPlan, Problem> {
        self.ask(|reply| Request::Plan(devices, reply)).await
    }

    /// The updates of a device, newest first; at most 50.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn history(&self, device: DeviceId) -> Result<Vec<UpdateRecord>, Problem> {
        self.ask(|reply| Request::History(device, reply)).await
    }

    /// The updates that have ended, over all devices, the last ended first; `before`: what comes after that one.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn activity(
        &self,
        before: Option<ActivityCursor>,
        limit: u32,
    ) -> Result<ActivityPage, Problem> {
        self.ask(|reply| Request::Activity(before, limit, reply)).await
    }

    /// Starts the last update of a device once more, with the OTA password that is on the device now.
    ///
    /// # Errors
    /// As the retry without one.
    pub async fn retry_with_password(
        &self,
        device: DeviceId,
        password: Secret,
    ) -> Result<UpdateId, Problem> {
        self.ask(|reply| Request::RetryWithPassword(device, password, reply)).await
    }

    /// Takes back the cancels of a moment ago: each update goes on where it was. Those for which that is too late are
    /// answered with the reason.
    ///
    /// # Errors
    /// The store can't be written.
    pub async fn undo_cancel(&self, devices: Vec<DeviceId>) -> Result<Vec<Refusal>, Problem> {
        self.ask(|reply| Request::UndoCancel(devices, reply)).await
    }

    /// Where the user says that a device is; `None`: nothing is said any more.
    ///
    /// # Errors
    /// It is no address, the device is unknown, or the store can't be written.
    pub async fn set_address(
        &self,
        device: DeviceId,
        address: Option<String>,
    ) -> Result<(), Problem> {
        self.ask(|reply| Request::SetAddress(device, address, reply)).await
    }

    /// Takes the board that claims a device's name for the device.
    ///
    /// # Errors
    /// No other board claims it, the device is unknown, or the store can't be written.
    pub async fn accept_board(&self, device: DeviceId) -> Result<(), Problem> {
        self.ask(|reply| Request::AcceptBoard(device, reply)).await
    }

    /// Begins no new build and no new flash, or does so again. What runs goes on.
    ///
    /// # Errors
    /// The store can't be written.
    pub async fn set_paused(&self, paused: bool) -> Result<(), Problem> {
        self.ask(|reply| Request::SetPaused(paused, reply)).await
    }

    /// The log of an update's build; empty when it is gone or there was none.
    ///
    /// # Errors
    /// There is no such update, or the store can't be read.
    pub async fn build_log(&self, update: UpdateId) -> Result<BuildLog, Problem> {
        self.ask(|reply| Request::BuildLog(update, reply)).await
    }

    /// Diagnostics for a bug report, without secrets.
    ///
    /// # Errors
    /// The engine is shutting down.
    pub async fn report(&self) -> Result<String, Problem> {
        self.ask(Request::Report).await
    }

    /// Everything there is to see.
    ///
    /// # Errors
    /// The engine is shutting down.
    pub async fn snapshot(&self) -> Result<Snapshot, Problem> {
        self.ask(Request::Snapshot).await
    }

    /// The active or last update of a device in detail.
    ///
    /// # Errors
    /// The device is unknown or never had an update.
    pub async fn details(&self, device: DeviceId) -> Result<UpdateDetails, Problem> {
        self.ask(|reply| Request::Details(device, reply)).await
    }

    /// The wakes of a device that were seen, oldest first: the last 200. Empty when there is no such device.
    ///
    /// # Errors
    /// The engine is shutting down.
    pub async fn wakes(&self, device: DeviceId) -> Result<Vec<WakeRecord>, Problem> {
        self.ask(|reply| Request::Wakes(device, reply)).await
    }

    /// Changes some of the settings, and leaves the others as they are by then.
    ///
    /// # Errors
    /// As for [`Self::set_settings`].
    pub async fn change_settings(&self, change: SettingsChange) -> Result<(), Problem> {
        self.ask(|reply| Request::ChangeSettings(change, reply)).await
    }

    /// Changes the settings, all of them; what depends on them follows at once.
    ///
    /// # Errors
    /// A value makes no sense, or the store can't be written.
    pub async fn set_settings(&self, settings: Settings) -> Result<(), Problem> {
        self.ask(|reply| Request::SetSettings(Box::new(settings), reply)).await
    }

    /// The usual places of ESPHome configurations that exist here.
    ///
    /// # Errors
    /// The engine is shutting down.
    pub async fn config_dir_candidates(&self) -> Result<Vec<ConfigDirCandidate>, Problem> {
        self.ask(Request::ConfigDirCandidates).await
    }

    /// Says whether somebody looks at the list of devices. Only then the engine spends packets on verifying that
    /// the devices shown as Online still are. At the start nobody looks.
    ///
    /// # Errors
    /// The engine is shutting down.
    pub async fn set_watching(&self, on: bool) -> Result<(), Problem> {
        self.ask(|reply| Request::SetWatching(on, reply)).await
    }

    /// Looks for ESPHome again.
    ///
    /// # Errors
    /// The engine is shutting down.
    pub async fn find_esphome(&self) -> Result<(), Problem> {
        self.ask(Request::FindEsphome).await
    }

    /// Starts to install ESPHome into an environment of the application's own. How it goes is told by
    /// status events.
    ///
    /// # Errors
    /// It is being installed already.
    pub async fn install_esphome(&self) -> Result<(), Problem> {
        self.ask(Request::InstallEsphome).await
    }
}
