//! What shows desktop notifications here.

use serde::Serialize;

#[cfg(target_os = "linux")]
pub(crate) use linux::server;

/// What shows desktop notifications.
#[derive(Clone, Copy, Debug, Default, Serialize, specta::Type)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotificationServer {
    /// There is something that shows them.
    pub(crate) present: bool,
    /// It shows buttons.
    pub(crate) actions: bool,
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::unused_async, reason = "the same signature as on Linux")]
pub(crate) async fn server() -> NotificationServer {
    NotificationServer { present: true, actions: false }
}

/// The daemon of the session bus.
#[cfg(target_os = "linux")]
pub(crate) mod linux {
    use std::time::Duration;

    use super::NotificationServer;

    pub(crate) const NAME: &str = "org.freedesktop.Notifications";
    pub(crate) const PATH: &str = "/org/freedesktop/Notifications";
    /// How long the daemon has to answer.
    const PATIENCE: Duration = Duration::from_secs(3);

    /// What shows notifications here.
    pub(crate) async fn server() -> NotificationServer {
        let asked = async { capabilities(&zbus::Connection::session().await?).await };
        match asked.await {
            Ok(capabilities) => {
                NotificationServer { present: true, actions: has(&capabilities, "actions") }
            }
            Err(error) => {
                tracing::debug!("nothing shows notifications: {error}");
                NotificationServer::default()
            }
        }
    }

    /// What it can do.
    pub(crate) async fn capabilities(connection: &zbus::Connection) -> zbus::Result<Vec<String>> {
        let asked = connection.call_method(Some(NAME), PATH, Some(NAME), "GetCapabilities", &());
        patiently(asked).await?.body().deserialize()
    }

    /// Whether it can do that.
    pub(crate) fn has(capabilities: &[String], wanted: &str) -> bool {
        capabilities.iter().any(|capability| capability == wanted)
    }

    /// With a limit: a daemon may hang.
    pub(crate) async fn patiently<T>(
        call: impl Future<Output = zbus::Result<T>>,
    ) -> zbus::Result<T> {
        let ended = tokio::time::timeout(PATIENCE, call).await;
        ended.unwrap_or_else(|_| Err(zbus::Error::Failure("the daemon doesn't answer".to_owned())))
    }
}
