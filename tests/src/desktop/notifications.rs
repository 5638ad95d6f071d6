//! A notification daemon that remembers what it was told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::watch;
use zbus::zvariant::{DynamicType, OwnedValue};

use super::bus::Bus;

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// A notification, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub id: u32,
    /// Who sent it.
    pub app_name: String,
    /// The number of the notification that it took the place of, or 0.
    pub replaces_id: u32,
    pub summary: String,
    pub body: String,
    /// What can be done, as key and label.
    pub actions: Vec<(String, String)>,
    /// Whether its sender has taken it back.
    pub closed: bool,
}

/// The daemon. It is gone from the bus when dropped.
pub struct Notifications {
    connection: zbus::Connection,
    told: watch::Receiver<Vec<Told>>,
    buttons: Arc<AtomicBool>,
}

struct Server {
    told: watch::Sender<Vec<Told>>,
    buttons: Arc<AtomicBool>,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Server {
    #[allow(clippy::too_many_arguments)]
    fn notify(
        &self,
        app_name: String,
        replaces_id: u32,
        _app_icon: &str,
        summary: String,
        body: String,
        actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _expire_timeout: i32,
    ) -> u32 {
        let mut pairs = actions.into_iter();
        let mut actions = Vec::new();
        while let (Some(key), Some(label)) = (pairs.next(), pairs.next()) {
            actions.push((key, label));
        }
        let mut id = replaces_id;
        self.told.send_modify(|told| {
            if id == 0 {
                id = u32::try_from(told.len()).unwrap_or(u32::MAX).saturating_add(1);
            }
            told.push(Told { id, app_name, replaces_id, summary, body, actions, closed: false });
        });
        id
    }

    async fn close_notification(
        &self,
        id: u32,
        #[zbus(connection)] connection: &zbus::Connection,
    ) -> zbus::fdo::Result<()> {
        let mark = |told: &mut Told| told.closed = true;
        self.told.send_modify(|all| all.iter_mut().filter(|told| told.id == id).for_each(mark));
        // 3: taken back by a call.
        Ok(emit(connection, "NotificationClosed", &(id, 3_u32)).await?)
    }

    fn get_capabilities(&self) -> Vec<String> {
        let buttons = self.buttons.load(Ordering::Relaxed).then_some("actions");
        let all = buttons.into_iter().chain(["body", "body-markup", "persistence"]);
        all.map(str::to_owned).collect()
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        let [name, vendor, version, spec] = ["lab", "wakeflash", "1", "1.2"].map(str::to_owned);
        (name, vendor, version, spec)
    }
}

impl Notifications {
    /// Puts the daemon on a bus.
    ///
    /// # Errors
    /// When the bus has one already.
    pub async fn start(bus: &Bus) -> Result<Self> {
        let (sender, told) = watch::channel(Vec::new());
        let connection = bus.connect().await?;
        let buttons = Arc::new(AtomicBool::new(true));
        let server = Server { told: sender, buttons: buttons.clone() };
        connection.object_server().at(PATH, server).await?;
        connection.request_name(NAME).await?;
        Ok(Self { connection, told, buttons })
    }

    /// From now on it shows no buttons, as some do.
    pub fn take_buttons_away(&self) {
        self.buttons.store(false, Ordering::Relaxed);
    }

    /// All that it was told.
    #[must_use]
    pub fn all(&self) -> Vec<Told> {
        self.told.borrow().clone()
    }

    /// What is shown now: of all that it was told, what nothing has taken the place of, and nobody has taken back.
    #[must_use]
    pub fn shown(&self) -> Vec<Told> {
        let mut shown: Vec<Told> = Vec::new();
        for told in self.all() {
            shown.retain(|before| before.id != told.id);
            shown.push(told);
        }
        shown.retain(|told| !told.closed);
        shown
    }

    /// Waits for a notification that satisfies `wanted`, now or later.
    ///
    /// # Errors
    /// When none comes within `timeout`; the error has those that came.
    pub async fn wait(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&Told) -> bool,
    ) -> Result<Told> {
        let mut told = self.told.clone();
        let found = told.wait_for(|all| all.iter().any(&wanted));
        let found = tokio::time::timeout(timeout, found).await;
        let all = found.with_context(|| format!("no notification {what}: {:#?}", self.all()))??;
        all.iter().find(|told| wanted(told)).cloned().context("it is there")
    }

    /// Does as if the user had clicked an action.
    ///
    /// # Errors
    /// When the bus is gone.
    pub async fn click(&self, id: u32, action: &str) -> Result<()> {
        Ok(emit(&self.connection, "ActionInvoked", &(id, action)).await?)
    }

    /// Does as if a notification had gone: 1 by its age, 2 by the user.
    ///
    /// # Errors
    /// When the bus is gone.
    pub async fn close(&self, id: u32, reason: u32) -> Result<()> {
        Ok(emit(&self.connection, "NotificationClosed", &(id, reason)).await?)
    }
}

async fn emit<B>(connection: &zbus::Connection, signal: &str, body: &B) -> zbus::Result<()>
where
    B: serde::Serialize + DynamicType,
{
    connection.emit_signal(None::<&str>, PATH, NAME, signal, body).await
}
